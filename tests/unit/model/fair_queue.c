/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fair_queue.h"

#include "base/cleanup.h"
#include "unit/model/random.h"

#include <criterion/criterion.h>

#define FLOWS 20
#define COST_MAX 17 /* of an event of 64 KiB */

struct source {
    struct fair_flow flow;
    int64_t quantum, cost_max, sent, sent_by_others; /* since its last turn */
};

static struct fair_queue queue;
static struct source sources[FLOWS];

static void set_up(size_t count, const int64_t *quanta, size_t quanta_count)
{
    fair_queue_init(&queue);
    for (size_t i = 0; i < count; i++) {
        sources[i] = (struct source){.quantum = quanta[i % quanta_count], .cost_max = COST_MAX};
        fair_flow_init(&sources[i].flow);
        fair_queue_add(&queue, &sources[i].flow, sources[i].quantum);
    }
}

/* The flow whose turn it is sends one item. */
static struct source *send_next(uint64_t *random)
{
    struct fair_flow *flow = fair_queue_next(&queue);
    cr_assert_not_null(flow);
    struct source *source = CONTAINER_OF(flow, struct source, flow);
    int64_t cost = random_between(random, 1, source->cost_max);
    fair_queue_charge(&queue, flow, cost, source->quantum);
    source->sent += cost;
    for (size_t i = 0; i < FLOWS; i++)
        sources[i].sent_by_others = &sources[i] == source ? 0 : sources[i].sent_by_others + cost;
    return source;
}

Test(fair_queue, cost_counts_the_request_and_its_bytes)
{
    cr_expect_eq(fair_cost(0), 1);
    cr_expect_eq(fair_cost(4095), 1);
    cr_expect_eq(fair_cost(4096), 2);
    cr_expect_eq(fair_cost(65536), COST_MAX);
}

Test(fair_queue, an_empty_queue_has_no_next_flow)
{
    set_up(1, (int64_t[]){4}, 1);
    cr_expect(fair_flow_is_listed(&sources[0].flow));
    cr_expect_eq(fair_queue_next(&queue), &sources[0].flow);
    cr_expect_eq(fair_queue_next(&queue), &sources[0].flow, "its turn is not used up");
    fair_queue_remove(&queue, &sources[0].flow);
    cr_expect_not(fair_flow_is_listed(&sources[0].flow));
    cr_expect_null(fair_queue_next(&queue));
    fair_queue_remove(&queue, &sources[0].flow);
}

Test(fair_queue, a_flow_sends_for_its_quantum_and_then_the_next_one)
{
    set_up(3, (int64_t[]){3, 1, 2}, 3);
    static const unsigned turns[] = {0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 2, 2, 0};
    for (size_t i = 0; i < ARRAY_LENGTH(turns); i++) {
        struct fair_flow *flow = fair_queue_next(&queue);
        cr_assert_eq(flow, &sources[turns[i]].flow, "turn %zu", i);
        fair_queue_charge(&queue, flow, 1, sources[turns[i]].quantum);
    }
}

Test(fair_queue, an_overdraft_is_paid_with_later_turns)
{
    set_up(2, (int64_t[]){4}, 1);
    fair_queue_charge(&queue, fair_queue_next(&queue), 17, 4); /* owes 13: four quanta */
    int64_t others = 0;
    for (struct fair_flow *flow; (flow = fair_queue_next(&queue)) != &sources[0].flow; others++)
        fair_queue_charge(&queue, flow, 1, 4);
    cr_expect_eq(others, 16);
}

Test(fair_queue, who_leaves_loses_what_is_left_and_keeps_what_it_owes)
{
    set_up(2, (int64_t[]){10}, 1);
    struct fair_flow *flow = fair_queue_next(&queue);
    fair_queue_charge(&queue, flow, 3, 10);
    fair_queue_remove(&queue, flow);
    cr_expect_eq(flow->deficit, 0);
    fair_queue_add(&queue, flow, 10);
    cr_expect_eq(fair_queue_next(&queue), &sources[1].flow, "it joins at the end");
    fair_queue_charge(&queue, &sources[1].flow, 10, 10);

    cr_expect_eq(fair_queue_next(&queue), flow);
    fair_queue_charge(&queue, flow, 25, 10);
    for (int i = 0; i < 10; i++) { /* leaving and coming back pays nothing */
        fair_queue_remove(&queue, flow);
        fair_queue_add(&queue, flow, 10);
    }
    cr_expect_eq(flow->deficit, -15);
}

