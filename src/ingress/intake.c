/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/intake.h"

#include "base/clock.h"
#include "base/memory.h"
#include "broker/reconnect.h"
#include "broker/subscriber.h"
#include "ingress/broker_host.h"
#include "model/name.h"
#include "queue/broker_queue.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define AGAIN_US US_PER_SECOND
#define PARTNER_AGAIN_US (5 * US_PER_SECOND)
#define CONFIRM_US_MAX (10 * US_PER_SECOND)
#define HELD_MAX (INTAKE_PREFETCH / 2) /* messages that a switch holds, in memory */
#define SENT_BACK_MAX INTAKE_PREFETCH  /* of these to the end of the queue, in AGAIN_US */

enum message_place { MESSAGE_WAITING, MESSAGE_IN_QUEUE, MESSAGE_REFUSING };

/* A message in memory, unacked. */
struct intake_message {
    struct list in_list; /* of the intake's */
    struct intake *intake;
    enum message_place place;
    struct message_tag tag;
    struct queue_entry entry;       /* for IN_QUEUE */
    struct publication publication; /* for REFUSING */
    int64_t refused_us;
    char reason[512]; /* not empty: the message must be published to the errors */
    struct slice body, content_type, message_id; /* the texts are behind this struct */
    bool is_cut;
    bool is_held;   /* by a switch */
    bool goes_back; /* for REFUSING: to the end of the intake, not to the errors */
};

struct intake {
    /* immutable after init */
    struct ingress *ingress;
    char partner[NAME_BYTES_MAX + 1];

    struct ingress_host host;
    struct subscriber *subscriber;
    struct reconnect reconnect;
    struct list messages; /* of struct intake_message */
    unsigned in_flight;   /* messages that are not WAITING */
    unsigned held;        /* messages that is_held says so of */
    unsigned sent_back;   /* since again_us */
    int64_t now_us;       /* the time of the last tick */
    int64_t again_us, partner_us;
    enum err connect_failure;
    bool partner_is_good, partner_was_asked, draining, stopped;
};

static void set_status(const struct intake *intake, bool good, const char *why)
{
    if (intake->stopped)
        return;
    const char *peer =
        subscriber_is_open(intake->subscriber) ? subscriber_peer(intake->subscriber) : "";
    broker_status_set(
        intake->ingress->options.broker_status, BROKER_ROLE_INTAKE, 0, good, peer, why);
}

/* One message */

static void move(struct intake_message *message, enum message_place place)
{
    message->intake->in_flight += (place != MESSAGE_WAITING) - (message->place != MESSAGE_WAITING);
    message->place = place;
}

static void set_held(struct intake_message *message, bool is_held)
{
    message->intake->held += (unsigned)is_held - (unsigned)message->is_held;
    message->is_held = is_held;
}

/* Frees the message. If it is unacked, the broker delivers it again. */
static void message_free(struct intake_message *message)
{
    move(message, MESSAGE_WAITING);
    set_held(message, false);
    list_remove(&message->in_list);
    free(message);
}

static void message_ack(struct intake_message *message)
{
    if (!message->intake->stopped)
        subscriber_ack(message->intake->subscriber, &message->tag);
    message_free(message);
}

static void message_end(struct intake_message *message, enum metric metric)
{
    metrics_add(metric, 1);
    message_ack(message);
}

/* Retries the message later. If its channel was lost meanwhile, the broker delivers it again. */
static void message_wait(struct intake_message *message)
{
    const struct intake *intake = message->intake;
    move(message, MESSAGE_WAITING);
    if (!intake->stopped && !message_tag_is_current(intake->subscriber, &message->tag))
        message_free(message);
}

static void on_refused(struct publication *publication, enum publish_end end)
{
    struct intake_message *message = CONTAINER_OF(publication, struct intake_message, publication);
    if (end == PUBLISH_RETURNED && !message->intake->stopped)
        publish_breaker_on_queue_missing(broker_queue_breaker(message->intake->ingress->queue));
    if (end == PUBLISHED && message->goes_back)
        message_ack(message);
    else if (end == PUBLISHED)
        message_end(message, METRIC_INTAKE_REFUSED);
    else
        message_wait(message);
}

