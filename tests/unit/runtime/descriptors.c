/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/descriptors.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <sys/resource.h>

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
