/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "model/signature.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(delivery, .init = fixture_begin, .fini = fixture_end);

static void answer_record(unsigned index, enum err result)
{
    journal_answer(journal_request(JOURNAL_RECORD_OUTCOME, index), result);
}

Test(delivery, what_is_handed_over_is_sent_signed_and_recorded)
{
    begin_shard(NULL);
    hand_over(16, 16, "note");
    const struct sink_request *request = sink_request(0);
    cr_assert_str_eq(request->body, BODY);
    static const char *const headers[] = {"POST /in HTTP/1.1", "webhook-id: evt_",
        "webhook-timestamp: ", "webhook-signature: v1,", "content-type: application/json",
        "user-agent: Penstock/", "penstock-attempt: 1\r\n", "traceparent: 00-4bf92f"};
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++)
        cr_assert(
            strstr(request->head, headers[i]), "%s is missing in\n%s", headers[i], request->head);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert_eq(record->delivery, 16);
    cr_assert_eq(record->from, DELIVERY_PENDING);
    cr_assert_eq(record->to, DELIVERY_DELIVERED);
    cr_assert(record->has_attempt && record->attempt.number == 1 &&
              record->attempt.end.http_status == 200);
    answer_record(0, OK);
}

/* The value of a header of the request, up to its line's end. */
static void copy_header(
    const struct sink_request *request, const char *name, char *ret_value, size_t size)
{
    char begin[64];
    snprintf(begin, sizeof begin, "\r\n%s: ", name);
    const char *at = strstr(request->head, begin);
    cr_assert(at, "%s is missing in\n%s", name, request->head);
    at += strlen(begin);
    snprintf(ret_value, size, "%.*s", (int)strcspn(at, "\r"), at);
}

Test(delivery, the_signature_is_of_the_endpoints_secret_over_id_time_and_body)
{
    char id[64], timestamp[32], signature[128], expected[SIGNATURE_TEXT_BYTES];
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    int64_t before_s = clock_wall_us() / US_PER_SECOND;
    hand_over(16, 16, "note");
    const struct sink_request *request = sink_request(0);
    copy_header(request, "webhook-id", id, sizeof id);
    copy_header(request, "webhook-timestamp", timestamp, sizeof timestamp);
    copy_header(request, "webhook-signature", signature, sizeof signature);
    long long timestamp_s = atoll(timestamp);
    cr_assert(timestamp_s >= before_s && timestamp_s <= clock_wall_us() / US_PER_SECOND);
    struct secret secret;
    struct hmac *mac;
    endpoint_secret(&secret);
    cr_assert_eq(hmac_new(slice_of(secret.bytes, secret.len), &mac), OK);
    signature_make(
        mac, slice_from_string(id), timestamp_s, slice_from_string(request->body), expected);
    hmac_free(mac);
    cr_assert_str_eq(signature, expected);
}

