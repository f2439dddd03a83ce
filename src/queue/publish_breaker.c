/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/publish_breaker.h"

#include "base/clock.h"
#include "base/memory.h"
#include "broker/reconnect.h"
#include "queue/lag_watch.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PROBE_GAP_US_MIN US_PER_SECOND
#define PROBE_GAP_US_MAX (5 * US_PER_SECOND)
#define RENEWAL_GAP_US (5 * US_PER_SECOND)
#define REFUSAL_US_MAX (30 * US_PER_SECOND)
#define JAM_US_MAX (10 * US_PER_SECOND)
/* How often the number of waiting messages is asked for, and while there are some. An answer is
 * valid for BROKER_WAITING_AGE_S_MAX. Many partitions are asked less often. */
#define DEPTH_EVERY_US US_PER_SECOND
#define DEPTH_EVERY_US_BUSY (250 * US_PER_MS)
#define DEPTH_US_PER_PARTITION (20 * US_PER_MS)
#define DEPTH_US_LEAST_MAX (4 * US_PER_SECOND)

/* The circuit of the connection or of one partition. */
struct circuit {
    struct publish_breaker *breaker;
    bool open, probing;
    struct publication probe; /* owned by the publisher while `probing` */
    int64_t began_us, due_us, gap_us, sent_us;
};

enum publish_state { PUBLISH_DISCONNECTED, PUBLISH_BLOCKED, PUBLISH_OPEN, PUBLISH_CLOSED };

struct publish_breaker {
    struct publish_breaker_options options; /* immutable after publish_breaker_new */

    struct publisher *publisher;
    struct reconnect reconnect;
    enum publish_state state;
    bool good, stopped;
    bool renewal_due;
    int64_t renewed_us, no_room_since_us; /* `no_room_since_us` 0: there is room */
    int64_t now_us;                       /* of the last tick */
    int64_t depth_due_us;
    enum err connect_failure;
    char why[BROKER_STATUS_TEXT_BYTES]; /* why the breaker opened last */
    struct circuit link;
    unsigned open_count; /* partitions whose circuit is open */
    struct lag_watch lag;
    struct circuit partitions[];
};

/* What is logged and shown, once for each change. */

static void say(struct publish_breaker *breaker, bool state_changed)
{
    const char *peer = publisher_peer(breaker->publisher);
    broker_status_set(breaker->options.status, BROKER_ROLE_PUBLISH, breaker->options.number,
        breaker->good, peer, breaker->why);
    if (!state_changed)
        return;
    if (breaker->state == PUBLISH_CLOSED)
        log_info("publish breaker closed: events are published to the broker "
                 "broker=%s",
            peer);
    else
        log_warn("publish breaker open: events are written to the journal: %s", breaker->why);
}

static void set_why(struct publish_breaker *breaker, const char *why)
{
    snprintf(breaker->why, sizeof breaker->why, "%s", why);
}

/* Computes the state. The only function that changes it. */
static void update(struct publish_breaker *breaker)
{
    enum publish_state state = !publisher_is_open(breaker->publisher)       ? PUBLISH_DISCONNECTED
                               : !publisher_can_publish(breaker->publisher) ? PUBLISH_BLOCKED
                               : breaker->link.open                         ? PUBLISH_OPEN
                                                                            : PUBLISH_CLOSED;
    bool good = state == PUBLISH_CLOSED && breaker->open_count == 0;
    bool state_changed = state != breaker->state;
    metrics_add(METRIC_PUBLISH_BREAKERS_OPEN, (int64_t)breaker->good - (int64_t)good);
    breaker->state = state;
    breaker->good = good;
    if (!breaker->stopped)
        say(breaker, state_changed);
}

/* How long events wait in the broker. */

void publish_breaker_mark(
    struct publish_breaker *breaker, const struct event_id *id, int64_t now_mono_us)
{
    lag_watch_mark(&breaker->lag, id, now_mono_us);
}

