/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that a replay asks of the journal: how many, and when. */
#include "fixture.h"

#include "journal/replays.h"

TestSuite(delivery_replay_steps, .init = fixture_begin, .fini = fixture_end);

static struct journal_replay_create create;

static void on_created(struct request *request, void *receiver)
{
    (void)receiver;
    cr_assert_eq(request->result, OK);
}

/* Starts a replay of dead ones that has found one endpoint. */
static void begin_replay(void)
{
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_LOAD);
    journal_answer(journal_request(JOURNAL_REPLAY_LIST, 0), OK);
    create = (struct journal_replay_create){.order = {.action = REPLAY_ACTION_RETRY,
                                                .filter.states = 1u << DELIVERY_DEAD,
                                                .rate = 10000,
                                                .share_ppm = REPLAY_SHARE_ALL,
                                                .total = -1,
                                                .reason = "r"}};
    create.ask.on_done = on_created;
    delivery_shard_create_replay(shard, &create);
    struct request *created = journal_request(JOURNAL_REPLAY_CREATE, 0);
    create.ret_replay = (struct replay){.order = create.order, .state = REPLAY_RUNNING};
    journal_answer(created, OK);
    struct journal_replay_find *find =
        CONTAINER_OF(journal_request(JOURNAL_REPLAY_FIND, 0), struct journal_replay_find, request);
    find->ret_cursors[find->ret_count++] =
        (struct replay_cursor){.endpoint = endpoint, .place = DELIVERY_DEAD, .id = -1};
    find->ret_all = true;
    journal_answer(&find->request, OK);
}

static struct journal_replay_look *look_at(unsigned index)
{
    return CONTAINER_OF(
        journal_request(JOURNAL_REPLAY_LOOK, index), struct journal_replay_look, request);
}

Test(delivery_replay_steps, a_walk_that_selects_nothing_is_stored_once_a_second_only)
{
    begin_replay();
    journal_answer_at_once(JOURNAL_REPLAY_MOVE);
    int64_t begun_us = clock_mono_us();
    unsigned looks = 0;
    for (; clock_mono_us() - begun_us < 500 * US_PER_MS; looks++) {
        struct journal_replay_look *look = look_at(looks);
        look->ret_count = 0;
        look->ret_is_full = look->ret_over = false;
        journal_answer(&look->request, OK);
    }
    cr_expect_gt(looks, 5);
    cr_expect_leq(journal_count(JOURNAL_REPLAY_MOVE), (clock_mono_us() - begun_us) / US_PER_SECOND);
}

Test(delivery_replay_steps, after_a_look_the_writer_gets_three_times_as_long_for_others)
{
    begin_replay();
    struct journal_replay_look *look = look_at(0);
    look->ret_took_us = 100 * US_PER_MS;
    int64_t answered_us = clock_mono_us();
    journal_answer(&look->request, OK);
    look_at(1);
    cr_expect_geq(clock_mono_us() - answered_us, 290 * US_PER_MS);
}

Test(delivery_replay_steps, an_endpoint_that_stays_full_is_looked_at_more_and_more_seldom)
{
    int64_t before_us = 0;
    begin_replay();
    for (unsigned i = 0; i < 4; i++) {
        struct journal_replay_look *look = look_at(i);
        int64_t rested_us = clock_mono_us() - before_us;
        if (i > 0)
            cr_expect_geq(rested_us, (100 << (i - 1)) * US_PER_MS - 10 * US_PER_MS, "%u", i);
        before_us = clock_mono_us();
        look->ret_is_full = true;
        journal_answer(&look->request, OK);
    }
}
