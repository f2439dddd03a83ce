/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the header of the PROXY protocol, version 2, with which a proxy says for whom it opened a
 * connection. It comes before everything else, also before TLS.
 *
 *   12 bytes   signature
 *   1          version (2) and command: LOCAL (the proxy's own connection, such as a health check)
 *              or PROXY
 *   1          address family and protocol
 *   2          length of the rest
 *   12 or 36   addresses and ports of source and destination: TCP over IPv4, or over IPv6
 *   ...        TLVs, which are skipped
 *
 * The walker takes the bytes in pieces of any size, keeps the first 52, and is strict: everything
 * that it does not know is a fault, version 1 (text) included. Only connections from a configured
 * proxy may be read with it. On a fault a caller closes the connection without an answer. An
 * unfinished header needs a deadline.
 */
#ifndef PENSTOCK_HTTP_PROXY_PROTOCOL_H
#define PENSTOCK_HTTP_PROXY_PROTOCOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the whole header. Addresses take 52 bytes. The rest has room for the TLVs that proxies send:
 * names of a client's certificate, ALPN, ids. */
#define PROXY_PROTOCOL_BYTES_MAX 2048

struct proxy_protocol {
    uint16_t seen;     /* bytes so far */
    uint16_t whole;    /* bytes of the header; 0: not known yet */
    uint16_t tlv_left; /* of the current TLV's value */
    uint8_t tlv_head;  /* bytes seen of its type and length */
    uint8_t bytes[52]; /* without the TLVs */
    bool is_version_1; /* so far it looks like it */
};
/* A zeroed struct is before the first byte. */

enum proxy_protocol_step {
    PROXY_PROTOCOL_MORE,  /* the header is not complete */
    PROXY_PROTOCOL_DONE,  /* it is: what follows in `bytes` belongs to TLS or HTTP */
    PROXY_PROTOCOL_FAULT, /* *ret_fault says why, for a log */
};

/* Walks over the next bytes. *ret_used is how many of them belong to the header. */
enum proxy_protocol_step proxy_protocol_walk(struct proxy_protocol *proxy, const char *bytes,
    size_t len, size_t *ret_used, const char **ret_fault);

/*
 * Call it after PROXY_PROTOCOL_DONE. Returns the source, an IPv4 address as ::ffff:a.b.c.d. Returns
 * false if the header names none (LOCAL, or a source that the proxy does not know). Then the peer
 * is the proxy itself.
 */
bool proxy_protocol_source(
    const struct proxy_protocol *proxy, struct in6_addr *ret_address, uint16_t *ret_port);

#endif
