/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to the broker, on librabbitmq's SSL socket: TLS 1.2 or later. OpenSSL checks the peer's
 * certificate and name during the handshake, so nothing is sent to a peer that fails. A client
 * certificate is sent if one is configured. The library's own check of the name is off, because it
 * does not support IP addresses. Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_TLS_H
#define PENSTOCK_BROKER_TLS_H

#include "broker/broker.h"

#include <amqp.h>
#include <openssl/ssl.h>

/* State of one handshake. Must stay valid until broker_tls_done. */
struct broker_tls {
    SSL_CTX *context; /* owned by the socket */
    SSL *ssl; /* owned by the connection; NULL before the handshake; may dangle after a failure */
    void (*on_begin)(void *owner, int fd); /* the handshake begins on it; may be NULL */
    void *owner;
    char why[160]; /* what is wrong with the peer's certificate, or empty */
};

/* Returns a new socket of the connection, ready to be opened. */
enum err broker_tls_prepare(struct broker_tls *tls, amqp_connection_state_t connection,
    const struct broker_options *options, const char *host, amqp_socket_t **ret_socket,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;
/* Call it after a handshake that succeeded: the connection does not use `tls` any more. */
void broker_tls_done(struct broker_tls *tls);
/* Returns OpenSSL's last error on this thread, or NULL. Static. */
const char *broker_tls_reason(void);

#endif
