/* SPDX-License-Identifier: Apache-2.0 */
/* What the totals say, before the walk and after it, held against what the walk has counted. */
#include "history/audit_internal.h"

#include "base/clock.h"
#include "history/reading.h"
#include "journal/totals.h"

#include <stdio.h>

/* Both take a row of the totals into its entry. */
typedef void take_total(
    const struct audit_run *run, struct audit_entry *entry, const struct total_row *row, bool good);

static void take_before(
    const struct audit_run *run, struct audit_entry *entry, const struct total_row *row, bool good)
{
    entry->since = run->through;
    entry->accepted_before = row->numbers[TOTAL_ACCEPTED].count;
    entry->expired_before =
        row->numbers[TOTAL_DELIVERED].count + row->numbers[TOTAL_DISCARDED].count;
}

static struct audit_number number_of(const struct total_number *number)
{
    return (struct audit_number){.count = number->count, .sum = number->sum};
}

static void take_after(
    const struct audit_run *run, struct audit_entry *entry, const struct total_row *row, bool good)
{
    struct audit_number delivered = number_of(&row->numbers[TOTAL_DELIVERED]);
    struct audit_number discarded = number_of(&row->numbers[TOTAL_DISCARDED]);
    entry->damaged = !good;
    entry->row.accepted = number_of(&row->numbers[TOTAL_ACCEPTED]);
    entry->expired = delivered.count + discarded.count;
    audit_number_add(entry, &entry->row.columns[AUDIT_DELIVERED], &delivered);
    audit_number_add(entry, &entry->row.columns[AUDIT_DISCARDED], &discarded);
}

static enum err read_day(struct audit_run *run, int64_t day, take_total *take)
{
    const char *account = run->question.account;
    struct sql_use use =
        sql_use(run->statements[*account ? ASK_TOTALS_OF_ACCOUNT : ASK_TOTALS_OF_DAY]);
    bool there = false;
    enum err result;
    sql_bind_int(&use, day);
    if (*account)
        sql_bind_text(&use, slice_from_string(account));
    while (!(result = sql_step(&use, &there)) && there) {
        struct total_row row;
        struct audit_entry *entry;
        bool good = total_row_take(&use, &row);
        const struct audit_key key = {
            run->shard, row.key.day, row.key.endpoint, row.key.account, row.key.currency};
        result = audit_sums_get(&run->sums, &key, run->since, &entry);
        if (result)
            break;
        take(run, entry, &row, good);
    }
    sql_finish(&use);
    return result;
}

/* The first day behind `day` that has totals, or INT64_MAX. */
static enum err next_day(struct audit_run *run, int64_t day, int64_t *ret_day)
{
    struct sql_use use = sql_use(run->statements[ASK_NEXT_DAY]);
    sql_bind_int(&use, day);
    enum err result = sql_execute_int(&use, ret_day);
    if (result == ERR_NOT_FOUND) {
        *ret_day = INT64_MAX;
        result = OK;
    }
    return result;
}

/* The events that may be of the days of this try, and what the totals hold of them so far. */
static enum err begin_try(struct audit_run *run)
{
    int64_t from_us =
        run->from_day > INT64_MIN / US_PER_DAY ? run->from_day * US_PER_DAY : INT64_MIN;
    int64_t end_us =
        run->to_day < INT64_MAX / US_PER_DAY ? (run->to_day + 1) * US_PER_DAY : INT64_MAX;
    enum err result = reading_meta(run->db, "totals_through", 0, &run->since);
    run->after_seq = 0;
    run->last_seq = INT64_MAX;
    if (!result && !run->whole)
        result = reading_find_range(run->db, from_us, end_us, &run->after_seq, &run->last_seq);
    if (result)
        return result;
    run->begun = true;
    run->cursor = run->after_seq;
    run->in_range = run->after_seq == 0;
    run->is_tail = false;
    run->totals_day = run->from_day == INT64_MIN ? INT64_MIN : run->from_day - 1;
    audit_sums_reset(&run->sums, run->shard, run->from_day, run->to_day, run->since);
    return OK;
}

enum err audit_read_totals_before(struct audit_run *run, bool *ret_more)
{
    int64_t day;
    enum err result = run->begun ? OK : begin_try(run);
    if (!result)
        result = reading_meta(run->db, "totals_through", 0, &run->through);
    while (!result && !(result = next_day(run, run->totals_day, &day)) && day <= run->to_day &&
           day != INT64_MAX) {
        result = read_day(run, day, take_before);
        run->totals_day = day;
        if (!result && audit_time_is_up(run)) {
            *ret_more = true;
            break;
        }
    }
    return result;
}

