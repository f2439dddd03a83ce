/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topology.h"

#include "base/cleanup.h"
#include "broker/reply.h"

#include <stdio.h>

#define STREAM_BYTES_MAX 1000000000 /* 60 million ids: hours without a delivering gateway */
#define STREAM_SEGMENT_BYTES 50000000

/* Adds the operator's next step after the broker's text. */
static void add_command(
    const char *list, const char *columns, const char *vhost, char detail[BROKER_DETAIL_BYTES])
{
    size_t len = strlen(detail);
    snprintf(detail + len, BROKER_DETAIL_BYTES - len, "; `rabbitmqctl %s -p %s %s` shows it", list,
        vhost, columns);
}

/* The queue may have events, so the gateway does not delete it. */
static void add_remedy(const char *name, const char *vhost, char detail[BROKER_DETAIL_BYTES])
{
    size_t len = strlen(detail);
    snprintf(detail + len, BROKER_DETAIL_BYTES - len,
        "; when it is empty, `rabbitmqctl delete_queue -p %s %s` lets the gateway create it again",
        vhost, name);
}

static amqp_table_entry_t text_argument(const char *name, const char *text)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

/*
 * `dropped`: the queue for messages that the broker drops; NULL: none. Dead-lettering is at most
 * once. For at-least-once RabbitMQ runs a worker per queue. If two workers fail within 5 s (queues
 * deleted early, leaders that change), their supervisor ends. Then no such queue of the node gets a
 * leader until the node is restarted (RabbitMQ issue 16652). queue/losses.c finds messages that
 * dead-lettering misses.
 */
static enum err declare_queue(struct broker_link *link, amqp_channel_t channel, const char *name,
    const char *dropped, const char *vhost, char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_table_entry_t arguments[] = {
        text_argument("x-queue-type", "quorum"),
        text_argument("x-overflow", "reject-publish"),
        text_argument("x-dead-letter-strategy", "at-most-once"),
        text_argument("x-dead-letter-exchange", ""),
        text_argument("x-dead-letter-routing-key", dropped ? dropped : ""),
    };
    amqp_queue_declare(link->connection, channel, amqp_cstring_bytes(name), 0, 1, 0, 0,
        (amqp_table_t){
            .num_entries = dropped ? (int)ARRAY_LENGTH(arguments) : 2, .entries = arguments});
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    char doing[BROKER_QUEUE_NAME_BYTES + 16];
    snprintf(doing, sizeof doing, "queue %s", name);
    enum err failed = broker_reply_judge(&reply, doing, ret_detail);
    if (failed == ERR_CONFIG) {
        add_command("list_queues", "name type durable arguments", vhost, ret_detail);
        add_remedy(name, vhost, ret_detail);
    }
    amqp_maybe_release_buffers(link->connection);
    return failed;
}

static amqp_table_entry_t number_argument(const char *name, int64_t number)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = number}};
}

static enum err declare_stream(struct broker_link *link, amqp_channel_t channel, const char *vhost,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_table_entry_t arguments[] = {
        text_argument("x-queue-type", "stream"),
        number_argument("x-max-length-bytes", STREAM_BYTES_MAX),
        number_argument("x-stream-max-segment-size-bytes", STREAM_SEGMENT_BYTES),
    };
    amqp_queue_declare(link->connection, channel, amqp_cstring_bytes(BROKER_CONFIRMED_STREAM), 0, 1,
        0, 0, (amqp_table_t){.num_entries = (int)ARRAY_LENGTH(arguments), .entries = arguments});
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    enum err failed = broker_reply_judge(&reply, "stream " BROKER_CONFIRMED_STREAM, ret_detail);
    if (failed == ERR_CONFIG) {
        add_command("list_queues", "name type durable arguments", vhost, ret_detail);
        add_remedy(BROKER_CONFIRMED_STREAM, vhost, ret_detail);
    }
    amqp_maybe_release_buffers(link->connection);
    return failed;
}

static enum err declare_taps(struct broker_link *link, amqp_channel_t channel, const char *vhost,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_exchange_declare(link->connection, channel, amqp_cstring_bytes(BROKER_TAPS_EXCHANGE),
        amqp_cstring_bytes("topic"), 0, 1, 0, 0, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    enum err failed = broker_reply_judge(&reply, "exchange " BROKER_TAPS_EXCHANGE, ret_detail);
    if (failed == ERR_CONFIG)
        add_command("list_exchanges", "name type durable arguments", vhost, ret_detail);
    amqp_maybe_release_buffers(link->connection);
    return failed;
}

enum err broker_topology_declare(struct broker_link *link, amqp_channel_t channel,
    const struct broker_options *options, char ret_detail[BROKER_DETAIL_BYTES])
{
    enum err failed = OK;
    for (unsigned p = 0; !failed && p < options->partitions; p++) {
        char name[BROKER_QUEUE_NAME_BYTES], dropped[BROKER_QUEUE_NAME_BYTES];
        broker_queue_name(options->partitions, p, name);
        broker_dropped_queue_name(options->partitions, p, dropped);
        failed = declare_queue(link, channel, dropped, NULL, options->vhost, ret_detail);
        if (!failed)
            failed = declare_queue(link, channel, name, dropped, options->vhost, ret_detail);
    }
    if (!failed)
        failed = declare_stream(link, channel, options->vhost, ret_detail);
    if (!failed && options->taps)
        failed = declare_taps(link, channel, options->vhost, ret_detail);
    if (!failed && options->intake)
        failed =
            declare_queue(link, channel, BROKER_INTAKE_QUEUE, NULL, options->vhost, ret_detail);
    if (!failed && options->intake)
        failed = declare_queue(
            link, channel, BROKER_INTAKE_ERRORS_QUEUE, NULL, options->vhost, ret_detail);
    return failed;
}
