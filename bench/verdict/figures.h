/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the verdict knows of a run, in the order of the report. The joins (join.h) count what
 * they see record by record; figures_collect then walks the keys once and counts what can only be
 * told when all logs have met.
 *
 * Counts are of events (keys) unless the name says sendings, requests or answers. Shares are 0 to
 * 1.
 */
#ifndef PENSTOCK_BENCH_VERDICT_FIGURES_H
#define PENSTOCK_BENCH_VERDICT_FIGURES_H

#include "common/histogram.h"
#include "model/delivery_state.h"
#include "verdict/keys.h"

#define LOAD_KINDS (LOAD_INVALID + 1)
#define LOAD_ENDS (LOAD_UNFINISHED + 1)
#define SINK_DEEDS (SINK_NEVER_ENDED + 1)
#define STATUSES_MAX 1000
#define LOST_NAMED_MAX 10
#define REASONS_MAX 64
#define REASON_BYTES 240

typedef __int128 micros_sum; /* of millions of amounts: 64 bits would do for sane ones only */
#define MICROS_TEXT_BYTES 48

struct answers {
    uint64_t statuses[LOAD_KINDS][STATUSES_MAX];
    uint64_t ends[LOAD_KINDS][LOAD_ENDS];
    uint64_t sendings, again; /* all; those that are not the first of their event */
    uint64_t
        /* that came to an end, of events that are not invalid: what error_share is a share of */
        valid_sendings;
    uint64_t errors;   /* of those: 5xx, timeouts, broken */
    uint64_t said_yes; /* 200, accepted or duplicate */
    int64_t first_intended_us, last_answered_us;
    struct histogram times; /* intended to answered, of first sendings */
};

struct acceptance {
    uint64_t two_ids, shared_ids, two_amounts;
    uint64_t invalid_accepted;
    uint64_t
        /* answers: a 4xx other than 429 to an original or a duplicate, and no conflict explains it
         * */
        refused;
    uint64_t
        odd_answers; /* answers: a 200 that does not say accepted or duplicate, or no event id */
    uint64_t late_aliases,
        late_conflicts; /* with a broker, found by the dedupe store behind the answer: no faults */
};

enum lost_why {
    LOST_NOT_IN_JOURNAL,
    LOST_WITHOUT_DELIVERY,
    LOST_NOT_AT_SINK,
    LOST_NEVER_DELIVERED,
    LOST_WHYS
};
const char *lost_why_text(enum lost_why why);

struct lost_event {
    char run[RUN_NAME_BYTES];
    uint64_t number;
    unsigned char event[EVENT_BYTES]; /* zeros: no id is known */
    enum lost_why why;
};

struct fate {
    uint64_t sent;       /* originals */
    uint64_t answered;   /* originals with a 200 in the end */
    uint64_t accepted;   /* keys with a 200 */
    uint64_t unanswered; /* keys without a 200 that were taken all the same */
    uint64_t delivered;  /* of accepted: says the journal, or the sink when there is none */
    uint64_t states[DELIVERY_STATES]; /* of accepted, in the journal */
    uint64_t lost, lost_by[LOST_WHYS];
    size_t lost_named_count;
    struct lost_event lost_named[LOST_NAMED_MAX];
};

struct arrivals {
    uint64_t requests, foreign; /* all; those of the journal's events of other runs */
    uint64_t deeds[SINK_DEEDS], statuses[STATUSES_MAX];
    uint64_t successes; /* requests that were answered 2xx */
    int64_t first_success_us, last_success_us;
    uint64_t duplicated, guarded_duplicated; /* requests; the second are some of the first */
    uint64_t overlapping;    /* requests, not among the duplicated: see join_sink.c */
    uint64_t wrong_attempts; /* requests */
    uint64_t wrong_bytes, unknown, wrong_signatures, unchecked_signatures; /* requests */
    uint64_t unknown_in_journal;
    struct histogram freshness; /* accepted to the first request that was answered 2xx */
};

struct money {
    char currency[CURRENCY_TEXT_BYTES];
    micros_sum accepted;  /* by the 200s */
    micros_sum delivered; /* of those, as the sink saw them */
    micros_sum
        held; /* of those, what the journal has of the ones that the sink has not answered 2xx */
    micros_sum journal[DELIVERY_STATES];
    micros_sum unanswered; /* taken without a 200 */
};

enum usage_process { USAGE_GATEWAY, USAGE_BROKER, USAGE_LOAD, USAGE_SINK, USAGE_PROCESSES };

struct usage {
    bool is_given;
    struct usage_row {
        bool has_cpu, has_rss, has_syncs;
        double cpu_seconds;
        int64_t peak_rss_bytes, syncs;
    } processes[USAGE_PROCESSES];
    int64_t started_us, ended_us; /* 0: not given */
};

struct figures {
    bool has_journal;
    struct answers answers;
    struct acceptance acceptance;
    struct fate fate;
    struct arrivals arrivals;
    uint64_t
        /* events whose amount in the journal or at the sink is not what was accepted */
        wrong_amounts;
    unsigned money_count;
    struct money money[CURRENCIES_MAX];
    struct usage usage;
    size_t reasons_count; /* to fail; none: the run has passed */
    char reasons[REASONS_MAX][REASON_BYTES];
};

void figures_collect(struct figures *figures, const struct keys *keys);

double figures_availability(const struct figures *figures);
double figures_delivered_share(const struct figures *figures);
double figures_error_share(const struct figures *figures);
double figures_in_per_second(const struct figures *figures);
double figures_out_per_second(const struct figures *figures);
/* CPU seconds of a process for a million accepted events. */
double figures_cpu_per_million(const struct figures *figures, enum usage_process process);

/* accepted = delivered + held, and with a journal also the sum of its states. */
bool figures_money_adds_up(const struct figures *figures, const struct money *money);
micros_sum figures_journal_sum(const struct money *money);
/* A decimal with 2 to 6 digits behind the point. */
void figures_format_micros(micros_sum micros, char ret_text[MICROS_TEXT_BYTES]);

#endif
