/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names into addresses on the loop, without ever blocking it: c-ares (hosts file, then DNS, A and
 * AAAA together), and a cache.
 *
 *   unknown --look_up--> asking --c-ares--> answered --told--> known --expired, look_up--> asking
 *                                                                '--out of room, the least lately used--> unknown
 *
 * Whoever asks for a name that is being asked already waits for the same answer. Answers are kept
 * for the shortest TTL of their records, within bounds; failures briefly, so that a dead DNS server
 * is not asked for each request. Waiters are told from the loop, never from within
 * resolver_look_up. A look-up that hangs holds up nobody but those who wait for it; they have time
 * limits of their own and leave by resolver_leave.
 *
 * A name that nobody answers for is its owner's trouble as long as our name servers answer at all.
 * When one is not answered in CANARY_US, and no other answer has come since it was asked for, the
 * root is asked for, which every name server knows. Without an answer to anything the name fails
 * with ERR_SHORTAGE instead of ERR_NAME_LOOKUP. Names in .invalid don't exist (RFC 6761) and are
 * not asked for.
 *
 * Limits: RESOLVER_NAMES_MAX names; when all of them are being asked, more fail. One thread owns
 * it. The servers are read from resolv.conf once, when the resolver is made.
 */
#ifndef PENSTOCK_CLIENT_RESOLVER_H
#define PENSTOCK_CLIENT_RESOLVER_H

#include "base/clock.h"
#include "base/list.h"
#include "client/address_set.h"
#include "runtime/loop.h"

#define RESOLVER_NAMES_MAX 4096
#define CANARY_US (150 * US_PER_MS)

struct resolver;

struct resolver_waiter {
    struct list link; /* owned by the resolver while it waits */
    void (*on_answer)(struct resolver_waiter *waiter, const struct address_set *answer);
};

/* `servers`: "ip:port,ip:port", or NULL or "" for the system's. ERR_CONFIG when it can't be read.
 * */
enum err resolver_new(
    struct loop *loop, const char *servers, struct resolver **ret_resolver) MUST_CHECK;
void resolver_free(struct resolver *resolver); /* nobody may be waiting; takes NULL */

/*
 * The answer, valid until the next call, or NULL: then `waiter` is told later, once. `host` is in
 * lower case.
 */
const struct address_set *resolver_look_up(
    struct resolver *resolver, const char *host, struct resolver_waiter *waiter);

/* Whether a name that is still being asked for waits for name servers that don't answer anything.
 * */
bool resolver_is_silent(struct resolver *resolver, const char *host);

/* Nobody answers at this address: whoever asks for the name from now on tries the others first,
 * while the answer lasts. / */
void resolver_put_last(struct resolver *resolver, const char *host, const union address *address);

void resolver_waiter_init(struct resolver_waiter *waiter,
    void (*on_answer)(struct resolver_waiter *waiter, const struct address_set *answer));
void resolver_leave(struct resolver_waiter *waiter); /* harmless when it doesn't wait */

#endif
