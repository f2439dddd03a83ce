/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer. It is also a kind of its own: a process beside any program that publishes, so that
 * all of them have the same consumer. As a kind it answers no requests.
 */
#include "ceiling/drain.h"

#include "ceiling/broker_link.h"

#include <stdio.h>
#include <sys/socket.h>

#define PREFETCH 2000
#define DELIVERIES_PER_ACK 100
#define IDLE_US 5000 /* after this time without a delivery all unacked ones are acked */

struct consumer {
    struct ceiling *ceiling;
    pthread_t thread;

    /* owned by the thread; main shuts the link's fd down to end the thread */
    struct broker_link link;
    uint64_t tag;       /* of the delivery that is being read */
    uint64_t body_left; /* bytes of its body that are not read yet */
    unsigned unacked;
    uint64_t consumed;
};

static bool ack(struct consumer *consumer)
{
    if (consumer->unacked == 0)
        return true;
    consumer->unacked = 0;
    return amqp_basic_ack(consumer->link.connection, BROKER_CHANNEL, consumer->tag, 1) ==
           AMQP_STATUS_OK;
}

static bool finish_delivery(struct consumer *consumer)
{
    consumer->consumed++;
    return ++consumer->unacked < DELIVERIES_PER_ACK || ack(consumer);
}

/* A delivery is a method frame, a header frame with the body's size, and the body frames. */
static bool work_on_frame(struct consumer *consumer, const amqp_frame_t *frame)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        if (frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD)
            consumer->tag =
                ((const amqp_basic_deliver_t *)frame->payload.method.decoded)->delivery_tag;
        return frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD;
    case AMQP_FRAME_HEADER:
        consumer->body_left = frame->payload.properties.body_size;
        return consumer->body_left > 0 || finish_delivery(consumer);
    case AMQP_FRAME_BODY:
        consumer->body_left -= frame->payload.body_fragment.len;
        return consumer->body_left > 0 || finish_delivery(consumer);
    default:
        return true;
    }
}

static void *run(void *argument)
{
    struct consumer *consumer = argument;
    bool going = true;
    while (going) {
        const struct timeval idle = {consumer->unacked ? 0 : 1, consumer->unacked ? IDLE_US : 0};
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(consumer->link.connection, &frame, &idle);
        if (status == AMQP_STATUS_TIMEOUT)
            going = ack(consumer);
        else
            going = status == AMQP_STATUS_OK && work_on_frame(consumer, &frame);
        amqp_maybe_release_buffers(consumer->link.connection);
    }
    if (!atomic_load(&consumer->ceiling->ending))
        ceiling_complain("the consumer's connection is lost");
    return NULL;
}

enum err drain_open(struct ceiling *ceiling)
{
    enum err result = broker_link_empty_queue(ceiling);
    if (result)
        return result;
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        return ERR_NO_MEMORY;
    consumer->ceiling = ceiling;
    ceiling->data = consumer;
    result = broker_link_open(&ceiling->options, &consumer->link);
    if (result)
        return result;
    amqp_connection_state_t connection = consumer->link.connection;
    amqp_basic_qos(connection, BROKER_CHANNEL, 0, PREFETCH, 0);
    if (broker_link_failed(&consumer->link, "the prefetch cannot be set"))
        return ERR_UNAVAILABLE;
    amqp_basic_consume(connection, BROKER_CHANNEL, amqp_cstring_bytes(ceiling->options.queue_name),
        amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    if (broker_link_failed(&consumer->link, "the queue cannot be consumed"))
        return ERR_UNAVAILABLE;
    return pthread_create(&consumer->thread, NULL, run, consumer) == 0 ? OK : ERR_SYSTEM;
}

void drain_cut(struct ceiling *ceiling, struct server *server)
{
    struct consumer *consumer = ceiling->data;
    shutdown(consumer->link.fd, SHUT_RDWR);
}

void drain_close(struct ceiling *ceiling, struct server *server)
{
    struct consumer *consumer = ceiling->data;
    pthread_join(consumer->thread, NULL);
    fprintf(stderr, " consumed=%llu", (unsigned long long)consumer->consumed);
    broker_link_close(&consumer->link);
    free(consumer);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct ceiling_loop *loop = server_loop_of(req)->data;
    loop->counts.requests++;
    ceiling_answer(loop, req, 405, NULL, 0);
    return 0;
}

static enum err on_start(struct server_loop *server_loop, void *context)
{
    struct ceiling_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return ERR_NO_MEMORY;
    loop->server_loop = server_loop;
    server_loop->data = loop;
    return OK;
}

const struct ceiling_kind ceiling_drain = {.name = "drain",
    .doc = "only consumes and acks: for a run where another program publishes",
    .needs_broker = true,
    .open = drain_open,
    .on_start = on_start,
    .on_request = on_request,
    .cut = drain_cut,
    .close = drain_close};
