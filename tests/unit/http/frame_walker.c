/* SPDX-License-Identifier: Apache-2.0 */
#include "http/frame_walker.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

static struct frame_walker walker;

static bool is_inside_after(const char *bytes, size_t len, int64_t now_us)
{
    frame_walker_take(&walker, (const unsigned char *)bytes, len, now_us);
    return frame_walker_is_inside(&walker);
}

Test(frame_walker, follows_frames_however_they_are_cut)
{
    static const char frames[] = "\0\0\3\0\0\0\0\0\1abc"
                                 "\0\0\0\4\0\0\0\0\0"
                                 "\0\0\1\377\0\0\0\0\0x";
    static const size_t ends[] = {12, 21, 31};
    for (size_t step = 1; step < sizeof frames; step++) {
        walker = (struct frame_walker){0};
        for (size_t at = 0; at < sizeof frames - 1; at += step) {
            size_t len = sizeof frames - 1 - at < step ? sizeof frames - 1 - at : step;
            bool is_end = false;
            for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
                is_end |= at + len == ends[i];
            cr_assert_eq(is_inside_after(frames + at, len, 1), !is_end, "%zu %zu", step, at);
        }
    }
}

Test(frame_walker, preface_comes_first)
{
    walker = (struct frame_walker){.left = 24};
    cr_expect(is_inside_after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", 23, 1));
    cr_expect_not(is_inside_after("\n", 1, 1));
    cr_expect(is_inside_after("\1\0\0\0\0\0\0\0\1", 9, 1));
    cr_expect_eq(walker.left, 65536);
}

Test(frame_walker, time_of_a_frame_begins_with_its_first_byte)
{
    walker = (struct frame_walker){0};
    cr_expect_eq(frame_walker_idle_until(&walker, 100, 75, 5), 175);
    is_inside_after("\0\0", 2, 110);
    is_inside_after("\3\0\0\0\0\0\1a", 8, 112);
    cr_expect_eq(frame_walker_idle_until(&walker, 100, 75, 5), 115);
    cr_expect_eq(frame_walker_idle_until(&walker, 113, 75, 5), 118, "a request was open before");
    is_inside_after("bc\0", 3, 114);
    cr_expect_eq(frame_walker_idle_until(&walker, 100, 75, 5), 119, "the next frame");
    is_inside_after("\0\0\0\0\0\0\0\0", 8, 115);
    cr_expect_eq(frame_walker_idle_until(&walker, 100, 75, 5), 175);
}
