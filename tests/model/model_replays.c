/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays: what an operator ordered, and what the journal's tables say of it.
 *
 *   moves      only what the order's filter selects, and only while the replay runs. A replay moves
 *              a delivery once, whatever becomes of it. What is in doubt is sent again only with
 *              `guarded`, what was delivered only with `force`
 *   progress   what was moved is the number of the replay's rows in the table of actions
 *   the end    a replay that is done has moved or refused whatever it selected when it was created
 *              and has not changed since. For each one that it left there is a reason
 *
 * "Changed since" is exact while the wall clock is not set back. After that the journal cannot know
 * it, and only the rules about moves and progress count.
 */
#include "model_replays.h"

#include "disk.h"
#include "fake_accounts.h"
#include "model_internal.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLAYS_MAX 64
#define PLACES (MODEL_POSTS_MAX * ACCOUNT_ENDPOINTS_MAX)

enum order_state { ORDER_IN_FLIGHT, ORDER_IN_DOUBT, ORDER_DONE, ORDER_REFUSED };

/* What the model has of a delivery and a replay. */
enum place { PLACE_OTHER, PLACE_SELECTED, PLACE_CHANGED, PLACE_MOVED };

struct model_replay {
    struct replay_order order;
    enum order_state created;
    bool is_changing; /* a change is not answered yet */
    unsigned long disk_errors;
    /* at the last look */
    bool found;
    enum replay_state state;
    struct replay_progress progress;
    bool is_exact; /* what it selected is known */
    int64_t selected;
    unsigned changes[FAKE_ENDPOINTS]; /* of the endpoints, when it was found */
    bool was_closed[FAKE_ENDPOINTS];
    /* The rows of actions. */
    int64_t rows;
    bool has_new_rows;             /* in this look */
    unsigned char places[PLACES];  /* enum place */
    uint32_t rows_in_look[PLACES]; /* number of the look that found its row */
};

static struct model_replay *replays[REPLAYS_MAX];
static unsigned replays_count;
static uint32_t looks;
static bool clock_went_back;

static unsigned place_of(const struct model_delivery *delivery)
{
    return delivery->post->number * ACCOUNT_ENDPOINTS_MAX + delivery->index;
}

static void name_of(const struct model_replay *replay, char ret_text[REPLAY_ID_TEXT_BYTES])
{
    replay_id_format(&replay->order.id, ret_text);
}

/* Orders. */

struct model_replay *model_replay_ordered(const struct replay_order *order)
{
    fail_unless(replays_count < REPLAYS_MAX, BROKEN_SIM, "too many replays: raise REPLAYS_MAX");
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert(replay);
    replay->order = *order;
    replay->disk_errors = disk_errors();
    replays[replays_count++] = replay;
    char id[REPLAY_ID_TEXT_BYTES];
    name_of(replay, id);
    trace("%s ordered: %s%s%s, account \"%s\", endpoint %d, states %x, reason %d, rate %u", id,
        replay_action_name(order->action), order->force ? ", force" : "",
        order->guarded ? ", guarded" : "", order->filter.account, order->filter.has_endpoint,
        order->filter.states, order->filter.park_reason, order->rate);
    tally(TALLY_REPLAYS);
    return replay;
}

static bool is_refused_by_disk(const struct model_replay *replay, enum err result)
{
    if (result != ERR_DISK && result != ERR_DISK_FULL)
        return false;
    fail_unless(model_journal_is_in_doubt() || disk_errors() > replay->disk_errors, "P2",
        "a replay is refused with %s, but the disk has not refused anything", err_name(result));
    return true;
}

