/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "runtime/metrics.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(post_batch, .init = fixture_begin, .fini = fixture_end);

#define PATH "/v1/events/batch"
#define KEY "Authorization: Bearer " TEST_KEY "\r\n"
#define LINES "Content-Type: application/x-ndjson\r\n" KEY
#define NOTE "{\"type\":\"note\",\"account\":\"acc_1\"}"

static struct answer answer;

/* Returns the statuses of the results, separated by spaces. */
static const char *statuses(void)
{
    static char text[8 * BATCH_ITEMS_MAX];
    size_t len = 0;
    text[0] = '\0';
    for (const char *at = answer.body; (at = strstr(at, "\"status\":")); at++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%s%d", len ? " " : "", atoi(at + 9));
    return text;
}

static int post_refused(const char *headers, const char *body)
{
    int fd = client_connect();
    client_post_to(fd, PATH, headers, slice_from_string(body));
    client_receive(fd, &answer);
    close(fd);
    return answer.status;
}

Test(post_batch, each_item_has_its_result_in_order)
{
    static const char *const cases[][2] = {
        {LINES, PURCHASE("o-1") "\r\n\n{\"broken\n" NOTE
                                "\n{\"type\":\"note\",\"account\":\"acc_2\"}\n" PURCHASE("o-2")},
        {JSON_AND_KEY,
            "[" PURCHASE("o-1") ",{\"broken\"} ,\n" NOTE
                                ",{\"type\":\"note\",\"account\":\"acc_2\"}," PURCHASE("o-2") "]"},
    };
    for (unsigned i = 0; i < 2; i++) {
        unsigned first = journal_count();
        int64_t accepted = metrics_read(METRIC_EVENTS_ACCEPTED),
                refused = metrics_read(METRIC_EVENTS_REFUSED);
        int64_t duplicates = metrics_read(METRIC_EVENTS_DUPLICATE),
                conflicts = metrics_read(METRIC_EVENTS_CONFLICT);
        int fd = client_connect();
        client_post_to(fd, PATH, cases[i][0], slice_from_string(cases[i][1]));
        cr_assert(slice_equals_string(journal_request(first)->event->parts.body, PURCHASE("o-1")));
        cr_assert(slice_equals_string(journal_request(first + 1)->event->parts.body, NOTE));
        cr_assert(
            slice_equals_string(journal_request(first + 2)->event->parts.body, PURCHASE("o-2")));
        journal_answer(first + 2, ERR_CONFLICT, NULL);
        journal_answer(first, OK, NULL);
        cr_assert_not(client_has_answer(fd), "answered before the last item was known");
        journal_answer(first + 1, ERR_EXISTS, NULL);
        client_receive(fd, &answer);
        cr_assert_eq(answer.status, 200);
        cr_assert_str_eq(statuses(), "200 400 200 403 422");
        cr_assert_eq(
            strncmp(answer.body,
                "{\"results\":[{\"status\":200,\"result\":\"accepted\",\"event\":\"evt_", 57),
            0, "%s", answer.body);
        cr_assert(strstr(answer.body, "\"result\":\"duplicate\"") &&
                  strstr(answer.body, "urn:penstock:problem:conflict") &&
                  strstr(answer.body, "\"pointer\":\"/account\"") &&
                  strstr(answer.body, "\"r1.d."));
        cr_assert_eq(strcmp(answer.body + strlen(answer.body) - 4, "}]}\n"), 0);
        cr_assert_eq(metrics_read(METRIC_EVENTS_ACCEPTED), accepted + 1);
        cr_assert_eq(metrics_read(METRIC_EVENTS_DUPLICATE), duplicates + 1);
        cr_assert_eq(metrics_read(METRIC_EVENTS_CONFLICT), conflicts + 1);
        cr_assert_eq(metrics_read(METRIC_EVENTS_REFUSED), refused + 2);
        close(fd);
    }
    WAIT_UNTIL(atomic_load(&budgets[0].taken_bytes) + atomic_load(&budgets[1].taken_bytes) == 0);
}

Test(post_batch, batch_without_a_valid_item_is_answered_at_once)
{
    cr_assert_eq(post_refused(LINES, "x\ny\n"), 200);
    cr_assert_str_eq(statuses(), "400 400");
    cr_assert_eq(post_refused(LINES, ""), 200);
    cr_assert_str_eq(answer.body, "{\"results\":[]}\n");
    cr_assert_eq(post_refused(JSON_AND_KEY, "[]"), 200);
    cr_assert_str_eq(answer.body, "{\"results\":[]}\n");
    cr_assert_eq(journal_count(), 0);
}

Test(post_batch, malformed_batch_is_rejected_as_a_whole)
{
    static const struct {
        const char *headers, *body;
        int status;
    } cases[] = {
        {"Content-Type: application/x-ndjson\r\n", NOTE, 401},
        {KEY, NOTE, 415},
        {KEY "Content-Type: application/ndjson\r\n", NOTE, 415},
        {KEY "Content-Type: text/plain\r\n", NOTE, 415},
        {LINES "Content-Encoding: gzip\r\n", NOTE, 415},
        {LINES "Idempotency-Key: k\r\n", NOTE, 422},
        {JSON_AND_KEY, NOTE, 400},
        {JSON_AND_KEY, "", 400},
        {JSON_AND_KEY, "[" NOTE, 400},
        {JSON_AND_KEY, "[" NOTE "] x", 400},
        {JSON_AND_KEY, "[" NOTE ",]", 400},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(post_refused(cases[i].headers, cases[i].body), cases[i].status, "case %zu: %d",
            i, answer.status);
        cr_expect(strstr(answer.body, "urn:penstock:problem:"), "%s", answer.body);
    }
    cr_assert_eq(journal_count(), 0);
}

Test(post_batch, item_has_the_limit_of_an_event_and_batch_the_limit_of_its_route)
{
    struct buffer body = BUFFER_EMPTY;
    for (int extra = 0; extra <= 1; extra++) {
        size_t begin = body.len;
        buffer_add_string(&body, "{\"type\":\"note\",\"account\":\"acc_1\",\"data\":\"");
        while (body.len - begin < (size_t)(EVENT_BYTES_MAX + extra - 2))
            buffer_add_char(&body, 'x');
        buffer_add_string(&body, "\"}\n");
    }
    int fd = client_connect();
    client_post_to(fd, PATH, LINES, buffer_slice(&body));
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_str_eq(statuses(), "200 413");
    while (body.len < BATCH_BYTES_MAX)
        buffer_add_char(&body, '\n');
    client_post_to(fd, PATH, LINES, buffer_slice(&body));
    journal_answer(1, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    buffer_add_char(&body, '\n');
    client_post_to(fd, PATH, LINES, buffer_slice(&body));
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 413);
    cr_assert(strstr(answer.body, "urn:penstock:problem:too-large"), "%s", answer.body);
    close(fd); /* the connection ends: too much would have to be read and dropped */
    /* A single event does not get the limit of a batch. */
    fd = client_connect();
    client_post_to(fd, "/v1/events", JSON_AND_KEY, slice_of(body.data, EVENT_BYTES_MAX + 1));
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 413);
    close(fd);
    buffer_done(&body);
}

