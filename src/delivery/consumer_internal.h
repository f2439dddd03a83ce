/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard has to do with the broker, in rabbitmq mode: consumer.c keeps the connections and
 * takes messages in, unacked.c knows what was consumed and not acked yet, suspended.c knows what
 * waits to be delivered again, drops.c says what the broker dropped, check.c misses what it lost.
 * Everything here is owned by the shard's thread.
 *
 * Each partition has two queues: its own, and the one of what the broker would drop from that. What
 * comes by the second is an event as any other, and is adopted at once.
 *
 *   subscriber --message--> unacked event --JOURNAL_RECEIVE--> jobs --> ... --> committed --> the unacked event ends:
 * acked |  no room, unacked too long, started on a lost channel: JOURNAL_ADOPT --> acked
 *                           '- nothing of it started, and its channel is lost: suspended
 */
#ifndef PENSTOCK_DELIVERY_CONSUMER_INTERNAL_H
#define PENSTOCK_DELIVERY_CONSUMER_INTERNAL_H

#include "broker/host.h"
#include "broker/subscriber.h"
#include "broker/tap.h"
#include "delivery/delivery_internal.h"

/*
 * A message that was consumed and is not acked yet, and the event in it.
 *
 *   RECEIVING -----> BROKER_OWNED --all of its jobs have ended delivered--------------.
 *    |  |  ^             |  ^                                                    v
 *    |  |  '- REFUSED    |  '-the disk refused- ADOPTING --committed------> (ended: acked)
 *    |  '-the disk->'    '---- no room; too long; started, and its channel lost --^  ^
 *    '---- the dedupe store knows it as final, the journal's own, an alias, a conflict --'
 *
 * One that is stale (its channel is lost) ends without an ack: its message will come again, and is
 * known then.
 */
enum unacked_stage { UNACKED_RECEIVING, UNACKED_REFUSED, UNACKED_BROKER_OWNED, UNACKED_ADOPTING };

struct unacked_event {
    struct id_map_node by_event; /* in consumer->by_event, while it is BROKER_OWNED or ADOPTING */
    struct list in_list;         /* in consumer->unacked_events, in order of receipt */
    struct consumer *consumer;
    enum unacked_stage stage;
    struct message_tag tag;
    bool stale;
    bool gone; /* its queue was deleted: the broker does not have it any more */
    bool
        /* no jobs: the shard's byte budget had no room for its event, or the broker dropped it once
         * */
        crowded;
    bool adopts;      /* it is to be adopted: again, when the disk refused */
    bool received;    /* the journal knows it */
    bool was_refused; /* by the journal, before it was received */
    unsigned ended;   /* of its deliveries, by commits */
    struct list jobs; /* of struct job (in_unacked) */
    uint32_t left;    /* a bit for each of receive.ret_deliveries that found no room */
    int64_t event_number;
    int64_t since_mono_us;
    struct journal_receive receive; /* its event is the unacked event's */
    struct journal_adopt adopt;
};

/* What came by the queues of dropped messages. */
struct drops {
    int64_t last_mono_us, said_mono_us; /* 0: never */
    int64_t count, unsaid;
    char queue[BROKER_QUEUE_NAME_BYTES], reason[32]; /* of the last */
};

/* Which confirmed events have come; see check.c. */
struct check {
    bool is_ready, asking;
    int64_t next_offset, stored_offset; /* of the stream */
    int64_t due_us, stored_us;
    int64_t
        /* by then the last known list has come again, or the stream is another one; 0: it has */
        proof_due_us;
    struct event_id *seen; /* what came lately, by its last bytes */
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
    /* immutable after init */
    struct delivery_shard *shard;
    struct delivery_consumer_options options;
    unsigned partitions_count; /* the shard's own; i-th: partition i * shards + shard */
    unsigned
        /* the partitions' queues, then, in the same order, those of what is dropped from them */
        queues_count;
    unsigned channels_count; /* one more: the stream of what the broker confirmed */
    char (*queue_names)[BROKER_QUEUE_NAME_BYTES];
    const char **queues;

