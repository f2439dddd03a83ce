/* SPDX-License-Identifier: Apache-2.0 */
#include "model/weighted_turn.h"

#include "base/cleanup.h"
#include "unit/model/random.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
    unsigned weights[WEIGHTED_TURN_MEMBERS_MAX], count;
} sets[] = {{{4, 2, 1}, 3}, {{8, 3, 1}, 3}, {{1}, 1}, {{1, 1}, 2}, {{1, 1, 1, 1}, 4}, {{100, 1}, 2},
    {{7, 5, 3, 2}, 4}, {{1, 10, 1, 10}, 4}};

static unsigned sum_of(const unsigned *weights, unsigned count)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += weights[i];
    return sum;
}

Test(weighted_turn, turns_are_spread_evenly)
{
    static const struct {
        unsigned mask;
        const char *turns;
    } cases[] = {{7, "ABACABAABACABA"}, {3, "ABAABA"}, {5, "AACAAAACAA"}, {6, "BCBBCB"},
        {1, "AAAA"}, {2, "BBBB"}, {4, "CCCC"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct weighted_turn turn;
        weighted_turn_init(&turn);
        for (const char *at = cases[i].turns; *at; at++) {
            unsigned member = weighted_turn_next(&turn, sets[0].weights, 3, cases[i].mask);
            cr_expect_eq(member, *at - 'A', "mask %u, at %s: %u", cases[i].mask, at, member);
        }
    }
}

Test(weighted_turn, shares_match_the_weights_within_one_turn_at_all_times)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sets); i++)
        for (unsigned mask = 1; mask < 1U << sets[i].count; mask++) {
            struct weighted_turn turn;
            weighted_turn_init(&turn);
            unsigned turns[WEIGHTED_TURN_MEMBERS_MAX] = {0}, last[WEIGHTED_TURN_MEMBERS_MAX] = {0};
            unsigned sum = 0;
            for (unsigned m = 0; m < sets[i].count; m++)
                sum += mask >> m & 1 ? sets[i].weights[m] : 0;
            for (unsigned n = 1; n <= 1000; n++) {
                unsigned chosen = weighted_turn_next(&turn, sets[i].weights, sets[i].count, mask);
                cr_assert(mask >> chosen & 1);
                turns[chosen]++;
                cr_assert_leq(n - last[chosen], sum, "no wait is longer");
                last[chosen] = n;
                for (unsigned m = 0; m < sets[i].count; m++) {
                    double due = mask >> m & 1 ? (double)n * sets[i].weights[m] / sum : 0;
                    cr_assert(turns[m] > due - 1.001 && turns[m] < due + 1.001,
                        "set %zu, mask %u, turn %u: member %u had %u turns of %f", i, mask, n, m,
                        turns[m], due);
                }
            }
        }
}

/* Members come and go at random, with any weights. */
Test(weighted_turn, who_has_something_waits_for_twice_the_sum_of_all_weights_at_most)
{
    uint64_t random = 23;
    for (int round = 0; round < 2000; round++) {
        unsigned count = (unsigned)random_between(&random, 1, 4), weights[4], waits[4] = {0};
        for (unsigned i = 0; i < count; i++)
            weights[i] = (unsigned)random_between(&random, 1, round % 2 ? 4 : 20);
        unsigned sum = sum_of(weights, count), mask = 0;
        int64_t changes = random_between(&random, 1, 20);
        struct weighted_turn turn;
        weighted_turn_init(&turn);
        for (int n = 0; n < 1000; n++) {
            if (random_between(&random, 1, changes) == 1)
                mask ^= 1U << random_between(&random, 0, count - 1);
            if (mask == 0)
                continue;
            unsigned chosen = weighted_turn_next(&turn, weights, count, mask);
            cr_assert(chosen < count && mask >> chosen & 1);
            for (unsigned i = 0; i < count; i++) {
                waits[i] = i != chosen && mask >> i & 1 ? waits[i] + 1 : 0;
                cr_assert_leq(waits[i], 2 * sum,
                    "round %d: member %u of weight %u waits for %u turns", round, i, weights[i],
                    waits[i]);
                cr_assert(turn.balances[i] < (int)sum && turn.balances[i] > -(int)sum);
            }
        }
    }
}

Test(weighted_turn, leaving_for_a_moment_is_no_gain)
{
    struct weighted_turn turn;
    weighted_turn_init(&turn);
    unsigned turns[3] = {0}, mask = 7;
    for (int n = 0; n < 7000; n++) {
        unsigned chosen = weighted_turn_next(&turn, sets[0].weights, 3, mask);
        turns[chosen]++;
        mask = chosen == 2 ? 3 : 7; /* the third one has its next item one turn later */
    }
    cr_expect(turns[2] > 0 && turns[2] <= 1001, "%u", turns[2]);
}

Test(weighted_turn, a_long_absence_earns_no_series_of_turns)
{
    for (unsigned member = 0; member < 3; member++) {
        struct weighted_turn turn;
        weighted_turn_init(&turn);
        for (int n = 0; n < 1000; n++)
            weighted_turn_next(&turn, sets[0].weights, 3, n % 5 ? 7U & ~(1U << member) : 7);
        for (int n = 0; n < 1000; n++)
            weighted_turn_next(&turn, sets[0].weights, 3, 7U & ~(1U << member));
        unsigned series = 0;
        while (weighted_turn_next(&turn, sets[0].weights, 3, 7) == member)
            series++;
        cr_expect_leq(series, 2, "member %u: %u", member, series);
    }
}
