/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a delivery is not delivered: one sentence, when the next try is, and what an operator can do.
 * It follows from the row of the delivery, the settings of its endpoint, and what the queue of the
 * endpoint does at present (journal/queue_look.h).
 *
 * The checks are a list in the order in which they hold a delivery back: the first one that applies
 * is the answer. What stops deliveries on purpose (a switch) belongs at its head.
 */
#ifndef PENSTOCK_ADMIN_WHY_H
#define PENSTOCK_ADMIN_WHY_H

#include "history/journal_reader.h"
#include "journal/queue_look.h"

#include <jansson.h>

struct admin;

/* What is known about the delivery. */
struct why_question {
    const struct admin *admin;
    const struct event *event;
    const struct timeline_delivery *delivery;
    const struct queue_look_entry *look; /* of its endpoint; NULL: unknown */
    bool journal_refuses;                /* of its shard */
    int64_t now_us;
};

/* {"text", "next_try_at", "remedy"}; the last two may be null. NULL: it is final, so there is
 * nothing to explain. */
json_t *why_view(const struct why_question *question);

/* The endpoints of the account that do not take this type at present, by name. An empty list when
 * the account is not known. */
json_t *why_filtered(const struct admin *admin, const struct event_parts *parts);

#endif
