/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event_id.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <criterion/criterion.h>

static const unsigned char no_random[8], all_random[8] = {255, 255, 255, 255, 255, 255, 255, 255};

static int compare(const struct event_id *a, const struct event_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

Test(event_id, is_a_uuid_of_version_7_that_begins_with_the_time)
{
    struct event_id_generator generator = {0};
    struct event_id id;
    event_id_make(&generator, INT64_C(0x0190b5f2a1c8) * 1000 + 999, 3, no_random, &id);
    char text[EVENT_ID_TEXT_BYTES];
    event_id_format(&id, text);
    cr_assert_str_eq(text, "evt_0190b5f2-a1c8-7003-8000-000000000000");
    event_id_make(&generator, INT64_C(0x0190b5f2a1c8) * 1000, 0xabc, all_random, &id);
    event_id_format(&id, text);
    cr_assert_str_eq(text, "evt_0190b5f2-a1c8-7abc-8000-1fffffffffff");
}

Test(event_id, contains_every_partition)
{
    struct event_id_generator generator = {0};
    for (unsigned partition = 0; partition < PARTITIONS_MAX; partition++) {
        struct event_id id;
        event_id_make(
            &generator, 1769860800000000, partition, partition % 2 ? all_random : no_random, &id);
        cr_assert_eq(event_id_partition(&id), partition);
    }
}

Test(event_id, increases_within_a_partition_whatever_the_randomness)
{
    struct event_id_generator generator = {0};
    struct event_id before, id;
    event_id_make(&generator, 1769860800000000, 5, all_random, &before);
    /* More than the counter holds in one millisecond. */
    for (int i = 0; i < 600000; i++) {
        event_id_make(&generator, 1769860800000000, 5, i % 2 ? all_random : no_random, &id);
        cr_assert_gt(compare(&id, &before), 0, "at %d", i);
        before = id;
    }
}

Test(event_id, increases_when_the_clock_is_set_back)
{
    struct event_id_generator generator = {0};
    struct event_id before, id;
    event_id_make(&generator, 1769860800000000, 5, all_random, &before);
    static const int64_t walls[] = {1769860799000000, 1769857200000000, 0, -5000000,
        1769860800000000, 1769860800000999, 1769860800001000, 1769860900000000};
    for (size_t i = 0; i < ARRAY_LENGTH(walls); i++) {
        event_id_make(&generator, walls[i], 5, no_random, &id);
        cr_assert_gt(compare(&id, &before), 0, "at %zu", i);
        before = id;
    }
}

Test(event_id, parse_accepts_what_format_writes)
{
    struct event_id_generator generator = {0};
    uint64_t seed = 7;
    for (int i = 0; i < 1000; i++) {
        unsigned char random[8];
        for (int k = 0; k < 8; k++)
            random[k] =
                (unsigned char)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
        struct event_id id, parsed;
        event_id_make(&generator, 1769860800000000 + i * 12345, (unsigned)i * 7 % PARTITIONS_MAX,
            random, &id);
        char text[EVENT_ID_TEXT_BYTES];
        event_id_format(&id, text);
        cr_assert(event_id_parse(slice_from_string(text), &parsed), "%s", text);
        cr_assert_eq(compare(&id, &parsed), 0);
    }
}

Test(event_id, parse_rejects_other_texts)
{
    static const char *const bad[] = {"", "evt_", "0190b5f2-a1c8-7003-8000-000000000000",
        "evt-0190b5f2-a1c8-7003-8000-000000000000", "EVT_0190b5f2-a1c8-7003-8000-000000000000",
        "evt_0190B5F2-a1c8-7003-8000-000000000000", "evt_0190b5f2-a1c8-7003-8000-00000000000",
        "evt_0190b5f2-a1c8-7003-8000-0000000000000", "evt_0190b5f2-a1c8-4003-8000-000000000000",
        "evt_0190b5f2-a1c8-7003-c000-000000000000", "evt_0190b5f2-a1c8-7003-0000-000000000000",
        "evt_0190b5f2_a1c8-7003-8000-000000000000", "evt_0190b5f2a-1c8-7003-8000-000000000000",
        "evt_0190b5f2-a1c8-7003-8000-00000000000g", "evt_0190b5f2-a1c8-7003-8000- 00000000000",
        "evt_0190b5f2a1c8700380000000000000000000"};
    struct event_id untouched = {{42}}, id = untouched;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        cr_expect_not(event_id_parse(slice_from_string(bad[i]), &id), "%s", bad[i]);
        cr_expect_eq(compare(&id, &untouched), 0, "%s", bad[i]);
    }
}
