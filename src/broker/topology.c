/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topology.h"

#include "broker/reply.h"

#include <stdio.h>

/* The operator's next step, behind the broker's words. */
static void add_command(const char *list, const char *columns, const char *vhost, char detail[BROKER_DETAIL_BYTES])
{
    size_t len = strlen(detail);
    snprintf(detail + len, BROKER_DETAIL_BYTES - len, "; `rabbitmqctl %s -p %s %s` shows it", list, vhost, columns);
}

static enum err declare_queue(struct broker_link *link, amqp_channel_t channel, const char *name, const char *vhost,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_queue_declare(link->connection, channel, amqp_cstring_bytes(name), 0, 1, 0, 0,
        (amqp_table_t){.num_entries = 1, .entries = &type});
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    char doing[BROKER_QUEUE_NAME_BYTES + 16];
    snprintf(doing, sizeof doing, "queue %s", name);
    enum err failed = broker_reply_judge(&reply, doing, ret_detail);
    if (failed == ERR_CONFIG)
        add_command("list_queues", "name type durable arguments", vhost, ret_detail);
    amqp_maybe_release_buffers(link->connection);
    return failed;
}

static enum err declare_taps(
    struct broker_link *link, amqp_channel_t channel, const char *vhost, char ret_detail[BROKER_DETAIL_BYTES])
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

enum err broker_topology_declare(struct broker_link *link, amqp_channel_t channel, const struct broker_options *options,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    enum err failed = OK;
    for (unsigned p = 0; !failed && p < options->partitions; p++) {
        char name[BROKER_QUEUE_NAME_BYTES];
        broker_queue_name(options->partitions, p, name);
        failed = declare_queue(link, channel, name, options->vhost, ret_detail);
    }
    if (!failed && options->taps)
        failed = declare_taps(link, channel, options->vhost, ret_detail);
    if (!failed && options->intake)
        failed = declare_queue(link, channel, BROKER_INTAKE_QUEUE, options->vhost, ret_detail);
    if (!failed && options->intake)
        failed = declare_queue(link, channel, BROKER_INTAKE_ERRORS_QUEUE, options->vhost, ret_detail);
    return failed;
}
