/* SPDX-License-Identifier: Apache-2.0 */
#include "load/options.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "common/options.h"
#include "common/quantity.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED_MAX 1000000000
#define LAG_MAX 1000000
#define RESENDS_MAX 100
#define API_KEY_LINE_BYTES 512

static const char *set_timetable(void *of, const char *value)
{
    struct load_options *options = of;
    static const char form[] = "PART,PART,...";
    static char should_be[sizeof form + sizeof ": " + TIMETABLE_COMPLAINT_BYTES];
    char complaint[TIMETABLE_COMPLAINT_BYTES] = "";
    timetable_done(&options->timetable);
    if (!timetable_parse(value, &options->timetable, complaint))
        return NULL;
    snprintf(should_be, sizeof should_be, "%s: %s", form, complaint);
    return should_be;
}

static const char *set_url(void *of, const char *value)
{
    struct load_options *options = of;
    static const char form[] = "http://HOST:PORT or https://HOST:PORT";
    char port[8];
    options->tls = strncmp(value, "https://", 8) == 0;
    if (!options->tls && strncmp(value, "http://", 7) != 0)
        return form;
    const char *authority = value + (options->tls ? 8 : 7), *colon = strrchr(authority, ':');
    size_t host_len = colon ? (size_t)(colon - authority) : 0;
    if (host_len == 0 || host_len >= sizeof options->host)
        return form;
    bool has_brackets = host_len > 2 && authority[0] == '[' && authority[host_len - 1] == ']';
    snprintf(options->host, sizeof options->host, "%.*s", (int)host_len - 2 * has_brackets,
        authority + has_brackets);
    snprintf(options->authority, sizeof options->authority, "%.*s", (int)strcspn(authority, "/"),
        authority);
    snprintf(port, sizeof port, "%.*s", (int)strcspn(colon + 1, "/"), colon + 1);
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (getaddrinfo(options->host, port, &hints, &found) != 0)
        return "a URL whose host has an address";
    memcpy(&options->address, found->ai_addr, found->ai_addrlen);
    options->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return NULL;
}

static const char *set_run(void *of, const char *value)
{
    struct load_options *options = of;
    size_t len = strlen(value);
    if (len == 0 || len >= RUN_NAME_BYTES ||
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != len)
        return "1 to 15 letters and digits";
    snprintf(options->mix.run, sizeof options->mix.run, "%s", value);
    return NULL;
}

static const char *set_accounts(void *of, const char *value)
{
    struct load_options *options = of;
    return mix_set_accounts(&options->mix, value) ? NULL
                                                  : "NAME,NAME,... or a pattern such as acc_%d*100";
}

static const char *set_first_account(void *of, const char *value)
{
    struct load_options *options = of;
    int64_t first;
    if (!quantity_parse_between(value, 0, MIX_ACCOUNTS_MAX - 1, &first))
        return "a place in --accounts, from 0 to 4095";
    options->mix.first_account = (unsigned)first;
    return NULL;
}

static const char *set_types(void *of, const char *value)
{
    struct load_options *options = of;
    return mix_set_types(&options->mix, value) ? NULL : "TYPE=WEIGHT,TYPE=WEIGHT,...";
}

static const char *set_size(void *of, const char *value)
{
    struct load_options *options = of;
    char *end;
    int64_t min = strtoll(value, &end, 10), max = min;
    if (*end == '-')
        max = strtoll(end + 1, &end, 10);
    if (*end || min < 300 || max < min || max > MIX_BODY_BYTES_MAX)
        return "BYTES or MIN-MAX, from 300 to 65536";
    options->mix.body_bytes_min = min;
    options->mix.body_bytes_max = max;
    return NULL;
}

static const char *set_secret(void *of, const char *value)
{
    struct load_options *options = of;
    return secret_parse(slice_from_string(value), &options->secret) ? NULL : "whsec_ and base64";
}

static const char *set_seed(void *of, const char *value)
{
    struct load_options *options = of;
    int64_t seed;
    const char *should_be = option_set_number(value, 0, SEED_MAX, &seed);
    if (!should_be)
        options->mix.seed = (uint64_t)seed;
    return should_be;
}

static const char *set_lag(void *of, const char *value)
{
    struct load_options *options = of;
    return option_set_number(value, 1, LAG_MAX, &options->mix.duplicate_lag_max);
}

static const char *set_json(void *of, const char *value)
{
    struct load_options *options = of;
    options->json = true;
    return NULL;
}

/* A key that is not for everybody who sees the processes is in a file, on the first line. */
static const char *set_api_key(void *of, const char *value)
{
    struct load_options *options = of;
    static const char form[] = "a key, or @FILE with the key on the first line";
    if (*value != '@')
        return option_set_text(value, &options->api_key) ? form : NULL;
    char line[API_KEY_LINE_BYTES] = "";
    FILE *file = fopen(value + 1, "r");
    bool has_line = file && fgets(line, sizeof line, file) && *line != '\n';
    if (file)
        fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    free(options->api_key_text);
    options->api_key = options->api_key_text = has_line ? strdup(line) : NULL;
    return options->api_key ? NULL : form;
}

