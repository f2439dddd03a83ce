/* SPDX-License-Identifier: Apache-2.0 */
/* Broker-owned events that become the journal's own: at the start, and after a forced take-over of
 * delivery. */
#ifndef PENSTOCK_JOURNAL_ADOPT_H
#define PENSTOCK_JOURNAL_ADOPT_H

#include "journal/store.h"

/*
 * Broker-owned events of which something had started when the last run ended become the journal's
 * own, in transactions of their own; the others are counted in `found.broker_owned`, and wait for
 * the broker.
 */
enum err adopt_started(struct store *store) MUST_CHECK;

/* Parks the broker-owned and pending deliveries of an event, since another gateway may have sent
 * them. The event becomes the journal's own. */
enum err adopt_and_park_event(struct store *store, int64_t event) MUST_CHECK;

#endif
