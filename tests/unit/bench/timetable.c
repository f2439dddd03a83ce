/* SPDX-License-Identifier: Apache-2.0 */
#include "load/timetable.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static struct timetable timetable;
static char complaint[TIMETABLE_COMPLAINT_BYTES];

static void parse(const char *text)
{
    cr_assert_eq(timetable_parse(text, &timetable, complaint), OK, "%s: %s", text, complaint);
}

/* Writes all times of a timetable. *ret_last says what follows the last event. */
static size_t walk_all(int64_t *times, size_t room, enum timetable_next *ret_last)
{
    struct timetable_walk walk;
    int64_t us;
    size_t count = 0;
    timetable_walk_init(&walk, &timetable);
    while ((*ret_last = timetable_walk_peek(&walk, &us)) == TIMETABLE_EVENT && count < room) {
        cr_assert_eq(walk.number, (int64_t)count);
        times[count++] = us;
        timetable_walk_step(&walk);
    }
    return count;
}

static void expect_times(const char *text, const int64_t *expected, size_t count)
{
    int64_t times[64];
    enum timetable_next last;
    parse(text);
    cr_assert_eq(walk_all(times, 64, &last), count, "%s", text);
    cr_assert_eq(timetable.events, (int64_t)count, "%s", text);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(
            times[i], expected[i], "%s: event %zu is due at %lld", text, i, (long long)times[i]);
    cr_assert_eq(last, TIMETABLE_END);
    timetable_done(&timetable);
}

Test(timetable, constant_is_evenly_spaced)
{
    expect_times("constant:4:1s", (int64_t[]){0, 250000, 500000, 750000}, 4);
}

Test(timetable, parts_follow_each_other)
{
    expect_times("constant:2:1s,pause:500ms,burst:2:1s:2s,constant:1:1s",
        (int64_t[]){0, 500000, 1500000, 1500000, 2500000, 2500000, 3500000}, 7);
}

Test(timetable, step_holds_each_rate_for_its_time)
{
    expect_times("step:1:3:1:1s", (int64_t[]){0, 1000000, 1500000, 2000000, 2333333, 2666667}, 6);
    expect_times("step:2:1:1:1s", (int64_t[]){0, 500000, 1000000}, 3);
}

Test(timetable, ramp_sends_the_events_below_its_line)
{
    static int64_t times[20000];
    enum timetable_next last;
    parse("ramp:0:2000:10s");
    cr_assert_eq(walk_all(times, 20000, &last), 10000);
    size_t half = 0;
    for (size_t i = 0; i < 10000; i++) {
        cr_assert(i == 0 || times[i] >= times[i - 1], "times go up");
        half += times[i] < 5000000;
    }
    cr_assert(half >= 2499 && half <= 2501, "a quarter is due in the first half, not %zu", half);
    cr_assert_leq(times[9999], 10000000);
}

Test(timetable, replay_sends_what_was_recorded)
{
    char path[] = "/tmp/timetable-XXXXXX", text[64];
    int fd = mkstemp(path);
    cr_assert(dprintf(fd, "0\n150\n150\n900000\n") > 0);
    close(fd);
    snprintf(text, sizeof text, "pause:1s,replay:%s", path);
    expect_times(text, (int64_t[]){1000000, 1000150, 1000150, 1900000}, 4);
    unlink(path);
}

Test(timetable, a_closed_part_is_the_last_and_has_no_times)
{
    int64_t times[4];
    enum timetable_next last;
    parse("constant:2:1s,closed:64:3s");
    cr_assert_eq(walk_all(times, 4, &last), 2);
    cr_assert_eq(last, TIMETABLE_IN_FLIGHT);
    cr_assert_eq(timetable.duration_us, 4000000);
}

Test(timetable, an_import_is_a_closed_part_that_ends_after_its_events)
{
    int64_t times[4];
    enum timetable_next last;
    parse("import:100000:64:5m");
    cr_assert_eq(walk_all(times, 4, &last), 0);
    cr_assert_eq(last, TIMETABLE_IN_FLIGHT);
    cr_assert(timetable.parts[0].events_max == 100000 && timetable.parts[0].count == 64);
}

Test(timetable, what_is_wrong_is_named)
{
    static const struct {
        const char *text, *named;
    } cases[] = {{"", "none of"}, {"constant:5", "constant:RATE"},
        {"constant:x:1s", "constant:RATE"}, {"constant:5:0", "constant:RATE"},
        {"constant:5:1s:2", "constant:RATE"}, {"step:1:5:0:1s", "step:FROM"},
        {"burst:5:0s:1s", "burst:COUNT"}, {"closed:0:1s", "closed:COUNT"},
        {"import:0:1:1s", "import:EVENTS"}, {"import:5:1s", "import:EVENTS"},
        {"closed:1:1s,pause:1s", "last"}, {"replay:/nowhere/at/all", "cannot read"},
        {"sometimes:5:1s", "none of"}, {"constant:1000000000:1h", "RATE"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(
            timetable_parse(cases[i].text, &timetable, complaint), ERR_USAGE, "%s", cases[i].text);
        cr_expect(strstr(complaint, cases[i].named), "%s: %s", cases[i].text, complaint);
        timetable_done(&timetable);
    }
}
