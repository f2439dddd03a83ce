/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/recount.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

/* Walks the table, and no index. */
static const char text[] = "SELECT endpoint, state, reason, lane, class, count(*) FROM deliveries"
                           " NOT INDEXED GROUP BY endpoint, state, reason, lane, class";

static void count_table(struct store *store, struct backlog_board *ret_board)
{
    sqlite3_stmt *statement;
    backlog_board_init(ret_board);
    cr_assert(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL) == SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        enum delivery_state state = (enum delivery_state)sqlite3_column_int(statement, 1);
        const struct backlog_place place =
            backlog_place_of((uint64_t)sqlite3_column_int64(statement, 0), state,
                state == DELIVERY_PARKED ? (enum park_reason)sqlite3_column_int(statement, 2)
                                         : PARK_NONE,
                (enum delivery_lane)sqlite3_column_int(statement, 3),
                (enum event_class)sqlite3_column_int(statement, 4));
        backlog_board_add(ret_board, &place, sqlite3_column_int64(statement, 5));
    }
    sqlite3_finalize(statement);
}

static bool same_node(const struct backlog_node *counted, const struct backlog_node *shown)
{
    bool same = true;
    for (unsigned cell = 0; cell < BACKLOG_KINDS * EVENT_CLASSES; cell++) {
        int64_t right = counted ? counted->counts[cell] : 0, is = shown ? shown->counts[cell] : 0;
        if (right == is)
            continue;
        fprintf(stderr, "endpoint %llu kind %u class %u: the table has %lld, the board %lld\n",
            (unsigned long long)(counted ? counted : shown)->endpoint, cell / EVENT_CLASSES,
            cell % EVENT_CLASSES, (long long)right, (long long)is);
        same = false;
    }
    return same;
}

static const struct backlog_node *find(const struct backlog_board *board, uint64_t endpoint)
{
    const struct backlog_node *node = backlog_board_first(board);
    while (node && node->endpoint != endpoint)
        node = node->next;
    return node;
}

bool recount_agrees(struct store *store)
{
    struct backlog_board counted;
    count_table(store, &counted);
    bool agrees = same_node(&counted.all, &store->backlog.all);
    for (const struct backlog_node *it = backlog_board_first(&counted); it; it = it->next)
        agrees &= same_node(it, find(&store->backlog, it->endpoint));
    for (const struct backlog_node *it = backlog_board_first(&store->backlog); it; it = it->next)
        agrees &= same_node(find(&counted, it->endpoint), it);
    backlog_board_done(&counted);
    return agrees;
}
