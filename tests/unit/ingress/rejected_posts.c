/* SPDX-License-Identifier: Apache-2.0 */
/* Which refusals are listed for their partner, and what is kept of them. */
#include "base/cleanup.h"
#include "fixture.h"
#include "http/rejections.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(rejected_posts, .init = fixture_begin, .fini = fixture_end);

#define JSON "Content-Type: application/json\r\n"
#define KEY(key) "Authorization: Bearer " key "\r\n"
#define EVENT(more) "{\"type\":\"purchase\",\"account\":\"acc_1\",\"currency\":\"EUR\"" more "}"

static struct answer answer;
static struct rejection list[REJECTIONS_PER_PARTNER];

static int post_to(const char *path, const char *headers, const char *body)
{
    int fd = client_connect();
    client_post_to(fd, path, headers, slice_from_string(body));
    client_receive(fd, &answer);
    close(fd);
    return answer.status;
}

/* A body that is too large by its length field. */
static int announce_too_much(const char *headers)
{
    char text[512];
    int fd = client_connect();
    snprintf(text, sizeof text,
        "POST /v1/events HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n", headers,
        EVENT_BYTES_MAX + 1);
    client_send(fd, text);
    client_receive(fd, &answer);
    close(fd);
    return answer.status;
}

static unsigned count(void)
{
    return rejections_list(rejections, "shop", list);
}

static bool has_body(const struct rejection *rejection, const char *body)
{
    return rejection->body_bytes == strlen(body) && rejection->excerpt_len == strlen(body) &&
           memcmp(rejection->excerpt, body, strlen(body)) == 0;
}

Test(rejected_posts, rejection_has_what_the_answer_says_and_what_the_event_is_for)
{
    static const char body[] = EVENT(",\"id\":\"o-1\",\"amount\":\"x\"");
    const char *pointer, *detail;
    size_t at = 0;
    cr_assert_eq(post_to("/v1/events", JSON_AND_KEY, body), 422, "%s", answer.body);
    cr_assert_eq(count(), 1);
    cr_expect(list[0].error == ERR_INVALID && list[0].at_us > 0 && list[0].similar == 0);
    cr_expect_str_eq(list[0].account, "acc_1");
    cr_expect_str_eq(list[0].type, "purchase");
    cr_expect_str_eq(list[0].address, "127.0.0.1");
    cr_expect(strstr(answer.head, list[0].request_id) && strlen(list[0].request_id) == 30);
    cr_expect(strstr(answer.body, list[0].detail));
    cr_assert(rejection_next_problem(&list[0], &at, &pointer, &detail));
    cr_expect_str_eq(pointer, "/amount");
    cr_expect(strlen(detail) > 5, "%s", detail);
    cr_expect(has_body(&list[0], body));
}

Test(rejected_posts, what_is_refused_before_its_body_is_listed_too)
{
    struct credential expired = {.expires_us = clock_wall_us() + 100 * US_PER_MS};
    cr_assert_eq(announce_too_much(JSON_AND_KEY), 413);
    cr_assert_eq(count(), 1);
    cr_expect(list[0].error == ERR_TOO_LARGE && list[0].body_bytes == 0);
    shop_change_rules("{\"events_per_second\":1,\"events_burst\":1}");
    int fd = client_connect();
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    (void)journal_request(0);
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    close(fd);
    cr_assert_eq(post_to("/v1/events", JSON_AND_KEY, PURCHASE("o-2")), 429);
    cr_assert_eq(count(), 2);
    cr_expect_eq(list[0].error, ERR_RATE_LIMITED);
    shop_change_rules("{\"allow_networks\":[\"192.0.2.0/24\"]}");
    cr_assert_eq(post_to("/v1/events", JSON_AND_KEY, PURCHASE("o-3")), 403);
    cr_assert_eq(count(), 3);
    cr_expect(list[0].error == ERR_FORBIDDEN && strstr(list[0].detail, "127.0.0.1"));
    shop_add_key("pk_expired", &expired);
    WAIT_UNTIL(clock_wall_us() > expired.expires_us);
    cr_assert_eq(post_to("/v1/events", JSON KEY("pk_expired"), PURCHASE("o-4")), 401);
    cr_assert_eq(count(), 4);
    cr_expect_eq(list[0].error, ERR_UNAUTHENTICATED);
}

