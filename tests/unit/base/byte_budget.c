/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_budget.h"

#include <criterion/criterion.h>
#include <pthread.h>

Test(budget, take_beyond_the_share_fails_and_takes_nothing)
{
    struct byte_budget budget = {.bytes_max = 1000};
    cr_assert(byte_budget_take(&budget, 800, 80));
    cr_assert_not(byte_budget_take(&budget, 1, 80));
    cr_assert_eq(budget.taken_bytes, 800);
    cr_assert(byte_budget_take(&budget, 200, 100));
    cr_assert_not(byte_budget_take(&budget, 1, 100));
    cr_assert_eq(budget.taken_bytes, 1000);
    byte_budget_give_back(&budget, 1000);
    cr_assert_eq(budget.taken_bytes, 0);
    cr_assert_not(byte_budget_take(&budget, 1001, 100));
    cr_assert_eq(budget.taken_bytes, 0);
}

/* Two of these fit into 100 bytes. A failed take is visible for a moment. */
#define SLICE_OF_BUDGET 40

static void *take_and_give_back(void *argument)
{
    struct byte_budget *budget = argument;
    for (int i = 0; i < 50000; i++) {
        if (byte_budget_take(budget, SLICE_OF_BUDGET, 100))
            byte_budget_give_back(budget, SLICE_OF_BUDGET);
    }
    return NULL;
}

Test(budget, is_zero_after_many_threads_took_and_gave_back)
{
    struct byte_budget budget = {.bytes_max = 100};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give_back, &budget), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(budget.taken_bytes, 0);
    cr_assert(byte_budget_take(&budget, 100, 100));
}
