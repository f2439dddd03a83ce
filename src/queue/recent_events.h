/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ingress thread has taken lately: in rabbitmq mode the judge of duplicates (P3) that a
 * partner meets first, and the one who knows of an event while only the broker has it. The dedupe
 * store judges again when the event is delivered.
 *
 *   (enter) --> pending --durable--> durable --(oldest of RECENT_EVENTS_MAX, when another needs the place)--> forgotten
 *                  '------failed or a conflict--> forgotten
 *
 * A second one of a key waits for the first while that is pending, and is judged with its end. The
 * keys of durable ones are among the gateway's recent keys (recent_keys.h), whichever thread took
 * them, and so are those that another thread has in flight: then the second one comes again a
 * little later.
 *
 * Limits: RECENT_EVENTS_MAX places, made once (RECENT_EVENTS_MAX * 350 bytes, in use only as far as
 * events have come). Pending ones are never put out; when all are pending, a new one is let through
 * unremembered.
 *
 * Owned by one ingress thread. An id can be forgotten earlier than its key: then a re-send is
 * answered with an id that only the broker and the dedupe store know.
 */
#ifndef PENSTOCK_QUEUE_RECENT_EVENTS_H
#define PENSTOCK_QUEUE_RECENT_EVENTS_H

#include "queue/queue.h"
#include "queue/recent_keys.h"

#define RECENT_EVENTS_MAX 32768

struct recent_events;

/* `events_max` of RECENT_EVENTS_MAX but in tests. `known`, of all ingress threads, must outlive it.
 * */
enum err recent_events_new(
    unsigned events_max, struct recent_keys *known, struct recent_events **ret_recent) MUST_CHECK;
void recent_events_free(struct recent_events *recent); /* takes NULL */

enum recent_finding {
    RECENT_NEW,       /* entry->recent is its place (NULL: unremembered) */
    RECENT_WAITS,     /* the entry is kept until the first one's end */
    RECENT_ELSEWHERE, /* another thread has the first one in flight: enter it again later */
    RECENT_DUPLICATE, /* append.ret_id is the first one's */
    RECENT_CONFLICT   /* the same key with other money; ret_id as well */
};

enum recent_finding recent_events_enter(struct recent_events *recent, struct queue_entry *entry);

/*
 * The end of one that was RECENT_NEW, with the result of its on_durable (and append.ret_id). Those
 * that waited for it go to `ret_waiting`, each with its result in append.request.result. Of a first
 * one that was a conflict itself nothing can be said of the others: theirs is ERR_MOVED_ON, and
 * somebody else must judge them.
 */
void recent_events_end(struct recent_events *recent, struct queue_entry *entry, enum err result,
    struct list *ret_waiting);

/* False when no durable one of this id is remembered. */
bool recent_events_find(
    const struct recent_events *recent, const struct event_id *id, struct queue_found *ret_found);

#endif