void model_replay_created(struct model_replay *replay, enum err result)
{
    char id[REPLAY_ID_TEXT_BYTES];
    name_of(replay, id);
    trace("%s is answered %s", id, err_name(result));
    if (result == OK) {
        replay->created = ORDER_DONE;
        model_look();
        fail_unless(replay->found, "P2", "%s was created, but is not in the journal", id);
    } else if (is_refused_by_disk(replay, result)) {
        replay->created = model_journal_is_in_doubt() ? ORDER_IN_DOUBT : ORDER_REFUSED;
    } else {
        fail_unless(result == ERR_SHUTTING_DOWN, "P2", "%s is answered %s", id, err_name(result));
        replay->created = ORDER_REFUSED;
    }
}

void model_replay_change_ordered(struct model_replay *replay)
{
    replay->is_changing = true;
    replay->disk_errors = disk_errors();
}

void model_replay_changed(struct model_replay *replay, enum err result, enum replay_state state)
{
    char id[REPLAY_ID_TEXT_BYTES];
    name_of(replay, id);
    trace("the change of %s is answered %s, %s", id, err_name(result), replay_state_name(state));
    replay->is_changing = false;
    if (result == OK || result == ERR_MOVED_ON) {
        model_look();
        fail_unless(replay->state == state || state == REPLAY_RUNNING, "P2",
            "%s is answered as %s, but the journal says %s", id, replay_state_name(state),
            replay_state_name(replay->state));
        tally(TALLY_REPLAYS_CHANGED);
        return;
    }
    fail_unless(result == ERR_SHUTTING_DOWN || is_refused_by_disk(replay, result), "P2",
        "a change of %s is answered %s", id, err_name(result));
}

static bool is_open(const struct model_replay *replay)
{
    return replay->found && !replay_state_is_end(replay->state);
}

struct model_replay *model_any_open_replay(uint64_t random)
{
    for (unsigned i = 0; i < replays_count; i++) {
        struct model_replay *replay = replays[(random + i) % replays_count];
        if (is_open(replay) && !replay->is_changing)
            return replay;
    }
    return NULL;
}

struct model_replay *model_paused_replay(void)
{
    for (unsigned i = 0; i < replays_count; i++)
        if (is_open(replays[i]) && replays[i]->state == REPLAY_PAUSED && !replays[i]->is_changing)
            return replays[i];
    return NULL;
}

const struct replay_order *model_replay_order(const struct model_replay *replay)
{
    return &replay->order;
}

unsigned model_replays_open(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < replays_count; i++)
        count += is_open(replays[i]);
    return count;
}

unsigned model_replay_orders(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < replays_count; i++)
        count += (replays[i]->created == ORDER_IN_FLIGHT) + replays[i]->is_changing;
    return count;
}

void model_replays_crashed(void)
{
    for (unsigned i = 0; i < replays_count; i++) {
        replays[i]->is_changing = false;
        if (replays[i]->created == ORDER_IN_FLIGHT)
            replays[i]->created = ORDER_IN_DOUBT;
    }
}

void model_replays_clock_went_back(void)
{
    clock_went_back = true;
}

/* What is selected. */

static bool is_selected(const struct replay_order *order, const struct model_delivery *delivery,
    enum delivery_state state)
{
    enum park_reason reason = order->filter.park_reason;
    if (reason && delivery->state == DELIVERY_PARKED && delivery->reason != reason)
        return false;
    const struct delivery_filter *filter = &order->filter;
    const struct model_post *post = delivery->post;
    unsigned states = filter->states ? filter->states : ~0u;
    if (*filter->account && strcmp(filter->account, fake_account_names[post->account]) != 0)
        return false;
    if (filter->has_endpoint && filter->endpoint != delivery->endpoint)
        return false;
    if ((filter->since_us && post->accepted_us < filter->since_us) ||
        (filter->until_us && post->accepted_us >= filter->until_us))
        return false;
    if (filter->has_class && filter->class != post->class)
        return false;
    return states & replay_states(order->action, order->force) & 1u << state;
}

/* Moves. */

void model_replays_look(void)
{
    looks++;
    for (unsigned i = 0; i < replays_count; i++)
        replays[i]->has_new_rows = false;
}

