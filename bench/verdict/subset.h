/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a run's events with figures of its own: for example those of the clients that do not
 * hang, accepted while the others do. A text describes it, a name and words in any order:
 *
 *   healthy accounts=0-19 accepted=20s..65s p99=250ms
 *
 *   accounts=FIRST-LAST    the places of the accounts in the generator's --accounts; or one place
 *   accepted=FROM..TO      accepted within that time, since the first event of the run was due
 *   delivered=FROM..TO     the first 2xx within that time; events without a 2xx are in it as well
 *   p99=DURATION           the level: at most this p99 of freshness, and every event delivered
 *   answers=DURATION       the level: at most this p99 of the times of answers
 *
 * Either end of a time may be missing. TO is not included. Without words every event is in it.
 *
 * Freshness is that of delivered events. The number of the others is always beside it: an event
 * that is never delivered has no freshness, and must not make a subset look better.
 *
 * Times of answers are those of first sendings to the accounts, from when they were due to the end
 * of the answer. For them the time of `accepted` is when they were due, since a sending without an
 * answer was accepted at no time. `delivered` means nothing to them.
 */
#ifndef PENSTOCK_BENCH_VERDICT_SUBSET_H
#define PENSTOCK_BENCH_VERDICT_SUBSET_H

#include "common/histogram.h"

#include <stdbool.h>

#define SUBSETS_MAX 16
#define SUBSET_NAME_BYTES 48
#define SUBSET_ACCOUNTS_MAX 4096 /* the generator has no more */
#define SUBSET_SECONDS_MAX 7200  /* deliveries later than that are not in per_second */
#define SUBSET_NEVER INT64_MAX

struct subset_time {
    int64_t from_us, to_us; /* since the first event was due; `to` is not included */
};

struct subset_spec {
    char name[SUBSET_NAME_BYTES];
    unsigned first_account, last_account;
    struct subset_time accepted, delivered;
    bool is_judged; /* by freshness */
    int64_t p99_max_us;
    bool has_answers_level;
    int64_t answers_p99_max_us;
};

/* Times are since the first event was due. */
struct subset {
    struct subset_spec spec;
    uint64_t events, delivered;
    struct histogram freshness, answers;
    int64_t first_us, last_us; /* the first and the last delivery; SUBSET_NEVER: none */
    struct {
        uint32_t events;
        int64_t first_us; /* SUBSET_NEVER: no delivery */
    } accounts[SUBSET_ACCOUNTS_MAX];
    uint32_t per_second[SUBSET_SECONDS_MAX]; /* deliveries */
};

/* On false *ret_problem says what is wrong (static). */
bool subset_parse(const char *text, struct subset_spec *ret_spec, const char **ret_problem);

void subset_init(struct subset *subset, const struct subset_spec *spec);
/* Counts an accepted event if it is in the subset. `delivered_us` SUBSET_NEVER: no 2xx. */
void subset_take(
    struct subset *subset, unsigned account, int64_t accepted_us, int64_t delivered_us);
/* Counts the end of a first sending if it is in the subset. */
void subset_take_answer(struct subset *subset, unsigned account, int64_t due_us, int64_t took_us);

int64_t subset_p99_us(const struct subset *subset); /* of freshness */
int64_t subset_answers_p99_us(const struct subset *subset);
/* Each is true for a subset without that level. */
bool subset_is_fresh(const struct subset *subset);    /* has events, all delivered, p99 within */
bool subset_is_answered(const struct subset *subset); /* has answers, p99 within */
bool subset_is_met(const struct subset *subset);      /* both */
bool subset_is_met(const struct subset *subset);

/* Returns when the account whose deliveries begin last has its first one. SUBSET_NEVER when an
 * account with events has none, or when there is no event. */
int64_t subset_slowest_start_us(const struct subset *subset);

#endif
