/* SPDX-License-Identifier: Apache-2.0 */
#include "history/audit_sums.h"

#include "base/crypto.h"
#include "base/memory.h"
#include "journal/totals.h"

#include <stdio.h>

#define BUCKETS 16384

enum audit_column audit_column_of(enum delivery_state state, bool was_delivered)
{
    static const enum audit_column columns[DELIVERY_STATES] = {
        [DELIVERY_PENDING] = AUDIT_IN_PROGRESS,
        [DELIVERY_SENDING] = AUDIT_IN_PROGRESS,
        [DELIVERY_WAITING] = AUDIT_IN_PROGRESS,
        [DELIVERY_PARKED] = AUDIT_PARKED,
        [DELIVERY_DELIVERED] = AUDIT_DELIVERED,
        [DELIVERY_DEAD] = AUDIT_DEAD,
        [DELIVERY_DISCARDED] = AUDIT_DISCARDED,
    };
    return was_delivered ? AUDIT_DELIVERED : columns[state];
}

void audit_sums_init(struct audit_sums *sums)
{
    *sums = (struct audit_sums){.buckets = memory_new_array(BUCKETS, sizeof sums->buckets[0])};
    crypto_random(sums->seed.bytes, sizeof sums->seed.bytes);
}

void audit_sums_done(struct audit_sums *sums)
{
    free(sums->buckets);
    free(sums->entries);
    *sums = (struct audit_sums){0};
}

/* A text that is longer is damaged, and named as such. */
static struct slice cut(struct slice text, size_t len_max)
{
    return slice_of(text.data, text.len < len_max ? text.len : len_max);
}

static bool is_entry_of(const struct audit_entry *entry, const struct audit_key *key)
{
    return entry->shard == key->shard && entry->row.day == key->day &&
           entry->row.endpoint == key->endpoint &&
           slice_equals_string(key->account, entry->row.account) &&
           slice_equals_string(key->currency, entry->row.currency);
}

static bool make_room(struct audit_sums *sums)
{
    if (sums->count < sums->capacity)
        return true;
    size_t capacity = sums->capacity ? sums->capacity * 2 : 256;
    struct audit_entry *larger = realloc(sums->entries, capacity * sizeof *larger);
    if (!larger)
        return false;
    sums->entries = larger;
    sums->capacity = capacity;
    return true;
}

enum err audit_sums_get(struct audit_sums *sums, const struct audit_key *key, int64_t since,
    struct audit_entry **ret_entry)
{
    struct audit_key wanted = *key;
    wanted.account = cut(key->account, NAME_BYTES_MAX);
    wanted.currency = cut(key->currency, CURRENCY_BYTES);
    uint64_t hash =
        hash_siphash(&sums->seed, wanted.account) ^ wanted.endpoint * 31 ^ (uint64_t)wanted.day;
    uint32_t *bucket = &sums->buckets[(hash ^ hash >> 32) % BUCKETS];
    for (uint32_t at = *bucket; at; at = sums->entries[at - 1].next) {
        if (is_entry_of(&sums->entries[at - 1], &wanted)) {
            *ret_entry = &sums->entries[at - 1];
            return OK;
        }
    }
    bool of_events = wanted.endpoint == TOTAL_EVENTS;
    if ((of_events ? sums->events_count : sums->count - sums->events_count) == AUDIT_ROWS_MAX)
        return ERR_TOO_LARGE;
    if (!make_room(sums))
        return ERR_NO_MEMORY;
    struct audit_entry *entry = &sums->entries[sums->count++];
    *entry = (struct audit_entry){
        .row = {.day = wanted.day, .endpoint = wanted.endpoint},
        .shard = wanted.shard,
        .since = since,
        .next = *bucket,
    };
    snprintf(entry->row.account, sizeof entry->row.account, "%.*s", SLICE_ARGS(wanted.account));
    snprintf(entry->row.currency, sizeof entry->row.currency, "%.*s", SLICE_ARGS(wanted.currency));
    sums->events_count += of_events;
    *bucket = (uint32_t)sums->count;
    *ret_entry = entry;
    return OK;
}

void audit_sums_reset(
    struct audit_sums *sums, unsigned shard, int64_t from_day, int64_t to_day, int64_t since)
{
    for (size_t i = 0; i < sums->count; i++) {
        struct audit_entry *entry = &sums->entries[i];
        if (entry->shard != shard || entry->row.day < from_day || entry->row.day > to_day)
            continue;
        memset(entry->row.columns, 0, sizeof entry->row.columns);
        entry->row.accepted = (struct audit_number){0};
        entry->since = since;
        entry->accepted_before = entry->expired_before = entry->appended = entry->expired = 0;
        entry->damaged = entry->overflow = entry->restless = false;
    }
}

void audit_number_add(
    struct audit_entry *entry, struct audit_number *number, const struct audit_number *added)
{
    number->count += added->count;
    if (!money_sum_add_sum(&number->sum, &added->sum, 1))
        entry->overflow = true;
}

struct audit_number audit_row_found(const struct audit_row *row)
{
    struct audit_number found = {0};
    for (int i = 0; i < AUDIT_COLUMNS; i++) {
        found.count += row->columns[i].count;
        /* A sum that overflows has overflown before. */
        (void)!money_sum_add_sum(&found.sum, &row->columns[i].sum, 1);
    }
    return found;
}

