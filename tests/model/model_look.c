/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the journal's tables, through a connection of its own beside the journal's. Checks that an
 * accepted event is there (P1) and that it is the only one of its key (P3). Nothing may vanish
 * before it expires (P2). A look follows each commit. The first look after a start decides which
 * posts and actions in doubt happened.
 */
#include "model_internal.h"

#include "disk.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "model/placement.h"
#include "model_replays.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

#define COPY_DIRECTORY "copy"

enum statement { VERSION, ACTIONS, EVENTS, DELIVERIES, ALIASES, CONFLICTS, ROW, STATEMENTS };

#define DELIVERY_COLUMNS                                                                      \
    "id, endpoint, state, reason, generation, attempts, failures, broker_owned, started_us, " \
    "delivered_us, due_us, duration_us, lane FROM"                                            \
    " deliveries"

static const char *const texts[STATEMENTS] = {
    [VERSION] = "PRAGMA data_version",
    [ACTIONS] = "SELECT delivery, from_state, to_state, from_endpoint, to_endpoint, "
                "actor = 1, note FROM operator_actions ORDER BY seq",
    [EVENTS] = "SELECT e.seq, e.id, e.amount, e.currency, e.guarded, b.seq IS NOT NULL, "
               "e.deliveries, d.state, d.reason"
               " FROM events e LEFT JOIN bodies b ON b.seq = e.seq LEFT JOIN deliveries d ON d.id "
               "= e.seq * 16"
               " ORDER BY e.seq",
    [DELIVERIES] = "SELECT " DELIVERY_COLUMNS " ORDER BY id",
    [ALIASES] = "SELECT id, first FROM aliases",
    [CONFLICTS] = "SELECT coalesce(sum(times), 0) FROM conflicts",
    [ROW] = "SELECT " DELIVERY_COLUMNS " WHERE id = ?",
};

/* An event in the journal, as this look found it. */
struct seen_event {
    int64_t seq;
    struct model_post *post;
    bool has_body;
    unsigned deliveries;
};

static struct {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    bool is_open;
    bool first_after_start, has_looked;
    int64_t version;
    unsigned long number; /* of this look */
    struct seen_event seen[MODEL_POSTS_MAX];
    unsigned seen_count;
} look;

/* The connection. */

void model_look_begin(void)
{
    look.is_open = true;
    look.first_after_start = true;
    look.has_looked = false;
}

