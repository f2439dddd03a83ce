/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/way.h"

#include "base/clock.h"
#include "broker/lag.h"
#include "ingress/dial.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIAL_GAP_US_MIN US_PER_SECOND
#define TRIAL_GAP_US_MAX (5 * US_PER_SECOND)
#define PROBE_GAP_US_MIN US_PER_SECOND
#define PROBE_GAP_US_MAX (30 * US_PER_SECOND)
#define RENEWAL_GAP_US (5 * US_PER_SECOND)
#define REFUSAL_US_MAX (30 * US_PER_SECOND)
#define JAM_US_MAX (10 * US_PER_SECOND)
#define MARK_US_MAX (10 * US_PER_SECOND)        /* whatever has not come by then is marked no more */
#define UNPROBED_US_MAX (30 * US_PER_SECOND)    /* a partition that is behind, beyond the time of its next probe */
#define BEHIND_SAID_US (10 * US_PER_SECOND)     /* is said at most so often */
#define BEHIND_AGAIN_US (30 * US_PER_SECOND)    /* who falls behind again so soon is probed less often */
#define DEPTH_EVERY_US US_PER_SECOND            /* how much waits in the broker is asked that often, */
#define DEPTH_EVERY_US_BUSY (250 * US_PER_MS)   /* or that often while something does, */
#define DEPTH_US_PER_PARTITION (20 * US_PER_MS) /* and never more often than that, up to */
#define DEPTH_US_LEAST_MAX (4 * US_PER_SECOND)  /* an answer counts for BROKER_WAITING_AGE_S_MAX */

/* Of the connection, or of one partition. */
struct diversion {
    struct way *way;
    bool on, trying;
    bool behind, probing;     /* of a partition: its events wait for too long; a marked trial was sent since */
    struct publication trial; /* the publisher's while `trying` */
    int64_t began_us, due_us, gap_us, sent_us;
    int64_t probe_due_us, probe_gap_us, caught_up_us;
};

enum way_state { WAY_CLOSED, WAY_BLOCKED, WAY_DIVERTED, WAY_OPEN };

struct way {
    struct way_options options; /* immutable after way_new */

    struct publisher *publisher;
    struct dial dial;
    enum way_state state;
    bool good, stopped;
    bool renewal_due;
    int64_t renewed_us, no_room_since_us; /* the latter 0: there is room */
    int64_t now_us;                       /* of the last tick: what trials go by */
    int64_t depth_due_us;
    enum err dial_failure;
    char why[BROKER_STATUS_TEXT_BYTES]; /* the last reason to leave the broker's way */
    struct diversion link;
    unsigned diverted_count; /* of the partitions, */
    unsigned behind_count;   /* and those that are behind */
    int64_t behind_said_us;
    struct diversion partitions[];
};

/* What is said about the way, once per change. */

static void say(struct way *way, bool state_changed)
{
    const char *peer = publisher_peer(way->publisher);
    broker_status_set(way->options.status, BROKER_ROLE_PUBLISH, way->options.number, way->good, peer, way->why);
    if (!state_changed)
        return;
    if (way->state == WAY_OPEN)
        log_info("events go through the broker broker=%s", peer);
    else
        log_warn("events take the direct way, through the journal: %s", way->why);
}

static void set_why(struct way *way, const char *why)
{
    snprintf(way->why, sizeof way->why, "%s", why);
}

/* Brings the state up to date with what it is made of; the one place that changes it. */
static void update(struct way *way)
{
    enum way_state state = !publisher_is_open(way->publisher)       ? WAY_CLOSED
                           : !publisher_can_publish(way->publisher) ? WAY_BLOCKED
                           : way->link.on                           ? WAY_DIVERTED
                                                                    : WAY_OPEN;
    bool good = state == WAY_OPEN && way->diverted_count == 0;
    bool state_changed = state != way->state;
    metrics_add(METRIC_PUBLISHERS_DIVERTED, (int64_t)way->good - (int64_t)good);
    way->state = state;
    way->good = good;
    if (!way->stopped)
        say(way, state_changed);
}

/* Partitions that are behind. */