bool audit_entry_adds_up(const struct audit_entry *entry)
{
    struct audit_number found = audit_row_found(&entry->row);
    return !entry->damaged && !entry->overflow && found.count == entry->row.accepted.count &&
           found.sum.units == entry->row.accepted.sum.units;
}

/* What the requester gets. */

/* All that was accepted went to an endpoint later. */
static bool is_empty(const struct audit_row *row)
{
    bool empty = row->adds_up && row->accepted.count == 0 && row->accepted.sum.units == 0;
    for (int i = 0; i < AUDIT_COLUMNS; i++)
        empty = empty && row->columns[i].count == 0 && row->columns[i].sum.units == 0;
    return empty;
}

static int compare_rows(const void *one, const void *other)
{
    const struct audit_row *a = one, *b = other;
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    int by_account = strcmp(a->account, b->account);
    if (by_account)
        return by_account;
    if (a->endpoint != b->endpoint)
        return a->endpoint < b->endpoint ? -1 : 1;
    return strcmp(a->currency, b->currency);
}

static int compare_totals(const void *one, const void *other)
{
    const struct audit_total *a = one, *b = other;
    int by_account = strcmp(a->account, b->account);
    return by_account ? by_account : strcmp(a->currency, b->currency);
}

static void add_number(struct audit_number *number, const struct audit_number *added)
{
    number->count += added->count;
    (void)!money_sum_add_sum(&number->sum, &added->sum, 1); /* 10^11 of the largest amounts fit */
}

static void add_row(struct audit_total *total, const struct audit_row *row, bool of_events)
{
    add_number(of_events ? &total->events : &total->deliveries, &row->accepted);
    for (int column = 0; column < AUDIT_COLUMNS && !of_events; column++)
        add_number(&total->columns[column], &row->columns[column]);
}

static void add_total(struct audit_total *total, const struct audit_total *added)
{
    add_number(&total->events, &added->events);
    add_number(&total->deliveries, &added->deliveries);
    for (int column = 0; column < AUDIT_COLUMNS; column++)
        add_number(&total->columns[column], &added->columns[column]);
}

/* Those of one account and currency, which are neighbours now, become one. */
static size_t merge_totals(struct audit_total *totals, size_t count)
{
    size_t kept = 0;
    if (count > 1)
        qsort(totals, count, sizeof totals[0], compare_totals);
    for (size_t i = 1; i < count; i++) {
        if (compare_totals(&totals[kept], &totals[i]) == 0)
            add_total(&totals[kept], &totals[i]);
        else
            totals[++kept] = totals[i];
    }
    return count ? kept + 1 : 0;
}

static void begin_total(struct audit_total *total, const struct audit_row *row, bool of_events)
{
    *total = (struct audit_total){0};
    memcpy(total->account, row->account, sizeof total->account);
    memcpy(total->currency, row->currency, sizeof total->currency);
    add_row(total, row, of_events);
}

static enum err add_totals(struct audit *audit)
{
    size_t count = audit->rows_count + audit->events_count;
    audit->accounts = malloc((count + 1) * sizeof audit->accounts[0]);
    if (!audit->accounts)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < audit->rows_count; i++)
        begin_total(&audit->accounts[i], &audit->rows[i], false);
    for (size_t i = 0; i < audit->events_count; i++)
        begin_total(&audit->accounts[audit->rows_count + i], &audit->events[i], true);
    audit->accounts_count = merge_totals(audit->accounts, count);
    audit->totals = malloc((audit->accounts_count + 1) * sizeof audit->totals[0]);
    if (!audit->totals)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < audit->accounts_count; i++) {
        audit->totals[i] = audit->accounts[i];
        memset(audit->totals[i].account, 0, sizeof audit->totals[i].account);
    }
    audit->totals_count = merge_totals(audit->totals, audit->accounts_count);
    return OK;
}

/* The entries of events, or the others, in order. */
static enum err copy_rows(
    const struct audit_sums *sums, bool of_events, struct audit_row **ret_rows, size_t *ret_count)
{
    size_t count = 0, most = of_events ? sums->events_count : sums->count - sums->events_count;
    struct audit_row *rows = malloc((most + 1) * sizeof *rows);
    if (!rows)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < sums->count; i++) {
        const struct audit_row *row = &sums->entries[i].row;
        if ((row->endpoint == TOTAL_EVENTS) == of_events && !is_empty(row))
            rows[count++] = *row;
    }
    if (count > 1)
        qsort(rows, count, sizeof rows[0], compare_rows);
    *ret_rows = rows;
    *ret_count = count;
    return OK;
}

enum err audit_sums_make_audit(const struct audit_sums *sums, struct audit **ret_audit)
{
    struct audit *audit;
    MEMORY_NEW(audit);
    enum err result = copy_rows(sums, false, &audit->rows, &audit->rows_count);
    if (!result)
        result = copy_rows(sums, true, &audit->events, &audit->events_count);
    if (!result)
        result = add_totals(audit);
    if (result) {
        audit_free(audit);
        return result;
    }
    *ret_audit = audit;
    return OK;
}

void audit_free(struct audit *audit)
{
    if (!audit)
        return;
    free(audit->rows);
    free(audit->events);
    free(audit->accounts);
    free(audit->totals);
    free(audit->findings);
    free(audit);
}
