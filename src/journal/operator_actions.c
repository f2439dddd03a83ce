/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_OPERATOR_ACTION: an operator resolves, retries or discards one delivery, or a status
 * probe resolves or retries it. The journal makes the move only if the delivery is in the state
 * that the operator or the probe has seen, and records in the same transaction who asked for it.
 * What could only be parked again is refused.
 */
#include "journal/store.h"

#include "model/placement.h"

#include <assert.h>
#include <stdio.h>

static const struct event_reading without_body = {.without_body = true};

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

/* Whether there is something to send, whose it is, and whether it is guarded. */
static enum err look_at_event(
    struct store *store, struct journal_operator_action *action, int64_t seq, bool *ret_guarded)
{
    struct event *event;
    bool has_body;
    enum err result = event_rows_has_body(&store->events, seq, &has_body);
    if (!result && !has_body)
        result = refuse(action, ACTION_BODY_EXPIRED);
    if (!result)
        result = event_rows_read(&store->events, seq, &without_body, &event, NULL);
    if (result)
        return result == ERR_NOT_FOUND ? ERR_DAMAGED : result;
    *ret_guarded = event->parts.guarded;
    snprintf(
        action->ret_account, sizeof action->ret_account, "%.*s", SLICE_ARGS(event->parts.account));
    event_unref(event);
    return OK;
}

static bool is_in_doubt(const struct delivery_row *row)
{
    return row->state == DELIVERY_PARKED && park_reason_is_doubt(row->reason);
}

/* Whether the delivery can be sent (again), as far as the journal can tell. */
static enum err check_sending(
    struct store *store, struct journal_operator_action *action, const struct delivery_row *row)
{
    bool moves = action->endpoint != 0 && action->endpoint != row->endpoint, guarded = false;
    bool needs_certainty = action->actor == ACTION_BY_OPERATOR && !action->allows_doubt;
    if (row->reason == PARK_DAMAGED)
        return ERR_DAMAGED;
    if (row->endpoint == 0 && action->endpoint == 0)
        return refuse(action, ACTION_UNROUTED);
    if (is_in_doubt(row) && needs_certainty)
        return refuse(action, ACTION_NEEDS_GUARDED);
    if (moves && delivery_row_delivered_us(row) != 0)
        return refuse(action, ACTION_WAS_DELIVERED);
    if (!action->looks && row->endpoint != action->expected_endpoint)
        return ERR_MOVED_ON;
    enum err result = moves ? refuse_second(store, action, row) : OK;
    if (!result)
        result = look_at_event(store, action, placement_event(row->id), &guarded);
    /* The first endpoint may have done the work, and the other one cannot recognize the event. */
    if (!result && moves && guarded && row->attempts > 0 && needs_certainty)
        result = refuse(action, ACTION_NEEDS_GUARDED);
    return result;
}

/* Makes the operator's move if the row is in the state that the operator expects. */
static enum err action_on(
    struct store *store, struct journal_operator_action *action, struct delivery_row *row)
{
    action->ret_delivery = row->id;
    action->ret_endpoint = row->endpoint;
    action->ret_state = row->state;
    if (action->looks && action->from_any & 1u << row->state)
        action->from = row->state;
    bool is_other_round =
        action->expects_generation && row->generation != action->expected_generation;
    if (row->state != action->from || is_other_round)
        return ERR_MOVED_ON;
    if (!delivery_state_may_move_by_operator(action->from, action->to))
        return ERR_MOVED_ON;
    enum err result = action->to == DELIVERY_PENDING ? check_sending(store, action, row) : OK;
    if (!result && action->from_any && action->to == DELIVERY_DISCARDED && is_in_doubt(row))
        result =
            refuse(action, ACTION_NEEDS_GUARDED); /* the operator may have seen another state */
    if (result || action->looks)
        return result;
    const struct delivery_row before = *row;
    const struct delivery_move move = {.to = action->to, .lane = LANE_REPLAY};
    if (action->endpoint != 0 && action->endpoint != row->endpoint) {
        result =
            store_transfer_totals(store, placement_event(row->id), row->endpoint, action->endpoint);
        row->endpoint = action->endpoint;
    }
    if (!result)
        result = delivery_rows_move_row(&store->deliveries, row, &move, store->now_us);
    if (!result)
        result = delivery_rows_add_action(&store->deliveries, &before, row, action->actor,
            slice_from_string(action->note), store->now_us);
    if (!result) {
        action->ret_state = row->state;
        action->ret_endpoint = row->endpoint;
    }
    /* The move is written by now: a failure behind it concerns the whole transaction. */
    return result == ERR_DAMAGED ? ERR_DISK : result;
}

enum err store_action(struct store *store, struct request *request)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, request);
    struct delivery_row row;
    int64_t seq;
    bool may_action =
        (action->from_any || delivery_state_may_move_by_operator(action->from, action->to)) &&
        action->index < ACCOUNT_ENDPOINTS_MAX &&
        (action->to == DELIVERY_PENDING || action->endpoint == 0);
    action->ret_refusal = ACTION_NOT_REFUSED;
    assert(may_action);
    if (!may_action)
        return store_end_request(request, ERR_INVALID);
    enum err result = event_rows_find(&store->events, &action->event, &seq);
    if (!result)
        result =
            delivery_rows_read(&store->deliveries, placement_delivery(seq, action->index), &row);
    if (result == ERR_DAMAGED)
        store_log_damaged(store, placement_delivery(seq, action->index));
    return store_end_request(request, result ? result : action_on(store, action, &row));
}
