/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of each event: a pure function of its number and the run's seed. So a re-send or a
 * duplicate is made again byte for byte and need not be kept. Two runs with the same seed post the
 * same events.
 *
 * A body begins with its id, "<run>-<number of the original>" (run_log.h), and is filled up to its
 * size with letters.
 */
#ifndef PENSTOCK_BENCH_LOAD_MIX_H
#define PENSTOCK_BENCH_LOAD_MIX_H

#include "base/err.h"
#include "common/run_log.h"

#include <stdbool.h>

#define MIX_ACCOUNTS_MAX 4096
#define MIX_TYPES_MAX 16
#define MIX_NAME_BYTES 65
#define MIX_BODY_BYTES_MAX 65536

struct mix {
    char run[RUN_NAME_BYTES];
    uint64_t seed;
    unsigned accounts_count;
    unsigned first_account; /* those before it get no events: they are of another generator */
    char (*accounts)[MIX_NAME_BYTES]; /* malloc'd */
    unsigned types_count, types_weight;
    struct {
        char name[MIX_NAME_BYTES];
        unsigned weight;
        bool money, guarded;
    } types[MIX_TYPES_MAX];
    double duplicates, conflicts, invalid; /* shares of all events */
    /* a duplicate or conflict comes up to so many events later; half of them come at once */
    int64_t duplicate_lag_max;
    int64_t body_bytes_min, body_bytes_max;
};

void mix_init(struct mix *mix);
void mix_done(struct mix *mix);

/* "acc_1,acc_2", or "acc_%d*100" for acc_0 .. acc_99; "purchase=70,lead=30". Return false when the
 * text is malformed or has too many items. */
bool mix_set_accounts(struct mix *mix, const char *text);
bool mix_set_types(struct mix *mix, const char *text);

struct mix_event {
    enum load_kind kind;
    uint64_t original;
    unsigned account, type;
    int64_t amount_micros; /* 0 without an amount */
    const char *currency;  /* "" without an amount */
    bool guarded;
};

void mix_event(const struct mix *mix, uint64_t number, struct mix_event *ret_event);
/* Writes the body. Returns its length, at most MIX_BODY_BYTES_MAX. */
size_t mix_body(
    const struct mix *mix, const struct mix_event *event, char ret_body[MIX_BODY_BYTES_MAX]);

/* For bodies of another form (post.h): the length that the event's body should have, and `len`
 * letters to fill it up. */
size_t mix_body_size(const struct mix *mix, const struct mix_event *event);
void mix_fill(const struct mix *mix, const struct mix_event *event, char *ret_text, size_t len);

#endif