static bool connect_journal(void)
{
    if (look.db)
        return true;
    int code = sqlite3_open_v2(WORLD_JOURNAL, &look.db, SQLITE_OPEN_READONLY, NULL);
    if (code == SQLITE_OK) /* a reader must not change the files, not even when it closes them */
        code = sqlite3_db_config(look.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(look.db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    for (unsigned i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v2(look.db, texts[i], -1, &look.statements[i], NULL);
    if (code == SQLITE_OK)
        return true;
    fail_unless(code == SQLITE_BUSY, BROKEN_REOPEN, "the journal cannot be read: %s",
        sqlite3_errmsg(look.db));
    sqlite3_close(look.db);
    look.db = NULL;
    return false;
}

void model_look_end(bool crashed, bool complete)
{
    if (look.db && complete)
        model_check_totals_are_written(look.db);
    if (look.db && !crashed) { /* after a crash the connection is abandoned, like all others */
        for (unsigned i = 0; i < STATEMENTS; i++)
            sqlite3_finalize(look.statements[i]);
        sqlite3_close(look.db);
    }
    look.db = NULL;
    look.is_open = false;
}

/* Returns whether the journal has committed since the last look. */
static bool has_changed(void)
{
    bool changed = false;
    if (sqlite3_step(look.statements[VERSION]) == SQLITE_ROW) {
        int64_t version = sqlite3_column_int64(look.statements[VERSION], 0);
        changed = !look.has_looked || version != look.version;
        look.version = version;
    }
    sqlite3_reset(look.statements[VERSION]);
    return changed;
}

/* Steps to the next row. Returns false after the last one. */
static bool step(enum statement which)
{
    int code = sqlite3_step(look.statements[which]);
    if (code == SQLITE_ROW)
        return true;
    fail_unless(
        code == SQLITE_DONE, BROKEN_REOPEN, "\"%s\": %s", texts[which], sqlite3_errmsg(look.db));
    sqlite3_reset(look.statements[which]);
    return false;
}

/* Events. */

static void check_event(struct model_post *post, sqlite3_stmt *row)
{
    char name[NAME_BYTES];
    model_name_post(post, name);
    const char *amount = (const char *)sqlite3_column_text(row, 2),
               *currency = (const char *)sqlite3_column_text(row, 3);
    fail_unless((amount != NULL) == post->has_amount &&
                    (!amount || model_parse_amount(amount) == post->amount) &&
                    strcmp(currency ? currency : "", post->currency) == 0,
        "P8", "the amount or currency of %s in the journal is not the posted one", name);
    fail_unless(sqlite3_column_int(row, 4) == post->guarded, "P5",
        "the guard of %s in the journal is not the posted one", name);
    fail_unless(!post->expired, "P2", "%s is in the journal again after it expired", name);
    if (post->state == POST_IN_FLIGHT && !post->published && fake_broker_partitions() > 0)
        model_decide_post(
            post, true); /* an event from the broker can be in the journal before it is answered */
    if (post->published && !post->on_disk) {
        bool is_parked = sqlite3_column_int(row, 7) == DELIVERY_PARKED;
        post->deliveries_count = (unsigned)sqlite3_column_int(row, 6);
        model_judge_arrival(post, is_parked && sqlite3_column_int(row, 8) == PARK_CONFLICT);
    }
    fail_unless(
        post->state != POST_REFUSED, "P3", "%s was not accepted, but is in the journal", name);
    if (post->state == POST_IN_DOUBT && look.first_after_start) {
        model_decide_post(post, true);
        tally(TALLY_IN_DOUBT_HAPPENED);
    }
}

static bool is_older_than(const struct model_post *post, int64_t kept_us)
{
    return kept_us != 0 && post->accepted_us < model_journal_us() - kept_us;
}

static bool may_all_be_final(const struct model_post *post)
{
    for (unsigned i = 0; i < post->deliveries_count; i++)
        if (!model_may_be_final(&post->deliveries[i]))
            return false;
    return true;
}

bool model_may_have_expired(const struct model_post *post)
{
    return post->on_disk && is_older_than(post, model_rules()->history_us) &&
           may_all_be_final(post);
}

static void check_body(struct model_post *post, bool has_body)
{
    char name[NAME_BYTES];
    model_name_post(post, name);
    fail_unless(has_body || !post->on_disk || !post->has_body ||
                    (is_older_than(post, model_rules()->bodies_us) && may_all_be_final(post)),
        "P2", "the body of %s was removed before it expired", name);
    fail_unless(
        !has_body || !post->on_disk || post->has_body, "P2", "the body of %s is there again", name);
    if (!has_body && post->on_disk && post->has_body)
        tally(TALLY_BODIES_EXPIRED);
    post->has_body = has_body;
}

static void read_events(void)
{
    sqlite3_stmt *row = look.statements[EVENTS];
    look.seen_count = 0;
    look.number++;
    while (step(EVENTS)) {
        struct event_id id;
        fail_unless(look.seen_count < MODEL_POSTS_MAX && sqlite3_column_bytes(row, 1) == sizeof id,
            "P2", "the journal's events are not the posted ones");
        memcpy(&id, sqlite3_column_blob(row, 1), sizeof id);
        struct model_post *post = model_post_of_id(&id);
        fail_unless(post, "P2", "the journal holds an event that was never posted");
        check_event(post, row);
        post->seq = sqlite3_column_int64(row, 0);
        post->looked_at = look.number;
        look.seen[look.seen_count++] = (struct seen_event){
            .seq = post->seq, .post = post, .has_body = sqlite3_column_int(row, 5)};
    }
}

static void check_missing(struct model_post *post)
{
    char name[NAME_BYTES];
    model_name_post(post, name);
    if (model_may_have_expired(post)) {
        trace("%s has expired", name);
        tally(TALLY_EXPIRED);
        post->expired = true;
    }
    fail_unless(post->expired || !post->promised || model_is_elsewhere(post), "P1",
        "%s was answered 200, but is not in the journal", name);
    fail_unless(post->expired || !post->on_disk, "P2", "%s has vanished from the journal", name);
    if (post->state == POST_IN_DOUBT && look.first_after_start)
        model_decide_post(post, false);
}

/* Runs after the actions were read: one of them may have made an event final just before it
 * expired. */
static void check_posts(void)
{
    for (unsigned i = 0; i < look.seen_count; i++)
        check_body(look.seen[i].post, look.seen[i].has_body);
    for (unsigned i = 0; i < model_posts_count(); i++) {
        struct model_post *post = model_post(i);
        bool seen = post->looked_at == look.number;
        if (!seen && !post->expired)
            check_missing(post);
        post->on_disk = seen;
    }
}

/* Deliveries and actions. */

static struct seen_event *find_seen(int64_t seq)
{
    for (unsigned low = 0, high = look.seen_count; low < high;) {
        unsigned middle = low + (high - low) / 2;
        if (look.seen[middle].seq == seq)
            return &look.seen[middle];
        if (look.seen[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static struct model_delivery *find_delivery(int64_t id)
{
    struct seen_event *event = find_seen(placement_event(id));
    unsigned index = placement_index(id);
    fail_unless(event && index < event->post->deliveries_count, "P2",
        "delivery %lld belongs to no event", (long long)id);
    return &event->post->deliveries[index];
}

static void read_actions(void)
{
    sqlite3_stmt *row = look.statements[ACTIONS];
    while (step(ACTIONS)) {
        struct model_delivery *delivery = find_delivery(sqlite3_column_int64(row, 0));
        const struct model_action_row found = {
            .from = (enum delivery_state)sqlite3_column_int(row, 1),
            .to = (enum delivery_state)sqlite3_column_int(row, 2),
            .from_endpoint = (uint64_t)sqlite3_column_int64(row, 3),
            .to_endpoint = (uint64_t)sqlite3_column_int64(row, 4),
            .look = look.number};
        if (sqlite3_column_int(row, 5))
            model_resolution_found(delivery, &found);
        else if (!model_replay_moved(
                     delivery, found.from, found.to, (const char *)sqlite3_column_text(row, 6)))
            model_action_found(delivery, &found);
    }
}

static void read_row(sqlite3_stmt *statement, struct model_delivery *ret_row)
{
    *ret_row = (struct model_delivery){
        .id = sqlite3_column_int64(statement, 0),
        .endpoint = (uint64_t)sqlite3_column_int64(statement, 1),
        .state = (enum delivery_state)sqlite3_column_int(statement, 2),
        .reason = (enum park_reason)sqlite3_column_int(statement, 3),
        .generation = sqlite3_column_int64(statement, 4),
        .attempts = sqlite3_column_int64(statement, 5),
        .failures = sqlite3_column_int64(statement, 6),
        .broker_owned = sqlite3_column_int(statement, 7),
        .started_us = sqlite3_column_int64(statement, 8),
        .delivered_us = sqlite3_column_int64(statement, 9),
        .due_us = sqlite3_column_int64(statement, 10),
        .lane = (enum delivery_lane)sqlite3_column_int(statement, 12),
    };
    if (ret_row->state == DELIVERY_WAITING) /* the column of the reason has the cause */
        ret_row->wait = (struct model_wait){.is_known = true,
            .cause = (enum wait_cause)ret_row->reason,
            .due_us = ret_row->due_us,
            .began_us = ret_row->due_us - sqlite3_column_int64(statement, 11)};
}

static void read_deliveries(void)
{
    while (step(DELIVERIES)) {
        struct model_delivery row;
        read_row(look.statements[DELIVERIES], &row);
        model_check_way(find_delivery(row.id), &row, look.first_after_start);
        if (look.first_after_start)
            model_flow_found_waiting(find_delivery(row.id));
        find_seen(placement_event(row.id))->deliveries++;
    }
    for (unsigned i = 0; i < look.seen_count; i++) {
        char name[NAME_BYTES];
        model_name_post(look.seen[i].post, name);
        fail_unless(look.seen[i].deliveries == look.seen[i].post->deliveries_count, "P2",
            "%s has %u deliveries in the journal, but %u rows belong to it", name,
            look.seen[i].deliveries, look.seen[i].post->deliveries_count);
        model_check_ownership(look.seen[i].post, look.first_after_start);
    }
}

static void read_aliases(void)
{
    sqlite3_stmt *row = look.statements[ALIASES];
    while (step(ALIASES)) {
        struct event_id id, first;
        fail_unless(sqlite3_column_bytes(row, 0) == sizeof id &&
                        sqlite3_column_bytes(row, 1) == sizeof first,
            "P3", "an alias is not an event's id");
        memcpy(&id, sqlite3_column_blob(row, 0), sizeof id);
        memcpy(&first, sqlite3_column_blob(row, 1), sizeof first);
        model_alias_found(&id, &first);
    }
}

static void check_conflicts(void)
{
    while (step(CONFLICTS)) {
        int64_t kept = sqlite3_column_int64(look.statements[CONFLICTS], 0);
        fail_unless(kept >= model_conflicts_answered() || model_rules()->history_us != 0, "P3",
            "%u conflicts were answered, but the journal has %lld", model_conflicts_answered(),
            (long long)kept);
    }
}

void model_look(void)
{
    if (!look.is_open)
        return;
    sim_still++;
    /* One transaction: the same view of all tables. */
    if (connect_journal() && sqlite3_exec(look.db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
        if (has_changed()) {
            read_events();
            read_aliases();
            model_replays_look();
            read_actions();
            check_posts();
            read_deliveries();
            model_actions_read(look.first_after_start);
            model_replays_read(look.db, look.first_after_start);
            model_check_totals(look.db);
            model_check_backlog(look.db);
            check_conflicts();
            fake_accounts_looked();
            model_looked();
            look.has_looked = true;
            look.first_after_start = false;
            tally(TALLY_LOOKS);
        }
        sqlite3_exec(look.db, "COMMIT", NULL, NULL, NULL);
    }
    sim_still--;
}

/* One row. */

static bool step_row(sqlite3_stmt *statement, int64_t id, struct model_delivery *ret_row)
{
    sqlite3_bind_int64(statement, 1, id);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        read_row(statement, ret_row);
    sqlite3_reset(statement);
    return found;
}

static bool open_durable(const char *query, sqlite3 **ret_db, sqlite3_stmt **ret_statement)
{
    *ret_db = NULL;
    *ret_statement = NULL;
    disk_copy_durable(WORLD_DIRECTORY "/", COPY_DIRECTORY "/");
    tally(TALLY_LOOKS_DURABLE);
    return sqlite3_open_v2(COPY_DIRECTORY WORLD_JOURNAL_NAME, ret_db, SQLITE_OPEN_READWRITE,
               NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(*ret_db, query, -1, ret_statement, NULL) == SQLITE_OK;
}

static void close_durable(sqlite3 *db, sqlite3_stmt *statement)
{
    sqlite3_finalize(statement);
    sqlite3_close(db);
    disk_remove(COPY_DIRECTORY "/");
}

static bool look_at_durable(int64_t id, struct model_delivery *ret_row)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    bool found = open_durable(texts[ROW], &db, &statement) && step_row(statement, id, ret_row);
    close_durable(db, statement);
    return found;
}

int64_t model_look_durable(const char *query, struct slice parameter)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    int64_t value = 0;
    sim_still++;
    if (open_durable(query, &db, &statement)) {
        sqlite3_bind_blob(statement, 1, parameter.data, (int)parameter.len, SQLITE_STATIC);
        if (sqlite3_step(statement) == SQLITE_ROW)
            value = sqlite3_column_int64(statement, 0);
    }
    close_durable(db, statement);
    sim_still--;
    return value;
}

bool model_look_at(
    const struct model_delivery *delivery, bool durable, struct model_delivery *ret_row)
{
    sim_still++;
    bool found = delivery->on_disk && connect_journal() &&
                 (durable ? look_at_durable(delivery->id, ret_row)
                          : step_row(look.statements[ROW], delivery->id, ret_row));
    sim_still--;
    return found;
}

/* At the end. */

static bool should_move(const struct model_delivery *delivery)
{
    if (delivery->state != DELIVERY_PARKED)
        return delivery->state < DELIVERY_DELIVERED;
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(delivery->endpoint);
    switch (delivery->reason) {
    case PARK_DISABLED:
    case PARK_GONE:
        return endpoint && fake_endpoint_is_open(endpoint);
    case PARK_UNROUTED:
        return fake_account_is_open(delivery->post->account);
    case PARK_AMBIGUOUS:
        return model_should_be_resolved(delivery);
    default:
        return false;
    }
}

unsigned model_unfinished(char *ret_text, size_t size)
{
    unsigned count = 0;
    size_t used = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < model_posts_count(); i++)
        for (unsigned j = 0; model_post(i)->on_disk && j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            if (!should_move(delivery))
                continue;
            count++;
            char name[NAME_BYTES];
            model_name(delivery, name);
            if (used + 60 < size)
                used += (size_t)snprintf(ret_text + used, size - used, " %s %s %s", name,
                    delivery_state_name(delivery->state),
                    delivery->state == DELIVERY_PARKED ? park_reason_name(delivery->reason) : "");
        }
    return count;
}
