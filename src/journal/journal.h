/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of one shard, as its users see it: requests that are sent to it by mailbox and
 * answered when what they did is durable.
 *
 * It is the dedupe store, the embedded queue, the retry schedule, the dead-letter store and the
 * history. `struct journal_ops` is what an implementation provides; journal_sqlite.h is the only
 * one.
 *
 * Order: requests are worked off in the order of posting, many in one transaction. All answers of a
 * transaction leave after its commit, in the order of their requests. New deliveries are handed
 * over right before, in the same order. delivery relies on that: a JOURNAL_LOAD that is answered
 * after a JOURNAL_RECORD_OUTCOME saw the recorded state, and one that is answered before can be
 * recognized, because the delivery is still in memory.
 *
 * Failure: when a commit fails, every request of the transaction is answered with its error
 * (ERR_DISK_FULL, ERR_DISK), and nothing of it has happened. After an error that leaves the file in
 * doubt (a failed sync) the journal refuses everything, and calls on_failed once.
 *
 * Ownership: a request belongs to the journal from journal_submit until its on_done.
 */
#ifndef PENSTOCK_JOURNAL_JOURNAL_H
#define PENSTOCK_JOURNAL_JOURNAL_H

#include "base/id_map.h"
#include "base/limits.h"
#include "base/list.h"
#include "journal/backlog_board.h"
#include "journal/disk_board.h"
#include "model/dedupe_key.h"
#include "model/delivery_state.h"
#include "model/event.h"
#include "model/operator_event.h"
#include "model/retry.h"
#include "model/verdict.h"
#include "runtime/request.h"

/* What a load found a delivery as (journal_load). */
enum load_part { LOAD_PENDING, LOAD_RECOVERED, LOAD_DUE, LOAD_PARTS };

/* A delivery as it lives in memory. `id` is the event's number times ACCOUNT_ENDPOINTS_MAX plus its
 * index among the event's deliveries. */
struct delivery {
    int64_t id;
    uint64_t endpoint; /* 0: unrouted */
    enum delivery_state state;
    enum delivery_lane lane;
    uint32_t generation; /* rounds: an operator's replay begins a new one */
    uint32_t attempts;   /* made so far, over all rounds */
    uint32_t failures;   /* in this round: the steps of the schedule that are used up */
    /* A forced replay: the client has had it, and it is delivered again when this one fails. */
    bool was_delivered;
    enum wait_cause wait_cause; /* of a waiting one */
    enum load_part loaded_as;   /* of one that a load returned */
    int64_t due_us;             /* wall time; of a pending one when it was accepted */
    int64_t wait_us;            /* of a waiting one: how long it waits until then */
    struct event *event;        /* a reference of its own */
};

/* When a waiting one began to wait. */
static inline int64_t delivery_wait_began_us(int64_t due_us, int64_t wait_us)
{
    return due_us > INT64_MIN + wait_us ? due_us - wait_us : INT64_MIN;
}

/* One HTTP request to a client, as it is recorded. */
struct attempt {
    uint32_t number;    /* from 1 */
    int64_t started_us; /* wall time */
    int64_t duration_us;
    struct attempt_end end;
    struct attempt_evidence evidence;
    char rule[EVIDENCE_RULE_BYTES]; /* what the success rule says of the answer; may be empty */
    uint32_t excerpt_len;
    /* Of the answer: its body, or the bytes that arrived in its place. May hold any bytes. */
    char excerpt[ANSWER_EXCERPT_BYTES_MAX];
};

static inline struct attempt_said attempt_said_of(const struct attempt *attempt)
{
    return (struct attempt_said){.end = &attempt->end,
        .evidence = &attempt->evidence,
        .rule = attempt->rule,
        .duration_us = attempt->duration_us};
}

#define ATTEMPTS_KEPT_FIRST 20 /* of a delivery, and */
#define ATTEMPTS_KEPT_LAST 100
#define JOURNAL_WAIT_US 10000   /* how long an outcome that may wait does so */
#define LOAD_LOOKED_PER_COUNT 4 /* rows looked at for one that a load returns */
#define LOAD_PROBE_LOOKED 64    /* rows looked at for a probe */
#define LOAD_PROBE_PASSED 1024  /* rows of other classes passed over for a probe */
#define REDUE_COUNT_MAX 500     /* rows looked at in one step: the writer is held for it */