static struct model_replay *find(const char *note)
{
    struct event_id id;
    const char *at = strrchr(note, '(');
    if (!at || strlen(at) != REPLAY_ID_TEXT_BYTES + 1 ||
        !replay_id_parse(slice_of(at + 1, REPLAY_ID_TEXT_BYTES - 1), &id))
        return NULL;
    for (unsigned i = 0; i < replays_count; i++)
        if (memcmp(&replays[i]->order.id, &id, sizeof id) == 0)
            return replays[i];
    fail("P2", "an action names a replay that nobody ordered: %s", note);
}

static void check_move(const struct model_replay *replay, const struct model_delivery *delivery,
    enum delivery_state from, enum delivery_state to, const char *name)
{
    const struct replay_order *order = &replay->order;
    char id[REPLAY_ID_TEXT_BYTES];
    name_of(replay, id);
    bool in_doubt = delivery->state == DELIVERY_PARKED && from == DELIVERY_PARKED &&
                    park_reason_is_doubt(delivery->reason);
    /* A forced replay that is discarded ends, and the delivery stays delivered. */
    bool ends_replay =
        order->action == REPLAY_ACTION_DISCARD && to == DELIVERY_DELIVERED && delivery->replayed;
    fail_unless(to == replay_target(order->action) || ends_replay, "P2",
        "%s moved %s from %s to %s, but is to %s", id, name, delivery_state_name(from),
        delivery_state_name(to), replay_action_name(order->action));
    fail_unless(is_selected(order, delivery, from), "P2",
        "%s moved %s from %s, but has not selected it", id, name, delivery_state_name(from));
    fail_unless(!in_doubt || order->guarded || order->action == REPLAY_ACTION_RESOLVE, "P5",
        "%s moved %s, which is in doubt, without `guarded`", id, name);
    fail_unless(from != DELIVERY_DELIVERED || !delivery->post->guarded || order->guarded, "P5",
        "%s sends %s again, a payout that was delivered, without `guarded`", id, name);
    fail_unless(replay->created != ORDER_REFUSED, "P2", "%s moved %s, but was refused", id, name);
    fail_unless(!replay->found || replay->state == REPLAY_RUNNING || replay->is_changing, "P2",
        "%s moved %s, but is %s", id, name, replay_state_name(replay->state));
    fail_unless(from != DELIVERY_WAITING || !(delivery->in_flight || delivery->seen_success), "P4",
        "%s moved %s, which is being sent", id, name);
}

bool model_replay_moved(struct model_delivery *delivery, enum delivery_state from,
    enum delivery_state to, const char *note)
{
    struct model_replay *replay = find(note);
    if (!replay)
        return false;
    char name[NAME_BYTES], id[REPLAY_ID_TEXT_BYTES];
    unsigned at = place_of(delivery);
    model_name(delivery, name);
    name_of(replay, id);
    fail_unless(replay->rows_in_look[at] != looks, "P4", "%s moved %s twice", id, name);
    bool is_new = replay->rows_in_look[at] == 0;
    replay->rows_in_look[at] = looks;
    if (!is_new)
        return true;
    check_move(replay, delivery, from, to, name);
    fail_unless(!replay->is_exact || clock_went_back || replay->places[at] == PLACE_SELECTED, "P4",
        "%s moved %s, which %s", id, name,
        replay->places[at] == PLACE_CHANGED ? "has changed since" : "it did not select");
    replay->places[at] = PLACE_MOVED;
    replay->rows++;
    replay->has_new_rows = true;
    delivery->ordered[from][to]++;
    trace(
        "%s moved %s from %s to %s", id, name, delivery_state_name(from), delivery_state_name(to));
    if (to == DELIVERY_PENDING) {
        delivery->spent = false;
        delivery->seen_success = false;
        delivery->sent_by_order = true;
        delivery->replayed |= from == DELIVERY_DELIVERED;
    }
    tally(from == DELIVERY_WAITING     ? TALLY_REPLAYS_WAITING
          : from == DELIVERY_DELIVERED ? TALLY_REPLAYS_FORCED
                                       : TALLY_REPLAYS_MOVED);
    return true;
}

