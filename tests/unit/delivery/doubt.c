/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded events as probes: a client that hangs must not leave one after the other in doubt. */
#include "failing.h"

#include "runtime/metrics.h"

#include <string.h>

TestSuite(delivery_doubt, .init = fixture_begin, .fini = fixture_end);

static unsigned loads;

static struct journal_load *next_probe(void)
{
    return next_load(&loads, true);
}

/* Waits for a day, and was sent `tried_before_us` ago. */
static void answer_probe(struct journal_load *probe, const char *type, int64_t tried_before_us)
{
    struct delivery *delivery = &probe->ret_deliveries[0];
    *delivery = make_delivery(loads, type, DELIVERY_WAITING);
    int64_t began_us = clock_wall_us() - tried_before_us;
    delivery->wait_cause = WAIT_ENDPOINT;
    delivery->wait_us = US_PER_DAY;
    delivery->due_us = began_us + US_PER_DAY;
    probe->ret_count = 1;
    journal_answer(&probe->request, OK);
}

static void answer_none(struct journal_load *probe)
{
    journal_answer_load(probe, 0, -1, DELIVERY_PENDING, false);
}

/* Its breaker is open, and its first probe is guarded. From now on the client does as `mode`
 * says. */
static void send_guarded_probe(enum sink_mode mode, int status)
{
    loads = 0;
    begin_failing_shard();
    journal_answer_at_once(JOURNAL_START);
    open_breaker(1);
    sink_set(mode, status);
    struct journal_load *probe = next_probe();
    cr_assert_not(probe->unguarded);
    unsigned sent = sink_count();
    answer_probe(probe, "payout", US_PER_SECOND);
    WAIT_UNTIL(sink_count() == sent + 1);
}

Test(delivery_doubt, the_probe_after_a_guarded_one_that_hangs_is_unguarded)
{
    send_guarded_probe(SINK_HOLD, 200);
    int64_t sent_us = clock_mono_us();
    struct journal_load *probe = next_probe();
    cr_assert(probe->unguarded);
    cr_assert_leq(clock_mono_us() - sent_us, 3 * US_PER_SECOND, "at the usual time");
    unsigned sent = sink_count();
    answer_probe(probe, "note", 0); /* it was tried since the endpoint fails */
    WAIT_UNTIL(sink_count() == sent + 1);
}

Test(delivery_doubt, without_an_unguarded_event_the_next_guarded_one_waits)
{
    send_guarded_probe(SINK_HOLD, 200);
    int64_t sent_us = clock_mono_us();
    struct journal_load *probe;
    while ((probe = next_probe())->unguarded)
        answer_none(probe);
    cr_assert_geq(clock_mono_us() - sent_us, 9 * US_PER_SECOND);
    answer_probe(probe, "payout", US_PER_SECOND);
    WAIT_UNTIL(metrics_read(METRIC_PROBES) == 2);
    cr_assert(next_probe()->unguarded);
}

Test(delivery_doubt, the_search_for_an_unguarded_event_takes_four_steps_and_continues_later)
{
    send_guarded_probe(SINK_HOLD, 200);
    for (int64_t step = 0; step < 4; step++) {
        struct journal_load *probe = next_probe();
        cr_assert(probe->unguarded);
        cr_assert_eq(probe->after_probe_id, 100 * step);
        probe->ret_after_probe_id = 100 * (step + 1);
        probe->ret_count = 0;
        int64_t answered_us = clock_mono_us();
        journal_answer(&probe->request, OK);
        if (step == 0)
            continue;
        cr_assert_lt(clock_mono_us() - answered_us, US_PER_SECOND);
    }
    int64_t searched_us = clock_mono_us();
    cr_assert_eq(next_probe()->after_probe_id, 400);
    cr_assert_geq(clock_mono_us() - searched_us, US_PER_SECOND);
}

Test(delivery_doubt, an_unguarded_event_that_hangs_does_not_keep_others_from_being_probes)
{
    send_guarded_probe(SINK_HOLD, 200);
    struct journal_load *probe = next_probe();
    cr_assert(probe->unguarded);
    int64_t hangs = loads;
    answer_probe(probe, "note", 0);
    WAIT_UNTIL(metrics_read(METRIC_PROBES) == 2);
    while ((probe = next_probe())->unguarded) {
        struct delivery *delivery = &probe->ret_deliveries[0];
        *delivery = make_delivery(hangs, "note", DELIVERY_WAITING);
        delivery->wait_cause = WAIT_ENDPOINT;
        delivery->wait_us = US_PER_DAY;
        delivery->due_us = clock_wall_us() + US_PER_DAY;
        probe->ret_count = 1;
        probe->ret_after_probe_id = INT64_MAX;
        journal_answer(&probe->request, OK);
    }
    answer_probe(probe, "payout", US_PER_SECOND);
    WAIT_UNTIL(metrics_read(METRIC_PROBES) == 3);
}

Test(delivery_doubt, any_event_may_follow_a_guarded_probe_that_fails_without_doubt)
{
    send_guarded_probe(SINK_ANSWER, 500);
    cr_assert_not(next_probe()->unguarded);
}

Test(delivery_doubt, an_idempotent_endpoint_is_never_in_doubt)
{
    change_endpoint(ENDPOINT_CHANGE_IDEMPOTENT, true);
    send_guarded_probe(SINK_HOLD, 200);
    cr_assert_not(next_probe()->unguarded);
}

Test(delivery_doubt, the_doubt_ends_when_the_endpoint_is_back)
{
    send_guarded_probe(SINK_HOLD, 200);
    struct journal_load *probe = next_probe();
    cr_assert(probe->unguarded);
    sink_release();
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
    answer_none(probe);
    journal_answer_at_once(JOURNAL_LOAD);
    sink_set(SINK_ANSWER, 500);
    open_breaker(100);
    journal_answer_by_hand(JOURNAL_LOAD);
    loads = journal_count(JOURNAL_LOAD);
    cr_assert_not(next_probe()->unguarded);
}
