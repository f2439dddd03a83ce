/* SPDX-License-Identifier: Apache-2.0 */
/* The counts of the backlog board must be those of the journal's table, at every look. */
#include "model_internal.h"
#include "trace.h"
#include "world.h"

#include "journal/backlog_board.h"

#include <stdio.h>

static const char text[] = "SELECT endpoint, state, reason, lane, class, count(*) FROM deliveries"
                           " NOT INDEXED GROUP BY 1, 2, 3, 4, 5";

static void count_table(sqlite3 *db, struct backlog_board *board)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, text, -1, &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW) {
        enum delivery_state state = (enum delivery_state)sqlite3_column_int(row, 1);
        const struct backlog_place place =
            backlog_place_of((uint64_t)sqlite3_column_int64(row, 0), state,
                state == DELIVERY_PARKED ? (enum park_reason)sqlite3_column_int(row, 2) : PARK_NONE,
                (enum delivery_lane)sqlite3_column_int(row, 3),
                (enum event_class)sqlite3_column_int(row, 4));
        backlog_board_add(board, &place, sqlite3_column_int64(row, 5));
    }
    sqlite3_finalize(row);
}

static void compare(const struct backlog_node *counted, const struct backlog_node *shown)
{
    for (unsigned cell = 0; cell < BACKLOG_KINDS * EVENT_CLASSES; cell++)
        fail_unless(counted->counts[cell] == shown->counts[cell], "BOARD",
            "the backlog board has %lld of kind %u and class %u, but the journal has %lld",
            (long long)shown->counts[cell], cell / EVENT_CLASSES, cell % EVENT_CLASSES,
            (long long)counted->counts[cell]);
}

void model_check_backlog(sqlite3 *db)
{
    const struct backlog_board *shown = world_backlog();
    struct backlog_board counted;
    /* After a failed sync nobody knows what the file has. */
    if (!shown || model_journal_is_in_doubt())
        return;
    backlog_board_init(&counted);
    count_table(db, &counted);
    compare(&counted.all, &shown->all);
    for (const struct backlog_node *it = backlog_board_first(&counted); it; it = it->next) {
        const struct backlog_node *other = backlog_board_first(shown);
        while (other && other->endpoint != it->endpoint)
            other = other->next;
        fail_unless(other, "BOARD", "an endpoint is not on the backlog board");
        compare(it, other);
    }
    backlog_board_done(&counted);
}
