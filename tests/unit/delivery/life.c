/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that change while the shard runs, and shards that stop at an awkward moment. */
#include "fixture.h"

#include "base/cleanup.h"
#include "runtime/metrics.h"

TestSuite(delivery_life, .init = fixture_begin, .fini = fixture_end);

static struct journal_release *release_at(unsigned index)
{
    return CONTAINER_OF(journal_request(JOURNAL_RELEASE, index), struct journal_release, request);
}

static void answer_release(unsigned index, enum park_reason expected, unsigned count)
{
    struct journal_release *release = release_at(index);
    cr_assert_eq(release->endpoint, endpoint);
    cr_assert_eq(release->reason, expected, "release %u", index);
    release->ret_count = count;
    journal_answer(&release->request, OK);
}

static void change_and_tell(bool enabled)
{
    change_endpoint(ENDPOINT_CHANGE_ENABLED, enabled);
    delivery_shard_endpoint_changed(shard, endpoint, 1);
}

Test(delivery_life, what_is_disabled_is_parked_unsent_and_released_when_it_is_enabled_again)
{
    begin_shard(NULL);
    change_and_tell(false);
    hand_over(16, 16, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(
        record->to == DELIVERY_PARKED && record->reason == PARK_DISABLED && !record->has_attempt);
    cr_assert_eq(record->from, DELIVERY_PENDING);
    journal_answer(&record->request, OK);
    cr_assert_eq(sink_count(), 0);
    cr_assert_eq(journal_count(JOURNAL_RELEASE), 0, "asked for a disabled endpoint");
    change_and_tell(true);
    answer_release(0, PARK_DISABLED, 1);
    answer_release(1, PARK_GONE, 0);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(load->after_pending_id, 0);
    journal_answer_load(load, 16, 16, DELIVERY_PENDING, false);
    record = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert(record->delivery == 16 && record->to == DELIVERY_DELIVERED);
    journal_answer(&record->request, OK);
}

Test(delivery_life, a_release_is_asked_in_steps_and_once_more_when_the_endpoint_changed_meanwhile)
{
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_LOAD);
    change_and_tell(true);
    unsigned step = release_at(0)->count_max;
    answer_release(0, PARK_DISABLED, step); /* as many as were asked for: there may be more */
    release_at(1);
    change_and_tell(true);
    answer_release(1, PARK_DISABLED, step - 1);
    answer_release(2, PARK_GONE, 0);
    answer_release(3, PARK_DISABLED, 0);
    answer_release(4, PARK_GONE, 0);
    /* No release is left over: the next change is answered by its own first release. */
    change_and_tell(true);
    answer_release(5, PARK_DISABLED, 0);
    answer_release(6, PARK_GONE, 0);
    end_shard(10 * US_PER_SECOND);
    cr_assert_eq(journal_count(JOURNAL_RELEASE), 7);
}

Test(delivery_life, an_outcome_that_somebody_else_moved_on_from_is_forgotten)
{
    begin_shard(NULL);
    hand_over(16, 16, "note");
    journal_answer(journal_request(JOURNAL_RECORD_OUTCOME, 0), ERR_MOVED_ON);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    hand_over(32, 32, "note"); /* and nothing pauses */
    cr_assert_eq(journal_outcome_at(1)->delivery, 32);
    journal_answer(journal_request(JOURNAL_RECORD_OUTCOME, 1), OK);
}

Test(delivery_life, while_a_sending_is_refused_unguarded_ones_wait_too)
{
    begin_shard(NULL);
    hand_over(16, 16, "payout");
    struct request *start = journal_request(JOURNAL_START, 0);
    int64_t refused_us = clock_wall_us();
    journal_answer(start, ERR_DISK_FULL);
    hand_over(32, 32, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert_eq(record->delivery, 32);
    cr_assert_geq(
        record->attempt.started_us, refused_us + 900 * US_PER_MS, "the pause is a second");
    journal_answer(&record->request, OK);
    journal_answer(journal_request(JOURNAL_START, 1), ERR_MOVED_ON);
}

Test(delivery_life, a_4xx_is_the_last_word_of_an_endpoint_that_says_so)
{
    sink_set(SINK_ANSWER, 400);
    begin_shard(NULL);
    hand_over(16, 16, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert_eq(record->to, DELIVERY_WAITING);
    change_endpoint(ENDPOINT_CHANGE_FINAL_4XX, true);
    hand_over(32, 32, "note");
    record = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert_eq(record->to, DELIVERY_DEAD);
    cr_assert_eq(record->attempt.end.http_status, 400);
}

Test(delivery_life, an_idempotent_endpoint_needs_no_guard)
{
    sink_set(SINK_DROP, 0);
    begin_shard(NULL);
    change_endpoint(ENDPOINT_CHANGE_IDEMPOTENT, true);
    hand_over(16, 16, "payout");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert_eq(record->from, DELIVERY_PENDING);
    cr_assert_eq(record->to, DELIVERY_WAITING);
    cr_assert_eq(journal_count(JOURNAL_START), 0);
}

Test(delivery_life, a_guarded_one_whose_sending_is_recorded_during_a_stop_is_put_back_unsent)
{
    begin_shard(NULL);
    hand_over(16, 16, "payout");
    struct request *start = journal_request(JOURNAL_START, 0);
    delivery_shard_stop(shard, 10 * US_PER_SECOND);
    journal_answer(start, OK);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(
        record->from == DELIVERY_SENDING && record->to == DELIVERY_WAITING && !record->has_attempt);
    cr_assert_eq(record->failures, 0, "nobody failed");
    journal_answer(&record->request, OK);
    end_shard(0);
    cr_assert_eq(sink_count(), 0);
}

Test(delivery_life, a_sending_that_is_recorded_after_the_end_asks_nothing_more_of_the_journal)
{
    begin_shard(NULL);
    hand_over(16, 16, "payout");
    struct request *start = journal_request(JOURNAL_START, 0);
    end_shard(10 * US_PER_MS);
    journal_answer(start, OK); /* the last thing that the journal does */
    free_shard();
    cr_assert_eq(journal_count(JOURNAL_RECORD_OUTCOME), 0, "a request to a journal that has ended");
    cr_assert_eq(taken_bytes(), 0);
}

Test(delivery_life, a_guarded_one_that_is_cut_short_while_it_is_sent_stays_sending_in_the_journal)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_START);
    hand_over(16, 16, "payout");
    sink_request(0);
    end_shard(10 * US_PER_MS);
    cr_assert_eq(journal_count(JOURNAL_RECORD_OUTCOME), 0, "nobody knows what the client did");
}

Test(delivery_life, an_outcome_that_is_recorded_during_a_stop_is_waited_for)
{
    begin_shard(NULL);
    hand_over(16, 16, "note");
    struct request *record = journal_request(JOURNAL_RECORD_OUTCOME, 0);
    delivery_shard_stop(shard, 10 * US_PER_SECOND);
    hand_over(32, 32, "note"); /* accepted in the last moment: stays pending in the journal */
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 2);
    journal_answer(record, OK);
    end_shard(0);
    cr_assert_eq(metrics_read(METRIC_ACTIVE), 1, "the recorded one is still held");
    cr_assert_eq(sink_count(), 1);
}