static void probe_later(struct diversion *diversion, bool is_first, int64_t now_us)
{
    int64_t gap_us = is_first ? PROBE_GAP_US_MIN : diversion->probe_gap_us * 2;
    diversion->probe_gap_us = gap_us < PROBE_GAP_US_MAX ? gap_us : PROBE_GAP_US_MAX;
    diversion->probe_due_us = now_us + diversion->probe_gap_us;
    diversion->probing = false;
}

static void fall_behind(struct way *way, unsigned partition, int64_t now_us)
{
    struct diversion *diversion = &way->partitions[partition];
    if (diversion->behind)
        return;
    diversion->behind = true;
    probe_later(diversion, diversion->probe_gap_us == 0 || now_us - diversion->caught_up_us > BEHIND_AGAIN_US, now_us);
    way->behind_count++;
    metrics_add(METRIC_PARTITIONS_BEHIND, 1);
    if (now_us - way->behind_said_us < BEHIND_SAID_US)
        return;
    way->behind_said_us = now_us;
    log_warn("events wait in the broker for more than %d ms: new ones take the direct way until it has caught up "
             "partition=%u",
        (int)(way->options.lag_us_max / US_PER_MS), partition);
}

static void catch_up(struct way *way, unsigned partition, int64_t now_us)
{
    struct diversion *diversion = &way->partitions[partition];
    if (!diversion->behind)
        return;
    diversion->behind = diversion->probing = false;
    diversion->caught_up_us = now_us;
    way->behind_count--;
    metrics_add(METRIC_PARTITIONS_BEHIND, -1);
}

/* Its marked event is nobody's any more. */
static void forget_mark(struct way *way, unsigned partition)
{
    if (!way->options.lag)
        return;
    broker_lag_forget(way->options.lag, way->options.number, partition);
    catch_up(way, partition, way->now_us);
}

static void forget_marks(struct way *way)
{
    for (unsigned i = 0; i < way->options.broker->partitions; i++)
        forget_mark(way, i);
}

static bool wants_mark(const struct way *way, unsigned partition, int64_t now_us)
{
    const struct broker_lag *lag = way->options.lag;
    return !broker_lag_is_marked(lag, way->options.number, partition) ||
           broker_lag_us(lag, way->options.number, partition, now_us) > MARK_US_MAX;
}

void way_mark(struct way *way, const struct event_id *id, int64_t now_mono_us)
{
    if (way->options.lag && wants_mark(way, event_id_partition(id), now_mono_us))
        broker_lag_mark(way->options.lag, way->options.number, id, now_mono_us);
}

bool way_is_behind(struct way *way, unsigned partition, int64_t now_mono_us)
{
    /* What another gateway owns must not be delivered by this one. */
    if (!way->options.lag || broker_connector_is_deposed(way->options.connector))
        return false;
    struct diversion *diversion = &way->partitions[partition];
    int64_t lag_us = broker_lag_us(way->options.lag, way->options.number, partition, now_mono_us);
    if (broker_lag_is_marked(way->options.lag, way->options.number, partition)) {
        if (lag_us > way->options.lag_us_max)
            fall_behind(way, partition, now_mono_us);
    } else if (lag_us <= way->options.lag_us_max / 2) {
        catch_up(way, partition, now_mono_us);
    } else if (diversion->behind && diversion->probing) {
        probe_later(diversion, false, now_mono_us);
    }
    return diversion->behind;
}

/* A probe is a trial that is marked. None is made of a guarded event: around a take-over by force another gateway may
 * get the copy. */
static bool wants_probe(const struct way *way, const struct diversion *diversion, const struct event_parts *parts)
{
    return diversion->behind && !parts->guarded && !diversion->trying && way->state == WAY_OPEN &&
           way->now_us >= diversion->probe_due_us &&
           wants_mark(way, (unsigned)(diversion - way->partitions), way->now_us);
}

/* Diversions. */

static unsigned partition_of(const struct diversion *diversion)
{
    return (unsigned)(diversion - diversion->way->partitions);
}

static bool is_link(const struct diversion *diversion)
{
    return diversion == &diversion->way->link;
}

