/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_broker.h"

#include "fake_broker_internal.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 16
#define DELIVER_MAX 4
#define REFUSALS_MAX 5
#define DROP_MAX 4
#define WORKS_MAX (4 * FAKE_QUEUES_MAX + 1)

struct broker_queue {
    bool exists;
    struct message_list ready;
};

static struct {
    unsigned partitions, queues_count;
    bool is_down, is_owned_by_other;
    unsigned refusals, poisons;
    struct broker_queue queues[FAKE_QUEUES_MAX];
    struct broker_connection *connections[CONNECTIONS_MAX];
    unsigned connections_count;
} broker;

void message_list_insert(struct message_list *list, unsigned at, struct broker_message *message)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->messages = realloc(list->messages, list->room * sizeof *list->messages);
        assert(list->messages);
    }
    memmove(
        &list->messages[at + 1], &list->messages[at], (list->count - at) * sizeof *list->messages);
    list->messages[at] = message;
    list->count++;
}

struct broker_message *message_list_take(struct message_list *list, unsigned at)
{
    struct broker_message *message = list->messages[at];
    list->count--;
    memmove(
        &list->messages[at], &list->messages[at + 1], (list->count - at) * sizeof *list->messages);
    return message;
}

void fake_broker_init(unsigned partitions)
{
    broker.partitions = partitions;
    broker.queues_count = 2 * partitions;
    for (unsigned i = 0; i < broker.queues_count; i++)
        broker.queues[i].exists = true;
}

unsigned fake_broker_partitions(void)
{
    return broker.partitions;
}

unsigned fake_broker_queues(void)
{
    return broker.queues_count;
}

bool fake_broker_is_up(void)
{
    return broker.partitions > 0 && !broker.is_down;
}

/* Publishing. */

bool fake_broker_publish(
    struct model_post *post, const struct event_parts *parts, unsigned partition)
{
    struct broker_queue *queue = &broker.queues[partition];
    if (broker.is_down || !queue->exists)
        return false;
    struct broker_message *message = calloc(1, sizeof *message);
    char *id = malloc(EVENT_ID_TEXT_BYTES);
    assert(message && id);
    event_id_format(&parts->id, id);
    message->post = post;
    message->content = (struct message){
        .body = parts->body,
        .body_bytes = parts->body.len,
        .message_id = slice_from_string(id),
        .type = parts->type,
        .content_type = SLICE_LITERAL("application/json"),
        .is_event = true,
        .parts = *parts,
    };
    /* Only the body has these. */
    message->content.parts.amount = message->content.parts.currency = (struct slice){0};
    message_list_insert(&queue->ready, queue->ready.count, message);
    model_published(post);
    tally(TALLY_PUBLISHED);
    return true;
}

void fake_broker_publish_poison(void)
{
    unsigned partition = sim_below(STREAM_DRIVER, broker.partitions);
    struct broker_queue *queue = &broker.queues[partition];
    if (broker.is_down || !queue->exists)
        return;
    struct broker_message *message = calloc(1, sizeof *message);
    char *id = malloc(24);
    assert(message && id);
    message->poison = ++broker.poisons;
    snprintf(id, 24, "poison-%u", message->poison);
    message->content = (struct message){
        .body = SLICE_LITERAL("{\"what\":\"is this\"}"),
        .body_bytes = 19,
        .message_id = slice_from_string(id),
        .headers_json = SLICE_LITERAL("{\"from\":\"nobody\"}"),
        .why_not = "app_id is not penstock",
    };
    if (sim_chance(STREAM_DRIVER, 300)) { /* with the headers of an event, but not its body */
        message->content.is_event = true;
        message->content.parts = (struct event_parts){.partner = SLICE_LITERAL("shop"),
            .account = SLICE_LITERAL("acc_one"),
            .type = SLICE_LITERAL("lead")};
    }
    message_list_insert(&queue->ready, queue->ready.count, message);
    trace("poison-%u into queue %u", message->poison, partition);
}

/* Connections. */

struct broker_connection *broker_connect(unsigned prefetch)
{
    fail_unless(broker.connections_count < CONNECTIONS_MAX, BROKEN_SIM, "too many connections");
    struct broker_connection *connection = calloc(1, sizeof *connection);
    assert(connection);
    connection->prefetch = prefetch;
    broker.connections[broker.connections_count++] = connection;
    return connection;
}

