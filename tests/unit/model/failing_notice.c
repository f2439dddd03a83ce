/* SPDX-License-Identifier: Apache-2.0 */
#include "model/failing_notice.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND

Test(failing_notice, each_level_is_reported_once_and_the_recovery_once)
{
    struct failing_notice notice = {0};
    cr_expect_eq(failing_notice_on_failure(&notice, 49, S), 0);
    cr_expect_not(failing_notice_on_success(&notice, 0), "nothing was reported");
    cr_expect_eq(failing_notice_on_failure(&notice, 50, S), 50);
    cr_expect_eq(failing_notice_on_failure(&notice, 89, S), 0);
    cr_expect_eq(failing_notice_on_failure(&notice, 95, S), 90);
    cr_expect_eq(failing_notice_on_failure(&notice, 99, S), 0);
    cr_expect_eq(failing_notice_on_failure(&notice, 100, S), 100);
    cr_expect_eq(failing_notice_on_failure(&notice, 100, 1000 * S), 0);
    cr_expect_not(failing_notice_on_success(&notice, 25), "half of it is still there");
    cr_expect(failing_notice_on_success(&notice, 24));
    cr_expect_not(failing_notice_on_success(&notice, 0));
}

Test(failing_notice, a_level_may_be_passed_over)
{
    struct failing_notice notice = {0};
    cr_expect_eq(failing_notice_on_failure(&notice, 100, 0), 100);
    cr_expect_eq(failing_notice_on_failure(&notice, 60, 0), 0);
}

Test(failing_notice, a_run_that_begins_early_is_reported_when_the_time_has_passed)
{
    struct failing_notice notice = {0};
    cr_expect_eq(failing_notice_on_failure(&notice, 50, 0), 50);
    cr_expect(failing_notice_on_success(&notice, 0));
    cr_expect_eq(failing_notice_on_failure(&notice, 100, 59 * S), 0);
    cr_expect_not(failing_notice_on_success(&notice, 0), "it was not told");
    cr_expect_eq(failing_notice_on_failure(&notice, 100, 59 * S), 0);
    cr_expect_eq(failing_notice_on_failure(&notice, 100, 60 * S), 100);
    cr_expect(failing_notice_on_success(&notice, 0));
}

Test(failing_notice, after_a_reset_the_opening_is_reported_again)
{
    struct failing_notice notice = {0};
    cr_expect_eq(failing_notice_on_failure(&notice, 100, 0), 100);
    failing_notice_on_reset(&notice);
    cr_expect_eq(failing_notice_on_failure(&notice, 90, S), 0);
    cr_expect_eq(failing_notice_on_failure(&notice, 100, S), 100);
    failing_notice_on_reset(&notice);
    cr_expect(failing_notice_on_success(&notice, 0), "it works again");
    failing_notice_on_reset(&notice);
    cr_expect_not(failing_notice_on_success(&notice, 0));
}