static const char *set_post(void *of, const char *value)
{
    struct load_options *options = of;
    static const char form[] = "a file that says how to post";
    static char should_be[sizeof form + sizeof ": " + POST_COMPLAINT_BYTES];
    char complaint[POST_COMPLAINT_BYTES] = "";
    post_free(options->post);
    options->post = post_read(value, complaint);
    snprintf(should_be, sizeof should_be, "%s: %s", form, complaint);
    return options->post ? NULL : should_be;
}

#define SHARE_SETTER(name, field)                                                    \
    static const char *name(void *options, const char *value)                        \
    {                                                                                \
        return quantity_parse_share(value, &((struct load_options *)options)->field) \
                   ? NULL                                                            \
                   : "a share such as 10%";                                          \
    }
#define DURATION_SETTER(name, field)                                                           \
    static const char *name(void *options, const char *value)                                  \
    {                                                                                          \
        bool right = quantity_parse_duration(value, &((struct load_options *)options)->field); \
        return right ? NULL : "a duration such as 500ms or 4s";                                \
    }
#define UNSIGNED_SETTER(name, field, min, max)                                                 \
    static const char *name(void *options, const char *value)                                  \
    {                                                                                          \
        return option_set_unsigned(value, min, max, &((struct load_options *)options)->field); \
    }
#define TEXT_SETTER(name, field)                                                 \
    static const char *name(void *options, const char *value)                    \
    {                                                                            \
        return option_set_text(value, &((struct load_options *)options)->field); \
    }

SHARE_SETTER(set_duplicates, mix.duplicates)
SHARE_SETTER(set_conflicts, mix.conflicts)
SHARE_SETTER(set_invalid, mix.invalid)
DURATION_SETTER(set_patience, patience_us)
DURATION_SETTER(set_resend_pause, resend_pause_us)
DURATION_SETTER(set_spin, spin_us)
DURATION_SETTER(set_warm_up, warm_up_us)
DURATION_SETTER(set_linger, linger_us)
UNSIGNED_SETTER(set_threads, threads, 1, LOAD_THREADS_MAX)
UNSIGNED_SETTER(set_connections, connections, 1, LOAD_CONNECTIONS_MAX)
UNSIGNED_SETTER(set_batch, batch, 1, LOAD_BATCH_MAX)
UNSIGNED_SETTER(set_resends, resends_max, 0, RESENDS_MAX)
TEXT_SETTER(set_partner, partner)
TEXT_SETTER(set_ca, ca_file)
TEXT_SETTER(set_log, log_file)
TEXT_SETTER(set_progress, progress_file)

static const struct option_row rows[] = {
    {"--url", "URL", set_url,
        "the gateway's ingress: http://HOST:PORT (HTTP/2 by prior knowledge) or https://HOST:PORT"},
    {"--timetable", "PARTS", set_timetable, "when events are due, see below"},
    {"--api-key", "KEY", set_api_key, "authenticate with a bearer key; @FILE: it is in a file"},
    {"--post", "FILE", set_post,
        "how to post to a target that is not Penstock, as JSON (bench/load/post.h)"},
    {"--partner", "NAME", set_partner, "with --secret: post signed to /v1/partners/NAME/events"},
    {"--secret", "whsec_...", set_secret, "the partner's signing secret"},
    {"--accounts", "LIST", set_accounts,
        "accounts of the events, or acc_%d*100 for acc_0 to acc_99 (default acc_demo)"},
    {"--first-account", "PLACE", set_first_account,
        "accounts before this place of --accounts get no events (default 0: all get some)"},
    {"--types", "LIST", set_types,
        "event types with weights (default purchase=70,lead=20,payout=5,notification=5)"},
    {"--size", "BYTES", set_size, "body size, or MIN-MAX (default 400-540)"},
    {"--duplicates", "SHARE", set_duplicates,
        "share of events that repeat an earlier event (default 0%)"},
    {"--conflicts", "SHARE", set_conflicts,
        "share that repeat an earlier event's key with another amount (default 0%)"},
    {"--invalid", "SHARE", set_invalid, "share that the gateway must reject (default 0%)"},
    {"--lag", "COUNT", set_lag,
        "repeats come up to this many events later, half of them at once (default 1000)"},
    {"--batch", "COUNT", set_batch,
        "events per request, as NDJSON to /v1/events/batch (default 1: single events)"},
    {"--connections", "COUNT", set_connections, "HTTP/2 connections in total (default 8)"},
    {"--threads", "COUNT", set_threads, "threads (default 1)"},
    {"--patience", "DURATION", set_patience,
        "time after which an unanswered event is sent again (default 4s)"},
    {"--resend-pause", "DURATION", set_resend_pause,
        "pause before a re-send after a connection error (default 1s)"},
    {"--resends", "COUNT", set_resends, "maximum number of re-sends of an event (default 10)"},
    {"--spin", "DURATION", set_spin,
        "wake up this much early and spin, for microsecond accuracy: uses a core (default 0)"},
    {"--warm-up", "DURATION", set_warm_up,
        "events that are due before do not count in the figures (default 0)"},
    {"--linger", "DURATION", set_linger, "how long to wait for the last answers (default 30s)"},
    {"--seed", "NUMBER", set_seed, "the same seed posts the same events (default 1)"},
    {"--run", "NAME", set_run, "first part of each event's id (default: made from the time)"},
    {"--ca", "FILE", set_ca, "check the server's certificate against FILE (default: not checked)"},
    {"--log", "FILE", set_log,
        "log with a record for each sending, for penstock-verdict; thread n > 0 writes FILE.n"},
    {"--progress", "FILE", set_progress, "append a line of JSON each second"},
    {"--json", "", set_json, "print the summary as JSON"},
};

