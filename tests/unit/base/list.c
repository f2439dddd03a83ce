/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include <criterion/criterion.h>

struct item {
    int number;
    struct list in_list;
};

static struct list list;
static struct item items[5];

static void fill(void)
{
    list_init(&list);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_add_tail(&list, &items[i].in_list);
    }
}

static int numbers(void)
{
    int joined = 0;
    list_for_each (node, &list)
        joined = joined * 10 + CONTAINER_OF(node, struct item, in_list)->number + 1;
    return joined;
}

Test(list, keeps_the_order_of_addition)
{
    fill();
    cr_assert_eq(numbers(), 12345);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(LIST_TAKE_FIRST(&list, struct item, in_list), &items[i]);
    cr_assert(list_is_empty(&list));
    cr_assert_null(LIST_TAKE_FIRST(&list, struct item, in_list));
}

Test(list, removes_the_first_a_middle_and_the_last_node)
{
    fill();
    list_remove(&items[2].in_list);
    cr_assert_eq(numbers(), 1245);
    list_remove(&items[0].in_list);
    list_remove(&items[4].in_list);
    cr_assert_eq(numbers(), 24);
}

Test(list, removing_a_node_twice_is_harmless)
{
    fill();
    list_remove(&items[1].in_list);
    list_remove(&items[1].in_list);
    cr_assert_eq(numbers(), 1345);
    cr_assert(list_is_empty(&items[1].in_list));
    list_add_tail(&list, &items[1].in_list);
    cr_assert_eq(numbers(), 13452);
}

Test(list, safe_loop_allows_removal_of_its_node)
{
    fill();
    list_for_each_safe (node, following, &list) {
        if (CONTAINER_OF(node, struct item, in_list)->number % 2 == 0)
            list_remove(node);
    }
    cr_assert_eq(numbers(), 24);
}
