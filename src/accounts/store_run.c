/* SPDX-License-Identifier: Apache-2.0 */
/* Filling and running a statement. */
#include "accounts/store_internal.h"

static void note_bind(struct accounts_store *store, int result)
{
    if (store->bind_result == SQLITE_OK)
        store->bind_result = result;
}

void store_bind_text(
    struct accounts_store *store, enum statement statement, int at, const char *text)
{
    note_bind(store, sqlite3_bind_text(store->statements[statement], at, text, -1, SQLITE_STATIC));
}

void store_bind_blob(
    struct accounts_store *store, enum statement statement, int at, const void *bytes, size_t len)
{
    note_bind(
        store, sqlite3_bind_blob(store->statements[statement], at, bytes, (int)len, SQLITE_STATIC));
}

void store_bind_number(
    struct accounts_store *store, enum statement statement, int at, int64_t number)
{
    note_bind(store, sqlite3_bind_int64(store->statements[statement], at, number));
}

static enum err end(struct accounts_store *store, enum statement which, int result)
{
    sqlite3_stmt *statement = store->statements[which];
    enum err error = result == SQLITE_DONE ? OK : accounts_store_fail(store, result);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return error;
}

/* The first step of what is bound. */
static int begin(struct accounts_store *store, enum statement which)
{
    int result = store->bind_result;
    store->bind_result = SQLITE_OK;
    return result == SQLITE_OK ? sqlite3_step(store->statements[which]) : result;
}

enum err store_run(struct accounts_store *store, enum statement which)
{
    return end(store, which, begin(store, which));
}

enum err store_run_on_one_row(
    struct accounts_store *store, enum statement which, const char *missing)
{
    enum err error = store_run(store, which);
    return error || sqlite3_changes(store->db) == 1 ? error
                                                    : accounts_store_damaged(store, missing);
}

enum err store_each_row(struct accounts_store *store, enum statement which,
    enum err (*on_row)(struct accounts_store *store, sqlite3_stmt *row, void *context),
    void *context)
{
    enum err error = OK;
    int result = begin(store, which);
    for (; result == SQLITE_ROW && !error;
         result = error ? SQLITE_DONE : sqlite3_step(store->statements[which]))
        error = on_row(store, store->statements[which], context);
    enum err end_error = end(store, which, result);
    return error ? error : end_error;
}

enum err store_run_for_number(
    struct accounts_store *store, enum statement which, int64_t *ret_number)
{
    int result = begin(store, which);
    bool has_row = result == SQLITE_ROW;
    if (has_row) {
        *ret_number = sqlite3_column_int64(store->statements[which], 0);
        result = sqlite3_step(
            store->statements[which]); /* RETURNING gives its rows first; the statement ends here */
    }
    enum err error = end(store, which, result);
    return error || has_row ? error
                            : accounts_store_damaged(store, "a row that must be there is missing");
}
