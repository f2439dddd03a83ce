/* SPDX-License-Identifier: Apache-2.0 */
/* The far end of a connection. (A part of server.h, until server.c has it.) */
#ifndef PENSTOCK_HTTP_PEER_H
#define PENSTOCK_HTTP_PEER_H

#include "http/server.h"

struct tls_identity; /* model/tls_identity.h */

struct http_peer {
    struct in6_addr address; /* IPv4 is mapped (::ffff:a.b.c.d) */
    uint16_t port;
    char text[INET6_ADDRSTRLEN]; /* IPv4 in dotted form */
    bool is_tls;
};

/* Valid until the handler returns. */
const struct http_peer *http_peer(const struct http_exchange *exchange);
/* NULL: no TLS, or the client sent no certificate. */
const struct tls_identity *http_client_identity(const struct http_exchange *exchange);

#endif
