/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What client addresses do: their open connections, their new connections per second, and their
 * requests that are not authenticated. All threads share one table. IPv4 counts by address, IPv6 by
 * /64, since a customer usually gets at least that much.
 *
 * Each count is a leaking bucket: every connection, request or failure adds one, and it leaks at
 * the configured rate. What an address gets depends on its fullest bucket:
 *
 *   open connections       connections_max                          more: cut
 *   new connections        5 s of connections_per_s at once         more: cut
 *   requests that are      5 s of requests_per_s                    more: 429
 *   not authenticated      10 s                                     more: cut
 *   failed                 a tenth of failures_max                  more: slow
 *   authentications        half of it                               more: 429
 *                          all of it                                more: cut
 *                          (a hundredth of failures_max leaks each second)
 *
 *   slow    the answer is sent 1 s later. Only ADDRESS_DELAYED_MAX answers of each server wait at a
 *           time; more are answered with 429 at once
 *   429     with Retry-After; the connection stays
 *   cut     the connection is closed. After failures or requests, new connections of the address
 *           are refused for 60 s, except one each second
 *
 * Many behind one address (NAT). Thousands of partners may share an address, and one of them may
 * have a wrong key. So:
 *
 *   - A request with the right key is never counted, delayed or refused here.
 *   - Once anyone has authenticated from an address, all its limits are ten times as high for 24
 *     hours, and its connections are never refused for failures: only a connection that fails
 *     itself is cut. If someone has authenticated on it, it is the connection of a proxy, and is
 *     cut only after ADDRESS_REFUSED_IN_A_ROW_MAX such requests without a good one.
 *   - While an address is refused, one connection per second is accepted. If its first request has
 *     the right key, the refusal ends at once. So a partner behind the address of an attacker is
 *     slow to connect, but is not locked out.
 *
 * Clients of a proxy that sends Forwarded have no connections here. Their requests and failures are
 * counted by their own addresses, and nothing is cut.
 *
 * Bounds: ADDRESS_PLACES addresses in shards, 6 MiB in all, allocated at the start. A new address
 * replaces the one that has had no connection for longest. Addresses with open connections are not
 * replaced. Neither are those that have authenticated within 24 hours, unless they are more than
 * half of the table: a flood of addresses replaces only addresses of the flood, because to
 * authenticate takes a key. If all places of a shard are taken, new addresses of that shard share
 * one more place, with ten times the limits and without refusals. Replacing takes constant time.
 *
 * Cost: a hash and a lock (one of 64) for each connection at its begin and its end, a lock for the
 * first authenticated request of a connection and for each one that is not authenticated. Further
 * authenticated requests cost nothing. Measured: 170 ns for a connection, 25 ns for a request that
 * is refused. Exempt addresses cost nothing: loopback by default, because behind it are proxies
 * that do not say for whom they speak.
 *
 * Any thread, except _new and _free. Times are monotonic. No clock, no log.
 */
#ifndef PENSTOCK_HTTP_ADDRESS_TABLE_H
#define PENSTOCK_HTTP_ADDRESS_TABLE_H

#include "base/network.h"

#include <netinet/in.h>
#include <stdint.h>

#define ADDRESS_PLACES 65536
#define ADDRESS_DELAYED_MAX 256 /* answers of each server: about 100 KiB */
#define ADDRESS_DELAY_US 1000000
#define ADDRESS_EXEMPT_MAX 64
#define ADDRESS_REFUSED_IN_A_ROW_MAX 100

struct address_table;

/* 0: no limit. */
struct address_limits {
    unsigned connections_max, connections_per_s, requests_per_s, failures_max;
    unsigned exempt_count;
    struct network exempt[ADDRESS_EXEMPT_MAX];
};

/* The place of a connection's address, from address_table_open to address_table_close. A zeroed one
 * is of no place: nothing is counted. */
struct address_ref {
    uint32_t place;
};

enum address_verdict { ADDRESS_OK, ADDRESS_SLOW, ADDRESS_BUSY, ADDRESS_CUT };

/* Which limit a verdict is for. */
enum address_limit {
    ADDRESS_LIMIT_CONNECTIONS,
    ADDRESS_LIMIT_CONNECTION_RATE,
    ADDRESS_LIMIT_REQUESTS,
    ADDRESS_LIMIT_FAILURES
};

struct address_answer {
    enum address_verdict verdict;
    enum address_limit limit; /* unless OK */
    unsigned retry_after_s;   /* for BUSY */
};

struct address_table *address_table_new(const struct address_limits *limits);
void address_table_set_limits(struct address_table *table, const struct address_limits *limits);
void address_table_free(struct address_table *table); /* takes NULL */

/* A connection was accepted. OK: it is counted until address_table_close. CUT: it must be closed,
 * and *ret_ref is zeroed. IPv4 is mapped (::ffff:a.b.c.d). */
struct address_answer address_table_open(struct address_table *table,
    const struct in6_addr *address, int64_t now_us, struct address_ref *ret_ref);
/* `has_authenticated`: address_table_authenticated was called for this connection. */
void address_table_close(
    struct address_table *table, struct address_ref ref, bool has_authenticated, int64_t now_us);

/* The first request of a connection that is authenticated. */
void address_table_authenticated(
    struct address_table *table, struct address_ref ref, int64_t now_us);
/* A request that is not. `has_failed`: it had no credentials, or wrong ones. */
struct address_answer address_table_refused(
    struct address_table *table, struct address_ref ref, bool has_failed, int64_t now_us);

/* The same for a client that a proxy speaks for (Forwarded): its connections are not known here. */
void address_table_authenticated_at(
    struct address_table *table, const struct in6_addr *address, int64_t now_us);
struct address_answer address_table_refused_at(
    struct address_table *table, const struct in6_addr *address, bool has_failed, int64_t now_us);

/* Counts over all shards. For tests. */
struct address_counts {
    unsigned used, known, open; /* places; of those that have authenticated; connections */
};
struct address_counts address_table_count(struct address_table *table);

#endif
