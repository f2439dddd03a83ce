/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of partners: the buckets in virtual time, and what partners are answered. */
#include "ingress/partner_limits.h"

#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define S US_PER_SECOND

static struct partner_limits *limits;
static const struct hash_seed key = {{7}};

static void begin(void)
{
    limits = partner_limits_new(&key, &(struct partner_rules){0});
}

static void end(void)
{
    partner_limits_free(limits);
}

TestSuite(partner_limits, .init = begin, .fini = end);

static struct partner_taking take(
    const struct partner_rules *rules, unsigned events, uint64_t bytes, int64_t now_us)
{
    struct partner_taking taking;
    partner_limits_take(limits, "shop", rules, events, bytes, now_us, &taking);
    return taking;
}

Test(partner_limits, without_a_limit_everything_is_taken_and_nothing_is_remembered)
{
    struct partner_taking taking;
    cr_expect_not(partner_limits_take(limits, "shop", NULL, 1000, 1 << 20, S, &taking));
    cr_expect(!taking.is_refused && taking.events == 1000);
    cr_expect_eq(partner_limits_count(limits), 0);
}

Test(partner_limits, ten_times_the_limit_gets_the_limit)
{
    static const struct partner_rules rules = {.events_per_s = 100};
    unsigned taken = 0;
    for (int i = 0; i < 100; i++)
        take(&rules, 1, 0, S); /* the burst */
    for (int64_t at = S; at < 61 * S; at += S / 1000)
        taken += !take(&rules, 1, 0, at).is_refused;
    cr_expect(taken >= 5999 && taken <= 6001, "%u", taken);
}

Test(partner_limits, rules_of_the_partner_come_before_the_defaults)
{
    struct partner_rules defaults = {.events_per_s = 10, .bytes_per_s = 1 << 20};
    struct partner_rules own = {.events_per_s = 20, .events_burst = 50};
    partner_limits_set_defaults(limits, &defaults);
    struct partner_taking taking = take(&own, 1000, 1, S);
    cr_expect_eq(taking.events, 50);
    cr_expect_eq(taking.quotas[PARTNER_LIMIT_BYTES].quota, 1 << 20);
    cr_expect_eq(take(NULL, 1000, 0, S).events, 0, "the bucket is the same, and empty");
    cr_expect_eq(take(NULL, 1000, 0, 3 * S).events, 10);
    partner_limits_set_defaults(limits, &(struct partner_rules){0});
    struct partner_taking free_of_limits;
    cr_expect_not(partner_limits_take(limits, "shop", NULL, 1, 0, 3 * S, &free_of_limits));
}

Test(partner_limits, batch_gets_as_many_events_as_are_left)
{
    static const struct partner_rules rules = {.events_per_s = 10, .events_burst = 30};
    cr_expect_eq(take(&rules, 20, 0, S).events, 20);
    struct partner_taking taking = take(&rules, 20, 0, S);
    cr_expect(!taking.is_refused && taking.events == 10 && taking.retry_after_s == 1);
    cr_expect(take(&rules, 0, 100, S).is_refused, "no event is left");
    taking = take(&rules, 1, 0, S);
    cr_expect(taking.is_refused && taking.events == 0 && taking.limit == PARTNER_LIMIT_EVENTS &&
              taking.rate == 10 && taking.retry_after_s == 1);
    cr_expect_not(take(&rules, 0, 100, S + S / 10).is_refused);
    cr_expect_eq(take(&rules, 5, 0, S + S / 10).events, 1, "looking takes nothing");
}

Test(partner_limits, request_without_enough_bytes_takes_nothing)
{
    static const struct partner_rules rules = {
        .events_per_s = 10, .bytes_per_s = 1000, .bytes_burst = 2000};
    cr_expect_not(take(&rules, 1, 1500, S).is_refused);
    struct partner_taking taking = take(&rules, 1, 1500, S);
    cr_expect(taking.is_refused && taking.limit == PARTNER_LIMIT_BYTES && taking.rate == 1000 &&
                  taking.retry_after_s == 1,
        "%u", taking.retry_after_s);
    cr_expect_eq(taking.quotas[PARTNER_LIMIT_EVENTS].left, 9);
    cr_expect_eq(taking.quotas[PARTNER_LIMIT_BYTES].left, 500);
    cr_expect_not(take(&rules, 1, 1500, 2 * S).is_refused);
}

Test(partner_limits, body_larger_than_the_burst_is_taken_from_a_full_bucket)
{
    static const struct partner_rules rules = {.bytes_per_s = 1000, .bytes_burst = 1000};
    cr_expect_not(take(&rules, 1, 10000, S).is_refused);
    struct partner_taking taking = take(&rules, 1, 10000, 2 * S);
    cr_expect(taking.is_refused && taking.retry_after_s == 9, "%u", taking.retry_after_s);
    cr_expect_not(take(&rules, 1, 10000, 11 * S).is_refused);
}

