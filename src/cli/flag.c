/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flag.h"

#include "base/clock.h"
#include "base/measure.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHEN_AGO_US_MAX (3650 * US_PER_DAY)

const struct flag flag_rows[FLAGS] = {
    [FLAG_CONFIG] = {"--config", "-c", FLAG_KIND_TEXT, "FILE", NULL, "the configuration file"},
    [FLAG_DATA] = {"--data", NULL, FLAG_KIND_TEXT, "DIR", NULL,
        "the data directory. Default of dev: $XDG_STATE_HOME/penstock, or ~/.local/state/penstock. "
        "Default of the other commands: the one in -c FILE. Without -c: the default of dev if a "
        "gateway runs there, else /var/lib/penstock"},
    [FLAG_INGRESS] = {"--ingress", NULL, FLAG_KIND_TEXT, "ADDR", NULL,
        "the listener for partners; port 0 picks a free one"},
    [FLAG_ADMIN] = {"--admin", NULL, FLAG_KIND_TEXT, "ADDR", NULL, "the listener for operators"},
    [FLAG_READY_FILE] = {"--ready-file", NULL, FLAG_KIND_TEXT, "FILE", NULL,
        "a file for addresses and credentials as JSON, written when the gateway is ready"},
    [FLAG_JSON] = {"--json", NULL, FLAG_KIND_SWITCH, NULL, NULL, "print JSON"},
    [FLAG_URL] = {"--url", NULL, FLAG_KIND_TEXT, "URL", "url", "the URL of the client"},
    [FLAG_NAME] = {"--name", NULL, FLAG_KIND_TEXT, "NAME", "name",
        "the name of the endpoint in its account (default main)"},
    [FLAG_ENABLED] = {"--enabled", NULL, FLAG_KIND_BOOLEAN, "true|false", "enabled",
        "whether the partner may post"},
    [FLAG_TYPES] = {"--types", NULL, FLAG_KIND_LIST, "LIST", "types",
        "the event types that the endpoint receives, such as purchase,lead.*; \"\" means all"},
    [FLAG_IDEMPOTENT] = {"--idempotent", NULL, FLAG_KIND_BOOLEAN, "true|false", "idempotent",
        "whether the client recognizes repeated deliveries itself"},
    [FLAG_FINAL_4XX] = {"--final-4xx", NULL, FLAG_KIND_BOOLEAN, "true|false", "final_4xx",
        "true: do not retry after a 4xx other than 408, 410, 425 and 429"},
    [FLAG_KEY_POINTER] = {"--key-pointer", NULL, FLAG_KIND_TEXT, "POINTER", "key_pointer",
        "the JSON pointer to the key in an event, such as /data/order; \"\" means id"},
    [FLAG_SECRET] = {"--secret", NULL, FLAG_KIND_TEXT, "SECRET", "secret",
        "the secret to use (whsec_...). Without this flag Penstock makes one"},
    [FLAG_SAMPLE] = {"--sample", NULL, FLAG_KIND_SWITCH, NULL, NULL,
        "print a sample configuration with comments"},
    [FLAG_FROM] = {"--from", NULL, FLAG_KIND_DAY, "DAY", "from",
        "check only events that were accepted on this day or later (UTC), such as 2026-01-31"},
    [FLAG_TO] = {"--to", NULL, FLAG_KIND_DAY, "DAY", "to",
        "check only events that were accepted on this day or earlier (UTC)"},
    [FLAG_DAY] = {"--day", NULL, FLAG_KIND_DAY, "DAY", "day",
        "only one day (UTC), such as 2026-01-31"},
    [FLAG_ACCOUNT] = {"--account", NULL, FLAG_KIND_TEXT, "ACCOUNT", "account", "only one account"},
    [FLAG_ENDPOINT] = {"--endpoint", NULL, FLAG_KIND_TEXT, "ENDPOINT", "endpoint",
        "only one endpoint: its id, or its name with --account. The value none means deliveries "
        "without an endpoint"},
    [FLAG_CURRENCY] = {"--currency", NULL, FLAG_KIND_TEXT, "CURRENCY", "currency",
        "only one currency. The value none means events without an amount"},
    [FLAG_PARTNER] = {"--partner", NULL, FLAG_KIND_TEXT, "PARTNER", "partner", "only one partner"},
    [FLAG_TYPE] = {"--type", NULL, FLAG_KIND_TEXT, "TYPE", "type",
        "only one event type, or all that begin alike, such as lead.*"},
    [FLAG_CLASS] = {"--class", NULL, FLAG_KIND_TEXT, "CLASS", "class",
        "only one class: critical, important or optional"},
    [FLAG_KEY] = {"--key", NULL, FLAG_KIND_TEXT, "KEY", "key",
        "only events with this key: the partner's own id of the event"},
    [FLAG_AMOUNT] = {"--amount", NULL, FLAG_KIND_TEXT, "AMOUNT", "amount",
        "only one amount, by its value: 12.5 also finds 12.50"},
    [FLAG_STATE] = {"--state", NULL, FLAG_KIND_TEXT, "STATE", "state",
        "only one state, or several between commas. The value in_progress means pending, sending "
        "or waiting"},
    [FLAG_PARK_REASON] = {"--park-reason", NULL, FLAG_KIND_TEXT, "REASON", "park_reason",
        "only parked deliveries with this reason: unrouted, disabled, gone, ambiguous, conflict, "
        "damaged, mismatch, taken-over or doubtful"},
    [FLAG_SINCE] = {"--since", NULL, FLAG_KIND_WHEN, "TIME", "since",
        "only events that were accepted at this time or later: 2026-01-31T12:00:00Z, or a duration "
        "such as 2h for two hours ago"},
    [FLAG_UNTIL] = {"--until", NULL, FLAG_KIND_WHEN, "TIME", "until",
        "only events that were accepted before this time; written as --since"},
    [FLAG_REASON] = {"--reason", NULL, FLAG_KIND_TEXT, "TEXT", "reason",
        "why you do it, in one line; it is stored"},
    [FLAG_RATE] = {"--rate", NULL, FLAG_KIND_COUNT, "N", "rate",
        "deliveries per second, from 1 to 10000 (default 100)"},
    [FLAG_DRY_RUN] = {"--dry-run", NULL, FLAG_KIND_SWITCH, NULL, "dry_run",
        "change nothing: show how many deliveries are selected, of how much money and from when, "
        "and which are refused"},
    [FLAG_CAUSE] = {"--cause", NULL, FLAG_KIND_TEXT, "CAUSE", "cause",
        "only deliveries whose last attempt failed for this cause, such as connect-refused"},
    [FLAG_LIMIT] = {"--limit", NULL, FLAG_KIND_NUMBER, "N", NULL,
        "the largest number of items to list (default 100)"},
    [FLAG_BODIES] = {"--bodies", NULL, FLAG_KIND_SWITCH, NULL, "bodies",
        "check the bodies of all events, also of finished ones. This takes a long time"},
    [FLAG_AS] = {"--as", NULL, FLAG_KIND_TEXT, "STATE", "as",
        "the result to record for the delivery: delivered or discarded"},
    [FLAG_EXPECT] = {"--expect", NULL, FLAG_KIND_TEXT, "STATE", "expect",
        "the state that you expect. If the delivery has another state, nothing changes"},
    [FLAG_FORCE] = {"--force", NULL, FLAG_KIND_SWITCH, NULL, "force",
        "send a delivered delivery again: the client receives it once more. Needs --reason"},
    [FLAG_GUARDED] = {"--guarded", NULL, FLAG_KIND_SWITCH, NULL, "guarded",
        "send a delivery that is in doubt: the client may receive it twice. Needs --reason"},
    [FLAG_TAKE_OVER] = {"--take-over", NULL, FLAG_KIND_SWITCH, NULL, NULL,
        "take over delivery from a gateway that will never start again. Payouts that it may have "
        "sent are parked"},
    [FLAG_TO_ENDPOINT] = {"--to", NULL, FLAG_KIND_TEXT, "ENDPOINT", NULL,
        "the id of another endpoint of the account. All later attempts go to this endpoint"},
    [FLAG_ENDPOINT_ENABLED] = {"--enabled", NULL, FLAG_KIND_BOOLEAN, "true|false", "enabled",
        "whether the endpoint receives events"},
    [FLAG_POLICY] = {"--policy", NULL, FLAG_KIND_FILE, "FILE", "policy",
        "a JSON file with the policy of this endpoint, or - for stdin. null removes the policy"},
    [FLAG_LABEL] = {"--label", NULL, FLAG_KIND_TEXT, "TEXT", "label",
        "what the key is called, such as \"till 7\""},
    [FLAG_EXPIRES_AT] = {"--expires-at", NULL, FLAG_KIND_TIME, "TIME", "expires_at",
        "when the key ends, such as 2027-01-31T12:00:00Z. The value never means that it does not"},
    [FLAG_KEY_ACCOUNTS] = {"--accounts", NULL, FLAG_KIND_LIST, "LIST", "accounts",
        "the accounts that the key may post for, such as acc_1,acc_2 (default: all of the "
        "partner's)"},
    [FLAG_KEY_TYPES] = {"--types", NULL, FLAG_KIND_LIST, "LIST", "types",
        "the event types that the key may post, such as purchase,lead.* (default: all)"},
    [FLAG_EVENTS_PER_SECOND] = {"--events-per-second", NULL, FLAG_KIND_COUNT, "N",
        "rules/events_per_second", "the largest rate of events; 0 means the gateway's default"},
    [FLAG_EVENTS_BURST] = {"--events-burst", NULL, FLAG_KIND_COUNT, "N", "rules/events_burst",
        "events that may exceed the rate at once; 0 means the gateway's default"},
    [FLAG_BYTES_PER_SECOND] = {"--bytes-per-second", NULL, FLAG_KIND_TEXT, "BYTES",
        "rules/bytes_per_second",
        "the largest rate of bytes, such as 1MiB; 0 means the gateway's default"},
    [FLAG_BYTES_BURST] = {"--bytes-burst", NULL, FLAG_KIND_TEXT, "BYTES", "rules/bytes_burst",
        "bytes that may exceed the rate at once, such as 4MiB; 0 means the gateway's default"},
    [FLAG_ALLOW_NETWORKS] = {"--allow-networks", NULL, FLAG_KIND_LIST, "LIST",
        "rules/allow_networks",
        "the networks that the partner posts from, such as 203.0.113.0/24,2001:db8::/32; \"\" "
        "means all"},
    [FLAG_CERTIFICATES] = {"--certificates", NULL, FLAG_KIND_LIST, "LIST", "rules/certificates",
        "the client certificates of the partner: sha256:FINGERPRINT, dns:NAME, uri:URI or "
        "email:ADDRESS; \"\" means none"},
    [FLAG_CERTIFICATE_REQUIRED] = {"--certificate-required", NULL, FLAG_KIND_BOOLEAN, "true|false",
        "rules/certificate_required",
        "whether each request must come with one of the certificates, beside its key"},
    [FLAG_SWITCH_ACCOUNT] = {"--account", NULL, FLAG_KIND_TEXT, "ACCOUNT", "account",
        "for this account only (default: for all)"},
    [FLAG_SWITCH_ENDPOINT] = {"--endpoint", NULL, FLAG_KIND_TEXT, "ENDPOINT", "endpoint",
        "for this endpoint of the account only, by its id or its name"},
    [FLAG_HISTORY] = {"--history", NULL, FLAG_KIND_NUMBER, "N", "history",
        "also list the last N changes (at most 100): who, when and why"},
    [FLAG_DELIVERIES_OFF] = {"--deliveries-off", NULL, FLAG_KIND_TEXT, "REASON", NULL,
        "switch deliveries off before anything is sent, as after the restore of a backup. "
        "\"penstock switch deliveries on\" ends it"},
    [FLAG_WATCH] = {"--watch", NULL, FLAG_KIND_SECONDS, "[SECONDS]", NULL,
        "show it again every so many seconds (default 2), until Ctrl-C"},
    [FLAG_BACKLOG] = {"--backlog", NULL, FLAG_KIND_SWITCH, NULL, NULL,
        "the endpoints of all accounts with deliveries that are not final, worst first"},
};

