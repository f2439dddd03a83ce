/* SPDX-License-Identifier: Apache-2.0 */
/* another thread has the first one in flight: enter it again later */
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