Test(partner_limits, bytes_that_arrive_unannounced_are_owed)
{
    static const struct partner_rules rules = {.bytes_per_s = 1000, .bytes_burst = 1000};
    partner_limits_owe(limits, "shop", &rules, 5000, S);
    struct partner_taking taking = take(&rules, 1, 1, S);
    cr_expect(taking.is_refused && taking.retry_after_s == 5, "%u", taking.retry_after_s);
    cr_expect_not(take(&rules, 1, 1, 6 * S).is_refused);
    partner_limits_owe(limits, "other", NULL, 5000, S);
    cr_expect_eq(partner_limits_count(limits), 1, "without a limit nothing is remembered");
}

static struct partner_taking look_up(const struct partner_rules *rules, int64_t now_us)
{
    struct partner_taking taking;
    partner_limits_take_lookup(limits, "shop", rules, now_us, &taking);
    return taking;
}

Test(partner_limits, lookups_have_a_limit_of_their_own)
{
    static const struct partner_rules rules = {.events_per_s = 1};
    char policy[PARTNER_LIMITS_FIELD_BYTES], left[PARTNER_LIMITS_FIELD_BYTES];
    unsigned taken = 0;
    partner_limits_set_lookups(limits, 5);
    for (int i = 0; i < 60; i++)
        taken += !look_up(&rules, S).is_refused;
    cr_expect_eq(taken, 50, "ten seconds of them: %u", taken);
    struct partner_taking taking = look_up(&rules, S);
    cr_expect(taking.is_refused && taking.limit == PARTNER_LIMIT_LOOKUPS && taking.rate == 5 &&
              taking.retry_after_s == 1);
    partner_limits_print(&taking, policy, left);
    cr_expect_str_eq(policy, "\"lookups\";q=50;w=10");
    cr_expect_str_eq(left, "\"lookups\";r=0;t=1");
    taking = take(&rules, 1, 0, S);
    cr_expect(!taking.is_refused && taking.quotas[PARTNER_LIMIT_LOOKUPS].quota == 0);
    cr_expect_not(look_up(&rules, S + S / 5).is_refused, "one has returned");
    cr_expect(look_up(&rules, S + S / 5).is_refused);
    cr_expect(take(&rules, 1, 0, S + S / 5).is_refused, "a look-up leaves posts their limit");
}

Test(partner_limits, without_a_limit_of_lookups_nothing_is_remembered)
{
    struct partner_taking taking;
    cr_expect_not(partner_limits_take_lookup(limits, "shop", NULL, S, &taking));
    cr_expect_not(taking.is_refused);
    partner_limits_set_lookups(limits, 5);
    cr_expect_not(partner_limits_take(limits, "shop", NULL, 1, 1, S, &taking), "a post has none");
    cr_expect_eq(partner_limits_count(limits), 0);
}

Test(partner_limits, partners_do_not_share_a_bucket)
{
    static const struct partner_rules rules = {.events_per_s = 1};
    struct partner_taking taking;
    char partner[NAME_BYTES_MAX + 1];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(partner, sizeof partner, "partner_%u", i);
        cr_assert(partner_limits_take(limits, partner, &rules, 1, 0, S, &taking));
        cr_assert_not(taking.is_refused);
    }
    cr_expect_eq(partner_limits_count(limits), 10000);
}

Test(partner_limits, full_buckets_are_freed)
{
    static const struct partner_rules rules = {.events_per_s = 1};
    struct partner_taking taking;
    char partner[NAME_BYTES_MAX + 1];
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(partner, sizeof partner, "partner_%u", i);
        partner_limits_take(limits, partner, &rules, 1, 0, (int64_t)i * S / 10, &taking);
    }
    cr_expect(partner_limits_count(limits) < 10000, "%u", partner_limits_count(limits));
}

/* Each thread reads the clock before it takes the lock, so times are out of order. */
static _Atomic int64_t clock_us;
static _Atomic unsigned taken_by_all;

static void *post_much(void *context)
{
    static const struct partner_rules rules = {.events_per_s = 1000, .events_burst = 10};
    for (;;) {
        int64_t now_us = atomic_fetch_add(&clock_us, 100);
        if (now_us >= 21 * S)
            return NULL;
        atomic_fetch_add(&taken_by_all, take(&rules, 1, 0, now_us).events);
    }
}

Test(partner_limits, threads_get_together_what_one_would_get)
{
    pthread_t threads[4];
    atomic_store(&clock_us, S);
    for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, post_much, NULL), 0);
    for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
    unsigned taken = atomic_load(&taken_by_all);
    cr_expect(taken >= 19600 && taken <= 20400, "%u", taken);
}