Test(post_batch, thousand_items_are_posted_at_once)
{
    struct buffer body = BUFFER_EMPTY;
    for (int i = 0; i < BATCH_ITEMS_MAX; i++)
        buffer_add_format(&body, "{\"type\":\"lead\",\"account\":\"acc_1\",\"id\":\"%d\"}\n", i);
    int fd = client_connect();
    client_post_to(fd, PATH, LINES, buffer_slice(&body));
    for (unsigned i = 0; i < BATCH_ITEMS_MAX; i++)
        journal_answer(i, i % 2 ? ERR_EXISTS : OK, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert_eq(strlen(statuses()), 4 * BATCH_ITEMS_MAX - 1);
    buffer_add_string(&body, "x\n");
    client_post_to(fd, PATH, LINES, buffer_slice(&body));
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 413);
    cr_assert_eq(journal_count(), BATCH_ITEMS_MAX);
    close(fd);
    buffer_done(&body);
}

Test(post_batch, items_unknown_after_three_seconds_are_503_and_late_results_are_harmless)
{
    int64_t accepted = metrics_read(METRIC_EVENTS_ACCEPTED), started_us = clock_mono_us();
    int fd = client_connect();
    client_post_to(fd, PATH, LINES,
        SLICE_LITERAL(PURCHASE("o-1") "\n" PURCHASE("o-2") "\n" PURCHASE("o-3") "\n"));
    journal_answer(1, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert_str_eq(statuses(), "503 200 503");
    cr_assert(clock_mono_us() - started_us >= 3 * US_PER_SECOND);
    journal_answer(0, OK, NULL);
    journal_answer(2, OK, NULL);
    WAIT_UNTIL(metrics_read(METRIC_EVENTS_ACCEPTED) == accepted + 3);
    close(fd);
}

Test(post_batch, items_are_shed_by_class_when_memory_is_short)
{
    unsigned shard =
        (unsigned)(hash_siphash(&seed, SLICE_LITERAL("acc_1")) % TEST_PARTITIONS) % TEST_SHARDS;
    atomic_store(&budgets[shard].taken_bytes, budgets[shard].bytes_max / 100 * 95);
    int fd = client_connect();
    client_post_to(fd, PATH, LINES,
        SLICE_LITERAL(
            "{\"type\":\"notification\",\"account\":\"acc_1\"}\n" NOTE "\n" PURCHASE("o-1") "\n"));
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_str_eq(statuses(), "503 503 200");
    close(fd);
}

Test(post_batch, disconnect_does_not_change_the_events)
{
    int64_t accepted = metrics_read(METRIC_EVENTS_ACCEPTED);
    int fd = client_connect();
    client_post_to(fd, PATH, LINES, SLICE_LITERAL(PURCHASE("o-1") "\n" PURCHASE("o-2") "\n"));
    journal_request(1);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                     sizeof(struct linger)),
        0);
    close(fd);
    journal_answer(0, OK, NULL);
    journal_answer(1, OK, NULL);
    WAIT_UNTIL(metrics_read(METRIC_EVENTS_ACCEPTED) == accepted + 2);
}
