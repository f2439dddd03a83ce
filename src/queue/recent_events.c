/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/recent_events.h"

#include "base/memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define TEXT_BYTES_MAX 216 /* partner, account and type always fit, and a key of 24 bytes */

_Static_assert(
    TEXT_BYTES_MAX <= UINT8_MAX && 2 * NAME_BYTES_MAX + EVENT_TYPE_BYTES_MAX <= TEXT_BYTES_MAX,
    "names fit, and their lengths");

struct recent_event {
    struct recent_event *next_by_key, *next_by_id;
    struct list in_order;  /* durable ones in the order in which they became durable; free ones */
    struct list waiting;   /* of struct queue_entry; only while pending */
    struct dedupe_key key; /* used to find it while pending */
    struct event_id id;    /* of the first event of the key, as far as is known */
    bool has_key, durable, by_key, by_id;
    unsigned char partner_len, account_len, type_len, key_len;
    struct money_value money;
    char texts[TEXT_BYTES_MAX];
    int64_t accepted_us;
};

struct recent_events {
    struct recent_keys *known;
    struct recent_event *events;
    unsigned events_max, events_used; /* `events_used` have been in use at some time */
    struct recent_event **by_key, **by_id;
    size_t mask;
    struct list free, durable;
};

/* The bytes used are random: the first ones of a SHA-256, the last ones of a UUIDv7. */
static struct recent_event **key_bucket(
    const struct recent_events *recent, const struct dedupe_key *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof hash);
    return &recent->by_key[hash & recent->mask];
}

static struct recent_event **id_bucket(
    const struct recent_events *recent, const struct event_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->bytes + EVENT_ID_BYTES - sizeof hash, sizeof hash);
    return &recent->by_id[hash & recent->mask];
}

static struct recent_event *find_key(
    const struct recent_events *recent, const struct dedupe_key *key)
{
    struct recent_event *event = *key_bucket(recent, key);
    while (event && memcmp(&event->key, key, sizeof *key) != 0)
        event = event->next_by_key;
    return event;
}

static struct recent_event *find_id(const struct recent_events *recent, const struct event_id *id)
{
    struct recent_event *event = *id_bucket(recent, id);
    while (event && memcmp(&event->id, id, sizeof *id) != 0)
        event = event->next_by_id;
    return event;
}

static void add_by_id(struct recent_events *recent, struct recent_event *event)
{
    struct recent_event **bucket = id_bucket(recent, &event->id);
    event->next_by_id = *bucket;
    event->by_id = true;
    *bucket = event;
}

static void remove_by_id(struct recent_events *recent, struct recent_event *event)
{
    if (!event->by_id)
        return;
    struct recent_event **at = id_bucket(recent, &event->id);
    while (*at != event)
        at = &(*at)->next_by_id;
    *at = event->next_by_id;
    event->by_id = false;
}

static void add_by_key(struct recent_events *recent, struct recent_event *event)
{
    struct recent_event **bucket = key_bucket(recent, &event->key);
    event->next_by_key = *bucket;
    event->by_key = true;
    *bucket = event;
}

static void remove_by_key(struct recent_events *recent, struct recent_event *event)
{
    if (!event->by_key)
        return;
    struct recent_event **at = key_bucket(recent, &event->key);
    while (*at != event)
        at = &(*at)->next_by_key;
    *at = event->next_by_key;
    event->by_key = false;
}

static unsigned char add_text(char *texts, size_t *len, struct slice text)
{
    if (text.len > TEXT_BYTES_MAX - *len)
        return 0;
    if (text.len)
        memcpy(texts + *len, text.data, text.len);
    *len += text.len;
    return (unsigned char)text.len;
}

static void set_texts(struct recent_event *event, const struct event_parts *parts)
{
    size_t len = 0;
    event->partner_len = add_text(event->texts, &len, parts->partner);
    event->account_len = add_text(event->texts, &len, parts->account);
    event->type_len = add_text(event->texts, &len, parts->type);
    event->key_len = add_text(event->texts, &len, parts->key);
}

static void forget(struct recent_events *recent, struct recent_event *event)
{
    list_remove(&event->in_order);
    remove_by_key(recent, event);
    remove_by_id(recent, event);
    list_add_tail(&recent->free, &event->in_order);
}

/* Returns a free place or that of the oldest durable event; NULL if all are pending. */
static struct recent_event *take_place(struct recent_events *recent)
{
    if (list_is_empty(&recent->free) && recent->events_used < recent->events_max) {
        struct recent_event *fresh = &recent->events[recent->events_used++];
        list_init(&fresh->in_order);
        return fresh;
    }
    if (list_is_empty(&recent->free) && !list_is_empty(&recent->durable))
        forget(recent, CONTAINER_OF(recent->durable.next, struct recent_event, in_order));
    return LIST_TAKE_FIRST(&recent->free, struct recent_event, in_order);
}

static struct recent_event *remember(
    struct recent_events *recent, const struct journal_append *append)
{
    const struct event_parts *parts = &append->event->parts;
    struct recent_event *event = take_place(recent);
    if (!event)
        return NULL;
    event->id = parts->id;
    event->durable = false;
    event->accepted_us = parts->accepted_us;
    event->has_key = parts->key.len > 0;
    list_init(&event->waiting);
    set_texts(event, parts);
    add_by_id(recent, event);
    if (!event->has_key)
        return event;
    event->key = append->dedupe_key;
    money_value_of(parts->amount, parts->currency, &event->money);
    add_by_key(recent, event);
    return event;
}

