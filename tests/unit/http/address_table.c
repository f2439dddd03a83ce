/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of client addresses in virtual time. */
#include "http/address_table.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define S US_PER_SECOND
#define HOUR (3600 * S)

static const struct address_limits standard = {
    .connections_max = 10, .connections_per_s = 4, .requests_per_s = 2, .failures_max = 20};
static struct address_table *table;

static void begin(void)
{
    table = address_table_new(&standard);
}

static void end(void)
{
    address_table_free(table);
}

TestSuite(address_table, .init = begin, .fini = end);

static struct in6_addr address(const char *text)
{
    struct in6_addr found = {0};
    if (inet_pton(AF_INET6, text, &found) != 1) {
        found.s6_addr[10] = found.s6_addr[11] = 0xff;
        cr_assert_eq(inet_pton(AF_INET, text, found.s6_addr + 12), 1, "%s", text);
    }
    return found;
}

/* An address of the flood. */
static struct in6_addr number(unsigned i)
{
    struct in6_addr found = address("198.18.0.0");
    found.s6_addr[13] = (unsigned char)(18 + (i >> 16));
    found.s6_addr[14] = (unsigned char)(i >> 8);
    found.s6_addr[15] = (unsigned char)i;
    return found;
}

static enum address_verdict open_at(
    struct in6_addr from, int64_t now_us, struct address_ref *ret_ref)
{
    return address_table_open(table, &from, now_us, ret_ref).verdict;
}

static struct address_ref connect_from(const char *from, int64_t now_us)
{
    struct address_ref ref;
    cr_assert_eq(open_at(address(from), now_us, &ref), ADDRESS_OK, "%s", from);
    return ref;
}

static enum address_verdict fail(struct address_ref ref, int64_t now_us)
{
    return address_table_refused(table, ref, true, now_us).verdict;
}

/* A connection from there that does nothing is accepted. */
static bool may_connect(const char *from, int64_t now_us)
{
    struct address_ref ref;
    if (open_at(address(from), now_us, &ref) != ADDRESS_OK)
        return false;
    address_table_close(table, ref, false, now_us);
    return true;
}

Test(address_table, open_connections_of_an_address_are_limited)
{
    struct address_ref refs[10], more;
    for (unsigned i = 0; i < 10; i++)
        refs[i] = connect_from("192.0.2.1", i * S);
    struct in6_addr same = address("192.0.2.1");
    struct address_answer answer = address_table_open(table, &same, 10 * S, &more);
    cr_expect(answer.verdict == ADDRESS_CUT && answer.limit == ADDRESS_LIMIT_CONNECTIONS);
    cr_expect_eq(more.place, 0);
    cr_expect(may_connect("192.0.2.2", 10 * S), "another address");
    address_table_close(table, refs[0], false, 10 * S);
    cr_expect(may_connect("192.0.2.1", 11 * S));
    cr_expect_eq(address_table_count(table).open, 9);
}

Test(address_table, new_connections_are_limited_to_the_rate_after_a_burst)
{
    unsigned accepted = 0;
    for (unsigned i = 0; i < 100; i++)
        accepted += may_connect("192.0.2.1", S);
    cr_expect_eq(accepted, 20);
    for (int64_t at = S; at < 11 * S; at += S / 100)
        accepted += may_connect("192.0.2.1", at);
    cr_expect(accepted >= 59 && accepted <= 61, "%u", accepted);
}

Test(address_table, ipv6_counts_by_64)
{
    unsigned accepted = 0;
    for (unsigned i = 0; i < 100; i++) {
        char from[INET6_ADDRSTRLEN];
        snprintf(from, sizeof from, "2001:db8:1:2:%x::%x", i, i * 7);
        accepted += may_connect(from, S);
    }
    cr_expect_eq(accepted, 20);
    cr_expect(may_connect("2001:db8:1:3::1", S), "the next /64");
    cr_expect_eq(address_table_count(table).used, 2);
}

