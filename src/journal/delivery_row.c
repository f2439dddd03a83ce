/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/delivery_row.h"

#include <assert.h>

static bool waits_to_be_sent(enum delivery_state state)
{
    return state == DELIVERY_PENDING || state == DELIVERY_WAITING;
}

bool delivery_row_may_move(enum delivery_state from, enum delivery_state to)
{
    return delivery_state_may_move(from, to) ||
           (waits_to_be_sent(from) && delivery_state_may_move(DELIVERY_SENDING, to));
}

int64_t delivery_row_delivered_us(const struct delivery_row *row)
{
    if (row->delivered_us)
        return row->delivered_us;
    return row->state == DELIVERY_DELIVERED ? row->changed_us : 0;
}

enum delivery_replay delivery_row_replay(const struct delivery_row *row)
{
    if (!row->delivered_us)
        return REPLAY_NONE;
    if (row->state != DELIVERY_DELIVERED)
        return REPLAY_IN_PROGRESS;
    return row->started_us ? REPLAY_DELIVERED
                           : REPLAY_FAILED; /* the attempt that delivered before has left the row */
}

/* Something of the event has come to an end that the broker can't know of. */
static bool adopts(enum delivery_state to)
{
    return to == DELIVERY_WAITING || to == DELIVERY_PARKED || to == DELIVERY_DEAD;
}

bool delivery_row_move(struct delivery_row *row, const struct delivery_move *move, int64_t now_us)
{
    assert(delivery_row_may_move(row->state, move->to));
    bool adopts_event = row->broker_owned && adopts(move->to);
    row->broker_owned = row->broker_owned && move->to == DELIVERY_SENDING;
    row->delivered_us = delivery_row_delivered_us(row);
    row->state = row->delivered_us ? delivery_state_of_replay(move->to) : move->to;
    row->changed_us = now_us;
    row->reason = row->state == DELIVERY_PARKED ? move->reason : PARK_NONE;
    row->started_us = row->duration_us = row->http_status = 0;
    if (move->to == DELIVERY_SENDING)
        return false;
    row->lane = move->lane;
    row->failures = move->failures;
    if (move->to == DELIVERY_PENDING)
        row->generation++;
    if (move->to == DELIVERY_WAITING) {
        row->due_us = move->due_us;
        row->duration_us = move->wait_us;
    }
    if (!move->attempt)
        return adopts_event;
    row->attempts = move->attempt->number;
    if (move->to == DELIVERY_DELIVERED) {
        row->started_us = move->attempt->started_us;
        row->duration_us = move->attempt->duration_us;
        row->http_status = move->attempt->end.http_status;
    }
    return adopts_event;
}

void delivery_row_park_damaged(struct delivery_row *row, int64_t now_us)
{
    row->state = DELIVERY_PARKED;
    row->reason = PARK_DAMAGED;
    row->lane = LANE_RETRY;
    row->changed_us = now_us;
    row->broker_owned = false;
    row->delivered_us = 0; /* it would say where it is, and is not believed either */
}
