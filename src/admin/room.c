/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the disk lets the journals and the account database take: for people (/readyz?verbose) and
 * for programs (/api/v1/status).
 *
 * A gateway is not ready while a journal takes nothing: posts for its partitions are answered with
 * 503. With a broker in front it stays ready as long as it publishes, since the journal is then
 * only the way beside it.
 */
#include "admin/admin_internal.h"
#include "base/clock.h"
#include "broker/status.h"
#include "runtime/metrics.h"

#define MIB (1024.0 * 1024.0)

static const enum disk_space refused_from[] = {
    [CLASS_CRITICAL] = SPACE_NONE, [CLASS_IMPORTANT] = SPACE_SCARCE, [CLASS_OPTIONAL] = SPACE_LOW};

static struct room room_of(const struct admin *admin, unsigned shard)
{
    return room_board_get(&admin->options.journals[shard]->room);
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

bool admin_takes_events(const struct admin *admin)
{
    bool all = true;
    for (unsigned i = 0; admin->options.journals && i < admin->options.shards; i++)
        all &= room_of(admin, i).space != SPACE_NONE;
    return metrics_read(METRIC_JOURNAL_FAILED) == 0 && (all || publishes(admin));
}

static void print_journal(
    const struct admin *admin, unsigned shard, const struct room *room, struct buffer *text)
{
    char since[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(room->since_us, since);
    buffer_add_format(text, "[-] journal %u: takes %s (%s)", shard, room_taken(room->space),
        room_reason_name(room->reason));
    if (room->free_bytes >= 0)
        buffer_add_format(text, ", %.1f MiB free", (double)room->free_bytes / MIB);
    if (room->wanted_bytes > 0)
        buffer_add_format(
            text, ", more is taken from %.1f MiB on", (double)room->wanted_bytes / MIB);
    buffer_add_format(text, ", since %s%s\n", since,
        room->space == SPACE_NONE && publishes(admin) ? "; events go through the broker" : "");
}

void admin_print_room(const struct admin *admin, struct buffer *text)
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
        buffer_add_string(text, "[+] journals take events\n");
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
    return json_pack("{s:b, s:o, s:o}", "takes_events", (int)admin_takes_events(admin), "journals",
        journals, "accounts_trouble", trouble ? json_string(err_name(trouble)) : json_null());
}