Test(address_table, requests_without_a_caller_are_429_and_then_cut)
{
    struct address_ref ref = connect_from("192.0.2.1", S);
    unsigned verdicts[4] = {0};
    for (unsigned i = 0; i < 25; i++)
        verdicts[address_table_refused(table, ref, false, S).verdict]++;
    cr_expect(verdicts[ADDRESS_OK] == 10 && verdicts[ADDRESS_BUSY] == 10 &&
              verdicts[ADDRESS_SLOW] == 0 && verdicts[ADDRESS_CUT] == 5);
    struct address_answer answer = address_table_refused(table, ref, false, 4 * S);
    cr_expect_eq(answer.verdict, ADDRESS_CUT, "refused for a minute");
    cr_expect_eq(answer.limit, ADDRESS_LIMIT_REQUESTS);
    answer = address_table_refused(table, ref, false, 62 * S);
    cr_expect_eq(answer.verdict, ADDRESS_OK);
    for (unsigned i = 0; i < 12; i++)
        answer = address_table_refused(table, ref, false, 62 * S);
    cr_expect(
        answer.verdict == ADDRESS_BUSY && answer.retry_after_s >= 2, "%u", answer.retry_after_s);
}

Test(address_table, failures_are_slowed_then_429_then_cut_and_refused_for_a_minute)
{
    static const struct address_limits only_failures = {.failures_max = 20};
    address_table_set_limits(table, &only_failures);
    struct address_ref ref = connect_from("192.0.2.1", S);
    static const struct {
        unsigned up_to;
        enum address_verdict verdict;
    } steps[] = {{2, ADDRESS_OK}, {10, ADDRESS_SLOW}, {20, ADDRESS_BUSY}, {30, ADDRESS_CUT}};
    unsigned failures = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(steps); i++)
        for (; failures < steps[i].up_to; failures++)
            cr_expect_eq(fail(ref, S), steps[i].verdict, "failure %u", failures + 1);
    address_table_close(table, ref, false, S);
    cr_expect(may_connect("192.0.2.1", 2 * S), "one is tried");
    cr_expect_not(may_connect("192.0.2.1", 2 * S), "and no other in the same second");
    cr_expect(may_connect("192.0.2.2", 2 * S));
    cr_expect(may_connect("192.0.2.1", 61 * S + 1) && may_connect("192.0.2.1", 61 * S + 1));
}

Test(address_table, slow_failures_are_never_more_than_slowed)
{
    struct address_ref ref = connect_from("192.0.2.1", S);
    for (int64_t at = S; at < 1000 * S; at += 5 * S) /* failures_max in 100 s */
        cr_expect(fail(ref, at) <= ADDRESS_SLOW);
}

/* The rule for many partners behind one address. */

Test(address_table, wrong_key_of_one_does_not_lock_out_others_behind_the_address)
{
    struct address_ref good = connect_from("192.0.2.1", S), bad = connect_from("192.0.2.1", S);
    address_table_authenticated(table, good, S);
    enum address_verdict last = ADDRESS_OK;
    for (unsigned i = 0; i < 10000; i++)
        last = fail(bad, S + i);
    cr_expect_eq(last, ADDRESS_CUT, "the connection that fails is cut");
    for (unsigned i = 0; i < 20; i++)
        cr_expect(may_connect("192.0.2.1", 2 * S), "connection %u", i);
    address_table_close(table, good, true, 3 * S);
    address_table_close(table, bad, false, 3 * S);
    for (unsigned i = 0; i < 20; i++)
        cr_expect(may_connect("192.0.2.1", 22 * HOUR), "a day later");
}

Test(address_table, right_key_ends_the_refusal_of_an_address)
{
    struct address_ref bad = connect_from("192.0.2.1", S);
    for (unsigned i = 0; i < 100; i++)
        (void)fail(bad, S);
    address_table_close(table, bad, false, S);
    cr_expect(may_connect("192.0.2.1", S)); /* the one of this second */
    cr_expect_not(may_connect("192.0.2.1", S));
    struct address_ref good = connect_from("192.0.2.1", 2 * S);
    address_table_authenticated(table, good, 2 * S);
    for (unsigned i = 0; i < 20; i++)
        cr_expect(may_connect("192.0.2.1", 2 * S));
    address_table_close(table, good, true, 2 * S);
}

