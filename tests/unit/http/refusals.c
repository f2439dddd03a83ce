/* SPDX-License-Identifier: Apache-2.0 */
/* Which refusals are counted and which are logged, in virtual time. */
#include "http/refusals.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define S US_PER_SECOND

static struct refusals *refusals;

static void begin(void)
{
    metrics_thread_enter();
    refusals = refusals_new();
}

static void end(void)
{
    refusals_free(refusals);
    metrics_thread_leave();
}

TestSuite(refusals, .init = begin, .fini = end);

Test(refusals, one_line_per_reason_and_second_has_the_number_of_the_others)
{
    uint64_t left_out = 99;
    cr_assert(refusals_count(refusals, REFUSAL_INVALID, S, &left_out));
    cr_expect_eq(left_out, 0);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_not(refusals_count(refusals, REFUSAL_INVALID, S + i, &left_out));
    cr_expect(refusals_count(refusals, REFUSAL_CONFLICT, S + 1, &left_out), "another reason");
    cr_assert(refusals_count(refusals, REFUSAL_INVALID, 2 * S, &left_out));
    cr_expect_eq(left_out, 1000);
    cr_expect_eq(metrics_read(METRIC_REFUSED_INVALID), 1002);
    cr_expect_eq(metrics_read(METRIC_REFUSED_CONFLICT), 1);
}

Test(refusals, end_of_a_flood_is_logged_by_the_tick)
{
    uint64_t left_out;
    enum refusal_reason reason;
    cr_expect_not(refusals_take_left_out(refusals, S, &reason, &left_out));
    for (unsigned i = 0; i < 10; i++)
        (void)refusals_count(refusals, REFUSAL_OVERLOADED, S, &left_out);
    cr_expect_not(refusals_take_left_out(refusals, S + S / 2, &reason, &left_out), "too early");
    cr_assert(refusals_take_left_out(refusals, 2 * S, &reason, &left_out));
    cr_expect(reason == REFUSAL_OVERLOADED && left_out == 9);
    cr_expect_not(refusals_take_left_out(refusals, 3 * S, &reason, &left_out));
}

Test(refusals, each_reason_has_its_name_as_the_label_of_its_metric)
{
    struct buffer text = BUFFER_EMPTY;
    uint64_t left_out;
    for (unsigned i = 0; i < REFUSAL_COUNT; i++)
        for (unsigned n = 0; n <= i; n++)
            (void)refusals_count(refusals, (enum refusal_reason)i, S, &left_out);
    metrics_print(&text);
    for (unsigned i = 0; i < REFUSAL_COUNT; i++) {
        char sample[128];
        snprintf(sample, sizeof sample, "penstock_refusals_total{reason=\"%s\"} %u\n",
            refusal_name((enum refusal_reason)i), i + 1);
        cr_expect(strstr(text.data, sample), "%s", sample);
    }
    buffer_done(&text);
}

Test(refusals, errors_have_the_reason_of_their_name)
{
    for (int error = OK + 1; error < ERR_COUNT; error++) {
        enum refusal_reason reason = refusal_of_error((enum err)error);
        if (reason != REFUSAL_OTHER)
            cr_expect_str_eq(refusal_name(reason), err_name((enum err)error));
    }
    cr_expect_eq(refusal_of_error(ERR_UNAUTHENTICATED), REFUSAL_UNAUTHENTICATED);
    cr_expect_eq(refusal_of_error(ERR_BUG), REFUSAL_OTHER);
    cr_expect_eq(refusal_of_error(OK), REFUSAL_OTHER);
}

static _Atomic unsigned lines;
static _Atomic uint64_t left_out_in_all;

static void *refuse_much(void *context)
{
    metrics_thread_enter();
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t left_out = 0;
        if (refusals_count(refusals, REFUSAL_INVALID, S + (int64_t)i * 100, &left_out)) {
            atomic_fetch_add(&lines, 1);
            atomic_fetch_add(&left_out_in_all, left_out);
        }
    }
    metrics_thread_leave();
    return NULL;
}

Test(refusals, threads_share_the_lines_and_lose_no_count)
{
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, refuse_much, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    enum refusal_reason reason;
    uint64_t left_out = 0;
    if (refusals_take_left_out(refusals, 100 * S, &reason, &left_out))
        atomic_fetch_add(&left_out_in_all, left_out);
    cr_expect_leq(lines, 11);
    cr_expect_eq(lines + left_out_in_all, 400000);
    cr_expect_eq(metrics_read(METRIC_REFUSED_INVALID), 400000);
}
