/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_broker.h"

#include "base/cleanup.h"
#include "broker/tap.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct publisher {
    struct publisher_listener listener;
    bool open, blocked;
};

struct subscriber {
    struct subscriber_listener listener;
    unsigned channels_count;
    uint32_t generations[FAKE_CHANNELS_MAX]; /* one more with each opening, and with each loss */
};

struct tap {
    void (*on_lost)(void *context, const char *why);
    void *context;
};

struct fake_broker fake;

static struct connector_request *dialled[CONNECTOR_TAKE_OVER + 1];
static struct publisher *publisher_now; /* the newest */
static struct subscriber *subscriber_now;
static struct tap *tap_now;
static char some_link; /* nobody looks into it */

void fake_broker_begin(void)
{
    memset(&fake, 0, sizeof fake);
    memset(dialled, 0, sizeof dialled);
    fake.has_room = true;
    fake.subscriber_reading = true;
}

struct broker_connector *fake_connector(void)
{
    return (void *)&fake;
}

/* The connector */

void broker_connector_submit(struct broker_connector *connector, struct connector_request *request)
{
    cr_assert_null(dialled[request->base.kind], "two requests at once");
    fake.dials++;
    dialled[request->base.kind] = request;
}

bool broker_connector_is_deposed(const struct broker_connector *connector)
{
    return fake.deposed;
}

void broker_connector_doubt(struct broker_connector *connector)
{
    fake.doubts++;
}

void broker_link_free(struct broker_link *link)
{
    cr_assert(!link || link == (void *)&some_link);
    fake.links_freed += link != NULL;
}

bool fake_is_dialled(enum connector_task task)
{
    return dialled[task];
}

void fake_answer_dial(enum connector_task task, enum err result)
{
    struct connector_request *request = TAKE(dialled[task]);
    cr_assert_not_null(request, "nobody has dialled");
    request->ret_link = result == OK ? (void *)&some_link : NULL;
    snprintf(request->ret_detail, sizeof request->ret_detail, "%s",
        result == OK ? "" : "as the test says");
    request_answer(&request->base, result);
}

/* The publisher */

struct publisher *publisher_new(struct broker_host *host, const struct broker_options *options,
    unsigned window, const struct publisher_listener *listener)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    publisher->listener = *listener;
    fake.publishers_made++;
    publisher_now = publisher;
    return publisher;
}

static void end_all(void)
{
    for (unsigned i = 0; i < fake.published_count; i++)
        fake_end(i, PUBLISH_LOST);
}

void publisher_free(struct publisher *publisher)
{
    if (publisher && publisher->open)
        end_all();
    if (publisher == publisher_now)
        publisher_now = NULL;
    free(publisher);
}

enum err publisher_open(struct publisher *publisher, struct broker_link *link)
{
    cr_assert(!publisher->open && link == (void *)&some_link);
    publisher->open = true;
    publisher->blocked = false;
    publisher->listener.on_state(publisher->listener.context, true, NULL);
    return OK;
}

bool publisher_is_open(const struct publisher *publisher)
{
    return publisher->open;
}

bool publisher_can_publish(const struct publisher *publisher)
{
    return publisher->open && !publisher->blocked;
}

bool publisher_has_room(const struct publisher *publisher)
{
    return fake.has_room;
}

unsigned publisher_unconfirmed(const struct publisher *publisher)
{
    return fake_unconfirmed();
}

const char *publisher_peer(const struct publisher *publisher)
{
    return publisher->open ? "broker:5672" : "";
}

static enum err publish(struct publisher *publisher, struct publication *publication,
    unsigned partition, const char *reason)
{
    if (!publisher_can_publish(publisher))
        return ERR_UNAVAILABLE;
    if (!fake.has_room)
        return ERR_OVERLOADED;
    cr_assert(fake.published_count < FAKE_PUBLISHED_MAX);
    struct fake_published *published = &fake.published[fake.published_count++];
    *published = (struct fake_published){
        .publication = publication, .id = publication->id, .partition = partition};
    snprintf(published->reason, sizeof published->reason, "%s", reason);
    publication->tag = fake.published_count;
    return OK;
}

enum err publisher_publish(struct publisher *publisher, struct publication *publication,
    unsigned partition, const struct event_parts *parts)
{
    return publish(publisher, publication, partition, "");
}

enum err publisher_publish_refused(struct publisher *publisher, struct publication *publication,
    struct slice body, struct slice content_type, struct slice message_id, const char *reason)
{
    return publish(publisher, publication, 0, reason ? reason : FAKE_BACK_TO_THE_INTAKE);
}

