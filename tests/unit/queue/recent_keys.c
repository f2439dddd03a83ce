/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/recent_keys.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct recent_keys *keys;

static void end(void)
{
    recent_keys_free(keys);
}

TestSuite(recent_keys, .fini = end);

static void begin(unsigned keys_max)
{
    keys = recent_keys_new(keys_max);
}

static struct dedupe_key key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "k-%u", number);
    struct dedupe_key key;
    dedupe_key_of(SLICE_LITERAL("shop"), SLICE_LITERAL("acc"), SLICE_LITERAL("lead"),
        slice_from_string(text), &key);
    return key;
}

static struct recent_key_event event_of(unsigned number, const char *amount)
{
    struct recent_key_event event = {0};
    memcpy(event.id.bytes, &number, sizeof number);
    money_value_of(slice_from_string(amount), SLICE_LITERAL("EUR"), &event.money);
    return event;
}

static struct recent_key_event found;

static enum recent_key_finding enter(unsigned key_number, unsigned event_number)
{
    struct dedupe_key key = key_of(key_number);
    struct recent_key_event event = event_of(event_number, "1.50");
    return recent_keys_enter(keys, &key, &event, &found);
}

static void end_with(
    unsigned key_number, unsigned event_number, const struct recent_key_event *first)
{
    struct dedupe_key key = key_of(key_number);
    struct recent_key_event event = event_of(event_number, "1.50");
    recent_keys_end(keys, &key, &event.id, first);
}

Test(recent_keys, a_key_is_pending_until_its_event_ends_and_then_that_one_s)
{
    begin(64);
    struct recent_key_event first = event_of(1, "1.50");
    cr_assert_eq(enter(1, 1), RECENT_KEY_NEW);
    cr_assert_eq(enter(1, 2), RECENT_KEY_PENDING);
    cr_assert_eq(enter(2, 3), RECENT_KEY_NEW);
    end_with(1, 2, &first); /* not the one that is pending */
    cr_assert_eq(enter(1, 2), RECENT_KEY_PENDING);
    end_with(1, 1, &first);
    cr_assert_eq(enter(1, 2), RECENT_KEY_DURABLE);
    cr_assert_arr_eq(&found.id, &first.id, sizeof found.id);
    cr_assert(money_value_equal(&found.money, &first.money));
}

Test(recent_keys, an_event_that_fails_leaves_its_key_to_the_next)
{
    begin(64);
    cr_assert_eq(enter(1, 1), RECENT_KEY_NEW);
    end_with(1, 1, NULL);
    cr_assert_eq(enter(1, 2), RECENT_KEY_NEW);
}

Test(recent_keys, what_the_journal_knows_as_the_first_is_the_first)
{
    begin(64);
    struct recent_key_event older = event_of(7, "1.50");
    cr_assert_eq(enter(1, 1), RECENT_KEY_NEW);
    end_with(1, 1, &older);
    cr_assert_eq(enter(1, 2), RECENT_KEY_DURABLE);
    cr_assert_arr_eq(&found.id, &older.id, sizeof found.id);
}

Test(recent_keys, money_is_equal_by_value_and_currency)
{
    struct money_value money, other;
    money_value_of(SLICE_LITERAL("1.50"), SLICE_LITERAL("EUR"), &money);
    money_value_of(SLICE_LITERAL("1.5"), SLICE_LITERAL("EUR"), &other);
    cr_assert(money_value_equal(&money, &other));
    money_value_of(SLICE_LITERAL("1.5"), SLICE_LITERAL("SEK"), &other);
    cr_assert_not(money_value_equal(&money, &other));
    money_value_of(SLICE_LITERAL(""), SLICE_LITERAL(""), &other);
    cr_assert_not(money_value_equal(&money, &other));
}

Test(recent_keys, a_full_set_removes_its_oldest_durable_key)
{
    begin(8);                                      /* one set */
    cr_assert_eq(enter(100, 100), RECENT_KEY_NEW); /* stays pending */
    for (unsigned i = 0; i < 20; i++) {
        struct recent_key_event event = event_of(i, "1.50");
        cr_assert_eq(enter(i, i), RECENT_KEY_NEW);
        end_with(i, i, &event);
        for (unsigned each = i < 6 ? 0 : i - 6; each <= i; each++)
            cr_assert_eq(enter(each, 50), RECENT_KEY_DURABLE);
    }
    cr_assert_eq(enter(100, 101), RECENT_KEY_PENDING);
    cr_assert_eq(enter(0, 0), RECENT_KEY_NEW);
}

Test(recent_keys, a_set_full_of_pending_ones_has_no_place)
{
    begin(8);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(enter(i, i), RECENT_KEY_NEW);
    cr_assert_eq(enter(8, 8), RECENT_KEY_NO_PLACE);
    end_with(8, 8, &(struct recent_key_event){0});
    end_with(3, 3, NULL);
    cr_assert_eq(enter(8, 9), RECENT_KEY_NEW);
}
