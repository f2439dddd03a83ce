/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/backlog_fill.h"

#include "base/cleanup.h"
#include "runtime/log.h"
#include "sqlite/sql.h"

#define COUNTS "sum(class = 0), sum(class = 1), sum(class = 2)"

/* The groups come in the order of the index: nothing is sorted. */
static const struct part {
    enum delivery_state state;
    enum delivery_lane lane;
    const char *text;
} parts[] = {
    {DELIVERY_PENDING, LANE_FRESH,
        "SELECT endpoint, 0, " COUNTS " FROM deliveries INDEXED BY deliveries_pending"
        " WHERE state = 0 AND broker_owned = 0 AND lane <> 2 GROUP BY endpoint"},
    {DELIVERY_PENDING, LANE_REPLAY,
        "SELECT endpoint, 0, " COUNTS " FROM deliveries INDEXED BY deliveries_replay"
        " WHERE state = 0 AND broker_owned = 0 AND lane = 2 GROUP BY endpoint"},
    {DELIVERY_PENDING, LANE_FRESH,
        "SELECT endpoint, 0, " COUNTS " FROM deliveries INDEXED BY deliveries_broker_owned"
        " WHERE broker_owned = 1 AND state = 0 GROUP BY endpoint"},
    {DELIVERY_SENDING, LANE_FRESH,
        "SELECT endpoint, 0, " COUNTS " FROM deliveries INDEXED BY deliveries_sending"
        " WHERE state = 1 GROUP BY endpoint"},
    {DELIVERY_WAITING, LANE_FRESH,
        "SELECT endpoint, 0, " COUNTS " FROM deliveries INDEXED BY deliveries_waiting"
        " WHERE state = 2 GROUP BY endpoint"},
    {DELIVERY_PARKED, LANE_FRESH,
        "SELECT endpoint, reason, " COUNTS " FROM deliveries INDEXED BY deliveries_parked"
        " WHERE state = 3 GROUP BY endpoint, reason"},
    {DELIVERY_DEAD, LANE_FRESH,
        "SELECT endpoint, 0, " COUNTS " FROM deliveries INDEXED BY deliveries_dead"
        " WHERE state = 5 GROUP BY endpoint"},
};

static enum err fill_part(struct sqlite3 *db, const struct part *part, struct backlog_board *board)
{
    struct sqlite3_stmt *statement = NULL;
    bool row = false;
    enum err result = sql_prepare(db, part->text, &statement);
    struct sql_use use = sql_use(statement);
    while (!result && !(result = sql_step(&use, &row)) && row)
        for (unsigned class = 0; class < EVENT_CLASSES; class ++) {
            const struct backlog_place place = backlog_place_of((uint64_t)sql_column_int(&use, 0),
                part->state, (enum park_reason)sql_column_int(&use, 1), part->lane,
                (enum event_class) class);
            backlog_board_add(board, &place, sql_column_int(&use, 2 + (int)class));
        }
    sql_finalize(statement);
    return result;
}

enum err backlog_fill(struct sqlite3 *db, struct backlog_board *board)
{
    enum err result = OK;
    for (size_t i = 0; i < ARRAY_LENGTH(parts) && !result; i++) {
        result = fill_part(db, &parts[i], board);
        if (result != ERR_DAMAGED)
            continue;
        log_error("the deliveries that are %s cannot be counted: the index is damaged. Stop the "
                  "gateway and run REINDEX in the sqlite3 shell",
            delivery_state_name(parts[i].state));
        atomic_store(&board->is_complete, false);
        result = OK;
    }
    return result;
}
