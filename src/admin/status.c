/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway says of itself: /livez and /readyz, and their part of /api/v1/status.
 *
 * A gateway is not ready while a journal takes no events: posts for its partitions are answered
 * with 503. In rabbitmq mode it is ready as long as it publishes, since the journal is only the
 * direct path then. Without the broker the journal takes the events, and without the leader the
 * accounts stay as they are: neither makes a gateway not ready.
 */
#include "admin/admin_internal.h"

#include "base/clock.h"
#include "broker/status.h"
#include "runtime/metrics.h"

#define MIB (1024.0 * 1024.0)
#define ACCOUNTS_AGE_S_MAX 60 /* the leader answers every 25 s at the latest */

/* Journals and the account database: what the disk lets them take. */

static const enum disk_space refused_from[] = {
    [CLASS_CRITICAL] = SPACE_NONE, [CLASS_IMPORTANT] = SPACE_SCARCE, [CLASS_OPTIONAL] = SPACE_LOW};

static struct room room_of(const struct admin *admin, unsigned shard)
{
    return disk_board_get(&admin->options.journals[shard]->room);
}

static bool publishes(const struct admin *admin)
{
    struct broker_link_status link_status;
    for (unsigned i = 0; admin->options.broker && i < INGRESS_THREADS_MAX; i++)
        if (broker_status_get(admin->options.broker, BROKER_ROLE_PUBLISH, i, &link_status) &&
            link_status.good)
            return true;
    return false;
}

static bool takes_events(const struct admin *admin)
{
    bool all = true;
    for (unsigned i = 0; admin->options.journals && i < admin->options.shards; i++)
        all &= room_of(admin, i).space != SPACE_NONE;
    return metrics_read(METRIC_JOURNAL_FAILED) == 0 && (all || publishes(admin));
}

bool admin_is_ready(const struct admin *admin)
{
    return atomic_load(&admin->ready) && takes_events(admin);
}

