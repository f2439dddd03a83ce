/* SPDX-License-Identifier: Apache-2.0 */
/* Which rejections are kept, in virtual time. */
#include "http/rejections.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define MS US_PER_MS
#define ALL_MAX (16 * 128)

static struct rejections *rejections;
static struct rejection list[REJECTIONS_PER_PARTNER];
static _Atomic unsigned reported;

static void on_report(const char *partner, const struct rejection *rejection)
{
    cr_assert(*partner && rejection->at_us > 0);
    atomic_fetch_add(&reported, 1);
}

static void begin(void)
{
    static const struct hash_seed seed = {{3}};
    rejections = rejections_new(&seed, on_report);
}

static void end(void)
{
    rejections_free(rejections);
}

TestSuite(rejections, .init = begin, .fini = end);

/* Rejects a post as ingress does. Returns whether it is listed. */
static bool reject(const char *partner, enum refusal_reason reason, int64_t now_us)
{
    struct rejection rejection = {.at_us = now_us, .error = ERR_INVALID};
    if (!rejections_take(rejections, partner, reason, now_us))
        return false;
    rejections_add(rejections, partner, reason, &rejection);
    return true;
}

Test(rejections, newest_is_first_and_each_partner_has_its_own)
{
    cr_assert_eq(rejections_list(rejections, "shop", list), 0);
    cr_assert(reject("shop", REFUSAL_INVALID, 1 * MS));
    cr_assert(reject("other", REFUSAL_INVALID, 2 * MS));
    cr_assert(reject("shop", REFUSAL_CONFLICT, 3 * MS), "another reason");
    cr_assert_eq(rejections_list(rejections, "shop", list), 2);
    cr_expect(list[0].at_us == 3 * MS && list[1].at_us == 1 * MS);
    cr_assert_eq(rejections_list(rejections, "other", list), 1);
    cr_assert_eq(rejections_list(rejections, "sho", list), 0);
    cr_expect_eq(atomic_load(&reported), 3);
}

Test(rejections, flood_is_sampled_and_counted)
{
    for (unsigned i = 0; i < 5; i++)
        cr_assert(reject("shop", REFUSAL_INVALID, 1 * MS), "a few at once");
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_not(reject("shop", REFUSAL_INVALID, 100 * MS));
    cr_assert(reject("shop", REFUSAL_CONFLICT, 100 * MS));
    cr_assert_not(reject("shop", REFUSAL_INVALID, 100 * MS));
    cr_assert(reject("shop", REFUSAL_INVALID, 101 * MS));
    cr_assert_not(reject("shop", REFUSAL_INVALID, 102 * MS));
    cr_assert_eq(rejections_list(rejections, "shop", list), 7);
    cr_expect_eq(list[0].similar, 1);
    cr_expect_eq(list[1].similar, 0, "of another reason");
    cr_expect_eq(list[2].similar, 1001);
    cr_expect_eq(list[3].similar, 0);
}

Test(rejections, flood_of_one_reason_does_not_hide_others)
{
    cr_assert(reject("shop", REFUSAL_CONFLICT, 1 * MS));
    for (int64_t i = 1; i <= 100; i++)
        cr_assert(reject("shop", REFUSAL_RATE_LIMITED, i * 100 * MS));
    cr_assert(reject("shop", REFUSAL_FORBIDDEN, 10001 * MS));
    cr_assert_eq(rejections_list(rejections, "shop", list), REJECTIONS_PER_PARTNER);
    cr_expect_eq(list[0].at_us, 10001 * MS);
    cr_expect_eq(list[1].at_us, 10000 * MS);
    cr_expect_eq(list[REJECTIONS_PER_PARTNER - 1].at_us, 1 * MS);
}

Test(rejections, partner_keeps_the_last_ones)
{
    for (int64_t i = 1; i <= 3 * REJECTIONS_PER_PARTNER; i++)
        cr_assert(reject("shop", REFUSAL_INVALID, i * 100 * MS));
    cr_assert_eq(rejections_list(rejections, "shop", list), REJECTIONS_PER_PARTNER);
    for (int64_t i = 0; i < REJECTIONS_PER_PARTNER; i++)
        cr_expect_eq(list[i].at_us, (3 * REJECTIONS_PER_PARTNER - i) * 100 * MS);
}