bool publish_breaker_is_behind(
    struct publish_breaker *breaker, unsigned partition, int64_t now_mono_us)
{
    /* This gateway may not deliver what another one owns. */
    return !broker_connector_is_deposed(breaker->options.connector) &&
           lag_watch_is_behind(&breaker->lag, partition, now_mono_us);
}

/* Never with a guarded event: around a forced take-over another gateway may get the copy. */
static bool wants_lag_probe(
    const struct publish_breaker *breaker, unsigned partition, const struct event_parts *parts)
{
    return !parts->guarded && !breaker->partitions[partition].probing &&
           breaker->state == PUBLISH_CLOSED &&
           lag_watch_wants_probe(&breaker->lag, partition, breaker->now_us);
}

/* Circuits. */

static unsigned partition_of(const struct circuit *circuit)
{
    return (unsigned)(circuit - circuit->breaker->partitions);
}

static bool is_link(const struct circuit *circuit)
{
    return circuit == &circuit->breaker->link;
}

static void open_circuit(struct circuit *circuit, const char *why)
{
    struct publish_breaker *breaker = circuit->breaker;
    if (circuit->open)
        return;
    circuit->open = true;
    if (is_link(circuit))
        lag_watch_forget_all(&breaker->lag, breaker->now_us);
    else
        lag_watch_forget(&breaker->lag, partition_of(circuit), breaker->now_us);
    circuit->began_us = breaker->now_us;
    circuit->gap_us = PROBE_GAP_US_MIN;
    circuit->due_us = breaker->now_us + PROBE_GAP_US_MIN;
    if (is_link(circuit)) {
        set_why(breaker, why);
    } else {
        breaker->open_count++;
        snprintf(breaker->why, sizeof breaker->why,
            "partition %u: events are written to the journal: %s", partition_of(circuit), why);
        if (!breaker->stopped)
            log_warn("%s", breaker->why);
    }
    update(breaker);
}

static void close_circuit(struct circuit *circuit)
{
    struct publish_breaker *breaker = circuit->breaker;
    if (!circuit->open)
        return;
    circuit->open = false;
    if (circuit->probing)
        publisher_forget(breaker->publisher, &circuit->probe);
    circuit->probing = false;
    if (!is_link(circuit)) {
        breaker->open_count--;
        log_info("partition %u: events are published to the broker again", partition_of(circuit));
    }
    update(breaker);
}

static void probe_later(struct circuit *circuit)
{
    circuit->gap_us =
        circuit->gap_us * 2 < PROBE_GAP_US_MAX ? circuit->gap_us * 2 : PROBE_GAP_US_MAX;
    circuit->due_us = circuit->breaker->now_us + circuit->gap_us;
}

/* A channel of RabbitMQ 3.10 remembers that a queue was full until the queue tells it. When the
 * limit was lifted, it is not told: only a new channel finds out. */
static void renew_if_stubborn(const struct circuit *circuit)
{
    struct publish_breaker *breaker = circuit->breaker;
    int64_t begun_us =
        circuit->began_us > breaker->renewed_us ? circuit->began_us : breaker->renewed_us;
    if (breaker->now_us - begun_us >= REFUSAL_US_MAX)
        breaker->renewal_due = true;
}

static void on_probe_end(struct publication *publication, enum publish_end end)
{
    struct circuit *circuit = CONTAINER_OF(publication, struct circuit, probe);
    struct publish_breaker *breaker = circuit->breaker;
    unsigned partition = event_id_partition(&publication->id);
    circuit->probing = false;
    if (end == PUBLISH_LOST)
        return;
    if (end == PUBLISHED)
        close_circuit(&breaker->partitions[partition]);
    else if (!is_link(circuit))
        probe_later(circuit);
    if (end == PUBLISH_NACKED && circuit->open && !is_link(circuit))
        renew_if_stubborn(circuit);
    publish_breaker_on_refused(breaker, partition, end);
    if (is_link(circuit))
        close_circuit(circuit); /* the broker has answered, so the connection works */
}

