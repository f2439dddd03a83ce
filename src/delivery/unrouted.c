/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routing: gives unrouted deliveries an endpoint. A delivery is unrouted when no endpoint wanted
 * its event's type when the event was accepted.
 *
 * A walk runs whenever an endpoint is added, enabled, or changes its types, and once at the start.
 * The journal lists the unrouted deliveries, 256 at a time. The directory says which endpoint wants
 * each one. The journal then makes it pending for that endpoint. If several endpoints want it, the
 * first one gets it: an event has as many deliveries as when it was accepted.
 *
 * An event may be judged just before an endpoint appears and be committed just after the walk has
 * passed. Therefore each event that is handed over as unrouted is judged again
 * (unrouted_look_again).
 */
#include "delivery/unrouted.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/queues.h"
#include "delivery/refill.h"
#include "delivery/shard.h"
#include "runtime/log.h"

#define WALK_COUNT_MAX 256
#define WALK_AGAIN_US US_PER_SECOND

/* One walk. */
struct unrouted_walk {
    struct delivery_shard *shard;
    struct journal_list_parked list;
    struct journal_route route;
    struct journal_parked unrouted[WALK_COUNT_MAX];
    struct journal_routing routings[WALK_COUNT_MAX];
};

/* Returns the first enabled endpoint of the account that takes this type, or 0. */
static uint64_t find_taker(
    const struct delivery_shard *shard, struct slice account_id, struct slice type)
{
    const struct account *account = directory_account(shard->taker.directory, account_id);
    for (unsigned i = 0; account && i < account->endpoints_count; i++) {
        const struct endpoint *endpoint =
            directory_endpoint(shard->taker.directory, account->endpoints[i]);
        if (endpoint && endpoint->enabled && endpoint_takes(endpoint, type))
            return endpoint->id;
    }
    return 0;
}

bool unrouted_look_again(struct delivery_shard *shard, const struct event *event)
{
    if (shard->taker.stopping) /* the directory may be gone */
        return false;
    bool has_taker = find_taker(shard, event->parts.account, event->parts.type) != 0;
    if (has_taker)
        unrouted_walk(shard);
    return has_taker;
}

static void on_listed(struct request *request, void *receiver);

static void ask_for_more(struct unrouted_walk *walk)
{
    walk->list.endpoint = 0;
    walk->list.reason = PARK_UNROUTED;
    walk->list.count_max = WALK_COUNT_MAX;
    walk->list.ret_parked = walk->unrouted;
    shard_ask(walk->shard, &walk->list.request, JOURNAL_LIST_PARKED, on_listed);
}

static void walk_later(struct delivery_shard *shard, enum err error)
{
    log_error("unrouted deliveries could not be read: tried again in a second shard=%u error=%s",
        shard->taker.shard, err_name(error));
    timer_arm(&shard->loop, &shard->unrouted_timer, WALK_AGAIN_US);
}

static void end_walk(struct unrouted_walk *walk, enum err result)
{
    struct delivery_shard *shard = walk->shard;
    free(TAKE(shard->walk));
    if (result && !shard->taker.stopping)
        walk_later(shard, result);
    else if (shard->walk_again)
        unrouted_walk(shard);
}

static void go_on(struct unrouted_walk *walk)
{
    if (walk->list.ret_after_id == INT64_MAX || walk->shard->taker.stopping) {
        end_walk(walk, OK);
        return;
    }
    walk->list.after_id = walk->list.ret_after_id;
    ask_for_more(walk);
}

static void on_routed(struct request *request, void *receiver)
{
    struct unrouted_walk *walk = CONTAINER_OF(request, struct unrouted_walk, route.request);
    struct delivery_shard *shard = receiver;
    if (request->result != OK) {
        end_walk(walk, request->result);
    } else {
        for (unsigned i = 0; i < walk->route.count; i++)
            refill_expect_pending(
                queues_get(shard, walk->routings[i].endpoint), walk->routings[i].delivery);
        if (walk->route.ret_count > 0)
            log_info("unrouted deliveries have an endpoint now shard=%u count=%u",
                shard->taker.shard, walk->route.ret_count);
        go_on(walk);
    }
}

static void on_listed(struct request *request, void *receiver)
{
    struct unrouted_walk *walk = CONTAINER_OF(request, struct unrouted_walk, list.request);
    struct delivery_shard *shard = receiver;
    unsigned count = 0;
    for (unsigned i = 0;
         request->result == OK && !shard->taker.stopping && i < walk->list.ret_count; i++) {
        const struct journal_parked *it = &walk->unrouted[i];
        uint64_t taker =
            find_taker(shard, slice_from_string(it->account), slice_from_string(it->type));
        if (taker == 0)
            continue;
        walk->routings[count].delivery = it->delivery;
        walk->routings[count++].endpoint = taker;
    }
    if (request->result != OK) {
        end_walk(walk, request->result);
    } else if (count == 0) {
        go_on(walk);
    } else {
        walk->route = (struct journal_route){
            .count = count,
            .routings = walk->routings,
        };
        shard_ask(shard, &walk->route.request, JOURNAL_ROUTE, on_routed);
    }
}

static void on_route_timer(struct timer *timer)
{
    unrouted_walk(CONTAINER_OF(timer, struct delivery_shard, unrouted_timer));
}

void unrouted_init(struct delivery_shard *shard)
{
    timer_init(&shard->unrouted_timer, on_route_timer);
}

void unrouted_walk(struct delivery_shard *shard)
{
    if (shard->taker.stopping || !shard->scanned)
        return;
    shard->walk_again = shard->walk != NULL; /* what it has passed is looked at again */
    if (shard->walk)
        return;
    struct unrouted_walk *walk;
    MEMORY_NEW(walk);
    walk->shard = shard;
    shard->walk = walk;
    ask_for_more(walk);
}
