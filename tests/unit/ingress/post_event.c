/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "model/dedupe_key.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(post_event, .init = fixture_begin, .fini = fixture_end);

/* Posts and answers OK. Returns the journal's request. The caller owns the connection. */
static struct journal_append *post_and_accept(
    int fd, const char *headers, const char *body, struct answer *ret_answer)
{
    unsigned index = journal_count();
    client_post(fd, headers, body);
    struct journal_append *append = journal_request(index);
    cr_assert_not(client_has_answer(fd), "answered before the journal was done");
    return append;
}

Test(post_event, answer_200_is_sent_only_after_the_journal_answers)
{
    int fd = client_connect();
    struct answer answer;
    struct journal_append *append = post_and_accept(fd, JSON_AND_KEY, PURCHASE("o-1"), &answer);
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&append->event->parts.id, id);
    cr_assert_eq(append->endpoints_count, 1);
    cr_assert(slice_equals_string(append->event->parts.body, PURCHASE("o-1")));
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert(strstr(answer.body, "\"accepted\"") && strstr(answer.body, id) &&
                  strstr(answer.body, "\"r1.a."),
        "%s", answer.body);
    close(fd);
}

Test(post_event, duplicate_is_answered_with_the_first_event_id)
{
    int fd = client_connect();
    struct answer answer;
    struct event_id first;
    char id[] = "evt_01890a5d-ac96-774b-bcce-b302099a8057";
    cr_assert(event_id_parse(SLICE_LITERAL("evt_01890a5d-ac96-774b-bcce-b302099a8057"), &first));
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_answer(0, ERR_EXISTS, &first);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert(strstr(answer.body, "\"duplicate\"") && strstr(answer.body, id) &&
                  strstr(answer.body, "\"r1.d."),
        "%s", answer.body);
    close(fd);
}

Test(post_event, errors_of_the_journal_are_answered_with_their_status)
{
    static const struct {
        enum err result;
        int status;
        const char *type;
    } cases[] = {{ERR_CONFLICT, 422, "urn:penstock:problem:conflict"},
        {ERR_DISK, 503, "urn:penstock:problem:disk"},
        {ERR_DISK_FULL, 503, "urn:penstock:problem:disk-full"},
        {ERR_DAMAGED, 503, "urn:penstock:problem:unavailable"}};
    int fd = client_connect();
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct answer answer;
        client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
        journal_answer(i, cases[i].result, NULL);
        client_receive(fd, &answer);
        cr_assert_eq(answer.status, cases[i].status);
        cr_assert(strstr(answer.body, cases[i].type), "%s", answer.body);
        cr_assert_eq(
            strstr(answer.head, "retry-after") != NULL, cases[i].status == 503, "%s", answer.head);
    }
    close(fd);
}

Test(post_event, missing_journal_answer_is_503_after_three_seconds_and_a_late_one_is_harmless)
{
    int fd = client_connect();
    struct answer answer;
    int64_t started_us = clock_mono_us();
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_request(0);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 503);
    cr_assert(clock_mono_us() - started_us >= 3 * US_PER_SECOND);
    journal_answer(0, OK, NULL);
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_answer(1, ERR_EXISTS, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    close(fd);
}

Test(post_event, key_is_the_header_or_else_the_id)
{
    static const struct {
        const char *headers, *body, *key; /* NULL: rejected with 422 */
    } cases[] = {
        {JSON_AND_KEY "Idempotency-Key: from-header\r\n", PURCHASE("o-1"), "from-header"},
        {JSON_AND_KEY, PURCHASE("o-1"), "o-1"},
        {JSON_AND_KEY, "{\"type\":\"note\",\"account\":\"acc_1\"}", ""},
        {JSON_AND_KEY, "{\"type\":\"purchase\",\"account\":\"acc_1\"}", NULL},
        {JSON_AND_KEY, "{\"type\":\"payout\",\"account\":\"acc_1\"}", NULL},
        {JSON_AND_KEY "Idempotency-Key: \x01\r\n", PURCHASE("o-1"), NULL},
    };
    unsigned seen = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct answer answer;
        int fd = client_connect();
        client_post(fd, cases[i].headers, cases[i].body);
        if (cases[i].key) {
            struct journal_append *append = journal_request(seen);
            cr_assert(slice_equals_string(append->event->parts.key, cases[i].key), "case %u", i);
            journal_answer(seen++, OK, NULL);
        }
        client_receive(fd, &answer);
        cr_assert(
            cases[i].key ? answer.status == 200 : answer.status == 422 || answer.status == 400,
            "case %u: %d", i, answer.status);
        close(fd);
    }
    cr_assert_eq(journal_count(), seen);
}