Test(partner_limits, fields_are_those_of_the_draft)
{
    static const struct {
        struct partner_rules rules;
        unsigned events;
        const char *policy, *left;
    } cases[] = {
        {{.events_per_s = 100}, 50, "\"events\";q=100;w=1", "\"events\";r=50;t=1"},
        {{.events_per_s = 100}, 0, "\"events\";q=100;w=1", "\"events\";r=100"},
        {{.events_per_s = 3, .events_burst = 10}, 10, "\"events\";q=10;w=4", "\"events\";r=0;t=1"},
        {{.events_per_s = 100, .events_burst = 5}, 1, "\"events\";q=100;w=1", "\"events\";r=4;t=1"},
        {{.bytes_per_s = 1 << 20}, 1, "\"bytes\";q=1048576;qu=\"content-bytes\";w=1",
            "\"bytes\";r=1048476;t=1"},
        {{.events_per_s = 5, .bytes_per_s = 1 << 19}, 1,
            "\"events\";q=5;w=1, \"bytes\";q=1048576;qu=\"content-bytes\";w=2",
            "\"events\";r=4;t=1, \"bytes\";r=1048476;t=1"},
        {{.bytes_per_s = UINT64_MAX / 2}, 1, "\"bytes\";q=999999999999999;qu=\"content-bytes\";w=1",
            NULL},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        char policy[PARTNER_LIMITS_FIELD_BYTES], left[PARTNER_LIMITS_FIELD_BYTES], partner[8];
        struct partner_taking taking;
        snprintf(partner, sizeof partner, "p%u", i);
        partner_limits_take(limits, partner, &cases[i].rules, cases[i].events,
            cases[i].rules.bytes_per_s ? 100 : 0, S, &taking);
        partner_limits_print(&taking, policy, left);
        cr_expect_str_eq(policy, cases[i].policy);
        if (cases[i].left)
            cr_expect_str_eq(left, cases[i].left);
    }
}

TestSuite(limited_partner, .init = fixture_begin, .fini = fixture_end);

static void limit(unsigned events_per_s, uint64_t bytes_per_s)
{
    partner_limits_set_defaults(partner_limits,
        &(struct partner_rules){
            .events_per_s = events_per_s, .bytes_per_s = bytes_per_s, .bytes_burst = bytes_per_s});
}

/* The first event of a test. */
static void post_accepted(int fd, struct answer *ret_answer)
{
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_answer(0, OK, NULL);
    client_receive(fd, ret_answer);
    cr_assert_eq(ret_answer->status, 200);
}

static void post_refused(int fd, struct answer *ret_answer)
{
    client_post(fd, JSON_AND_KEY, PURCHASE("o-2"));
    client_receive(fd, ret_answer);
    cr_assert_eq(ret_answer->status, 429);
}

Test(limited_partner, answers_carry_the_fields_and_the_one_too_many_is_429)
{
    struct answer answer;
    int fd = client_connect();
    limit(1, 0);
    post_accepted(fd, &answer);
    cr_expect(
        strstr(answer.head, "\r\nratelimit-policy: \"events\";q=1;w=1\r\n"), "%s", answer.head);
    cr_expect(strstr(answer.head, "\r\nratelimit: \"events\";r=0;t=1\r\n"), "%s", answer.head);
    post_refused(fd, &answer);
    cr_expect(strstr(answer.body, "urn:penstock:problem:rate-limited") &&
                  strstr(answer.body, "1 events per second"),
        "%s", answer.body);
    cr_expect(strstr(answer.head, "\r\nratelimit: \"events\";r=0;t=1\r\n"), "%s", answer.head);
    const char *after = strstr(answer.head, "\r\nretry-after: ");
    cr_assert(after, "%s", answer.head);
    cr_expect(after[15] >= '1' && after[15] <= '3' && !strstr(after + 15, "retry-after"));
    limit(0, 0);
    client_post(fd, JSON_AND_KEY, PURCHASE("o-3"));
    journal_answer(1, OK, NULL);
    client_receive(fd, &answer);
    cr_expect(answer.status == 200 && !strstr(answer.head, "ratelimit"), "%s", answer.head);
    close(fd);
}

Test(limited_partner, batch_over_the_limit_is_accepted_in_part)
{
    static const char batch[] = PURCHASE("b-1") "\n" PURCHASE("b-2") "\n" PURCHASE("b-3") "\n";
    static const char headers[] =
        "Content-Type: application/x-ndjson\r\nAuthorization: Bearer " TEST_KEY "\r\n";
    struct answer answer;
    int fd = client_connect();
    limit(2, 0);
    client_post_to(fd, "/v1/events/batch", headers, SLICE_LITERAL(batch));
    journal_answer(0, OK, NULL);
    journal_answer(1, OK, NULL);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    const char *third = strstr(answer.body, "\"status\":429");
    cr_assert(third, "%s", answer.body);
    cr_expect_not(strstr(third + 1, "\"status\""));
    client_post_to(fd, "/v1/events/batch", headers, SLICE_LITERAL(batch));
    client_receive(fd, &answer);
    cr_expect_eq(answer.status, 429, "none is left: %s", answer.body);
    cr_expect_eq(journal_count(), 2);
    close(fd);
}

