/* SPDX-License-Identifier: Apache-2.0 */
#include "load/options.h"

#include "base/clock.h"
#include "common/quantity.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

/* Each setter takes the value's text and returns NULL, or what the value should be. */
typedef const char *setter(struct load_options *options, const char *value);

static const char *set_timetable(struct load_options *options, const char *value)
{
    static char complaint[TIMETABLE_COMPLAINT_BYTES];
    timetable_done(&options->timetable);
    return timetable_parse(value, &options->timetable, complaint) ? complaint : NULL;
}

static const char *set_url(struct load_options *options, const char *value)
{
    static const char form[] = "http://HOST:PORT or https://HOST:PORT";
    char port[8];
    options->tls = strncmp(value, "https://", 8) == 0;
    if (!options->tls && strncmp(value, "http://", 7) != 0)
        return form;
    const char *authority = value + (options->tls ? 8 : 7), *colon = strrchr(authority, ':');
    size_t host_len = colon ? (size_t)(colon - authority) : 0;
    if (host_len == 0 || host_len >= sizeof options->host)
        return form;
    snprintf(options->host, sizeof options->host, "%.*s", (int)host_len, authority);
    snprintf(options->authority, sizeof options->authority, "%.*s", (int)strcspn(authority, "/"), authority);
    snprintf(port, sizeof port, "%.*s", (int)strcspn(colon + 1, "/"), colon + 1);
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (getaddrinfo(options->host, port, &hints, &found) != 0)
        return "a URL whose host can be resolved";
    memcpy(&options->address, found->ai_addr, found->ai_addrlen);
    options->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return NULL;
}

static const char *set_run(struct load_options *options, const char *value)
{
    size_t len = strlen(value);
    if (len == 0 || len >= RUN_NAME_BYTES ||
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != len)
        return "1 to 15 letters and digits";
    snprintf(options->mix.run, sizeof options->mix.run, "%s", value);
    return NULL;
}

static const char *set_accounts(struct load_options *options, const char *value)
{
    return mix_set_accounts(&options->mix, value) ? NULL : "NAME,NAME,... or a pattern such as acc_%d*100";
}

static const char *set_types(struct load_options *options, const char *value)
{
    return mix_set_types(&options->mix, value) ? NULL : "TYPE=WEIGHT,TYPE=WEIGHT,...";
}

