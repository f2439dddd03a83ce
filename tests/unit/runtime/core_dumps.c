/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/core_dumps.h"

#include <criterion/criterion.h>
#include <sys/prctl.h>
#include <sys/resource.h>

Test(core_dumps, forbidden_means_no_file_and_no_reader)
{
    struct rlimit limit = {1, 1};
    core_dumps_forbid();
    cr_assert_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    cr_expect_eq(limit.rlim_cur, 0);
    cr_expect_eq(limit.rlim_max, 0);
    cr_expect_eq(prctl(PR_GET_DUMPABLE), 0);
}