void model_replay_touched(const struct model_delivery *delivery)
{
    unsigned at = place_of(delivery);
    for (unsigned i = 0; i < replays_count; i++)
        if (replays[i]->places[at] == PLACE_SELECTED)
            replays[i]->places[at] = PLACE_CHANGED;
}

bool model_replay_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to)
{
    for (unsigned i = 0; i < replays_count; i++)
        if (replays[i]->created != ORDER_REFUSED && replay_target(replays[i]->order.action) == to &&
            replays[i]->rows_in_look[place_of(delivery)] != looks &&
            is_selected(&replays[i]->order, delivery, from))
            return true;
    return false;
}

/* The end. */

static bool was_closed(const struct model_replay *replay, uint64_t id)
{
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(id);
    long at = endpoint ? endpoint - fake_endpoints : 0;
    return !endpoint || !fake_endpoint_is_open(endpoint) || replay->was_closed[at] ||
           replay->changes[at] != endpoint->changes;
}

/* Whether the replay may have refused it, for a reason other than that it was being sent. */
static bool may_be_refused(const struct model_replay *replay, const struct model_delivery *delivery)
{
    const struct replay_order *order = &replay->order;
    bool in_doubt = delivery->state == DELIVERY_PARKED && park_reason_is_doubt(delivery->reason);
    if (in_doubt && !order->guarded && order->action != REPLAY_ACTION_RESOLVE)
        return true;
    bool is_named = order->filter.park_reason == delivery->reason;
    if (delivery->state == DELIVERY_PARKED && !is_named && !in_doubt &&
        (order->action == REPLAY_ACTION_RESOLVE || delivery->reason == PARK_CONFLICT ||
            delivery->reason == PARK_MISMATCH))
        return true;
    if (order->action != REPLAY_ACTION_RETRY)
        return false;
    return delivery->endpoint == 0 || !delivery->post->has_body ||
           was_closed(replay, delivery->endpoint) ||
           (delivery->state == DELIVERY_DELIVERED && delivery->post->guarded && !order->guarded);
}

static void check_end(const struct model_replay *replay, const char *id)
{
    int64_t left = 0, unexplained = 0;
    for (unsigned i = 0; i < model_posts_count(); i++) {
        const struct model_post *post = model_post(i);
        for (unsigned j = 0; post->on_disk && j < post->deliveries_count; j++) {
            const struct model_delivery *delivery = &post->deliveries[j];
            if (replay->places[place_of(delivery)] != PLACE_SELECTED)
                continue;
            /* Those of a removed endpoint are not found: no index has delivered ones. */
            if (delivery->state == DELIVERY_DELIVERED && was_closed(replay, delivery->endpoint))
                continue;
            left++;
            if (may_be_refused(replay, delivery))
                continue;
            unexplained++;
            char name[NAME_BYTES];
            model_name(delivery, name);
            fail_unless(unexplained <= replay->progress.refused[REPLAY_MOVED_ON], "P2",
                "%s is done, but has passed over %s, which is %s", id, name,
                delivery_state_name(delivery->state));
        }
    }
    int64_t refused = replay_progress_refused(&replay->progress);
    fail_unless(left <= refused, "P2", "%s has left %lld and refused %lld", id, (long long)left,
        (long long)refused);
    fail_unless(replay->progress.moved + refused <= replay->selected, "P2",
        "%s selected %lld, but has moved %lld and refused %lld", id, (long long)replay->selected,
        (long long)replay->progress.moved, (long long)refused);
    tally(TALLY_REPLAYS_DONE);
}

/* The table of replays. */

