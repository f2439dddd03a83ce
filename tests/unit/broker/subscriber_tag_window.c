/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tag_window.h"

#include <criterion/criterion.h>

static void add(struct tag_window *window, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++)
        cr_assert(tag_window_add(window, number));
}

Test(subscriber_tag_window, ack_covers_all_before_the_first_open_tag)
{
    struct tag_window window = TAG_WINDOW_EMPTY;
    add(&window, 1, 5);
    cr_expect_eq(tag_window_take_ack(&window), 0);
    cr_expect(tag_window_end(&window, 2));
    cr_expect(tag_window_end(&window, 4));
    cr_expect_eq(tag_window_take_ack(&window), 0, "1 is open");
    cr_expect(tag_window_end(&window, 1));
    cr_expect_eq(tag_window_take_ack(&window), 2);
    cr_expect_eq(tag_window_take_ack(&window), 0, "an ack is taken once");
    cr_expect(tag_window_end(&window, 5));
    cr_expect(tag_window_end(&window, 3));
    cr_expect_eq(tag_window_take_ack(&window), 5);
    cr_expect_eq(tag_window_out(&window), 0);
    tag_window_done(&window);
}

Test(subscriber_tag_window, tag_ends_only_once_and_only_if_it_was_added)
{
    struct tag_window window = TAG_WINDOW_EMPTY;
    cr_expect(!tag_window_end(&window, 0));
    cr_expect(!tag_window_end(&window, 1), "nothing came yet");
    add(&window, 1, 2);
    cr_expect(!tag_window_end(&window, 3));
    cr_expect(tag_window_end(&window, 1));
    cr_expect(!tag_window_end(&window, 1));
    cr_expect_eq(window.ended, 1);
    cr_expect_eq(window.open, 1);
    cr_expect_eq(tag_window_take_ack(&window), 1);
    cr_expect(!tag_window_end(&window, 1), "acked already");
    tag_window_done(&window);
}

Test(subscriber_tag_window, tag_out_of_order_is_rejected)
{
    struct tag_window window = TAG_WINDOW_EMPTY;
    cr_expect_not(tag_window_add(&window, 2));
    add(&window, 1, 1);
    cr_expect_not(tag_window_add(&window, 1));
    tag_window_done(&window);
}

/* A ring that was used for long and grows at each of its positions. */
Test(subscriber_tag_window, growing_keeps_the_ended_tags)
{
    for (uint64_t start = 0; start < 130; start++) {
        struct tag_window window = TAG_WINDOW_EMPTY;
        for (uint64_t number = 1; number <= start; number++) {
            add(&window, number, number);
            cr_assert(tag_window_end(&window, number));
            cr_assert_eq(tag_window_take_ack(&window), number);
        }
        add(&window, start + 1, start + 64);
        for (uint64_t i = 2; i <= 64; i += 2)
            cr_assert(tag_window_end(&window, start + i));
        add(&window, start + 65, start + 300);
        for (uint64_t i = 2; i <= 300; i++)
            cr_assert_eq(tag_window_end(&window, start + i), i > 64 || i % 2 == 1);
        cr_assert_eq(tag_window_take_ack(&window), 0);
        cr_assert(tag_window_end(&window, start + 1));
        cr_assert_eq(tag_window_take_ack(&window), start + 300);
        tag_window_done(&window);
    }
}

Test(subscriber_tag_window, reset_begins_at_one)
{
    struct tag_window window = TAG_WINDOW_EMPTY;
    add(&window, 1, 3);
    cr_assert(tag_window_end(&window, 1));
    tag_window_reset(&window);
    add(&window, 1, 3);
    cr_expect_eq(tag_window_take_ack(&window), 0, "the bit of before is gone");
    cr_expect(tag_window_end(&window, 1));
    cr_expect_eq(tag_window_take_ack(&window), 1);
    tag_window_done(&window);
}
