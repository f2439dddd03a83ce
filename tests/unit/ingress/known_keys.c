/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/known_keys.h"

#include "runtime/thread.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define THREADS 3
#define ROUNDS 20000

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

static struct ledger_key key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "k-%u", number);
    struct ledger_key key;
    dedupe_ledger_key(
        SLICE_LITERAL("shop"), SLICE_LITERAL("acc"), SLICE_LITERAL("lead"), slice_from_string(text), &key);
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

Test(known_keys, the_first_of_a_key_stays)
{
    begin(64);
    struct ledger_key key = key_of(1), another = key_of(2);
    struct known_event first = event_of(1, "1.50"), second = event_of(2, "2"), found;
    cr_assert_not(known_keys_find(keys, &key, &found));
    known_keys_add(keys, &key, &first);
    known_keys_add(keys, &key, &second);
    cr_assert(known_keys_find(keys, &key, &found));
    cr_assert_arr_eq(&found.id, &first.id, sizeof found.id);
    cr_assert(known_money_equal(&found.money, &first.money));
    cr_assert_not(known_keys_find(keys, &another, &found));
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

Test(known_keys, of_a_full_set_the_oldest_goes)
{
    begin(8); /* one set */
    struct known_event found;
    for (unsigned i = 0; i < 20; i++) {
        struct ledger_key key = key_of(i);
        known_keys_add(keys, &key, &(struct known_event){0});
        for (unsigned each = 0; each <= i; each++) {
            struct ledger_key earlier = key_of(each);
            cr_assert_eq(known_keys_find(keys, &earlier, &found), each + 8 > i);
        }
    }
}

static void work(void *context)
{
    const unsigned *thread = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ledger_key key = key_of(i % 500);
        struct known_event own = event_of(i % 500, *thread % 2 ? "1" : "1.0"), found;
        known_keys_add(keys, &key, &own);
        if (known_keys_find(keys, &key, &found)) /* or the others have put it out */
            cr_assert(memcmp(&found, &own, sizeof own) == 0);
    }
}

Test(known_keys, threads_share_them)
{
    begin(256);
    static const unsigned numbers[THREADS] = {0, 1, 2};
    static struct thread threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(thread_start(&threads[i], "keys", work, (void *)&numbers[i]), OK);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
}