Test(address_table, clients_of_a_proxy_are_counted_without_connections)
{
    struct in6_addr bad = address("192.0.2.1"), good = address("192.0.2.2");
    address_table_authenticated_at(table, &good, S);
    enum address_verdict last = ADDRESS_OK;
    for (unsigned i = 0; i < 30; i++) {
        last = address_table_refused_at(table, &bad, true, S).verdict;
        cr_expect(address_table_refused_at(table, &good, true, S).verdict <= ADDRESS_SLOW);
    }
    cr_expect_eq(last, ADDRESS_CUT);
    cr_expect_eq(address_table_count(table).known, 1);
    cr_expect_eq(address_table_count(table).open, 0);
    address_table_authenticated_at(table, &bad, 2 * S);
    cr_expect_eq(address_table_refused_at(table, &bad, true, 2 * S).verdict, ADDRESS_SLOW);
    cr_expect_eq(address_table_count(table).known, 2);
    struct address_ref ref = connect_from("192.0.2.1", 2 * S);
    cr_expect_eq(address_table_count(table).known, 1, "it has a connection");
    address_table_close(table, ref, false, 3 * S);
    cr_expect_eq(address_table_count(table).known, 2);
}

Test(address_table, address_that_authenticates_has_ten_times_the_limits)
{
    struct address_ref first = connect_from("192.0.2.1", S), ref;
    unsigned accepted = 1;
    address_table_authenticated(table, first, S);
    while (open_at(address("192.0.2.1"), S + accepted * S, &ref) == ADDRESS_OK)
        accepted++;
    cr_expect_eq(accepted, 100);
    unsigned answered = 0;
    while (fail(first, 200 * S) == ADDRESS_OK)
        answered++;
    cr_expect_eq(answered, 20);
}

Test(address_table, exempt_networks_have_no_limits_and_no_place)
{
    struct address_limits limits = standard;
    struct address_ref ref;
    limits.exempt_count = 2;
    cr_assert(network_parse(SLICE_LITERAL("127.0.0.0/8"), &limits.exempt[0]) &&
              network_parse(SLICE_LITERAL("0::1/128"), &limits.exempt[1]));
    address_table_set_limits(table, &limits);
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_eq(open_at(address(i % 2 ? "127.0.0.1" : "::1"), S, &ref), ADDRESS_OK);
        cr_assert_eq(fail(ref, S), ADDRESS_OK);
        address_table_close(table, ref, false, S);
    }
    cr_expect_eq(address_table_count(table).used, 0);
}

Test(address_table, limit_of_zero_is_none)
{
    address_table_set_limits(table, &(struct address_limits){0});
    struct address_ref ref = {0};
    for (unsigned i = 0; i < 10000; i++) {
        cr_assert_eq(open_at(address("192.0.2.1"), S, &ref), ADDRESS_OK);
        cr_assert_eq(fail(ref, S), ADDRESS_OK);
    }
}

/* Bounds */

Test(address_table, flood_of_addresses_replaces_only_addresses_of_the_flood)
{
    struct address_ref authenticated = connect_from("192.0.2.1", S);
    struct address_ref open_one = connect_from("192.0.2.2", S), ref;
    address_table_authenticated(table, authenticated, S);
    address_table_close(table, authenticated, true, S);
    for (unsigned i = 0; i < 3 * ADDRESS_PLACES; i++) {
        cr_assert_eq(open_at(number(i), 2 * S + i, &ref), ADDRESS_OK);
        address_table_close(table, ref, false, 2 * S + i);
    }
    struct address_counts counts = address_table_count(table);
    cr_expect(counts.used <= ADDRESS_PLACES && counts.known == 1 && counts.open == 1);
    for (unsigned i = 0; i < 100; i++)
        (void)fail(open_one, 3 * S);
    cr_expect_eq(fail(open_one, 3 * S), ADDRESS_CUT, "its place is still its own");
    unsigned accepted = 0;
    for (unsigned i = 0; i < 100; i++)
        accepted += may_connect("192.0.2.1", 3 * S);
    cr_expect_eq(accepted, 100, "it is known: %u", accepted);
    address_table_close(table, open_one, false, 3 * S);
}

