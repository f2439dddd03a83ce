/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of configured proxies (http_options.proxies), which may say for whom they speak:
 *
 *   PROXY protocol   one header before everything else, for the whole connection. With the option
 *                    every connection of a proxy must begin with it
 *   Forwarded        a field of each request, otherwise
 *
 * What others send is ignored: anybody can write a header.
 */
#include "http/forwarded.h"
#include "http/http_internal.h"
#include "runtime/log.h"

#include <arpa/inet.h>

static bool is_proxy(const struct in6_addr *address, void *context)
{
    const struct http_options *options = &((struct http_server *)context)->options;
    for (unsigned i = 0; i < options->proxies_count; i++)
        if (network_contains(&options->proxies[i], address->s6_addr))
            return true;
    return false;
}

bool http_peer_is_proxy(struct http_server *server, const struct http_peer *peer)
{
    return is_proxy(&peer->address, server);
}

/* The fault says what to change in the proxy's configuration. */
static void close_for_fault(struct http_connection *connection, const char *fault)
{
    struct http_server *server = connection->server;
    int64_t now_us = clock_mono_us();
    http_note_cut(connection, REFUSAL_PROXY_HEADER, 0);
    if (now_us >= server->proxy_log_mono_us) {
        log_warn("a connection of a proxy was closed address=%s reason=\"%s\"",
            connection->peer.text, fault);
        server->proxy_log_mono_us = now_us + US_PER_SECOND;
    }
    http_connection_close(connection, true);
}

static void on_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    if (error) {
        http_connection_close(connection, true);
        return;
    }
    size_t used;
    const char *fault = NULL;
    enum proxy_protocol_step step = proxy_protocol_walk(
        &connection->proxy, socket->input->bytes, socket->input->size, &used, &fault);
    h2o_buffer_consume(&socket->input, used);
    if (step == PROXY_PROTOCOL_MORE)
        return;
    if (step == PROXY_PROTOCOL_FAULT) {
        close_for_fault(connection, fault);
        return;
    }
    struct in6_addr address;
    uint16_t port;
    if (proxy_protocol_source(&connection->proxy, &address, &port))
        http_peer_set(&connection->peer, &address, port);
    h2o_socket_read_stop(socket);
    connection->then(connection);
}

void http_connection_read_proxy(
    struct http_connection *connection, void (*then)(struct http_connection *connection))
{
    connection->then = then;
    connection->stage = CONNECTION_PROXY;
    connection->deadline_mono_us =
        clock_mono_us() + connection->server->options.limits.handshake_ms * US_PER_MS;
    h2o_socket_read_start(connection->socket, on_bytes);
}

void http_exchange_read_forwarded(struct http_exchange *exchange)
{
    struct slice values[FORWARDED_FIELDS_MAX];
    size_t count = 0;
    const struct head *head = exchange->head;
    for (unsigned i = 0; i < head->fields_count; i++) {
        if (!slice_equals_string(head_slice(head, head->fields[i].name), "forwarded"))
            continue;
        if (count == FORWARDED_FIELDS_MAX) /* the last ones count */
            memmove(values, values + 1, --count * sizeof *values);
        values[count++] = head_slice(head, head->fields[i].value);
    }
    struct in6_addr address;
    uint16_t port = 0;
    switch (forwarded_read(values, count, is_proxy, exchange->server, &address, &port)) {
    case FORWARDED_ADDRESS:
        http_peer_set(&exchange->peer, &address, port);
        break;
    case FORWARDED_MALFORMED:
        metrics_add(METRIC_FORWARDED_MALFORMED, 1);
        break;
    default:
        break;
    }
}
