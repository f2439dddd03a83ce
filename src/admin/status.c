/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a gateway stands with the others: with the broker between ingress and delivery, and with the
 * leader that it follows. For people (/readyz?verbose) and for programs (/api/v1/status).
 *
 * Nothing here makes a gateway not ready: without the broker the journal takes the events and
 * partners get their 200s, and without the leader the accounts are as they were.
 */
#include "admin/admin_internal.h"

#include "base/clock.h"
#include "broker/status.h"
#include "runtime/metrics.h"

#include <stdio.h>

#define ACCOUNTS_AGE_S_MAX \
    60 /* older ones are worth a look: the leader answers every 25 s at the latest */

bool admin_follows(const struct admin *admin)
{
    return admin->options.leader_url && *admin->options.leader_url;
}

bool admin_refuse_as_follower(
    const struct admin *admin, struct http_exchange *exchange, const char *what)
{
    char detail[1200];
    if (!admin_follows(admin))
        return false;
    snprintf(detail, sizeof detail, "This gateway follows %s; %s there.", admin->options.leader_url,
        what);
    http_answer_problem(exchange, ERR_FORBIDDEN, detail, NULL);
    return true;
}

/* What becomes of things meanwhile. */
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

static void print_status(struct buffer *text, enum broker_role role, unsigned number,
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

void admin_print_status(const struct admin *admin, struct buffer *text)
{
    struct broker_link_status link_status;
    for (unsigned role = 0; role < BROKER_ROLES && admin->options.broker; role++)
        for (unsigned i = 0; i < INGRESS_THREADS_MAX; i++)
            if (broker_status_get(admin->options.broker, (enum broker_role)role, i, &link_status))
                print_status(text, (enum broker_role)role, i, &link_status);
    if (!admin_follows(admin))
        return;
    int64_t age_s = metrics_read(METRIC_DIRECTORY_AGE);
    buffer_add_format(text, "[%c] accounts: as of %lld s ago, from %s\n",
        age_s <= ACCOUNTS_AGE_S_MAX ? '+' : '-', (long long)age_s, admin->options.leader_url);
}

static json_t *status_view(
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
                json_array_append_new(list, status_view((enum broker_role)role, i, &link_status));
    return list;
}

bool admin_knows_broker(const struct admin *admin, int64_t *ret_waiting)
{
    *ret_waiting = 0;
    if (!admin->options.broker)
        return true;
    bool knows = broker_status_get_waiting(admin->options.broker, ret_waiting);
    *ret_waiting +=
        metrics_read(METRIC_RECEIVING); /* consumed, and kept by nobody but the broker so far */
    return knows;
}

json_t *admin_view_status(const struct admin *admin)
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
