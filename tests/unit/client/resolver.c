/* SPDX-License-Identifier: Apache-2.0 */
#include "client/resolver.h"

#include "base/clock.h"
#include "unit/client/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct bench bench; /* for its loop */
static struct dns_server dns;
static struct resolver *resolver;

struct asker {
    struct resolver_waiter waiter;
    unsigned told;
    struct address_set answer;
};

static void on_answer(struct resolver_waiter *waiter, const struct address_set *answer)
{
    struct asker *asker = CONTAINER_OF(waiter, struct asker, waiter);
    asker->told++;
    asker->answer = *answer;
    if (--bench.waits_for == 0)
        loop_stop(&bench.loop);
}

/* Returns false if the answer is already known. */
static bool ask(struct asker *asker, const char *host)
{
    resolver_waiter_init(&asker->waiter, on_answer);
    const struct address_set *known = resolver_look_up(resolver, host, &asker->waiter);
    if (known)
        asker->answer = *known;
    else
        bench.waits_for++;
    return known == NULL;
}

static void start(const char *const *addresses, unsigned count)
{
    dns_server_start(&dns, addresses, count);
    bench_start(&bench, "", NULL);
    cr_assert(resolver_new(&bench.loop, dns.address, &resolver) == OK);
}

static void stop(void)
{
    resolver_free(resolver);
    bench_stop(&bench);
    dns_server_stop(&dns);
}

Test(resolver, answer_has_at_most_the_addresses_that_fit)
{
    const char *const addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5",
        "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9", "10.0.0.10"};
    start(addresses, ARRAY_LENGTH(addresses));
    struct asker asker = {.told = 0};
    cr_assert(ask(&asker, "many.test"));
    bench_run(&bench);
    cr_expect_eq(asker.told, 1);
    cr_expect_eq(asker.answer.error, OK);
    cr_expect_eq(asker.answer.count, ADDRESS_SET_MAX);
    for (unsigned i = 0; i < asker.answer.count; i++)
        cr_expect_eq(ntohl(asker.answer.items[i].ipv4.sin_addr.s_addr) >> 8, 0x0a0000);
    stop();
}

Test(resolver, full_cache_drops_the_least_recently_used_name)
{
    start((const char *const[]){"10.0.0.1"}, 1);
    enum { BATCH = 64 };
    static struct asker askers[BATCH];
    char host[32];
    for (unsigned i = 0; i < RESOLVER_NAMES_MAX; i += BATCH) {
        for (unsigned j = 0; j < BATCH; j++) {
            snprintf(host, sizeof host, "h%u.test", i + j);
            cr_assert(ask(&askers[j], host));
        }
        bench_run(&bench);
    }
    cr_expect(!ask(&askers[0], "h1.test"), "it was known");
    cr_expect(!ask(&askers[0], "h0.test"), "it was known");
    cr_expect(ask(&askers[0], "one-more.test"));
    cr_expect(ask(&askers[1], "another.test"));
    bench_run(&bench);
    cr_expect(!ask(&askers[0], "h0.test"), "it had been used lately");
    cr_expect(!ask(&askers[0], "h1.test"), "it had been used lately");
    cr_expect(!ask(&askers[0], "one-more.test"));
    cr_expect(ask(&askers[0], "h2.test"), "the oldest should have been forgotten");
    bench_run(&bench);
    stop();
}

Test(resolver, look_ups_beyond_the_limit_fail)
{
    start(NULL, 0);
    static struct asker askers[RESOLVER_NAMES_MAX + 1];
    char host[32];
    for (unsigned i = 0; i < RESOLVER_NAMES_MAX; i++) {
        snprintf(host, sizeof host, "h%u.test", i);
        cr_assert(ask(&askers[i], host));
    }
    cr_expect(!ask(&askers[RESOLVER_NAMES_MAX], "one-more.test"));
    cr_expect_eq(askers[RESOLVER_NAMES_MAX].answer.error, ERR_SHORTAGE);
    for (unsigned i = 0; i < RESOLVER_NAMES_MAX; i++)
        resolver_leave(&askers[i].waiter);
    stop();
}