enum recent_finding recent_events_enter(struct recent_events *recent, struct queue_entry *entry)
{
    struct journal_append *append = &entry->append;
    const struct event_parts *parts = &append->event->parts;
    struct recent_event *pending = parts->key.len ? find_key(recent, &append->dedupe_key) : NULL;
    entry->recent = NULL;
    if (pending) {
        list_add_tail(&pending->waiting, &entry->in_list);
        return RECENT_WAITS;
    }
    struct recent_key_event own = {.id = parts->id}, first;
    money_value_of(parts->amount, parts->currency, &own.money);
    switch (parts->key.len ? recent_keys_enter(recent->known, &append->dedupe_key, &own, &first)
                           : RECENT_KEY_NEW) {
    case RECENT_KEY_PENDING:
        return RECENT_ELSEWHERE;
    case RECENT_KEY_DURABLE:
        append->ret_id = first.id;
        return money_value_equal(&first.money, &own.money) ? RECENT_DUPLICATE : RECENT_CONFLICT;
    case RECENT_KEY_NEW:
    case RECENT_KEY_NO_PLACE:
        break;
    }
    entry->recent = remember(recent, append);
    return RECENT_NEW;
}

static bool is_same_money(const struct money_value *first, const struct event_parts *parts)
{
    struct money_value money;
    money_value_of(parts->amount, parts->currency, &money);
    return money_value_equal(first, &money);
}

/* Returns the result for an event that waited, after the first one has ended with `result`. */
static enum err judge(
    const struct recent_event *first, enum err result, struct queue_entry *waiting)
{
    if (result == ERR_CONFLICT)
        return ERR_MOVED_ON;
    if (result != OK && result != ERR_EXISTS)
        return result;
    waiting->append.ret_id = first->id;
    return is_same_money(&first->money, &waiting->append.event->parts) ? ERR_EXISTS : ERR_CONFLICT;
}

/* For the other threads, also if there was no place for it here. */
static void end_key(struct recent_events *recent, const struct queue_entry *entry, enum err result)
{
    const struct event_parts *parts = &entry->append.event->parts;
    struct recent_key_event first = {.id = result == ERR_EXISTS ? entry->append.ret_id : parts->id};
    if (!parts->key.len)
        return;
    money_value_of(parts->amount, parts->currency, &first.money);
    recent_keys_end(recent->known, &entry->append.dedupe_key, &parts->id,
        result == OK || result == ERR_EXISTS ? &first : NULL);
}

void recent_events_end(struct recent_events *recent, struct queue_entry *entry, enum err result,
    struct list *ret_waiting)
{
    struct recent_event *event = entry->recent;
    list_init(ret_waiting);
    end_key(recent, entry, result);
    if (!event)
        return;
    assert(!event->durable);
    entry->recent = NULL;
    if (result == ERR_EXISTS) { /* the journal knows an older event of the key */
        remove_by_id(recent, event);
        event->id = entry->append.ret_id;
    }
    for (struct queue_entry *each;
         (each = LIST_TAKE_FIRST(&event->waiting, struct queue_entry, in_list));) {
        each->append.request.result = judge(event, result, each);
        list_add_tail(ret_waiting, &each->in_list);
    }
    if (result == OK || result == ERR_EXISTS) {
        remove_by_key(recent, event);
        event->durable = true;
        list_add_tail(&recent->durable, &event->in_order);
    } else {
        forget(recent, event);
    }
}

bool recent_events_find(
    const struct recent_events *recent, const struct event_id *id, struct queue_found *ret_found)
{
    const struct recent_event *event = find_id(recent, id);
    if (!event || !event->durable)
        return false;
    const char *at = event->texts;
    *ret_found = (struct queue_found){
        .id = event->id, .accepted_us = event->accepted_us, .has_key = event->has_key};
    ret_found->partner = slice_of(at, event->partner_len);
    ret_found->account = slice_of(at += event->partner_len, event->account_len);
    ret_found->type = slice_of(at += event->account_len, event->type_len);
    ret_found->key = slice_of(at + event->type_len, event->key_len);
    return true;
}

static size_t buckets_for(unsigned events)
{
    size_t buckets = 16;
    while (buckets < 2 * (size_t)events)
        buckets *= 2;
    return buckets;
}

struct recent_events *recent_events_new(unsigned events_max, struct recent_keys *known)
{
    struct recent_events *recent;
    MEMORY_NEW(recent);
    size_t buckets = buckets_for(events_max);
    recent->known = known;
    recent->mask = buckets - 1;
    recent->events_max = events_max;
    recent->events = memory_new_array(events_max, sizeof *recent->events);
    recent->by_key = memory_new_array(buckets, sizeof(struct recent_event *));
    recent->by_id = memory_new_array(buckets, sizeof(struct recent_event *));
    list_init(&recent->free);
    list_init(&recent->durable);
    return recent;
}

void recent_events_free(struct recent_events *recent)
{
    if (!recent)
        return;
    free(recent->events);
    free(recent->by_key);
    free(recent->by_id);
    free(recent);
}
