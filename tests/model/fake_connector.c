/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces the connector, its links, and the taps (broker/connector.h, broker/tap.h), as far as
 * delivery needs them. */
#include "broker/tap.h"
#include "fake_broker_internal.h"
#include "sim_loop.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 8

/* There is at most one. */
static struct tap *living_tap;

/* Connections that the connector has opened. */

struct broker_link {
    struct broker_link *self;
};

static unsigned links_out;

void broker_link_free(struct broker_link *link)
{
    if (!link)
        return;
    assert(link->self == link);
    links_out--;
    free(link);
}

static struct broker_link *new_link(void)
{
    struct broker_link *link = malloc(sizeof *link);
    assert(link);
    link->self = link;
    links_out++;
    return link;
}

unsigned fake_broker_links(void)
{
    return links_out + subscriber_is_living() + (living_tap != NULL);
}

/* broker/tap.h */

struct tap {
    struct loop *loop;
    struct loop_watch watch;
    void (*on_lost)(void *context, const char *why);
    void *context;
    bool is_open, is_cut;
};

static void on_tap_ready(struct loop_watch *watch, uint32_t events)
{
    struct tap *tap = CONTAINER_OF(watch, struct tap, watch);
    (void)events;
    if (!tap->is_cut)
        return;
    tap->is_open = tap->is_cut = false;
    tap->on_lost(tap->context, "cut");
}

struct tap *tap_new(
    struct broker_host *host, void (*on_lost)(void *context, const char *why), void *context)
{
    struct tap *tap = calloc(1, sizeof *tap);
    assert(tap && !living_tap);
    tap->loop = CONTAINER_OF(host, struct broker_loop_host, host)->loop;
    tap->watch.on_ready = on_tap_ready;
    tap->on_lost = on_lost;
    tap->context = context;
    living_tap = tap;
    return tap;
}

void tap_free(struct tap *tap)
{
    if (!tap)
        return;
    loop_watch_remove(tap->loop, &tap->watch);
    free(tap);
    living_tap = NULL;
}

enum err tap_open(struct tap *tap, struct broker_link *link)
{
    assert(!tap->is_open);
    broker_link_free(link);
    tap->is_open = true;
    if (!fake_broker_is_up())
        tap_lose();
    return OK;
}

bool tap_is_open(const struct tap *tap)
{
    return tap->is_open;
}

void tap_publish(struct tap *tap, const struct event_parts *parts)
{
    struct model_post *post = model_post_of_id(&parts->id);
    fail_unless(
        post && slice_equal(post->body, parts->body), "P2", "a tap gets an event never posted");
    tally(tap->is_open ? TALLY_TAPPED : TALLY_TAPS_DROPPED);
}

void tap_tick(struct tap *tap, int64_t now_mono_us)
{
    (void)tap;
    (void)now_mono_us;
}

void tap_lose(void)
{
    if (!living_tap || !living_tap->is_open)
        return;
    living_tap->is_cut = true;
    sim_loop_ring(living_tap->loop, &living_tap->watch);
}

/* broker/connector.h */

struct broker_connector {
    struct connector_request *requests[REQUESTS_MAX];
    unsigned count;
    bool doubt;
};

static struct broker_connector *living_connector;

struct broker_connector *fake_connector_new(void)
{
    living_connector = calloc(1, sizeof *living_connector);
    assert(living_connector);
    living_connector->doubt = true;
    return living_connector;
}

static void answer(struct broker_connector *connector, enum err result, const char *detail)
{
    struct connector_request *request = connector->requests[0];
    memmove(connector->requests, connector->requests + 1,
        --connector->count * sizeof connector->requests[0]);
    bool opens =
        request->base.kind == CONNECTOR_OPEN_SUBSCRIBER || request->base.kind == CONNECTOR_OPEN_TAP;
    request->ret_link = result == OK && opens ? new_link() : NULL;
    snprintf(request->ret_detail, sizeof request->ret_detail, "%s", detail);
    request_answer(&request->base, result);
}

void broker_connector_submit(struct broker_connector *connector, struct connector_request *request)
{
    assert(connector == living_connector && connector->count < REQUESTS_MAX);
    connector->requests[connector->count++] = request;
}

void broker_connector_doubt(struct broker_connector *connector)
{
    connector->doubt = true;
}

bool connector_has_request(void)
{
    return living_connector && living_connector->count > 0;
}

bool connector_answer_one(enum connector_answer how)
{
    struct broker_connector *connector = living_connector;
    bool of_delivery = connector->requests[0]->base.kind != CONNECTOR_OPEN_TAP;
    if (how == CONNECTOR_DOWN) {
        answer(connector, ERR_CONNECT, "the broker is down");
    } else if (how == CONNECTOR_REFUSES) {
        answer(connector, ERR_UNAVAILABLE, "refused by the driver");
    } else if (how == CONNECTOR_NOT_OWNER && of_delivery) {
        answer(connector, ERR_NOT_OWNER, "delivery is owned by another journal");
        tally(TALLY_NOT_OWNER);
    } else {
        bool doubt = connector->doubt;
        connector->doubt = false;
        answer(connector, OK, "");
        return doubt;
    }
    return false;
}

void fake_connector_stop(struct broker_connector *connector)
{
    if (!connector)
        return;
    while (connector->count > 0)
        answer(connector, ERR_SHUTTING_DOWN, "the connector stops");
    living_connector = NULL;
    free(connector);
}

void fake_connector_crashed(void)
{
    living_connector = NULL;
    living_tap = NULL;
    links_out = 0;
}
