/* SPDX-License-Identifier: Apache-2.0 */
/* The structs that the files of the consumer share (consumer.h). Everything is owned by the shard's
 * thread. */
#ifndef PENSTOCK_QUEUE_CONSUMER_INTERNAL_H
#define PENSTOCK_QUEUE_CONSUMER_INTERNAL_H

#include "base/id_map.h"
#include "broker/host.h"
#include "broker/reconnect.h"
#include "broker/subscriber.h"
#include "broker/tap.h"
#include "queue/consumer.h"

struct check_request;
struct consumer;

/*
 * An unacked event: a message that was consumed and is not acked yet.
 *
 *   RECEIVING -----> BROKER_OWNED --all of its jobs have ended delivered------------.
 *    |  |  ^             |  ^                                                       v
 *    |  |  '- REFUSED    |  '-the disk refused- ADOPTING --committed------------> (ended: acked)
 *    |  '-the disk->'    '---- no room; too long; started, and its channel lost --^  ^
 *    '---- the dedupe store knows it as final, the journal's own, an alias, a conflict --'
 *
 * One that is stale (its channel is lost) ends without an ack: its message is delivered again, and
 * is known then.
 */
enum unacked_stage { UNACKED_RECEIVING, UNACKED_REFUSED, UNACKED_BROKER_OWNED, UNACKED_ADOPTING };

struct sourced_event {
    struct id_map_node by_event; /* in consumer->by_event, while BROKER_OWNED or ADOPTING */
    struct list in_list;         /* in consumer->unacked_events, in order of receipt */
    struct consumer *consumer;
    enum unacked_stage stage;
    struct message_tag tag;
    bool stale;
    bool gone;     /* its queue was deleted: the broker does not have it any more */
    bool crowded;  /* no jobs: the byte budget had no room for it, or the broker dropped it once */
    bool adopts;   /* the journal is to adopt it: again, when the disk refused */
    bool received; /* the journal has it */
    bool was_refused; /* by the journal, before it was received */
    unsigned ended;   /* of its deliveries, by commits */
    struct list jobs; /* of struct sourced (in_event) */
    uint32_t left;    /* a bit for each of receive.ret_deliveries that found no room */
    int64_t event_number;
    int64_t since_mono_us;
    struct journal_receive receive; /* its event is ours */
    struct journal_adopt adopt;
};

/* Messages from the queues of dropped messages (drops.c). */
struct drops {
    int64_t last_mono_us, said_mono_us; /* 0: never */
    int64_t count, unsaid;
    char queue[BROKER_QUEUE_NAME_BYTES], reason[32]; /* of the last */
};

/* Which confirmed events have arrived (losses.c). */
struct losses {
    bool is_ready, asking;
    int64_t next_offset, stored_offset; /* of the stream */
    int64_t due_us, stored_us;
    /* By then the last known list has come again, or the stream is another one; 0: it has. */
    int64_t proof_due_us;
    struct event_id *seen; /* what arrived lately, by its last bytes */
    struct list lists;     /* of struct confirmed_list, in the order of the stream */
    struct check_request *request;
    bool *answered; /* by channel: its depth, in this round */
    unsigned answers, good_rounds;
    unsigned questions_left; /* in this tick */
    bool is_good;
    int64_t round_us, good_round_us; /* when it began, and the last good one */
    int64_t lost;                    /* and never came since */
};

struct consumer {
    struct event_source source;

    /* immutable after init */
    struct event_taker *taker; /* the source's */
    struct consumer_options options;
    unsigned partitions_count; /* the shard's own */
    /* The queues of the partitions, then those of dropped events, in the same order. */
    unsigned queues_count;
    unsigned channels_count; /* one more: the stream of what the broker confirmed */
    char (*queue_names)[BROKER_QUEUE_NAME_BYTES];
    const char **queues;

    /* owned by the shard's thread */
    struct broker_loop_host subscriber_host, tap_host;
    struct subscriber *subscriber;
    struct tap *tap;
    struct reconnect subscriber_reconnect, tap_reconnect;
    int64_t subscriber_not_before_us; /* monotonic */
    unsigned subscriber_failures;
    struct connector_request ownership_request;
    int64_t ownership_due_us;
    bool asking_ownership;
    bool redeclare; /* a queue is gone */
    bool deposed;   /* another journal owns delivery now */
    bool reading;
    bool listed;            /* what the last run left is known */
    bool listing, adopting; /* a request is out */
    struct timer tick_timer;
    int64_t retry_due_us; /* what the disk refused */

