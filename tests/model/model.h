/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true: a record of what was posted, answered, ordered and sent, and the rules of the
 * promises about it. It knows nothing of how Penstock works; it sees answers, requests to clients,
 * and the journal's tables.
 *
 *   model.c        posts and keys: P1 and P3, as far as answers tell
 *   model_operator_actions.c   operators' actions, and what they permit
 *   model_look.c   looks at the journal's tables: P1 and P3 on disk, and what may expire
 *   model_ways.c   P2: how a delivery may have come from where it was to where it is
 *   model_money.c  P8: exact decimals, sums, the totals
 *   model_send.c   requests to clients: P4 and P5
 *   model_broker.c who owns an event in rabbitmq mode: acks, what is broker-owned, aliases and late conflicts
 *
 * A post:      in flight --> accepted | refused (a duplicate, a conflict, an error)
 *                  '-(crash, or a disk in doubt)--> in doubt --> accepted | refused   the next look after a start, or
 *                                                                                     the next answer about the key
 *
 * One that was published to the broker may be judged later, whatever its partner was told: queued
 * (the broker has confirmed it), refused and in doubt all go on to accepted, alias or late conflict
 * when a look finds it.
 *
 * An action the same, with `done` for accepted.
 *
 * A delivery is known by its post and its index among the post's deliveries; its endpoint may
 * change (unrouted ones, and what an operator sends to another one).
 */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_H
#define PENSTOCK_TESTS_MODEL_MODEL_H

#include "base/limits.h"
#include "journal/journal.h"
#include "model/delivery_state.h"
#include "model/event.h"
#include "model/verdict.h"

#define MODEL_POSTS_MAX 4096
#define MODEL_SCOPES_MAX 256
#define MODEL_NO_SCOPE UINT32_MAX /* posted without a key */

/* Billionths of a unit: 18 digits before and 9 after the point. */
typedef __int128 model_money;

enum model_post_state {
    POST_IN_FLIGHT,
    POST_IN_DOUBT,
    POST_QUEUED,
    POST_ACCEPTED,
    POST_REFUSED,
    POST_ALIAS,        /* a duplicate, found late */
    POST_LATE_CONFLICT /* other money, found late: its deliveries are parked */
};

struct model_post {
    enum model_post_state state;
    struct event_id id;
    int64_t accepted_us;
    uint32_t scope;
    unsigned account;
    bool guarded;
    bool has_amount;
    model_money amount;
    char currency[CURRENCY_BYTES + 1]; /* "": none */
    struct slice body;                 /* the model's copy */
    unsigned deliveries_count;
    struct model_delivery *deliveries;
    bool awaits_answer;
    bool promised;             /* a partner has its 200 */
    bool published;            /* the broker has had a message of it */
    bool misrouted;            /* into another partition's queue */
    bool queue_lost;           /* a queue was deleted with a message of it */
    unsigned long disk_errors; /* told before it was posted */
    bool was_low;              /* the disk, when it was posted */

    /* at the last look */
    bool on_disk, has_body;
    bool expired; /* its time was over, and it has gone */
    int64_t seq;
};

struct model_delivery {
    struct model_post *post;
    unsigned index;

    /* at the last look */
    bool on_disk;
    bool broker_owned; /* the broker's */
    int64_t id;
    uint64_t endpoint;
    enum delivery_state state;
    enum park_reason reason;
    int64_t generation, attempts, failures, due_us;
    int64_t started_us, delivered_us;
    bool
        /* an operator has had it sent again after it was delivered: that it was stays true */
        replayed;
    uint64_t moved_to; /* by an action that this look has found; 0: to no other endpoint */
    unsigned char ordered[DELIVERY_STATES]
                         [DELIVERY_STATES]; /* acts on it that this look has found */

    /* requests to its client */
    unsigned sends, sends_in_run;
    bool in_flight;
    bool worked_off; /* a client has answered 2xx, once at least */
    bool seen_2xx;   /* the gateway has seen that, and has not crashed since */
    bool spent;      /* guarded: its permission to send is used up */
    int64_t ends_seen;
};

/* Of this seed. */
struct model_rules {
    unsigned retry_steps;          /* dead after so many failures and one */
    const int64_t *steps_us;       /* of the schedule: must outlive the model */
    int64_t retry_after_us_max;    /* what a client gets that asks for more time */
    int64_t bodies_us, history_us; /* how long what is final is kept; 0: for ever */
};

void model_init(const struct model_rules *rules);

/* Posts. */
struct model_post_parts {
    uint32_t scope; /* the number of its (account, type, key) or MODEL_NO_SCOPE */
    unsigned account;
    bool guarded, misrouted;
    struct event_id id;
    int64_t accepted_us;
    const char *amount, *currency; /* NULL: none */
    struct slice body;
    unsigned endpoints_count;
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
};
struct model_post *model_posted(const struct model_post_parts *parts);
void model_disk_is_short(struct model_post *post); /* the journal says so: it may be refused */
void model_answered(struct model_post *post, enum err result, const struct event_id *id);
unsigned model_posts_count(void);
struct model_post *model_post_of_id(const struct event_id *id); /* or NULL */
unsigned model_in_flight(void); /* posts and actions without an answer */
struct model_delivery *model_any_delivery(
    uint64_t random); /* one that the last look has seen; NULL: there is none */

/* This run parks guarded events that the broker brings and that were accepted before. */
void model_adopted(int64_t since_us);

/* The broker's side of a post. */
void model_published(struct model_post *post);  /* it is in a queue */
void model_confirmed(struct model_post *post);  /* and its partner has a 200 */
void model_gave_up(struct model_post *post);    /* ingress has stopped: the partner has no 200 */
void model_queue_lost(struct model_post *post); /* with a message of it */
/* The gateway says that a message is done with; of poison `post` is NULL. */
void model_message_acked(struct model_post *post, unsigned poison);
unsigned model_broker_owned(void); /* events that the last look has found to be the broker's */
/* No 200 was given for what is nowhere. */
void model_check_promises(void);

/* Operators' actions. */
struct model_action *model_ordered(struct model_delivery *delivery, enum delivery_state from,
    enum delivery_state to, uint64_t endpoint);
void model_action_answered(struct model_action *action, enum err result, enum delivery_state state,
    enum operator_action_refusal refusal);

/* The gateway's life. `wall_us` is the clock of the journal that was opened, which does not jump.
 * */
void model_journal_opened(int64_t wall_us);
void model_journal_failed(void); /* its file is in doubt */
void model_crashed(void);
void model_stopped(bool recorded_everything); /* in good order; the disk has refused nothing */

/* Looks at the journal, if there is something new; does nothing while it can't be seen. */
void model_look(void);
/* Deliveries that should still move; `ret_text` names some of them. */
unsigned model_unfinished(char *ret_text, size_t size);

/* Requests to clients. */
struct model_send {
    struct slice id, attempt; /* the headers' values */
    const char *url;
    struct slice body;
    bool once;
};
struct model_delivery *model_request_sent(const struct model_send *send);
/* The client has worked it off, or not: nobody but the driver knows yet. */
void model_request_answered(struct model_delivery *delivery, const struct attempt_end *end);
/* The gateway sees the end. */
void model_request_ended(struct model_delivery *delivery, const struct attempt_end *end);

#endif
