/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/options.h"

#include "base/cleanup.h"
#include "common/options.h"
#include "common/server.h"

#include <arpa/inet.h>
#include <stdio.h>

#define WHITE_SPACE " \t\r\n"
#define PORT_MAX 65535

static const char *set_port(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_unsigned(value, 0, PORT_MAX, &options->port);
}

static const char *set_address(void *of, const char *value)
{
    struct sink_options *options = of;
    unsigned char bytes[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, value, bytes) != 1 && inet_pton(AF_INET6, value, bytes) != 1)
        return "an IP address of this host, or 0.0.0.0";
    options->address = value;
    return NULL;
}

static const char *set_run(void *of, const char *value)
{
    struct sink_options *options = of;
    if (!*value || strlen(value) >= sizeof options->match.run)
        return "1 to 15 letters and digits";
    snprintf(options->match.run, sizeof options->match.run, "%s", value);
    return NULL;
}

static const char *set_selector(struct selector *selector, const char *value, bool may_be_body)
{
    struct selector found;
    if (!selector_parse(value, &found) || (found.kind == SELECTOR_BODY && !may_be_body))
        return may_be_body ? SELECTOR_FORM ", body or none" : SELECTOR_FORM " or none";
    *selector = found;
    return NULL;
}

static const char *set_match_key(void *of, const char *value)
{
    return set_selector(&((struct sink_options *)of)->match.key, value, true);
}

static const char *set_match_id(void *of, const char *value)
{
    return set_selector(&((struct sink_options *)of)->match.id, value, false);
}

static const char *set_match_due(void *of, const char *value)
{
    return set_selector(&((struct sink_options *)of)->match.due, value, false);
}

static const char *set_threads(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_unsigned(value, 1, SERVER_THREADS_MAX, &options->threads);
}

static const char *set_seed(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_number(value, 0, INT64_MAX, &options->seed);
}

static const char *set_log(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_text(value, &options->log_file);
}

static const char *set_ready_file(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_text(value, &options->ready_file);
}

static const char *set_certificate(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_text(value, &options->certificate_file);
}

static const char *set_key(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_text(value, &options->key_file);
}

static const char *set_behave(void *of, const char *value)
{
    static const char form[] = "a path and words";
    static char should_be[sizeof form + sizeof ": " + BEHAVIOUR_COMPLAINT_BYTES];
    struct sink_options *options = of;
    char complaint[BEHAVIOUR_COMPLAINT_BYTES];
    struct behaviour behaviour;
    value += strspn(value, WHITE_SPACE);
    size_t path_len = strcspn(value, WHITE_SPACE);
    if (!behaviour_parse(value + path_len, &behaviour, complaint)) {
        snprintf(should_be, sizeof should_be, "%s: %s", form, complaint);
        return should_be;
    }
    enum err result = paths_put(options->paths, slice_of(value, path_len), &behaviour);
    if (result == ERR_BAD_REQUEST)
        return "a path and words: the path is a '/' and at most 255 bytes";
    return result ? "left out: the limit of paths is reached" : NULL;
}

static const struct option_row rows[] = {
    {"--address", "IP", set_address, "where it listens (default 127.0.0.1)"},
    {"--port", "N", set_port, "port (default 0: a free one)"},
    {"--threads", "N", set_threads, "number of loops (default 1)"},
    {"--log", "FILE", set_log, "log with a record for each request, for penstock-verdict"},
    {"--ready-file", "FILE", set_ready_file,
        "JSON file, written when requests are accepted: {\"port\", \"url\", \"pid\"}"},
    {"--seed", "N", set_seed, "seed of the random choices (default 0)"},
    {"--tls-cert", "FILE", set_certificate, "certificate chain, PEM: TLS instead of cleartext"},
    {"--tls-key", "FILE", set_key, "private key, PEM"},
    {"--behave", "'PATH WORDS...'", set_behave,
        "how a path behaves, see below (can be given several times)"},
    {"--run", "NAME", set_run, "the generator's --run, for --key"},
    {"--key", "WHERE", set_match_key,
        "of a target that is not Penstock: where RUN-NUMBER is: header:NAME, json:/POINTER, body"},
    {"--id", "WHERE", set_match_id, "where the target's own id is: header:NAME, json:/POINTER"},
    {"--due", "WHERE", set_match_due, "where the post's {due_us} is"},
};

static void print_words(FILE *file)
{
    fputs("Words:\n", file);
    behaviour_print_words(file);
}

static const struct option_table table = {.program = "penstock-sink",
    .usage = "[OPTIONS]",
    .before = "Plays client deployments until SIGTERM. Without words it answers 200 "
              "and {}. The words\n"
              "of a path hold for all requests to it and below it; the longest path counts. At run "
              "time: PUT\n"
              "/_behave/PATH with the words as body, GET /_counts.\n",
    .rows = rows,
    .rows_count = ARRAY_LENGTH(rows),
    .print_after = print_words};

enum err sink_options_parse(
    int argc, char **argv, struct paths *paths, struct sink_options *ret_options)
{
    struct sink_options options = {.threads = 1, .paths = paths};
    enum err result = options_parse(&table, argc, argv, &options);
    if (!result)
        result = options_check_tls(&table, options.certificate_file, options.key_file);
    if (!result && options.match.key.kind != SELECTOR_NONE && !*options.match.run)
        result = options_refuse(&table, "--run", "is missing: --key needs it");
    if (!result)
        *ret_options = options;
    return result;
}