    struct list unacked_events; /* of struct sourced_event, in order of receipt */
    struct id_map by_event;
    int64_t bytes_in_memory; /* of unacked events, and of poison until it is kept */
    int64_t refusal_due_us;  /* when a refusal may be logged again */
    struct list poison;      /* messages that the journal has refused to keep so far */

    struct id_map suspended;   /* of struct suspended, by event number */
    unsigned *suspended_count; /* by channel */
    unsigned *empty_seen;      /* by channel: how often its queue was found empty, in turn */
    int64_t depth_due_us;

    struct drops drops;
    struct losses losses;
};

/* channels.c */
unsigned consumer_channel_of_partition(const struct consumer *consumer, unsigned partition);
unsigned consumer_partition_of_channel(const struct consumer *consumer, unsigned channel);
bool consumer_is_of_dropped(const struct consumer *consumer, unsigned channel);
void consumer_update_reading(struct consumer *consumer);
/* No memory for a message: the connection is closed, so that the message comes again. */
void consumer_give_up(struct consumer *consumer);

/* unacked.c */
void unacked_new(struct consumer *consumer, const struct message_tag *tag, struct event *event,
    enum park_reason park_as, bool crowded);
void unacked_lose_channel(
    struct consumer *consumer, unsigned channel, uint32_t generation, bool is_gone);
/* Handles events that are unacked for too long. */
void unacked_tick(struct consumer *consumer, int64_t now_mono_us);
void unacked_retry(struct consumer *consumer); /* what the disk refused */
bool unacked_any_is_refused(const struct consumer *consumer);
/* The journal has this event as its own: by an append, or because it was adopted. */
void unacked_adopt(struct consumer *consumer, int64_t event_number);
void unacked_end_job(struct sourced *sourced, bool adopted); /* event_source.h, on_end */
void unacked_doubt_job(struct sourced *sourced);             /* on_doubt */
void unacked_lose_all(struct consumer *consumer);   /* before the connection is closed for good */
void unacked_forget_all(struct consumer *consumer); /* after the journal's last answer */

/* suspended.c */
void suspended_list(struct consumer *consumer); /* what the last run left; then consuming begins */
void suspended_add(struct consumer *consumer, int64_t event_number, unsigned channel);
void suspended_remove(struct consumer *consumer, int64_t event_number);
void suspended_on_depth(
    struct consumer *consumer, unsigned channel, uint32_t messages_ready, uint32_t consumers);
void suspended_on_channel(struct consumer *consumer, unsigned channel); /* it was opened or lost */
void suspended_tick(struct consumer *consumer, int64_t now_mono_us);
void suspended_free_all(struct consumer *consumer);

/* poison.c */
void poison_keep(struct consumer *consumer, const struct message_tag *tag,
    const struct message *message, const char *reason);
/* An event whose id another event has, by a chance of 2^-44. */
void poison_keep_event(
    struct consumer *consumer, const struct message_tag *tag, const struct event *event);
/* The channel is lost: its messages arrive again. */
void poison_drop(struct consumer *consumer, unsigned channel);
void poison_retry(struct consumer *consumer);
void poison_free_all(struct consumer *consumer);

/* losses.c */
void losses_init(struct consumer *consumer);
void losses_done(struct consumer *consumer);
bool losses_is_of_confirmed(const struct consumer *consumer, unsigned channel);
/* The journal has this event. */
void losses_see(struct consumer *consumer, const struct event_id *id);
void losses_take_list(
    struct consumer *consumer, const struct message_tag *tag, const struct message *message);
void losses_on_depth(
    struct consumer *consumer, unsigned channel, uint32_t messages_ready, uint32_t consumers);
void losses_on_channel_open(struct consumer *consumer, unsigned channel);
void losses_on_channel_lost(struct consumer *consumer, unsigned channel);
void losses_tick(struct consumer *consumer, int64_t now_mono_us);

/* drops.c */
void drops_show(struct consumer *consumer);
void drops_note(struct consumer *consumer, unsigned channel, const struct message *message);
void drops_tick(struct consumer *consumer, int64_t now_mono_us);

#endif
