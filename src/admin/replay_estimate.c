/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dry run of a replay: how many deliveries it selects, of how much money and from when, and how
 * many it would refuse. It reads the list of these deliveries page by page (history/listing.h), so
 * that each reading is short and others have their turns between two pages. It ends when its time
 * is up; the answer then says that it is not complete.
 *
 * Bounds: MONEY_MAX currencies and ENDPOINTS_COUNTED_MAX endpoints are counted one by one. Bodies
 * are not looked for: an expired one is found by the replay itself.
 */
#include "admin/replay_question.h"

#include "base/clock.h"
#include "base/memory.h"
#include "history/listing.h"
#include "model/money_sum.h"
#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>

#define MONEY_MAX 32
#define ENDPOINTS_COUNTED_MAX 256
#define ENDPOINTS_SHOWN 20

struct replay_estimate {
    struct journal_list list;
    struct admin *admin;
    struct replay_order order;
    int64_t until_us; /* monotonic */
    void (*on_done)(const struct replay_estimate *estimate, enum err result, void *context);
    void *context;

    bool complete;
    int64_t count, oldest_us, newest_us;
    int64_t of_shard[SHARDS_MAX];
    bool unplaced; /* the shard of one is not known: its event is damaged */
    int64_t refused[REPLAY_REFUSALS];
    unsigned money_count, endpoints_count;
    bool endpoints_left_off;
    struct {
        char currency[CURRENCY_BYTES + 1];
        int64_t count;
        struct money_sum sum;
    } money[MONEY_MAX];
    struct endpoint_count {
        uint64_t endpoint;
        int64_t count;
    } endpoints[ENDPOINTS_COUNTED_MAX];
};

/* Counting. */

static void count_money(struct replay_estimate *estimate, const struct event_parts *parts)
{
    unsigned at = 0;
    if (!parts->amount.len)
        return;
    while (at < estimate->money_count &&
           !slice_equals_string(parts->currency, estimate->money[at].currency))
        at++;
    if (at == MONEY_MAX)
        return;
    if (at == estimate->money_count) {
        snprintf(estimate->money[at].currency, sizeof estimate->money[at].currency, "%.*s",
            SLICE_ARGS(parts->currency));
        estimate->money_count++;
    }
    estimate->money[at].count++;
    (void)money_sum_add(&estimate->money[at].sum, parts->amount, 1);
}

static void count_endpoint(struct replay_estimate *estimate, uint64_t endpoint)
{
    unsigned at = 0;
    while (at < estimate->endpoints_count && estimate->endpoints[at].endpoint != endpoint)
        at++;
    if (at == ENDPOINTS_COUNTED_MAX) {
        estimate->endpoints_left_off = true;
        return;
    }
    if (at == estimate->endpoints_count)
        estimate->endpoints[estimate->endpoints_count++].endpoint = endpoint;
    estimate->endpoints[at].count++;
}

/* What the journal and the owner of the delivery would say. */
static enum replay_refusal judge(
    const struct replay_estimate *estimate, const struct listed_delivery *listed)
{
    const struct delivery *delivery = &listed->delivery.delivery;
    const struct replay_candidate candidate = {.state = delivery->state,
        .reason = listed->delivery.reason,
        .routed = delivery->endpoint != 0,
        .guarded = listed->event && listed->event->parts.guarded,
        .has_body = true,
        .damaged =
            listed->delivery.damaged || !listed->event || listed->delivery.reason == PARK_DAMAGED};
    enum replay_refusal refusal = replay_judge(&estimate->order, &candidate);
    if (refusal != REPLAY_NOT_REFUSED || estimate->order.action != REPLAY_ACTION_RETRY)
        return refusal;
    const struct endpoint *endpoint = directory_endpoint(
        accounts_directory(estimate->admin->options.accounts), delivery->endpoint);
    if (!endpoint)
        return REPLAY_ENDPOINT_GONE;
    return endpoint->enabled ? REPLAY_NOT_REFUSED : REPLAY_ENDPOINT_DISABLED;
}

static bool fits(const struct replay_estimate *estimate, const struct listed_delivery *listed)
{
    const struct replay_order *order = &estimate->order;
    const struct delivery *delivery = &listed->delivery.delivery;
    const struct delivery_filter_row row = {.endpoint = delivery->endpoint,
        .state = delivery->state,
        .reason = listed->delivery.reason};
    if (!(replay_states(order->action, order->force) & 1u << delivery->state))
        return false;
    return delivery_filter_matches_row(&order->filter, &row) &&
           (listed->event ? delivery_filter_matches_event(&order->filter, &listed->event->parts)
                          : !delivery_filter_asks_for_event(&order->filter));
}

