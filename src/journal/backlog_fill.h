/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what a journal's file has open, for the backlog board. */
#ifndef PENSTOCK_JOURNAL_BACKLOG_FILL_H
#define PENSTOCK_JOURNAL_BACKLOG_FILL_H

#include "base/err.h"
#include "journal/backlog_board.h"

struct sqlite3;

/*
 * Adds to an empty board what the file has in its open states. Each part is one walk along an index
 * that has all that is asked for; no row is read, except of what is broker-owned. An index that is
 * damaged is left out, and the board is not complete.
 */
enum err backlog_fill(struct sqlite3 *db, struct backlog_board *board) MUST_CHECK;

#endif