Test(fair_queue, what_is_sent_out_of_turn_is_owed_up_to_a_limit)
{
    set_up(4, (int64_t[]){10}, 1);
    struct fair_flow *absent = &sources[3].flow;
    fair_queue_remove(&queue, absent);
    fair_queue_charge(&queue, absent, 5, 10);
    cr_expect_eq(absent->deficit, -5);
    fair_queue_charge(&queue, &sources[1].flow, 5, 10); /* it keeps its place */
    cr_expect_eq(fair_queue_next(&queue), &sources[0].flow);
    fair_queue_charge(&queue, &sources[0].flow, 10, 10);
    cr_expect_eq(fair_queue_next(&queue), &sources[1].flow);
    cr_expect_eq(sources[1].flow.deficit, 5);
    for (int i = 0; i < 1000; i++)
        fair_queue_charge(&queue, absent, COST_MAX, 10);
    cr_expect_eq(absent->deficit, -FAIR_DEBT_MAX);
}

/* Also where an item costs several quanta. */
Test(fair_queue, flows_send_the_same_within_the_bound_of_deficit_round_robin)
{
    static const int64_t quanta[] = {1, 4, 17, 100};
    for (size_t q = 0; q < ARRAY_LENGTH(quanta); q++) {
        uint64_t random = 29;
        set_up(FLOWS, &quanta[q], 1);
        for (size_t i = 0; i < FLOWS; i++) /* some have small events, some large ones */
            sources[i].cost_max = 1 + (int64_t)i % COST_MAX;
        for (int n = 0; n < 50000; n++) {
            send_next(&random);
            int64_t least = INT64_MAX, most = 0;
            for (size_t i = 0; i < FLOWS; i++) {
                least = sources[i].sent < least ? sources[i].sent : least;
                most = sources[i].sent > most ? sources[i].sent : most;
            }
            cr_assert_leq(most - least, quanta[q] + 2 * COST_MAX, "quantum %lld, item %d: %lld",
                (long long)quanta[q], n, (long long)(most - least));
        }
    }
}

Test(fair_queue, shares_follow_the_weights_and_nobody_starves)
{
    static const int64_t weights[][3] = {{4, 2, 1}, {8, 3, 1}};
    static const int64_t bases[] = {1, 4, 20};
    for (size_t w = 0; w < ARRAY_LENGTH(weights); w++)
        for (size_t b = 0; b < ARRAY_LENGTH(bases); b++) {
            uint64_t random = 31;
            int64_t quanta[3], all_quanta = 0;
            for (size_t i = 0; i < 3; i++)
                quanta[i] = weights[w][i] * bases[b];
            set_up(FLOWS, quanta, 3);
            for (size_t i = 0; i < FLOWS; i++)
                all_quanta += sources[i].quantum;
            for (int n = 0; n < 50000; n++) {
                struct source *source = send_next(&random);
                for (size_t i = 0; i < FLOWS; i++) {
                    /* One turn of each other flow for each turn that it owes. */
                    int64_t turns = COST_MAX / sources[i].quantum + 1;
                    int64_t bound = (all_quanta + FLOWS * COST_MAX) * turns;
                    cr_assert_leq(sources[i].sent_by_others, bound, "flow %zu waits", i);
                    /* sent / quantum is the same for all, within one turn and two items */
                    int64_t difference =
                        sources[i].sent * source->quantum - source->sent * sources[i].quantum;
                    int64_t off = source->quantum * sources[i].quantum +
                                  COST_MAX * (source->quantum + sources[i].quantum);
                    cr_assert(difference <= off && difference >= -off,
                        "item %d, flow %zu: %lld of %lld", n, i, (long long)difference,
                        (long long)off);
                }
            }
        }
}

/* As endpoints at their concurrency limit do: a flow leaves whenever it has sent, and comes back a
 * little later. */
Test(fair_queue, flows_that_come_and_leave_neither_gain_nor_starve)
{
    uint64_t random = 37;
    set_up(FLOWS, (int64_t[]){4}, 1);
    int64_t sent_before = 0;
    for (int n = 0; n < 200000; n++) {
        struct source *source = send_next(&random);
        if (source < sources + FLOWS / 2) /* one half stays all the time */
            fair_queue_remove(&queue, &source->flow);
        size_t i = (size_t)random_between(&random, 0, FLOWS - 1);
        if (!fair_flow_is_listed(&sources[i].flow)) {
            fair_queue_add(&queue, &sources[i].flow, 4);
            sources[i].sent_by_others = 0;
        }
        for (i = 0; i < FLOWS; i++)
            if (fair_flow_is_listed(&sources[i].flow))
                cr_assert_leq(sources[i].sent_by_others, FLOWS * (4 + COST_MAX) * 5);
        if (n == 1000)
            sent_before = sources[FLOWS - 1].sent;
    }
    for (size_t i = 0; i < FLOWS / 2; i++) {
        cr_expect_gt(sources[i].sent, 1000);
        cr_expect_lt(sources[i].sent, sources[FLOWS - 1].sent);
    }
    cr_expect_gt(sources[FLOWS - 1].sent, sent_before);
}
