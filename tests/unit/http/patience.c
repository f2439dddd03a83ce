/* SPDX-License-Identifier: Apache-2.0 */
#include "http/patience.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#define BEGIN_US (1000 * US_PER_SECOND)

/* How many frames of the kind a connection may send at once. */
static int burst_of(enum patience_kind kind)
{
    struct patience patience;
    patience_init(&patience, BEGIN_US);
    int count = 0;
    while (patience_spend(&patience, kind, BEGIN_US))
        cr_assert_lt(++count, 100000);
    return count;
}

Test(patience, every_kind_ends_a_flood)
{
    for (enum patience_kind kind = 0; kind < PATIENCE_KINDS; kind++) {
        int burst = burst_of(kind);
        cr_expect_gt(burst, 0, "%s", patience_kind_name(kind));
        cr_expect_leq(burst, PATIENCE_BURST, "%s", patience_kind_name(kind));
    }
    cr_expect_eq(burst_of(PATIENCE_RESET), 125);
}

/* For each request two control frames, and the reset of every fourth one. */
Test(patience, busy_client_never_ends)
{
    struct patience patience;
    patience_init(&patience, BEGIN_US);
    for (int request = 0; request < 100000; request++) {
        for (int i = 0; i < 2; i++)
            cr_assert(patience_spend(&patience, PATIENCE_CONTROL, BEGIN_US));
        if (request % 4 == 0)
            cr_assert(patience_spend(&patience, PATIENCE_RESET, BEGIN_US), "%d", request);
        else
            patience_give(&patience, PATIENCE_PER_ANSWER + 2);
    }
}

Test(patience, client_that_resets_most_requests_ends)
{
    struct patience patience;
    patience_init(&patience, BEGIN_US);
    int requests = 0;
    for (; requests < 100000; requests++) {
        if (!patience_spend(&patience, PATIENCE_RESET, BEGIN_US))
            break;
        if (requests % 4 == 0)
            patience_give(&patience, PATIENCE_PER_ANSWER);
    }
    cr_assert_lt(requests, 1000);
}

Test(patience, credit_comes_back_with_time_but_never_beyond_the_burst)
{
    struct patience patience;
    patience_init(&patience, BEGIN_US);
    patience.credit = 0;
    int64_t now_us = BEGIN_US;
    for (int second = 1; second <= 100; second++) { /* in steps that give less than one each */
        for (int step = 0; step < 1000; step++)
            now_us += US_PER_SECOND / 1000;
        for (int i = 0; i < PATIENCE_PER_SECOND; i++)
            cr_assert(patience_spend(&patience, PATIENCE_CONTROL, now_us), "second %d", second);
    }
    now_us += INT64_C(1000000) * US_PER_SECOND;
    for (int i = 0; i < PATIENCE_BURST; i++)
        cr_assert(patience_spend(&patience, PATIENCE_CONTROL, now_us));
    cr_assert_not(patience_spend(&patience, PATIENCE_CONTROL, now_us));
    patience_give(&patience, 10 * PATIENCE_BURST);
    cr_assert_eq(patience.credit, PATIENCE_BURST);
}