Test(post_event, dedupe_key_is_made_of_partner_account_type_and_key)
{
    int fd = client_connect();
    struct answer answer;
    struct dedupe_key expected;
    dedupe_key_of(SLICE_LITERAL("shop"), SLICE_LITERAL("acc_1"), SLICE_LITERAL("purchase"),
        SLICE_LITERAL("o-1"), &expected);
    struct journal_append *append = post_and_accept(fd, JSON_AND_KEY, PURCHASE("o-1"), &answer);
    cr_assert_arr_eq(append->dedupe_key.bytes, expected.bytes, sizeof expected.bytes);
    journal_answer(0, OK, NULL);
    close(fd);
}

Test(post_event, account_decides_partition_and_shard)
{
    int fd = client_connect();
    struct answer answer;
    struct journal_append *append = post_and_accept(fd, JSON_AND_KEY, PURCHASE("o-1"), &answer);
    unsigned partition = (unsigned)(hash_siphash(&seed, SLICE_LITERAL("acc_1")) % TEST_PARTITIONS);
    cr_assert_eq(event_id_partition(&append->event->parts.id), partition);
    cr_assert_eq(journal_shard(0), partition % TEST_SHARDS);
    journal_answer(0, OK, NULL);
    close(fd);
}

Test(post_event, unknown_credential_is_401_and_foreign_account_is_403)
{
    static const struct {
        const char *headers, *body;
        int status;
    } cases[] = {
        {"Content-Type: application/json\r\n", PURCHASE("o-1"), 401},
        {"Content-Type: application/json\r\nAuthorization: Bearer pk_other\r\n", PURCHASE("o-1"),
            401},
        {"Content-Type: application/json\r\nAuthorization: Basic " TEST_KEY "\r\n", PURCHASE("o-1"),
            401},
        {JSON_AND_KEY, "{\"id\":\"1\",\"type\":\"purchase\",\"account\":\"acc_2\"}", 403},
        {JSON_AND_KEY, "{\"id\":\"1\",\"type\":\"purchase\",\"account\":\"acc_unknown\"}", 403},
        {"Content-Type: text/plain\r\nAuthorization: Bearer " TEST_KEY "\r\n", PURCHASE("o-1"),
            415},
        {JSON_AND_KEY "Content-Encoding: gzip\r\n", PURCHASE("o-1"), 415},
    };
    struct answer answer, foreign;
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        int fd = client_connect();
        client_post(fd, cases[i].headers, cases[i].body);
        client_receive(fd, &answer);
        cr_assert_eq(answer.status, cases[i].status, "case %u: %d", i, answer.status);
        if (i == 3)
            foreign = answer;
        if (i == 4)
            cr_assert_str_eq(
                answer.body, foreign.body, "an unknown account can be told from a foreign one");
        close(fd);
    }
    cr_assert_eq(journal_count(), 0);
}

