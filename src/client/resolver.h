/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolves names on the loop without blocking it: c-ares (hosts file, then DNS, A and AAAA
 * together) and a cache.
 *
 *   unknown -- look_up --> asking -- c-ares --> answered -- waiters called --> known
 *      ^                     ^                                                   | |
 *      |                     '------------- expired, and look_up ----------------' |
 *      '---------------- cache is full, and least recently used -------------------'
 *
 * Requests for a name that is being asked for share one look-up. Answers are kept for the shortest
 * TTL of their records, within limits. Failures are kept for a short time, so that a dead DNS
 * server is not asked for each request. Waiters are called from the loop, never within
 * resolver_look_up. A look-up that hangs delays only its own waiters. They have their own timeouts
 * and call resolver_leave.
 *
 * If no server answers for one name but others are answered, the name is the problem:
 * ERR_NAME_LOOKUP. If nothing is answered at all, the name servers are the problem: ERR_SHORTAGE.
 * To tell the two apart, the resolver asks for the root, which every name server knows, when a name
 * has no answer after CANARY_US and no other answer was received since. Names in .invalid do not
 * exist (RFC 6761) and are not asked for.
 *
 * Limits: RESOLVER_NAMES_MAX names. If all of them are being asked for, further look-ups fail. One
 * thread owns the resolver. The servers are read from resolv.conf once, when it is created.
 */
#ifndef PENSTOCK_CLIENT_RESOLVER_H
#define PENSTOCK_CLIENT_RESOLVER_H

#include "base/clock.h"
#include "base/list.h"
#include "client/address_set.h"
#include "runtime/loop.h"

#define RESOLVER_NAMES_MAX 4096
#define CANARY_US (150 * US_PER_MS)
#define SHUN_US (60 * US_PER_SECOND)
/* RFC 8305 (happy eyeballs) begins with the next address after 250 ms. We give up the first one
 * then, so a slow path needs more time than that. */
#define ADDRESS_US_MIN (250 * US_PER_MS)
#define ADDRESS_US_MAX (600 * US_PER_MS)

struct resolver;

struct resolver_waiter {
    struct list link; /* owned by the resolver until on_answer */
    void (*on_answer)(struct resolver_waiter *waiter, const struct address_set *answer);
};

/* `servers`: "ip:port,ip:port", or NULL or "" for the system's. ERR_CONFIG: it cannot be parsed. */
enum err resolver_new(
    struct loop *loop, const char *servers, struct resolver **ret_resolver) MUST_CHECK;
void resolver_free(struct resolver *resolver); /* without waiters; takes NULL */

/*
 * Returns the answer, which is valid until the next call. Or returns NULL, and calls `waiter`
 * later, once. `host` is in lower case.
 */
const struct address_set *resolver_look_up(
    struct resolver *resolver, const char *host, struct resolver_waiter *waiter);

/* Returns whether a name has no answer yet because the name servers answer nothing at all. */
bool resolver_is_silent(struct resolver *resolver, const char *host);

/* Call it when an address does not accept connections. The address is put last for SHUN_US, in
 * later answers as well. */
void resolver_put_last(struct resolver *resolver, const char *host, const union address *address);

/* Call it with the time in which an address of the name accepted a connection. */
void resolver_note_connect_time(struct resolver *resolver, const char *host, int64_t us);
/* Returns how long one of several addresses may take before the next one is tried: four times what
 * the name took last, within the limits. Unknown: the longest. */
int64_t resolver_address_us(struct resolver *resolver, const char *host);

void resolver_waiter_init(struct resolver_waiter *waiter,
    void (*on_answer)(struct resolver_waiter *waiter, const struct address_set *answer));
void resolver_leave(struct resolver_waiter *waiter); /* harmless if it does not wait */

#endif
