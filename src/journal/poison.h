/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poison: messages of the broker that are no events. They are kept with their bytes and the reason,
 * for a person to look at. They are never sent, and never expire. When POISON_ROWS_MAX or
 * POISON_BYTES_MAX is reached, a new one replaces the oldest. Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_POISON_H
#define PENSTOCK_JOURNAL_POISON_H

#include "journal/journal.h"
#include "sqlite/sql.h"

#define POISON_ROWS_MAX 10000
#define POISON_BYTES_MAX \
    (256 * 1024 * 1024) /* of bodies and headers: a message may have a megabyte */

enum poison_statement { POISON_COUNT, POISON_ADD, POISON_OLDEST, POISON_DROP, POISON_STATEMENTS };

struct poison_size {
    int64_t rows, bytes;
};

struct poison {
    struct sqlite3_stmt *statements[POISON_STATEMENTS];
    struct poison_size kept;     /* committed */
    struct poison_size open;     /* with what the open transaction has changed */
    int64_t rows_max, bytes_max; /* a test may lower them after poison_init */
    bool is_full_said;
};

/* A row as the file has it; its texts are valid until the next step. */
struct poison_row {
    int64_t seq, at_us;
    struct slice queue, reason, message_id, headers, body;
    uint64_t body_bytes;
};
/* The columns that poison_row_take reads, in its order. */
#define POISON_COLUMNS "seq, at_us, queue, reason, message_id, headers, body_bytes, body, crc"
/* False when it is not what was written; it is filled all the same. */
bool poison_row_take(const struct sql_use *use, struct poison_row *ret_row);

/* poison_done is due after a failure as well. */
enum err poison_init(struct poison *poison, struct sqlite3 *db) MUST_CHECK;
void poison_done(struct poison *poison);

void poison_committed(struct poison *poison);
void poison_rolled_back(struct poison *poison);

#endif