static void begin_diversion(struct diversion *diversion, const char *why)
{
    struct way *way = diversion->way;
    if (diversion->on)
        return;
    diversion->on = true;
    if (is_link(diversion))
        forget_marks(way);
    else
        forget_mark(way, partition_of(diversion));
    diversion->began_us = way->now_us;
    diversion->gap_us = TRIAL_GAP_US_MIN;
    diversion->due_us = way->now_us + TRIAL_GAP_US_MIN;
    if (is_link(diversion)) {
        set_why(way, why);
    } else {
        way->diverted_count++;
        snprintf(way->why, sizeof way->why, "partition %u takes the direct way: %s", partition_of(diversion), why);
        if (!way->stopped)
            log_warn("%s", way->why);
    }
    update(way);
}

static void end_diversion(struct diversion *diversion)
{
    struct way *way = diversion->way;
    if (!diversion->on)
        return;
    diversion->on = false;
    if (diversion->trying)
        publisher_forget(way->publisher, &diversion->trial);
    diversion->trying = false;
    if (!is_link(diversion)) {
        way->diverted_count--;
        log_info("partition %u goes through the broker again", partition_of(diversion));
    }
    update(way);
}

static void try_later(struct diversion *diversion)
{
    diversion->gap_us = diversion->gap_us * 2 < TRIAL_GAP_US_MAX ? diversion->gap_us * 2 : TRIAL_GAP_US_MAX;
    diversion->due_us = diversion->way->now_us + diversion->gap_us;
}

/* RabbitMQ (3.10) remembers for a channel that a queue was full until the queue says otherwise, which it doesn't when
 * its limit was lifted: only another channel finds out. */
static void renew_if_stubborn(const struct diversion *diversion)
{
    struct way *way = diversion->way;
    int64_t begun_us = diversion->began_us > way->renewed_us ? diversion->began_us : way->renewed_us;
    if (way->now_us - begun_us >= REFUSAL_US_MAX)
        way->renewal_due = true;
}

static void on_trial_end(struct publication *publication, enum publish_end end)
{
    struct diversion *diversion = CONTAINER_OF(publication, struct diversion, trial);
    struct way *way = diversion->way;
    unsigned partition = event_id_partition(&publication->id);
    diversion->trying = false;
    if (end == PUBLISH_LOST)
        return;
    if (end == PUBLISHED)
        end_diversion(&way->partitions[partition]);
    else if (!is_link(diversion))
        try_later(diversion);
    if (end == PUBLISH_NACKED && diversion->on && !is_link(diversion))
        renew_if_stubborn(diversion);
    way_on_refused(way, partition, end);
    if (is_link(diversion))
        end_diversion(diversion); /* the broker answers, if not what was hoped for */
}

/* The one that keeps events of this partition from the broker; NULL when none does. */
static struct diversion *diversion_of(struct way *way, unsigned partition)
{
    struct diversion *of_partition = &way->partitions[partition];
    return way->link.on ? &way->link : of_partition->on ? of_partition : NULL;
}

static bool is_due(const struct way *way, const struct diversion *diversion)
{
    return way->state != WAY_CLOSED && way->state != WAY_BLOCKED && diversion->on && !diversion->trying &&
           way->now_us >= diversion->due_us;
}

bool way_wants_trial(const struct way *way)
{
    return is_due(way, &way->link);
}

void way_try(struct way *way, unsigned partition, const struct event_parts *parts)
{
    struct diversion *diversion = diversion_of(way, partition);
    if (diversion ? !is_due(way, diversion) : !wants_probe(way, diversion = &way->partitions[partition], parts))
        return;
    diversion->trial = (struct publication){.on_end = on_trial_end, .id = parts->id};
    if (publisher_publish(way->publisher, &diversion->trial, partition, parts))
        return; /* no room: what fills the window was given up, and is not confirmed yet */
    diversion->trying = true;
    diversion->sent_us = way->now_us;
    if (!diversion->on) {
        diversion->probing = true;
        diversion->probe_due_us = way->now_us;
        way_mark(way, &parts->id, clock_mono_us());
    }
}

static void expire_trial(struct diversion *diversion)
{
    struct way *way = diversion->way;
    if (!diversion->trying || way->now_us - diversion->sent_us < way->options.confirm_timeout_us)
        return;
    publisher_forget(way->publisher, &diversion->trial);
    diversion->trying = false;
    if (diversion->on)
        try_later(diversion);
    else
        begin_diversion(diversion, "its queue does not confirm");
}

/* Sightings. */

