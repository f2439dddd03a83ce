/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run means for the business: events and money that were lost, sent twice, late, parked,
 * refused, or that still wait at the end. Each has one sentence that a manager understands.
 *
 *   lost        answered 200, and never arrived (figures.h says how that is found)
 *   duplicated  arrived again after a 2xx; its money counts once for each further arrival
 *   late        arrived later than the service level for freshness
 *   parked      accepted; its delivery is parked, or is dead after its last attempt
 *   refused     no sending of it was answered 200, and the gateway does not have it
 *   waiting     accepted; its delivery has not ended
 *
 * Without a journal nobody knows what is parked or waiting: such an event counts as lost.
 */
#ifndef PENSTOCK_BENCH_VERDICT_IMPACT_H
#define PENSTOCK_BENCH_VERDICT_IMPACT_H

#include "verdict/keys.h"
#include "verdict/micros.h"
#include "verdict/series.h"

enum impact {
    IMPACT_LOST,
    IMPACT_DUPLICATED,
    IMPACT_LATE,
    IMPACT_PARKED,
    IMPACT_REFUSED,
    IMPACT_WAITING,
    IMPACTS
};

struct impacts {
    int64_t late_after_us;
    struct impact_row {
        uint64_t events;
        uint64_t arrivals; /* of IMPACT_DUPLICATED: those after the first one */
        micros_sum money[CURRENCIES_MAX];
    } rows[IMPACTS];
    struct small_histogram late; /* freshness of the late ones */
};

const char *impact_name(enum impact impact);
bool impact_is_known(enum impact impact, bool has_journal);

void impact_add(struct impacts *impacts, enum impact impact, int64_t micros, uint8_t currency);
/* `arrivals`: after the first one. */
void impact_add_duplicated(
    struct impacts *impacts, unsigned arrivals, int64_t micros, uint8_t currency);
/* Ignores what is not late. */
void impact_add_late(
    struct impacts *impacts, int64_t freshness_us, int64_t micros, uint8_t currency);

struct figures;
#define IMPACT_SENTENCE_BYTES 512
void impact_sentence(
    const struct figures *figures, enum impact impact, char ret_text[IMPACT_SENTENCE_BYTES]);

#endif