Test(rejections, those_of_all_partners_are_bounded_and_the_oldest_leave)
{
    char partner[32];
    unsigned count = 0, partners = 3 * ALL_MAX;
    for (unsigned i = 0; i < partners; i++) {
        snprintf(partner, sizeof partner, "partner_%u", i);
        cr_assert(reject(partner, REFUSAL_INVALID, 1 + i));
    }
    for (unsigned i = 0; i < partners; i++) {
        snprintf(partner, sizeof partner, "partner_%u", i);
        count += rejections_list(rejections, partner, list);
        if (i + ALL_MAX / 4 >= partners)
            cr_expect_eq(rejections_list(rejections, partner, list), 1, "%s", partner);
    }
    cr_expect_eq(count, ALL_MAX);
    cr_expect_eq(rejections_list(rejections, "partner_0", list), 0);
}

Test(rejections, noisy_partners_take_no_more_than_their_share)
{
    char partner[32];
    for (unsigned i = 0; i < 16; i++) {
        snprintf(partner, sizeof partner, "partner_%u", i);
        for (int64_t n = 1; n <= 100; n++)
            cr_assert(reject(partner, REFUSAL_INVALID, n * 100 * MS));
        cr_expect_eq(rejections_list(rejections, partner, list), REJECTIONS_PER_PARTNER);
    }
}

Test(rejections, problems_are_kept_in_order_as_far_as_there_is_room)
{
    struct rejection rejection = {0};
    const char *pointer, *detail;
    char text[128];
    size_t at = 0;
    cr_assert_not(rejection_next_problem(&rejection, &at, &pointer, &detail));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    rejection_add_problem(&rejection, "/amount", "is missing");
    rejection_add_problem(&rejection, "", "");
    for (unsigned i = 0; i < 20; i++)
        rejection_add_problem(&rejection, "/x", text);
    cr_assert(rejection_next_problem(&rejection, &at, &pointer, &detail));
    cr_expect(strcmp(pointer, "/amount") == 0 && strcmp(detail, "is missing") == 0);
    cr_assert(rejection_next_problem(&rejection, &at, &pointer, &detail));
    cr_expect(*pointer == '\0' && *detail == '\0');
    unsigned count = 0;
    for (; rejection_next_problem(&rejection, &at, &pointer, &detail); count++)
        cr_expect(strcmp(pointer, "/x") == 0 && strcmp(detail, text) == 0);
    cr_expect_eq(count, 5);
}

Test(rejections, body_is_cut_and_printable_and_has_no_secrets)
{
    static const struct {
        const char *body, *shown;
    } cases[] = {
        {"{\"a\":1}\n", "{\"a\":1}\n"},
        {"a\r\x01\x7f\xc3\xa9\tb", "a.....\tb"},
        {"{\"key\":\"pk_AbC-9_z\",\"x\":1}", "{\"key\":\"pk_*******\",\"x\":1}"},
        {"whsec_MfKQ9r8+/= whsec_b", "whsec_********** whsec_*"},
        {"authorization: Bearer abc.def\nx", "authorization: Bearer *******\nx"},
        {"pk_", "pk_"},
        {"pk_pk_a b", "pk_**** b"},
    };
    static char large[2 * REJECTION_BODY_BYTES];
    struct rejection rejection;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        rejection_set_body(&rejection, slice_from_string(cases[i].body));
        cr_expect_eq(rejection.body_bytes, strlen(cases[i].body));
        cr_expect(rejection.excerpt_len == strlen(cases[i].shown) &&
                      memcmp(rejection.excerpt, cases[i].shown, rejection.excerpt_len) == 0,
            "%.*s", (int)rejection.excerpt_len, rejection.excerpt);
    }
    memset(large, 'a', sizeof large);
    memcpy(large + REJECTION_BODY_BYTES - 5, "pk_ab", 5);
    rejection_set_body(&rejection, slice_of(large, sizeof large));
    cr_expect(
        rejection.body_bytes == sizeof large && rejection.excerpt_len == REJECTION_BODY_BYTES);
    cr_expect(memcmp(rejection.excerpt + REJECTION_BODY_BYTES - 5, "pk_**", 5) == 0);
}

static void *reject_many(void *unused)
{
    char partner[32];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(partner, sizeof partner, "partner_%u", i % 300);
        (void)reject(partner, (enum refusal_reason)(i % REFUSAL_COUNT), 1 + i * MS);
    }
    return unused;
}

Test(rejections, threads_may_add_and_list_at_once)
{
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, reject_many, NULL);
    for (unsigned i = 0; i < 2000; i++) {
        unsigned count = rejections_list(rejections, "partner_7", list);
        for (unsigned n = 0; n < count; n++)
            cr_assert_eq(list[n].error, ERR_INVALID);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}
