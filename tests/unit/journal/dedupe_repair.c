/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

#define KEYS 20

static struct shelved draft_of(int number, const char *amount)
{
    static char key[16];
    snprintf(key, sizeof key, "key-%d", number);
    return (struct shelved){.key = key, .amount = amount, .currency = "EUR", .endpoints = 1};
}

static struct shelf *shelf_with_keys(void)
{
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < KEYS; i++)
        shelf_append(shelf, draft_of(i, "5"));
    return shelf;
}

/* What a statement says of the one segment: %s is its name. */
static void damage(struct shelf *shelf, const char *format)
{
    char text[256], name[64];
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(shelf->store.db,
                  "SELECT name FROM sqlite_schema WHERE name GLOB 'dedupe_c_*'", -1, &statement,
                  NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW);
    snprintf(name, sizeof name, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    snprintf(text, sizeof text, format, name);
    shelf_sql(shelf, text);
}

Test(mend, a_damaged_row_of_the_newest_segment_is_made_again_from_its_event)
{
    static const char *const damages[] = {"UPDATE %s SET key = zeroblob(16) WHERE row = 7",
        "UPDATE %s SET amount = '6' WHERE row = 7",
        "UPDATE %s SET event = x'01' WHERE row IN (1, 20)"};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct shelf *shelf = shelf_with_keys();
        damage(shelf, damages[i]);
        for (int again = 0; again < 2; again++) {
            shelf_crash(shelf);
            for (int k = 0; k < KEYS; k++) {
                cr_expect_eq(shelf_try_append(shelf, draft_of(k, "5.0")), ERR_EXISTS,
                    "case %zu key %d", i, k);
                cr_expect_eq(shelf_try_append(shelf, draft_of(k, "6")), ERR_CONFLICT,
                    "case %zu key %d", i, k);
            }
            cr_expect_eq(shelf_try_append(shelf, draft_of(100 + again, "5")), OK,
                "case %zu: new ones are taken", i);
        }
        cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM events"), KEYS + 2);
        shelf_free(shelf);
    }
}

Test(mend, the_doubt_stays_where_an_event_cannot_be_read_either)
{
    struct shelf *shelf = shelf_with_keys();
    damage(shelf, "UPDATE %s SET crc = 0 WHERE row = 7");
    shelf_sql(shelf, "UPDATE events SET key = 'other' WHERE seq = 7");
    shelf_crash(shelf);
    cr_expect_eq(shelf_try_append(shelf, draft_of(5, "5")), ERR_EXISTS, "what is known is known");
    cr_expect_eq(shelf_try_append(shelf, draft_of(6, "5")), ERR_DAMAGED);
    cr_expect_eq(shelf_try_append(shelf, draft_of(100, "5")), ERR_DAMAGED, "it might be the one");
    shelf_free(shelf);
}

Test(mend, a_mended_segment_is_sealed_and_complete_afterwards)
{
    struct shelf *shelf = shelf_with_keys();
    damage(shelf, "UPDATE %s SET crc = 0 WHERE row = 7");
    shelf_crash(shelf);
    bool worked = true;
    while (worked) {
        shelf_begin(shelf);
        cr_assert(dedupe_expire(&shelf->store.dedupe, clock_wall_us(), &worked) == OK);
        shelf_commit(shelf);
    }
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM dedupe_filters") >= 1);
    shelf_crash(shelf);
    for (int k = 0; k < KEYS; k++)
        cr_expect_eq(shelf_try_append(shelf, draft_of(k, "5")), ERR_EXISTS, "key %d", k);
    cr_expect_eq(shelf_try_append(shelf, draft_of(100, "5")), OK);
    shelf_free(shelf);
}