static const char *set_size(struct load_options *options, const char *value)
{
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

static const char *set_secret(struct load_options *options, const char *value)
{
    return secret_parse(slice_from_string(value), &options->secret) ? NULL : "whsec_ and base64";
}

#define SHARE_SETTER(name, field)                                                           \
    static const char *name(struct load_options *options, const char *value)                \
    {                                                                                       \
        return quantity_parse_share(value, &options->field) ? NULL : "a share such as 10%"; \
    }
#define DURATION_SETTER(name, field)                                                                      \
    static const char *name(struct load_options *options, const char *value)                              \
    {                                                                                                     \
        return quantity_parse_duration(value, &options->field) ? NULL : "a duration such as 500ms or 4s"; \
    }
#define COUNT_SETTER(name, field, low, high)                                         \
    static const char *name(struct load_options *options, const char *value)         \
    {                                                                                \
        int64_t count;                                                               \
        if (!quantity_parse_count(value, &count) || count < (low) || count > (high)) \
            return "a number from " #low " to " #high;                               \
        options->field = (__typeof__(options->field))count;                          \
        return NULL;                                                                 \
    }
#define TEXT_SETTER(name, field)                                             \
    static const char *name(struct load_options *options, const char *value) \
    {                                                                        \
        options->field = value;                                              \
        return *value ? NULL : "not empty";                                  \
    }

SHARE_SETTER(set_duplicates, mix.duplicates)
SHARE_SETTER(set_conflicts, mix.conflicts)
SHARE_SETTER(set_invalid, mix.invalid)
DURATION_SETTER(set_patience, patience_us)
DURATION_SETTER(set_resend_pause, resend_pause_us)
DURATION_SETTER(set_spin, spin_us)
DURATION_SETTER(set_warm_up, warm_up_us)
DURATION_SETTER(set_linger, linger_us)
COUNT_SETTER(set_seed, mix.seed, 0, 1000000000)
COUNT_SETTER(set_lag, mix.duplicate_lag_max, 1, 1000000)
COUNT_SETTER(set_threads, threads, 1, 16)
COUNT_SETTER(set_connections, connections, 1, 1024)
COUNT_SETTER(set_batch, batch, 1, 1000)
COUNT_SETTER(set_resends, resends_max, 0, 100)
TEXT_SETTER(set_api_key, api_key)
TEXT_SETTER(set_partner, partner)
TEXT_SETTER(set_ca, ca_file)
TEXT_SETTER(set_log, log_file)
TEXT_SETTER(set_progress, progress_file)

static const struct option_row {
    const char *name, *value;
    setter *set;
    const char *doc;
} rows[] = {
    {"--url", "URL", set_url,
        "the gateway's ingress: http://HOST:PORT (HTTP/2 by prior knowledge) or https://HOST:PORT"},
    {"--timetable", "PARTS", set_timetable, "when events are due, see below"},
    {"--api-key", "KEY", set_api_key, "authenticate with a bearer key"},
    {"--partner", "NAME", set_partner, "with --secret: post signed to /v1/partners/NAME/events"},
    {"--secret", "whsec_...", set_secret, "the partner's signing secret"},
    {"--accounts", "LIST", set_accounts, "accounts to post for, or acc_%d*100 for acc_0 to acc_99 (default acc_demo)"},
    {"--types", "LIST", set_types, "event types with weights (default purchase=70,lead=20,payout=5,notification=5)"},
    {"--size", "BYTES", set_size, "body size, or MIN-MAX (default 400-540)"},
    {"--duplicates", "SHARE", set_duplicates, "share of events that repeat an earlier one (default 0%)"},
    {"--conflicts", "SHARE", set_conflicts, "share that repeat an earlier one's key with another amount (default 0%)"},
    {"--invalid", "SHARE", set_invalid, "share that must be refused (default 0%)"},
    {"--lag", "COUNT", set_lag, "repeats come up to this many events later, half of them at once (default 1000)"},
    {"--batch", "COUNT", set_batch, "events per request, as NDJSON to /v1/events/batch (default 1: single events)"},
    {"--connections", "COUNT", set_connections, "HTTP/2 connections in all (default 8)"},
    {"--threads", "COUNT", set_threads, "threads (default 1)"},
    {"--patience", "DURATION", set_patience, "a partner that has no answer by then sends again (default 4s)"},
    {"--resend-pause", "DURATION", set_resend_pause, "before a re-send after a connection error (default 1s)"},
    {"--resends", "COUNT", set_resends, "at most so many re-sends of an event (default 10)"},
    {"--spin", "DURATION", set_spin,
        "wake up so much early and spin, where microseconds count: costs a core (default 0)"},
    {"--warm-up", "DURATION", set_warm_up, "leave what is due before out of the figures (default 0)"},
    {"--linger", "DURATION", set_linger, "wait so long for the last answers (default 30s)"},
    {"--seed", "NUMBER", set_seed, "the same seed posts the same events (default 1)"},
    {"--run", "NAME", set_run, "first part of each event's id (default: made of the time)"},
    {"--ca", "FILE", set_ca, "check the server's certificate against FILE (default: not checked)"},
    {"--log", "FILE", set_log, "a record for each sending, for penstock-verdict; thread n > 0 writes FILE.n"},
    {"--progress", "FILE", set_progress, "append a line of JSON each second"},
};

static void print_help(void)
{
    printf("penstock-load: posts events on a timetable, whether or not answers come, and counts latency from the time\n"
           "that each was due.\n\nUsage: penstock-load --url URL --timetable PARTS [OPTIONS]\n\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf("  %-14s %-10s %s\n", rows[i].name, rows[i].value, rows[i].doc);
    printf("  %-14s %-10s %s\n", "--json", "", "the summary as JSON");
    printf("\nTimetable: parts one after the other, separated by commas (durations such as 500ms, 60s, 10m):\n"
           "  constant:RATE:DURATION       evenly spaced, events per second\n"
           "  ramp:FROM:TO:DURATION        from one rate to the other in a straight line\n"
           "  step:FROM:TO:BY:DURATION     one rate after the other, DURATION each\n"
           "  burst:COUNT:EVERY:DURATION   COUNT at once, every EVERY\n"
           "  pause:DURATION\n"
           "  replay:FILE                  a recorded one: microseconds since the start, a line each\n"
           "  closed:COUNT:DURATION        keep COUNT requests under way (not an open loop; only as the last part)\n");
}

static enum err complain(const char *name, const char *value, const char *expected)
{
    fprintf(stderr, "penstock-load: %s: \"%s\" is wrong: %s (see --help)\n", name, value, expected);
    return ERR_USAGE;
}

static enum err set(struct load_options *options, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(name, rows[i].name) != 0)
            continue;
        const char *expected = value ? rows[i].set(options, value) : "it needs a value";
        return expected ? complain(name, value ? value : "", expected) : OK;
    }
    fprintf(stderr, "penstock-load: there is no option %s (see --help)\n", name);
    return ERR_USAGE;
}

static enum err check(const struct load_options *options)
{
    const char *missing = options->address_len == 0                  ? "--url"
                          : options->timetable.parts_count == 0      ? "--timetable"
                          : options->partner && !options->secret.len ? "--secret (it belongs to --partner)"
                                                                     : NULL;
    if (options->partner && options->batch > 1) {
        fprintf(
            stderr, "penstock-load: --batch: signed events are posted one by one; leave out --partner or --batch\n");
        return ERR_USAGE;
    }
    if (missing)
        fprintf(stderr, "penstock-load: %s is missing (see --help)\n", missing);
    return missing ? ERR_USAGE : OK;
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
    snprintf(options->mix.run, sizeof options->mix.run, "r%llx", (unsigned long long)clock_wall_us() / 1000);
    if (!mix_set_accounts(&options->mix, "acc_demo") ||
        !mix_set_types(&options->mix, "purchase=70,lead=20,payout=5,notification=5"))
        return ERR_NO_MEMORY;
    enum err result = OK;
    for (int i = 1; i < argc && !result; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            return ERR_EXISTS;
        }
        if (strcmp(argv[i], "--json") == 0)
            options->json = true;
        else {
            result = set(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            i++;
        }
    }
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
}