void publisher_forget(struct publisher *publisher, struct publication *publication)
{
    cr_assert_eq(fake.published[publication->tag - 1].publication, publication);
    fake.published[publication->tag - 1].publication = NULL;
    publication->tag = 0;
}

void publisher_ask_depth(struct publisher *publisher)
{
    fake.publisher_depth_asked++;
}

void publisher_inherit(struct publisher *publisher, struct publisher *other)
{
}

void publisher_tick(struct publisher *publisher, int64_t now_mono_us)
{
}

void fake_end(unsigned index, enum publish_end end)
{
    cr_assert(index < fake.published_count);
    struct publication *publication = TAKE(fake.published[index].publication);
    if (!publication)
        return;
    publication->tag = 0;
    publication->on_end(publication, end);
}

unsigned fake_unconfirmed(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < fake.published_count; i++)
        count += fake.published[i].publication != NULL;
    return count;
}

void fake_set_blocked(bool blocked)
{
    publisher_now->blocked = blocked;
    publisher_now->listener.on_state(
        publisher_now->listener.context, !blocked, blocked ? "low on memory" : NULL);
}

void fake_lose_publisher(void)
{
    publisher_now->open = false;
    publisher_now->listener.on_state(
        publisher_now->listener.context, false, "the test took it away");
    end_all();
}

void fake_miss_queue(void)
{
    publisher_now->listener.on_missing(publisher_now->listener.context);
}

void fake_answer_waiting(int64_t messages)
{
    publisher_now->listener.on_depth(publisher_now->listener.context, messages);
}

/* The subscriber */

struct subscriber *subscriber_new(struct broker_host *host,
    const struct subscriber_options *options, const struct subscriber_listener *listener)
{
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    cr_assert_leq(options->queues_count, FAKE_CHANNELS_MAX);
    subscriber->listener = *listener;
    subscriber->channels_count = options->queues_count;
    subscriber_now = subscriber;
    return subscriber;
}

void subscriber_free(struct subscriber *subscriber)
{
    free(subscriber);
    subscriber_now = NULL;
    fake.subscriber_open = false;
}

enum err subscriber_open(struct subscriber *subscriber, struct broker_link *link)
{
    cr_assert(!fake.subscriber_open && link == (void *)&some_link);
    fake.subscriber_open = true;
    return OK;
}

/* Returns whether the owner must be notified. */
static bool drop_channel(unsigned channel)
{
    bool was_open = fake.channels[channel].is_open;
    fake.channels[channel].is_open = false;
    subscriber_now->generations[channel] += was_open;
    return was_open;
}

static void tell_loss(unsigned channel, bool is_gone)
{
    subscriber_now->listener.on_channel_lost(subscriber_now->listener.context, channel,
        subscriber_now->generations[channel] - 1, is_gone, "the test took it away");
}

/* All channels are stale before the owner is notified of the first. */
static void lose_channels(void)
{
    bool lost[FAKE_CHANNELS_MAX];
    for (unsigned i = 0; i < subscriber_now->channels_count; i++)
        lost[i] = drop_channel(i);
    for (unsigned i = 0; i < subscriber_now->channels_count; i++)
        if (lost[i])
            tell_loss(i, false);
}

void subscriber_close(struct subscriber *subscriber)
{
    if (!fake.subscriber_open)
        return;
    fake.subscriber_open = false;
    lose_channels();
}

bool subscriber_is_open(const struct subscriber *subscriber)
{
    return fake.subscriber_open;
}

unsigned subscriber_channels_consuming(const struct subscriber *subscriber)
{
    unsigned count = 0;
    for (unsigned i = 0; i < subscriber->channels_count; i++)
        count += fake.channels[i].is_open;
    return count;
}

const char *subscriber_peer(const struct subscriber *subscriber)
{
    return "broker:5672";
}

bool message_tag_is_current(const struct subscriber *subscriber, const struct message_tag *tag)
{
    return tag->generation == subscriber->generations[tag->channel];
}

void subscriber_ack(struct subscriber *subscriber, const struct message_tag *tag)
{
    struct fake_channel *channel = &fake.channels[tag->channel];
    if (!message_tag_is_current(subscriber, tag))
        return;
    if (tag->number <= channel->sent) {
        cr_assert_not(channel->ended[tag->number], "acked twice");
        channel->ended[tag->number] = true;
    }
    cr_assert(fake.acked < FAKE_ACKS_MAX);
    fake.acks[fake.acked++] = *tag;
    fake.last_acked = *tag;
}

