/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the backlog board of a store with a count of its table, row by row. */
#ifndef PENSTOCK_TESTS_UNIT_JOURNAL_RECOUNT_H
#define PENSTOCK_TESTS_UNIT_JOURNAL_RECOUNT_H

#include "journal/store.h"

/* Every number of the board, of each endpoint and of all together, is what the table says. */
bool recount_agrees(struct store *store);

#endif