Test(address_table, addresses_without_a_place_share_one_and_are_not_refused)
{
    unsigned cut = 0, opened = 0;
    struct address_ref *refs = calloc(2 * ADDRESS_PLACES, sizeof *refs);
    for (unsigned i = 0; i < 2 * ADDRESS_PLACES; i++)
        if (open_at(number(i), S, &refs[opened]) == ADDRESS_OK)
            opened++;
        else
            cut++;
    cr_expect_gt(opened, ADDRESS_PLACES * 99 / 100);
    cr_expect_gt(cut, 0, "the shared places have limits as well");
    cr_expect_eq(address_table_count(table).open, opened);
    unsigned late = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct address_ref ref;
        if (open_at(number(3 * ADDRESS_PLACES + i), 60 * S + i * S, &ref) != ADDRESS_OK)
            continue;
        for (unsigned failure = 0; failure < 300; failure++)
            (void)fail(ref, 60 * S + i * S);
        address_table_close(table, ref, false, 60 * S + i * S);
        late++;
    }
    cr_expect_eq(late, 1000);
    for (unsigned i = 0; i < opened; i++)
        address_table_close(table, refs[i], false, 2000 * S);
    cr_expect_eq(address_table_count(table).open, 0);
    free(refs);
}

Test(address_table, known_addresses_are_at_most_half_of_the_table)
{
    struct address_ref ref;
    for (unsigned i = 0; i < 2 * ADDRESS_PLACES; i++) {
        cr_assert_eq(open_at(number(i), S + i, &ref), ADDRESS_OK);
        address_table_authenticated(table, ref, S + i);
        address_table_close(table, ref, true, S + i);
    }
    cr_expect_leq(address_table_count(table).known, ADDRESS_PLACES / 2);
    for (unsigned i = 2 * ADDRESS_PLACES; i < 3 * ADDRESS_PLACES; i++) {
        cr_assert_eq(open_at(number(i), 2 * S + i, &ref), ADDRESS_OK, "a stranger finds a place");
        address_table_close(table, ref, false, 2 * S + i);
    }
}

/* A model with plain arrays says which addresses must still be known, and how many are open. */
Test(address_table, random_connections_keep_counts_and_known_addresses)
{
    enum { ADDRESSES = 3000, STEPS = 200000 };
    static struct {
        struct address_ref refs[3];
        bool authenticated[3];
        unsigned open;
        bool known;
    } model[ADDRESSES];
    static const struct address_limits none;
    address_table_set_limits(table, &none);
    unsigned open = 0;
    srand(7);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % ADDRESSES;
        int64_t now_us = S + step;
        if (model[i].open < 3 && rand() % 2) {
            cr_assert_eq(open_at(number(i), now_us, &model[i].refs[model[i].open]), ADDRESS_OK);
            model[i].authenticated[model[i].open] = rand() % 8 == 0;
            if (model[i].authenticated[model[i].open])
                address_table_authenticated(table, model[i].refs[model[i].open], now_us);
            model[i].known |= model[i].authenticated[model[i].open];
            model[i].open++;
            open++;
        } else if (model[i].open > 0) {
            model[i].open--;
            open--;
            address_table_close(
                table, model[i].refs[model[i].open], model[i].authenticated[model[i].open], now_us);
        } else { /* a stranger that never comes back */
            struct address_ref ref;
            cr_assert_eq(open_at(number(ADDRESSES + step), now_us, &ref), ADDRESS_OK);
            address_table_close(table, ref, false, now_us);
        }
    }
    struct address_counts counts = address_table_count(table);
    unsigned known = 0;
    for (unsigned i = 0; i < ADDRESSES; i++)
        known += model[i].known && model[i].open == 0;
    cr_expect_eq(counts.open, open, "%u", counts.open);
    cr_expect_eq(counts.known, known, "%u of %u", counts.known, known);
}

static void *connect_often(void *context)
{
    struct address_ref ref;
    for (unsigned i = 0; i < 50000; i++) {
        if (open_at(number(i % 100), S + i, &ref) != ADDRESS_OK)
            continue;
        (void)fail(ref, S + i);
        if (i % 3 == 0)
            address_table_authenticated(table, ref, S + i);
        address_table_close(table, ref, i % 3 == 0, S + i);
    }
    return NULL;
}

Test(address_table, threads_may_use_it_at_the_same_time)
{
    pthread_t threads[4];
    for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, connect_often, NULL), 0);
    for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(address_table_count(table).open, 0);
}
