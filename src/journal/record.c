/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_START, JOURNAL_RECORD_OUTCOME, JOURNAL_OPERATOR_ACTION and JOURNAL_RELEASE: deliveries
 * move on. */
#include "journal/store.h"

#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdio.h>

/* What is the request's own failure: nothing was written for it, and the others of its transaction
 * go on. */
static bool is_its_own(enum err result)
{
    return result == ERR_MOVED_ON || result == ERR_NOT_FOUND || result == ERR_INVALID ||
           result == ERR_DAMAGED;
}

static enum err end_request(struct request *request, enum err result)
{
    if (!is_its_own(result))
        return result;
    request->result = result;
    return OK;
}

static void name_damaged(const struct store *store, int64_t delivery)
{
    log_error(
        "the row of a delivery is damaged: it stays as it is, for a person shard=%u delivery=%lld",
        store->shard, (long long)delivery);
}

static enum err move(struct store *store, struct request *request, const struct delivery_move *move)
{
    const struct journal_record *order = CONTAINER_OF(request, struct journal_record, request);
    const struct delivery_expected expected = {order->delivery, order->from, order->generation};
    bool may_move = delivery_row_may_move(order->from, move->to);
    assert(may_move);
    if (!may_move) {
        request->result = ERR_BUG;
        return OK;
    }
    enum err result = delivery_rows_move(&store->deliveries, &expected, move, store->now_us);
    if (result == ERR_DAMAGED)
        name_damaged(store, order->delivery);
    return end_request(request, result);
}

enum err store_start(struct store *store, struct request *request)
{
    assert(CONTAINER_OF(request, struct journal_record, request)->to == DELIVERY_SENDING);
    return move(store, request, &(struct delivery_move){.to = DELIVERY_SENDING});
}

enum err store_record_outcome(struct store *store, struct request *request)
{
    const struct journal_record *order = CONTAINER_OF(request, struct journal_record, request);
    const struct delivery_move to = {
        .to = order->to,
        .reason = order->reason,
        .lane = order->lane,
        .failures = order->failures,
        .due_us = order->due_us,
        .wait_us = order->wait_us,
        .attempt = order->has_attempt ? &order->attempt : NULL,
    };
    return move(store, request, &to);
}

static enum err refuse(struct journal_operator_action *action, enum operator_action_refusal refusal)
{
    action->ret_refusal = refusal;
    return ERR_INVALID;
}

/* Whether the event has a delivery for the endpoint that this one is to go to. */
static enum err refuse_second(
    struct store *store, struct journal_operator_action *action, const struct delivery_row *row)
{
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    enum err result =
        delivery_rows_read_event(&store->deliveries, placement_event(row->id), listed, &count);
    for (unsigned i = 0; i < count && !result; i++) {
        if (listed[i].row.id == row->id || listed[i].row.endpoint != action->endpoint)
            continue;
        action->ret_index = placement_index(listed[i].row.id);
        result = refuse(action, ACTION_ENDPOINT_HAS_IT);
    }
    return result;
}

/* Whether there is something to send, and whose it is. */
static enum err look_at_event(
    struct store *store, struct journal_operator_action *action, int64_t seq)
{
    static const struct event_reading reading = {.without_body = true};
    struct event *event;
    bool has_body;
    enum err result = event_rows_has_body(&store->events, seq, &has_body);
    if (!result && !has_body)
        result = refuse(action, ACTION_BODY_EXPIRED);
    if (!result)
        result = event_rows_read(&store->events, seq, &reading, &event, NULL);
    if (result)
        return result == ERR_NOT_FOUND ? ERR_DAMAGED : result;
    snprintf(
        action->ret_account, sizeof action->ret_account, "%.*s", SLICE_ARGS(event->parts.account));
    event_unref(event);
    return OK;
}

/* What would be sent (again): that it can be, as far as the journal knows. */
static enum err check_sending(
    struct store *store, struct journal_operator_action *action, const struct delivery_row *row)
{
    bool moves = action->endpoint != 0 && action->endpoint != row->endpoint;
    if (row->reason == PARK_DAMAGED)
        return ERR_DAMAGED;
    if (row->endpoint == 0 && action->endpoint == 0)
        return refuse(action, ACTION_UNROUTED);
    if (moves && row->state == DELIVERY_DELIVERED)
        return refuse(action, ACTION_WAS_DELIVERED);
    if (!action->looks && row->endpoint != action->expected_endpoint)
        return ERR_MOVED_ON;
    enum err result = moves ? refuse_second(store, action, row) : OK;
    return result ? result : look_at_event(store, action, placement_event(row->id));
}

/* The operator's move of a row that was found, as long as it is where he believes it to be. */
static enum err action_on(
    struct store *store, struct journal_operator_action *action, struct delivery_row *row)
{
    action->ret_delivery = row->id;
    action->ret_endpoint = row->endpoint;
    action->ret_state = row->state;
    if (row->state != action->from)
        return ERR_MOVED_ON;
    enum err result = action->to == DELIVERY_PENDING ? check_sending(store, action, row) : OK;
    if (result || action->looks)
        return result;
    const struct delivery_row before = *row;
    const struct delivery_move move = {.to = action->to, .lane = LANE_REPLAY};
    if (action->endpoint != 0 && action->endpoint != row->endpoint) {
        result = store_transfer(store, placement_event(row->id), row->endpoint, action->endpoint);
        row->endpoint = action->endpoint;
    }
    if (!result)
        result = delivery_rows_move_row(&store->deliveries, row, &move, store->now_us);
    if (!result)
        result = delivery_rows_add_action(
            &store->deliveries, &before, row, slice_from_string(action->note), store->now_us);
    if (!result) {
        action->ret_state = row->state;
        action->ret_endpoint = row->endpoint;
    }
    /* The move is written by now: what fails behind it is no matter of this request alone. */
    return result == ERR_DAMAGED ? ERR_DISK : result;
}

enum err store_action(struct store *store, struct request *request)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, request);
    struct delivery_row row;
    int64_t seq;
    bool may_action = delivery_state_may_move_by_operator(action->from, action->to) &&
                      action->index < ACCOUNT_ENDPOINTS_MAX &&
                      (action->to == DELIVERY_PENDING || (action->endpoint == 0 && !action->looks));
    action->ret_refusal = ACTION_NOT_REFUSED;
    assert(may_action);
    if (!may_action)
        return end_request(request, ERR_INVALID);
    enum err result = event_rows_find(&store->events, &action->event, &seq);
    if (!result)
        result =
            delivery_rows_read(&store->deliveries, placement_delivery(seq, action->index), &row);
    if (result == ERR_DAMAGED)
        name_damaged(store, placement_delivery(seq, action->index));
    return end_request(request, result ? result : action_on(store, action, &row));
}

enum err store_release(struct store *store, struct request *request)
{
    struct journal_release *release = CONTAINER_OF(request, struct journal_release, request);
    release->ret_count = 0;
    assert(release->reason == PARK_DISABLED || release->reason == PARK_GONE);
    return delivery_rows_release(&store->deliveries, release->endpoint, release->reason,
        release->count_max, store->now_us, &release->ret_count);
}

void store_undo_release(struct request *request)
{
    CONTAINER_OF(request, struct journal_release, request)->ret_count = 0;
}
