/* SPDX-License-Identifier: Apache-2.0 */
#include "ceiling/options.h"

#include "base/cleanup.h"
#include "common/options.h"
#include "common/quantity.h"

#include <stdio.h>

#define PORT_MAX 65535
#define WRITERS_MAX 64
#define WINDOW_MAX 1000000

static const struct ceiling_kind *const kinds[] = {
    &ceiling_echo, &ceiling_commit, &ceiling_publish, &ceiling_consume, &ceiling_drain};

static const char *set_port(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    return option_set_unsigned(value, 0, PORT_MAX, &ceiling->options.port);
}

static const char *set_threads(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    return option_set_unsigned(value, 1, SERVER_THREADS_MAX, &ceiling->options.threads);
}

static const char *set_ready_file(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    return option_set_text(value, &ceiling->options.ready_file);
}

static const char *set_certificate(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    return option_set_text(value, &ceiling->options.certificate_file);
}

static const char *set_key(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    return option_set_text(value, &ceiling->options.key_file);
}

/* Options that belong to one kind or to some kinds. */

static const char *only_with_data(const struct ceiling *ceiling)
{
    return ceiling->kind && !ceiling->kind->needs_data ? "left out: only commit has this option"
                                                       : NULL;
}

static const char *only_with_broker(const struct ceiling *ceiling)
{
    return ceiling->kind && !ceiling->kind->needs_broker
               ? "left out: only publish, consume and drain have this option"
               : NULL;
}

static const char *set_data(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_data(ceiling);
    return should_be ? should_be : option_set_text(value, &ceiling->options.data);
}

static const char *set_writers(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_data(ceiling);
    return should_be ? should_be
                     : option_set_unsigned(value, 1, WRITERS_MAX, &ceiling->options.writers);
}

static const char *set_broker(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_broker(ceiling), *colon = strrchr(value, ':');
    int64_t port;
    if (should_be)
        return should_be;
    if (!colon || colon == value || !quantity_parse_between(colon + 1, 1, PORT_MAX, &port))
        return "HOST:PORT";
    ceiling->options.broker = value;
    return NULL;
}

static const char *set_queue_name(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_broker(ceiling);
    if (should_be)
        return should_be;
    if (strlen(value) > UINT8_MAX) /* AMQP's short string */
        return "at most 255 bytes";
    return option_set_text(value, &ceiling->options.queue_name);
}

static const char *set_window(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_broker(ceiling);
    return should_be ? should_be
                     : option_set_unsigned(value, 1, WINDOW_MAX, &ceiling->options.window);
}

static const char *set_max_length(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_broker(ceiling);
    return should_be ? should_be
                     : option_set_number(value, 0, INT64_MAX, &ceiling->options.max_length);
}

static const char *set_message(void *of, const char *value)
{
    struct ceiling *ceiling = of;
    const char *should_be = only_with_broker(ceiling);
    if (should_be)
        return should_be;
    ceiling->options.with_properties = strcmp(value, "event") == 0;
    return ceiling->options.with_properties || strcmp(value, "bare") == 0 ? NULL : "bare or event";
}

static const struct option_row rows[] = {
    {"--port", "N", set_port, "port on 127.0.0.1 (default 0: a free one)"},
    {"--threads", "N", set_threads, "number of loops (default 2)"},
    {"--ready-file", "FILE", set_ready_file,
        "JSON file, written when requests are accepted: {\"port\", \"url\", \"pid\"}"},
    {"--tls-cert", "FILE", set_certificate, "certificate chain, PEM: TLS instead of cleartext"},
    {"--tls-key", "FILE", set_key, "private key, PEM"},
    {"--data", "DIR", set_data, "directory of the files, created if missing; required (commit)"},
    {"--writers", "N", set_writers, "number of files, each with a thread; default 1 (commit)"},
    {"--broker", "HOST:PORT", set_broker,
        "the broker; the user is guest; required (publish, consume, drain)"},
    {"--queue-name", "NAME", set_queue_name,
        "quorum queue, emptied at the start; default penstock.ceiling (publish, consume, "
        "drain)"},
    {"--window", "N", set_window,
        "unconfirmed messages of each loop; default 4096 (publish, consume)"},
    {"--message", "KIND", set_message,
        "bare (default): no properties; event: properties like a gateway's messages (publish)"},
    {"--max-length", "N", set_max_length,
        "messages before the queue drops its oldest; 0: no limit; default 200000 (publish, "
        "consume, drain)"},
};

static void print_kinds(FILE *file)
{
    fputs("Kinds:\n", file);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        fprintf(file, "  %-8s %s\n", kinds[i]->name, kinds[i]->doc);
}

static const struct option_table table = {.program = "penstock-ceiling",
    .usage = "KIND [OPTIONS]",
    .before =
        "Measures what this machine can do at best. SIGTERM or SIGINT ends it; its counts are on "
        "stderr.\n",
    .rows = rows,
    .rows_count = ARRAY_LENGTH(rows),
    .print_after = print_kinds};

static const struct ceiling_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

static enum err check(const struct ceiling *ceiling)
{
    const struct ceiling_options *options = &ceiling->options;
    if (!ceiling->kind)
        return options_refuse(&table, "KIND", "is missing");
    if (ceiling->kind->needs_data && !options->data)
        return options_refuse(&table, "--data", "is missing");
    if (ceiling->kind->needs_broker && !options->broker)
        return options_refuse(&table, "--broker", "is missing");
    return options_check_tls(&table, options->certificate_file, options->key_file);
}

enum err ceiling_options_parse(int argc, char **argv, struct ceiling *ceiling)
{
    ceiling->options = (struct ceiling_options){.threads = 2,
        .writers = 1,
        .queue_name = "penstock.ceiling",
        .window = 4096,
        .max_length = 200000};
    bool begins_with_kind = argc > 1 && *argv[1] != '-';
    if (begins_with_kind && !(ceiling->kind = find_kind(argv[1])))
        return options_refuse(&table, argv[1], "is not a kind");
    enum err result =
        options_parse(&table, argc - begins_with_kind, argv + begins_with_kind, ceiling);
    return result ? result : check(ceiling);
}
