/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that this gateway has in flight or has made durable lately, each with its first event
 * and that one's money: what all ingress threads judge by (recent_events.h), so that it doesn't
 * matter to which of them a second one comes.
 *
 *   (enter) --> pending --end, durable--> durable --(the oldest of a full set, when another needs the place)-->
 * forgotten
 *                  '------end, it failed--> forgotten
 *
 * Limits: `keys_max`, in sets of 8, so that some durable keys go when half as many others have
 * come. Pending ones are never put out. A lock is held for the 8 comparisons of one set, and hardly
 * ever by two at a time.
 *
 * All but _new and _free from any thread.
 */
#ifndef PENSTOCK_QUEUE_RECENT_KEYS_H
#define PENSTOCK_QUEUE_RECENT_KEYS_H

#include "base/limits.h"
#include "model/dedupe.h"
#include "model/event.h"

#define RECENT_KEYS_PER_THREAD 65536 /* about 5 MiB */

struct recent_keys;

/* Equal bytes are equal money. */
struct recent_money {
    unsigned char amount_len, currency_len; /* 0: none */
    char amount[AMOUNT_TEXT_BYTES];         /* canonical */
    char currency[CURRENCY_BYTES];
};

void recent_money_of(const struct event_parts *parts, struct recent_money *ret_money);
bool recent_money_equal(const struct recent_money *one, const struct recent_money *other);

/* Money as in the dedupe store: the amount by value, and the currency. */
struct recent_key_event {
    struct event_id id;
    struct recent_money money;
};

enum err recent_keys_new(unsigned keys_max, struct recent_keys **ret_keys) MUST_CHECK;
void recent_keys_free(struct recent_keys *keys); /* takes NULL */

enum recent_key_finding {
    RECENT_KEY_NEW,     /* it is pending from now on, until recent_keys_end */
    RECENT_KEY_PENDING, /* another one of this key is; nothing was changed */
    RECENT_KEY_DURABLE, /* *ret_first is its first one */
    RECENT_KEY_NO_PLACE /* new, and unremembered: its set is full of pending ones */
};

enum recent_key_finding recent_keys_enter(struct recent_keys *keys, const struct dedupe_key *key,
    const struct recent_key_event *event, struct recent_key_event *ret_first);

/*
 * The end of the event `id`: durable with `first` (itself, or the older one that the journal
 * knows), or forgotten (NULL). One that isn't pending here changes nothing.
 */
void recent_keys_end(struct recent_keys *keys, const struct dedupe_key *key,
    const struct event_id *id, const struct recent_key_event *first);

#endif