unsigned subscriber_unacked(const struct subscriber *subscriber, unsigned channel)
{
    unsigned first = 1; /* that is not ended: acks go in order */
    while (first <= fake.channels[channel].sent && fake.channels[channel].ended[first])
        first++;
    return fake.channels[channel].sent + 1 - first;
}

unsigned subscriber_open_messages(const struct subscriber *subscriber, unsigned channel)
{
    unsigned count = 0;
    for (unsigned i = 1; i <= fake.channels[channel].sent; i++)
        count += !fake.channels[channel].ended[i];
    return count;
}

void subscriber_set_offset(struct subscriber *subscriber, unsigned channel, int64_t offset)
{
    fake.channels[channel].offset = offset;
}

void subscriber_set_reading(struct subscriber *subscriber, bool reading)
{
    fake.subscriber_reading = reading;
}

void subscriber_ask_depth(struct subscriber *subscriber, unsigned channel)
{
    fake.channels[channel].depth_asked += fake.channels[channel].is_open;
}

void subscriber_tick(struct subscriber *subscriber, int64_t now_mono_us)
{
}

void fake_open_one(unsigned channel)
{
    struct fake_channel *opened = &fake.channels[channel];
    opened->is_open = true;
    opened->sent = 0;
    memset(opened->ended, 0, sizeof opened->ended);
    uint32_t generation = ++subscriber_now->generations[channel];
    subscriber_now->listener.on_channel_open(subscriber_now->listener.context, channel, generation);
}

void fake_open_channels(void)
{
    for (unsigned i = 0; i < subscriber_now->channels_count; i++)
        fake_open_one(i);
}

void fake_lose_one(unsigned channel, bool is_gone)
{
    fake.channels[channel].is_open = false;
    subscriber_now->generations[channel]++;
    tell_loss(channel, is_gone);
}

void fake_lose_connection(void)
{
    fake.subscriber_open = false;
    lose_channels();
    subscriber_now->listener.on_lost(subscriber_now->listener.context, "the test took it away");
}

void fake_open_channel(void)
{
    fake_open_one(0);
}

void fake_lose_channel(void)
{
    fake_lose_one(0, false);
}

struct message_tag fake_send(unsigned channel, const struct message *message)
{
    struct fake_channel *to = &fake.channels[channel];
    cr_assert(to->is_open && to->sent < FAKE_MESSAGES_MAX);
    struct message_tag tag = {.channel = channel,
        .generation = subscriber_now->generations[channel],
        .number = ++to->sent};
    subscriber_now->listener.on_message(subscriber_now->listener.context, &tag, message);
    return tag;
}

bool fake_is_acked(const struct message_tag *tag)
{
    for (unsigned i = 0; i < fake.acked; i++)
        if (fake.acks[i].channel == tag->channel && fake.acks[i].generation == tag->generation &&
            fake.acks[i].number == tag->number)
            return true;
    return false;
}

void fake_answer_depth(unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    subscriber_now->listener.on_depth(
        subscriber_now->listener.context, channel, messages_ready, consumers);
}

void fake_deliver(
    uint64_t number, const char *body, const char *content_type, const char *message_id)
{
    struct message message = {.body = slice_from_string(body),
        .body_bytes = strlen(body),
        .content_type = slice_from_string(content_type),
        .message_id = slice_from_string(message_id)};
    struct message_tag tag = {.generation = subscriber_now->generations[0], .number = number};
    subscriber_now->listener.on_message(subscriber_now->listener.context, &tag, &message);
}

/* The tap */

struct tap *tap_new(
    struct broker_host *host, void (*on_lost)(void *context, const char *why), void *context)
{
    struct tap *tap = calloc(1, sizeof *tap);
    *tap = (struct tap){.on_lost = on_lost, .context = context};
    tap_now = tap;
    return tap;
}

void tap_free(struct tap *tap)
{
    free(tap);
    tap_now = NULL;
    fake.tap_open = false;
}

enum err tap_open(struct tap *tap, struct broker_link *link)
{
    cr_assert(!fake.tap_open && link == (void *)&some_link);
    fake.tap_open = true;
    return OK;
}

bool tap_is_open(const struct tap *tap)
{
    return fake.tap_open;
}

void tap_publish(struct tap *tap, const struct event_parts *parts)
{
    fake.tapped++;
    fake.last_tapped = parts->id;
}

void tap_tick(struct tap *tap, int64_t now_mono_us)
{
}

void fake_lose_tap(void)
{
    fake.tap_open = false;
    tap_now->on_lost(tap_now->context, "the test took it away");
}