Test(delivery, a_failure_waits_for_its_step_and_is_loaded_when_due)
{
    sink_set(SINK_ANSWER, 500);
    begin_shard(NULL);
    int64_t before_us = clock_wall_us();
    hand_over(16, 16, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert_eq(record->to, DELIVERY_WAITING);
    cr_assert_eq(record->failures, 1);
    cr_assert_geq(record->due_us, before_us + 40 * US_PER_MS);
    cr_assert_leq(record->due_us, clock_wall_us() + 60 * US_PER_MS);
    int64_t due_us = record->due_us;
    answer_record(0, OK);
    struct journal_load *load = journal_load_at(0);
    cr_assert_geq(load->due_by_us, due_us);
    cr_assert_eq(load->after_pending_id, INT64_MAX, "no pending ones were left in the journal");
    sink_set(SINK_ANSWER, 200);
    journal_answer_load(load, 16, 16, DELIVERY_WAITING, false);
    cr_assert(strstr(sink_request(1)->head, "penstock-attempt: 2\r\n"));
    record = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert_eq(record->from, DELIVERY_WAITING);
    cr_assert_eq(record->to, DELIVERY_DELIVERED);
    answer_record(1, OK);
}

Test(delivery, at_the_end_of_the_schedule_it_is_dead)
{
    sink_set(SINK_ANSWER, 500);
    policy.rules.schedule.steps = 1;
    begin_shard(&(struct journal_backlog){.endpoint = endpoint, .waiting = 1, .waiting_due_us = 0});
    hand_over(16, 16, "note");
    cr_assert_eq(journal_outcome_at(0)->to, DELIVERY_WAITING, "the schedule has one step");
    answer_record(0, OK);
    accepted_before_us = US_PER_SECOND;
    journal_answer_load(journal_load_at(0), 32, 32, DELIVERY_WAITING, false);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert_eq(record->delivery, 32);
    cr_assert_eq(record->to, DELIVERY_DEAD);
    cr_assert_eq(record->failures, 2);
    answer_record(1, OK);
}

Test(delivery, a_410_parks_it_and_disables_the_endpoint)
{
    sink_set(SINK_ANSWER, 410);
    begin_shard(NULL);
    hand_over(16, 16, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(record->to == DELIVERY_PARKED && record->reason == PARK_DISABLED);
    answer_record(0, OK);
    WAIT_UNTIL(!endpoint_is_enabled());
    hand_over(32, 32, "note");
    record = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert(
        record->to == DELIVERY_PARKED && record->reason == PARK_DISABLED && !record->has_attempt);
    cr_assert_eq(sink_count(), 1);
    answer_record(1, OK);
}

Test(delivery, without_an_endpoint_it_is_parked_as_gone)
{
    uint64_t ours = endpoint;
    begin_shard(NULL);
    endpoint = 4711;
    hand_over(16, 16, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(record->to == DELIVERY_PARKED && record->reason == PARK_GONE);
    cr_assert_eq(sink_count(), 0);
    answer_record(0, OK);
    endpoint = ours;
}

Test(delivery, an_endpoint_that_is_enabled_again_gets_what_was_parked)
{
    change_endpoint(ENDPOINT_CHANGE_ENABLED, true);
    begin_shard(&(struct journal_backlog){
        .endpoint = endpoint, .parked_releasable = 1, .waiting_due_us = INT64_MAX});
    struct journal_release *release =
        CONTAINER_OF(journal_request(JOURNAL_RELEASE, 0), struct journal_release, request);
    cr_assert_eq(release->reason, PARK_DISABLED);
    release->ret_count = 1;
    journal_answer(&release->request, OK);
    release = CONTAINER_OF(journal_request(JOURNAL_RELEASE, 1), struct journal_release, request);
    cr_assert_eq(release->reason, PARK_GONE);
    journal_answer(&release->request, OK);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(load->after_pending_id, 0);
    journal_answer_load(load, 16, 16, DELIVERY_PENDING, false);
    cr_assert_eq(journal_outcome_at(0)->to, DELIVERY_DELIVERED);
    answer_record(0, OK);
}

Test(delivery, no_more_are_in_flight_than_the_cap)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_LOAD);
    hand_over(1, 8, "note");
    WAIT_UNTIL(sink_count() == 4);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 8);
    cr_assert_eq(sink_concurrent_max(), 4);
}

Test(delivery, a_policy_that_allows_more_takes_effect_at_once)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    policy.rules.in_flight_max = 2;
    delivery_shard_set_policy(shard, &policy);
    hand_over(1, 4, "note");
    WAIT_UNTIL(sink_count() == 2);
    policy.rules.in_flight_max = 4;
    delivery_shard_set_policy(shard, &policy);
    WAIT_UNTIL(sink_count() == 4);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 4);
}

Test(delivery, what_has_no_room_stays_in_the_journal_and_comes_back)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    hand_over(1, 20, "note"); /* there is room for 8 */
    struct journal_load *load = journal_load_at(0);
    cr_assert_lt(load->after_pending_id, 20);
    int64_t from = load->after_pending_id + 1;
    /* After the answer the request is the shard's again, which may use it for the next load. */
    unsigned count_max = load->count_max;
    sink_release();
    journal_answer_at_once(JOURNAL_LOAD);
    journal_answer_load(load, from, 20, DELIVERY_PENDING, from + count_max <= 20);
    unsigned loaded = from + count_max <= 20 ? count_max : (unsigned)(20 - from + 1);
    unsigned expected = (unsigned)(from - 1) + loaded;
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == expected);
    cr_assert_eq(sink_count(), expected);
}

