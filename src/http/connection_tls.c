/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of a connection to the TLS listener, before its protocol is detected. h2o reads and
 * writes the records, and has no function that returns its SSL. But OpenSSL passes the SSL to its
 * callbacks, and the BIO of the SSL points to the socket, and so to the connection.
 *
 * A client has handshake_ms for the whole handshake. A failed handshake is counted by its reason.
 * The log has at most one line per second and thread, with the address of one client and the number
 * of others.
 */
#include "http/http_internal.h"

#include "base/memory.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdlib.h>
#include <sys/socket.h>

#define HANDSHAKES_PER_TURN 8
#define KEY_UPDATES_MAX 16
#define KEY_UPDATES_BYTES (1024 * 1024)

/* h2o makes the SSL when the first bytes have arrived. */
static void on_begin(SSL *ssl)
{
    struct http_connection *connection = http_connection_of(BIO_get_data(SSL_get_rbio(ssl)));
    if (connection && connection->handshake)
        tls_handshake_begin(connection->handshake, ssl);
}

/* h2o does not see the end of the client's records before the end of TCP. Until then it would keep
 * every byte that follows. So it gets the end of TCP at once. Answers can still be written. */
static void on_end(SSL *ssl)
{
    struct http_connection *connection = http_connection_of(BIO_get_data(SSL_get_rbio(ssl)));
    if (connection)
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
}

/*
 * A KeyUpdate costs a derivation and brings nothing. Keys of AES-GCM are good for 24 million
 * records (RFC 8446 section 5.5), so a client needs new ones every 500 MiB, even if each of its
 * records has one byte. 16 for each MiB leave room for odd clients, and cost much less than the MiB
 * itself.
 *
 * OpenSSL has no limit of its own. h2o ends a connection at the second KeyUpdate that asks for an
 * answer (update_requested) while nothing is written.
 */
static bool may_update_keys(struct http_connection *connection, const SSL *ssl)
{
    uint64_t received = BIO_number_read(SSL_get_rbio(ssl));
    if (received - connection->key_updates_from >= KEY_UPDATES_BYTES) {
        connection->key_updates = 0;
        connection->key_updates_from = received;
    }
    return ++connection->key_updates <= KEY_UPDATES_MAX;
}

/* The connection cannot be closed while OpenSSL reads. So OpenSSL drops what it has already got,
 * and h2o gets the end of TCP. */
