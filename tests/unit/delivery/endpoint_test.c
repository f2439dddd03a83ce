/* SPDX-License-Identifier: Apache-2.0 */
/* Test events that an operator sends to an endpoint. */
#include "delivery/endpoint_test.h"
#include "base/cleanup.h"
#include "failing.h"
#include "fixture.h"
#include "journal/endpoint_test.h"
#include "runtime/metrics.h"

#include <stdatomic.h>
#include <stdio.h>

TestSuite(endpoint_test, .init = fixture_begin, .fini = fixture_end);

#define MAX_AT_ONCE 4

static _Atomic unsigned answered;

static void on_answered(struct request *request, void *receiver)
{
    (void)request;
    (void)receiver;
    atomic_fetch_add(&answered, 1);
}

static void ask(struct endpoint_test *test, uint64_t id)
{
    *test = (struct endpoint_test){.endpoint = id, .ask.on_done = on_answered};
    delivery_shard_test_endpoint(shard, test);
}

/* Asks, and waits for the answer. */
static enum err ask_and_wait(struct endpoint_test *test, uint64_t id)
{
    unsigned before = atomic_load(&answered);
    ask(test, id);
    WAIT_UNTIL(atomic_load(&answered) > before);
    return test->ask.result;
}

Test(endpoint_test, a_test_is_marked_and_signed_and_shows_how_it_was_sent)
{
    static struct endpoint_test test;
    struct secret secret;
    struct hmac *mac;
    char id[EVENT_ID_TEXT_BYTES], text[160], signature[SIGNATURE_TEXT_BYTES];
    long long timestamp_s;
    begin_shard(NULL);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    const struct sink_request *request = sink_request(0);
    event_id_format(&test.ret_event, id);
    cr_assert_str_eq(request->body, test.ret_body);
    cr_assert(strstr(request->body, "\"type\":\"penstock.test\"") && strstr(request->body, id));
    cr_assert(strstr(request->head, "\r\npenstock-test: true\r\n"), "%s", request->head);
    snprintf(text, sizeof text, "\r\nwebhook-id: %s\r\n", id);
    cr_assert(strstr(request->head, text), "%s", request->head);
    const char *line = strstr(request->head, "webhook-timestamp: ");
    cr_assert(line && sscanf(line, "webhook-timestamp: %lld", &timestamp_s) == 1);
    endpoint_secret(&secret);
    cr_assert_eq(hmac_new(slice_of(secret.bytes, secret.len), &mac), OK);
    signature_make(
        mac, slice_from_string(id), timestamp_s, slice_from_string(request->body), signature);
    hmac_free(mac);
    cr_assert(strstr(request->head, signature), "%s", request->head);
    cr_assert(
        strstr(test.ret_headers, "penstock-test: true\n") && strstr(test.ret_headers, signature),
        "%s", test.ret_headers);
    cr_assert(test.ret_enabled && !test.ret_breaker_open && !test.ret_shortage);
    cr_assert_eq(test.ret_verdict, VERDICT_DELIVERED);
    const struct attempt *attempt = &test.ret_attempt;
    cr_assert(attempt->number == 1 && attempt->end.http_status == 200 && attempt->started_us > 0);
    cr_assert(attempt->evidence.request_complete && !attempt->evidence.warm);
    cr_assert_eq(attempt->excerpt_len, 2);
}

Test(endpoint_test, each_test_uses_a_connection_of_its_own)
{
    static struct endpoint_test test;
    begin_shard(NULL);
    hand_over(16, 16, "note");
    journal_answer(&journal_record_at(JOURNAL_RECORD_OUTCOME, 0)->request, OK);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert(sink_request(0)->connection != sink_request(1)->connection &&
              sink_request(1)->connection != sink_request(2)->connection);
    cr_assert_gt(test.ret_attempt.evidence.connect_us, 0);
}

