/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_RECEIVE: an event that the broker delivered. The dedupe store judges it as it judges what
 * is appended, but nobody can be told any more that it was a duplicate or a conflict: the one
 * becomes an alias, the other is parked.
 *
 *   the dedupe store says   and its id is
 *   new               new: written, broker-owned (or parked at once: unrouted, or as the receiver wants it), and
 * counted known: it came again; its rows say whose it is duplicate         its own first one, or
 * known all the same: it came again another: an alias of the first conflict          new: written
 * and parked, and kept as a conflict; not in the dedupe, which has the first one known: it came
 * again damaged           new: written and parked as doubtful; not in the dedupe store (which in
 * doubt as a whole: ERR_DAMAGED) known: it came again
 */
#include "journal/acceptance.h"
#include "journal/adopt.h"

#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>

/*
 * It came again: what is broker-owned of it and pending is to be sent, unless something else owns
 * it. A broker-owned row that can't be believed makes the event ours, since a person must look at
 * it.
 */
static enum err stand(struct store *store, struct journal_receive *receive, int64_t seq)
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
        log_error("a delivery of an event that the broker holds is damaged: the journal takes it "
                  "over shard=%u "
                  "event_number=%lld",
            store->shard, (long long)seq);
        receive->ret_count = 0;
        return acceptance_adopt(store, seq, receive->event);
    }
    if (receive->ret_count > 0 && receive->park_as == PARK_TAKEN_OVER) {
        receive->ret_count = 0;
        return adopt_and_park_event(store, seq);
    }
    receive->ret_received = receive->ret_count ? RECEIVED_BROKER_OWNED : RECEIVED_JOURNAL_OWNED;
    return OK;
}

/* Where a new one begins. */
static struct delivery_row first_row(const struct journal_receive *receive, enum park_reason reason)
{
    bool is_parked = reason != PARK_NONE;
    return (struct delivery_row){
        .state = is_parked ? DELIVERY_PARKED : DELIVERY_PENDING,
        .reason = reason,
        .lane = LANE_FRESH,
        .due_us = receive->event->parts.accepted_us,
        .broker_owned = !is_parked,
    };
}

static enum err add_deliveries(
    struct store *store, struct journal_receive *receive, enum park_reason reason)
{
    struct delivery_row row = first_row(receive, reason);
    unsigned count = receive->endpoints_count ? receive->endpoints_count : 1;
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        row.id = placement_delivery(store->next_seq, i);
        row.endpoint = receive->endpoints_count ? receive->endpoints[i] : 0;
        result = acceptance_add_delivery(store, receive->event, &row);
        if (row.broker_owned)
            receive->ret_deliveries[receive->ret_count++] =
                (struct journal_received_delivery){.delivery = row.id, .endpoint = row.endpoint};
    }
    return result;
}

/* `reason`: of parking it at once, or PARK_NONE. False in *ret_added: there is an event of this id.
 * */
static enum err add(
    struct store *store, struct journal_receive *receive, enum park_reason reason, bool *ret_added)
{
    unsigned count = receive->endpoints_count ? receive->endpoints_count : 1;
    enum err result = acceptance_add_event(store, receive->event, count);
    *ret_added = !result;
    if (result)
        return result == ERR_EXISTS ? OK : result;
    result = add_deliveries(store, receive, reason);
    store->next_seq++;
    receive->ret_is_new = true;
    receive->ret_received = receive->ret_count ? RECEIVED_BROKER_OWNED : RECEIVED_JOURNAL_OWNED;
    return result;
}

/* Of an event whose id is known; ERR_NOT_FOUND when it is not. */
static enum err receive_again(struct store *store, struct journal_receive *receive)
{
    int64_t seq;
    enum err result = acceptance_find(store, receive->event, &seq);
    if (result == ERR_UNAVAILABLE) {
        receive->request.result = ERR_UNAVAILABLE;
        return OK;
    }
    return result ? result : stand(store, receive, seq);
}

static enum err receive_new(struct store *store, struct journal_receive *receive)
{
    bool added;
    enum park_reason reason = receive->park_as           ? receive->park_as
                              : receive->endpoints_count ? PARK_NONE
                                                         : PARK_UNROUTED;
    enum err result = add(store, receive, reason, &added);
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
    enum err result = add(store, receive, PARK_CONFLICT, &added);
    if (result)
        return result;
    if (!added)
        return receive_again(store, receive);
    receive->ret_received = RECEIVED_CONFLICT;
    receive->ret_first = *first;
    return acceptance_keep_conflict(store, first, receive->event);
}

/* Not in the dedupe store: the next one of its key is as doubtful. */
static enum err receive_doubtful(struct store *store, struct journal_receive *receive)
{
    bool added;
    enum err result = add(store, receive, PARK_DOUBTFUL, &added);
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
    /* It has its 200, and acks go in order: an optional one must not hold the payouts behind it up.
     * */
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
