/* SPDX-License-Identifier: Apache-2.0 */
#include "model/notice_board.h"
#include "base/cleanup.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define S US_PER_SECOND

static struct notice_board board;
static struct operator_event taken;

static void begin(void)
{
    notice_board_init(&board, S, 60 * S);
}

TestSuite(notice_board, .init = begin);

static struct operator_event conflict_of(const char *account)
{
    struct operator_event event = {.kind = OPERATOR_EVENT_CONFLICT, .count = 1};
    snprintf(event.account, sizeof event.account, "%s", account);
    return event;
}

static void add(const char *account, unsigned times, int64_t now_us)
{
    const struct operator_event event = conflict_of(account);
    while (times-- > 0)
        notice_board_add(&board, &event, now_us);
}

static void expect(const char *account, int64_t count, int64_t now_us)
{
    cr_assert(notice_board_take(&board, now_us, &taken), "of %s", account);
    cr_expect_str_eq(taken.account, account);
    cr_expect_eq(taken.count, count, "%lld", (long long)taken.count);
}

static void expect_none(int64_t now_us)
{
    cr_expect_not(notice_board_take(&board, now_us, &taken), "%s", taken.account);
}

Test(notice_board, first_is_reported_at_once_and_others_after_gaps_that_grow)
{
    static const int gaps_s[] = {1, 4, 16, 60, 60};
    int64_t now_us = 5 * S;
    add("a", 1, now_us);
    expect("a", 1, now_us);
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        add("a", 3, now_us);
        cr_expect_eq(notice_board_due_us(&board), now_us + gaps_s[i] * S, "gap %u", i);
        expect_none(now_us + gaps_s[i] * S - 1);
        now_us += gaps_s[i] * S;
        expect("a", 3, now_us);
        expect_none(now_us);
    }
    cr_expect_eq(notice_board_due_us(&board), INT64_MAX);
}

Test(notice_board, notice_that_was_quiet_begins_again)
{
    add("a", 1, 0);
    expect("a", 1, 0);
    add("a", 1, 0);
    expect("a", 1, S);
    add("a", 1, 70 * S);
    expect("a", 1, 70 * S);
    add("a", 1, 70 * S);
    expect("a", 1, 71 * S);
}

Test(notice_board, flood_of_one_account_hides_no_other)
{
    add("a", 1, 0);
    expect("a", 1, 0);
    add("a", 1000, 0);
    add("b", 1, 0);
    expect("b", 1, 0);
    expect_none(0);
    expect("a", 1000, S);
}

Test(notice_board, different_reasons_are_reported_apart)
{
    struct operator_event event = conflict_of("a");
    event.kind = OPERATOR_DELIVERY_PARKED;
    snprintf(event.subject, sizeof event.subject, "disabled");
    notice_board_add(&board, &event, 0);
    notice_board_add(&board, &event, 0);
    snprintf(event.subject, sizeof event.subject, "ambiguous");
    notice_board_add(&board, &event, 0);
    expect("a", 2, 0);
    expect("a", 1, 0);
    cr_expect_str_eq(taken.subject, "ambiguous");
}

Test(notice_board, what_finds_no_room_is_reported_without_names_and_counted)
{
    char name[16];
    int64_t reported = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "acc_%d", i);
        add(name, 2, 0);
    }
    for (unsigned i = 0; i < NOTICE_BOARD_ROOM; i++) {
        snprintf(name, sizeof name, "acc_%u", i);
        expect(name, 2, 0);
        reported += taken.count;
    }
    expect("", 200 - reported, 0);
    expect_none(0);
    add("later", 1, 60 * S);
    expect("later", 1, 60 * S);
}

Test(notice_board, notices_of_a_transaction_are_moved_when_it_is_committed)
{
    static struct notice_board open;
    const struct operator_event event = conflict_of("a");
    notice_board_init(&open, S, 60 * S);
    notice_board_add(&open, &event, 0);
    notice_board_clear(&open);
    cr_expect_eq(notice_board_due_us(&open), INT64_MAX);
    notice_board_add(&open, &event, 0);
    notice_board_add(&open, &event, 0);
    notice_board_move(&board, &open, 0);
    expect("a", 2, 0);
    notice_board_add(&open, &event, 0);
    notice_board_move(&board, &open, 0);
    expect_none(0);
    cr_assert(notice_board_take_rest(&board, 0, &taken));
    cr_expect_eq(taken.count, 1);
}