/* Publishes the message to the errors, or to the end of the intake's own queue, if the broker takes
 * it now. It is acked when this is confirmed. */
static void send_away(struct intake_message *message, bool goes_back)
{
    struct ingress *ingress = message->intake->ingress;
    unsigned char random[8];
    if (message->intake->stopped)
        return;
    crypto_random(random, sizeof random);
    message->publication = (struct publication){.on_end = on_refused};
    event_id_make(&ingress->ids, clock_wall_us(), 0, random, &message->publication.id);
    if (publish_breaker_publish_refused(broker_queue_breaker(ingress->queue), &message->publication,
            message->body, message->content_type, message->message_id,
            goes_back ? NULL : message->reason))
        return;
    message->goes_back = goes_back;
    message->refused_us = message->intake->now_us;
    move(message, MESSAGE_REFUSING);
}

static void refuse_message(struct intake_message *message, const struct refusal *refusal)
{
    size_t room = sizeof message->reason;
    bool says_fields = strcmp(refusal->detail, CORRECT_THE_FIELDS) == 0;
    int len = snprintf(message->reason, room, "%s:%s%s", err_name(refusal->error),
        says_fields ? "" : " ", says_fields ? "" : refusal->detail);
    for (unsigned i = 0; i < refusal->problems.count && len > 0 && (size_t)len < room; i++) {
        const struct field_problem *problem = &refusal->problems.list[i];
        len += snprintf(message->reason + len, room - (size_t)len, "%s%s %s", i ? "; " : " ",
            problem->pointer, problem->detail);
    }
    move(message, MESSAGE_WAITING);
    send_away(message, false);
}

static bool is_temporary(const struct refusal *refusal)
{
    return err_http_status(refusal->error) == 503;
}

static void on_durable(struct queue_entry *entry, enum err result)
{
    struct intake_message *message = CONTAINER_OF(entry, struct intake_message, entry);
    struct refusal refusal;
    bool good = result_is_good(result);
    if (!good)
        result_refuse(&entry->append, result, &refusal);
    event_unref(entry->append.event);
    if (good)
        message_end(message, METRIC_INTAKE_ACCEPTED);
    else if (is_temporary(&refusal))
        message_wait(message);
    else
        refuse_message(message, &refusal);
}

static enum err accept_message(
    struct intake_message *message, const struct partner *partner, struct refusal *ret_refusal)
{
    if (message->content_type.len && !media_type_is(message->content_type, "application/json"))
        return refuse(ret_refusal, ERR_MEDIA_TYPE,
            "Publish the event with the content type application/json.");
    if (message->is_cut)
        return refuse(ret_refusal, ERR_TOO_LARGE,
            "The event is too large. At most %d bytes are allowed.", EVENT_BYTES_MAX);
    struct submission submission = {.caller.partner = partner, .body = message->body};
    if (name_is_valid_key(message->message_id))
        submission.fallback_key = message->message_id;
    message->entry = (struct queue_entry){.on_durable = on_durable};
    return ingress_accept(
        message->intake->ingress, &submission, &message->entry.append, ret_refusal);
}

/* Returns the partner if it exists and is enabled, otherwise NULL. */
static const struct partner *find_partner(const struct intake *intake)
{
    const struct partner *partner =
        directory_partner(intake->ingress->options.directory, slice_from_string(intake->partner));
    return partner && partner->enabled ? partner : NULL;
}

static void try_message(struct intake_message *message)
{
    struct intake *intake = message->intake;
    const struct partner *partner = find_partner(intake);
    struct refusal refusal;
    if (*message->reason) {
        send_away(message, false);
        return;
    }
    if (!partner)
        return;
    enum err refused = accept_message(message, partner, &refusal);
    set_held(message, refused == ERR_SWITCHED_OFF);
    if (!refused) {
        move(message, MESSAGE_IN_QUEUE);
        ingress_enqueue(intake->ingress, &message->entry);
    } else if (!is_temporary(&refusal)) {
        refuse_message(message, &refusal);
    }
}

/* A switch may be off for hours. What it holds must not fill the window, or nothing else would be
 * read. A message that is put back by a nack counts as failed for the broker, so it is published
 * again. */