void way_on_refused(struct way *way, unsigned partition, enum publish_end end)
{
    if (end == PUBLISH_NACKED)
        begin_diversion(&way->partitions[partition], "its queue refuses messages (is it full?)");
    if (end != PUBLISH_RETURNED)
        return;
    begin_diversion(&way->partitions[partition], "its queue is missing");
    if (!way->stopped)
        way_on_queue_missing(way);
}

void way_on_queue_missing(struct way *way)
{
    broker_connector_doubt(way->options.connector);
    way->renewal_due = true;
}

void way_on_silence(struct way *way, unsigned partition)
{
    if (way->state == WAY_OPEN)
        begin_diversion(&way->partitions[partition], "its queue does not confirm");
}

void way_on_timeout(struct way *way)
{
    char why[64];
    snprintf(why, sizeof why, "no confirm within %d ms", (int)(way->options.confirm_timeout_us / US_PER_MS));
    if (way->state == WAY_OPEN)
        begin_diversion(&way->link, why);
}

/* The connection. */

static void on_state(void *context, bool can_publish, const char *why)
{
    struct way *way = context;
    if (!can_publish && why)
        set_why(way, why);
    if (!publisher_is_open(way->publisher))
        dial_want(&way->dial, way->now_us);
    update(way);
}

static void on_missing(void *context)
{
    way_on_queue_missing(context);
}

/* Of all gateways' events: one thread asks. */
static void on_depth(void *context, int64_t messages)
{
    struct way *way = context;
    int64_t every_us = messages > 0 ? DEPTH_EVERY_US_BUSY : DEPTH_EVERY_US;
    int64_t least_us = (int64_t)way->options.broker->partitions * DEPTH_US_PER_PARTITION;
    if (least_us > DEPTH_US_LEAST_MAX)
        least_us = DEPTH_US_LEAST_MAX;
    way->depth_due_us = way->now_us + (every_us > least_us ? every_us : least_us);
    broker_status_set_waiting(way->options.status, messages);
}

static void ask_depth(struct way *way)
{
    if (way->options.number != 0 || way->now_us < way->depth_due_us)
        return;
    way->depth_due_us = way->now_us + 5 * DEPTH_EVERY_US; /* without an answer */
    publisher_ask_depth(way->publisher);
}

/* A new connection begins without prejudice; a partition's queue is tried at once. */
static void on_link(void *context, struct broker_link *link)
{
    struct way *way = context;
    if (way->stopped) {
        broker_link_free(link);
        return;
    }
    way->dial_failure = OK;
    way->renewal_due = false;
    end_diversion(&way->link);
    forget_marks(way);
    for (unsigned i = 0; i < way->options.broker->partitions; i++)
        way->partitions[i].due_us = 0;
    enum err failed = publisher_open(way->publisher, link);
    if (failed) {
        set_why(way, err_title(failed));
        dial_want(&way->dial, way->now_us);
    }
    update(way);
}

static void on_dial_failed(void *context, enum err error, const char *detail)
{
    struct way *way = context;
    set_why(way, *detail ? detail : err_title(error));
    if (error != way->dial_failure)
        log_warn("no connection to the broker error=%s: %s", err_name(error), way->why);
    way->dial_failure = error;
    update(way);
}

static enum err make_publisher(struct way *way, struct publisher **ret_publisher)
{
    const struct way_options *options = &way->options;
    struct publisher_listener listener = {
        .on_state = on_state, .on_depth = on_depth, .on_missing = on_missing, .context = way};
    return publisher_new(options->host, options->broker, options->window, &listener, ret_publisher);
}

/* The old one goes, with all that is in its window, and another is dialled. */
static void renew(struct way *way)
{
    struct publisher *fresh;
    if (make_publisher(way, &fresh))
        return;
    struct publisher *old = way->publisher;
    publisher_inherit(fresh, old);
    way->publisher = fresh;
    way->renewal_due = false;
    way->renewed_us = way->now_us;
    set_why(way, "the connection is being renewed");
    publisher_free(old);
    dial_want(&way->dial, way->now_us);
    update(way);
}

/* Tags that nobody waits for keep the window shut: at once while others are confirmed, and after a while in any case.
 */
static bool is_jammed(struct way *way)
{
    if (!publisher_can_publish(way->publisher) || publisher_has_room(way->publisher)) {
        way->no_room_since_us = 0;
        return false;
    }
    if (way->no_room_since_us == 0)
        way->no_room_since_us = way->now_us;
    return way->state == WAY_OPEN || way->now_us - way->no_room_since_us >= JAM_US_MAX;
}

