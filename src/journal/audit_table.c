/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/audit_table.h"

#include "base/crypto.h"

#include <stdio.h>

#define BUCKETS 16384

enum audit_column audit_column_of(enum delivery_state state)
{
    static const enum audit_column columns[DELIVERY_STATES] = {
        [DELIVERY_PENDING] = AUDIT_ON_THE_WAY,
        [DELIVERY_SENDING] = AUDIT_ON_THE_WAY,
        [DELIVERY_WAITING] = AUDIT_ON_THE_WAY,
        [DELIVERY_PARKED] = AUDIT_PARKED,
        [DELIVERY_DELIVERED] = AUDIT_DELIVERED,
        [DELIVERY_DEAD] = AUDIT_DEAD,
        [DELIVERY_DISCARDED] = AUDIT_DISCARDED,
    };
    return columns[state];
}

enum err audit_table_init(struct audit_table *table)
{
    *table = (struct audit_table){.buckets = calloc(BUCKETS, sizeof table->buckets[0])};
    crypto_random(table->seed.bytes, sizeof table->seed.bytes);
    return table->buckets ? OK : ERR_NO_MEMORY;
}

void audit_table_done(struct audit_table *table)
{
    free(table->buckets);
    free(table->entries);
    *table = (struct audit_table){0};
}

/* A text that is longer is damaged, and named as such. */
static struct slice cut(struct slice text, size_t len_max)
{
    return slice_of(text.data, text.len < len_max ? text.len : len_max);
}

static bool is_entry_of(const struct audit_entry *entry, const struct audit_key *key)
{
    return entry->shard == key->shard && entry->row.day == key->day && entry->row.endpoint == key->endpoint &&
           slice_equals_string(key->account, entry->row.account) &&
           slice_equals_string(key->currency, entry->row.currency);
}

static bool make_room(struct audit_table *table)
{
    if (table->count < table->capacity)
        return true;
    size_t capacity = table->capacity ? table->capacity * 2 : 256;
    struct audit_entry *larger = realloc(table->entries, capacity * sizeof *larger);
    if (!larger)
        return false;
    table->entries = larger;
    table->capacity = capacity;
    return true;
}

enum err audit_table_get(
    struct audit_table *table, const struct audit_key *key, int64_t since, struct audit_entry **ret_entry)
{
    struct audit_key wanted = *key;
    wanted.account = cut(key->account, NAME_BYTES_MAX);
    wanted.currency = cut(key->currency, CURRENCY_BYTES);
    uint64_t hash = hash_siphash(&table->seed, wanted.account) ^ wanted.endpoint * 31 ^ (uint64_t)wanted.day;
    uint32_t *bucket = &table->buckets[(hash ^ hash >> 32) % BUCKETS];
    for (uint32_t at = *bucket; at; at = table->entries[at - 1].next) {
        if (is_entry_of(&table->entries[at - 1], &wanted)) {
            *ret_entry = &table->entries[at - 1];
            return OK;
        }
    }
    if (table->count == AUDIT_ROWS_MAX)
        return ERR_TOO_LARGE;
    if (!make_room(table))
        return ERR_NO_MEMORY;
    struct audit_entry *entry = &table->entries[table->count++];
    *entry = (struct audit_entry){
        .row = {.day = wanted.day, .endpoint = wanted.endpoint},
        .shard = wanted.shard,
        .since = since,
        .next = *bucket,
    };
    snprintf(entry->row.account, sizeof entry->row.account, "%.*s", SLICE_ARGS(wanted.account));
    snprintf(entry->row.currency, sizeof entry->row.currency, "%.*s", SLICE_ARGS(wanted.currency));
    *bucket = (uint32_t)table->count;
    *ret_entry = entry;
    return OK;
}

void audit_table_reset(struct audit_table *table, unsigned shard, int64_t from_day, int64_t to_day, int64_t since)
{
    for (size_t i = 0; i < table->count; i++) {
        struct audit_entry *entry = &table->entries[i];
        if (entry->shard != shard || entry->row.day < from_day || entry->row.day > to_day)
            continue;
        memset(entry->row.columns, 0, sizeof entry->row.columns);
        entry->row.accepted = (struct audit_number){0};
        entry->since = since;
        entry->accepted_before = entry->expired_before = entry->appended = entry->expired = 0;
        entry->damaged = entry->overflow = entry->restless = false;
    }
}

void audit_number_add(struct audit_entry *entry, struct audit_number *number, const struct audit_number *added)
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
        (void)!money_sum_add_sum(&found.sum, &row->columns[i].sum, 1); /* it would have overflown before */
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
    return strcmp(((const struct audit_total *)one)->currency, ((const struct audit_total *)other)->currency);
}

static struct audit_total *total_of(struct audit *audit, const char *currency)
{
    for (size_t i = 0; i < audit->totals_count; i++)
        if (strcmp(audit->totals[i].currency, currency) == 0)
            return &audit->totals[i];
    struct audit_total *larger = realloc(audit->totals, (audit->totals_count + 1) * sizeof *larger);
    if (!larger)
        return NULL;
    audit->totals = larger;
    struct audit_total *total = &larger[audit->totals_count++];
    *total = (struct audit_total){0};
    memcpy(total->currency, currency, sizeof total->currency);
    return total;
}

static void add_number(struct audit_number *number, const struct audit_number *added)
{
    number->count += added->count;
    (void)!money_sum_add_sum(&number->sum, &added->sum, 1); /* 10^11 of the largest amounts fit */
}

static enum err add_totals(struct audit *audit)
{
    for (size_t i = 0; i < audit->rows_count; i++) {
        struct audit_total *total = total_of(audit, audit->rows[i].currency);
        if (!total)
            return ERR_NO_MEMORY;
        add_number(&total->accepted, &audit->rows[i].accepted);
        for (int column = 0; column < AUDIT_COLUMNS; column++)
            add_number(&total->columns[column], &audit->rows[i].columns[column]);
    }
    if (audit->totals_count > 1)
        qsort(audit->totals, audit->totals_count, sizeof audit->totals[0], compare_totals);
    return OK;
}

enum err audit_table_make_audit(const struct audit_table *table, struct audit **ret_audit)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return ERR_NO_MEMORY;
    audit->rows = malloc((table->count + 1) * sizeof audit->rows[0]);
    for (size_t i = 0; audit->rows && i < table->count; i++)
        if (!is_empty(&table->entries[i].row))
            audit->rows[audit->rows_count++] = table->entries[i].row;
    if (audit->rows_count > 1)
        qsort(audit->rows, audit->rows_count, sizeof audit->rows[0], compare_rows);
    enum err result = audit->rows ? add_totals(audit) : ERR_NO_MEMORY;
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
    free(audit->totals);
    free(audit->findings);
    free(audit);
}