static void make_room(struct intake *intake)
{
    list_for_each_safe (node, following, &intake->messages) {
        struct intake_message *message = CONTAINER_OF(node, struct intake_message, in_list);
        if (intake->held <= HELD_MAX || intake->sent_back == SENT_BACK_MAX)
            return;
        if (!message->is_held || message->place != MESSAGE_WAITING)
            continue;
        send_away(message, true);
        if (message->place == MESSAGE_WAITING) /* the broker takes nothing now */
            return;
        set_held(message, false);
        intake->sent_back++;
    }
}

static struct slice copy_to(char **at, struct slice source)
{
    char *copy = *at;
    if (source.len)
        memcpy(copy, source.data, source.len);
    *at += source.len;
    return slice_of(copy, source.len);
}

static struct intake_message *message_new(
    struct intake *intake, const struct message_tag *tag, const struct message *source)
{
    size_t texts = source->body.len + source->content_type.len + source->message_id.len;
    struct intake_message *message = malloc(sizeof *message + texts);
    if (!message)
        return NULL;
    char *at = (char *)(message + 1);
    *message = (struct intake_message){
        .intake = intake, .tag = *tag, .is_cut = source->body_bytes > source->body.len};
    message->body = copy_to(&at, source->body);
    message->content_type = copy_to(&at, source->content_type);
    message->message_id = copy_to(&at, source->message_id);
    list_add_tail(&intake->messages, &message->in_list);
    return message;
}

/* The subscriber's callbacks */

static void on_message(void *context, const struct message_tag *tag, const struct message *source)
{
    struct intake *intake = context;
    if (intake->draining)
        return;
    struct intake_message *message = message_new(intake, tag, source);
    if (message) {
        try_message(message);
        make_room(intake);
    } else {
        subscriber_close(intake->subscriber); /* no memory: redelivered on the next connection */
    }
}

static void on_channel_lost(
    void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why)
{
    struct intake *intake = context;
    list_for_each_safe (node, following, &intake->messages) {
        struct intake_message *message = CONTAINER_OF(node, struct intake_message, in_list);
        if (message->place == MESSAGE_WAITING && message->tag.generation <= generation)
            message_free(message);
    }
    set_status(intake, false, why);
    if (!intake->stopped && !intake->draining)
        log_warn(
            "the queue penstock.intake cannot be read; Penstock tries again reason=\"%s\"", why);
    if (is_gone && !intake->stopped)
        broker_connector_doubt(intake->ingress->options.connector);
}

static void on_channel_open(void *context, unsigned channel, uint32_t generation)
{
    struct intake *intake = context;
    set_status(intake, true, NULL);
    log_info("the queue penstock.intake is read partner=%s broker=%s", intake->partner,
        subscriber_peer(intake->subscriber));
}

static void on_lost(void *context, const char *why)
{
    struct intake *intake = context;
    if (intake->partner_is_good)
        reconnect_want(&intake->reconnect, intake->now_us);
}

static void on_link(void *context, struct broker_link *link)
{
    struct intake *intake = context;
    if (intake->stopped) {
        broker_link_free(link);
        return;
    }
    intake->connect_failure = OK;
    enum err failed = subscriber_open(intake->subscriber, link);
    if (!failed)
        return;
    set_status(intake, false, err_title(failed));
    reconnect_want(&intake->reconnect, intake->now_us);
}

static void on_dial_failed(void *context, enum err error, const char *detail)
{
    struct intake *intake = context;
    const char *why = *detail ? detail : err_title(error);
    set_status(intake, false, why);
    if (error != intake->connect_failure)
        log_warn("the intake has no connection to the broker; Penstock tries again error=%s "
                 "reason=\"%s\"",
            err_name(error), why);
    intake->connect_failure = error;
}

/* Time */

/* Why nothing is to be read; NULL: it is to be read. */
static const char *why_not(const struct intake *intake)
{
    const struct directory *directory = intake->ingress->options.directory;
    if (!find_partner(intake))
        return "its partner is unknown or disabled";
    return directory_switch_off(directory, SWITCH_INGRESS, slice_from_string(""), 0)
               ? "ingress is switched off"
               : NULL;
}

