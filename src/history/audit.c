/* SPDX-License-Identifier: Apache-2.0 */
#include "history/audit_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "history/reading.h"
#include "journal/delivery_row.h"
#include "journal/delivery_rows.h"
#include "journal/duplicate_rows.h"
#include "journal/lost.h"
#include "journal/totals.h"
#include "sqlite/database.h"

#define CACHE_KIB 2048

/* The last part of a walk, in whose transaction the totals are read, takes no longer than this: the
 * totals need some time themselves. */
#define CLOSING_US_MAX 10000

/* A total that moves is looked at again after 0.1, 0.2, 0.4 s and so on: 25 s in all. */
#define TRIES_MAX 9
#define FIRST_PAUSE_US (100 * US_PER_MS)

#define REST_US (100 * US_PER_MS)
#define RESTS_MAX 600

#define SKIP_MIN 16 /* event numbers, where the file cannot be read; doubled from try to try */

static const char *const texts[AUDIT_STATEMENTS] = {
    [ASK_EVENTS] = "SELECT " EVENT_COLUMNS " FROM events WHERE seq > ? AND seq <= ? ORDER BY seq",
    [ASK_DELIVERIES] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id >= ? AND id <= ? ORDER BY id",
    [ASK_BODY] = "SELECT body, crc FROM bodies WHERE seq = ?",
    [ASK_NEXT_DAY] = "SELECT day FROM totals WHERE day > ? ORDER BY day LIMIT 1",
    [ASK_TOTALS_OF_DAY] = "SELECT " TOTAL_TABLE_COLUMNS " FROM totals WHERE day = ?",
    [ASK_TOTALS_OF_ACCOUNT] =
        "SELECT " TOTAL_TABLE_COLUMNS " FROM totals WHERE day = ? AND account = ?",
    [ASK_ATTEMPTS] = "SELECT " ATTEMPT_COLUMNS
                     " FROM attempts WHERE (delivery, number) > (?, ?) AND delivery < ?"
                     " ORDER BY delivery, number",
    [ASK_ACTIONS] = "SELECT delivery, at_us, from_state, to_state, generation, from_endpoint, "
                    "to_endpoint, actor, note, crc, seq"
                    " FROM operator_actions WHERE seq > ? ORDER BY seq",
    [ASK_CONFLICTS] = "SELECT " CONFLICT_COLUMNS " FROM conflicts WHERE seq > ? ORDER BY seq",
    [ASK_LOST] = "SELECT " LOST_COLUMNS " FROM lost WHERE id NOT IN (SELECT id FROM events)"
                 " AND id NOT IN (SELECT id FROM aliases) ORDER BY id",
    [ASK_EVENT] = "SELECT " EVENT_COLUMNS " FROM events WHERE seq = ?",
    [ASK_EVENT_OF_ID] = "SELECT seq FROM events WHERE id = ?",
    [ASK_NEXT_SEGMENT] =
        ("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dedupe_[co]_*'"
         " AND name > ? ORDER BY name"),
};

/* The history. */

static void begin_walk(struct audit_run *run, int64_t from_day, int64_t to_day)
{
    run->from_day = from_day;
    run->to_day = to_day;
    run->begun = false;
    run->phase = PHASE_TOTALS;
}

/* Passes over the events that cannot be read, in growing steps. */
static void skip(struct audit_run *run, int64_t last_seq)
{
    bool continues = run->skip && run->cursor == run->skipped_to;
    if (!continues)
        audit_note_unreadable(run, "events or deliveries, event number", run->cursor);
    run->skip = continues ? run->skip * 2 : SKIP_MIN;
    run->cursor = run->skip < last_seq - run->cursor ? run->cursor + run->skip : last_seq;
    run->skipped_to = run->cursor;
}

/* Reads the totals, and walks what is not in them yet. */
static enum err close_walk(struct audit_run *run)
{
    bool more;
    enum err result = audit_read_totals_after(run);
    if (result == ERR_DAMAGED) {
        run->totals_unreadable = true;
        audit_note_unreadable(run, "totals", 0);
        result = OK;
    }
    run->is_tail = true;
    run->deadline_us = INT64_MAX; /* the events of about a second */
    if (!result)
        result = audit_walk(run, run->last_seq, &more);
    return result;
}

/* After a try: the next phase, or another try. */
static enum err judge(struct audit_run *run)
{
    struct audit_judgement judgement;
    audit_judge(run, &judgement);
    if (run->tries++ == 0 || run->after_seq < run->noted_after)
        run->noted_after = run->after_seq;
    if (run->cursor > run->noted_last)
        run->noted_last = run->cursor;
    if (judgement.is_restless && run->tries >= TRIES_MAX) {
        run->restless_day = judgement.from_day;
        return ERR_UNAVAILABLE;
    }
    if (judgement.is_restless) {
        run->pause_us = FIRST_PAUSE_US << (run->tries - 1);
        begin_walk(run, judgement.from_day, judgement.to_day);
        return OK;
    }
    if (judgement.is_wrong &&
        !run->whole) { /* events of the day may lie elsewhere, after a jump of the clock */
        run->whole = true;
        begin_walk(run, judgement.from_day, judgement.to_day);
        return OK;
    }
    audit_note_totals(run);
    run->phase++;
    return OK;
}