Test(delivery, a_client_that_hangs_with_large_bodies_holds_an_eighth_of_the_memory)
{
    sink_set(SINK_HOLD, 200);
    policy.active_per_endpoint = 1000;
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    body_bytes = 60000;
    for (int64_t id = 1; id <= 200;
         id += 20) { /* 12 MB of 16, one after the other: never half of it at once */
        hand_over(id, id + 19, "note");
        /* Deliveries without room are given back. The last one may exceed the limit. */
        WAIT_UNTIL(taken_bytes() <= (16 << 20) / 8 + EVENT_BYTES_MAX);
    }
    WAIT_UNTIL(sink_count() == 4);
    cr_assert_gt(taken_bytes(), (16 << 20) / 8 - EVENT_BYTES_MAX);
    cr_assert_eq(journal_count(JOURNAL_LOAD), 0, "there is no room for what a load would bring");
    journal_answer_at_once(JOURNAL_LOAD);
    sink_release();
    WAIT_UNTIL(taken_bytes() == 0);
    cr_assert_gt(journal_count(JOURNAL_LOAD), 0);
}

Test(delivery, what_is_loaded_but_still_in_memory_is_not_sent_again)
{
    begin_shard(
        &(struct journal_backlog){.endpoint = endpoint, .pending = 3, .waiting_due_us = INT64_MAX});
    struct journal_load *load = journal_load_at(0);
    hand_over(1, 2, "note"); /* 1 and 2 arrive by themselves while the load is in flight */
    struct journal_record *first = journal_record_at(JOURNAL_RECORD_OUTCOME, 0),
                          *second = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    /* The load saw all three as pending: the outcomes of 1 and 2 are behind it in the journal's
     * order. */
    journal_answer_load(load, 1, 3, DELIVERY_PENDING, false);
    journal_answer(&first->request, OK);
    journal_answer(&second->request, OK);
    answer_record(2, OK);
    WAIT_UNTIL(sink_count() == 3);
    hand_over(4, 4, "note");
    answer_record(3, OK);
    cr_assert_eq(sink_count(), 4);
}

Test(delivery, a_load_of_only_known_deliveries_is_followed_by_one_behind_them)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(
        &(struct journal_backlog){.endpoint = endpoint, .pending = 6, .waiting_due_us = INT64_MAX});
    struct journal_load *load = journal_load_at(0);
    hand_over(1, 4, "note");
    WAIT_UNTIL(sink_count() == 4);
    journal_answer_load(load, 1, 4, DELIVERY_PENDING, true);
    load = journal_load_at(1);
    cr_assert_eq(load->after_pending_id, 4);
    journal_answer_load(load, 5, 6, DELIVERY_PENDING, false);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 6);
    cr_assert_eq(sink_count(), 6);
}

Test(delivery, a_long_backlog_does_not_keep_retries_from_their_turn)
{
    begin_shard(&(struct journal_backlog){
        .endpoint = endpoint, .pending = 4, .waiting = 1, .waiting_due_us = 0});
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(load->after_pending_id, 0);
    journal_answer_load(load, 1, 2, DELIVERY_PENDING, true);
    load = journal_load_at(1);
    cr_assert_eq(load->after_pending_id, INT64_MAX, "the waiting ones' turn");
    cr_assert_gt(load->due_by_us, 0);
    journal_answer_load(load, 100, 100, DELIVERY_WAITING, false);
    load = journal_load_at(2);
    cr_assert_eq(load->after_pending_id, 2, "and the backlog goes on where it was");
    journal_answer_load(load, 3, 4, DELIVERY_PENDING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 5);
    cr_assert_eq(sink_count(), 5);
}