/* Returns the open circuit that keeps events of this partition from the broker, or NULL. */
static struct circuit *open_circuit_of(struct publish_breaker *breaker, unsigned partition)
{
    struct circuit *of_partition = &breaker->partitions[partition];
    return breaker->link.open ? &breaker->link : of_partition->open ? of_partition : NULL;
}

static bool is_due(const struct publish_breaker *breaker, const struct circuit *circuit)
{
    return breaker->state != PUBLISH_DISCONNECTED && breaker->state != PUBLISH_BLOCKED &&
           circuit->open && !circuit->probing && breaker->now_us >= circuit->due_us;
}

bool publish_breaker_wants_probe(const struct publish_breaker *breaker)
{
    return is_due(breaker, &breaker->link);
}

void publish_breaker_probe(
    struct publish_breaker *breaker, unsigned partition, const struct event_parts *parts)
{
    struct circuit *circuit = open_circuit_of(breaker, partition);
    if (circuit ? !is_due(breaker, circuit) : !wants_lag_probe(breaker, partition, parts))
        return;
    if (!circuit)
        circuit = &breaker->partitions[partition];
    circuit->probe = (struct publication){.on_end = on_probe_end, .id = parts->id};
    if (publisher_publish(breaker->publisher, &circuit->probe, partition, parts))
        return; /* no room: unconfirmed tags that nobody waits for fill the window */
    circuit->probing = true;
    circuit->sent_us = breaker->now_us;
    if (!circuit->open)
        lag_watch_on_probe(&breaker->lag, partition, &parts->id, breaker->now_us);
}

static void expire_probe(struct circuit *circuit)
{
    struct publish_breaker *breaker = circuit->breaker;
    if (!circuit->probing ||
        breaker->now_us - circuit->sent_us < breaker->options.confirm_timeout_us)
        return;
    publisher_forget(breaker->publisher, &circuit->probe);
    circuit->probing = false;
    if (circuit->open)
        probe_later(circuit);
    else
        open_circuit(circuit, "its queue does not confirm");
}

/* What the users of the breaker report. */

void publish_breaker_on_refused(
    struct publish_breaker *breaker, unsigned partition, enum publish_end end)
{
    if (end == PUBLISH_NACKED)
        open_circuit(&breaker->partitions[partition], "its queue refuses messages (is it full?)");
    if (end != PUBLISH_RETURNED)
        return;
    open_circuit(&breaker->partitions[partition], "its queue is missing");
    if (!breaker->stopped)
        publish_breaker_on_queue_missing(breaker);
}

void publish_breaker_on_queue_missing(struct publish_breaker *breaker)
{
    broker_connector_doubt(breaker->options.connector);
    breaker->renewal_due = true;
}

void publish_breaker_on_silence(struct publish_breaker *breaker, unsigned partition)
{
    if (breaker->state == PUBLISH_CLOSED)
        open_circuit(&breaker->partitions[partition], "its queue does not confirm");
}

void publish_breaker_on_timeout(struct publish_breaker *breaker)
{
    char why[64];
    snprintf(why, sizeof why, "no confirm within %d ms",
        (int)(breaker->options.confirm_timeout_us / US_PER_MS));
    if (breaker->state == PUBLISH_CLOSED)
        open_circuit(&breaker->link, why);
}

/* The connection. */

static void on_state(void *context, bool can_publish, const char *why)
{
    struct publish_breaker *breaker = context;
    if (!can_publish && why)
        set_why(breaker, why);
    if (!publisher_is_open(breaker->publisher))
        reconnect_want(&breaker->reconnect, breaker->now_us);
    update(breaker);
}

static void on_missing(void *context)
{
    publish_breaker_on_queue_missing(context);
}