enum journal_kind {
    JOURNAL_APPEND, /* accept an event */
    JOURNAL_START,  /* a guarded delivery: make `sending` durable */
    /* the outcome of an attempt, or any other move of one delivery by its owner */
    JOURNAL_RECORD_OUTCOME,
    JOURNAL_OPERATOR_ACTION, /* an operator's move of one delivery */
    JOURNAL_LOAD,            /* deliveries of one endpoint that are due */
    JOURNAL_SCAN_BACKLOG,    /* which endpoints have something open */
    JOURNAL_RELEASE, /* parked deliveries of one endpoint whose cause has ended: back to pending */
    JOURNAL_REDUE,   /* waiting deliveries of one endpoint whose due times follow new rules */
    JOURNAL_RECORD_RETRY_RULES, /* the retry rules that all due times follow */
    JOURNAL_LIST_PARKED,        /* deliveries of one endpoint that are parked for one reason */
    JOURNAL_ROUTE,              /* gives such deliveries an endpoint: back to pending */
    JOURNAL_RECEIVE,            /* an event that the broker delivered */
    JOURNAL_ADOPT,              /* broker-owned events become the journal's */
    JOURNAL_LIST_BROKER_OWNED,  /* broker-owned events that a last run has left */
    JOURNAL_KEEP_POISON,        /* a message that is no event */
    JOURNAL_CHECK_CONFIRMED,    /* events that the broker has confirmed: are they here? */
    JOURNAL_LOAD_OUTBOX,        /* events that wait for the broker */
    JOURNAL_CLEAR_OUTBOX,       /* the broker has them */
    /* replays (journal/replays.h) */
    JOURNAL_REPLAY_CREATE,
    JOURNAL_REPLAY_CHANGE,
    JOURNAL_REPLAY_LIST,
    JOURNAL_REPLAY_FIND,
    JOURNAL_REPLAY_LOOK,
    JOURNAL_REPLAY_MOVE,
    JOURNAL_KINDS
};

/*
 * OK (new), ERR_EXISTS (a duplicate: ret_id is the first one's), ERR_CONFLICT (the same key with
 * other money: ret_id as well). An event that is there under this very id, because the broker
 * delivered it first, is OK as well, and the journal's own from then on.
 *
 * `to_outbox`: on a gateway that does not deliver, the event is only kept until the broker has it
 * (JOURNAL_LOAD_OUTBOX). It has no dedupe, no deliveries and no totals: those are the delivering
 * gateway's.
 */
struct journal_append {
    struct request request;
    struct event *event; /* the requester's reference; the journal takes its own */
    bool to_outbox;
    struct dedupe_key dedupe_key; /* counts when the event has a key */
    unsigned endpoints_count;     /* 0: one delivery, parked as unrouted */
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
    struct event_id ret_id;
};

/*
 * Who owns an event, in rabbitmq mode. (An event that was appended is always the journal's own.)
 * The owner is recorded in the rows of the event's deliveries (`broker_owned`), the same in all of
 * them. A broker-owned row is in no load, backlog scan or release.
 *
 *   received --> broker-owned --+--> all its deliveries are delivered
 *                               '--> the journal's own: one of its deliveries becomes waiting,
 *                                    parked or dead; or an append finds it; or JOURNAL_ADOPT; or
 *                                    at the start, when one of its deliveries has left pending
 *
 * A broker-owned event is suspended when its channel is lost and nothing of it has started: nothing
 * is sent until the broker delivers it again, or turns out not to have it any more
 * (queue/suspended.c).
 */
enum journal_received {
    /* broker-owned: new, or received again before anything of it left pending. ret_deliveries */
    RECEIVED_BROKER_OWNED,
    RECEIVED_JOURNAL_OWNED, /* the journal's own, or final: the message may be acked */
    /* a duplicate, found late: its id leads to the first one (ret_first) from now on */
    RECEIVED_ALIAS,
    /* other money under a known key, found late: its deliveries are parked. ret_first */
    RECEIVED_CONFLICT,
};

struct journal_received_delivery {
    int64_t delivery;
    uint64_t endpoint;
};

/* OK, with ret_received. ERR_DAMAGED: the dedupe store cannot say whether the event is new.
 * ERR_UNAVAILABLE: another event has its id. ERR_DISK_FULL: events of its class are not accepted
 * now. */
