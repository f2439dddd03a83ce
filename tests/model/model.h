/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: a record of what was posted, answered, ordered and sent, and the promises as rules
 * about it. It is independent of how Penstock works. It sees only answers, requests to clients and
 * the journal's tables.
 *
 *   model.c                    posts and keys: P1 and P3, from the answers
 *   model_operator_actions.c   operator actions, and what they permit
 *   model_look.c               reads the journal's tables: P1 and P3 on disk, expiry
 *   model_ways.c               P2: the state changes that a delivery may make
 *   model_money.c              P8: exact decimals, sums, the totals
 *   model_send.c               requests to clients: P4 and P5
 *   model_probe.c              what clients have really done, and status probes: P5
 *   model_flow.c               how an endpoint's failures and recoveries govern them: P7
 *   model_broker.c             rabbitmq mode: acks, ownership, aliases, late conflicts
 *
 * States of a post:
 *
 *   in flight --answer--> accepted | refused (duplicate, conflict or error)
 *   in flight --crash, or the journal fails--> in doubt
 *   in doubt --> accepted | refused     by the next look after a start, or by the next answer
 *                                       about the key
 *
 * A post that was published to the broker may be judged later, whatever its answer was. It is then
 * queued (confirmed by the broker), refused or in doubt. When a look finds it in the journal, it
 * becomes accepted, alias or late conflict.
 *
 * An operator action has the same states, with `done` in place of accepted.
 *
 * A delivery is identified by its post and its index among the post's deliveries. Its endpoint may
 * change: an unrouted delivery is routed, or an operator sends it to another endpoint.
 *
 * A broken promise ends the process (fail, trace.h).
 */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_H
#define PENSTOCK_TESTS_MODEL_MODEL_H

#include "base/limits.h"
#include "fake_accounts.h"
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
    POST_ALIAS,        /* a duplicate that the journal found late */
    POST_LATE_CONFLICT /* another amount, found late: its deliveries are parked */
};

struct model_post {
    enum model_post_state state;
    unsigned number;
    struct event_id id;
    int64_t accepted_us;
    uint32_t scope;
    unsigned account;
    enum event_class class;
    bool guarded;
    bool has_amount;
    model_money amount;
    char currency[CURRENCY_BYTES + 1]; /* "": none */
    struct slice body;                 /* the model's own copy */
    unsigned deliveries_count;
    struct model_delivery *deliveries;
    bool awaits_answer;
    bool promised;             /* its partner was answered 200 */
    bool published;            /* a message of it was in the broker */
    bool misrouted;            /* published into another partition's queue */
    bool queue_lost;           /* a queue was deleted while a message of it was inside */
    unsigned long disk_errors; /* reported by the disk before it was posted */
    bool was_low;              /* the disk was nearly full when it was posted */
    unsigned char processed[FAKE_ENDPOINTS]; /* how often each client has really processed it */

    /* at the last look */
    bool on_disk, has_body;
    bool expired; /* it is older than its retention, and was removed */
    int64_t seq;
    unsigned long looked_at; /* the number of the last look that found it */
};

/* Until when a delivery waits, and why. In the journal's clock. */
struct model_wait {
    bool is_known;
    enum wait_cause cause;
    int64_t began_us, due_us;
};

struct model_delivery {
    struct model_post *post;
    unsigned index;

    /* at the last look */
    bool on_disk;
    bool broker_owned;
    int64_t id;
    uint64_t endpoint;
    enum delivery_state state;
    enum park_reason reason;
    enum delivery_lane lane;
    int64_t generation, attempts, failures, due_us;
    int64_t started_us, delivered_us;
    int64_t seen_us;        /* monotonic: when a look found it first */
    struct model_wait wait; /* known in the states waiting and sending */
    /* an operator ordered it to be sent again after it was delivered; stays true */
    bool replayed;
    uint64_t moved_to; /* set by an action that this look found; 0: the endpoint did not change */
    unsigned char ordered[DELIVERY_STATES]
                         [DELIVERY_STATES]; /* operator actions on it that this look found */

    /* requests to its client */
    unsigned sends, sends_in_run;
    int64_t sent_mono_us; /* the last attempt */
    bool in_flight;
    bool worked_off;   /* a client has answered with a success at least once */
    bool seen_success; /* the gateway has received a success since its last crash */
    bool spent;        /* guarded: its permission to send is used up */
    /* an operator has ordered it to be sent since its client has processed it */
    bool sent_by_order;
    int64_t ends_seen;
    int64_t sent_us;  /* the last one, monotonic */
    bool was_waiting; /* when it was sent */
    bool was_replay;  /* the same: it says nothing about its endpoint, unless it was a probe */
    /* The last attempt that ended: its number, and whether it ended before it was due. */
    int64_t ended_number, ended_us, ended_wall_us;
    bool ended_early;
    int ended_status;
    const struct fake_endpoint *sent_to; /* as it had changed so often; NULL: it was removed */
    unsigned sent_changes;
    bool ended_unchanged; /* since it was sent */
    int64_t sent_number;

