/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that joins the logs: one row for each key ("<run>-<number>" of an original). A row is
 * found by its number, and by each event id that an answer, the journal or the sink has for it.
 *
 * Under a key two kinds of body are sent: the key's own (the original and its duplicates, byte for
 * byte the same) and conflicts, with another amount. Few keys have conflicts, so these are in a
 * list of their own. At most one body of a key may be accepted; `accepted_as` is the body of the
 * first 200.
 *
 * With a broker the dedupe store judges after the answer. What it finds late (an alias, a parked
 * conflict) is in the journal, and excuses further ids and amounts (join_late.h).
 *
 * Rows are referred to by their place, because the array moves when it grows. An event needs about
 * 140 bytes, with the indexes.
 */
#ifndef PENSTOCK_BENCH_VERDICT_KEYS_H
#define PENSTOCK_BENCH_VERDICT_KEYS_H

#include "common/run_log.h"
#include "verdict/index.h"

#define RUNS_MAX 64
#define RUN_NONE UINT8_MAX
#define CURRENCIES_MAX 64
#define PLACE_NONE INDEX_NONE
#define EVENT_BYTES 16

enum key_flag {
    KEY_SENT = 1 << 0,             /* its own body was sent */
    KEY_SENT_FRESH = 1 << 1,       /* as an original, not only as a duplicate */
    KEY_SENT_INVALID = 1 << 2,     /* as an event that must be rejected */
    KEY_GUARDED = 1 << 3,          /* by the generator or the journal */
    KEY_ACCEPTED = 1 << 4,         /* a sending of a valid body was answered 200 */
    KEY_FRESH_ANSWERED = 1 << 5,   /* a sending of the original was answered 200 */
    KEY_INVALID_ACCEPTED = 1 << 6, /* the invalid event was answered 200 */
    KEY_CONFLICT_POSSIBLE =
        1 << 7,              /* a conflict may have been accepted: its answer is missing or a 5xx */
    KEY_TWO_EVENTS = 1 << 8, /* in the journal */
    KEY_ID_SHARED = 1 << 9,  /* another key has one of its ids too */
    KEY_TWO_AMOUNTS = 1 << 10,
    KEY_IN_JOURNAL = 1 << 11
};

struct key {
    uint64_t number;
    uint64_t body_hash; /* of its own body */
    int64_t amount_micros;
    int64_t accepted_us;         /* when the first 200 arrived */
    int64_t journal_accepted_us; /* when the gateway accepted it, by the journal */
    int64_t journal_micros;
    int64_t sink_us; /* when the first request arrived that was answered 2xx; 0: none */
    int64_t sink_micros;
    int64_t due_us;       /* {due_us} in that request; 0: none */
    uint32_t id;          /* place of the first id */
    uint32_t conflict;    /* place of the first of its conflicts */
    uint32_t accepted_as; /* a conflict's place; PLACE_NONE: its own body */
    uint32_t request;     /* place of its last request at the sink (join_sink.c) */
    uint16_t flags;       /* enum key_flag */
    uint16_t refused;     /* how often its own body was answered 422 */
    uint16_t account;     /* index of the generator's --accounts */
    uint16_t sink_again;  /* requests that are duplicates (join_sink.c) */
    uint8_t run;
    uint8_t currency, journal_currency, sink_currency;
    /* enum delivery_state of the delivery that is furthest from delivered */
    uint8_t journal_state;
    uint8_t journal_deliveries; /* number of endpoints */
    uint8_t journal_delivered;
    uint8_t sink_delivered; /* paths that answered it 2xx */
    uint8_t other_ids;      /* ids after the first one */
    uint8_t late_ids;       /* of all its ids: those of aliases and late conflicts */
    uint8_t late_conflicts;
};

struct key_id {
    unsigned char bytes[EVENT_BYTES];
    uint32_t key; /* PLACE_NONE: an event of the journal that is not of these runs */
};

struct key_conflict {
    uint64_t body_hash;
    int64_t amount_micros;
    uint32_t next;
    uint8_t currency;
};

struct keys {
    struct key *keys;
    struct key_id *ids;
    struct key_conflict *conflicts;
    uint32_t count, ids_count, conflicts_count;
    uint32_t capacity, ids_capacity, conflicts_capacity;
    struct index by_number, by_id;
    unsigned runs_count, currencies_count;
    char runs[RUNS_MAX][RUN_NAME_BYTES];
    char currencies[CURRENCIES_MAX][CURRENCY_TEXT_BYTES]; /* the first is "": no amount */
};

void keys_init(struct keys *keys);
void keys_done(struct keys *keys);

/* Makes room for one more item in an array that doubles. ERR_NO_MEMORY leaves it unchanged. */
/* ERR_TOO_LARGE above the limits; ERR_NO_MEMORY. */
enum err keys_make_room(
    void **array, uint32_t *capacity, uint32_t count, size_t item_bytes) MUST_CHECK;
enum err keys_take_run(struct keys *keys, const char *run, uint8_t *ret_run) MUST_CHECK;
enum err keys_take_currency(
    struct keys *keys, const char currency[CURRENCY_TEXT_BYTES], uint8_t *ret_currency) MUST_CHECK;
enum err keys_take_key(
    struct keys *keys, uint8_t run, uint64_t number, uint32_t *ret_key) MUST_CHECK;
enum err keys_take_conflict(struct keys *keys, uint32_t key, const struct key_conflict *conflict,
    uint32_t *ret_conflict) MUST_CHECK;
/* Records that `key` (or PLACE_NONE) has this id. An id of another key sets KEY_ID_SHARED. */
enum err keys_take_id(
    struct keys *keys, uint32_t key, const unsigned char id[EVENT_BYTES]) MUST_CHECK;
bool keys_has_two_ids(const struct key *key);

uint8_t keys_find_run(const struct keys *keys, const char *run); /* or RUN_NONE */
/* PLACE_NONE when it was never sent, also for RUN_NONE and RUN_NO_NUMBER. */
uint32_t keys_find_key(const struct keys *keys, uint8_t run, uint64_t number);
uint32_t keys_find_id(const struct keys *keys,
    const unsigned char id[EVENT_BYTES]); /* place in `ids`, or PLACE_NONE */

bool keys_is_zero_id(const unsigned char id[EVENT_BYTES]);
/* Returns whether a body was sent that a gateway may accept: its own or a conflict. */
bool keys_is_valid(const struct key *key);
/* Returns the amount of the body that was answered 200; of its own body when there was none. */
void keys_accepted_money(
    const struct keys *keys, const struct key *key, int64_t *ret_micros, uint8_t *ret_currency);
/* Returns whether a body with this hash may be delivered: the one that was answered 200, or without
 * a 200 any that was sent. */
bool keys_may_deliver(const struct keys *keys, const struct key *key, uint64_t body_hash);
/* Returns whether any body with this hash was sent under the key. */
bool keys_was_sent(const struct keys *keys, const struct key *key, uint64_t body_hash);

#endif