Test(post_event, optional_events_are_shed_first_and_critical_ones_last)
{
    int fd = client_connect();
    struct answer answer;
    unsigned shard =
        (unsigned)(hash_siphash(&seed, SLICE_LITERAL("acc_1")) % TEST_PARTITIONS) % TEST_SHARDS;
    static const struct {
        int percent_held;
        const char *body;
        int status;
    } cases[] = {
        {85, "{\"type\":\"notification\",\"account\":\"acc_1\"}", 503},
        {85, "{\"type\":\"note\",\"account\":\"acc_1\"}", 200},
        {95, "{\"type\":\"note\",\"account\":\"acc_1\"}", 503},
        {95, PURCHASE("o-1"), 200},
        {100, PURCHASE("o-2"), 503},
    };
    unsigned seen = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        int64_t held = budgets[shard].bytes_max / 100 * cases[i].percent_held;
        atomic_store(&budgets[shard].taken_bytes, held);
        client_post(fd, JSON_AND_KEY, cases[i].body);
        if (cases[i].status == 200)
            journal_answer(seen++, OK, NULL);
        client_receive(fd, &answer);
        cr_assert_eq(
            answer.status, cases[i].status, "case %u: %d %s", i, answer.status, answer.body);
        cr_expect_eq(strstr(answer.body, "too many events in memory") != NULL,
            cases[i].status == 503, "%s", answer.body);
        WAIT_UNTIL(atomic_load(&budgets[shard].taken_bytes) == held);
    }
    WAIT_UNTIL(metrics_read(METRIC_INGRESS_REFUSING_CRITICAL) == 1);
    cr_expect_eq(metrics_read(METRIC_INGRESS_REFUSING_OPTIONAL), 1);
    cr_expect_eq(metrics_read(METRIC_INGRESS_OVERLOADED_MEMORY), 1);
    atomic_store(&budgets[shard].taken_bytes, 0);
    WAIT_UNTIL(metrics_read(METRIC_INGRESS_REFUSING_OPTIONAL) == 0);
    cr_expect_eq(metrics_read(METRIC_INGRESS_OVERLOADED_MEMORY), 0);
    close(fd);
}

Test(post_event, disconnect_does_not_change_the_event)
{
    int fd = client_connect();
    int64_t accepted = metrics_read(METRIC_EVENTS_ACCEPTED);
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_request(0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                     sizeof(struct linger)),
        0);
    close(fd);
    journal_answer(0, OK, NULL);
    WAIT_UNTIL(metrics_read(METRIC_EVENTS_ACCEPTED) == accepted + 1);
    fd = client_connect();
    struct answer answer;
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_answer(1, ERR_EXISTS, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    close(fd);
}

Test(post_event, stop_waits_for_open_requests)
{
    int fd = client_connect();
    struct answer answer;
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_request(0);
    ingress_stop(ingress, 10 * US_PER_SECOND);
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    char rest;
    cr_assert_eq(recv(fd, &rest, 1, 0), 0, "the connection was left open");
    close(fd);
}

Test(post_event, malformed_event_id_is_not_found)
{
    static const char *const ids[] = {
        "evt_nonsense", "1", "evt_01890A5D-AC96-774B-BCCE-B302099A8057"};
    struct answer answer;
    for (unsigned i = 0; i < ARRAY_LENGTH(ids); i++) {
        char text[256];
        int fd = client_connect();
        snprintf(text, sizeof text,
            "GET /v1/events/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TEST_KEY "\r\n\r\n",
            ids[i]);
        client_send(fd, text);
        client_receive(fd, &answer);
        cr_assert_eq(answer.status, 404, "%s: %d", ids[i], answer.status);
        close(fd);
    }
}

Test(post_event, only_a_valid_traceparent_is_kept)
{
    static const struct {
        const char *header, *kept;
    } cases[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x", ""},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01", ""},
        {"1", ""},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-00000000000000000000", ""},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        char headers[512];
        struct answer answer;
        int fd = client_connect();
        snprintf(headers, sizeof headers, JSON_AND_KEY "traceparent: %s\r\n", cases[i].header);
        struct journal_append *append = post_and_accept(fd, headers, PURCHASE("o-1"), &answer);
        cr_assert(
            slice_equals_string(append->event->parts.traceparent, cases[i].kept), "case %u", i);
        journal_answer(i, OK, NULL);
        client_receive(fd, &answer);
        close(fd);
    }
}
