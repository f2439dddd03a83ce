/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/delivery_row.h"

#include "base/cleanup.h"
#include "sqlite/checksum.h"

#include <assert.h>
#include <stdio.h>

#define ERROR_NAME_BYTES 32

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

/* Returns whether the event becomes the journal's own: something happened to it that the broker
 * cannot detect. */
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
    row->wait_cause = row->state == DELIVERY_WAITING ? move->wait_cause : WAIT_NONE;
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
    row->wait_cause = WAIT_NONE;
    row->lane = LANE_RETRY;
    row->changed_us = now_us;
    row->broker_owned = false;
    row->delivered_us = 0; /* it would say where it is, and is not believed either */
}

/* Rows as they are on disk. */

int64_t delivery_row_stored_reason(const struct delivery_row *row)
{
    return row->state == DELIVERY_WAITING ? (int64_t)row->wait_cause : (int64_t)row->reason;
}

uint32_t delivery_row_checksum(const struct delivery_row *row)
{
    const int64_t numbers[] = {row->id, (int64_t)row->endpoint, row->state,
        delivery_row_stored_reason(row), row->lane, row->generation, row->attempts, row->failures,
        row->due_us, row->changed_us, row->started_us, row->duration_us, row->http_status,
        row->broker_owned, row->delivered_us, row->class};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), NULL, 0);
}

struct backlog_place delivery_row_place(const struct delivery_row *row)
{
    return backlog_place_of(row->endpoint, row->state, row->reason, row->lane, row->class);
}

bool delivery_row_take(const struct sql_use *use, int column, struct delivery_row *ret_row)
{
    int64_t reason = sql_column_int(use, column + 3);
    *ret_row = (struct delivery_row){
        .id = sql_column_int(use, column),
        .endpoint = (uint64_t)sql_column_int(use, column + 1),
        .state = (enum delivery_state)sql_column_int(use, column + 2),
        .lane = (enum delivery_lane)sql_column_int(use, column + 4),
        .generation = (uint32_t)sql_column_int(use, column + 5),
        .attempts = (uint32_t)sql_column_int(use, column + 6),
        .failures = (uint32_t)sql_column_int(use, column + 7),
        .due_us = sql_column_int(use, column + 8),
        .changed_us = sql_column_int(use, column + 9),
        .started_us = sql_column_int(use, column + 10),
        .duration_us = sql_column_int(use, column + 11),
        .http_status = (int)sql_column_int(use, column + 12),
        .broker_owned = sql_column_int(use, column + 13) == 1,
        .delivered_us = sql_column_int(use, column + 14),
        .class = (enum event_class)sql_column_int(use, column + 15),
    };
    if (ret_row->state == DELIVERY_WAITING)
        ret_row->wait_cause = (enum wait_cause)reason;
    else
        ret_row->reason = (enum park_reason)reason;
    ret_row->counted = delivery_row_place(ret_row);
    return (unsigned)ret_row->state < DELIVERY_STATES && (unsigned)ret_row->lane <= LANE_REPLAY &&
           delivery_row_checksum(ret_row) == sql_column_int(use, column + 16);
}

uint32_t attempt_row_checksum(int64_t delivery, const struct attempt *attempt)
{
    const int64_t numbers[] = {delivery, attempt->number, attempt->started_us, attempt->duration_us,
        attempt->end.http_status, attempt->end.request_begun, attempt->evidence.warm,
        attempt->evidence.request_complete, attempt->evidence.request_bytes,
        attempt->evidence.answer_bytes, attempt->evidence.dns_us, attempt->evidence.connect_us,
        attempt->evidence.tls_us, attempt->evidence.first_byte_us};
    const struct slice texts[] = {slice_from_string(err_name(attempt->end.error)),
        slice_of(attempt->excerpt, attempt->excerpt_len), slice_from_string(attempt->evidence.peer),
        slice_from_string(attempt->evidence.tls), slice_from_string(attempt->evidence.http),
        slice_from_string(attempt->evidence.tls_problem),
        slice_from_string(attempt->evidence.location), slice_from_string(attempt->rule),
        slice_from_string(attempt_cause_code(attempt->evidence.cause))};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), texts, ARRAY_LENGTH(texts));
}

/* ERR_BUG when no error is called so. */
static enum err error_of(struct slice name)
{
    char text[ERROR_NAME_BYTES];
    if (name.len >= sizeof text)
        return ERR_BUG;
    snprintf(text, sizeof text, "%.*s", SLICE_ARGS(name));
    return err_from_name(text);
}

/* What was not written by us may be longer: the checksum finds that it is not the same. */
static void take_text(const struct sql_use *use, int column, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%.*s", SLICE_ARGS(sql_column_slice(use, column)));
}

bool attempt_row_take(const struct sql_use *use, int64_t *ret_delivery, struct attempt *ret_attempt)
{
    struct slice error = sql_column_slice(use, 5), excerpt = sql_column_slice(use, 11);
    *ret_delivery = sql_column_int(use, 0);
    *ret_attempt = (struct attempt){
        .number = (uint32_t)sql_column_int(use, 1),
        .started_us = sql_column_int(use, 2),
        .duration_us = sql_column_int(use, 3),
        .end =
            {
                .http_status = (int)sql_column_int(use, 4),
                .error = error_of(error),
                .request_begun = sql_column_int(use, 6) != 0,
            },
        .evidence =
            {
                .warm = sql_column_int(use, 7) != 0,
                .request_complete = sql_column_int(use, 8) != 0,
                .request_bytes = (uint32_t)sql_column_int(use, 9),
                .answer_bytes = (uint32_t)sql_column_int(use, 10),
                .dns_us = (uint32_t)sql_column_int(use, 12),
                .connect_us = (uint32_t)sql_column_int(use, 13),
                .tls_us = (uint32_t)sql_column_int(use, 14),
                .first_byte_us = (uint32_t)sql_column_int(use, 15),
            },
        .excerpt_len =
            (uint32_t)(excerpt.len < sizeof ret_attempt->excerpt ? excerpt.len
                                                                 : sizeof ret_attempt->excerpt),
    };
    if (ret_attempt->excerpt_len)
        memcpy(ret_attempt->excerpt, excerpt.data, ret_attempt->excerpt_len);
    struct attempt_evidence *evidence = &ret_attempt->evidence;
    take_text(use, 16, evidence->peer, sizeof evidence->peer);
    take_text(use, 17, evidence->tls, sizeof evidence->tls);
    take_text(use, 18, evidence->http, sizeof evidence->http);
    take_text(use, 19, evidence->tls_problem, sizeof evidence->tls_problem);
    take_text(use, 20, evidence->location, sizeof evidence->location);
    take_text(use, 21, ret_attempt->rule, sizeof ret_attempt->rule);
    char cause[CAUSE_CODE_BYTES];
    take_text(use, 22, cause, sizeof cause);
    evidence->cause = attempt_cause_from_code(cause);
    return attempt_row_checksum(*ret_delivery, ret_attempt) == sql_column_int(use, 23);
}

uint32_t action_row_checksum(const struct delivery_row *before, const struct delivery_row *after,
    enum action_actor actor, struct slice note, int64_t at_us)
{
    const int64_t numbers[] = {after->id, at_us, before->state, after->state, after->generation,
        (int64_t)before->endpoint, (int64_t)after->endpoint, actor};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), &note, 1);
}
