/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

/* The totals of one endpoint, as "accepted/sum delivered/sum discarded/sum". */
static void expect_total(
    struct shelf *shelf, int endpoint, const char *currency, const char *expected)
{
    char text[512];
    snprintf(text, sizeof text,
        "SELECT count(*) FROM totals WHERE endpoint = %d AND currency = '%s' AND accepted || '/' "
        "|| accepted_sum || ' "
        "' "
        "||"
        " delivered || '/' || delivered_sum || ' ' || discarded || '/' || discarded_sum = '%s'",
        endpoint, currency, expected);
    cr_expect(
        shelf_sql_int(shelf, text) == 1, "endpoint %d %s is not %s", endpoint, currency, expected);
}

static void write_totals(struct shelf *shelf)
{
    shelf_begin(shelf);
    totals_demand(&shelf->store.totals);
    shelf_commit(shelf);
}

Test(totals, add_up_in_exact_decimals_per_endpoint_and_currency)
{
    struct shelf *shelf = shelf_new();
    shelf_append(
        shelf, (struct shelved){.key = "a", .amount = "0.1", .currency = "EUR", .endpoints = 2});
    shelf_append(
        shelf, (struct shelved){.key = "b", .amount = "0.20", .currency = "EUR", .endpoints = 1});
    shelf_append(
        shelf, (struct shelved){.key = "c", .amount = "-5", .currency = "USD", .endpoints = 1});
    shelf_append(shelf, (struct shelved){.key = "d", .endpoints = 1});
    write_totals(shelf);
    expect_total(shelf, 1, "EUR", "2/0.3 0/0 0/0");
    expect_total(shelf, 2, "EUR", "1/0.1 0/0 0/0");
    expect_total(shelf, 1, "USD", "1/-5 0/0 0/0");
    expect_total(shelf, 1, "", "1/0 0/0 0/0");
    shelf_append(
        shelf, (struct shelved){.key = "e", .amount = "0.7", .currency = "EUR", .endpoints = 1});
    write_totals(shelf);
    expect_total(shelf, 1, "EUR", "3/1 0/0 0/0");
    shelf_free(shelf);
}

Test(totals, count_after_a_crash_what_was_accepted_since_they_were_written)
{
    struct shelf *shelf = shelf_new();
    shelf_append(
        shelf, (struct shelved){.key = "a", .amount = "1.5", .currency = "EUR", .endpoints = 1});
    write_totals(shelf);
    shelf_append(
        shelf, (struct shelved){.key = "b", .amount = "2.5", .currency = "EUR", .endpoints = 2});
    shelf_append(shelf, (struct shelved){.key = "c", .amount = "9", .currency = "EUR"});
    for (int crash = 0; crash < 2; crash++) {
        shelf_crash(shelf);
        expect_total(shelf, 1, "EUR", "2/4 0/0 0/0");
        expect_total(shelf, 2, "EUR", "1/2.5 0/0 0/0");
        expect_total(shelf, 0, "EUR", "1/9 0/0 0/0");
    }
    shelf_free(shelf);
}

static const struct event_parts of_one_euro = {
    .accepted_us = US_PER_DAY, .account = {"a", 1}, .amount = {"1", 1}, .currency = {"EUR", 3}};

/* A routed delivery demands the totals early in a batch, and events come behind it. */
Test(totals, count_what_is_added_behind_a_demand_in_the_same_transaction)
{
    struct shelf *shelf = shelf_new();
    shelf_begin(shelf);
    totals_add(&shelf->store.totals, &of_one_euro, 1, TOTAL_ACCEPTED, 1, 1);
    totals_demand(&shelf->store.totals);
    totals_add(&shelf->store.totals, &of_one_euro, 1, TOTAL_ACCEPTED, 1, 1);
    shelf_commit(shelf);
    expect_total(shelf, 1, "EUR", "2/2 0/0 0/0");
    shelf_free(shelf);
}

Test(totals, forget_what_was_rolled_back_and_number_no_event_twice)
{
    struct shelf *shelf = shelf_new();
    shelf_begin(shelf);
    totals_add(&shelf->store.totals, &of_one_euro, 1, TOTAL_ACCEPTED, 1, 1);
    shelf->store.next_seq = 100;
    cr_assert(store_roll_back(&shelf->store) == OK);
    shelf_append(
        shelf, (struct shelved){.key = "k", .amount = "3", .currency = "EUR", .endpoints = 1});
    write_totals(shelf);
    cr_assert(shelf_sql_int(
                  shelf, "SELECT count(*) FROM totals WHERE accepted > 0 AND endpoint > 0") == 1);
    shelf->store.next_seq = 200; /* as if transactions had been rolled back since */
    write_totals(shelf);
    shelf_crash(shelf);
    int64_t next = shelf_append(
        shelf, (struct shelved){.key = "l", .amount = "4", .currency = "EUR", .endpoints = 1});
    cr_assert(next == 200, "%lld", (long long)next);
    shelf_crash(shelf);
    expect_total(shelf, 1, "EUR", "2/7 0/0 0/0");
    shelf_free(shelf);
}

Test(totals, whose_row_is_damaged_are_not_made_to_look_whole)
{
    struct shelf *shelf = shelf_new();
    shelf_append(
        shelf, (struct shelved){.key = "a", .amount = "1", .currency = "EUR", .endpoints = 1});
    write_totals(shelf);
    shelf_sql(shelf, "UPDATE totals SET accepted_sum = '2'");
    shelf_append(
        shelf, (struct shelved){.key = "b", .amount = "1", .currency = "EUR", .endpoints = 1});
    write_totals(shelf);
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(shelf->store.db, "SELECT " TOTAL_TABLE_COLUMNS " FROM totals", -1,
                  &statement, NULL) == SQLITE_OK);
    cr_assert(sqlite3_step(statement) == SQLITE_ROW);
    struct sql_use use = sql_use(statement);
    struct total_row row;
    cr_assert(!total_row_take(&use, &row) && row.numbers[TOTAL_ACCEPTED].count == 2);
    sqlite3_finalize(statement);
    shelf_free(shelf);
}

Test(totals, operator_events_are_in_none_not_even_after_a_crash)
{
    struct shelf *shelf = shelf_new();
    shelf_append(shelf,
        (struct shelved){.key = "a", .partner = "penstock", .account = "penstock", .endpoints = 2});
    write_totals(shelf);
    shelf_append(shelf,
        (struct shelved){.key = "b", .partner = "penstock", .account = "penstock", .endpoints = 1});
    shelf_append(
        shelf, (struct shelved){.key = "c", .amount = "9", .currency = "EUR", .endpoints = 1});
    for (int crash = 0; crash < 2; crash++) {
        shelf_crash(shelf);
        cr_expect_eq(
            shelf_sql_int(shelf, "SELECT count(*) FROM totals WHERE account = 'penstock'"), 0);
        expect_total(shelf, 1, "EUR", "1/9 0/0 0/0");
    }
    shelf_free(shelf);
}

Test(totals, what_a_partner_posted_for_an_account_of_that_name_counts)
{
    struct shelf *shelf = shelf_new();
    shelf_append(shelf, (struct shelved){.key = "a", .account = "penstock", .endpoints = 1});
    shelf_append(shelf, (struct shelved){.key = "b", .partner = "penstock", .endpoints = 1});
    write_totals(shelf);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(DISTINCT account) FROM totals"), 2);
    shelf_free(shelf);
}
