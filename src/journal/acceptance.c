/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How events get into the journal.
 *
 * JOURNAL_APPEND: an event that ingress accepts. The dedupe store decides. A new event is written
 * with its deliveries, which are handed over to the delivery thread; a duplicate is answered with
 * the first event's id; a conflict is kept and refused. When the file has an event of this very id,
 * the broker delivered it first, or it was appended before: it is the same acceptance, and what the
 * broker still owns of it is the journal's from now on.
 *
 * JOURNAL_RECEIVE: an event that the broker delivered. The dedupe store decides as well, but the
 * partner has its 200 already. So a duplicate becomes an alias, and a conflict is parked.
 *
 *   the dedupe store says    the id is new                            the id is known
 *   new                      written, broker-owned; or parked at      its rows say who owns it
 *                            once (unrouted, or as the request says)
 *   duplicate                an alias of the first event              its rows say who owns it
 *   conflict                 written and parked, kept as a conflict;  its rows say who owns it
 *                            not entered into the dedupe store
 *   damaged                  written and parked as doubtful; not      its rows say who owns it
 *                            entered. When the dedupe store is in
 *                            doubt as a whole: ERR_DAMAGED
 *
 * Owned by the journal's thread, within its transaction.
 */
#include "journal/adopt.h"
#include "journal/store.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* What both have in common. */

/* A new event, and its number in the totals. Its own number is store->next_seq: the caller counts
 * on. ERR_EXISTS: there is an event of this id. */
static enum err write_event(struct store *store, const struct event *event, unsigned deliveries)
{
    enum err result = event_rows_add(&store->events, store->next_seq, event, deliveries);
    if (!result)
        result = event_keys_add(&store->keys, store->next_seq, event->parts.key);
    if (!result)
        totals_add(
            &store->totals, &event->parts, TOTAL_EVENTS, TOTAL_ACCEPTED, 1, store->now_mono_us);
    return result;
}

/* One delivery of a new event, and its number in the totals. */
static enum err write_delivery(
    struct store *store, const struct event *event, struct delivery_row *row)
{
    enum err result = delivery_rows_add(&store->deliveries, row);
    if (!result)
        totals_add(
            &store->totals, &event->parts, row->endpoint, TOTAL_ACCEPTED, 1, store->now_mono_us);
    return result;
}

static bool is_same(const struct event_parts *one, const struct event_parts *other)
{
    return slice_equal(one->partner, other->partner) && slice_equal(one->account, other->account) &&
           slice_equal(one->type, other->type) && slice_equal(one->key, other->key);
}

/* The number of the stored event of this id. ERR_NOT_FOUND; ERR_UNAVAILABLE: it is another event,
 * by a chance of 2^-44, and must not hide this one. */
static enum err find_event(struct store *store, const struct event *event, int64_t *ret_seq)
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

/* Keeps an event that has the key of `first` and other money. `is_stored`: as an event as well. */
static enum err keep_conflict(
    struct store *store, const struct event_id *first, const struct event *event, bool is_stored)
{
    bool is_new;
    enum err result = conflict_rows_add(&store->conflicts, first, store->now_us, event, &is_new);
    if (!result && is_new)
        store_note_conflict(store, first, event, is_stored);
    return result;
}

/* A batch of appends has its room from the beginning (journal_sqlite.c). */
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

/* The delivery thread gets the delivery when the transaction is committed. */
static enum err hand_over(struct store *store, const struct delivery_row *row, struct event *event)
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
 * Its message was received in this very transaction. The handover leaves before the answers: if it
 * were still answered as broker-owned, the delivery thread would send it a second time.
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

/* A stored event becomes the journal's own, and its pending deliveries are handed over. `event` is
 * the same event. */