static void print_parts(FILE *file)
{
    fputs(
        "Timetable: parts in order, separated by commas (durations such as 500ms, 60s, "
        "10m):\n"
        "  constant:RATE:DURATION       evenly spaced, events per second\n"
        "  ramp:FROM:TO:DURATION        a rate that changes linearly\n"
        "  step:FROM:TO:BY:DURATION     rates from FROM to TO, DURATION each\n"
        "  burst:COUNT:EVERY:DURATION   COUNT events at once, every EVERY\n"
        "  pause:DURATION\n"
        "  replay:FILE                  a recorded timetable: a line for each event, microseconds "
        "since the start\n"
        "  closed:COUNT:DURATION        keep COUNT requests in flight (a closed loop; only as the "
        "last part)\n"
        "  import:EVENTS:COUNT:DURATION the same until EVENTS events were sent, or until DURATION "
        "ends\n",
        file);
    fputs("Placeholders of --post:\n", file);
    template_print_fields(file);
}

static const struct option_table table = {.program = "penstock-load",
    .usage = "--url URL --timetable PARTS [OPTIONS]",
    .before = "Posts events on a timetable and does not wait for answers. Latency counts from the "
              "time when\nan event was due.\n",
    .rows = rows,
    .rows_count = ARRAY_LENGTH(rows),
    .print_after = print_parts};

/* Placeholders are neither escaped in JSON nor in a path. */
static bool is_plain(const char *name)
{
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
           strlen(name);
}

static enum err check_post(const struct load_options *options)
{
    const struct mix *mix = &options->mix;
    if (options->api_key || options->partner)
        return options_refuse(&table, "--post",
            "has the credentials in its headers: leave out --api-key and --partner");
    if (options->batch > 1)
        return options_refuse(&table, "--batch", "--post sends one event a request: leave it out");
    if (mix->conflicts > 0 || mix->invalid > 0)
        return options_refuse(
            &table, "--post", "leave out --conflicts and --invalid: what they mean is Penstock's");
    for (unsigned i = 0; i < mix->accounts_count; i++)
        if (!is_plain(mix->accounts[i]))
            return options_refuse(&table, "--accounts",
                "with --post, names have letters, digits, \"_\", \".\" and \"-\" only");
    for (unsigned i = 0; i < mix->types_count; i++)
        if (!is_plain(mix->types[i].name))
            return options_refuse(&table, "--types",
                "with --post, names have letters, digits, \"_\", \".\" and \"-\" only");
    return OK;
}

static enum err check(const struct load_options *options)
{
    if (options->address_len == 0)
        return options_refuse(&table, "--url", "is missing");
    if (options->timetable.parts_count == 0)
        return options_refuse(&table, "--timetable", "is missing");
    if (options->mix.first_account >= options->mix.accounts_count)
        return options_refuse(&table, "--first-account", "there are not so many --accounts");
    if (options->partner && !options->secret.len)
        return options_refuse(&table, "--secret", "is missing: --partner needs it");
    if (options->partner && options->batch > 1)
        return options_refuse(&table, "--batch",
            "signed events are posted one by one: leave out --partner or --batch");
    return options->post ? check_post(options) : OK;
}

enum err load_options_parse(int argc, char **argv, struct load_options *ret_options)
{
    struct load_options *options = ret_options;
    *options = (struct load_options){.threads = 1,
        .connections = 8,
        .batch = 1,
        .patience_us = 4 * US_PER_SECOND,
        .resend_pause_us = US_PER_SECOND,
        .resends_max = 10,
        .linger_us = 30 * US_PER_SECOND};
    mix_init(&options->mix);
    snprintf(options->mix.run, sizeof options->mix.run, "r%llx",
        (unsigned long long)clock_wall_us() / 1000);
    if (!mix_set_accounts(&options->mix, "acc_demo") ||
        !mix_set_types(&options->mix, "purchase=70,lead=20,payout=5,notification=5"))
        return ERR_NO_MEMORY;
    enum err result = options_parse(&table, argc, argv, options);
    if (!result)
        result = check(options);
    if (options->connections < options->threads)
        options->connections = options->threads;
    return result;
}

void load_options_done(struct load_options *options)
{
    timetable_done(&options->timetable);
    mix_done(&options->mix);
    post_free(options->post);
    free(options->api_key_text);
}