Test(delivery, a_load_that_the_disk_refused_is_asked_again)
{
    begin_shard(
        &(struct journal_backlog){.endpoint = endpoint, .pending = 1, .waiting_due_us = INT64_MAX});
    journal_answer(&journal_load_at(0)->request, ERR_DISK);
    journal_answer_load(journal_load_at(1), 16, 16, DELIVERY_PENDING, false);
    answer_record(0, OK);
    cr_assert_eq(sink_count(), 1);
}

Test(delivery, a_guarded_one_is_sent_only_when_sending_is_durable)
{
    begin_shard(NULL);
    hand_over(16, 16, "payout");
    struct journal_record *start = journal_record_at(JOURNAL_START, 0);
    cr_assert_eq(start->to, DELIVERY_SENDING);
    cr_assert_eq(sink_count(), 0);
    journal_answer(&start->request, OK);
    sink_request(0);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(record->from == DELIVERY_SENDING && record->to == DELIVERY_DELIVERED);
    answer_record(0, OK);
}

Test(delivery, a_guarded_one_whose_answer_is_lost_is_parked)
{
    sink_set(SINK_DROP, 0);
    begin_shard(NULL);
    hand_over(16, 16, "payout");
    journal_answer(journal_request(JOURNAL_START, 0), OK);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(record->to == DELIVERY_PARKED && record->reason == PARK_AMBIGUOUS);
    cr_assert_eq(sink_count(), 1);
    answer_record(0, OK);
}

Test(delivery, guarded_ones_use_a_fresh_connection_each)
{
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_START);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    hand_over(16, 16, "payout");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 1);
    hand_over(32, 32, "payout");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 2);
    cr_assert_neq(sink_request(0)->connection, sink_request(1)->connection);
}

Test(delivery, a_start_that_the_disk_refused_is_tried_again_and_one_that_moved_on_is_forgotten)
{
    begin_shard(NULL);
    hand_over(16, 16, "payout");
    journal_answer(journal_request(JOURNAL_START, 0), ERR_DISK);
    journal_answer(journal_request(JOURNAL_START, 1), ERR_MOVED_ON);
    hand_over(32, 32, "payout");
    struct journal_record *start = journal_record_at(JOURNAL_START, 2);
    cr_assert_eq(start->delivery, 32);
    cr_assert_eq(sink_count(), 0);
    journal_answer(&start->request, OK);
    answer_record(0, OK);
}

Test(delivery, while_an_outcome_is_not_recorded_nothing_new_is_sent)
{
    begin_shard(NULL);
    hand_over(16, 16, "note");
    answer_record(0, ERR_DISK_FULL);
    /* The refusal is known to the shard before the next handover: mails keep their order. */
    hand_over(32, 32, "note");
    struct journal_record *again = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert_eq(again->delivery, 16);
    cr_assert_eq(sink_count(), 1, "a send started although an outcome was not recorded");
    journal_answer(&again->request, OK);
    cr_assert_eq(journal_outcome_at(2)->delivery, 32);
    answer_record(2, OK);
}

Test(delivery, a_stop_waits_for_what_is_in_flight_and_starts_nothing)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    hand_over(1, 7, "note");
    WAIT_UNTIL(sink_count() == 4);
    delivery_shard_stop(shard, 5 * US_PER_SECOND);
    hand_over(8, 8, "note");
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) ==
               8); /* so the order to stop, which was posted before it, is known */
    sink_release();
    delivery_shard_join(shard);
    cr_assert_eq(journal_count(JOURNAL_RECORD_OUTCOME), 4);
    cr_assert_eq(sink_count(), 4);
}

Test(delivery, a_stop_cuts_short_what_takes_too_long_without_an_outcome)
{
    sink_set(SINK_HOLD, 200);
    begin_shard(NULL);
    hand_over(1, 2, "note");
    WAIT_UNTIL(sink_count() == 2);
    delivery_shard_stop(shard, 50 * US_PER_MS);
    delivery_shard_join(shard);
    cr_assert_eq(journal_count(JOURNAL_RECORD_OUTCOME), 0);
}