static enum err adopt_event(struct store *store, int64_t seq, struct event *event)
{
    correct_answers(store, seq);
    struct delivery_row pending[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    enum err result = delivery_rows_adopt(&store->deliveries, seq, store->now_us, pending, &count);
    for (unsigned i = 0; i < count && !result; i++)
        result = hand_over(store, &pending[i], event);
    return result;
}

/* JOURNAL_APPEND. */

static enum err append_delivery(
    struct store *store, struct event *event, int64_t id, uint64_t endpoint)
{
    struct delivery_row row = {
        .id = id,
        .endpoint = endpoint,
        .class = event->parts.class,
        .state = endpoint ? DELIVERY_PENDING : DELIVERY_PARKED,
        .reason = endpoint ? PARK_NONE : PARK_UNROUTED,
        .lane = LANE_FRESH,
        .due_us = event->parts.accepted_us,
    };
    enum err result = write_delivery(store, event, &row);
    return result ? result : hand_over(store, &row, event);
}

/* The dedupe store has the event under its own id. The history may have expired before. */
static enum err adopt_at_append(struct store *store, struct journal_append *append)
{
    int64_t seq;
    enum err result = find_event(store, append->event, &seq);
    if (result == ERR_UNAVAILABLE) {
        append->request.result = ERR_UNAVAILABLE; /* the partner's next try gets a new id */
        return OK;
    }
    append->ret_id = append->event->parts.id;
    if (result)
        return result == ERR_NOT_FOUND ? OK : result;
    return adopt_event(store, seq, append->event);
}

/* False in *ret_added: there is an event of this id. */
static enum err append_new(struct store *store, struct journal_append *append, bool *ret_added)
{
    struct event *event = append->event;
    int64_t seq = store->next_seq;
    unsigned deliveries = append->endpoints_count ? append->endpoints_count : 1;
    enum err result = write_event(store, event, deliveries);
    *ret_added = !result;
    if (result)
        return result == ERR_EXISTS ? adopt_at_append(store, append) : result;
    store->next_seq++;
    int64_t first_id = placement_first_delivery(seq);
    if (append->endpoints_count == 0)
        result = append_delivery(store, event, first_id, 0);
    for (unsigned i = 0; i < append->endpoints_count && !result; i++)
        result = append_delivery(store, event, first_id + i, append->endpoints[i]);
    append->ret_id = event->parts.id;
    return result;
}

static enum err add_to_outbox(struct store *store, struct journal_append *append)
{
    append->ret_id = append->event->parts.id;
    return outbox_add(store, append->event);
}

static enum err append_keyed(struct store *store, struct journal_append *append)
{
    enum dedupe_finding finding;
    struct event_id first;
    bool added;
    enum err result =
        dedupe_look_up(&store->dedupe, &append->dedupe_key, append->event, &finding, &first);
    if (result)
        return result;
    switch (finding) {
    case DEDUPE_NEW:
        result = append_new(store, append, &added);
        return result || !added ? result
                                : dedupe_add(&store->dedupe, &append->dedupe_key, append->event);
    case DEDUPE_DUPLICATE:
        if (memcmp(&first, &append->event->parts.id, sizeof first) == 0)
            return adopt_at_append(store, append);
        append->request.result = ERR_EXISTS;
        append->ret_id = first;
        return OK;
    case DEDUPE_CONFLICT:
        append->request.result = ERR_CONFLICT;
        append->ret_id = first;
        return keep_conflict(store, &first, append->event, false);
    case DEDUPE_DAMAGED:
        break;
    }
    append->request.result = ERR_DAMAGED;
    return OK;
}

enum err store_append(struct store *store, struct request *request)
{
    struct journal_append *append = CONTAINER_OF(request, struct journal_append, request);
    bool added;
    assert(append->endpoints_count <= ACCOUNT_ENDPOINTS_MAX);
    if (!store_admits(store, append->event->parts.class)) {
        request->result = ERR_DISK_FULL;
        return OK;
    }
    if (append->to_outbox)
        return add_to_outbox(store, append);
    return append->event->parts.key.len ? append_keyed(store, append)
                                        : append_new(store, append, &added);
}

/* JOURNAL_RECEIVE. */

/*
 * An event that was received before. Its deliveries that are broker-owned and pending are to be
 * sent. When a broker-owned row is damaged, the journal takes the event over, since a person must
 * look at it.
 */
static enum err receive_known(struct store *store, struct journal_receive *receive, int64_t seq)
{
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    bool is_damaged = false;
    enum err result = delivery_rows_read_event(&store->deliveries, seq, listed, &count);
    for (unsigned i = 0; i < count && !result; i++) {
        const struct delivery_row *row = &listed[i].row;
        if (!row->broker_owned)
            continue;
        is_damaged |= listed[i].damaged;
        if (row->state == DELIVERY_PENDING)
            receive->ret_deliveries[receive->ret_count++] =
                (struct journal_received_delivery){.delivery = row->id, .endpoint = row->endpoint};
    }
    if (result)
        return result;
    if (is_damaged) {
        log_error("a delivery of a broker-owned event is damaged: the journal takes the event over "
                  "shard=%u event_number=%lld",
            store->shard, (long long)seq);
        receive->ret_count = 0;
        return adopt_event(store, seq, receive->event);
    }
    if (receive->ret_count > 0 && receive->park_as == PARK_TAKEN_OVER) {
        receive->ret_count = 0;
        return adopt_and_park_event(store, seq);
    }
    receive->ret_received = receive->ret_count ? RECEIVED_BROKER_OWNED : RECEIVED_JOURNAL_OWNED;
    return OK;
}

/* The row of a new delivery. */
static struct delivery_row first_row(const struct journal_receive *receive, enum park_reason reason)
{
    bool is_parked = reason != PARK_NONE;
    return (struct delivery_row){
        .state = is_parked ? DELIVERY_PARKED : DELIVERY_PENDING,
        .reason = reason,
        .lane = LANE_FRESH,
        .due_us = receive->event->parts.accepted_us,
        .class = receive->event->parts.class,
        .broker_owned = !is_parked,
    };
}

static enum err write_deliveries(
    struct store *store, struct journal_receive *receive, enum park_reason reason)
{
    struct delivery_row row = first_row(receive, reason);
    unsigned count = receive->endpoints_count ? receive->endpoints_count : 1;
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        row.id = placement_delivery(store->next_seq, i);
        row.endpoint = receive->endpoints_count ? receive->endpoints[i] : 0;
        row.counted = (struct backlog_place){0};
        result = write_delivery(store, receive->event, &row);
        if (!result && reason != PARK_NONE && reason != PARK_UNROUTED && reason != PARK_CONFLICT)
            store_note_parked_event(store, row.id, row.endpoint, reason, &receive->event->parts);
        if (row.broker_owned)
            receive->ret_deliveries[receive->ret_count++] =
                (struct journal_received_delivery){.delivery = row.id, .endpoint = row.endpoint};
    }
    return result;
}