    /* owned by the shard's thread */
    struct broker_loop_host subscriber_host, tap_host;
    struct subscriber *subscriber;
    struct tap *tap;
    struct connector_request subscriber_request, tap_request, ownership_request;
    bool asking_subscriber, asking_tap, asking_ownership;
    bool redeclare; /* a queue is gone */
    bool deposed;   /* another journal owns delivery now */
    int64_t subscriber_due_us, tap_due_us,
        ownership_due_us; /* when to ask the connector again, monotonic */
    int64_t subscriber_delay_us, tap_delay_us;
    unsigned subscriber_failures;
    struct timer tick_timer;
    int64_t retry_due_us; /* what the disk refused */

    struct list unacked_events; /* of struct unacked_event, in order of receipt */
    struct id_map by_event;
    int64_t bytes_in_memory; /* of their events, and of poison on its way */
    int64_t refusal_due_us;  /* when a refusal may be said again */
    bool reading;
    struct list poison; /* messages that the journal refused to keep, so far */

    struct id_map suspended;   /* of struct suspended, by event number */
    unsigned *suspended_count; /* by channel */
    unsigned *empty_seen;      /* by channel: how often its queue was found empty, in turn */
    bool listed;               /* what the last run left is known */
    bool listing, taking_over; /* a request is out */
    int64_t depth_due_us;

    struct drops drops;
    struct check check;
};

/* consumer.c */
unsigned consumer_channel_of_partition(const struct consumer *consumer, unsigned partition);
bool consumer_is_of_dropped(const struct consumer *consumer, unsigned channel);
void consumer_update_reading(struct consumer *consumer);

/* No memory for a message: the connection is closed, so that it comes again. */
void consumer_give_up(struct consumer *consumer);
/* An event whose id another one has, by a chance of 2^-44. */
void consumer_keep_event_as_poison(
    struct consumer *consumer, const struct message_tag *tag, const struct event *event);

/* unacked.c */
void unacked_new(struct consumer *consumer, const struct message_tag *tag, struct event *event,
    enum park_reason park_as, bool crowded);
void unacked_lose_channel(
    struct consumer *consumer, unsigned channel, uint32_t generation, bool is_gone);
void unacked_tick(
    struct consumer *consumer, int64_t now_mono_us); /* what is unacked for too long */
void unacked_retry(struct consumer *consumer);       /* what the disk refused */
void unacked_lose_all(struct consumer *consumer);    /* before the connection is closed for good */
void unacked_forget_all(struct consumer *consumer);  /* after the journal's last answer */

/* suspended.c */
void suspended_list(
    struct consumer *consumer); /* what the last run left; consuming begins when it is known */
void suspended_add(struct consumer *consumer, int64_t event_number, unsigned channel);
void suspended_remove(struct consumer *consumer, int64_t event_number);
void suspended_on_depth(
    struct consumer *consumer, unsigned channel, uint32_t messages_ready, uint32_t consumers);
void suspended_on_channel(struct consumer *consumer, unsigned channel); /* it was opened or lost */
void suspended_tick(struct consumer *consumer, int64_t now_mono_us);
void suspended_free_all(struct consumer *consumer);

bool unacked_any_is_refused(const struct consumer *consumer);

/* check.c */
enum err check_init(struct consumer *consumer) MUST_CHECK;
void check_done(struct consumer *consumer);
bool check_is_of_confirmed(const struct consumer *consumer, unsigned channel);
/* The journal has this event. */
void check_see(struct consumer *consumer, const struct event_id *id);
void check_take_list(
    struct consumer *consumer, const struct message_tag *tag, const struct message *message);
void check_on_depth(
    struct consumer *consumer, unsigned channel, uint32_t messages_ready, uint32_t consumers);
void check_on_channel_open(struct consumer *consumer, unsigned channel);
void check_on_channel_lost(struct consumer *consumer, unsigned channel);
void check_tick(struct consumer *consumer, int64_t now_mono_us);

/* drops.c */
void drops_show(struct consumer *consumer);
void drops_start(struct consumer *consumer);
void drops_note(struct consumer *consumer, unsigned channel, const struct message *message);
void drops_tick(struct consumer *consumer, int64_t now_mono_us);

#endif
