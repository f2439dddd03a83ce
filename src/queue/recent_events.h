/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recent events: what one ingress thread has accepted lately, in rabbitmq mode. It finds duplicates
 * (P3) before they are published, and answers for events that only the broker has. The dedupe store
 * judges every event again when it is delivered.
 *
 *   (enter) --> pending --durable--> durable --another event needs the place--> forgotten
 *                  '------failed, or a conflict--> forgotten
 *
 * An event whose key is pending waits for the first one of the key and is judged when that ends.
 * The keys of durable events are in recent_keys.h, shared by all threads. If another thread has the
 * first one in flight, the event is entered again a little later.
 *
 * Limits: RECENT_EVENTS_MAX places of about 350 bytes. A new event replaces the oldest durable one.
 * If all are pending, it is accepted and not remembered.
 *
 * Owned by one ingress thread. An id may be forgotten before its key is. Then a duplicate is
 * answered with an id that only the broker and the dedupe store know.
 */
#ifndef PENSTOCK_QUEUE_RECENT_EVENTS_H
#define PENSTOCK_QUEUE_RECENT_EVENTS_H

#include "queue/queue.h"
#include "queue/recent_keys.h"

#define RECENT_EVENTS_MAX 32768

struct recent_events;

/* `events_max` is RECENT_EVENTS_MAX, except in tests. `known`, of all ingress threads, must outlive
 * it. */
struct recent_events *recent_events_new(unsigned events_max, struct recent_keys *known);
void recent_events_free(struct recent_events *recent); /* takes NULL */

enum recent_finding {
    RECENT_NEW,       /* entry->recent is its place; NULL: it is not remembered */
    RECENT_WAITS,     /* the entry waits until the first one of its key ends */
    RECENT_ELSEWHERE, /* another thread has the first one in flight: enter it again later */
    RECENT_DUPLICATE, /* append.ret_id is the id of the first one */
    RECENT_CONFLICT   /* another amount or currency under this key; ret_id as above */
};

enum recent_finding recent_events_enter(struct recent_events *recent, struct queue_entry *entry);

/*
 * Ends an event that was RECENT_NEW, with the result of its on_durable (and append.ret_id). Those
 * that waited for it are put on `ret_waiting`, each with its result in append.request.result. If
 * the first one was a conflict itself, theirs is ERR_MOVED_ON: the journal must judge them.
 */
void recent_events_end(struct recent_events *recent, struct queue_entry *entry, enum err result,
    struct list *ret_waiting);

/* False if no durable event of this id is remembered. */
bool recent_events_find(
    const struct recent_events *recent, const struct event_id *id, struct queue_found *ret_found);

#endif
