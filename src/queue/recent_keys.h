/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recent keys: the keys of events that are in flight or have become durable lately, each with its
 * first event and that event's money. All ingress threads share them, so a duplicate is found
 * whichever thread it comes to (recent_events.h).
 *
 *   (enter) --> pending --end, durable--> durable --another key needs the place--> forgotten
 *                  '------end, it failed--> forgotten
 *
 * Limits: `keys_max`, in sets of 8. A new key replaces the oldest durable one of its set, never a
 * pending one. A lock is held for the 8 comparisons of one set.
 *
 * Any thread, except _new and _free.
 */
#ifndef PENSTOCK_QUEUE_RECENT_KEYS_H
#define PENSTOCK_QUEUE_RECENT_KEYS_H

#include "base/limits.h"
#include "model/dedupe_key.h"
#include "model/event.h"
#include "model/money.h"

#define RECENT_KEYS_PER_THREAD 65536 /* about 5 MiB */

struct recent_keys;

/* Money is equal if the bytes are. */

/* The money as in the dedupe store: the amount by value, and the currency. */
struct recent_key_event {
    struct event_id id;
    struct money_value money;
};

struct recent_keys *recent_keys_new(unsigned keys_max);
void recent_keys_free(struct recent_keys *keys); /* takes NULL */

enum recent_key_finding {
    RECENT_KEY_NEW,     /* it is pending until recent_keys_end */
    RECENT_KEY_PENDING, /* an event of this key is pending; nothing was changed */
    RECENT_KEY_DURABLE, /* *ret_first is the first event of this key */
    RECENT_KEY_NO_PLACE /* new, and not remembered: its set is full of pending keys */
};

enum recent_key_finding recent_keys_enter(struct recent_keys *keys, const struct dedupe_key *key,
    const struct recent_key_event *event, struct recent_key_event *ret_first);

/*
 * Ends the event `id`: its key is durable with `first` (itself, or the older event that the journal
 * knows), or forgotten (NULL). Does nothing if the event is not pending here.
 */
void recent_keys_end(struct recent_keys *keys, const struct dedupe_key *key,
    const struct event_id *id, const struct recent_key_event *first);

#endif