struct journal_receive {
    struct request request;
    /* The requester's reference. Its deliveries are handed over only when a damaged row makes the
     * journal adopt it. */
    struct event *event;
    struct dedupe_key dedupe_key; /* counts when the event has a key */
    /* PARK_MISMATCH, PARK_TAKEN_OVER: a new one is parked at once, and the journal's own; so is
     * with PARK_TAKEN_OVER one that was broker-owned and has not started. */
    enum park_reason park_as;
    unsigned endpoints_count;
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
    enum journal_received ret_received;
    bool ret_is_new;
    struct event_id ret_first;
    unsigned ret_count; /* of RECEIVED_BROKER_OWNED: its deliveries that are pending */
    struct journal_received_delivery ret_deliveries[ACCOUNT_ENDPOINTS_MAX];
};

/* An event by its number: that of any of its deliveries, divided by ACCOUNT_ENDPOINTS_MAX. Those
 * that are the journal's own already, or unknown, are passed over. Guarded ones that were accepted
 * before `park_guarded_before_us` (0: none) are parked as adopted: another gateway may have sent
 * them. */
struct journal_adopt {
    struct request request;
    unsigned count;
    const int64_t *events; /* the requester's */
    int64_t park_guarded_before_us;
};

/* What was broker-owned when the last run ended, and of which nothing had started (the others were
 * adopted at the start). The partition is the one in the event's id; of an event that is damaged it
 * may be any number. */
struct journal_broker_owned {
    int64_t event;
    unsigned partition;
};

/* Lists the broker-owned events with a number beyond `after_event`, in order. There are more while
 * ret_count == count_max. */
struct journal_list_broker_owned {
    struct request request;
    int64_t after_event;
    unsigned count_max; /* of `ret_events`, which the requester allocated */
    unsigned ret_count;
    struct journal_broker_owned *ret_events;
};

/* Kept with its bytes and the reason, for a person to look at; never sent. The texts must stay
 * until the answer. ERR_DISK_FULL, as for a critical event. */
struct journal_keep_poison {
    struct request request;
    char queue[64];
    char reason[160];
    char message_id[256]; /* as the message says, cut; may be empty */
    struct slice headers; /* JSON */
    struct slice body;
    uint64_t body_bytes; /* of the message; more than body.len: it was cut */
};

/*
 * Which of these events the journal has, under their own ids or as aliases. `next_offset`: where
 * the next start continues to read the list of confirmed events, or -1 for no change;
 * `ret_next_offset` is the stored one, 0 at first. With `judge` the events that the journal has not
 * are lost: their ids are kept for the audit (lost.h). An event counts as known as well when it was
 * found to be lost before, or is so old that its history may have expired.
 */
struct journal_check_confirmed {
    struct request request;
    unsigned count;
    const struct event_id *ids; /* the requester's */
    bool judge;
    int64_t next_offset;
    bool *ret_known; /* as many, the requester's */
    int64_t ret_next_offset;
    int64_t ret_lost; /* when `count` is 0: how many are kept as lost */
};

/* Up to `count_max` events of the outbox with a number beyond `after_event`, in order. Bodies take
 * from `budget`, up to the share. A damaged event is passed over, named in the log, and stays. */
struct journal_load_outbox {
    struct request request;
    int64_t after_event;
    unsigned count_max; /* of `ret_entries`, which the requester allocated */
    int64_t bytes_max;
    struct byte_budget *budget;
    int budget_share_percent;
    unsigned ret_count;
    int64_t ret_left; /* how many are in the outbox */
    struct journal_outbox_entry {
        int64_t number;
        struct event *event; /* a reference of its own */
    } * ret_entries;
};

struct journal_clear_outbox {
    struct request request;
    unsigned count;
    const int64_t *numbers; /* the requester's */
};

/*
 * Moves one delivery from `from` to `to`. ERR_MOVED_ON: it is not in `from` of this generation any
 * more. An unguarded delivery, whose `sending` is not written, is recorded from pending or waiting:
 * `from` is the state that the journal has. A forced replay that would become dead or parked
 * becomes delivered again (delivery_state.h).
 */
struct journal_record {
    struct request request; /* JOURNAL_START or JOURNAL_RECORD_OUTCOME */
    int64_t delivery;
    uint32_t generation;
    enum delivery_state from, to;
    enum park_reason reason;    /* of parked */
    enum wait_cause wait_cause; /* of waiting */
    enum delivery_lane lane;
    uint32_t failures;
    int64_t due_us;  /* of waiting */
    int64_t wait_us; /* ... and how long it waits until then */
    /* It may wait up to JOURNAL_WAIT_US for a commit that carries more. Only for the outcome of an
     * unguarded delivery: after a crash it may be sent again. */
    bool may_wait;
    bool has_attempt;
    struct attempt attempt;
};