void broker_close_channel(struct broker_connection *connection, unsigned channel)
{
    struct message_list *unacked = &connection->channels[channel].unacked;
    struct broker_queue *queue = &broker.queues[channel];
    bool to_front = sim_chance(STREAM_DRIVER, 500);
    connection->channels[channel].consuming = false;
    while (unacked->count > 0) {
        struct broker_message *message =
            message_list_take(unacked, to_front ? unacked->count - 1 : 0);
        message->acked = false;
        message->content.redelivered = true;
        message_list_insert(&queue->ready, to_front ? 0 : queue->ready.count, message);
        tally(TALLY_MESSAGES_BACK);
    }
}

static void bury_connection(struct broker_connection *connection)
{
    for (unsigned i = 0; i < broker.queues_count; i++)
        broker_close_channel(connection, i);
    for (unsigned i = 0; i < broker.connections_count; i++)
        if (broker.connections[i] == connection)
            broker.connections[i] = broker.connections[--broker.connections_count];
    free(connection);
}

void broker_disconnect(struct broker_connection *connection, bool known)
{
    if (known) {
        bury_connection(connection);
        return;
    }
    connection->is_ghost = true;
    tally(TALLY_GHOSTS);
}

static struct broker_connection *find_ghost(void)
{
    for (unsigned i = 0; i < broker.connections_count; i++)
        if (broker.connections[i]->is_ghost)
            return broker.connections[i];
    return NULL;
}

bool fake_broker_has_ghost(void)
{
    return find_ghost() != NULL;
}

void fake_broker_notice_ghost(void)
{
    trace("the broker detects a dead connection");
    bury_connection(find_ghost());
}

bool fake_broker_has_consumer(void)
{
    return subscriber_connection() != NULL;
}

void fake_broker_lose_connection(void)
{
    trace("the consuming connection is cut");
    tally(TALLY_CONNECTIONS_LOST);
    struct broker_connection *connection = subscriber_connection();
    subscriber_lose_connection(sim_chance(STREAM_DRIVER, 500));
    broker_disconnect(connection, sim_chance(STREAM_DRIVER, 500));
    if (sim_chance(STREAM_DRIVER, 500))
        tap_lose();
}

void fake_broker_lose_channel(void)
{
    struct broker_connection *connection = subscriber_connection();
    unsigned channel = sim_below(STREAM_DRIVER, broker.queues_count);
    if (!connection->channels[channel].consuming)
        return;
    trace("the broker closes channel %u", channel);
    tally(TALLY_CHANNELS_LOST);
    if (sim_chance(STREAM_DRIVER, 500))
        subscriber_take_acks(channel);
    broker_close_channel(connection, channel);
    subscriber_push(&(struct wire_item){.kind = WIRE_CHANNEL_LOST, .channel = channel});
}

void fake_broker_gateway_crashed(void)
{
    struct broker_connection *connection = subscriber_connection();
    if (connection && sim_chance(STREAM_DRIVER, 500))
        for (unsigned i = 0; i < broker.queues_count; i++)
            if (subscriber_channel_has_acks(i))
                subscriber_take_acks(i);
    subscriber_crashed();
    fake_connector_crashed();
    if (connection)
        broker_disconnect(connection, sim_chance(STREAM_DRIVER, 500));
}

/* The broker's life. */

void fake_broker_go_down(void)
{
    trace("the broker goes down");
    tally(TALLY_BROKER_DOWN);
    broker.is_down = true;
    if (subscriber_connection()) {
        struct broker_connection *connection = subscriber_connection();
        subscriber_lose_connection(sim_chance(STREAM_DRIVER, 500));
        broker_disconnect(connection, true);
    }
    while (find_ghost())
        bury_connection(find_ghost());
    tap_lose();
}

void fake_broker_come_up(void)
{
    trace("the broker is up");
    broker.is_down = false;
}

/* The gateway may still have received it. */
static void lose(const struct broker_message *message)
{
    if (message->post)
        model_queue_lost(message->post);
}