/* Where no probe was sent for long (nothing comes, or guarded events alone), the next event is one as any other. */
static void expire_lag(struct way *way, struct diversion *diversion)
{
    bool is_over = diversion->behind && way->now_us - diversion->probe_due_us > UNPROBED_US_MAX;
    if (is_over || broker_connector_is_deposed(way->options.connector))
        forget_mark(way, partition_of(diversion));
}

void way_tick(struct way *way, int64_t now_mono_us, bool nothing_waits)
{
    way->now_us = now_mono_us;
    publisher_tick(way->publisher, now_mono_us);
    if (!publisher_is_open(way->publisher)) { /* it may have been blocked, and then nobody said so */
        dial_want(&way->dial, now_mono_us);
        if (way->state != WAY_CLOSED)
            update(way);
    }
    expire_trial(&way->link);
    for (unsigned i = 0; i < way->options.broker->partitions && way->diverted_count + way->behind_count > 0; i++)
        expire_trial(&way->partitions[i]);
    for (unsigned i = 0; i < way->options.broker->partitions && way->behind_count > 0; i++)
        expire_lag(way, &way->partitions[i]);
    if (is_jammed(way) && nothing_waits)
        way->renewal_due = true;
    if (way->renewal_due && publisher_is_open(way->publisher) && now_mono_us - way->renewed_us >= RENEWAL_GAP_US)
        renew(way);
    dial_tick(&way->dial, now_mono_us);
    ask_depth(way);
}

/* Publishing. */

bool way_is_open(const struct way *way, unsigned partition)
{
    return way->state == WAY_OPEN && !way->partitions[partition].on;
}

bool way_has_half(const struct way *way)
{
    return way->state == WAY_OPEN && publisher_unconfirmed(way->publisher) < way->options.window / 2;
}

enum err way_publish(
    struct way *way, struct publication *publication, unsigned partition, const struct event_parts *parts)
{
    if (!way_is_open(way, partition))
        return ERR_UNAVAILABLE;
    return publisher_publish(way->publisher, publication, partition, parts);
}

enum err way_publish_refused(struct way *way, struct publication *publication, struct slice body,
    struct slice content_type, struct slice message_id, const char *reason)
{
    return publisher_publish_refused(way->publisher, publication, body, content_type, message_id, reason);
}

void way_forget(struct way *way, struct publication *publication)
{
    publisher_forget(way->publisher, publication);
}

/* Life. */

enum err way_new(const struct way_options *options, struct way **ret_way)
{
    unsigned partitions = options->broker->partitions;
    struct way *way = calloc(1, sizeof *way + partitions * sizeof way->partitions[0]);
    if (!way)
        return ERR_NO_MEMORY;
    way->options = *options;
    way->now_us = clock_mono_us();
    way->renewed_us = way->now_us - RENEWAL_GAP_US;
    way->behind_said_us = way->now_us - BEHIND_SAID_US;
    way->good = true; /* update says that it is not so yet */
    way->link.way = way;
    for (unsigned i = 0; i < partitions; i++)
        way->partitions[i].way = way;
    enum err failed = make_publisher(way, &way->publisher);
    if (failed) {
        free(way);
        return failed;
    }
    struct dial_listener listener = {.on_link = on_link, .on_failed = on_dial_failed, .context = way};
    dial_init(&way->dial, options->connector, CONNECTOR_OPEN_PUBLISHER, options->reply_to, &listener);
    set_why(way, "connecting");
    update(way);
    dial_want(&way->dial, way->now_us);
    *ret_way = way;
    return OK;
}

void way_stop(struct way *way)
{
    if (way->stopped)
        return;
    way->stopped = true;
    dial_stop(&way->dial);
    publisher_free(way->publisher);
    metrics_add(METRIC_PUBLISHERS_DIVERTED, way->good ? 0 : -1);
    metrics_add(METRIC_PARTITIONS_BEHIND, -(int64_t)way->behind_count);
    way->behind_count = 0;
}

void way_free(struct way *way)
{
    if (!way)
        return;
    assert(way->stopped && !way->dial.asking);
    free(way);
}
