/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the load logs. Records are in the order in which the sendings ended, so nothing here may
 * depend on their order: a duplicate can end before its original. Their times decide which of two
 * amounts came first.
 */
#include "verdict/join.h"

#define STATUS_CONFLICT 422
#define STATUS_TOO_MANY 429

static bool is_answered_with(const struct load_record *record, unsigned class)
{
    return record->end == LOAD_ANSWERED && record->status / 100 == class;
}

/* A 422 is no refusal here: another body of the same key was accepted. */
static bool is_refusal(const struct load_record *record)
{
    return record->kind != LOAD_INVALID && !is_answered_with(record, 2) &&
           (record->end != LOAD_ANSWERED || record->status != STATUS_CONFLICT);
}

/* Of a first sending. */
static void count_time(struct figures *figures, const struct load_record *record)
{
    /* without an answer: the time until it was given up */
    int64_t took_us = record->ended_us - record->intended_us;
    histogram_add(&figures->answers.times, took_us);
    series_time(&figures->series, SERIES_ANSWERS, record->intended_us, took_us);
    for (unsigned i = 0; i < figures->subsets_count; i++)
        subset_take_answer(&figures->subsets[i], record->account,
            record->intended_us - figures->series.start_us, took_us);
}

static void count_answer(struct figures *figures, const struct load_record *record)
{
    struct answers *answers = &figures->answers;
    struct series *series = &figures->series;
    answers->sendings++;
    answers->again += record->sending != 0;
    answers->ends[record->kind][record->end]++;
    if (!answers->first_intended_us || record->intended_us < answers->first_intended_us)
        answers->first_intended_us = record->intended_us;
    if (record->end == LOAD_ANSWERED) {
        answers->statuses[record->kind][record->status]++;
        if (record->ended_us > answers->last_answered_us)
            answers->last_answered_us = record->ended_us;
    }
    series_count(series, SERIES_POSTED, record->intended_us);
    if (is_refusal(record))
        series_count(series, SERIES_REFUSED, record->ended_us);
    if (record->sending == 0)
        count_time(figures, record);
    if (record->kind == LOAD_INVALID)
        return;
    answers->valid_sendings++;
    answers->errors += record->end != LOAD_ANSWERED || is_answered_with(record, 5);
}

static bool same_money(const struct keys *keys, const struct key *key, uint32_t as)
{
    struct key other = *key;
    int64_t micros, other_micros;
    uint8_t currency, other_currency;
    other.accepted_as = as;
    keys_accepted_money(keys, key, &micros, &currency);
    keys_accepted_money(keys, &other, &other_micros, &other_currency);
    return micros == other_micros && currency == other_currency;
}

/* A 200 with accepted or duplicate. `as` is the place of the sent conflict, or PLACE_NONE. */
static enum err take_yes(
    struct keys *keys, uint32_t place, uint32_t as, const struct load_record *record)
{
    struct key *key = &keys->keys[place];
    if (record->kind == LOAD_INVALID) {
        key->flags |= KEY_INVALID_ACCEPTED;
    } else if (!(key->flags & KEY_ACCEPTED)) {
        key->flags |= KEY_ACCEPTED;
        key->accepted_as = as;
        key->accepted_us = record->ended_us;
    } else {
        if (!same_money(keys, key, as))
            key->flags |= KEY_TWO_AMOUNTS;
        if (record->ended_us < key->accepted_us) {
            key->accepted_as = as;
            key->accepted_us = record->ended_us;
        }
    }
    if (record->kind == LOAD_FRESH)
        key->flags |= KEY_FRESH_ANSWERED;
    return keys_is_zero_id(record->event) ? OK : keys_take_id(keys, place, record->event);
}

/* Records what was sent; *ret_as is the conflict's place, or PLACE_NONE. */
static enum err take_body(
    struct keys *keys, uint32_t place, const struct load_record *record, uint32_t *ret_as)
{
    uint8_t currency;
    struct key *key = &keys->keys[place];
    enum err result = keys_take_currency(keys, record->currency, &currency);
    *ret_as = PLACE_NONE;
    if (record->guarded)
        key->flags |= KEY_GUARDED;
    if (result)
        return result;
    if (record->kind == LOAD_INVALID) {
        key->flags |= KEY_SENT_INVALID;
        return OK;
    }
    if (record->kind == LOAD_CONFLICT) {
        if (record->end != LOAD_ANSWERED || is_answered_with(record, 5))
            key->flags |= KEY_CONFLICT_POSSIBLE;
        struct key_conflict conflict = {.body_hash = record->body_hash,
            .amount_micros = record->amount_micros,
            .currency = currency};
        return keys_take_conflict(keys, place, &conflict, ret_as);
    }
    bool is_other = (key->flags & KEY_SENT) && !keys_was_sent(keys, key, record->body_hash);
    key->flags |= KEY_SENT | (record->kind == LOAD_FRESH ? KEY_SENT_FRESH : 0);
    if (is_other) { /* a duplicate with a {due_us} of its own: one more body of the key */
        struct key_conflict other = {.body_hash = record->body_hash,
            .amount_micros = record->amount_micros,
            .currency = currency};
        return keys_take_conflict(keys, place, &other, &(uint32_t){0});
    }
    key->body_hash = record->body_hash;
    key->amount_micros = record->amount_micros;
    key->currency = currency;
    return OK;
}

static enum err take_record(
    struct keys *keys, struct figures *figures, uint8_t run, const struct load_record *record)
{
    uint32_t place, as;
    if (record->kind >= LOAD_KINDS || record->end >= LOAD_ENDS || record->status >= STATUSES_MAX)
        return ERR_DAMAGED;
    enum err result = keys_take_key(keys, run, record->original, &place);
    if (!result)
        result = take_body(keys, place, record, &as);
    if (result)
        return result;
    keys->keys[place].account = record->account;
    count_answer(figures, record);
    bool is_own = record->kind == LOAD_FRESH || record->kind == LOAD_DUPLICATE;
    if (record->end == LOAD_ANSWERED && record->answer != LOAD_SAID_NOTHING) {
        bool yes = record->answer == LOAD_SAID_ACCEPTED || record->answer == LOAD_SAID_DUPLICATE;
        figures->answers.said_yes += yes;
        figures->acceptance.odd_answers +=
            !yes || (figures->target == TARGET_PENSTOCK && keys_is_zero_id(record->event));
        if (yes || record->kind == LOAD_INVALID)
            return take_yes(keys, place, as, record);
    } else if (is_own && is_answered_with(record, 4) && record->status != STATUS_TOO_MANY) {
        if (record->status == STATUS_CONFLICT && keys->keys[place].refused < UINT16_MAX)
            keys->keys[place].refused++;
        else
            figures->acceptance.refused++;
    }
    return OK;
}

int64_t join_load_start_us(const struct run_log_view *logs, size_t count)
{
    int64_t start_us = INT64_MAX;
    for (size_t log = 0; log < count; log++) {
        const struct load_record *records = logs[log].records;
        for (size_t i = 0; i < logs[log].count; i++)
            if (records[i].intended_us < start_us)
                start_us = records[i].intended_us;
    }
    return start_us == INT64_MAX ? 0 : start_us;
}

enum err join_load(const struct run_log_view *log, struct keys *keys, struct figures *figures)
{
    uint8_t run;
    const struct load_record *records = log->records;
    enum err result = keys_take_run(keys, log->run, &run);
    for (size_t i = 0; !result && i < log->count; i++)
        result = take_record(keys, figures, run, &records[i]);
    return result;
}
