/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/descriptors.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <sys/resource.h>
#include <unistd.h>

Test(descriptors, shares_leave_enough_for_the_process_itself)
{
    static const uint64_t limits[] = {256, 1024, 4096, 524288, 1048576};
    static const unsigned shards[] = {1, 2, 4};
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++)
        for (size_t s = 0; s < ARRAY_LENGTH(shards); s++) {
            struct descriptor_shares shares = descriptors_share(limits[i], shards[s], shards[s]);
            uint64_t given =
                (uint64_t)(shares.partners + shares.deliveries) * shards[s] + shares.operators;
            cr_expect(given + 40 + 16 * shards[s] <= limits[i], "%llu of %llu",
                (unsigned long long)given, (unsigned long long)limits[i]);
            cr_expect(shares.partners >= shares.deliveries && shares.deliveries >= 4 &&
                      shares.operators >= 4);
        }
}

Test(descriptors, each_share_has_a_minimum_when_the_limit_is_low)
{
    struct descriptor_shares shares = descriptors_share(16, 8, 8);
    cr_expect(shares.partners == 4 && shares.deliveries == 4 && shares.operators == 4);
    shares = descriptors_share(UINT64_MAX, 1, 1);
    cr_expect(shares.partners == INT32_MAX && shares.deliveries == INT32_MAX &&
              shares.operators == INT32_MAX);
}

Test(descriptors, soft_limit_is_raised_to_the_hard_limit)
{
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 100;
    if (limit.rlim_max > 2000)
        limit.rlim_max = 2000;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_expect_eq(descriptors_raise(), limit.rlim_max);
    cr_expect_eq(descriptors_limit(), limit.rlim_max);
}

Test(descriptors, last_ones_are_not_for_partners)
{
    static const struct {
        uint64_t limit, in_use;
        unsigned shards, end;
    } cases[] = {{1024, 64, 2, 904}, {64, 40, 2, 52}, {64, 60, 2, 62}, {64, 70, 2, 64},
        {256, 56, 8, 220}, {UINT64_MAX, 50, 2, INT32_MAX}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        unsigned end =
            descriptors_end_for_partners(cases[i].limit, cases[i].in_use, cases[i].shards);
        cr_expect_eq(end, cases[i].end, "case %zu: %u", i, end);
    }
}

Test(descriptors, open_ones_are_counted)
{
    unsigned before = descriptors_open();
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_expect_eq(descriptors_open(), before + 2);
    close(fds[0]);
    close(fds[1]);
    cr_expect_eq(descriptors_open(), before);
}
