/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk_reserve.h"

#include "base/clock.h"
#include "unit/journal/fixture.h"
#include "unit/sqlite/faulty_disk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static enum disk_space look(struct disk_reserve *reserve)
{
    static int64_t now_us = US_PER_DAY;
    disk_reserve_look(reserve, now_us += 2 * US_PER_SECOND);
    return reserve->space;
}

Test(reserve, tells_less_and_less_room_and_admits_the_critical_ones_last)
{
    static const struct {
        int64_t room; /* behind the reserve */
        enum disk_space space;
        bool critical, important, optional;
    } cases[] = {
        {8 * MIB, SPACE_PLENTY, true, true, true},
        {4 * MIB, SPACE_PLENTY, true, true, true},
        {4 * MIB - 1, SPACE_LOW, true, true, false},
        {2 * MIB, SPACE_LOW, true, true, false},
        {2 * MIB - 1, SPACE_SCARCE, true, false, false},
        {0, SPACE_SCARCE, true, false, false},
    };
    char directory[] = "/tmp/penstock-reserve-XXXXXX";
    cr_assert(mkdtemp(directory));
    struct disk_reserve reserve;
    cr_assert(disk_reserve_open(&reserve, directory, 3, MIB, MIB) == OK && reserve.held);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        disk_have_room(cases[i].room);
        cr_expect_eq(
            look(&reserve), cases[i].space, "case %zu: %s", i, disk_space_name(reserve.space));
        cr_expect_eq(
            disk_reserve_admits(&reserve, CLASS_CRITICAL), cases[i].critical, "case %zu", i);
        cr_expect_eq(
            disk_reserve_admits(&reserve, CLASS_IMPORTANT), cases[i].important, "case %zu", i);
        cr_expect_eq(
            disk_reserve_admits(&reserve, CLASS_OPTIONAL), cases[i].optional, "case %zu", i);
    }
    disk_reserve_give_up(&reserve, 0);
    cr_expect(!reserve.held && !disk_reserve_admits(&reserve, CLASS_CRITICAL),
        "nothing while it is given up");
    cr_expect_eq(look(&reserve), SPACE_NONE, "its own room is not room enough");
    disk_have_room(2 * MIB);
    cr_expect(look(&reserve) == SPACE_LOW && reserve.held, "it is filled again");
    disk_have_room(-1);
    cr_expect_eq(look(&reserve), SPACE_PLENTY);
    disk_reserve_close(&reserve);
    char path[64];
    snprintf(path, sizeof path, "%s/reserve-3", directory);
    cr_assert(unlink(path) == 0 && rmdir(directory) == 0);
}

Test(reserve, of_a_full_disk_takes_the_outcomes_while_events_are_refused_and_is_filled_again)
{
    struct desk *desk = desk_new();
    desk_stop(desk);
    desk->reserve_bytes = MIB;
    desk_open(desk);
    cr_assert(desk_append(desk, (struct draft){.key = "a"}, 7, NULL) == OK);
    int64_t delivery = desk_last_delivery(desk);
    struct journal_record move = move_of(delivery, DELIVERY_PENDING, DELIVERY_DELIVERED);
    disk_have_room(0);
    cr_assert_eq(desk_append(desk, (struct draft){.key = "b"}, 7, NULL), ERR_DISK_FULL);
    cr_assert_eq(
        desk_append(desk, (struct draft){.key = "c", .type = "payout"}, 7, NULL), ERR_DISK_FULL);
    cr_assert_eq(desk_call(desk, &move.request), OK, "an outcome finds its room");
    cr_assert(desk_sql_int(desk, "SELECT count(*) FROM events") == 1);
    disk_have_room(-1);
    enum err result = ERR_DISK_FULL;
    for (int i = 0; i < 100 && result != OK; i++) {
        usleep(100000);
        result = desk_append(desk, (struct draft){.key = "b"}, 7, NULL);
    }
    cr_assert_eq(result, OK, "by itself");
    desk_free(desk);
}