/*
 * An operator moves delivery number `index` of an event, which is expected to be in `from`: one of
 * the ways of delivery_state_may_move_by_operator. With `from_any` (bits) it may be in any of these
 * states, and the look sets `from`. The request is sent to the owner of the delivery
 * first (delivery_shard_operator_action). The owner submits it here and answers the operator. The
 * owner also submits it when a client has answered a status probe. A way to pending begins a new
 * round in the lane of replays. The action, its reason and its actor are kept.
 *
 * Before a way to pending or out of waiting, the owner asks with `looks`: nothing is changed, and
 * the answer says where the delivery is, whether it could be sent, and whose event it is. So the
 * owner can refuse what could never be delivered, and can take the delivery out of its memory. The
 * action itself then holds only for `expected_endpoint`.
 *
 * With `endpoint` a delivery that was not delivered is sent to another endpoint of its account from
 * now on, and the totals follow it.
 *
 * OK, ERR_NOT_FOUND, ERR_MOVED_ON (`ret_state` says where it is), ERR_INVALID (`ret_refusal` says
 * why it cannot be sent), ERR_DAMAGED.
 */
enum operator_action_refusal {
    ACTION_NOT_REFUSED,
    ACTION_UNROUTED,          /* it has no endpoint to be sent to */
    ACTION_BODY_EXPIRED,      /* there is nothing left to send */
    ACTION_ENDPOINT_GONE,     /* the endpoint that it would be sent to does not exist any more */
    ACTION_ENDPOINT_DISABLED, /* or takes nothing */
    ACTION_ENDPOINT_FOREIGN,  /* or is of another account */
    ACTION_ENDPOINT_HAS_IT,   /* or has a delivery of the event already, number ret_index */
    ACTION_WAS_DELIVERED,     /* what an endpoint has had stays that endpoint's */
    /* The client may have done the work, or the event may be a duplicate; see allows_doubt. */
    ACTION_NEEDS_GUARDED
};

/* Who moved the delivery; the numbers are stored in the file. */
enum action_actor { ACTION_BY_OPERATOR, ACTION_BY_STATUS_PROBE };

struct journal_operator_action {
    struct request request; /* the owner's to the journal */
    struct request ask;     /* the operator's to the owner: delivery_shard_operator_action */
    struct event_id event;
    unsigned index;
    enum delivery_state from, to;
    unsigned from_any; /* 0: `from` is given */
    enum action_actor actor;
    uint64_t endpoint; /* of a way to pending: where to; 0: to its own */
    bool allows_doubt; /* it is sent although it is in doubt; for operators */
    bool looks;
    /* The owner's: in its map while the delivery is kept out of memory. */
    struct id_map_node in_deciding;
    bool is_deciding;
    uint64_t expected_endpoint; /* unless it looks */
    /* The move is made only in this generation; ERR_MOVED_ON: it was sent again since. */
    bool expects_generation;
    uint32_t expected_generation;
    enum operator_action_refusal ret_refusal;
    char ret_account[NAME_BYTES_MAX + 1]; /* of what could be sent */
    unsigned ret_index;
    /* Why, in the operator's words; of a status probe, what the client has answered. */
    char note[ACTION_NOTE_BYTES_MAX + 1];
    int64_t ret_delivery;
    uint64_t ret_endpoint;
    enum delivery_state ret_state;
};

/* Which pending deliveries a load asks for. Each choice has its own cursor, so that many replays
 * do not delay the others. */
enum pending_lanes {
    PENDING_ALL,
    PENDING_FRESH_AND_RETRY,
    PENDING_REPLAY,
};

