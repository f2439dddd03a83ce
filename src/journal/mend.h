/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mending the dedupe store at the start. Rows of a segment that is not sealed and that can't be
 * read put every key in doubt that is not found elsewhere: new events would be refused until the
 * segment expires. But the events of that day say which keys there were: those that the dedupe
 * store does not find are entered again, and the doubt is over. Where an event of the day can't be
 * read either, or the history of the day is not kept, it stays.
 */
#ifndef PENSTOCK_JOURNAL_MEND_H
#define PENSTOCK_JOURNAL_MEND_H

#include "base/err.h"

struct store;

/* Before the first request; in transactions of its own. What can't be mended is no failure. */
enum err mend_dedupe(struct store *store) MUST_CHECK;

#endif