static void print_journal(
    const struct admin *admin, unsigned shard, const struct room *room, struct buffer *text)
{
    char since[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(room->since_us, since);
    buffer_add_format(text, "[-] journal %u: accepts %s (%s)", shard, room_taken(room->space),
        room_reason_name(room->reason));
    if (room->free_bytes >= 0)
        buffer_add_format(text, ", %.1f MiB free", (double)room->free_bytes / MIB);
    if (room->wanted_bytes > 0)
        buffer_add_format(
            text, ", accepts more when %.1f MiB are free", (double)room->wanted_bytes / MIB);
    buffer_add_format(text, ", since %s%s\n", since,
        room->space == SPACE_NONE && publishes(admin) ? "; events go through the broker" : "");
}

static void print_room(const struct admin *admin, struct buffer *text)
{
    bool well = metrics_read(METRIC_JOURNAL_FAILED) == 0;
    for (unsigned i = 0; admin->options.journals && i < admin->options.shards; i++) {
        struct room room = room_of(admin, i);
        if (room.reason == ROOM_WELL)
            continue;
        print_journal(admin, i, &room, text);
        well = false;
    }
    if (well)
        buffer_add_string(text, "[+] journals accept events\n");
    else if (!admin->options.journals)
        buffer_add_string(text, "[-] journals refuse events: see the log\n");
    enum err trouble = accounts_trouble(admin->options.accounts);
    if (trouble)
        buffer_add_format(text, "[-] accounts.db: changes are refused (%s)\n", err_name(trouble));
}

static json_t *journal_view(unsigned shard, const struct room *room)
{
    json_t *refuses = json_array();
    for (unsigned class = 0; class < ARRAY_LENGTH(refused_from); class ++)
        if (room->space >= refused_from[class])
            json_array_append_new(refuses, json_string(class_name((enum event_class) class)));
    return json_pack("{s:i, s:o, s:s, s:o, s:o, s:o}", "shard", (int)shard, "refuses", refuses,
        "reason", room_reason_name(room->reason), "free_bytes",
        room->free_bytes < 0 ? json_null() : json_integer(room->free_bytes), "wanted_bytes",
        room->wanted_bytes > 0 ? json_integer(room->wanted_bytes) : json_null(), "since",
        admin_time(room->since_us));
}

json_t *admin_view_room(const struct admin *admin)
{
    json_t *journals = json_array();
    for (unsigned i = 0; admin->options.journals && i < admin->options.shards; i++) {
        struct room room = room_of(admin, i);
        json_array_append_new(journals, journal_view(i, &room));
    }
    enum err trouble = accounts_trouble(admin->options.accounts);
    return json_pack("{s:b, s:o, s:o}", "takes_events", (int)takes_events(admin), "journals",
        journals, "accounts_trouble", trouble ? json_string(err_name(trouble)) : json_null());
}

/* Overload of ingress. */

static const struct {
    const char *name;
    enum metric metric;
} refused_classes[] = {{"optional", METRIC_INGRESS_REFUSING_OPTIONAL},
    {"important", METRIC_INGRESS_REFUSING_IMPORTANT},
    {"critical", METRIC_INGRESS_REFUSING_CRITICAL}},
  overload_signs[] = {{"memory", METRIC_INGRESS_OVERLOADED_MEMORY},
      {"turns", METRIC_INGRESS_OVERLOADED_TURNS}, {"answers", METRIC_INGRESS_OVERLOADED_ANSWERS}};

json_t *admin_view_overload(void)
{
    json_t *refuses = json_array(), *signs = json_array();
    for (size_t i = 0; i < ARRAY_LENGTH(refused_classes); i++)
        if (metrics_read(refused_classes[i].metric) > 0)
            json_array_append_new(refuses, json_string(refused_classes[i].name));
    for (size_t i = 0; i < ARRAY_LENGTH(overload_signs); i++)
        if (metrics_read(overload_signs[i].metric) > 0)
            json_array_append_new(signs, json_string(overload_signs[i].name));
    return json_pack("{s:o, s:o}", "refuses", refuses, "signs", signs);
}

static void print_overload(struct buffer *text)
{
    const char *class = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(refused_classes); i++)
        if (metrics_read(refused_classes[i].metric) > 0)
            class = refused_classes[i].name;
    if (!class) {
        buffer_add_string(text, "[+] ingress is not overloaded\n");
        return;
    }
    buffer_add_format(text, "[-] ingress refuses %s events%s:", class,
        strcmp(class, "optional") == 0 ? "" : " and those below");
    for (size_t i = 0; i < ARRAY_LENGTH(overload_signs); i++)
        if (metrics_read(overload_signs[i].metric) > 0)
            buffer_add_format(text, " %s", overload_signs[i].name);
    buffer_add_char(text, '\n');
}

/* The broker and the leader. */

/* What happens while the link to the broker is down. */
static const char *without_broker(enum broker_role role)
{
    switch (role) {
    case BROKER_ROLE_PUBLISH:
        return "direct path";
    case BROKER_ROLE_CONSUME:
        return "not consuming";
    case BROKER_ROLE_TAP:
        return "copies are dropped";
    case BROKER_ROLE_KEEP:
        return "the queues do not keep what they confirm";
    default:
        return "not reading";
    }
}

