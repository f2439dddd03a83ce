/* SPDX-License-Identifier: Apache-2.0 */
/* What is held at the start. */
#ifndef PENSTOCK_JOURNAL_HELD_H
#define PENSTOCK_JOURNAL_HELD_H

#include "journal/store.h"

/*
 * Broker-owned events of which something had started when the last run ended become the journal's own, in transactions
 * of their own; the others are counted in `found.held`, and wait for the broker.
 */
enum err held_take_over_started(struct store *store) MUST_CHECK;

#endif
