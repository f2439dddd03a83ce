/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/known_keys.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct known_keys *keys;

static void end(void)
{
    known_keys_free(keys);
}

TestSuite(known_keys, .fini = end);

static void begin(unsigned keys_max)
{
    cr_assert_eq(known_keys_new(keys_max, &keys), OK);
}

static struct dedupe_key key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "k-%u", number);
    struct dedupe_key key;
    dedupe_key_of(SLICE_LITERAL("shop"), SLICE_LITERAL("acc"), SLICE_LITERAL("lead"), slice_from_string(text), &key);
    return key;
}

static struct known_event event_of(unsigned number, const char *amount)
{
    struct known_event event = {0};
    memcpy(event.id.bytes, &number, sizeof number);
    known_money_of(
        &(struct event_parts){.amount = slice_from_string(amount), .currency = SLICE_LITERAL("EUR")}, &event.money);
    return event;
}

static struct known_event found;

static enum known enter(unsigned key_number, unsigned event_number)
{
    struct dedupe_key key = key_of(key_number);
    struct known_event event = event_of(event_number, "1.50");
    return known_keys_enter(keys, &key, &event, &found);
}

static void end_with(unsigned key_number, unsigned event_number, const struct known_event *first)
{
    struct dedupe_key key = key_of(key_number);
    struct known_event event = event_of(event_number, "1.50");
    known_keys_end(keys, &key, &event.id, first);
}

Test(known_keys, a_key_is_pending_until_its_event_ends_and_then_that_one_s)
{
    begin(64);
    struct known_event first = event_of(1, "1.50");
    cr_assert_eq(enter(1, 1), KNOWN_NEW);
    cr_assert_eq(enter(1, 2), KNOWN_PENDING);
    cr_assert_eq(enter(2, 3), KNOWN_NEW);
    end_with(1, 2, &first); /* not the one that is pending */
    cr_assert_eq(enter(1, 2), KNOWN_PENDING);
    end_with(1, 1, &first);
    cr_assert_eq(enter(1, 2), KNOWN_DURABLE);
    cr_assert_arr_eq(&found.id, &first.id, sizeof found.id);
    cr_assert(known_money_equal(&found.money, &first.money));
}

Test(known_keys, an_event_that_fails_leaves_its_key_to_the_next)
{
    begin(64);
    cr_assert_eq(enter(1, 1), KNOWN_NEW);
    end_with(1, 1, NULL);
    cr_assert_eq(enter(1, 2), KNOWN_NEW);
}

Test(known_keys, what_the_journal_knows_as_the_first_is_the_first)
{
    begin(64);
    struct known_event older = event_of(7, "1.50");
    cr_assert_eq(enter(1, 1), KNOWN_NEW);
    end_with(1, 1, &older);
    cr_assert_eq(enter(1, 2), KNOWN_DURABLE);
    cr_assert_arr_eq(&found.id, &older.id, sizeof found.id);
}

Test(known_keys, money_is_equal_by_value_and_currency)
{
    struct known_money money, other;
    known_money_of(&(struct event_parts){.amount = SLICE_LITERAL("1.50"), .currency = SLICE_LITERAL("EUR")}, &money);
    known_money_of(&(struct event_parts){.amount = SLICE_LITERAL("1.5"), .currency = SLICE_LITERAL("EUR")}, &other);
    cr_assert(known_money_equal(&money, &other));
    known_money_of(&(struct event_parts){.amount = SLICE_LITERAL("1.5"), .currency = SLICE_LITERAL("SEK")}, &other);
    cr_assert_not(known_money_equal(&money, &other));
    known_money_of(&(struct event_parts){0}, &other);
    cr_assert_not(known_money_equal(&money, &other));
}

Test(known_keys, of_a_full_set_the_oldest_durable_one_goes)
{
    begin(8);                                 /* one set */
    cr_assert_eq(enter(100, 100), KNOWN_NEW); /* stays pending */
    for (unsigned i = 0; i < 20; i++) {
        struct known_event event = event_of(i, "1.50");
        cr_assert_eq(enter(i, i), KNOWN_NEW);
        end_with(i, i, &event);
        for (unsigned each = i < 6 ? 0 : i - 6; each <= i; each++)
            cr_assert_eq(enter(each, 50), KNOWN_DURABLE);
    }
    cr_assert_eq(enter(100, 101), KNOWN_PENDING);
    cr_assert_eq(enter(0, 0), KNOWN_NEW);
}

Test(known_keys, a_set_full_of_pending_ones_has_no_place)
{
    begin(8);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(enter(i, i), KNOWN_NEW);
    cr_assert_eq(enter(8, 8), KNOWN_NO_PLACE);
    end_with(8, 8, &(struct known_event){0});
    end_with(3, 3, NULL);
    cr_assert_eq(enter(8, 9), KNOWN_NEW);
}
