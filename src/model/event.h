/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event in memory: one allocation with everything that the journal writes and the client
 * receives. It is immutable. It is reference-counted, because ingress, journal and delivery hold it
 * at the same time. Its bytes are taken from the shard's budget and given back with the last
 * reference.
 */
#ifndef PENSTOCK_MODEL_EVENT_H
#define PENSTOCK_MODEL_EVENT_H

#include "base/byte_budget.h"
#include "base/err.h"
#include "model/class.h"
#include "model/event_id.h"

/* The parts of an event. Texts may be empty. event_new copies them. */
struct event_parts {
    struct event_id id;
    int64_t accepted_us; /* wall time */
    bool has_occurred_at;
    int64_t occurred_us;
    enum event_class class;
    bool guarded;
    struct slice partner, account, type;
    struct slice key; /* empty: the event is never a duplicate */
    struct slice amount, currency;
    struct slice traceparent;
    struct slice body;
};

struct event {
    struct event_parts parts; /* its slices point behind this struct */
    _Atomic unsigned references;
    struct byte_budget *budget; /* may be NULL */
    int64_t bytes;
};

/* ERR_OVERLOADED if the budget's share is used up (see byte_budget_take), ERR_NO_MEMORY. The caller
 * owns the first reference. */
enum err event_new(const struct event_parts *parts, struct byte_budget *budget, int share_percent,
    struct event **ret_event) MUST_CHECK;
struct event *event_ref(struct event *event);
void event_unref(struct event *event); /* takes NULL */

#endif