/* The rows behind `last` were written later, in the same transaction. */
static void note_selected(struct model_replay *replay, int64_t last)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        replay->changes[i] = fake_endpoints[i].changes;
        replay->was_closed[i] = !fake_endpoint_is_open(&fake_endpoints[i]);
    }
    /* Otherwise it has begun before this look. */
    replay->is_exact = replay->rows == 0 && replay->progress.moved == 0 &&
                       replay_progress_refused(&replay->progress) == 0 &&
                       replay->state == REPLAY_RUNNING;
    for (unsigned i = 0; i < model_posts_count() && replay->is_exact; i++)
        for (unsigned j = 0; model_post(i)->on_disk && j < model_post(i)->deliveries_count; j++) {
            const struct model_delivery *delivery = &model_post(i)->deliveries[j];
            if (delivery->id > last || !is_selected(&replay->order, delivery, delivery->state))
                continue;
            replay->places[place_of(delivery)] = PLACE_SELECTED;
            replay->selected++;
        }
}

static void read_counts(const char *text, struct replay_progress *ret_progress)
{
    char *at;
    ret_progress->moved = strtoll(text, &at, 10);
    for (unsigned i = 1; i < REPLAY_REFUSALS; i++)
        ret_progress->refused[i] = strtoll(at, &at, 10);
}

static void check_replay(struct model_replay *replay, enum replay_state state, int64_t last)
{
    char id[REPLAY_ID_TEXT_BYTES];
    name_of(replay, id);
    fail_unless(replay->created != ORDER_REFUSED, "P2", "%s was refused, but exists", id);
    fail_unless(!replay->found || !replay_state_is_end(replay->state) || replay->state == state,
        "P2", "%s was %s and is %s", id, replay_state_name(replay->state),
        replay_state_name(state));
    fail_unless(replay->progress.moved == replay->rows ||
                    (model_rules()->history_us != 0 && replay->progress.moved > replay->rows),
        "P2", "%s has moved %lld, but %lld rows are of it", id, (long long)replay->progress.moved,
        (long long)replay->rows);
    bool ends = state == REPLAY_DONE && (!replay->found || replay->state != state);
    bool was_found = replay->found;
    if (!replay->found)
        trace("%s concerns deliveries up to %lld", id, (long long)last);
    replay->found = true;
    replay->state = state;
    if (!was_found)
        note_selected(replay, last);
    if (ends)
        trace("%s is done: moved %lld, refused %lld", id, (long long)replay->progress.moved,
            (long long)replay_progress_refused(&replay->progress));
    if (ends && replay->is_exact && !clock_went_back)
        check_end(replay, id);
}

void model_replays_read(sqlite3 *db, bool first_after_start)
{
    static const char text[] = "SELECT id, state, counts, last_delivery FROM replays";
    sqlite3_stmt *row;
    bool seen[REPLAYS_MAX] = {0};
    int code = sqlite3_prepare_v2(db, text, -1, &row, NULL);
    fail_unless(code == SQLITE_OK, BROKEN_SIM, "replays: %s", sqlite3_errmsg(db));
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        unsigned i = 0;
        while (i < replays_count &&
               memcmp(&replays[i]->order.id, sqlite3_column_blob(row, 0), EVENT_ID_BYTES) != 0)
            i++;
        fail_unless(i < replays_count, "P2", "the journal has a replay that nobody ordered");
        seen[i] = true;
        read_counts((const char *)sqlite3_column_text(row, 2), &replays[i]->progress);
        check_replay(replays[i], (enum replay_state)sqlite3_column_int(row, 1),
            sqlite3_column_int64(row, 3));
    }
    sqlite3_finalize(row);
    fail_unless(
        code == SQLITE_DONE, BROKEN_REOPEN, "replays cannot be read: %s", sqlite3_errmsg(db));
    for (unsigned i = 0; i < replays_count; i++) {
        fail_unless(seen[i] || !replays[i]->found, "P2", "a replay has vanished");
        if (replays[i]->created == ORDER_IN_DOUBT && (seen[i] || first_after_start))
            replays[i]->created = seen[i] ? ORDER_DONE : ORDER_REFUSED;
    }
}