/* Writes a new event. `reason`: why it is parked at once, or PARK_NONE. False in *ret_added: there
 * is an event of this id. */
static enum err write_received(
    struct store *store, struct journal_receive *receive, enum park_reason reason, bool *ret_added)
{
    unsigned count = receive->endpoints_count ? receive->endpoints_count : 1;
    enum err result = write_event(store, receive->event, count);
    *ret_added = !result;
    if (result)
        return result == ERR_EXISTS ? OK : result;
    result = write_deliveries(store, receive, reason);
    store->next_seq++;
    receive->ret_is_new = true;
    receive->ret_received = receive->ret_count ? RECEIVED_BROKER_OWNED : RECEIVED_JOURNAL_OWNED;
    return result;
}

/* ERR_NOT_FOUND: there is no event of this id. */
static enum err receive_again(struct store *store, struct journal_receive *receive)
{
    int64_t seq;
    enum err result = find_event(store, receive->event, &seq);
    if (result == ERR_UNAVAILABLE) {
        receive->request.result = ERR_UNAVAILABLE;
        return OK;
    }
    return result ? result : receive_known(store, receive, seq);
}

static enum err receive_new(struct store *store, struct journal_receive *receive)
{
    bool added;
    enum park_reason reason = receive->park_as           ? receive->park_as
                              : receive->endpoints_count ? PARK_NONE
                                                         : PARK_UNROUTED;
    enum err result = write_received(store, receive, reason, &added);
    if (result)
        return result;
    if (!added)
        return receive_again(store, receive);
    return receive->event->parts.key.len
               ? dedupe_add(&store->dedupe, &receive->dedupe_key, receive->event)
               : OK;
}