/* The number is for all gateways together, so one thread asks for it. */
static void on_depth(void *context, int64_t messages)
{
    struct publish_breaker *breaker = context;
    int64_t every_us = messages > 0 ? DEPTH_EVERY_US_BUSY : DEPTH_EVERY_US;
    int64_t least_us = (int64_t)breaker->options.broker->partitions * DEPTH_US_PER_PARTITION;
    if (least_us > DEPTH_US_LEAST_MAX)
        least_us = DEPTH_US_LEAST_MAX;
    breaker->depth_due_us = breaker->now_us + (every_us > least_us ? every_us : least_us);
    broker_status_set_waiting(breaker->options.status, messages);
}

static void ask_depth(struct publish_breaker *breaker)
{
    if (breaker->options.number != 0 || breaker->now_us < breaker->depth_due_us)
        return;
    breaker->depth_due_us = breaker->now_us + 5 * DEPTH_EVERY_US; /* if there is no answer */
    publisher_ask_depth(breaker->publisher);
}

/* A new connection starts closed, and each open partition is probed at once. */
static void on_link(void *context, struct broker_link *link)
{
    struct publish_breaker *breaker = context;
    if (breaker->stopped) {
        broker_link_free(link);
        return;
    }
    breaker->connect_failure = OK;
    breaker->renewal_due = false;
    close_circuit(&breaker->link);
    lag_watch_forget_all(&breaker->lag, breaker->now_us);
    for (unsigned i = 0; i < breaker->options.broker->partitions; i++)
        breaker->partitions[i].due_us = 0;
    enum err failed = publisher_open(breaker->publisher, link);
    if (failed) {
        set_why(breaker, err_title(failed));
        reconnect_want(&breaker->reconnect, breaker->now_us);
    }
    update(breaker);
}

static void on_dial_failed(void *context, enum err error, const char *detail)
{
    struct publish_breaker *breaker = context;
    set_why(breaker, *detail ? detail : err_title(error));
    if (error != breaker->connect_failure)
        log_warn("no connection to the broker error=%s: %s", err_name(error), breaker->why);
    breaker->connect_failure = error;
    update(breaker);
}

static struct publisher *make_publisher(struct publish_breaker *breaker)
{
    const struct publish_breaker_options *options = &breaker->options;
    struct publisher_listener listener = {
        .on_state = on_state, .on_depth = on_depth, .on_missing = on_missing, .context = breaker};
    return publisher_new(options->host, options->broker, options->window, &listener);
}

/* Replaces the connection. What is in the window of the old one is lost. */
static void renew(struct publish_breaker *breaker)
{
    struct publisher *fresh = make_publisher(breaker);
    struct publisher *old = breaker->publisher;
    publisher_inherit(fresh, old);
    breaker->publisher = fresh;
    breaker->renewal_due = false;
    breaker->renewed_us = breaker->now_us;
    set_why(breaker, "the connection is being renewed");
    publisher_free(old);
    reconnect_want(&breaker->reconnect, breaker->now_us);
    update(breaker);
}

/* Unconfirmed tags that nobody waits for fill the window. Renewed at once while others are
 * confirmed, otherwise after a while. */
static bool is_jammed(struct publish_breaker *breaker)
{
    if (!publisher_can_publish(breaker->publisher) || publisher_has_room(breaker->publisher)) {
        breaker->no_room_since_us = 0;
        return false;
    }
    if (breaker->no_room_since_us == 0)
        breaker->no_room_since_us = breaker->now_us;
    return breaker->state == PUBLISH_CLOSED ||
           breaker->now_us - breaker->no_room_since_us >= JAM_US_MAX;
}

