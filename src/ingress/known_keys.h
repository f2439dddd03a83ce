/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that this gateway has in flight or has made durable lately, each with its first event and that one's money:
 * what all ingress threads judge by (recent.h), so that it doesn't matter to which of them a second one comes.
 *
 *   (enter) --> pending --end, durable--> durable --(the oldest of a full set, when another needs the place)-->
 * forgotten
 *                  '------end, it failed--> forgotten
 *
 * Limits: `keys_max`, in sets of 8, so that some durable keys go when half as many others have come. Pending ones are
 * never put out. A lock is held for the 8 comparisons of one set, and hardly ever by two at a time.
 *
 * All but _new and _free from any thread.
 */
#ifndef PENSTOCK_INGRESS_KNOWN_KEYS_H
#define PENSTOCK_INGRESS_KNOWN_KEYS_H

#include "base/limits.h"
#include "model/dedupe.h"
#include "model/event.h"

#define KNOWN_KEYS_PER_THREAD 65536 /* about 5 MiB */

struct known_keys;

/* Equal bytes are equal money. */
struct known_money {
    unsigned char amount_len, currency_len; /* 0: none */
    char amount[AMOUNT_TEXT_BYTES];         /* canonical */
    char currency[CURRENCY_BYTES];
};

void known_money_of(const struct event_parts *parts, struct known_money *ret_money);
bool known_money_equal(const struct known_money *one, const struct known_money *other);

/* Money as in the dedupe store: the amount by value, and the currency. */
struct known_event {
    struct event_id id;
    struct known_money money;
};

enum err known_keys_new(unsigned keys_max, struct known_keys **ret_keys) MUST_CHECK;
void known_keys_free(struct known_keys *keys); /* takes NULL */

enum known {
    KNOWN_NEW,     /* it is pending from now on, until known_keys_end */
    KNOWN_PENDING, /* another one of this key is; nothing was changed */
    KNOWN_DURABLE, /* *ret_first is its first one */
    KNOWN_NO_PLACE /* new, and unremembered: its set is full of pending ones */
};

enum known known_keys_enter(struct known_keys *keys, const struct dedupe_key *key, const struct known_event *event,
    struct known_event *ret_first);

/*
 * The end of the event `id`: durable with `first` (itself, or the older one that the journal knows), or forgotten
 * (NULL). One that isn't pending here changes nothing.
 */
void known_keys_end(
    struct known_keys *keys, const struct dedupe_key *key, const struct event_id *id, const struct known_event *first);

#endif