/* Consumes only while the partner is enabled, and ingress is not off for all. */
static void look_for_partner(struct intake *intake, int64_t now_mono_us)
{
    if (intake->partner_was_asked && now_mono_us - intake->partner_us < PARTNER_AGAIN_US)
        return;
    bool was_good = intake->partner_is_good, is_first = !intake->partner_was_asked;
    const char *why = why_not(intake);
    intake->partner_is_good = !why;
    intake->partner_was_asked = true;
    intake->partner_us = now_mono_us;
    if (intake->partner_is_good) {
        if (!subscriber_is_open(intake->subscriber))
            reconnect_want(&intake->reconnect, now_mono_us);
        return;
    }
    if (!was_good && !is_first)
        return;
    log_warn("the queue penstock.intake is not read, because %s: add or enable the partner, or "
             "switch ingress on partner=%s",
        why, intake->partner);
    subscriber_close(intake->subscriber);
    set_status(intake, false, why);
}

static void try_again(struct intake *intake, int64_t now_mono_us)
{
    if (now_mono_us - intake->again_us < AGAIN_US)
        return;
    intake->again_us = now_mono_us;
    intake->sent_back = 0;
    list_for_each_safe (node, following, &intake->messages) {
        struct intake_message *message = CONTAINER_OF(node, struct intake_message, in_list);
        if (message->place == MESSAGE_REFUSING &&
            now_mono_us - message->refused_us > CONFIRM_US_MAX) {
            publish_breaker_forget(
                broker_queue_breaker(intake->ingress->queue), &message->publication);
            move(message, MESSAGE_WAITING);
        }
        if (message->place == MESSAGE_WAITING)
            try_message(message); /* may free this message, and no other */
    }
    make_room(intake);
}

void intake_tick(struct intake *intake, int64_t now_mono_us)
{
    intake->now_us = now_mono_us;
    subscriber_tick(intake->subscriber, now_mono_us);
    if (intake->draining)
        return;
    look_for_partner(intake, now_mono_us);
    try_again(intake, now_mono_us);
    if (intake->partner_is_good)
        reconnect_tick(&intake->reconnect, now_mono_us);
}

/* Start and end */

struct intake *intake_new(struct ingress *ingress)
{
    static const char *const queues[] = {BROKER_INTAKE_QUEUE};
    static const struct subscriber_options options = {
        .queues_count = ARRAY_LENGTH(queues), .queues = queues, .prefetch = INTAKE_PREFETCH};
    struct intake *intake = memory_new(sizeof *intake);
    intake->ingress = ingress;
    list_init(&intake->messages);
    snprintf(intake->partner, sizeof intake->partner, "%s", ingress->options.intake_partner);
    struct subscriber_listener listener = {.on_message = on_message,
        .on_channel_lost = on_channel_lost,
        .on_channel_open = on_channel_open,
        .on_lost = on_lost,
        .context = intake};
    ingress_host_init(&intake->host, ingress->server);
    intake->subscriber = subscriber_new(&intake->host.host, &options, &listener);
    struct reconnect_listener reconnect_listener = {
        .on_link = on_link, .on_failed = on_dial_failed, .context = intake};
    reconnect_init(&intake->reconnect, ingress->options.connector, CONNECTOR_OPEN_INTAKE,
        &ingress->mailbox, &reconnect_listener);
    set_status(intake, false, "connecting");
    return intake;
}

void intake_drain(struct intake *intake)
{
    intake->draining = true;
    reconnect_stop(&intake->reconnect);
    if (!intake->stopped && subscriber_is_open(intake->subscriber))
        subscriber_set_reading(intake->subscriber, false);
}

bool intake_is_idle(const struct intake *intake)
{
    return intake->in_flight == 0;
}

void intake_stop(struct intake *intake)
{
    if (intake->stopped)
        return;
    intake->stopped = true;
    reconnect_stop(&intake->reconnect);
    subscriber_free(TAKE(intake->subscriber));
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    assert(intake->stopped && !intake->reconnect.asking && intake->in_flight == 0);
    list_for_each_safe (node, following, &intake->messages)
        free(CONTAINER_OF(node, struct intake_message, in_list));
    ingress_host_done(&intake->host);
    free(intake);
}