Test(limited_partner, body_over_the_limit_of_bytes_is_429)
{
    struct answer answer;
    int fd = client_connect();
    limit(0, 10);
    post_accepted(fd, &answer);
    post_refused(fd, &answer);
    cr_expect(strstr(answer.body, "10 bytes per second"), "%s", answer.body);
    cr_expect(strstr(answer.head, "qu=\"content-bytes\""), "%s", answer.head);
    close(fd);
}

Test(limited_partner, request_is_refused_before_its_body_arrives)
{
    static const struct {
        const char *path, *key;
        int status;
    } cases[] = {{"/v1/events", TEST_KEY, 429}, {"/v1/events/batch", TEST_KEY, 429},
        {"/v1/events", "pk_no", 401}, {"/v1/events/batch", "pk_no", 401}};
    struct answer answer;
    int fd = client_connect();
    limit(1, 0);
    post_accepted(fd, &answer);
    close(fd);
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        char head[512];
        snprintf(head, sizeof head,
            "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 60000\r\nAuthorization: Bearer %s\r\n\r\n",
            cases[i].path, cases[i].key);
        fd = client_connect();
        client_send(fd, head);
        client_receive(fd, &answer);
        cr_expect_eq(answer.status, cases[i].status, "case %u: %d", i, answer.status);
        close(fd);
    }
}

Test(limited_partner, body_that_arrives_later_is_of_the_same_caller)
{
    static const char body[] = PURCHASE("o-1");
    struct answer answer;
    char head[512];
    int fd = client_connect();
    snprintf(head, sizeof head,
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n", strlen(body),
        JSON_AND_KEY);
    limit(1, 0);
    client_send(fd, head);
    int other = client_connect(); /* another head in between */
    client_send(other, "GET /v1/events/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pk\r\n\r\n");
    client_receive(other, &answer);
    cr_assert_eq(answer.status, 401);
    close(other);
    client_send(fd, body);
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_expect_eq(answer.status, 200);
    close(fd);
}

Test(limited_partner, bytes_of_chunks_count_when_they_have_arrived)
{
    struct answer answer;
    char request[1024];
    int fd = client_connect();
    limit(0, 10);
    snprintf(request, sizeof request,
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n%zx\r\n%s\r\n"
        "0\r\n\r\n",
        JSON_AND_KEY, strlen(PURCHASE("o-1")), PURCHASE("o-1"));
    client_send(fd, request);
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_expect_eq(answer.status, 200);
    client_send(fd, request);
    client_receive(fd, &answer);
    cr_expect_eq(answer.status, 429, "%s", answer.body);
    close(fd);
}

Test(limited_partner, lookups_above_their_limit_are_429)
{
    static const char lookup[] =
        "GET /v1/events/evt_no HTTP/1.1\r\nHost: x\r\n" JSON_AND_KEY "\r\n";
    struct answer answer;
    int fd = client_connect();
    partner_limits_set_lookups(partner_limits, 1);
    for (unsigned i = 0; i < 10; i++) {
        client_send(fd, lookup);
        client_receive(fd, &answer);
        cr_assert_eq(answer.status, 404);
        cr_expect(strstr(answer.head, "\r\nratelimit-policy: \"lookups\";q=10;w=10\r\n"), "%s",
            answer.head);
    }
    client_send(fd, lookup);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 429);
    cr_expect(strstr(answer.body, "1 look-ups per second"), "%s", answer.body);
    cr_expect(strstr(answer.head, "\r\nretry-after: "), "%s", answer.head);
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    journal_answer(0, OK, NULL);
    client_receive(fd, &answer);
    cr_expect(answer.status == 200 && !strstr(answer.head, "ratelimit"), "%s", answer.head);
    close(fd);
}

Test(limited_partner, wrong_key_takes_nothing)
{
    struct answer answer;
    int fd = client_connect();
    limit(1, 0);
    for (unsigned i = 0; i < 3; i++) {
        client_post(fd, "Content-Type: application/json\r\nAuthorization: Bearer pk_no\r\n",
            PURCHASE("o-1"));
        client_receive(fd, &answer);
        cr_assert_eq(answer.status, 401);
        cr_expect_not(strstr(answer.head, "ratelimit"), "%s", answer.head);
    }
    post_accepted(fd, &answer);
    close(fd);
}