    /* status probes: what its client has said since it was sent, and how many have moved it */
    enum probe_answer probe_answer;
    uint64_t probe_endpoint;
    unsigned resolutions, resolutions_in_look;
    unsigned long resolutions_looked_at;
};

/* The configuration of this seed. */
struct model_rules {
    unsigned retry_steps;          /* a delivery is dead after retry_steps + 1 failures */
    const int64_t *steps_us;       /* of the retry schedule; must outlive the model */
    int64_t retry_after_us_max;    /* the longest Retry-After that is respected */
    int64_t bodies_us, history_us; /* how long final events are kept; 0: without end */
};

void model_init(const struct model_rules *rules);

/* Posts. */
struct model_post_parts {
    uint32_t scope; /* the number of its (account, type, key), or MODEL_NO_SCOPE */
    unsigned account;
    enum event_class class;
    bool guarded, misrouted;
    struct event_id id;
    int64_t accepted_us;
    const char *amount, *currency; /* NULL: none */
    struct slice body;
    unsigned endpoints_count;
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
};
struct model_post *model_posted(const struct model_post_parts *parts);
void model_disk_is_short(struct model_post *post); /* low disk space: it may be refused */
void model_answered(struct model_post *post, enum err result, const struct event_id *id);
unsigned model_posts_count(void);
struct model_post *model_post_of_id(const struct event_id *id); /* or NULL */
unsigned model_in_flight(void); /* posts and actions that are not answered yet */
/* One that the last look has found; NULL: there is none. */
struct model_delivery *model_any_delivery(uint64_t random);

/* Delivery was adopted by force. This run parks guarded events from the broker that were accepted
 * before `since_us`. */
void model_adopted(int64_t since_us);

/* The broker's side of a post. */
void model_published(struct model_post *post);  /* a message of it is in a queue */
void model_confirmed(struct model_post *post);  /* confirmed, and the partner is answered 200 */
void model_gave_up(struct model_post *post);    /* ingress has stopped without answering 200 */
void model_queue_lost(struct model_post *post); /* a queue with a message of it was deleted */
/* The gateway acks a message. For poison `post` is NULL and `poison` is its number. */
void model_message_acked(struct model_post *post, unsigned poison);
unsigned model_broker_owned(void); /* number of events that were broker-owned at the last look */
/* Checks that each event that was answered 200 still exists somewhere. */
void model_check_promises(void);

/* Operator actions. */
struct model_action *model_ordered(struct model_delivery *delivery, enum delivery_state from,
    enum delivery_state to, uint64_t endpoint);
void model_action_answered(struct model_action *action, enum err result, enum delivery_state state,
    enum operator_action_refusal refusal);

/* Runs of the gateway. `wall_us` is the clock of the opened journal, which does not jump. */
void model_journal_opened(int64_t wall_us);
void model_journal_failed(void); /* the contents of its file are in doubt */
void model_crashed(void);
/* An orderly stop. `recorded_everything`: the disk has refused nothing. */
void model_stopped(bool recorded_everything);

/* Reads the journal if something was committed. Does nothing while it cannot be read. */
void model_look(void);
/* Returns the number of deliveries that should still move; `ret_text` names some of them. */
unsigned model_unfinished(char *ret_text, size_t size);

/* Requests to clients. */
struct model_send {
    struct slice id, attempt; /* the headers' values */
    const char *url;
    struct slice body;
    bool once;
    const struct fake_rules *rules; /* that it was sent by */
};
struct model_delivery *model_request_sent(const struct model_send *send);
/* How a request ended. `success`: by the rules that it was sent by. */
struct model_end {
    struct attempt_end end;
    enum success success;
};
/* The client has answered, or the request has failed. The gateway has not seen the end yet. */
void model_request_answered(struct model_delivery *delivery, const struct model_end *end);
/* The gateway has seen the end. */
void model_request_ended(struct model_delivery *delivery, const struct model_end *end);
/* The client has really done it, whatever it answers. */
void model_client_processed(struct model_delivery *delivery);

/* Status probes. */
struct model_question {
    struct model_post *post;
    uint64_t endpoint;
    struct model_delivery *delivery; /* NULL: it was moved to another endpoint */
    unsigned sends;                  /* of the delivery, when it was asked */
    bool processed;                  /* the same */
};
struct model_question model_asked(struct slice id, const struct fake_endpoint *endpoint);
bool model_has_processed(const struct model_question *question);
/* Returns one that is parked as ambiguous, of which a client is asked now, if there is one. NULL:
 * none is in doubt. */
struct model_delivery *model_in_doubt(uint64_t random);
void model_question_ended(const struct model_question *question, enum probe_answer answer);

#endif