Test(rejected_posts, callers_that_nobody_knows_and_look_ups_are_not_listed)
{
    cr_assert_eq(post_to("/v1/events", JSON KEY("pk_nobody"), PURCHASE("o-1")), 401);
    cr_assert_eq(post_to("/v1/events", JSON, PURCHASE("o-1")), 401);
    cr_assert_eq(announce_too_much(JSON KEY("pk_nobody")), 413);
    cr_assert_eq(post_to("/v1/partners/shop/events", JSON, PURCHASE("o-1")), 401,
        "a partner in the path is no proof");
    int fd = client_connect();
    client_send(fd, "GET /v1/events/evt_1 HTTP/1.1\r\nHost: a\r\n" KEY(TEST_KEY) "\r\n");
    client_receive(fd, &answer);
    close(fd);
    cr_assert_eq(answer.status, 404);
    cr_expect_eq(count(), 0);
}

Test(rejected_posts, what_the_queue_refuses_has_its_event)
{
    const struct event_id first = {{1}};
    int fd = client_connect();
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    (void)journal_request(0);
    journal_answer(0, ERR_CONFLICT, &first);
    client_receive(fd, &answer);
    close(fd);
    cr_assert_eq(answer.status, 422);
    cr_assert_eq(count(), 1);
    cr_expect(list[0].error == ERR_CONFLICT && has_body(&list[0], PURCHASE("o-1")));
    cr_expect_str_eq(list[0].type, "purchase");
    fd = client_connect();
    client_post(fd, JSON_AND_KEY, PURCHASE("o-2"));
    (void)journal_request(1);
    client_receive(fd, &answer); /* after 3 s */
    close(fd);
    cr_assert_eq(answer.status, 503);
    cr_assert_eq(count(), 2);
    cr_expect(list[0].error == ERR_TIMEOUT && has_body(&list[0], PURCHASE("o-2")));
    journal_answer(1, OK, NULL);
}

#define LINES "Content-Type: application/x-ndjson\r\n" KEY(TEST_KEY)
#define FOREIGN "{\"type\":\"note\",\"account\":\"acc_2\"}"

Test(rejected_posts, items_of_a_batch_are_listed_one_by_one_and_a_flood_is_sampled)
{
    static char many[200 * sizeof(FOREIGN)];
    const struct event_id first = {{1}};
    int fd = client_connect();
    client_post_to(
        fd, "/v1/events/batch", LINES, slice_from_string(FOREIGN "\n{\"broken\n" PURCHASE("o-1")));
    (void)journal_request(0);
    journal_answer(0, ERR_CONFLICT, &first);
    client_receive(fd, &answer);
    close(fd);
    cr_assert_eq(answer.status, 200);
    cr_assert_eq(count(), 3);
    cr_expect(list[2].error == ERR_FORBIDDEN && has_body(&list[2], FOREIGN));
    cr_expect_str_eq(list[2].account, "acc_2");
    cr_expect(list[1].error == ERR_MALFORMED_JSON && has_body(&list[1], "{\"broken"));
    cr_expect_str_eq(list[1].account, "");
    cr_expect(list[0].error == ERR_CONFLICT && has_body(&list[0], PURCHASE("o-1")));
    int64_t since_us = clock_mono_us();
    for (unsigned i = 0; i < 200; i++)
        memcpy(many + i * sizeof(FOREIGN), FOREIGN "\n", sizeof(FOREIGN));
    many[sizeof many - 1] = '\0';
    cr_assert_eq(post_to("/v1/events/batch", LINES, many), 200);
    uint64_t similar = 0;
    for (unsigned i = 0; i < count(); i++)
        similar += list[i].error == ERR_FORBIDDEN ? 1 + list[i].similar : 0;
    cr_expect_eq(similar, 201);
    cr_expect_leq(count(), 3 + (clock_mono_us() - since_us) / (100 * US_PER_MS) + 5);
    cr_assert_eq(
        post_to("/v1/events/batch", "Content-Type: text/plain\r\n" KEY(TEST_KEY), many), 415);
    cr_assert(count() > 0 && list[0].error == ERR_MEDIA_TYPE);
    cr_expect(list[0].body_bytes == strlen(many) && list[0].excerpt_len == REJECTION_BODY_BYTES);
}
