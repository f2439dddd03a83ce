/* SPDX-License-Identifier: Apache-2.0 */
/* The retry rules that the due times of a journal follow. */
#include "unit/journal/fixture.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct journal_retry_rules rules_of(unsigned steps)
{
    struct journal_retry_rules rules = {
        .known = true, .gateway = {.horizon_us = INT64_MAX}, .endpoints_version = INT64_MAX};
    rules.gateway.schedule.steps = steps;
    for (unsigned i = 0; i < steps; i++)
        rules.gateway.schedule.steps_us[i] = RETRY_STEP_US_MAX - i;
    return rules;
}

static void record(struct shelf *shelf, struct journal_retry_rules rules)
{
    struct journal_record_retry_rules request = {.rules = rules};
    cr_assert_eq(shelf_call(shelf, store_record_retry_rules, &request.request), OK);
}

/* Returns the rules that the next start finds. */
static struct journal_retry_rules found(struct shelf *shelf)
{
    shelf_crash(shelf);
    return shelf->store.found.rules;
}

Test(rules, a_new_file_has_no_known_rules)
{
    struct shelf *shelf = shelf_new();
    cr_assert_not(shelf->store.found.rules.known);
    shelf_free(shelf);
}

Test(rules, a_start_finds_what_was_recorded_last)
{
    struct shelf *shelf = shelf_new();
    for (unsigned steps = 1; steps <= RETRY_STEPS_MAX; steps++) {
        struct journal_retry_rules rules = rules_of(steps);
        record(shelf, rules);
        struct journal_retry_rules after = found(shelf);
        cr_assert(after.known, "%u steps", steps);
        cr_assert_eq(after.endpoints_version, rules.endpoints_version);
        cr_assert(retry_rules_are_equal(&after.gateway, &rules.gateway), "%u steps", steps);
    }
    shelf_free(shelf);
}

Test(rules, rules_that_are_not_known_replace_known_ones)
{
    struct shelf *shelf = shelf_new();
    record(shelf, rules_of(3));
    record(shelf, (struct journal_retry_rules){0});
    cr_assert_not(found(shelf).known);
    shelf_free(shelf);
}

Test(rules, a_damaged_text_is_not_known_and_does_not_stop_the_start)
{
    static const char *const texts[] = {"''", "'1'", "'1 2'", "'1 2 x'", "'1 2 3x'", "NULL",
        "x'00'", "'1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6'"};
    struct shelf *shelf = shelf_new();
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        char change[256];
        snprintf(change, sizeof change,
            "INSERT OR REPLACE INTO meta(key, value) VALUES('retry_rules', %s)", texts[i]);
        shelf_sql(shelf, change);
        cr_assert_not(found(shelf).known, "%s", texts[i]);
    }
    shelf_free(shelf);
}