/*
 * Up to `count_max` deliveries of `endpoint` and `bytes_max` bytes of bodies, in three parts:
 *
 *   LOAD_PENDING     pending ones of `pending_lanes` with id > after_pending_id (INT64_MAX: none
 *                    are asked for), in order of id
 *   LOAD_RECOVERED   waiting ones that failed because of the endpoint (WAIT_ENDPOINT) and began to
 *                    wait at or before `recovered_us` (0 or less: none are asked for), with id >
 *                    after_recovered_id, in order of id: the endpoint has recovered since, so that
 *                    they are due whatever their due time says. Those that began later are passed
 *                    over, at most LOAD_LOOKED_PER_COUNT * count_max of them in one load
 *   LOAD_DUE         waiting ones due by `due_by_us` and behind (after_waiting_due_us,
 *                    after_waiting_id), in order of (due time, id)
 *
 * Those of the classes in `without` (bits, 1 << enum event_class) are passed over, in each part at
 * most as many as above; no event of them is read. The cursors continue at `ret_after_*`.
 *
 * A recovered one may be due as well, and is then found by both cursors. One whose row or body is
 * damaged is parked (PARK_DAMAGED) instead. Bodies are taken from `budget` up to
 * `budget_share_percent`; where that ends, so does the answer.
 *
 * With `probe` the answer has candidates for a probe instead, the best first: what is waiting or
 * pending, at most LOAD_PROBE_LOOKED of the oldest; unguarded ones of critical class, then other
 * unguarded ones, then the rest, each in order of id. Replays, and what waits for another cause
 * than the endpoint, count only when there is nothing else. The other cursors are not used: the
 * oldest are those behind `after_probe_id`, and a search continues at `ret_after_probe_id`. If
 * `unguarded` is set as well, guarded ones are left out. With `unsent` only pending ones count,
 * replays among them. Of the classes in `without`, LOAD_PROBE_PASSED are passed over at most.
 */
struct journal_load {
    struct request request;
    uint64_t endpoint;
    bool probe, unguarded, unsent;
    int64_t after_probe_id; /* 0: from the beginning */
    unsigned without;       /* classes */
    enum pending_lanes pending_lanes;
    int64_t after_pending_id;
    int64_t recovered_us, after_recovered_id;
    int64_t after_waiting_due_us, after_waiting_id;
    int64_t due_by_us;
    unsigned count_max; /* of `ret_deliveries`, which the requester allocated */
    int64_t bytes_max;
    struct byte_budget *budget;
    int budget_share_percent;
    unsigned ret_count;
    bool ret_more;                /* something that was asked for was left */
    bool ret_more_of[LOAD_PARTS]; /* ... of this part */
    /* Where the next load of a part continues: behind what was returned or passed over. */
    int64_t ret_after_pending_id, ret_after_recovered_id;
    int64_t ret_after_waiting_due_us, ret_after_waiting_id;
    int64_t ret_after_probe_id; /* INT64_MAX: there are no more */
    int64_t ret_next_due_us;    /* the earliest waiting one that is due later; INT64_MAX: none */
    struct delivery *ret_deliveries;
};

struct journal_backlog {
    uint64_t endpoint;
    int64_t pending, waiting;
    int64_t replays;           /* of the pending ones: in the lane of replays */
    int64_t failed;            /* of the waiting ones: because of the endpoint */
    int64_t parked_releasable; /* parked as disabled or gone */
    int64_t unrouted;          /* parked since they match no endpoint; their endpoint is 0 */
    int64_t waiting_due_us;    /* the earliest; INT64_MAX when none waits */
};

/* Reads what is open. Guarded deliveries that were being sent when the last run ended have already
 * been parked as ambiguous. */
struct journal_backlog_scan {
    struct request request;
    /* Of the clock that due times are made of. Whose wait begins later than this (it was written
     * under a clock that was ahead) waits as long from now on. */
    int64_t now_us;
    bool ret_again; /* there are more of those: ask once more */
    size_t ret_count;
    struct journal_backlog *ret_backlogs; /* malloc'd; the requester frees it */
};

/* In steps of at most `count_max`, so that the writer is never held; the requester asks again while
 * ret_count == count_max. */
struct journal_release {
    struct request request;
    uint64_t endpoint;
    enum park_reason reason; /* PARK_DISABLED or PARK_GONE */
    unsigned count_max;
    unsigned ret_count;
};

/*
 * The rules of an endpoint have changed: its waiting deliveries become due by the new ones, as
 * `new_due_us` says. A delivery is never due later than before, and never before it began to wait;
 * one whose due time does not change is not written.
 *
 * In steps of at most `count_max` rows behind (after_due_us, after_id), in order of (due time, id).
 * The requester asks again from (ret_after_due_us, ret_after_id) while `ret_more`. It begins with
 * the present time when those that are due already do not matter, or with INT64_MIN. What is in its
 * memory already it changes itself; a cursor of its loads may be beyond what has moved.
 *
 * `new_due_us` is called on the journal's thread, and depends on nothing but its arguments. The
 * delivery has its event, without the body. `context` stays as it is until the answer.
 */