static enum err receive_duplicate(
    struct store *store, struct journal_receive *receive, const struct event_id *first)
{
    const struct event_id *id = &receive->event->parts.id;
    enum err result = receive_again(store, receive);
    if (result != ERR_NOT_FOUND)
        return result;
    if (memcmp(first, id, sizeof *id) == 0) /* the history has expired before the dedupe store */
        return OK;
    receive->ret_received = RECEIVED_ALIAS;
    receive->ret_first = *first;
    return alias_rows_add(&store->aliases, id, first, store->now_us);
}

static enum err receive_conflict(
    struct store *store, struct journal_receive *receive, const struct event_id *first)
{
    bool added;
    enum err result = write_received(store, receive, PARK_CONFLICT, &added);
    if (result)
        return result;
    if (!added)
        return receive_again(store, receive);
    receive->ret_received = RECEIVED_CONFLICT;
    receive->ret_first = *first;
    return keep_conflict(store, first, receive->event, true);
}

/* It is not entered into the dedupe store: the next one of its key is as doubtful. */
static enum err receive_doubtful(struct store *store, struct journal_receive *receive)
{
    bool added;
    enum err result = write_received(store, receive, PARK_DOUBTFUL, &added);
    if (!result && !added)
        result = receive_again(store, receive);
    return result;
}

static enum err judge(struct store *store, struct journal_receive *receive)
{
    enum dedupe_finding finding = DEDUPE_NEW;
    struct event_id first;
    enum err result = OK;
    if (receive->event->parts.key.len)
        result =
            dedupe_look_up(&store->dedupe, &receive->dedupe_key, receive->event, &finding, &first);
    if (result)
        return result;
    switch (finding) {
    case DEDUPE_NEW:
        return receive_new(store, receive);
    case DEDUPE_DUPLICATE:
        return receive_duplicate(store, receive, &first);
    case DEDUPE_CONFLICT:
        return receive_conflict(store, receive, &first);
    case DEDUPE_DAMAGED:
        break;
    }
    if (!dedupe_is_in_doubt(&store->dedupe))
        return receive_doubtful(store, receive);
    receive->request.result = ERR_DAMAGED;
    return OK;
}

enum err store_receive(struct store *store, struct request *request)
{
    struct journal_receive *receive = CONTAINER_OF(request, struct journal_receive, request);
    assert(receive->endpoints_count <= ACCOUNT_ENDPOINTS_MAX);
    receive->ret_received = RECEIVED_JOURNAL_OWNED;
    receive->ret_is_new = false;
    receive->ret_count = 0;
    /* It has its 200, and acks are sent in order: an optional event must not hold up the payouts
     * behind it. */
    if (!store_admits(store, CLASS_CRITICAL)) {
        request->result = ERR_DISK_FULL;
        return OK;
    }
    enum err result = judge(store, receive);
    if (!result && receive->ret_received == RECEIVED_BROKER_OWNED) {
        assert(store->received_count < JOURNAL_BATCH_REQUESTS_MAX);
        store->received[store->received_count++] = receive;
    }
    return result;
}

void store_undo_receive(struct request *request)
{
    struct journal_receive *receive = CONTAINER_OF(request, struct journal_receive, request);
    receive->ret_received = RECEIVED_JOURNAL_OWNED;
    receive->ret_is_new = false;
    receive->ret_count = 0;
}
