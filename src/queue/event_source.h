/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where delivery gets its events from: an interface with two implementations.
 *
 *   direct      every event is the journal's own; the journal hands it over (direct_source.h)
 *   consumer    events also come from the broker, and are the broker's until their fate is committed (consumer.h)
 *
 *   source --add----------------> taker (delivery's shard): a job for one delivery, or no room
 *   source <--on_end, on_doubt--- taker: the job has ended
 *   source --drop---------------> taker: forget a job that has not started
 *
 * A delivery whose event the source still owns carries a `struct sourced` in its job. It is linked
 * with the others of its event, so that the source finds them, and names the event, so that the
 * taker can say what became of it. The journal's own deliveries have none of it: their `event` is
 * NULL.
 *
 * Source and taker are owned by the shard's thread.
 */
#ifndef PENSTOCK_QUEUE_EVENT_SOURCE_H
#define PENSTOCK_QUEUE_EVENT_SOURCE_H

#include "accounts/directory.h"
#include "base/list.h"
#include "journal/journal.h"
#include "runtime/loop.h"

struct event_source;
struct event_taker;
struct sourced_event; /* the source's */

struct sourced {
    struct sourced_event *event; /* NULL: the journal's own */
    struct list in_event;        /* of the deliveries of one event */
    int64_t delivery;
    bool started; /* set by the taker: something of it may be on its way to the client */
};

/* What the taker does for a source. */
struct event_taker_ops {
    /*
     * Makes a job of a fresh delivery, which takes the event's reference over. NULL, and nothing
     * taken: there is no room. The source sets `event` and `in_event`.
     */
    struct sourced *(*add)(struct event_taker *taker, const struct delivery *delivery);
    /* Forgets a job that has not started; says nothing of it to the source. */
    void (*drop)(struct event_taker *taker, struct sourced *sourced);
    /* A delivery that was handed over: a new job, or it stays in the journal and is loaded when
     * there is room. */
    void (*take_handover)(struct event_taker *taker, const struct delivery *delivery);
    /* The journal has this delivery as pending, and nobody has it in memory. */
    void (*expect_pending)(struct event_taker *taker, uint64_t endpoint, int64_t delivery);
    /* An event was accepted, and no endpoint wants it: an endpoint may have appeared since it was
     * judged. */
    void (*look_again)(struct event_taker *taker, const struct event *event);
    /* Many deliveries have become pending: ask the journal which endpoints have some. */
    void (*scan_backlog)(struct event_taker *taker);
    /* Whether the endpoint of this delivery takes longer than two seconds for what it has. */
    bool (*is_slow)(struct event_taker *taker, const struct sourced *sourced, int64_t now_mono_us);
    uint32_t (*random)(struct event_taker *taker); /* for jitter */
};

struct event_taker {
    const struct event_taker_ops *ops;
    unsigned shard;
    struct loop *loop;
    struct mailbox *mailbox;
    struct journal *journal;           /* the shard's; NULL once it has ended */
    const struct directory *directory; /* not to be read when `stopping` */
    struct byte_budget *budget;
    unsigned
        /* requests of the shard without an answer: it does not end before they have one */
        requests_out;
    bool stopping; /* nothing new is begun */
};

/* The one way to the journal: fills the request's common part, counts it, and submits it. */
void event_taker_ask(struct event_taker *taker, struct journal *journal, struct request *request,
    enum journal_kind kind, void (*on_done)(struct request *request, void *receiver));

struct event_source_ops {
    /* The backlog is known: events may come. NULL: nothing to do. */
    void (*start)(struct event_source *source);
    /* What the journal newly accepted by itself, in order. The source passes each delivery on, and
     * frees the handover. */
    void (*on_handover)(struct event_source *source, struct journal_handover *handover);
    /* The commit that ended a job of the source: delivered, or by the way its event became the
     * journal's own. The job's `sourced` is unlinked and its memory ends after the call. */
    void (*on_end)(struct event_source *source, struct sourced *sourced, bool adopted);
    /* The job's row could not be moved: the journal is to adopt its event. As on_end otherwise. */
    void (*on_doubt)(struct event_source *source, struct sourced *sourced);
    void (*close)(
        struct event_source *source); /* on the shard's thread, at its end. NULL: nothing to do */
    void (*free)(struct event_source *source); /* after the last mail */
};

struct event_source {
    const struct event_source_ops *ops;
    struct event_taker *taker;
};

static inline void event_source_start(struct event_source *source)
{
    if (source->ops->start)
        source->ops->start(source);
}

static inline void event_source_on_handover(
    struct event_source *source, struct journal_handover *handover)
{
    source->ops->on_handover(source, handover);
}

static inline void event_source_close(struct event_source *source)
{
    if (source->ops->close)
        source->ops->close(source);
}

static inline void event_source_free(struct event_source *source) /* takes NULL */
{
    if (source)
        source->ops->free(source);
}

/* For a source: passes one delivery of a handover on. */
void event_source_pass_on(struct event_source *source, const struct delivery *delivery);

/* Events come from the journal alone. */
struct event_source *event_source_direct_new(struct event_taker *taker);

#endif