Test(endpoint_test, nothing_is_recorded_or_counted)
{
    static struct endpoint_test test;
    static const enum metric counted[] = {METRIC_ATTEMPTS_DELIVERED, METRIC_ATTEMPTS_RETRY,
        METRIC_ATTEMPTS_DEAD, METRIC_ATTEMPTS_PARKED, METRIC_ACTIVE, METRIC_IN_FLIGHT,
        METRIC_BREAKERS_OPEN};
    begin_shard(NULL);
    sink_set(SINK_ANSWER, 500);
    for (unsigned i = 0; i < 20; i++) { /* twice as many failures as open a breaker */
        cr_assert_eq(ask_and_wait(&test, endpoint), OK);
        cr_assert_eq(test.ret_verdict, VERDICT_RETRY);
        cr_assert(!test.ret_breaker_open);
    }
    for (unsigned i = 0; i < ARRAY_LENGTH(counted); i++)
        cr_expect_eq(metrics_read(counted[i]), 0);
    cr_assert_eq(journal_count(JOURNAL_RECORD_OUTCOME) + journal_count(JOURNAL_START), 0);
    cr_assert_eq(taken_bytes(), 0, "its event is freed");
}

Test(endpoint_test, a_disabled_endpoint_can_be_tested_and_stays_disabled)
{
    static struct endpoint_test test;
    begin_shard(NULL);
    change_endpoint(ENDPOINT_CHANGE_ENABLED, false);
    sink_set(SINK_ANSWER, 410);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert(!test.ret_enabled && test.ret_verdict == VERDICT_DISABLE_ENDPOINT);
    change_endpoint(ENDPOINT_CHANGE_ENABLED, true);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert(endpoint_is_enabled(), "a 410 to a test disables nothing");
}

Test(endpoint_test, an_endpoint_with_an_open_breaker_can_be_tested)
{
    static struct endpoint_test test;
    begin_failing_shard();
    open_breaker(16);
    sink_set(SINK_ANSWER, 200);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert(test.ret_breaker_open && test.ret_verdict == VERDICT_DELIVERED);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert(test.ret_breaker_open, "a test is no probe");
}

Test(endpoint_test, tests_at_once_are_bounded_and_end_with_the_shard)
{
    static struct endpoint_test tests[MAX_AT_ONCE + 1], other;
    begin_shard(NULL);
    sink_set(SINK_HOLD, 200);
    for (unsigned i = 0; i < MAX_AT_ONCE; i++)
        ask(&tests[i], endpoint);
    sink_request(MAX_AT_ONCE - 1);
    cr_assert_eq(ask_and_wait(&other, other_endpoint), ERR_OVERLOADED);
    sink_release();
    WAIT_UNTIL(atomic_load(&answered) == MAX_AT_ONCE + 1);
    cr_assert_eq(ask_and_wait(&other, other_endpoint), OK, "there is room again");
    sink_set(SINK_HOLD, 200);
    ask(&tests[0], endpoint);
    sink_request(MAX_AT_ONCE + 1);
    end_shard(100 * US_PER_MS);
    cr_assert_eq(tests[0].ask.result, ERR_SHUTTING_DOWN, "a stop cuts it short");
    ask(&tests[1], endpoint);
    free_shard();
    cr_assert_eq(tests[1].ask.result, ERR_SHUTTING_DOWN);
}

Test(endpoint_test, an_endpoint_that_does_not_exist_is_not_found)
{
    static struct endpoint_test test;
    begin_shard(NULL);
    cr_assert_eq(ask_and_wait(&test, endpoint ^ 1), ERR_NOT_FOUND);
}

Test(endpoint_test, an_answer_that_is_late_ends_with_the_timeout_of_the_endpoint)
{
    static struct endpoint_test test;
    policy.rules.answer_timeout_us = 200 * US_PER_MS;
    begin_shard(NULL);
    sink_set(SINK_HOLD, 200);
    cr_assert_eq(ask_and_wait(&test, endpoint), OK);
    cr_assert(
        test.ret_attempt.end.error == ERR_ANSWER_TIMEOUT && test.ret_verdict == VERDICT_RETRY);
}
