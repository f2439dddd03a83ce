/* SPDX-License-Identifier: Apache-2.0 */
#include "ceiling/options.h"

#include "common/quantity.h"

#include <stdio.h>

#define PORT_MAX 65535
#define WRITERS_MAX 64
#define WINDOW_MAX 1000000

static const struct ceiling_kind *const kinds[] = {&ceiling_echo, &ceiling_commit, &ceiling_publish, &ceiling_consume};

static bool parse_unsigned(const char *text, int64_t min, int64_t max, unsigned *ret_number)
{
    int64_t count;
    if (!quantity_parse_count(text, &count) || count < min || count > max)
        return false;
    *ret_number = (unsigned)count;
    return true;
}

static bool set_port(const char *text, struct ceiling_options *options)
{
    return parse_unsigned(text, 0, PORT_MAX, &options->port);
}

static bool set_threads(const char *text, struct ceiling_options *options)
{
    return parse_unsigned(text, 1, SERVER_THREADS_MAX, &options->threads);
}

static bool set_ready_file(const char *text, struct ceiling_options *options)
{
    options->ready_file = text;
    return *text != '\0';
}

static bool set_certificate(const char *text, struct ceiling_options *options)
{
    options->certificate_file = text;
    return *text != '\0';
}

static bool set_key(const char *text, struct ceiling_options *options)
{
    options->key_file = text;
    return *text != '\0';
}

static bool set_delay(const char *text, struct ceiling_options *options)
{
    return quantity_parse_duration(text, &options->delay_us);
}

static bool set_stall(const char *text, struct ceiling_options *options)
{
    const char *dots = strstr(text, "..");
    if (!dots)
        return false;
    AUTO_FREE char *from = strndup(text, (size_t)(dots - text));
    return from && quantity_parse_duration(from, &options->stall_from_us) &&
           quantity_parse_duration(dots + 2, &options->stall_to_us) && options->stall_from_us < options->stall_to_us;
}

static bool set_data(const char *text, struct ceiling_options *options)
{
    options->data = text;
    return *text != '\0';
}

static bool set_writers(const char *text, struct ceiling_options *options)
{
    return parse_unsigned(text, 1, WRITERS_MAX, &options->writers);
}

static bool set_broker(const char *text, struct ceiling_options *options)
{
    const char *colon = strrchr(text, ':');
    unsigned port;
    options->broker = text;
    return colon && colon > text && parse_unsigned(colon + 1, 1, PORT_MAX, &port);
}

static bool set_queue_name(const char *text, struct ceiling_options *options)
{
    options->queue_name = text;
    return *text != '\0' && strlen(text) <= UINT8_MAX; /* AMQP's short string */
}

static bool set_window(const char *text, struct ceiling_options *options)
{
    return parse_unsigned(text, 1, WINDOW_MAX, &options->window);
}

static bool set_max_length(const char *text, struct ceiling_options *options)
{
    return quantity_parse_count(text, &options->max_length);
}

static const struct option_row {
    const char *name, *value;
    const char *kinds; /* the only ones that take it; NULL: all */
    bool (*set)(const char *text, struct ceiling_options *options);
    const char *doc;
} rows[] = {
    {"--port", "N", NULL, set_port, "port on 127.0.0.1; 0, the default, takes a free one"},
    {"--threads", "N", NULL, set_threads, "loops; default 2"},
    {"--ready-file", "FILE", NULL, set_ready_file, "written when requests are taken: {\"port\", \"url\", \"pid\"}"},
    {"--tls-cert", "FILE", NULL, set_certificate, "certificate chain, PEM: TLS instead of cleartext"},
    {"--tls-key", "FILE", NULL, set_key, "its key, PEM"},
    {"--delay", "DURATION", "echo", set_delay, "every answer takes this long"},
    {"--stall", "FROM..TO", "echo", set_stall, "no answer between these times since the start"},
    {"--data", "DIR", "commit", set_data, "where the files are; made if missing; required"},
    {"--writers", "N", "commit", set_writers, "files, each with a thread; default 1"},
    {"--broker", "HOST:PORT", "publish consume", set_broker, "the broker, user guest; required"},
    {"--queue-name", "NAME", "publish consume", set_queue_name,
        "the quorum queue, emptied at the start; default penstock.ceiling"},
    {"--window", "N", "publish consume", set_window, "unconfirmed messages of a loop; default 4096"},
    {"--max-length", "N", "publish consume", set_max_length,
        "the queue drops its oldest beyond; 0: never; default 200000"},
};

void options_print_help(void)
{
    puts("penstock-ceiling KIND [options]: what this machine could do at best\n\nkinds:");
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        printf("  %-8s %s\n", kinds[i]->name, kinds[i]->doc);
    puts("\noptions:");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        printf("  %-13s %-10s %s%s%s%s\n", rows[i].name, rows[i].value, rows[i].doc, rows[i].kinds ? " (" : "",
            rows[i].kinds ? rows[i].kinds : "", rows[i].kinds ? ")" : "");
    puts("  --help                   this text\n\nSIGTERM or SIGINT ends it with its counts on stderr.");
}

static enum err find_kind(const char *name, const struct ceiling_kind **ret_kind)
{
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (strcmp(kinds[i]->name, name) == 0) {
            *ret_kind = kinds[i];
            return OK;
        }
    }
    ceiling_complain("%s: no such kind (see --help)", name);
    return ERR_USAGE;
}

static enum err parse_option(const char *name, const char *value, struct ceiling *ceiling)
{
    const struct option_row *row = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            row = &rows[i];
    if (!row)
        ceiling_complain("%s: no such option (see --help)", name);
    else if (row->kinds && !strstr(row->kinds, ceiling->kind->name))
        ceiling_complain("%s: not an option of %s, but of %s", name, ceiling->kind->name, row->kinds);
    else if (!value)
        ceiling_complain("%s: its %s is missing", name, row->value);
    else if (!row->set(value, &ceiling->options))
        ceiling_complain("%s %s: not a valid %s", name, value, row->value);
    else
        return OK;
    return ERR_USAGE;
}

static enum err check(const struct ceiling *ceiling)
{
    const struct ceiling_options *options = &ceiling->options;
    if (ceiling->kind->needs_data && !options->data)
        ceiling_complain("--data: %s needs it", ceiling->kind->name);
    else if (ceiling->kind->needs_broker && !options->broker)
        ceiling_complain("--broker: %s needs it", ceiling->kind->name);
    else if (options->certificate_file && !options->key_file)
        ceiling_complain("--tls-key: --tls-cert needs it");
    else if (options->key_file && !options->certificate_file)
        ceiling_complain("--tls-cert: --tls-key needs it");
    else
        return OK;
    return ERR_USAGE;
}

enum err options_parse(int argc, char **argv, struct ceiling *ceiling, bool *ret_help)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            *ret_help = true;
            return OK;
        }
    }
    if (argc < 2) {
        ceiling_complain("KIND is missing (see --help)");
        return ERR_USAGE;
    }
    ceiling->options = (struct ceiling_options){
        .threads = 2, .writers = 1, .queue_name = "penstock.ceiling", .window = 4096, .max_length = 200000};
    enum err result = find_kind(argv[1], &ceiling->kind);
    for (int i = 2; i < argc && !result; i += 2)
        result = parse_option(argv[i], i + 1 < argc ? argv[i + 1] : NULL, ceiling);
    return result ? result : check(ceiling);
}
