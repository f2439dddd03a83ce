/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to the broker, on librabbitmq's SSL socket: TLS 1.2 or later, the peer's certificate and its
 * name are checked by OpenSSL during the handshake (so nothing is said to a peer that fails), a
 * client certificate where one is configured. The library's own check of the name is off: it knows
 * no IP addresses. Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_TLS_H
#define PENSTOCK_BROKER_TLS_H

#include "broker/broker.h"

#include <amqp.h>
#include <openssl/ssl.h>

/* Of one handshake; must stay until broker_tls_done. */
struct broker_tls {
    SSL_CTX *context; /* the socket's */
    SSL *ssl; /* the connection's; NULL until the handshake begins, and may dangle when it failed */
    void (*on_begin)(void *owner, int fd); /* the handshake begins on it; may be NULL */
    void *owner;
    char why[160]; /* what is wrong with the peer's certificate, or empty */
};

/* A new socket of the connection, ready to be opened. */
enum err broker_tls_prepare(struct broker_tls *tls, amqp_connection_state_t connection,
    const struct broker_options *options, const char *host, amqp_socket_t **ret_socket,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;
/* Behind the handshake, when it went well: the connection no longer knows `tls`. */
void broker_tls_done(struct broker_tls *tls);
/* What OpenSSL last found wrong on this thread, or NULL; static. */
const char *broker_tls_reason(void);

#endif
