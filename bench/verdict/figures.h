/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All figures of a run, in the order of the report. The joins (join.h) count record by record.
 * figures_collect then walks through the keys once, for the counts that need all logs.
 *
 * Counts are of events (keys), unless the name says sendings, requests or answers. Shares are from
 * 0 to 1.
 */
#ifndef PENSTOCK_BENCH_VERDICT_FIGURES_H
#define PENSTOCK_BENCH_VERDICT_FIGURES_H

#include "common/histogram.h"
#include "model/delivery_state.h"
#include "verdict/impact.h"
#include "verdict/keys.h"
#include "verdict/series.h"
#include "verdict/subset.h"

#define LOAD_KINDS (LOAD_INVALID + 1)
#define LOAD_ENDS (LOAD_UNFINISHED + 1)
#define SINK_DEEDS (SINK_NEVER_ENDED + 1)
#define STATUSES_MAX 1000
#define LOST_NAMED_MAX 10
#define REASONS_MAX 64
#define REASON_BYTES 240

struct answers {
    uint64_t statuses[LOAD_KINDS][STATUSES_MAX];
    uint64_t ends[LOAD_KINDS][LOAD_ENDS];
    uint64_t sendings, again; /* all; re-sends */
    /* sendings that ended, without invalid events: the denominator of error_share */
    uint64_t valid_sendings;
    uint64_t errors;   /* valid sendings that ended with a 5xx, timed out or broke */
    uint64_t said_yes; /* 200, accepted or duplicate */
    int64_t first_intended_us, last_answered_us;
    struct histogram times; /* intended to answered, of first sendings */
};

struct acceptance {
    uint64_t two_ids, shared_ids, two_amounts;
    uint64_t invalid_accepted;
    /* answers: a 4xx other than 429 to an original or duplicate without a conflict */
    uint64_t refused;
    uint64_t odd_answers; /* answers: a 200 without accepted or duplicate, or without an event id */
    uint64_t late_aliases,
        late_conflicts; /* with a broker: found by the dedupe store after the answer; no faults */
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
    unsigned char event[EVENT_BYTES]; /* zeros: unknown */
    enum lost_why why;
};

struct fate {
    uint64_t sent;       /* originals */
    uint64_t answered;   /* originals that were answered 200 in the end */
    uint64_t accepted;   /* keys with a 200 */
    uint64_t unanswered; /* keys without a 200 that were accepted nevertheless */
    uint64_t delivered;  /* of accepted: by the journal, or by the sink when there is no journal */
    uint64_t states[DELIVERY_STATES]; /* of accepted, in the journal */
    uint64_t lost, lost_by[LOST_WHYS];
    size_t lost_named_count;
    struct lost_event lost_named[LOST_NAMED_MAX];
};

struct arrivals {
    uint64_t requests, foreign; /* all; those for events of other runs in the journal */
    uint64_t deeds[SINK_DEEDS], statuses[STATUSES_MAX];
    uint64_t successes; /* requests that were answered 2xx */
    int64_t first_success_us, last_success_us;
    uint64_t duplicated, guarded_duplicated; /* requests; the second count is part of the first */
    uint64_t overlapping;                    /* requests that are not duplicated: see join_sink.c */
    uint64_t wrong_attempts;                 /* requests */
    uint64_t wrong_bytes, unknown, wrong_signatures, unchecked_signatures; /* requests */
    uint64_t unknown_in_journal;
    /* accepted (or the {due_us} that the request has) to the first request that was answered 2xx */
    struct histogram freshness;
};

struct money {
    char currency[CURRENCY_TEXT_BYTES];
    micros_sum accepted;  /* of events that were answered 200 */
    micros_sum delivered; /* of those, the ones that the sink answered 2xx */
    micros_sum held; /* of those, the ones that are in the journal, but not delivered at the sink */
    micros_sum journal[DELIVERY_STATES];
    micros_sum unanswered; /* accepted without a 200 */
};

enum usage_process { USAGE_GATEWAY, USAGE_BROKER, USAGE_LOAD, USAGE_SINK, USAGE_PROCESSES };

struct usage {
    bool is_given;
    struct usage_row {
        bool has_cpu, has_rss, has_syncs;
        double cpu_seconds;
        int64_t peak_rss_bytes, syncs;
    } processes[USAGE_PROCESSES];
    int64_t started_us, ended_us; /* 0: unknown */
};

/* What was measured. A target that is not Penstock has no journal. It may have ids of its own, or
 * none. Attempt numbers and amounts are not read from its requests: an event that arrives has the
 * amount that was posted. */
enum figures_target {
    TARGET_PENSTOCK,
    TARGET_SAME_BODY, /* a request has the bytes of one of the key's posts */
    TARGET_OTHER_BODY /* a request has a body of the target's own: it is not compared */
};

struct figures {
    enum figures_target target;
    bool has_journal;
    struct answers answers;
    struct acceptance acceptance;
    struct fate fate;
    struct arrivals arrivals;
    /* events whose amount in the journal or at the sink is not the accepted one */
    uint64_t wrong_amounts;
    unsigned money_count;
    struct money money[CURRENCIES_MAX];
    struct impacts impacts;
    struct usage usage;
    struct series series;
    unsigned subsets_count;
    struct subset subsets[SUBSETS_MAX];
    size_t reasons_count; /* reasons to fail; 0: the run has passed */
    char reasons[REASONS_MAX][REASON_BYTES];
};

/* `impacts.late_after_us` is set. */
void figures_collect(struct figures *figures, const struct keys *keys);

double figures_availability(const struct figures *figures);
double figures_delivered_share(const struct figures *figures);
double figures_error_share(const struct figures *figures);
double figures_in_per_second(const struct figures *figures);
double figures_out_per_second(const struct figures *figures);
/* Returns the CPU seconds of a process for a million accepted events. */
double figures_cpu_per_million(const struct figures *figures, enum usage_process process);

/* accepted = delivered + held; with a journal also = the sum of its states. */
bool figures_money_adds_up(const struct figures *figures, const struct money *money);
micros_sum figures_journal_sum(const struct money *money);

#endif