static void count(struct replay_estimate *estimate, const struct listed_delivery *listed)
{
    if (!fits(estimate, listed))
        return;
    enum replay_refusal refusal = judge(estimate, listed);
    estimate->count++;
    if (refusal != REPLAY_NOT_REFUSED)
        estimate->refused[refusal]++;
    count_endpoint(estimate, listed->delivery.delivery.endpoint);
    estimate->unplaced |= !listed->event;
    if (!listed->event)
        return;
    const struct event_parts *parts = &listed->event->parts;
    estimate->of_shard[placement_shard(
        event_id_partition(&parts->id), estimate->admin->options.shards)]++;
    count_money(estimate, parts);
    if (!estimate->oldest_us || parts->accepted_us < estimate->oldest_us)
        estimate->oldest_us = parts->accepted_us;
    if (parts->accepted_us > estimate->newest_us)
        estimate->newest_us = parts->accepted_us;
}

/* Reading. */

static void end(struct replay_estimate *estimate, enum err result)
{
    estimate->on_done(estimate, result, estimate->context);
    free(estimate);
}

static void on_page(struct request *request, void *receiver)
{
    struct replay_estimate *estimate =
        CONTAINER_OF(request, struct replay_estimate, list.page.request);
    struct journal_list *list = &estimate->list;
    enum err result = request->result;
    (void)receiver;
    for (unsigned i = 0; !result && i < list->page.ret_count; i++)
        count(estimate, &list->ret_deliveries[i]);
    journal_list_done(list);
    estimate->complete = !result && !list->page.ret_more;
    if (result || estimate->complete || clock_mono_us() >= estimate->until_us ||
        estimate->admin->draining)
        end(estimate, result);
    else
        journal_reader_list(estimate->admin->options.reader, list);
}

void replay_estimate(struct admin *admin, const struct replay_order *order, int64_t within_us,
    void (*on_done)(const struct replay_estimate *estimate, enum err result, void *context),
    void *context)
{
    struct replay_estimate *estimate;
    MEMORY_NEW(estimate);
    estimate->admin = admin;
    estimate->order = *order;
    estimate->until_us = clock_mono_us() + within_us;
    estimate->on_done = on_done;
    estimate->context = context;
    estimate->list.filter = order->filter;
    estimate->list.filter.states &= replay_states(order->action, order->force);
    estimate->list.page.count_max = LISTING_COUNT_MAX;
    estimate->list.page.request.reply_to = &admin->mailbox;
    estimate->list.page.request.on_done = on_page;
    journal_reader_list(admin->options.reader, &estimate->list);
}

/* The answer. */

int64_t replay_estimate_total(const struct replay_estimate *estimate)
{
    return estimate->complete ? estimate->count : -1;
}

int64_t replay_estimate_of_shard(const struct replay_estimate *estimate, unsigned shard)
{
    return estimate->complete && !estimate->unplaced ? estimate->of_shard[shard] : -1;
}

static int by_count(const void *one, const void *other)
{
    const struct endpoint_count *a = one, *b = other;
    return (a->count < b->count) - (a->count > b->count);
}

static json_t *view_endpoints(const struct replay_estimate *estimate)
{
    struct endpoint_count sorted[ENDPOINTS_COUNTED_MAX];
    unsigned count = estimate->endpoints_count;
    json_t *view = json_array();
    memcpy(sorted, estimate->endpoints, count * sizeof sorted[0]);
    qsort(sorted, count, sizeof sorted[0], by_count);
    for (unsigned i = 0; i < count && i < ENDPOINTS_SHOWN; i++)
        json_array_append_new(view, json_pack("{s:o, s:I}", "endpoint",
                                        admin_endpoint_label(estimate->admin, sorted[i].endpoint),
                                        "count", (json_int_t)sorted[i].count));
    return view;
}

static json_t *view_money(const struct replay_estimate *estimate)
{
    json_t *view = json_array();
    for (unsigned i = 0; i < estimate->money_count; i++) {
        char amount[MONEY_SUM_TEXT_BYTES];
        money_sum_format(&estimate->money[i].sum, amount);
        json_array_append_new(
            view, json_pack("{s:s, s:I, s:s}", "currency", estimate->money[i].currency, "count",
                      (json_int_t)estimate->money[i].count, "amount", amount));
    }
    return view;
}

json_t *replay_view_refused(const int64_t refused[REPLAY_REFUSALS])
{
    json_t *view = json_object();
    for (unsigned i = REPLAY_NOT_REFUSED + 1; i < REPLAY_REFUSALS; i++)
        if (refused[i])
            json_object_set_new(
                view, replay_refusal_name((enum replay_refusal)i), json_integer(refused[i]));
    return view;
}

json_t *replay_estimate_view(const struct replay_estimate *estimate)
{
    const struct replay_order *order = &estimate->order;
    return json_pack("{s:b, s:s, s:o, s:b, s:b, s:i, s:b, s:I, s:o, s:o, s:o, s:o, s:o}", "dry_run",
        1, "action", replay_action_name(order->action), "filter",
        replay_view_filter(&order->filter), "force", (int)order->force, "guarded",
        (int)order->guarded, "rate", (int)order->rate, "complete", (int)estimate->complete, "count",
        (json_int_t)estimate->count, "money", view_money(estimate), "oldest",
        admin_time(estimate->oldest_us), "newest", admin_time(estimate->newest_us), "refused",
        replay_view_refused(estimate->refused), "endpoints", view_endpoints(estimate));
}
