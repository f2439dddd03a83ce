/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mends the dedupe store at the start. When rows of a segment that is not sealed can't be read,
 * every key that is not found elsewhere is in doubt, and new events would be refused until the
 * segment expires. But the events of that day say which keys there were. The keys that the dedupe
 * store does not find are entered again, and the doubt ends. When an event of the day can't be read
 * either, or its history is not kept, the doubt stays.
 */
#ifndef PENSTOCK_JOURNAL_MEND_H
#define PENSTOCK_JOURNAL_MEND_H

#include "base/err.h"

struct store;

/* Before the first request; in transactions of its own. What can't be mended is no failure. */
enum err mend_dedupe(struct store *store) MUST_CHECK;

#endif
