/* SPDX-License-Identifier: Apache-2.0 */
#include "ceiling/broker_link.h"

#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <sys/socket.h>

#define CONNECT_SECONDS 5
#define RPC_SECONDS 20 /* declaring the first quorum queue of a node takes several seconds */
#define FRAME_BYTES_MAX 131072
#define SEND_BUFFER_BYTES (4 << 20)
#define HOST_BYTES_MAX 256

static bool complain_of(const char *what, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return false;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = reply.reply.decoded;
        ceiling_complain(
            "%s: %.*s", what, (int)close->reply_text.len, (const char *)close->reply_text.bytes);
    } else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
               reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = reply.reply.decoded;
        ceiling_complain(
            "%s: %.*s", what, (int)close->reply_text.len, (const char *)close->reply_text.bytes);
    } else {
        ceiling_complain("%s: %s", what, amqp_error_string2(reply.library_error));
    }
    return true;
}

bool broker_link_failed(struct broker_link *link, const char *what)
{
    return complain_of(what, amqp_get_rpc_reply(link->connection));
}

static bool connect_to(struct broker_link *link, const char *broker)
{
    char host[HOST_BYTES_MAX];
    const char *colon = strrchr(broker, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - broker), broker);
    const struct timeval patience = {CONNECT_SECONDS, 0}, rpc_patience = {RPC_SECONDS, 0};
    amqp_socket_t *socket = amqp_tcp_socket_new(link->connection);
    if (!socket)
        return false;
    int status = amqp_socket_open_noblock(socket, host, atoi(colon + 1), &patience);
    if (status != AMQP_STATUS_OK) {
        ceiling_complain("--broker %s: %s", broker, amqp_error_string2(status));
        return false;
    }
    link->fd = amqp_get_sockfd(link->connection);
    int bytes = SEND_BUFFER_BYTES;
    setsockopt(link->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    amqp_set_handshake_timeout(link->connection, &patience);
    amqp_set_rpc_timeout(link->connection, &rpc_patience);
    return true;
}

static amqp_table_entry_t text_argument(const char *key, const char *value)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

/* A queue with this prefix is one of the gateway's. It is declared with the gateway's arguments
 * (src/broker/topology.c), because both programs declare it. */
#define OF_GATEWAY "penstock.deliver."

static bool declare(struct broker_link *link, const struct ceiling_options *options)
{
    bool of_gateway = strncmp(options->queue_name, OF_GATEWAY, sizeof OF_GATEWAY - 1) == 0;
    char dropped[128];
    snprintf(dropped, sizeof dropped, "penstock.dropped.%s",
        of_gateway ? options->queue_name + sizeof OF_GATEWAY - 1 : "");
    amqp_table_entry_t arguments[6] = {text_argument("x-queue-type", "quorum")};
    int count = 1;
    if (of_gateway) {
        arguments[count++] = text_argument("x-overflow", "reject-publish");
        arguments[count++] = text_argument("x-dead-letter-strategy", "at-most-once");
        arguments[count++] = text_argument("x-dead-letter-exchange", "");
        arguments[count++] = text_argument("x-dead-letter-routing-key", dropped);
    } else if (options->max_length > 0) {
        arguments[count++] = text_argument("x-overflow", "drop-head");
        arguments[count++] = (amqp_table_entry_t){.key = amqp_cstring_bytes("x-max-length"),
            .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = options->max_length}};
    }
    amqp_table_t table = {.num_entries = count, .entries = arguments};
    amqp_queue_declare(link->connection, BROKER_CHANNEL, amqp_cstring_bytes(options->queue_name), 0,
        1, 0, 0, table);
    return !broker_link_failed(link, "the queue cannot be declared");
}

enum err broker_link_open(const struct ceiling_options *options, struct broker_link *ret_link)
{
    struct broker_link link = {.connection = amqp_new_connection(), .fd = -1};
    if (!link.connection)
        return ERR_NO_MEMORY;
    bool opened = connect_to(&link, options->broker);
    if (opened)
        opened =
            !complain_of("the login failed", amqp_login(link.connection, "/", 0, FRAME_BYTES_MAX, 0,
                                                 AMQP_SASL_METHOD_PLAIN, "guest", "guest"));
    if (opened) {
        amqp_channel_open(link.connection, BROKER_CHANNEL);
        opened = !broker_link_failed(&link, "the channel cannot be opened");
    }
    if (opened)
        opened = declare(&link, options);
    if (!opened) {
        broker_link_close(&link);
        return ERR_UNAVAILABLE;
    }
    *ret_link = link;
    return OK;
}

void broker_link_close(struct broker_link *link)
{
    if (link->connection)
        amqp_destroy_connection(link->connection);
    *link = (struct broker_link){.fd = -1};
}

enum err broker_link_empty_queue(struct ceiling *ceiling)
{
    struct broker_link link;
    enum err result = broker_link_open(&ceiling->options, &link);
    if (result)
        return result;
    amqp_queue_purge(
        link.connection, BROKER_CHANNEL, amqp_cstring_bytes(ceiling->options.queue_name));
    if (broker_link_failed(&link, "the queue cannot be emptied"))
        result = ERR_UNAVAILABLE;
    broker_link_close(&link);
    return result;
}
