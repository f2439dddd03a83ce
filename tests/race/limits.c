/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads open and close connections of the same addresses, fail, authenticate, and take events of
 * the same partners, and reject posts, while the limits are changed and the rejections are listed.
 * At the end no connection is open, and no partner has more than its burst and its rate. It ends by
 * itself.
 */
#include "base/memory.h"
#include "http/address_table.h"
#include "http/refusals.h"
#include "http/rejections.h"
#include "ingress/partner_limits.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <stdio.h>

#define THREADS 4
#define ROUNDS 100000
#define ADDRESSES 300
#define RATE 1000

static struct address_table *addresses;
static struct partner_limits *limits;
static struct refusals *refusals;
static struct rejections *rejections;
static _Atomic int64_t clock_us = 1000000;
static _Atomic unsigned taken;
static _Atomic int failures;

static struct in6_addr address_of(unsigned number)
{
    struct in6_addr address = {0};
    address.s6_addr[10] = address.s6_addr[11] = 0xff;
    address.s6_addr[12] = 10;
    address.s6_addr[14] = (unsigned char)(number >> 8);
    address.s6_addr[15] = (unsigned char)number;
    return address;
}

static void use_address(unsigned number, unsigned round, int64_t now_us)
{
    struct in6_addr address = address_of(number);
    struct address_ref ref;
    bool authenticates = round % 5 == 0;
    if (address_table_open(addresses, &address, now_us, &ref).verdict != ADDRESS_OK)
        return;
    if (!ref.place)
        atomic_fetch_add(&failures, 1);
    if (authenticates)
        address_table_authenticated(addresses, ref, now_us);
    else
        (void)address_table_refused(addresses, ref, round % 2, now_us);
    address_table_close(addresses, ref, authenticates, now_us);
}

static void reject(unsigned number, int64_t now_us)
{
    char partner[32];
    struct rejection rejection = {.at_us = now_us, .error = ERR_INVALID};
    snprintf(partner, sizeof partner, "partner_%u", number);
    if (rejections_take(rejections, partner, REFUSAL_INVALID, now_us))
        rejections_add(rejections, partner, REFUSAL_INVALID, &rejection);
}

static void list_rejections(unsigned number)
{
    char partner[32];
    struct rejection list[REJECTIONS_PER_PARTNER];
    snprintf(partner, sizeof partner, "partner_%u", number);
    unsigned count = rejections_list(rejections, partner, list);
    for (unsigned i = 0; i < count; i++)
        if (list[i].error != ERR_INVALID)
            atomic_fetch_add(&failures, 1);
}

static void run(void *context)
{
    static const struct partner_rules rules = {.events_per_s = RATE};
    const unsigned thread = *(const unsigned *)context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t now_us = atomic_fetch_add(&clock_us, 20);
        struct partner_taking taking;
        uint64_t left_out;
        use_address((round * 7 + thread) % ADDRESSES, round, now_us);
        partner_limits_take(limits, "shop", &rules, 1, 0, now_us, &taking);
        atomic_fetch_add(&taken, taking.events);
        (void)refusals_count(refusals, REFUSAL_INVALID, now_us, &left_out);
        reject(round % 10 ? 0 : round % ADDRESSES, now_us);
        if (round % 1000 == 0) {
            list_rejections(round % 3000 / 1000);
            address_table_set_limits(addresses,
                &(struct address_limits){.connections_per_s = 100 + round % 3, .failures_max = 50});
            partner_limits_set_defaults(limits, &(struct partner_rules){.bytes_per_s = 1 + round});
        }
    }
}

int main(void)
{
    static unsigned numbers[THREADS];
    static struct thread threads[THREADS];
    int64_t began_us = atomic_load(&clock_us);
    addresses = address_table_new(&(struct address_limits){.connections_per_s = 100});
    limits = partner_limits_new(&(struct hash_seed){{1}}, &(struct partner_rules){0});
    refusals = refusals_new();
    rejections = rejections_new(&(struct hash_seed){{2}}, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (thread_start(&threads[i], "limits", run, &numbers[i]))
            return 1;
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    unsigned most = RATE + (unsigned)((atomic_load(&clock_us) - began_us) * RATE / 1000000) + 1;
    if (address_table_count(addresses).open != 0 || atomic_load(&taken) > most ||
        atomic_load(&taken) < most * 98 / 100 - RATE) {
        fprintf(stderr, "race/limits: %u taken of %u, %u open\n", atomic_load(&taken), most,
            address_table_count(addresses).open);
        atomic_fetch_add(&failures, 1);
    }
    refusals_free(refusals);
    rejections_free(rejections);
    partner_limits_free(limits);
    address_table_free(addresses);
    return atomic_load(&failures) ? 1 : 0;
}