unsigned flag_find(const char *argument, uint64_t taken, const char **ret_value)
{
    size_t len = strcspn(argument, "=");
    *ret_value = argument[len] == '=' ? argument + len + 1 : NULL;
    for (int all = 0; all < 2; all++) {
        for (unsigned i = 0; i < FLAGS; i++) {
            const struct flag *row = &flag_rows[i];
            if (!all && !(taken & FLAG_BIT(i)))
                continue;
            if ((strlen(row->name) == len && strncmp(argument, row->name, len) == 0) ||
                (row->short_name && strcmp(argument, row->short_name) == 0))
                return i;
        }
    }
    return FLAGS;
}

static bool is_day(const char *text)
{
    char time[64];
    int64_t wall_us;
    snprintf(time, sizeof time, "%.32sT00:00:00Z", text);
    return strlen(text) == 10 && clock_parse_rfc3339(slice_from_string(time), &wall_us);
}

static bool is_time(const char *text)
{
    int64_t wall_us;
    return strcmp(text, "never") == 0 || clock_parse_rfc3339(slice_from_string(text), &wall_us);
}

/* A time, or a duration, which is so long ago. */
bool flag_when(const char *text, int64_t now_us, int64_t *ret_wall_us)
{
    int64_t ago_us;
    if (clock_parse_rfc3339(slice_from_string(text), ret_wall_us))
        return true;
    if (!measure_parse(MEASURE_DURATION, slice_from_string(text), 0, WHEN_AGO_US_MAX, &ago_us))
        return false;
    *ret_wall_us = now_us - ago_us;
    return true;
}

static bool is_when(const char *text)
{
    int64_t wall_us;
    return flag_when(text, clock_wall_us(), &wall_us);
}

static bool is_number(const char *text, long min)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && number >= min;
}

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}

const char *flag_check_value(const struct flag *row, const char *value)
{
    if (row->kind == FLAG_KIND_BOOLEAN && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return "write true or false";
    bool needs_number = row->kind == FLAG_KIND_NUMBER || (row->kind == FLAG_KIND_SECONDS && *value);
    if (needs_number && !is_number(value, 1))
        return "write a number of at least 1";
    if (row->kind == FLAG_KIND_COUNT && !is_number(value, 0))
        return "write a whole number, 0 or more";
    if (row->kind == FLAG_KIND_TIME && !is_time(value))
        return "write a time such as 2027-01-31T12:00:00Z, or never";
    if (row->kind == FLAG_KIND_WHEN && !is_when(value))
        return "write a time such as 2026-01-31T12:00:00Z, or a duration such as 2h or 3d";
    if (row->kind == FLAG_KIND_DAY && !is_day(value))
        return "write a day (UTC) such as 2026-01-31";
    if (row->member && !is_utf8(value))
        return "write it in UTF-8";
    return NULL;
}
