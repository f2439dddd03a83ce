/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the header Forwarded (RFC 7239): for whom a proxy sent the request.
 *
 *   Forwarded: for=192.0.2.60;proto=https, for="[2001:db8::17]:4711";by=203.0.113.43
 *
 * Each proxy adds an element at the end, to the last field or as another field. A client can send
 * elements as well, so only those that a configured proxy has added count. The peer is a configured
 * proxy, and has added the last element. If that names another configured proxy, this one has added
 * the element before, and so on. The result is the first address, from the end, that is not a
 * proxy's.
 *
 * Fields are read from the last one, and only as far as needed, so what a client sent does not
 * matter to a proxy that adds a field of its own. A proxy that appends to the client's field lets
 * the client end it in an open quoted string: that is malformed, and the proxy's address counts.
 */
#ifndef PENSTOCK_HTTP_FORWARDED_H
#define PENSTOCK_HTTP_FORWARDED_H

#include "base/slice.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Elements of one field that are looked at, from its end: more proxies in a row are a mistake. */
#define FORWARDED_HOPS_MAX 16

enum forwarded {
    FORWARDED_NONE, /* no element counts: there is no field, or its elements are those of proxies */
    FORWARDED_ADDRESS,
    FORWARDED_HIDDEN,   /* the proxy does not name the client: "unknown", "_hidden", or no `for` */
    FORWARDED_MALFORMED /* count it, and use the address of the peer */
};

/*
 * `values` are the values of all Forwarded fields, in their order. `is_proxy` returns whether an
 * address is that of a configured proxy. With FORWARDED_ADDRESS, *ret_address is set (an IPv4
 * address as ::ffff:a.b.c.d), and *ret_port (0: not given). Otherwise both are unchanged, and the
 * client is the peer itself.
 */
enum forwarded forwarded_read(const struct slice *values, size_t count,
    bool (*is_proxy)(const struct in6_addr *address, void *context), void *context,
    struct in6_addr *ret_address, uint16_t *ret_port);

#endif
