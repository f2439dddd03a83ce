/* SPDX-License-Identifier: Apache-2.0 */
#include "base/credit.h"

#include <criterion/criterion.h>
#include <pthread.h>

Test(credit, gives_up_to_its_share_and_takes_nothing_when_it_refuses)
{
    struct credit credit = {.bytes_max = 1000};
    cr_assert(credit_take(&credit, 800, 80));
    cr_assert_not(credit_take(&credit, 1, 80));
    cr_assert_eq(credit.held_bytes, 800);
    cr_assert(credit_take(&credit, 200, 100));
    cr_assert_not(credit_take(&credit, 1, 100));
    cr_assert_eq(credit.held_bytes, 1000);
    credit_give_back(&credit, 1000);
    cr_assert_eq(credit.held_bytes, 0);
    cr_assert_not(credit_take(&credit, 1001, 100));
    cr_assert_eq(credit.held_bytes, 0);
}

/* Two of these fit into 100 bytes; a refused take shows for a moment. */
#define SLICE_OF_CREDIT 40

static void *take_and_give_back(void *argument)
{
    struct credit *credit = argument;
    for (int i = 0; i < 50000; i++) {
        if (credit_take(credit, SLICE_OF_CREDIT, 100))
            credit_give_back(credit, SLICE_OF_CREDIT);
    }
    return NULL;
}

Test(credit, adds_up_when_many_threads_take_and_give_back)
{
    struct credit credit = {.bytes_max = 100};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give_back, &credit), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(credit.held_bytes, 0);
    cr_assert(credit_take(&credit, 100, 100));
}