static void print_link(struct buffer *text, enum broker_role role, unsigned number,
    const struct broker_link_status *link_status)
{
    char since[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(link_status->since_us, since);
    buffer_add_format(
        text, "[%c] broker %s %u: ", link_status->good ? '+' : '-', broker_role_name(role), number);
    if (link_status->good)
        buffer_add_format(
            text, "%s since %s\n", *link_status->peer ? link_status->peer : "connected", since);
    else
        buffer_add_format(text, "%s%s%s since %s\n", without_broker(role),
            *link_status->why ? ": " : "", link_status->why, since);
}

static void print_status(const struct admin *admin, struct buffer *text)
{
    struct broker_link_status link_status;
    for (unsigned role = 0; role < BROKER_ROLES && admin->options.broker; role++)
        for (unsigned i = 0; i < INGRESS_THREADS_MAX; i++)
            if (broker_status_get(admin->options.broker, (enum broker_role)role, i, &link_status))
                print_link(text, (enum broker_role)role, i, &link_status);
    if (!admin_follows(admin))
        return;
    int64_t age_s = metrics_read(METRIC_DIRECTORY_AGE);
    buffer_add_format(text, "[%c] accounts: %lld s old, from %s\n",
        age_s <= ACCOUNTS_AGE_S_MAX ? '+' : '-', (long long)age_s, admin->options.leader_url);
}

static json_t *link_view(
    enum broker_role role, unsigned number, const struct broker_link_status *link_status)
{
    return json_pack("{s:s, s:i, s:b, s:o, s:o, s:o}", "role", broker_role_name(role), "number",
        (int)number, "good", (int)link_status->good, "peer",
        admin_text(slice_from_string(link_status->peer)), "why",
        admin_text(slice_from_string(link_status->why)), "since",
        admin_time(link_status->since_us));
}

static json_t *broker_view(const struct admin *admin)
{
    struct broker_link_status link_status;
    json_t *list = json_array();
    for (unsigned role = 0; role < BROKER_ROLES && admin->options.broker; role++)
        for (unsigned i = 0; i < INGRESS_THREADS_MAX; i++)
            if (broker_status_get(admin->options.broker, (enum broker_role)role, i, &link_status))
                json_array_append_new(list, link_view((enum broker_role)role, i, &link_status));
    return list;
}

bool admin_knows_broker(const struct admin *admin, int64_t *ret_waiting)
{
    *ret_waiting = 0;
    if (!admin->options.broker)
        return true;
    bool knows = broker_status_get_waiting(admin->options.broker, ret_waiting);
    *ret_waiting +=
        metrics_read(METRIC_RECEIVING); /* consumed, and so far only the broker keeps them */
    return knows;
}

json_t *admin_view_links(const struct admin *admin)
{
    const struct admin_options *options = &admin->options;
    json_t *roles = json_pack(options->ingress_only ? "[s]" : "[s, s]", "ingress", "delivery");
    bool follows = admin_follows(admin);
    int64_t waiting;
    json_t *in_broker = admin_knows_broker(admin, &waiting) ? json_integer(waiting) : json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o}", "queue",
        options->queue ? options->queue : "direct", "roles", roles, "broker", broker_view(admin),
        "in_broker", in_broker, "direct", (json_int_t)metrics_read(METRIC_DIRECT), "outbox",
        (json_int_t)metrics_read(METRIC_OUTBOX), "unacked",
        (json_int_t)metrics_read(METRIC_UNACKED), "suspended",
        (json_int_t)metrics_read(METRIC_SUSPENDED), "leader",
        follows ? json_string(options->leader_url) : json_null(), "directory_age_seconds",
        follows ? json_integer(metrics_read(METRIC_DIRECTORY_AGE)) : json_null());
}

/* The handlers. */

static void answer_text(struct http_exchange *exchange, int status, const char *text)
{
    http_answer(exchange, &(struct http_reply){.status = status,
                              .content_type = "text/plain; charset=utf-8",
                              .body = slice_from_string(text)});
}

void admin_get_livez(struct http_exchange *exchange, void *context)
{
    answer_text(exchange, 200, "ok\n");
}

static bool wants_verbose(const struct http_exchange *exchange)
{
    struct slice query = http_query(exchange);
    return slice_equals_string(query, "verbose") || slice_starts_with(query, "verbose=") ||
           slice_starts_with(query, "verbose&");
}

void admin_get_readyz(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    bool ready = atomic_load(&admin->ready);
    bool journals = takes_events(admin);
    if (!wants_verbose(exchange)) {
        answer_text(
            exchange, ready && journals ? 200 : 503, ready && journals ? "ok\n" : "not ready\n");
        return;
    }
    struct buffer text = BUFFER_EMPTY;
    buffer_add_format(&text, "[%c] started\n", ready ? '+' : '-');
    admin_print_switches(admin, &text);
    print_room(admin, &text);
    print_overload(&text);
    print_status(admin, &text);
    buffer_add_string(&text, ready && journals ? "ready\n" : "not ready\n");
    if (buffer_status(&text) == OK)
        answer_text(exchange, ready && journals ? 200 : 503, text.data);
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, ADMIN_ASK_LATER, NULL);
    buffer_done(&text);
}
