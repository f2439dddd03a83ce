/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that this gateway has made durable lately, each with its first event and that one's money: what all ingress
 * threads judge by (recent.h), so that it doesn't matter to which of them a second one comes.
 *
 * The first event of a key stays until the key is forgotten. Two threads that have one of a key under way at the same
 * time don't know of each other: the first to become durable is the first here, and the ledger has the last word.
 *
 * Limits: `keys_max`, in sets of 8; where a set is full, its oldest key goes. Every function from any thread.
 */
#ifndef PENSTOCK_INGRESS_KNOWN_KEYS_H
#define PENSTOCK_INGRESS_KNOWN_KEYS_H

#include "base/limits.h"
#include "model/dedupe.h"
#include "model/event.h"

#define KNOWN_KEYS_MAX 65536 /* of a gateway: about 6 MiB */

struct known_keys;

/* Equal bytes are equal money. */
struct known_money {
    unsigned char amount_len, currency_len; /* 0: none */
    char amount[AMOUNT_TEXT_BYTES];         /* canonical */
    char currency[CURRENCY_BYTES];
};

void known_money_of(const struct event_parts *parts, struct known_money *ret_money);
bool known_money_equal(const struct known_money *one, const struct known_money *other);

/* Money as in the ledger: the amount by value, and the currency. */
struct known_event {
    struct event_id id;
    struct known_money money;
};

/* `keys_max` of KNOWN_KEYS_MAX but in tests. */
enum err known_keys_new(unsigned keys_max, struct known_keys **ret_keys) MUST_CHECK;
void known_keys_free(struct known_keys *keys); /* takes NULL */

bool known_keys_find(struct known_keys *keys, const struct ledger_key *key, struct known_event *ret_first);
/* Of one that is durable. A first one that is there already stays. */
void known_keys_add(struct known_keys *keys, const struct ledger_key *key, const struct known_event *first);

#endif
