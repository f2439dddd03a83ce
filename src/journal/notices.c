/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the journal itself has to report to operators: conflicts, and deliveries that it parks
 * without being asked by delivery. They are noted in the transaction, on a board of its own
 * (model/notice_board.h), and reported after the commit: what is rolled back is not reported.
 */
#include "journal/store.h"
#include "model/delivery_id.h"
#include "model/object_id.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <stdio.h>

#define GAP_US_MIN US_PER_SECOND
#define GAP_US_MAX (60 * US_PER_SECOND)

void store_init_notices(struct store *store, const struct operator_event_sink *sink)
{
    store->operator_events = *sink;
    notice_board_init(&store->noted, GAP_US_MIN, GAP_US_MAX);
    notice_board_init(&store->notices, GAP_US_MIN, GAP_US_MAX);
}

static struct operator_event notice_of(
    enum operator_event_kind kind, const struct event_parts *parts)
{
    struct operator_event event = {.kind = kind, .count = 1};
    snprintf(event.partner, sizeof event.partner, "%.*s", SLICE_ARGS(parts->partner));
    snprintf(event.account, sizeof event.account, "%.*s", SLICE_ARGS(parts->account));
    return event;
}

void store_note_conflict(
    struct store *store, const struct event_id *first, const struct event *event, bool is_stored)
{
    const struct event_parts *parts = &event->parts;
    struct operator_event noted = notice_of(OPERATOR_EVENT_CONFLICT, parts);
    char detail[OPERATOR_DETAIL_BYTES];
    event_id_format(first, noted.first_event);
    if (is_stored)
        event_id_format(&parts->id, noted.event);
    snprintf(detail, sizeof detail, "type %.*s, key %.*s", SLICE_ARGS(parts->type),
        SLICE_ARGS(parts->key));
    operator_event_set_detail(&noted, detail);
    notice_board_add(&store->noted, &noted, store->now_mono_us);
}

static const char *why_parked(enum park_reason reason)
{
    switch (reason) {
    case PARK_AMBIGUOUS:
        return "it was being sent when the last run ended: it is unknown whether the client did "
               "the work";
    case PARK_TAKEN_OVER:
        return "another journal may have sent it";
    case PARK_DOUBTFUL:
        return "the dedupe store cannot tell whether its key is new";
    case PARK_MISMATCH:
        return "it arrived from a partition that is not its account's";
    case PARK_DAMAGED:
        return "its row or its event is damaged";
    default:
        return "";
    }
}

void store_note_parked_event(struct store *store, int64_t delivery, uint64_t endpoint,
    enum park_reason reason, const struct event_parts *parts)
{
    struct operator_event noted = notice_of(OPERATOR_DELIVERY_PARKED, parts);
    snprintf(noted.subject, sizeof noted.subject, "%s", park_reason_name(reason));
    snprintf(noted.cause, sizeof noted.cause, "%s",
        reason == PARK_AMBIGUOUS ? attempt_cause_code(CAUSE_INTERRUPTED)
                                 : park_reason_name(reason));
    operator_event_set_detail(&noted, why_parked(reason));
    if (endpoint)
        endpoint_id_format(endpoint, noted.endpoint);
    if (parts->account.len) {
        event_id_format(&parts->id, noted.event);
        delivery_id_format(&parts->id, placement_index(delivery), noted.delivery);
    }
    notice_board_add(&store->noted, &noted, store->now_mono_us);
}

enum err store_note_parked(
    struct store *store, int64_t delivery, uint64_t endpoint, enum park_reason reason)
{
    static const struct event_reading reading = {.without_body = true};
    static const struct event_parts unknown = {0};
    struct event *event;
    enum err result =
        event_rows_read(&store->events, placement_event(delivery), &reading, &event, NULL);
    if (result && result != ERR_DAMAGED && result != ERR_NOT_FOUND)
        return result;
    store_note_parked_event(store, delivery, endpoint, reason, result ? &unknown : &event->parts);
    if (!result)
        event_unref(event);
    return OK;
}

void store_report_notices(struct store *store, int64_t now_mono_us)
{
    struct operator_event event;
    while (notice_board_take(&store->notices, now_mono_us, &event)) {
        if (event.kind == OPERATOR_EVENT_CONFLICT) {
            log_warn("an event has the key of an accepted event and a different amount or "
                     "currency: it is kept as a conflict first=%s partner=%s account=%s count=%lld",
                event.first_event, event.partner, event.account, (long long)event.count);
            event.is_logged = true;
        }
        operator_event_post(&store->operator_events, &event);
    }
}
