/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the audit (audit.h explains what it does), on the reader's thread: shard after shard,
 * and in each shard phase after phase.
 *
 *   totals     reads the totals before the walk, to find out later what moved them
 *     |        (audit_compare.c)
 *   history    walks over events and deliveries in order of their numbers, up to the last event
 *     |        that the totals hold (audit_walk.c). The transaction that reads the last of them
 *     |        reads the totals again, and the events that are not in them yet
 *     |
 *     |--> totals    a total that does not add up was moved by an expiry or a routing: its days
 *     |              again, after a pause
 *   attempts, actions, conflicts, lost, dedupe    checksums, and events that only another table
 *                                                 has (audit_records.c)
 *
 * Each phase is a function that works in one transaction until it has finished or `deadline_us` has
 * passed. It leaves its cursor in the run, and is called again.
 */
#ifndef PENSTOCK_HISTORY_AUDIT_INTERNAL_H
#define PENSTOCK_HISTORY_AUDIT_INTERNAL_H

#include "history/audit_sums.h"
#include "model/event.h"
#include "sqlite/sql.h"

enum audit_phase {
    PHASE_TOTALS,
    PHASE_HISTORY,
    PHASE_ATTEMPTS,
    PHASE_ACTIONS,
    PHASE_CONFLICTS,
    PHASE_LOST,
    PHASE_DEDUPE,
    AUDIT_PHASES
};

enum audit_statement {
    ASK_EVENTS,
    ASK_DELIVERIES,
    ASK_BODY,
    ASK_NEXT_DAY,
    ASK_TOTALS_OF_DAY,
    ASK_TOTALS_OF_ACCOUNT,
    ASK_ATTEMPTS,
    ASK_ACTIONS,
    ASK_CONFLICTS,
    ASK_LOST,
    ASK_EVENT,
    ASK_EVENT_OF_ID,
    ASK_NEXT_SEGMENT,
    AUDIT_STATEMENTS
};

#define AUDIT_SEGMENT_BYTES 64 /* a name of a dedupe store's table */

struct audit_run {
    /* immutable */
    struct audit_question question;
    const char *directory;
    unsigned shards;

    /* what has been found */
    struct audit_sums sums;
    struct audit_finding *findings;
    size_t findings_count;
    int64_t findings_more;

    /* of the step */
    int64_t step_us;     /* READING_US_MAX; a test may lower it */
    int64_t deadline_us; /* monotonic */
    int64_t pause_us;    /* before the next one */
    unsigned rests;      /* in a row, since the file was busy or its WAL large */

    /* of the shard */
    unsigned shard;
    struct sqlite3 *db; /* NULL: it has not been begun */
    struct sqlite3_stmt *statements[AUDIT_STATEMENTS];
    enum audit_phase phase;

    /* of its walk */
    unsigned tries;
    bool whole;               /* not only what the days' first and last events enclose */
    int64_t from_day, to_day; /* of this try */
    bool begun;               /* the range has been found */
    int64_t since;            /* what the totals held when the try began */
    int64_t totals_day;       /* the last that has been read */
    int64_t through;          /* the last event that they hold, of this transaction */
    bool totals_unreadable;   /* nothing can be held against the rows */
    int64_t after_seq, last_seq;
    int64_t cursor;                  /* the last event that has been walked */
    bool in_range;                   /* the last event was of a day that is asked for */
    bool is_tail;                    /* what is walked is not in the totals yet */
    int64_t skip, skipped_to;        /* past events that cannot be read */
    int64_t noted_after, noted_last; /* events whose findings have been noted, by an earlier try */
    int64_t restless_day;            /* for which the run has been given up, or -1 */
    size_t findings_of_others;       /* of earlier shards */

    /* of the other phases */
    int64_t at, at_number;             /* the last row */
    char segment[AUDIT_SEGMENT_BYTES]; /* of the dedupe store; empty: none yet */
    int64_t segment_day;
    struct sqlite3_stmt *segment_rows;
    int64_t horizon_us; /* events that were accepted until then may have expired */
};

/* Notes one, as far as there is room; `finding` is copied. */
void audit_note(struct audit_run *run, const struct audit_finding *finding);
/* Notes that a part of the shard's file cannot be read: `what`, behind this number. */
void audit_note_unreadable(struct audit_run *run, const char *what, int64_t behind);
/* The losses that concern the question. */
void audit_note_losses(struct audit_run *run, const struct audit_loss *losses, size_t count);
/* A finding about an event, which may be damaged itself, or NULL. */
struct audit_finding audit_finding_of(enum audit_kind kind, const struct event_parts *parts);
void audit_set_text(char *ret_text, size_t size, struct slice text); /* cut to its size */

static inline bool audit_asks_for_day(const struct audit_run *run, int64_t day)
{
    return day >= run->question.from_day && day <= run->question.to_day;
}

/* False for operator events as well: they are in no total. */
bool audit_asks_for_event(const struct audit_run *run, struct slice partner, struct slice account);
bool audit_time_is_up(const struct audit_run *run);

/* Walks from `cursor` to the event `last_seq`. *ret_more: the time was up before. ERR_DAMAGED: the
 * events behind `cursor` cannot be read. */
enum err audit_walk(struct audit_run *run, int64_t last_seq, bool *ret_more) MUST_CHECK;

enum err audit_read_totals_before(struct audit_run *run, bool *ret_more) MUST_CHECK;
/* In the transaction in which the walk has reached what they hold. */
enum err audit_read_totals_after(struct audit_run *run) MUST_CHECK;

/* Whether the shard's entries add up, and the days on which some do not: the days whose total was
 * moved by something else than appended events, or else the days that are wrong for certain. */
struct audit_judgement {
    bool is_restless, is_wrong;
    int64_t from_day, to_day;
};
void audit_judge(struct audit_run *run, struct audit_judgement *ret_judgement);
/* Names what does not, and the endpoints of deliveries that are missing. */
void audit_note_totals(struct audit_run *run);

enum err audit_check_attempts(struct audit_run *run, bool *ret_more) MUST_CHECK;
enum err audit_check_actions(struct audit_run *run, bool *ret_more) MUST_CHECK;
enum err audit_check_conflicts(struct audit_run *run, bool *ret_more) MUST_CHECK;
enum err audit_check_lost(struct audit_run *run, bool *ret_more) MUST_CHECK;
enum err audit_check_dedupe(struct audit_run *run, bool *ret_more) MUST_CHECK;

/* The whole run. */
enum err audit_run_new(const struct audit_question *question, const char *directory,
    unsigned shards, struct audit_run **ret_run) MUST_CHECK;
void audit_run_free(struct audit_run *run); /* takes NULL */
/* Works for about READING_US_MAX; then there is more to do, or the audit is made, which the caller
 * owns. With a pause the next step is to come later. */
enum err audit_run_step(struct audit_run *run, bool *ret_more, int64_t *ret_pause_us,
    struct audit **ret_audit) MUST_CHECK;

#endif
