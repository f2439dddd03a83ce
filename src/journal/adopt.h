/* SPDX-License-Identifier: Apache-2.0 */
/* Broker-owned events: what a start makes of them, and what a forced take-over of delivery does. */
#ifndef PENSTOCK_JOURNAL_ADOPT_H
#define PENSTOCK_JOURNAL_ADOPT_H

#include "journal/store.h"

/*
 * Broker-owned events of which something had started when the last run ended become the journal's
 * own, in transactions of their own; the others are counted in `found.broker_owned`, and wait for
 * the broker.
 */
enum err adopt_started(struct store *store) MUST_CHECK;

/* What is broker-owned and pending of an event is parked: another gateway may have sent it. The
 * event is the journal's own. */
enum err adopt_and_park_event(struct store *store, int64_t event) MUST_CHECK;

#endif
