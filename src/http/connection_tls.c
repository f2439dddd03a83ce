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

#include <netdb.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct http_connection *owner_of(const h2o_socket_t *socket)
{
    return socket->on_close.data;
}

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

static void write_address(h2o_socket_t *socket, char ret_text[NI_MAXHOST])
{
    struct sockaddr_storage address;
    socklen_t len = h2o_socket_getpeername(socket, (struct sockaddr *)&address);
    size_t text_len =
        len ? h2o_socket_getnumerichost((struct sockaddr *)&address, len, ret_text) : SIZE_MAX;
    if (text_len == SIZE_MAX)
        strcpy(ret_text, "unknown");
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
    char address[NI_MAXHOST];
    write_address(connection->socket, address);
    log_info("a TLS handshake has failed address=%s reason=%s detail=\"%s\" others=%u", address,
        tls_failure_name(failure), reason, server->tls_unlogged);
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

static void on_late(h2o_timeout_entry_t *entry)
{
    struct http_connection *connection = CONTAINER_OF(entry, struct http_connection, deadline);
    report(connection, TLS_TIMED_OUT, "it was not complete in time");
    http_connection_close(connection);
}

static void end_badly(struct http_connection *connection, const char *error)
{
    char reason[TLS_REASON_BYTES] = "the client closed the connection";
    enum tls_failure failure = TLS_CLOSED;
    if (error != h2o_socket_error_closed && error != h2o_socket_error_io)
        failure = tls_handshake_explain(connection->handshake, reason);
    report(connection, failure, reason);
    send_farewell(connection, failure);
    http_connection_close(connection);
}

static void on_handshake(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = owner_of(socket);
    bool has_expired = false;
    h2o_timeout_unlink(&connection->deadline);
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
        http_connection_close(connection);
        return;
    }
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    connection->alpn = len == 0 ? HTTP_ALPN_NONE : len == 2 ? HTTP_ALPN_2 : HTTP_ALPN_1;
    metrics_add(SSL_session_reused(ssl) ? METRIC_TLS_RESUMED : METRIC_TLS_FULL, 1);
    free(TAKE(connection->handshake));
    http_connection_detect(connection);
}

void http_connection_handshake(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->stage = CONNECTION_HANDSHAKE;
    connection->is_tls = true;
    MEMORY_NEW(connection->handshake);
    /* h2o keeps the pointer without a reference. */
    connection->context = http_tls_take_context(server->options.tls);
    connection->deadline.cb = on_late;
    h2o_timeout_link(server->loop, &server->handshake_timeout, &connection->deadline);
    h2o_socket_ssl_handshake(connection->socket, connection->context, NULL, on_handshake);
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
    server->options.tls->on_begin = on_begin;
    server->options.tls->on_end = on_end;
}