static void on_key_update(SSL *ssl)
{
    struct http_connection *connection = http_connection_of(BIO_get_data(SSL_get_rbio(ssl)));
    if (!connection || may_update_keys(connection, ssl))
        return;
    if (!(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) && connection->stage != CONNECTION_CLOSING)
        http_note_cut(connection, REFUSAL_KEY_UPDATES, 0);
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

static void report(struct http_connection *connection, enum tls_failure failure, const char *reason)
{
    struct http_server *server = connection->server;
    int64_t now_us = clock_mono_us();
    metrics_add(tls_failure_metric(failure), 1);
    if (now_us < server->tls_log_mono_us) {
        server->tls_unlogged++;
        return;
    }
    log_info("a TLS handshake has failed address=%s reason=%s detail=\"%s\" others=%u",
        connection->peer.text, tls_failure_name(failure), reason, server->tls_unlogged);
    server->tls_log_mono_us = now_us + US_PER_SECOND;
    server->tls_unlogged = 0;
}

/* The peer may not read it, and may be gone. */
static void send_farewell(const struct http_connection *connection, enum tls_failure failure)
{
    struct slice bytes = tls_handshake_farewell(connection->handshake, failure);
    if (bytes.len > 0)
        (void)!send(h2o_socket_get_fd(connection->socket), bytes.data, bytes.len,
            MSG_NOSIGNAL | MSG_DONTWAIT);
}

void http_connection_handshake_late(struct http_connection *connection)
{
    report(connection, TLS_TIMED_OUT, "it was not complete in time");
    http_connection_close(connection, true);
}

static void end_badly(struct http_connection *connection, const char *error)
{
    char reason[TLS_REASON_BYTES] = "the client closed the connection";
    enum tls_failure failure = TLS_CLOSED;
    if (error != h2o_socket_error_closed && error != h2o_socket_error_io)
        failure = tls_handshake_explain(connection->handshake, reason);
    report(connection, failure, reason);
    send_farewell(connection, failure);
    http_connection_close(connection, false);
}

static void on_handshake(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    bool has_expired = false;
    if (error) {
        end_badly(connection, error);
        return;
    }
    SSL *ssl = connection->handshake->ssl;
    tls_handshake_end(connection->handshake);
    connection->identity = tls_identity_new(ssl, &has_expired);
    if (has_expired) {
        report(connection, TLS_CLIENT_CERTIFICATE,
            "the certificate of the resumed session has expired");
        http_connection_close(connection, false);
        return;
    }
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    connection->alpn = len == 0 ? HTTP_ALPN_NONE : len == 2 ? HTTP_ALPN_2 : HTTP_ALPN_1;
    metrics_add(SSL_session_reused(ssl) ? METRIC_TLS_RESUMED : METRIC_TLS_FULL, 1);
    free(TAKE(connection->handshake));
    connection->then(connection);
}

static void begin_handshake(struct http_connection *connection)
{
    connection->server->handshakes++;
    h2o_socket_read_stop(connection->socket);
    h2o_socket_ssl_handshake(connection->socket, connection->context, NULL, on_handshake);
}

static void on_greet(h2o_timeout_entry_t *entry)
{
    struct http_server *server = CONTAINER_OF(entry, struct http_server, greet);
    while (!list_is_empty(&server->greeting) && server->handshakes < HANDSHAKES_PER_TURN) {
        struct http_connection *connection =
            CONTAINER_OF(server->greeting.next, struct http_connection, in_greeting);
        list_remove(&connection->in_greeting);
        begin_handshake(connection);
    }
    if (!list_is_empty(&server->greeting))
        h2o_timeout_link(server->loop, &server->one_ms_timeout, &server->greet);
}

/* The first bytes are here. A handshake takes up to a millisecond, and many may begin at once. So a
 * turn has a few of them, and the rest waits for the next turns. */
static void on_greeting(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    struct http_server *server = connection->server;
    if (error) {
        end_badly(connection, error);
        return;
    }
    if (list_is_empty(&server->greeting) && server->handshakes < HANDSHAKES_PER_TURN) {
        begin_handshake(connection);
        return;
    }
    h2o_socket_read_stop(socket);
    list_add_tail(&server->greeting, &connection->in_greeting);
    if (!h2o_timeout_is_linked(&server->greet))
        h2o_timeout_link(server->loop, &server->one_ms_timeout, &server->greet);
}

void http_connection_handshake(
    struct http_connection *connection, void (*then)(struct http_connection *connection))
{
    struct http_server *server = connection->server;
    connection->then = then;
    connection->stage = CONNECTION_HANDSHAKE;
    connection->peer.is_tls = true;
    MEMORY_NEW(connection->handshake);
    /* h2o keeps the pointer without a reference. */
    connection->context = http_tls_take_context(server->options.tls);
    connection->deadline_mono_us =
        clock_mono_us() + server->options.limits.handshake_ms * US_PER_MS;
    h2o_socket_read_start(connection->socket, on_greeting);
    if (connection->socket->input->size > 0) /* behind a header of the PROXY protocol */
        on_greeting(connection->socket, NULL);
}

/* The socket is closed, and its SSL is freed. */
void http_connection_end_tls(struct http_connection *connection)
{
    free(connection->handshake);
    free(connection->identity);
    SSL_CTX_free(connection->context);
}

void http_server_use_tls(struct http_server *server)
{
    server->greet = (h2o_timeout_entry_t){.cb = on_greet};
    server->options.tls->on_begin = on_begin;
    server->options.tls->on_end = on_end;
    server->options.tls->on_key_update = on_key_update;
}
