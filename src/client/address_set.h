/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of one name, in the order in which they are tried. */
#ifndef PENSTOCK_CLIENT_ADDRESS_SET_H
#define PENSTOCK_CLIENT_ADDRESS_SET_H

#include "base/err.h"
#include "model/attempt_cause.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* As many as a request can try within its connect timeout. */
#define ADDRESS_SET_MAX 8

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

static inline bool address_equal(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    return a->any.sa_family == AF_INET
               ? a->ipv4.sin_addr.s_addr == b->ipv4.sin_addr.s_addr
               : memcmp(&a->ipv6.sin6_addr, &b->ipv6.sin6_addr, sizeof a->ipv6.sin6_addr) == 0;
}

struct address_set {
    enum err error;           /* for example ERR_NAME_LOOKUP: then there are no addresses */
    enum attempt_cause cause; /* of ERR_NAME_LOOKUP; otherwise CAUSE_NONE */
    /* Changes when an address is removed from the name. Connections made before are not used
     * then. */
    uint64_t route;
    unsigned count;
    union address items[ADDRESS_SET_MAX];
};

/* Returns the position of an address, or -1. */
static inline int address_set_find(const struct address_set *set, const union address *address)
{
    for (unsigned i = 0; i < set->count; i++)
        if (address_equal(&set->items[i], address))
            return (int)i;
    return -1;
}

/* Moves the first `places` addresses to the end. */
static inline void address_set_turn(struct address_set *set, unsigned places)
{
    struct address_set before = *set;
    for (unsigned i = 0; i < set->count; i++)
        set->items[i] = before.items[(i + places) % set->count];
}

#endif
