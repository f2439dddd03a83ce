/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/problems.h"

#include "admin/admin_internal.h"
#include "admin/backlog.h"
#include "broker/status.h"
#include "runtime/metrics.h"

#include <stdarg.h>
#include <stdio.h>

#define DISK_S_MIN (24 * 3600) /* a disk that lasts for less is a problem */
#define FAILED_MIN 3           /* attempts to one endpoint, of the last minutes */

static void add(json_t *problems, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(json_t *problems, const char *remedy, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    json_array_append_new(problems, json_pack("{s:s, s:s}", "what", what, "remedy", remedy));
}

/* "3 min", for people. */
static const char *duration(int64_t seconds, char ret_text[32])
{
    if (seconds < 120)
        snprintf(ret_text, 32, "%lld s", (long long)seconds);
    else if (seconds < 7200)
        snprintf(ret_text, 32, "%lld min", (long long)(seconds / 60));
    else if (seconds < 2 * 86400)
        snprintf(ret_text, 32, "%lld h", (long long)(seconds / 3600));
    else
        snprintf(ret_text, 32, "%lld days", (long long)(seconds / 86400));
    return ret_text;
}

static void add_gateway(json_t *problems, const struct admin *admin)
{
    if (!atomic_load(&admin->ready))
        add(problems, "Wait for the end of the start, or see the log", "the gateway is not ready");
    if (metrics_read(METRIC_JOURNAL_FAILED) > 0)
        add(problems, "See the log. Check the disk, then restart the gateway",
            "a journal has stopped, since its file may be damaged");
    for (unsigned i = 0; admin->options.journals && i < admin->options.shards; i++) {
        struct room room = disk_board_get(&admin->options.journals[i]->room);
        if (room.reason != ROOM_WELL)
            add(problems, "Free space on the disk of the data directory, or see the log",
                "journal %u accepts %s (%s)", i, room_taken(room.space),
                room_reason_name(room.reason));
    }
    enum err trouble = accounts_trouble(admin->options.accounts);
    if (trouble)
        add(problems, "Check the disk of the data directory, and see the log",
            "accounts.db takes no changes (%s)", err_name(trouble));
    if (metrics_read(METRIC_INGRESS_REFUSING_OPTIONAL) > 0)
        add(problems, "See \"Overload\" in the operating guide",
            "ingress is overloaded and rejects some events");
}

/* One line for all links of the broker that are down. */
static void add_broker(json_t *problems, const struct admin *admin)
{
    struct broker_link_status status;
    unsigned down = 0;
    char why[160] = "";
    for (unsigned role = 0; role < BROKER_ROLES && admin->options.broker; role++) {
        for (unsigned i = 0; i < INGRESS_THREADS_MAX; i++) {
            if (!broker_status_get(admin->options.broker, (enum broker_role)role, i, &status) ||
                status.good)
                continue;
            down++;
            if (!*why)
                snprintf(why, sizeof why, "%.150s", status.why);
        }
    }
    if (down > 0)
        add(problems, "Check the broker. Meanwhile the journal takes the events",
            "%u connections to the broker are down%s%s", down, *why ? ": " : "", why);
}

static const struct cause_count *main_cause(const struct queue_look_entry *look)
{
    for (unsigned i = 0; look && i < RECENT_CAUSES; i++)
        if (look->ret_causes[i].cause != CAUSE_NONE &&
            look->ret_causes[i].present + look->ret_causes[i].before > 0)
            return &look->ret_causes[i];
    return NULL;
}

static const struct endpoint *endpoint_of(const struct admin *admin, uint64_t id)
{
    return admin->options.accounts
               ? directory_endpoint(accounts_directory(admin->options.accounts), id)
               : NULL;
}

static void add_endpoint(
    json_t *problems, const struct backlog_view *view, const struct backlog_item *item)
{
    const struct queue_look_entry *look = item->look;
    const struct cause_count *cause = main_cause(look);
    const struct endpoint *endpoint = endpoint_of(view->admin, item->endpoint);
    char id[ENDPOINT_ID_TEXT_BYTES], since[32];
    endpoint_id_format(item->endpoint, id);
    add(problems, cause ? attempt_cause_remedy(cause->cause) : "See \"penstock endpoint show\"",
        "endpoint %s of account %s (%s) has failed for %s%s%s: %lld deliveries wait",
        endpoint ? endpoint->name : "-", endpoint ? endpoint->account : "-", id,
        duration((view->now_us - look->ret_failing_since_us) / US_PER_SECOND, since),
        cause ? ", " : "", cause ? attempt_cause_code(cause->cause) : "",
        (long long)backlog_in_progress(&item->counts));
}

/* Attempts of the last minutes. */
struct lately {
    int64_t delivered, failed;
};

/* An endpoint that rejects everything keeps its breaker closed, and what it rejects waits without
 * being late. A few failures are no problem. */
static bool delivers_little(const struct backlog_item *item, struct lately *ret_lately)
{
    struct lately lately = {0};
    for (unsigned i = 0; i < RECENT_CAUSES; i++) {
        const struct cause_count *count = &item->look->ret_causes[i];
        *(count->cause == CAUSE_NONE ? &lately.delivered : &lately.failed) +=
            (int64_t)count->present + count->before;
    }
    *ret_lately = lately;
    return backlog_in_progress(&item->counts) > 0 && lately.failed >= FAILED_MIN &&
           lately.failed > lately.delivered;
}

static void add_rejecting(json_t *problems, const struct backlog_view *view,
    const struct backlog_item *item, const struct lately *lately)
{
    const struct cause_count *cause = main_cause(item->look);
    const struct endpoint *endpoint = endpoint_of(view->admin, item->endpoint);
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(item->endpoint, id);
    add(problems, attempt_cause_remedy(cause->cause),
        "endpoint %s of account %s (%s) fails often: %s (%lld of %lld)",
        endpoint ? endpoint->name : "-", endpoint ? endpoint->account : "-", id,
        attempt_cause_code(cause->cause), (long long)lately->failed,
        (long long)lately->failed + lately->delivered);
}

static void add_endpoints(json_t *problems, const struct backlog_view *view)
{
    int64_t open = metrics_read(METRIC_BREAKERS_OPEN), named = 0;
    for (unsigned i = 0; i < view->count && named < PROBLEMS_ENDPOINTS; i++) {
        const struct backlog_item *item = &view->items[i];
        if (!item->look || item->look->ret_breaker == BREAKER_CLOSED)
            continue;
        add_endpoint(problems, view, item);
        named++;
    }
    for (unsigned i = 0, rejecting = 0; i < view->count && rejecting < PROBLEMS_ENDPOINTS; i++) {
        const struct backlog_item *item = &view->items[i];
        struct lately lately;
        if (!item->look || item->look->ret_breaker != BREAKER_CLOSED ||
            !delivers_little(item, &lately))
            continue;
        add_rejecting(problems, view, item, &lately);
        rejecting++;
    }
    if (open > named)
        add(problems, "\"penstock endpoint list --backlog\" shows all, worst first",
            "%lld %sendpoints fail", (long long)(open - named), named > 0 ? "more " : "");
}

static void add_backlog(json_t *problems, const struct backlog_view *view)
{
    const struct lag_late late = lag_late_of(view);
    char text[32];
    int64_t seconds = 0;
    enum lag_drain drain = lag_judge_drain(&view->admin->lag, &late, &seconds);
    if (late.oldest_due_us == INT64_MAX || late.now_us - late.oldest_due_us <= LAG_FRESH_US)
        return;
    add(problems, "\"penstock endpoint list --backlog\" shows where it is",
        "deliveries are late: the oldest has been due for %s%s",
        duration((view->now_us - view->oldest_due_us) / US_PER_SECOND, text),
        drain == DRAIN_GROWS    ? ", and the backlog does not drain"
        : drain == DRAIN_DRAINS ? ", and the backlog drains"
                                : "");
}

/* What the verdict does not know. */
static void add_unknown(json_t *problems, const struct backlog_view *view)
{
    const struct journal_due *due = &view->due;
    if (due->ret_unreadable > 0)
        add(problems, "Check the disk, and see the log. \"penstock audit\" names what is damaged",
            "%u journals cannot be read, journal %u first (%s): what is late there is not known",
            due->ret_unreadable, due->ret_unreadable_shard, err_name(due->ret_unreadable_error));
    else if (view->unknown > 0)
        add(problems, "Ask again in some seconds: each answer looks at other endpoints first",
            "%zu endpoints were not looked at: whether they are late is not known", view->unknown);
    for (unsigned i = 0; view->admin->options.journals && i < view->admin->options.shards; i++) {
        const struct backlog_board *board = view->admin->options.journals[i]->backlog;
        if (board && !atomic_load(&board->is_complete))
            add(problems, "See the log of the start. \"penstock audit\" names what is damaged",
                "journal %u has a damaged index: its backlog is counted only in part", i);
    }
}

static void add_parked(json_t *problems, const struct backlog_view *view)
{
    int64_t doubt = backlog_sum(&view->all, BACKLOG_PARKED + PARK_AMBIGUOUS) +
                    backlog_sum(&view->all, BACKLOG_PARKED + PARK_TAKEN_OVER) +
                    backlog_sum(&view->all, BACKLOG_PARKED + PARK_DOUBTFUL);
    int64_t damaged = backlog_sum(&view->all, BACKLOG_PARKED + PARK_DAMAGED);
    int64_t parked = backlog_parked(&view->all) - doubt - damaged;
    int64_t dead = backlog_sum(&view->all, BACKLOG_DEAD);
    if (doubt > 0)
        add(problems,
            "Ask the client, then \"penstock delivery resolve DELIVERY --as delivered|discarded\"",
            "%lld deliveries are in doubt and need a decision", (long long)doubt);
    if (damaged > 0)
        add(problems, "\"penstock audit\" names them", "%lld stored deliveries are damaged",
            (long long)damaged);
    if (dead > 0)
        add(problems, "\"penstock delivery list --state dead\", then retry or discard them",
            "%lld deliveries are dead", (long long)dead);
    if (parked > 0)
        add(problems, "\"penstock delivery list --state parked\" shows why",
            "%lld deliveries are parked", (long long)parked);
}

static void add_switches(json_t *problems, const struct admin *admin)
{
    int64_t off = 0;
    static const enum metric switches[] = {METRIC_SWITCHES_DELIVERIES, METRIC_SWITCHES_RETRIES,
        METRIC_SWITCHES_INGRESS, METRIC_SWITCHES_OPTIONAL};
    for (size_t i = 0; i < ARRAY_LENGTH(switches); i++)
        off += metrics_read(switches[i]);
    if (off > 0)
        add(problems, "\"penstock switch list\" shows since when and why",
            "%lld %s off: some events are not accepted or not sent", (long long)off,
            off == 1 ? "switch is" : "switches are");
}

static void add_disk(json_t *problems, const struct backlog_view *view)
{
    char text[32];
    int64_t seconds = lag_disk_seconds(&view->admin->lag);
    if (seconds >= 0 && seconds < DISK_S_MIN)
        add(problems, "Free space, or add some, on the disk of the data directory",
            "the disk is full in %s at the present growth", duration(seconds, text));
}

json_t *problems_view(const struct admin *admin, const struct backlog_view *view)
{
    json_t *problems = json_array();
    add_gateway(problems, admin);
    add_switches(problems, admin);
    add_disk(problems, view);
    add_backlog(problems, view);
    add_unknown(problems, view);
    add_endpoints(problems, view);
    add_broker(problems, admin);
    add_parked(problems, view);
    int64_t disabled = metrics_read(METRIC_ENDPOINTS_DISABLED);
    if (disabled > 0)
        add(problems, "\"penstock endpoint list ACCOUNT\" shows since when and why",
            "%lld endpoints are disabled: their events are parked", (long long)disabled);
    return problems;
}
