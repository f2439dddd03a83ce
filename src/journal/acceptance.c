/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/acceptance.h"

#include "model/placement.h"
#include "runtime/log.h"

#include <stdlib.h>

enum err acceptance_add_event(struct store *store, const struct event *event, unsigned deliveries)
{
    enum err result = event_rows_add(&store->events, store->next_seq, event, deliveries);
    return result ? result
                  : totals_add(&store->totals, &event->parts, TOTAL_EVENTS, TOTAL_ACCEPTED, 1,
                        store->now_mono_us);
}

enum err acceptance_add_delivery(
    struct store *store, const struct event *event, const struct delivery_row *row)
{
    enum err result = delivery_rows_add(&store->deliveries, row);
    return result ? result
                  : totals_add(&store->totals, &event->parts, row->endpoint, TOTAL_ACCEPTED, 1,
                        store->now_mono_us);
}

static bool is_same(const struct event_parts *one, const struct event_parts *other)
{
    return slice_equal(one->partner, other->partner) && slice_equal(one->account, other->account) &&
           slice_equal(one->type, other->type) && slice_equal(one->key, other->key);
}

enum err acceptance_find(struct store *store, const struct event *event, int64_t *ret_seq)
{
    static const struct event_reading reading = {.without_body = true};
    struct event *stored;
    int64_t seq;
    enum err result = event_rows_find(&store->events, &event->parts.id, &seq);
    if (result)
        return result;
    result = event_rows_read(&store->events, seq, &reading, &stored, NULL);
    if (!result) {
        result = is_same(&stored->parts, &event->parts) ? OK : ERR_UNAVAILABLE;
        event_unref(stored);
    } else if (result == ERR_DAMAGED) {
        result = OK; /* the id is all that is left to go by */
    }
    if (!result)
        *ret_seq = seq;
    return result;
}

/* Not for each conflict of a partner that doesn't stop. */
enum err acceptance_keep_conflict(
    struct store *store, const struct event_id *first, const struct event *event)
{
    bool is_new;
    enum err result = conflict_rows_add(&store->conflicts, first, store->now_us, event, &is_new);
    if (result || !is_new || store->now_mono_us - store->conflict_said_us < US_PER_SECOND)
        return result;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(first, id);
    log_warn("other money came under the key of an accepted event: refused, and kept as a conflict "
             "first=%s "
             "partner=%.*s account=%.*s",
        id, SLICE_ARGS(event->parts.partner), SLICE_ARGS(event->parts.account));
    store->conflict_said_us = store->now_mono_us;
    return OK;
}

/* What a batch of appends brings has room from the beginning (journal_sqlite.c). */
static enum err make_room(struct store *store)
{
    if (store->handover && store->handover->count < store->handover_room)
        return OK;
    unsigned room = store->handover ? store->handover_room * 2 : ACCOUNT_ENDPOINTS_MAX;
    struct journal_handover *larger =
        realloc(store->handover, sizeof *larger + room * sizeof larger->deliveries[0]);
    if (!larger)
        return ERR_NO_MEMORY;
    if (!store->handover)
        larger->count = 0;
    store->handover = larger;
    store->handover_room = room;
    return OK;
}

enum err acceptance_hand_over(
    struct store *store, const struct delivery_row *row, struct event *event)
{
    enum err result = make_room(store);
    if (result)
        return result;
    store->handover->deliveries[store->handover->count++] = (struct delivery){
        .id = row->id,
        .endpoint = row->endpoint,
        .state = row->state,
        .lane = row->lane,
        .due_us = row->due_us,
        .event = event_ref(event),
    };
    return OK;
}

/*
 * Its message came in this very transaction. The handover leaves before the answers: were it still
 * answered as broker-owned, the delivery thread would send it once more.
 */
static void correct_answers(struct store *store, int64_t seq)
{
    for (unsigned i = 0; i < store->received_count; i++) {
        struct journal_receive *receive = store->received[i];
        if (receive->ret_count == 0 || placement_event(receive->ret_deliveries[0].delivery) != seq)
            continue;
        receive->ret_received = RECEIVED_JOURNAL_OWNED;
        receive->ret_count = 0;
    }
}

enum err acceptance_adopt(struct store *store, int64_t seq, struct event *event)
{
    correct_answers(store, seq);
    struct delivery_row pending[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    enum err result = delivery_rows_adopt(&store->deliveries, seq, store->now_us, pending, &count);
    for (unsigned i = 0; i < count && !result; i++)
        result = acceptance_hand_over(store, &pending[i], event);
    return result;
}
