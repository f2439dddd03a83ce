/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request is sent: the addresses that it may use, and the name and the pin that make
 * libcurl use them and the right connection. It works on a transfer, of which it owns a group of
 * fields.
 *
 * libcurl must not choose an address by itself. So the allowed addresses are pinned
 * (CURLOPT_RESOLVE) in a DNS cache that belongs to this transfer and holds only this host. A
 * look-up by libcurl is refused. The guard checks the socket's address again.
 *
 * A kept connection leads to the address that its name had when it was made, with the TLS settings
 * of that time. So a connection is identified by its route (address_set.h), by the id of its TLS
 * settings, and for HTTP/2 by its number (multiplex.h), not only by its host. libcurl connects to a
 * host name that is made from them (CURLOPT_CONNECT_TO), and that name is pinned. TLS and the Host
 * field use the URL. When an address is removed from a name, no request uses an older connection.
 * So a client that moves is followed when the answer expires, after at most TTL_SECONDS_MAX.
 *
 * libcurl gives each of several addresses half of the remaining time, so an address that does not
 * answer costs seconds. After a shorter time (resolver_address_us) the address is put behind
 * the others (on_turn in client.c), each address once. After that, libcurl decides.
 */
#ifndef PENSTOCK_CLIENT_ROUTE_H
#define PENSTOCK_CLIENT_ROUTE_H

#include "client/address_set.h"
#include "client/target.h"

struct client_transfer;

/* "1234.route.invalid"; with TLS settings and a connection's number "1234.t7.c89.route.invalid" */
#define ROUTE_NAME_BYTES 88
/* "name:port:" and the addresses, IPv6 in brackets. */
#define PIN_BYTES \
    (ROUTE_NAME_BYTES + sizeof ":65535:" + ADDRESS_SET_MAX * (INET6_ADDRSTRLEN + sizeof "[],"))

bool route_is_encrypted(const struct client_transfer *transfer);
/* Returns whether the request is sent over TLS and may use HTTP/2. */
bool route_wants_http_2(const struct client_transfer *transfer);
/* Returns whether it then shares connections. */
bool route_multiplexes(const struct client_transfer *transfer);
/* The number of the HTTP/2 connection that the request uses; 0: HTTP/1.1. */
uint64_t route_connection_number(const struct client_transfer *transfer);

/* Takes the addresses that the guard allows. ERR_ADDRESS_REFUSED: it allows none. */
enum err route_pin(
    struct client_transfer *transfer, const struct address_set *addresses) MUST_CHECK;
/* Writes the name and its pin again: call it when the connection's number is known. */
void route_write(struct client_transfer *transfer);
/* The next load removes the pin from the DNS cache. */
void route_unpin(struct client_transfer *transfer);

/* Writes the name of the pinned transfer's origin. */
#define ORIGIN_NAME_BYTES (HOST_BYTES_MAX + INET6_ADDRSTRLEN + ROUTE_NAME_BYTES)
void route_print_origin(const struct client_transfer *transfer, char ret_name[ORIGIN_NAME_BYTES]);

/* Returns whether no address has accepted a connection yet and there are others to try. */
bool route_may_turn(const struct client_transfer *transfer);
/* Puts the address that is being tried behind the others. The transfer is out of the multi handle
 * and must be loaded again. */
void route_turn(struct client_transfer *transfer);

#endif
