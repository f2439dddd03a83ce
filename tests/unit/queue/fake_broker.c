/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_broker.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct publisher {
    struct publisher_listener listener;
    bool open, blocked;
};

struct subscriber {
    struct subscriber_listener listener;
    uint32_t generation;
};

struct fake_broker fake;

static struct connector_request *dialled[CONNECTOR_TAKE_OVER + 1];
static struct publisher *publisher_now; /* the newest */
static struct subscriber *subscriber_now;
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
    return false;
}

void broker_connector_doubt(struct broker_connector *connector)
{
    fake.doubts++;
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
    return publish(publisher, publication, 0, reason);
}

void publisher_forget(struct publisher *publisher, struct publication *publication)
{
    cr_assert_eq(fake.published[publication->tag - 1].publication, publication);
    fake.published[publication->tag - 1].publication = NULL;
    publication->tag = 0;
}

void publisher_ask_depth(struct publisher *publisher)
{
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

/* The subscriber */

struct subscriber *subscriber_new(struct broker_host *host,
    const struct subscriber_options *options, const struct subscriber_listener *listener)
{
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    subscriber->listener = *listener;
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

void subscriber_close(struct subscriber *subscriber)
{
    if (!fake.subscriber_open)
        return;
    fake.subscriber_open = false;
    fake_lose_channel();
}

bool subscriber_is_open(const struct subscriber *subscriber)
{
    return fake.subscriber_open;
}

const char *subscriber_peer(const struct subscriber *subscriber)
{
    return "broker:5672";
}

void subscriber_ack(struct subscriber *subscriber, const struct message_tag *tag)
{
    if (tag->generation != subscriber->generation)
        return;
    fake.acked++;
    fake.last_acked = *tag;
}

bool message_tag_is_current(const struct subscriber *subscriber, const struct message_tag *tag)
{
    return tag->generation == subscriber->generation;
}

void subscriber_set_reading(struct subscriber *subscriber, bool reading)
{
    fake.subscriber_reading = reading;
}

void subscriber_tick(struct subscriber *subscriber, int64_t now_mono_us)
{
}

void fake_open_channel(void)
{
    subscriber_now->generation++;
    subscriber_now->listener.on_channel_open(
        subscriber_now->listener.context, 0, subscriber_now->generation);
}

void fake_lose_channel(void)
{
    uint32_t generation = subscriber_now->generation++;
    subscriber_now->listener.on_channel_lost(
        subscriber_now->listener.context, 0, generation, false, "the test took it away");
}

void fake_deliver(
    uint64_t number, const char *body, const char *content_type, const char *message_id)
{
    struct message message = {.body = slice_from_string(body),
        .body_bytes = strlen(body),
        .content_type = slice_from_string(content_type),
        .message_id = slice_from_string(message_id)};
    struct message_tag tag = {.generation = subscriber_now->generation, .number = number};
    subscriber_now->listener.on_message(subscriber_now->listener.context, &tag, &message);
}
