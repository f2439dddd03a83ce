/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_disk_reserve.h"

#include "base/clock.h"
#include "disk_internal.h"
#include "tally.h"
#include "trace.h"

#define LOOK_US US_PER_SECOND

/* Part of the file system: it survives every process. */
static bool is_given_up;
static enum disk_space space_left;
static enum disk_space space_known;
static unsigned long refusals;

void fake_reserve_set_space(enum disk_space space)
{
    space_left = space;
}

bool fake_reserve_is_low(void)
{
    return space_known != SPACE_PLENTY;
}

unsigned long fake_reserve_refusals(void)
{
    return refusals;
}

static void know(struct disk_reserve *reserve, enum disk_space space)
{
    if (space != reserve->space)
        trace("disk space: %s", disk_space_name(space));
    if (space != SPACE_PLENTY)
        refusals++;
    reserve->space = space_known = space;
}

static void judge(struct disk_reserve *reserve)
{
    if (is_given_up && !disk_is_full()) {
        is_given_up = false;
        disk_leave_room(0);
    }
    reserve->held = !is_given_up;
    know(reserve, reserve->held ? space_left : SPACE_NONE);
}

enum err disk_reserve_open(struct disk_reserve *reserve, const char *directory, unsigned shard,
    int64_t bytes, int64_t all_bytes)
{
    (void)directory;
    (void)shard;
    (void)all_bytes;
    *reserve = (struct disk_reserve){.fd = -1, .bytes = bytes, .free_bytes = -1};
    space_known = SPACE_PLENTY;
    if (bytes > 0)
        judge(reserve);
    return OK;
}

void disk_reserve_close(struct disk_reserve *reserve)
{
    (void)reserve;
}

bool disk_reserve_is_read_only(const struct disk_reserve *reserve)
{
    (void)reserve;
    return false;
}

int64_t disk_reserve_wants(const struct disk_reserve *reserve)
{
    return reserve->space == SPACE_PLENTY ? 0 : FAKE_RESERVE_BYTES;
}

bool disk_reserve_look(struct disk_reserve *reserve, int64_t now_mono_us)
{
    if (reserve->bytes == 0 || now_mono_us < reserve->next_look_us)
        return false;
    reserve->next_look_us = now_mono_us + LOOK_US;
    enum disk_space before = reserve->space;
    judge(reserve);
    return reserve->space != before;
}

void disk_reserve_give_up(struct disk_reserve *reserve, int64_t now_mono_us)
{
    if (reserve->bytes == 0)
        return;
    if (!is_given_up)
        disk_leave_room(FAKE_RESERVE_BYTES);
    is_given_up = true;
    reserve->held = false;
    reserve->next_look_us = now_mono_us + LOOK_US;
    know(reserve, SPACE_NONE);
    tally(TALLY_RESERVE_GIVEN_UP);
}

const char *disk_space_name(enum disk_space space)
{
    static const char *const names[] = {"plenty", "low", "scarce", "none"};
    return names[space];
}
