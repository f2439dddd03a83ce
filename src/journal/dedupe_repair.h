/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mends the dedupe store at the start. When rows of a segment that is not sealed cannot be read,
 * every key that is not found elsewhere is in doubt, and new events would be refused until the
 * segment expires. But the events of that day have the keys. The keys that the dedupe store does
 * not find are entered again, and the doubt ends. When an event of the day cannot be read either,
 * or its history is not kept, the doubt stays.
 */
#ifndef PENSTOCK_JOURNAL_DEDUPE_REPAIR_H
#define PENSTOCK_JOURNAL_DEDUPE_REPAIR_H

#include "base/err.h"

struct store;

/* Call it before the first request. It works in transactions of its own. A segment that cannot be
 * mended is no failure. */
enum err dedupe_repair(struct store *store) MUST_CHECK;

#endif