void publish_breaker_tick(struct publish_breaker *breaker, int64_t now_mono_us, bool nothing_waits)
{
    breaker->now_us = now_mono_us;
    publisher_tick(breaker->publisher, now_mono_us);
    /* It may have been blocked before, which is not reported. */
    if (!publisher_is_open(breaker->publisher)) {
        reconnect_want(&breaker->reconnect, now_mono_us);
        if (breaker->state != PUBLISH_DISCONNECTED)
            update(breaker);
    }
    expire_probe(&breaker->link);
    for (unsigned i = 0; i < breaker->options.broker->partitions &&
                         breaker->open_count + breaker->lag.behind_count > 0;
         i++)
        expire_probe(&breaker->partitions[i]);
    if (breaker->lag.behind_count > 0 && broker_connector_is_deposed(breaker->options.connector))
        lag_watch_forget_all(&breaker->lag, now_mono_us);
    lag_watch_expire(&breaker->lag, now_mono_us);
    if (is_jammed(breaker) && nothing_waits)
        breaker->renewal_due = true;
    if (breaker->renewal_due && publisher_is_open(breaker->publisher) &&
        now_mono_us - breaker->renewed_us >= RENEWAL_GAP_US)
        renew(breaker);
    reconnect_tick(&breaker->reconnect, now_mono_us);
    ask_depth(breaker);
}

/* Publishing. */

bool publish_breaker_is_closed(const struct publish_breaker *breaker, unsigned partition)
{
    return breaker->state == PUBLISH_CLOSED && !breaker->partitions[partition].open;
}

bool publish_breaker_has_half(const struct publish_breaker *breaker)
{
    return breaker->state == PUBLISH_CLOSED &&
           publisher_unconfirmed(breaker->publisher) < breaker->options.window / 2;
}

enum err publish_breaker_publish(struct publish_breaker *breaker, struct publication *publication,
    unsigned partition, const struct event_parts *parts)
{
    if (!publish_breaker_is_closed(breaker, partition))
        return ERR_UNAVAILABLE;
    return publisher_publish(breaker->publisher, publication, partition, parts);
}

enum err publish_breaker_publish_refused(struct publish_breaker *breaker,
    struct publication *publication, struct slice body, struct slice content_type,
    struct slice message_id, const char *reason)
{
    return publisher_publish_refused(
        breaker->publisher, publication, body, content_type, message_id, reason);
}

void publish_breaker_forget(struct publish_breaker *breaker, struct publication *publication)
{
    publisher_forget(breaker->publisher, publication);
}

/* Life. */

enum err publish_breaker_new(
    const struct publish_breaker_options *options, struct publish_breaker **ret_breaker)
{
    unsigned partitions = options->broker->partitions;
    struct publish_breaker *breaker =
        memory_new(sizeof *breaker + partitions * sizeof breaker->partitions[0]);
    breaker->options = *options;
    breaker->now_us = clock_mono_us();
    breaker->renewed_us = breaker->now_us - RENEWAL_GAP_US;
    lag_watch_init(&breaker->lag, options->lag, options->number, partitions, options->lag_us_max,
        breaker->now_us);
    breaker->good = true; /* update() will say that it is not */
    breaker->link.breaker = breaker;
    for (unsigned i = 0; i < partitions; i++)
        breaker->partitions[i].breaker = breaker;
    breaker->publisher = make_publisher(breaker);
    struct reconnect_listener listener = {
        .on_link = on_link, .on_failed = on_dial_failed, .context = breaker};
    reconnect_init(&breaker->reconnect, options->connector, CONNECTOR_OPEN_PUBLISHER,
        options->reply_to, &listener);
    set_why(breaker, "connecting");
    update(breaker);
    reconnect_want(&breaker->reconnect, breaker->now_us);
    *ret_breaker = breaker;
    return OK;
}

void publish_breaker_stop(struct publish_breaker *breaker)
{
    if (breaker->stopped)
        return;
    breaker->stopped = true;
    reconnect_stop(&breaker->reconnect);
    publisher_free(breaker->publisher);
    metrics_add(METRIC_PUBLISH_BREAKERS_OPEN, breaker->good ? 0 : -1);
    lag_watch_stop(&breaker->lag);
}

void publish_breaker_free(struct publish_breaker *breaker)
{
    if (!breaker)
        return;
    assert(breaker->stopped && !breaker->reconnect.asking);
    lag_watch_done(&breaker->lag);
    free(breaker);
}
