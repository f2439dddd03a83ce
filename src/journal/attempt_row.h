/* SPDX-License-Identifier: Apache-2.0 */
/* An attempt as it stands on disk. */
#ifndef PENSTOCK_JOURNAL_ATTEMPT_ROW_H
#define PENSTOCK_JOURNAL_ATTEMPT_ROW_H

#include "journal/journal.h"
#include "sqlite/sql.h"

/* The columns that attempt_row_take reads, in its order. */
#define ATTEMPT_COLUMNS                                                                    \
    "delivery, number, started_us, duration_us, http_status, error, request_begun, warm, " \
    "request_complete,"                                                                    \
    " request_bytes, answer_bytes, excerpt, crc"

/* False when it is not what was written; it is filled all the same. */
bool attempt_row_take(
    const struct sql_use *use, int64_t *ret_delivery, struct attempt *ret_attempt);

#endif
