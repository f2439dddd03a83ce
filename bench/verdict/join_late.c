/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/join_late.h"

static void excuse_id(struct key *key)
{
    if (key->late_ids < UINT8_MAX)
        key->late_ids++;
}

void late_take_conflict(struct keys *keys, struct figures *figures, uint32_t place, int64_t micros,
    uint8_t currency, bool was_answered)
{
    struct key *key = &keys->keys[place];
    struct money *money = &figures->money[currency];
    excuse_id(key);
    if (key->late_conflicts < UINT8_MAX)
        key->late_conflicts++;
    figures->acceptance.late_conflicts++;
    if (!was_answered) {
        money->unanswered += micros;
        return;
    }
    money->accepted += micros;
    money->held += micros;
    money->journal[DELIVERY_PARKED] += micros;
    impact_add(&figures->impacts, IMPACT_PARKED, micros, currency);
}

void late_take_alias(struct keys *keys, struct figures *figures,
    const unsigned char id[EVENT_BYTES], const unsigned char first[EVENT_BYTES])
{
    uint32_t alias_place = keys_find_id(keys, id), first_place = keys_find_id(keys, first);
    if (alias_place == PLACE_NONE ||
        first_place == PLACE_NONE) /* no answer had its id, or it is of another run */
        return;
    uint32_t key = keys->ids[alias_place].key;
    if (key == PLACE_NONE || keys->ids[first_place].key != key)
        return;
    excuse_id(&keys->keys[key]);
    figures->acceptance.late_aliases++;
}

static bool is_money_of_journal(const struct keys *keys, const struct key *key, uint32_t as)
{
    struct key other = *key;
    int64_t micros;
    uint8_t currency;
    other.accepted_as = as;
    keys_accepted_money(keys, &other, &micros, &currency);
    return micros == key->journal_micros && currency == key->journal_currency;
}

static void resolve_key(const struct keys *keys, struct key *key)
{
    key->flags &= (uint16_t)~KEY_TWO_AMOUNTS;
    if (!(key->flags & KEY_IN_JOURNAL) || is_money_of_journal(keys, key, key->accepted_as))
        return;
    uint32_t as = is_money_of_journal(keys, key, PLACE_NONE) ? PLACE_NONE : key->conflict;
    while (as != PLACE_NONE && !is_money_of_journal(keys, key, as))
        as = keys->conflicts[as].next;
    key->accepted_as = as;
}

void late_resolve(struct keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++)
        if (keys->keys[i].late_conflicts > 0)
            resolve_key(keys, &keys->keys[i]);
}
