/* SPDX-License-Identifier: Apache-2.0 */
#include "load/mix.h"

#include "model/event_fields.h"

#include <criterion/criterion.h>

static struct mix mix;
static char body[MIX_BODY_BYTES_MAX], again[MIX_BODY_BYTES_MAX];

static void begin(void)
{
    mix_init(&mix);
    cr_assert(mix_set_accounts(&mix, "acc_%d*10"));
    cr_assert(mix_set_types(&mix, "purchase=70,payout=10,notification=20"));
    mix.duplicates = 0.1;
    mix.conflicts = 0.05;
    mix.invalid = 0.05;
}

TestSuite(mix, .init = begin);

static size_t make(uint64_t number, struct mix_event *ret_event, char *text)
{
    mix_event(&mix, number, ret_event);
    return mix_body(&mix, ret_event, text);
}

Test(mix, the_shares_are_kept)
{
    unsigned kinds[LOAD_INVALID + 1] = {0}, payouts = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        struct mix_event event;
        mix_event(&mix, i, &event);
        kinds[event.kind]++;
        payouts += event.guarded;
    }
    cr_expect(kinds[LOAD_INVALID] > 4700 && kinds[LOAD_INVALID] < 5300, "%u", kinds[LOAD_INVALID]);
    /* One in five conflicts has no money to conflict about, and is a duplicate. */
    cr_expect(
        kinds[LOAD_CONFLICT] > 3700 && kinds[LOAD_CONFLICT] < 4300, "%u", kinds[LOAD_CONFLICT]);
    cr_expect(kinds[LOAD_DUPLICATE] > 10600 && kinds[LOAD_DUPLICATE] < 11400, "%u",
        kinds[LOAD_DUPLICATE]);
    cr_expect(payouts > 9000 && payouts < 11000, "%u", payouts);
}

Test(mix, a_duplicate_is_its_original_byte_for_byte_and_a_conflict_has_other_money)
{
    for (uint64_t i = 0; i < 20000; i++) {
        struct mix_event event, original;
        size_t len = make(i, &event, body);
        if (event.kind == LOAD_FRESH || event.kind == LOAD_INVALID) {
            cr_assert_eq(event.original, i);
            continue;
        }
        cr_assert_lt(event.original, i);
        size_t original_len = make(event.original, &original, again);
        cr_assert_eq(original.kind, LOAD_FRESH);
        bool same = slice_equal(slice_of(body, len), slice_of(again, original_len));
        cr_assert_eq(same, event.kind == LOAD_DUPLICATE);
        cr_assert_eq(event.amount_micros == original.amount_micros, event.kind == LOAD_DUPLICATE);
    }
}

Test(mix, what_is_not_invalid_passes_the_gateways_own_checks_and_reads_back)
{
    static const struct hash_seed seed = {{7}};
    for (uint64_t i = 0; i < 5000; i++) {
        struct mix_event event;
        struct event_fields fields;
        struct refusal refusal;
        struct slice text = slice_of(body, make(i, &event, body));
        enum err result = event_fields_parse(&seed, text, slice_of(NULL, 0), &fields, &refusal);
        if (event.kind == LOAD_INVALID)
            continue; /* a foreign account is one that only the directory can refuse */
        cr_assert_eq(result, OK, "%.*s", SLICE_ARGS(text));
        cr_assert(text.len >= (size_t)mix.body_bytes_min && text.len <= (size_t)mix.body_bytes_max);
        int64_t micros;
        char currency[CURRENCY_TEXT_BYTES];
        cr_assert_eq(run_log_number(text, "run"), event.original);
        cr_assert_eq(run_log_number(text, ""), event.original);
        cr_assert_eq(run_log_number(text, "other"), RUN_NO_NUMBER);
        cr_assert_eq(run_log_money(text, &micros, currency), *event.currency != '\0');
        cr_assert_eq(micros, event.amount_micros);
        cr_assert_str_eq(currency, event.currency);
    }
}

Test(mix, another_seed_posts_other_events)
{
    struct mix_event event;
    size_t len = make(7, &event, body);
    mix.seed = 2;
    size_t other_len = make(7, &event, again);
    cr_assert_not(slice_equal(slice_of(body, len), slice_of(again, other_len)));
}

Test(mix, accounts_before_the_first_one_get_no_events)
{
    unsigned counts[10] = {0};
    mix.first_account = 8;
    for (uint64_t i = 0; i < 1000; i++) {
        struct mix_event event;
        mix_event(&mix, i, &event);
        cr_assert_lt(event.account, 10);
        counts[event.account]++;
    }
    cr_expect(counts[8] > 400 && counts[9] > 400);
    cr_expect_eq(counts[8] + counts[9], 1000);
}

Test(mix, lists_are_read_or_refused)
{
    static const char *const wrong_accounts[] = {
        "", "a,,b", "acc_%d*0", "acc_%d*x", "acc_%d*100000"};
    for (size_t i = 0; i < sizeof wrong_accounts / sizeof wrong_accounts[0]; i++)
        cr_expect_not(mix_set_accounts(&mix, wrong_accounts[i]), "%s", wrong_accounts[i]);
    cr_assert(mix_set_accounts(&mix, "shop_%d_x*3"));
    cr_assert_str_eq(mix.accounts[2], "shop_2_x");
    cr_assert_not(mix_set_types(&mix, "purchase=0"));
    cr_assert_not(mix_set_types(&mix, "=3"));
}
