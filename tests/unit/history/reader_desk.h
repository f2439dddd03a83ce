/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a reader, and waits for its answers at a desk. */
#ifndef PENSTOCK_TESTS_UNIT_HISTORY_READER_DESK_H
#define PENSTOCK_TESTS_UNIT_HISTORY_READER_DESK_H

#include "history/due.h"
#include "history/journal_reader.h"
#include "unit/journal/fixture.h"

enum err desk_find(struct desk *desk, struct journal_reader *reader, const struct event_id *id,
    struct timeline **ret_timeline);
/* What is past due of these endpoints. */
enum err desk_due(struct desk *desk, struct journal_reader *reader, int64_t now_us,
    struct journal_due_entry *entries, unsigned count, struct journal_due *ret_due);

#endif
