/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_LOAD and JOURNAL_SURVEY: what is open goes back into memory. */
#include "journal/store.h"

#include "runtime/log.h"

#include <stdlib.h>

/* A delivery that can't be believed is put where a person finds it, and named once. */
static enum err park_damaged(struct store *store, const struct delivery *delivery)
{
    log_error("stored event is damaged, its delivery is parked shard=%u delivery=%lld event_number=%lld endpoint=%llu",
        store->shard, (long long)delivery->id, (long long)(delivery->id / ACCOUNT_ENDPOINTS_MAX),
        (unsigned long long)delivery->endpoint);
    const struct journal_settle order = {
        .delivery = delivery->id,
        .generation = delivery->generation,
        .from = delivery->state,
        .to = DELIVERY_PARKED,
        .reason = PARK_DAMAGED,
        .lane = delivery->lane,
        .failures = delivery->failures,
    };
    return delivery_rows_move(&store->deliveries, &order, false, store->now_us);
}

/* Gives `delivery` its event. ERR_TOO_LARGE and ERR_OVERLOADED: the answer ends before it. */
static enum err read_event(
    struct store *store, const struct journal_load *load, int64_t bytes_left, struct delivery *delivery)
{
    if ((unsigned)delivery->lane > LANE_REPLAY)
        return ERR_DAMAGED;
    const struct event_reading reading = {
        .credit = load->credit,
        .credit_share_percent = load->credit_share_percent,
        .body_bytes_max = bytes_left,
    };
    enum err result = event_rows_read(&store->events, delivery->id / ACCOUNT_ENDPOINTS_MAX, &reading, &delivery->event);
    if (!result && delivery->state == DELIVERY_PENDING)
        delivery->due_us = delivery->event->parts.accepted_us;
    return result;
}

/* Turns the first `listed` rows into whole deliveries; those that are damaged leave the list. */
static enum err fill(struct store *store, struct journal_load *load, unsigned listed)
{
    int64_t bytes_left = load->bytes_max;
    for (unsigned i = 0; i < listed; i++) {
        struct delivery delivery = load->ret_deliveries[i];
        enum err result = read_event(store, load, bytes_left, &delivery);
        if (result == ERR_TOO_LARGE || result == ERR_OVERLOADED) {
            load->ret_more = true;
            return OK;
        }
        if (result == ERR_DAMAGED)
            result = park_damaged(store, &delivery);
        if (result)
            return result;
        if (!delivery.event)
            continue;
        bytes_left -= (int64_t)delivery.event->parts.body.len;
        load->ret_deliveries[load->ret_count++] = delivery;
    }
    return OK;
}

enum err store_load(struct store *store, struct journal_request *request)
{
    struct journal_load *load = CONTAINER_OF(request, struct journal_load, request);
    unsigned listed;
    load->ret_count = 0;
    enum err result = delivery_rows_list_due(&store->deliveries, load, load->ret_deliveries, &listed, &load->ret_more);
    if (!result)
        result = delivery_rows_next_due(&store->deliveries, load, &load->ret_next_due_us);
    return result ? result : fill(store, load, listed);
}

void store_undo_load(struct journal_request *request)
{
    struct journal_load *load = CONTAINER_OF(request, struct journal_load, request);
    for (unsigned i = 0; i < load->ret_count; i++)
        event_unref(load->ret_deliveries[i].event);
    load->ret_count = 0;
    load->ret_more = false;
}

enum err store_survey(struct store *store, struct journal_request *request)
{
    struct journal_survey *survey = CONTAINER_OF(request, struct journal_survey, request);
    survey->ret_count = 0;
    survey->ret_backlogs = NULL;
    enum err result = delivery_rows_bring_forward(&store->deliveries, survey->due_max_us);
    return result ? result : delivery_rows_count_open(&store->deliveries, &survey->ret_backlogs, &survey->ret_count);
}

void store_undo_survey(struct journal_request *request)
{
    struct journal_survey *survey = CONTAINER_OF(request, struct journal_survey, request);
    free(survey->ret_backlogs);
    survey->ret_backlogs = NULL;
    survey->ret_count = 0;
}