/* Deletes a queue with all its messages, and notifies its consumers. */
static void delete_queue(unsigned partition)
{
    struct broker_queue *queue = &broker.queues[partition];
    queue->exists = false;
    for (unsigned i = 0; i < broker.connections_count; i++) {
        struct broker_channel *channel = &broker.connections[i]->channels[partition];
        /* A message on the wire was already sent: it still arrives. */
        while (channel->unacked.count > 0)
            lose(message_list_take(&channel->unacked, 0));
        if (channel->consuming && broker.connections[i] == subscriber_connection())
            subscriber_push(&(struct wire_item){
                .kind = WIRE_CHANNEL_LOST, .channel = partition, .is_gone = true});
        channel->consuming = false;
    }
    while (queue->ready.count > 0)
        lose(message_list_take(&queue->ready, 0));
}

void fake_broker_delete_queue(void)
{
    unsigned partition = sim_below(STREAM_DRIVER, broker.queues_count);
    if (!broker.queues[partition].exists || broker.is_down)
        return;
    bool anew = sim_chance(STREAM_DRIVER, 500);
    trace("queue %u is deleted%s", partition, anew ? " and declared again" : "");
    tally(TALLY_QUEUES_DELETED);
    delete_queue(partition);
    broker.queues[partition].exists = anew;
}

/* Dead-lettering is at most once: if the other queue is missing, the message is lost. */
void fake_broker_drop(void)
{
    unsigned partition = sim_below(STREAM_DRIVER, broker.partitions);
    struct broker_queue *from = &broker.queues[partition],
                        *to = &broker.queues[broker.partitions + partition];
    if (broker.is_down)
        return;
    for (unsigned i = 1 + sim_below(STREAM_DRIVER, DROP_MAX); i > 0 && from->ready.count > 0; i--) {
        struct broker_message *message = message_list_take(&from->ready, 0);
        if (!to->exists) {
            trace("queue %u drops a message, which is lost", partition);
            tally(TALLY_DROPPED_LOST);
            lose(message);
            continue;
        }
        message->content.death_reason = SLICE_LITERAL("maxlen");
        message->content.redelivered = false;
        message_list_insert(&to->ready, to->ready.count, message);
        tally(TALLY_DROPPED);
        trace("queue %u drops a message", partition);
    }
}

bool fake_broker_lacks_queue(void)
{
    for (unsigned i = 0; i < broker.queues_count; i++)
        if (!broker.queues[i].exists)
            return true;
    return false;
}

void broker_declare_missing(void)
{
    for (unsigned i = 0; i < broker.queues_count; i++)
        broker.queues[i].exists = true;
}

void fake_broker_declare_queues(void)
{
    if (!fake_broker_lacks_queue() || broker.is_down)
        return;
    trace("the queues are declared");
    broker_declare_missing();
}

void fake_broker_refuse(void)
{
    broker.refusals = 1 + sim_below(STREAM_DRIVER, REFUSALS_MAX);
}

bool fake_broker_is_owned_by_other(void)
{
    return broker.is_owned_by_other;
}

void fake_broker_ownership(bool by_other)
{
    trace("delivery is owned by %s", by_other ? "another journal" : "this gateway");
    broker.is_owned_by_other = by_other;
}

void fake_broker_mend(void)
{
    broker.is_owned_by_other = false;
    broker.refusals = 0;
    if (broker.is_down)
        fake_broker_come_up();
    while (find_ghost())
        bury_connection(find_ghost());
}

/* The broker's work. */

bool broker_queue_exists(unsigned partition)
{
    return broker.queues[partition].exists;
}

uint32_t broker_queue_ready(unsigned partition)
{
    return broker.queues[partition].ready.count;
}

uint32_t broker_queue_consumers(unsigned partition)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < broker.connections_count; i++)
        count += broker.connections[i]->channels[partition].consuming;
    return count;
}

static bool takes_more(const struct broker_connection *connection, unsigned partition)
{
    const struct broker_channel *channel = &connection->channels[partition];
    return channel->consuming && channel->unacked.count < connection->prefetch;
}

static struct broker_connection *choose_taker(unsigned partition)
{
    struct broker_connection *chosen = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < broker.connections_count; i++)
        if (takes_more(broker.connections[i], partition) && sim_below(STREAM_DRIVER, ++count) == 0)
            chosen = broker.connections[i];
    return chosen;
}