static enum err walk_history(struct audit_run *run, bool *ret_more)
{
    int64_t began_us = clock_mono_us();
    enum err result = reading_meta(run->db, "totals_through", 0, &run->through);
    int64_t last_seq = run->through < run->last_seq ? run->through : run->last_seq;
    if (!result)
        result = audit_walk(run, last_seq, ret_more);
    if (result == ERR_DAMAGED) {
        skip(run, last_seq);
        *ret_more = true;
        result = OK;
    }
    if (result || *ret_more)
        return result;
    run->cursor = run->cursor > last_seq ? run->cursor : last_seq;
    if (clock_mono_us() - began_us > CLOSING_US_MAX) {
        *ret_more = true;
        return OK;
    }
    return close_walk(run);
}

/* The run. */

static const struct {
    enum err (*work)(struct audit_run *run, bool *ret_more);
    const char *what;
} phases[AUDIT_PHASES] = {
    [PHASE_TOTALS] = {audit_read_totals_before, "totals"},
    [PHASE_HISTORY] = {walk_history, "events"},
    [PHASE_ATTEMPTS] = {audit_check_attempts, "attempts"},
    [PHASE_ACTIONS] = {audit_check_actions, "operator_actions"},
    [PHASE_CONFLICTS] = {audit_check_conflicts, "conflicts"},
    [PHASE_LOST] = {audit_check_lost, "lost"},
    [PHASE_DEDUPE] = {audit_check_dedupe, "dedupe"},
};

enum err audit_run_new(const struct audit_question *question, const char *directory,
    unsigned shards, struct audit_run **ret_run)
{
    struct audit_run *run;
    MEMORY_NEW(run);
    run->question = *question;
    run->directory = directory;
    run->shards = shards;
    run->restless_day = -1;
    run->step_us = READING_US_MAX;
    run->findings = malloc(AUDIT_FINDINGS_MAX * sizeof run->findings[0]);
    audit_sums_init(&run->sums);
    if (!run->findings) {
        audit_run_free(run);
        return ERR_NO_MEMORY;
    }
    *ret_run = run;
    return OK;
}

static void leave_shard(struct audit_run *run)
{
    sql_finalize(TAKE(run->segment_rows));
    sql_finalize_all(run->statements, AUDIT_STATEMENTS);
    memset(run->statements, 0, sizeof run->statements);
    sql_close(TAKE(run->db));
}

void audit_run_free(struct audit_run *run)
{
    if (!run)
        return;
    leave_shard(run);
    audit_sums_done(&run->sums);
    free(run->findings);
    free(run);
}

static enum err enter_shard(struct audit_run *run)
{
    const struct audit_question *question = &run->question;
    enum err result = reading_open(run->directory, run->shard, CACHE_KIB, &run->db);
    if (!result)
        result = sql_prepare_all(run->db, texts, AUDIT_STATEMENTS, run->statements);
    if (result) {
        leave_shard(run);
        return result;
    }
    run->whole = question->from_day == INT64_MIN && question->to_day == INT64_MAX;
    run->tries = 0;
    run->totals_unreadable = false;
    run->skip = run->skipped_to = run->noted_after = run->noted_last = 0;
    run->findings_of_others = run->findings_count;
    run->at = run->at_number = 0;
    *run->segment = '\0';
    begin_walk(run, question->from_day, question->to_day);
    return OK;
}

/* One transaction of the phase, and what follows from how it ended. */
static enum err work(struct audit_run *run)
{
    bool more = false;
    enum audit_phase phase = run->phase;
    enum err result = reading_begin(run->db);
    if (!result)
        result = phases[phase].work(run, &more);
    reading_end(run->db);
    if (result == ERR_DAMAGED) {
        audit_note_unreadable(run, phases[phase].what, run->at);
        run->totals_unreadable |= phase == PHASE_TOTALS;
        result = OK;
        more = false;
    }
    if (result || more)
        return result;
    if (phase == PHASE_HISTORY)
        return judge(run);
    run->phase++;
    run->at = run->at_number = 0;
    return OK;
}

static enum err rest(struct audit_run *run)
{
    if (++run->rests > RESTS_MAX)
        return ERR_UNAVAILABLE;
    run->pause_us = REST_US;
    return OK;
}

/* Phases as long as there is time. */
static enum err step(struct audit_run *run)
{
    int64_t until_us = clock_mono_us() + run->step_us;
    do {
        enum err result = run->db ? OK : enter_shard(run);
        if (!result && reading_must_rest(run->db))
            return rest(run);
        run->deadline_us = until_us;
        if (!result)
            result = work(run);
        if (result == ERR_UNAVAILABLE && run->restless_day < 0) /* the file was busy */
            return rest(run);
        if (result)
            return result;
        run->rests = 0;
        if (run->phase == AUDIT_PHASES) {
            leave_shard(run);
            run->shard++;
        }
    } while (run->shard < run->shards && run->pause_us == 0 && clock_mono_us() < until_us);
    return OK;
}

static enum err finish(struct audit_run *run, struct audit **ret_audit)
{
    enum err result = audit_sums_make_audit(&run->sums, ret_audit);
    if (result)
        return result;
    (*ret_audit)->findings = TAKE(run->findings);
    (*ret_audit)->findings_count = run->findings_count;
    (*ret_audit)->findings_more = run->findings_more;
    return OK;
}

enum err audit_run_step(
    struct audit_run *run, bool *ret_more, int64_t *ret_pause_us, struct audit **ret_audit)
{
    run->pause_us = 0;
    enum err result = step(run);
    if (result)
        return result;
    *ret_pause_us = run->pause_us;
    *ret_more = run->shard < run->shards;
    return *ret_more ? OK : finish(run, ret_audit);
}
