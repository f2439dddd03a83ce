/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of partners: how many events and bytes each may post per second, and how many events it
 * may look up, whichever ingress threads its connections are on. Each limit is a token bucket
 * (model/token_bucket.h), so a partner that posts more than its limit gets exactly its limit, and
 * one burst at the beginning.
 *
 *   a single post   takes 1 event, and the bytes of its body
 *   a batch         takes its bytes when it arrives, if at least 1 event is left. After it is split
 *                   it takes one event for each item, in order. Items that find none are refused
 *                   in their own rows, so that the others need not be sent again
 *   a look-up       takes 1 look-up, and nothing of the other two
 *
 * A request whose bytes are not there takes nothing. A body that is larger than the burst is taken
 * from a full bucket, and the rest is owed. What is taken is not given back when the event turns
 * out to be wrong, or cannot be stored: its work is done. A refused request takes nothing, so a
 * partner that tries too often loses nothing by it.
 *
 * Whose limits: the rules of the partner (model/partner_rules.h), and for those that are 0 the
 * options of the installation. 0 there as well: no limit, and no bucket. A burst of 0 is what one
 * second brings; for bytes it is at least one full batch. Look-ups have only the option, and ten
 * seconds of them may come at once.
 *
 * Cost: for a partner with a limit, one hash and one lock for each request, of 64 locks (55 ns
 * measured, and 0.4 us for the fields of the answer). A partner has a bucket only while it is not
 * full: a full one equals none. So the memory is bounded by the partners that have posted lately
 * (about 200 bytes each).
 *
 * Any thread, except _new and _free. Times are monotonic, and may be a little out of order between
 * threads.
 */
#ifndef PENSTOCK_INGRESS_PARTNER_LIMITS_H
#define PENSTOCK_INGRESS_PARTNER_LIMITS_H

#include "base/hash.h"
#include "model/partner_rules.h"

struct partner_limits;

enum partner_limit {
    PARTNER_LIMIT_EVENTS,
    PARTNER_LIMIT_BYTES,
    PARTNER_LIMIT_LOOKUPS,
    PARTNER_LIMITS
};

/* One limit, after the request. In the terms of draft-ietf-httpapi-ratelimit-headers-10. */
struct partner_quota {
    uint64_t quota; /* of the policy; 0: there is no limit */
    uint64_t window_s;
    uint64_t left;
    uint64_t reset_s; /* until more is left; 0: as much is left as can be */
};

struct partner_taking {
    unsigned events;          /* taken, of those that were asked for */
    bool is_refused;          /* nothing was taken */
    enum partner_limit limit; /* if it is refused: the one that is used up */
    uint64_t rate;            /* of that limit, per second */
    unsigned retry_after_s;   /* if not all was taken: when the next token is there */
    struct partner_quota quotas[PARTNER_LIMITS]; /* of posts, or of look-ups */
};

/* The defaults are the first four members of `defaults`. */
struct partner_limits *partner_limits_new(
    const struct hash_seed *seed, const struct partner_rules *defaults);
void partner_limits_set_defaults(
    struct partner_limits *limits, const struct partner_rules *defaults);
/* At first there is no limit of look-ups. */
void partner_limits_set_lookups(struct partner_limits *limits, uint64_t per_s);
void partner_limits_free(struct partner_limits *limits); /* takes NULL */

/*
 * Takes up to `events` events and all of `bytes`, or nothing. With `events` 0 it takes no event,
 * and is refused if none is left. `rules` may be NULL. Returns false without a limit: then there is
 * nothing to tell the partner, and everything was taken.
 */
bool partner_limits_take(struct partner_limits *limits, const char *partner,
    const struct partner_rules *rules, unsigned events, uint64_t bytes, int64_t now_us,
    struct partner_taking *ret_taking);

/* The same for one look-up. */
bool partner_limits_take_lookup(struct partner_limits *limits, const char *partner,
    const struct partner_rules *rules, int64_t now_us, struct partner_taking *ret_taking);

/* Takes bytes that have arrived without an announcement: those that are not there are owed. */
void partner_limits_owe(struct partner_limits *limits, const char *partner,
    const struct partner_rules *rules, uint64_t bytes, int64_t now_us);

/* The number of partners with a bucket, for tests. */
unsigned partner_limits_count(struct partner_limits *limits);

/* The values of the fields RateLimit-Policy and RateLimit. */
#define PARTNER_LIMITS_FIELD_BYTES 128
void partner_limits_print(const struct partner_taking *taking,
    char ret_policy[PARTNER_LIMITS_FIELD_BYTES], char ret_left[PARTNER_LIMITS_FIELD_BYTES]);

#endif