struct journal_redue {
    struct request request;
    uint64_t endpoint;
    int64_t (*new_due_us)(const struct delivery *waiting, const void *context);
    const void *context;
    int64_t after_due_us, after_id;
    unsigned count_max; /* REDUE_COUNT_MAX or less */
    unsigned ret_count; /* those that were changed */
    bool ret_more;
    int64_t ret_after_due_us, ret_after_id;
    int64_t ret_earliest_due_us; /* of those that were changed; INT64_MAX: none */
};

/*
 * The retry rules that the due times of all waiting deliveries follow. The owner of the deliveries
 * keeps them here, so that the next start notices what was changed in the meantime. They are not
 * known in a new file, and while the due times are being changed to new rules.
 */
struct journal_retry_rules {
    bool known;
    struct retry_rules gateway; /* used where an endpoint has no rules of its own */
    /* The due times follow the changes of endpoints up to this version of the accounts. */
    int64_t endpoints_version;
};

struct journal_record_retry_rules {
    struct request request;
    struct journal_retry_rules rules;
};

/* A parked delivery, and what its event says. */
struct journal_parked {
    int64_t delivery;
    uint32_t generation;
    int64_t parked_us;
    struct event_id event;
    char account[NAME_BYTES_MAX + 1], type[EVENT_TYPE_BYTES_MAX + 1];
};

/* Lists the deliveries of `endpoint` (0: unrouted) that are parked for `reason`, with an id beyond
 * `after_id`, in order, without those whose event is damaged. */
struct journal_list_parked {
    struct request request;
    uint64_t endpoint;
    enum park_reason reason;
    int64_t after_id;
    /* Of `ret_parked`, which the requester allocated; as many rows are looked at. */
    unsigned count_max;
    unsigned ret_count;
    int64_t ret_after_id; /* where the next list begins; INT64_MAX: there are no more */
    struct journal_parked *ret_parked;
};

struct journal_routing {
    int64_t delivery;
    uint64_t endpoint;
};

/* The owner has found endpoints for them. One that is unrouted no more is passed over. */
struct journal_route {
    struct request request;
    unsigned count;
    const struct journal_routing *routings; /* the requester's */
    unsigned ret_count;
};

/* New deliveries of one transaction, unrouted ones (endpoint 0) among them, for the delivery
 * thread; it frees the handover and owns the events' references. */
struct journal_handover {
    struct mail mail;
    unsigned count;
    struct delivery deliveries[];
};

/* Who gets what a journal has to say by itself. Set before the first append. */
struct journal_listener {
    struct mailbox *delivery; /* gets each handover */
    void (*on_handover)(struct mail *mail, void *receiver);
    void (*on_failed)(void *context, enum err error); /* on the journal's thread, once */
    void *context;
    struct operator_event_sink operator_events; /* conflicts, parkings of its own */
};

struct journal;

struct journal_ops {
    void (*submit)(struct journal *journal, struct request *request);
    void (*stop)(struct journal
            *journal); /* works off what was submitted, commits, closes, joins; frees the journal */
};

#define JOURNAL_ID_BYTES 33 /* 32 hex digits, NUL included */

/* What the file held when it was opened. A gateway with other roles may not be able to finish
 * it. */
struct journal_found {
    int64_t open;         /* deliveries pending, sending or waiting that are the journal's own */
    int64_t broker_owned; /* events that are the broker's */
    int64_t outbox;       /* events that wait for the broker */
    struct journal_retry_rules rules;
};

struct journal {
    const struct journal_ops *ops;
    char id[JOURNAL_ID_BYTES]; /* of the file; immutable after open */
    struct journal_found found;
    struct disk_board room; /* shared */
    /* Shared: what the file has open. Ends with the journal. */
    const struct backlog_board *backlog;
};

/* Any thread. The request's kind, reply_to, on_done and inputs are set. Never blocks, never fails:
 * failures come as a result. */
static inline void journal_submit(struct journal *journal, struct request *request)
{
    journal->ops->submit(journal, request);
}

static inline void journal_stop(struct journal *journal)
{
    if (journal)
        journal->ops->stop(journal);
}

#endif
