/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/options.h"

#include "base/cleanup.h"
#include "common/options.h"
#include "common/server.h"

#define WHITE_SPACE " \t\r\n"
#define PORT_MAX 65535

static const char *set_port(void *of, const char *value)
{
    struct sink_options *options = of;
    return option_set_unsigned(value, 0, PORT_MAX, &options->port);
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
    {"--port", "N", set_port, "port on 127.0.0.1 (default 0: a free one)"},
    {"--threads", "N", set_threads, "number of loops (default 1)"},
    {"--log", "FILE", set_log, "log with a record for each request, for penstock-verdict"},
    {"--ready-file", "FILE", set_ready_file,
        "JSON file, written when requests are accepted: {\"port\", \"url\", \"pid\"}"},
    {"--seed", "N", set_seed, "seed of the random choices (default 0)"},
    {"--tls-cert", "FILE", set_certificate, "certificate chain, PEM: TLS instead of cleartext"},
    {"--tls-key", "FILE", set_key, "private key, PEM"},
    {"--behave", "'PATH WORDS...'", set_behave,
        "how a path behaves, see below (can be given several times)"},
};

static void print_words(FILE *file)
{
    fputs("Words:\n", file);
    behaviour_print_words(file);
}

static const struct option_table table = {.program = "penstock-sink",
    .usage = "[OPTIONS]",
    .before = "Plays client deployments on 127.0.0.1 until SIGTERM. Without words it answers 200 "
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
    if (!result)
        *ret_options = options;
    return result;
}