static void deliver(unsigned partition)
{
    struct broker_queue *queue = &broker.queues[partition];
    for (unsigned i = 1 + sim_below(STREAM_DRIVER, DELIVER_MAX); i > 0 && queue->ready.count > 0;
         i--) {
        struct broker_connection *taker = choose_taker(partition);
        if (!taker)
            return;
        struct broker_message *message = message_list_take(&queue->ready, 0);
        struct message_list *unacked = &taker->channels[partition].unacked;
        message_list_insert(unacked, unacked->count, message);
        if (taker == subscriber_connection())
            subscriber_push(&(struct wire_item){
                .kind = WIRE_MESSAGE, .channel = partition, .message = message});
        tally(message->content.redelivered ? TALLY_REDELIVERED : TALLY_DELIVERED);
    }
}

static void open_channel(unsigned channel)
{
    subscriber_grant(channel);
    if (broker.queues[channel].exists) {
        consumer_begin_consuming(channel);
        subscriber_push(&(struct wire_item){.kind = WIRE_OPEN, .channel = channel});
    } else {
        subscriber_push(
            &(struct wire_item){.kind = WIRE_CHANNEL_LOST, .channel = channel, .is_gone = true});
    }
}

static void answer_connector(unsigned unused)
{
    (void)unused;
    enum connector_answer answer = CONNECTOR_WELL;
    if (broker.is_down) {
        answer = CONNECTOR_DOWN;
    } else if (broker.refusals > 0) {
        broker.refusals--;
        answer = CONNECTOR_REFUSES;
    } else if (broker.is_owned_by_other) {
        answer = CONNECTOR_NOT_OWNER;
    }
    if (connector_answer_one(answer))
        broker_declare_missing();
}

/* Lists the possible steps. Returns their number. */
static unsigned list_work(
    void (*ret_works[WORKS_MAX])(unsigned partition), unsigned ret_partitions[WORKS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < broker.queues_count && !broker.is_down; i++) {
        void (*const works[])(unsigned) = {
            deliver, open_channel, subscriber_answer_depth, subscriber_take_acks};
        const bool possible[] = {broker.queues[i].ready.count > 0 && choose_taker(i),
            subscriber_channel_is_opening(i), subscriber_channel_asks_depth(i),
            subscriber_channel_has_acks(i)};
        for (unsigned j = 0; j < sizeof possible; j++)
            if (possible[j]) {
                ret_works[count] = works[j];
                ret_partitions[count++] = i;
            }
    }
    if (connector_has_request())
        ret_works[count++] = answer_connector;
    return count;
}

bool fake_broker_has_work(void)
{
    void (*works[WORKS_MAX])(unsigned);
    unsigned partitions[WORKS_MAX];
    return list_work(works, partitions) > 0;
}

void fake_broker_work(void)
{
    void (*works[WORKS_MAX])(unsigned);
    unsigned partitions[WORKS_MAX] = {0};
    unsigned chosen = sim_below(STREAM_DRIVER, list_work(works, partitions));
    works[chosen](partitions[chosen]);
}

/* Called by the model. */

static unsigned count_in(
    const struct message_list *list, const struct model_post *post, bool acked_too)
{
    unsigned count = 0;
    for (unsigned i = 0; i < list->count; i++)
        count +=
            (!post || list->messages[i]->post == post) && (acked_too || !list->messages[i]->acked);
    return count;
}

static unsigned count_all(const struct model_post *post, bool acked_too)
{
    unsigned count = 0;
    for (unsigned i = 0; i < broker.queues_count; i++) {
        count += count_in(&broker.queues[i].ready, post, acked_too);
        for (unsigned j = 0; j < broker.connections_count; j++)
            count += count_in(&broker.connections[j]->channels[i].unacked, post, acked_too);
    }
    return count;
}

unsigned fake_broker_messages(void)
{
    return count_all(NULL, true);
}

unsigned fake_broker_unconsumed(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < broker.queues_count; i++)
        count += !subscriber_connection() || !subscriber_connection()->channels[i].consuming;
    return count;
}

bool fake_broker_holds(const struct model_post *post)
{
    return count_all(post, true) > 0;
}

unsigned fake_broker_copies(const struct model_post *post)
{
    return count_all(post, false);
}

bool fake_broker_has_given(const struct model_post *post)
{
    return subscriber_has_given(post);
}
