/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event source: where delivery gets its fresh events from. There are two.
 *
 *   direct      the journal hands over what it has accepted (event_source_direct_new)
 *   consumer    the same, and events from the broker, which owns them until their outcome is
 *               committed (consumer.h)
 *
 *   source --add, take_handover--> taker: delivery's shard makes a job of each delivery
 *   source <--on_end, on_doubt---- taker: the job has ended
 *   source --drop----------------> taker: frees a job that has not started
 *
 * The taker embeds a `struct sourced` in each job. While the source owns the event, `event` is set,
 * and the deliveries of one event are linked. For what the journal owns, `event` is NULL.
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
    bool started; /* set by the taker: the client may have received something of it */
};

/* What the taker does for a source. */
struct event_taker_ops {
    /*
     * Makes a job of a fresh delivery and takes over the reference to its event. NULL if there is
     * no room: then nothing is taken over. The source sets `event` and links `in_event`.
     */
    struct sourced *(*add)(struct event_taker *taker, const struct delivery *delivery);
    /* Frees a job that has not started. Does not call on_end. */
    void (*drop)(struct event_taker *taker, struct sourced *sourced);
    /* Makes a job of a delivery that the journal handed over, or leaves it there until there is
     * room. */
    void (*take_handover)(struct event_taker *taker, const struct delivery *delivery);
    /* A delivery is pending in the journal and not in memory: it is to be loaded. */
    void (*expect_pending)(struct event_taker *taker, uint64_t endpoint, int64_t delivery);
    /* An event was accepted as unrouted: an endpoint may have been added since it was judged. */
    void (*look_again)(struct event_taker *taker, const struct event *event);
    /* Many deliveries are pending in the journal and not in memory. */
    void (*scan_backlog)(struct event_taker *taker);
    /* True if the endpoint of this delivery needs more than two seconds for what it has. */
    bool (*is_slow)(struct event_taker *taker, const struct sourced *sourced, int64_t now_mono_us);
};

struct event_taker {
    const struct event_taker_ops *ops;
    unsigned shard;
    struct loop *loop;
    struct mailbox *mailbox;
    struct journal *journal;           /* the shard's; NULL once it has ended */
    const struct directory *directory; /* not to be read when `stopping` */
    struct byte_budget *budget;
    /* Requests to the journal without an answer. The shard does not end before they have one. */
    unsigned requests_out;
    bool stopping; /* nothing new is started */
};

/* Fills in the common part of a request, counts it, and submits it. The only way to the journal. */
void event_taker_ask(struct event_taker *taker, struct journal *journal, struct request *request,
    enum journal_kind kind, void (*on_done)(struct request *request, void *receiver));

struct event_source_ops {
    /* The backlog is known, and events may come. NULL: nothing to do. */
    void (*start)(struct event_source *source);
    /* What the journal has accepted, in order. The source passes each delivery on and frees the
     * handover. */
    void (*on_handover)(struct event_source *source, struct journal_handover *handover);
    /*
     * The outcome of a job was committed: it was delivered, or (`adopted`) its event is the
     * journal's own now. The source unlinks `sourced`, which is freed after the call.
     */
    void (*on_end)(struct event_source *source, struct sourced *sourced, bool adopted);
    /* The row of a job could not be moved: the journal is to adopt the event. Otherwise like
     * on_end. */
    void (*on_doubt)(struct event_source *source, struct sourced *sourced);
    /* Called on the shard's thread, at its end. NULL: nothing to do. */
    void (*close)(struct event_source *source);
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

/* For sources: passes one delivery of a handover on to the taker. */
void event_source_pass_on(struct event_source *source, const struct delivery *delivery);

/* All events come from the journal. */
struct event_source *event_source_direct_new(struct event_taker *taker);

#endif
