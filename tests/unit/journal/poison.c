/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

static enum err keep(struct shelf *shelf, unsigned number, size_t bytes)
{
    static char body[4096];
    struct journal_keep_poison request = {.queue = "penstock.deliver.16.3",
        .reason = "no account",
        .headers = SLICE_LITERAL("{\"x\":\"\xc3\xa4\"}"),
        .body = slice_of(body, bytes),
        .body_bytes = bytes};
    snprintf(request.message_id, sizeof request.message_id, "m-%u", number);
    return shelf_call(shelf, store_keep_poison, &request.request);
}

Test(poison, is_kept_with_its_bytes_and_the_reason)
{
    struct shelf *shelf = shelf_new();
    cr_assert(keep(shelf, 1, 10) == OK && keep(shelf, 2, 0) == OK);
    shelf_crash(shelf);
    cr_expect(
        shelf_sql_int(shelf, "SELECT count(*) FROM poison WHERE queue = 'penstock.deliver.16.3'"
                             " AND reason = 'no account'") == 2);
    cr_expect(
        shelf_sql_int(shelf, "SELECT length(body) FROM poison WHERE message_id = 'm-1'") == 10);
    cr_expect(shelf->store.poison.kept.rows == 2 && shelf->store.poison.kept.bytes == 10 + 2 * 10);
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(shelf->store.db, "SELECT " POISON_COLUMNS " FROM poison", -1,
                  &statement, NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW);
    const struct sql_use use = {.statement = statement};
    struct poison_row row;
    cr_expect(poison_row_take(&use, &row) && row.body.len == 10 && row.body_bytes == 10);
    sqlite3_finalize(statement);
    shelf_free(shelf);
}

Test(poison, beyond_its_bounds_the_oldest_go)
{
    static const struct {
        int64_t rows_max, bytes_max, left, oldest;
    } cases[] = {{3, 1 << 20, 3, 8}, {100, 4 * 110, 4, 7}, {100, 5, 1, 10}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shelf *shelf = shelf_new();
        struct poison *poison = &shelf->store.poison;
        poison->rows_max = cases[i].rows_max;
        poison->bytes_max = cases[i].bytes_max;
        for (unsigned number = 1; number <= 10; number++)
            cr_assert(keep(shelf, number, 100) == OK);
        cr_expect_eq(
            shelf_sql_int(shelf, "SELECT count(*) FROM poison"), cases[i].left, "case %zu", i);
        cr_expect_eq(
            shelf_sql_int(shelf, "SELECT min(seq) FROM poison"), cases[i].oldest, "case %zu", i);
        cr_expect(poison->is_full_said && poison->kept.rows == cases[i].left, "case %zu", i);
        shelf_free(shelf);
    }
}

Test(poison, a_rolled_back_transaction_leaves_its_size)
{
    struct shelf *shelf = shelf_new();
    struct journal_keep_poison request = {.body = SLICE_LITERAL("body")};
    shelf_begin(shelf);
    cr_assert(store_keep_poison(&shelf->store, &request.request) == OK);
    cr_assert(store_roll_back(&shelf->store) == OK);
    cr_expect(shelf->store.poison.open.rows == 0 && shelf->store.poison.open.bytes == 0);
    shelf_free(shelf);
}

Test(poison, a_full_disk_refuses_it)
{
    struct shelf *shelf = shelf_new();
    shelf->store.reserve.space = SPACE_NONE;
    cr_expect(keep(shelf, 1, 10) == ERR_DISK_FULL);
    shelf_free(shelf);
}