static bool is_of_try(const struct audit_run *run, const struct audit_entry *entry)
{
    return entry->shard == run->shard && entry->row.day >= run->from_day &&
           entry->row.day <= run->to_day;
}

enum err audit_read_totals_after(struct audit_run *run)
{
    int64_t day = run->from_day == INT64_MIN ? INT64_MIN : run->from_day - 1;
    enum err result = OK;
    while (
        !result && !(result = next_day(run, day, &day)) && day <= run->to_day && day != INT64_MAX)
        result = read_day(run, day, take_after);
    for (size_t i = 0; i < run->sums.count && !result; i++) {
        struct audit_entry *entry = &run->sums.entries[i];
        if (is_of_try(run, entry))
            entry->restless =
                !entry->damaged &&
                (entry->expired != entry->expired_before ||
                    entry->row.accepted.count - entry->accepted_before != entry->appended);
    }
    return result;
}

static void widen(struct audit_judgement *judgement, int64_t day)
{
    judgement->from_day = day < judgement->from_day ? day : judgement->from_day;
    judgement->to_day = day > judgement->to_day ? day : judgement->to_day;
}

void audit_judge(struct audit_run *run, struct audit_judgement *ret_judgement)
{
    struct audit_judgement certain = {.from_day = INT64_MAX, .to_day = INT64_MIN},
                           restless = certain;
    for (size_t i = 0; i < run->sums.count; i++) {
        struct audit_entry *entry = &run->sums.entries[i];
        if (is_of_try(run, entry))
            entry->row.adds_up = audit_entry_adds_up(entry);
        if (entry->shard == run->shard && !entry->row.adds_up && !run->totals_unreadable)
            widen(entry->restless ? &restless : &certain, entry->row.day);
    }
    restless.is_restless = restless.from_day <= restless.to_day;
    certain.is_wrong = certain.from_day <= certain.to_day;
    *ret_judgement = restless.is_restless ? restless : certain;
}

static void note_total(struct audit_run *run, const struct audit_entry *entry)
{
    const struct audit_row *row = &entry->row;
    struct audit_finding finding =
        audit_finding_of(entry->damaged ? AUDIT_DAMAGED_TOTAL : AUDIT_TOTALS, NULL);
    finding.day = row->day;
    finding.of_events = row->endpoint == TOTAL_EVENTS;
    finding.has_endpoint = !finding.of_events;
    finding.endpoint = finding.of_events ? 0 : row->endpoint;
    memcpy(finding.account, row->account, sizeof row->account);
    memcpy(finding.currency, row->currency, sizeof row->currency);
    finding.totals = row->accepted;
    finding.found = audit_row_found(row);
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, totals, day %lld", run->shard,
        (long long)row->day);
    audit_note(run, &finding);
}

/* The one endpoint of whose deliveries the totals have more than the rows; false when there are
 * several or none. */
static bool find_endpoint(
    const struct audit_run *run, const struct audit_finding *finding, uint64_t *ret_endpoint)
{
    const char *currency = *finding->amount ? finding->currency : "";
    unsigned count = 0;
    for (size_t i = 0; i < run->sums.count; i++) {
        const struct audit_entry *entry = &run->sums.entries[i];
        if (entry->shard != run->shard || entry->row.endpoint == TOTAL_EVENTS ||
            entry->row.adds_up || entry->row.day != finding->day ||
            strcmp(entry->row.account, finding->account) != 0 ||
            strcmp(entry->row.currency, currency) != 0 ||
            audit_row_found(&entry->row).count >= entry->row.accepted.count)
            continue;
        *ret_endpoint = entry->row.endpoint;
        count++;
    }
    return count == 1;
}

void audit_note_totals(struct audit_run *run)
{
    for (size_t i = run->findings_of_others; i < run->findings_count; i++) {
        struct audit_finding *finding = &run->findings[i];
        bool is_uncounted =
            finding->kind == AUDIT_MISSING_DELIVERY || finding->kind == AUDIT_DAMAGED_DELIVERY;
        if (is_uncounted && !finding->has_endpoint)
            finding->has_endpoint = find_endpoint(run, finding, &finding->endpoint);
    }
    for (size_t i = 0; i < run->sums.count && !run->totals_unreadable; i++) {
        const struct audit_entry *entry = &run->sums.entries[i];
        if (entry->shard == run->shard && !entry->row.adds_up)
            note_total(run, entry);
    }
}
