/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structs and functions that the files of delivery/ share. Everything is owned by the shard's
 * thread.
 *
 *   delivery.c         the thread: mail, the event source, the end of each turn, start and stop
 *   backlog.c          what the journal has at the start
 *   queues.c           the queues of the shard
 *   endpoint_queue.c   one endpoint's lanes, bounds and turn
 *   pace.c             how many attempts of an endpoint end
 *   settings.c         an endpoint's settings
 *   rule_changes.c     changes of retry rules, which apply to what waits already
 *   flow.c             what an endpoint takes: concurrency, rate, breaker, retry budget
 *   probe.c            the event that tests whether an endpoint is back
 *   probe_doubt.c      when a guarded event may be sent as a probe
 *   job.c              one delivery in memory, and where it is
 *   status_probe.c     asks a client what became of a delivery in doubt
 *   refill.c           loads from the journal what is due or has room again
 *   attempt.c          one HTTP request
 *   request_headers.c  its headers, and the signature
 *   outcome.c          judge the answer, record it
 *   unrouted.c         finds an endpoint for what is unrouted
 *   decision.c         moves one delivery as an operator or a status probe has decided
 *   operator_action.c  what operators do to one delivery
 */
#ifndef PENSTOCK_DELIVERY_DELIVERY_INTERNAL_H
#define PENSTOCK_DELIVERY_DELIVERY_INTERNAL_H

#include "base/id_map.h"
#include "base/list.h"
#include "delivery/delivery.h"
#include "model/breaker.h"
#include "model/concurrency.h"
#include "model/fair_queue.h"
#include "model/learned_rate.h"
#include "model/retry_budget.h"
#include "model/token_bucket.h"
#include "model/weighted_turn.h"
#include "queue/event_source.h"
#include "runtime/thread.h"

struct endpoint_queue;
struct unrouted_walk;
struct status_walk;

/*
 * Where a job is. job_move is the only function that changes it. It keeps the list and the counts
 * of each place.
 *
 *   QUEUED --> STARTING --> SENDING --> RECORDING --> (freed)
 *     |            |           |  ^        |   ^
 *     |            |           |  |        '---' the disk refused: recorded again later
 *     |            |           |  '-- unguarded: from QUEUED at once
 *     |            |           '----> QUEUED: this machine lacks something
 *     |            '----------------> QUEUED: the journal could not write `sending`
 *     '-----------------------------> RECORDING: parked without an attempt
 */
enum job_place {
    JOB_NOWHERE,
    JOB_QUEUED,   /* in a lane of its queue */
    JOB_STARTING, /* guarded: the journal is writing `sending` */
    JOB_SENDING,  /* the HTTP client has it */
    JOB_RECORDING /* the journal is writing the outcome */
};

/*
 * The lanes of a queue. UNSENT and RETRY are the two halves of the retry lane: what had no room
 * when it was accepted, and what is sent again. The retry budget holds back the second half only.
 */
enum queue_lane { QUEUE_FRESH, QUEUE_UNSENT, QUEUE_RETRY, QUEUE_REPLAY, QUEUE_LANES };

#define EVENT_CLASSES 3

/* A delivery in memory. */
struct job {
    struct id_map_node by_id; /* in shard->jobs */
    struct list in_lane;      /* QUEUED: in its lane; SENDING: in queue->sending */
    enum job_place place;
    enum queue_lane lane;    /* of a queued one */
    bool is_probe;           /* STARTING, SENDING: it tests whether the endpoint is back */
    bool is_stuck;           /* SENDING: it takes no part of the endpoint's limit (flow.c) */
    int64_t made_mono_us;    /* when it was handed over or loaded */
    int64_t started_mono_us; /* STARTING, SENDING: since when */
    struct endpoint_queue *queue;
    struct delivery delivery;
    struct attempt_run *run; /* from STARTING or RECORDING on */
    struct sourced sourced;  /* while the event source owns its event (queue/event_source.h) */
};

/* One attempt: from its beginning until its outcome is committed. */
struct attempt_run {
    struct journal_record record;
    struct client_request client;
    struct client_tls tls; /* texts of the policy */
    struct job *job;
    int64_t started_wall_us;
    int64_t sent_us; /* the same, by the shard's clock (shard_wall_us) */
    char url[URL_BYTES_MAX + 1];
    char endpoint_name[NAME_BYTES_MAX + 1];
    /* The endpoint's settings when the attempt began. */
    bool idempotent, final_4xx;
    const struct endpoint_policy *policy; /* a reference; NULL: it has none */
    char header_texts[896];
    char answer[]; /* ANSWER_RULE_BYTES_MAX, if a success rule looks at the body */
};

/* Deliveries of a queue that are in the journal but not in memory, in order of their numbers
 * (refill.c). */
struct refill_cursor {
    bool has_some;    /* behind `after_id` */
    int64_t after_id; /* up to here they have been loaded */
    /* While loading: a delivery behind this one was left in the journal; INT64_MAX: none was. */
    int64_t left_after_id;
};

/* The deliveries that an endpoint has in the journal but not in memory, and the requests that load
 * them (refill.c). */
struct refill {
    struct refill_cursor recent, unsent, replays, recovered;
    /* What had no room lately: the first delivery of this interval and of the one before; 0:
     * none. */
    int64_t recent_interval, recent_present_id, recent_before_id;
    int64_t recovered_us; /* the recovery mark, in wall time; 0: none yet */
    int64_t next_due_us;  /* when the earliest waiting one is due; INT64_MAX: none waits */
    /* Waiting ones up to here, in order of (due time, id), have been loaded. */
    int64_t waiting_after_due_us, waiting_after_id;
    unsigned part; /* enum refill_part: of the last load */
    struct timer due_timer;

    struct journal_load load;
    bool loading;
    /* While loading: the earliest due time that was committed behind the cursor; INT64_MAX:
     * none. */
    int64_t late_due_us;

    struct journal_release release;
    bool releasing, release_again;
    struct timer release_timer; /* the journal refused: release again later */
};

/* What an attempt says about the endpoint. */
enum flow_result {
    FLOW_DELIVERED,
    FLOW_REJECTED, /* it works, and does not want this event */
    FLOW_FAILED,
    FLOW_THROTTLED /* 429 */
};

/* What an endpoint takes (flow.c). The rules are in model/. */
struct flow {
    struct concurrency concurrency;
    struct breaker breaker;
    struct token_bucket bucket;
    struct learned_rate learned; /* what a 429 has taught */
    struct retry_budget budget;
    /* The endpoint's settings (settings.c). */
    double rate_max; /* attempts per second; 0: no limit */
    unsigned in_flight_max;
    struct timer rate_timer;   /* armed: the rate allows nothing until it fires */
    struct timer budget_timer; /* armed: asks the retry budget again */
    struct timer late_timer;   /* armed: looks whether an attempt in flight is late */
    struct timer probe_timer;  /* armed: sends a probe, or looks whether one is needed */
    bool is_late;              /* an attempt in flight is late, and not stuck */
    /* For the end of the turn: the endpoint has recovered; its breaker has opened, so that what
     * waits leaves memory; a probe is due. */
    bool has_recovered, wants_unload, wants_probe;
    /* What hangs: the latest success was sent then, and when the next attempt is given up. */
    int64_t answered_mono_us, next_stuck_us, stuck_interval_us;
    int64_t throttled_mono_us; /* the last 429 since the last recovery; 0: none */
    /* Deliveries have failed because of the endpoint in an earlier run of the gateway, or before an
     * operator changed the endpoint: the first success is its recovery. */
    bool failed_before;
    int64_t opened_mono_us;
    int64_t logged_mono_us;   /* the last message about an opening; 0: none */
    unsigned openings;        /* since then */
    bool is_logged;           /* the present or last one */
    int64_t failing_since_us; /* by the shard's clock: the first failure, or the opening */
    int64_t proved_mono_us, proved_took_us; /* the last answer but a failure; 0: none */
};

/* Gives what waits new due times after the rules have changed (rule_changes.c). */
struct redue_walk {
    struct journal_redue step;
    struct retry_rules rules[EVENT_CLASSES]; /* of this walk */
    bool running, again;                     /* again: they have changed since */
    bool asking;
    int64_t after_due_us, after_id; /* where the next step begins */
    int64_t ended_mono_us;          /* when the last walk ended; INT64_MIN: none did */
    struct list in_shard;           /* in shard->redues: it waits for its turn */
    struct timer timer;             /* armed: the next step */
};

/* Deliveries in doubt that the client is asked about (status_probe.c). */
struct status_probes {
    struct timer timer;
    struct status_walk *walk; /* NULL: none is running */
    int64_t after_id;         /* where the next walk begins */
    unsigned turn;            /* walks since the last doubt */
    bool again;               /* another doubt came up during the walk */
    bool left;                /* something before after_id is still in doubt */
};

/* The search for an event to probe with (probe.c). */
struct probe_search {
    bool loading;
    struct journal_load load;
    unsigned unguarded_looks_left; /* while it looks for an unguarded one */
};

/* The doubt that the last guarded probe has left (probe_doubt.c). */
struct probe_doubt {
    bool is_open;               /* it has no answer, or none yet */
    int64_t began_mono_us;      /* when it was sent */
    int64_t unguarded_after_id; /* the search for an unguarded event continues behind it */
};

/* One endpoint's queue. */
struct endpoint_queue {
    struct id_map_node by_id; /* in shard->queues */
    struct delivery_shard *shard;
    uint64_t endpoint;

    struct list lanes[QUEUE_LANES][EVENT_CLASSES]; /* of struct job, in order of arrival */
    unsigned queued_in[QUEUE_LANES];
    unsigned queued;
    struct list sending;     /* of struct job: SENDING, the longest first */
    int64_t bytes_in_memory; /* of the events of its jobs */
    unsigned in_flight;      /* jobs that are STARTING or SENDING */
    unsigned stuck;          /* of these */
    unsigned retries_in_flight;
    unsigned class_in_flight[EVENT_CLASSES];
    struct weighted_turn lane_turn, class_turn;
    bool unsent_turn;       /* the other half of the retry lane was served last */
    struct fair_flow fair;  /* its turn among the shard's queues */
    struct list in_short;   /* in shard->short_of_slots */
    struct list in_touched; /* in shard->touched */
    struct flow flow;
    struct delivery_rules rules[EVENT_CLASSES];
    struct redue_walk redue;
    struct timer rest_timer; /* armed: nothing is sent until it fires */
    unsigned disabling;      /* requests to disable the endpoint (410) without an answer */
    struct refill refill;

    struct status_probes status;
    struct probe_search probe;
    struct probe_doubt doubt;

    /* Its pace: attempts that ended in this half second and in the one before it. */
    int64_t pace_interval;
    unsigned ended, ended_before;

    /* The endpoint's secrets as keyed MACs. Keyed again when the endpoint's version changes. */
    int64_t macs_version;
    unsigned macs_count;
    struct hmac *macs[ENDPOINT_SECRETS_MAX];
};

/* Which rules the due times in the journal follow (rule_changes.c). */
struct rule_changes {
    struct journal_record_retry_rules request;
    struct journal_retry_rules recorded; /* in the journal, or on the way there */
    bool is_certain;                     /* the journal has not refused it */
    bool asking;
    int64_t endpoints_version; /* of the latest change of an endpoint that is known here */
    struct timer timer;        /* armed: records again */
};

struct delivery_shard {
    /* Number, loop, mailbox, journal, directory and byte budget: for the event source and for all
     * files here. */
    struct event_taker taker;
    struct event_source *source;

    /* immutable after init */
    struct accounts *accounts;
    struct client_options client_options;
    void (*on_report)(const struct delivery_report *report);

    struct mailbox mailbox;
    struct thread thread;

    /* owned by the shard's thread */
    struct loop loop;
    struct client *client;
    struct delivery_policy policy;
    struct id_map jobs, queues;
    struct fair_queue fair; /* the queues that have something to send and may send it */
    /* Of struct endpoint_queue: they would be ready, but other endpoints need the free slots. */
    struct list short_of_slots;
    struct list touched; /* of struct endpoint_queue: something has changed in this turn */
    struct list redues;  /* of struct endpoint_queue: one walk at a time (rule_changes.c) */
    bool redueing;
    struct rule_changes rule_changes;
    unsigned status_walks;         /* of all queues, see status_probe.c */
    struct list unrecorded;        /* of struct job: RECORDING, and the disk refused the outcome */
    unsigned in_flight, recording; /* jobs in these places */
    struct timer record_timer, scan_timer, unrouted_timer, drain_timer;
    struct unrouted_walk *walk; /* NULL: none is running */
    bool walk_again;            /* an endpoint appeared after the walk began */
    bool scanned;               /* the backlog is known */
    /* The journal refused a `sending` or an outcome. Nothing is sent until it accepts one again. */
    bool journal_refuses;
    int64_t wall_offset_us;
    int64_t shortage_logged_mono_us; /* 0: never */
    unsigned shortages;              /* since then */
    int64_t refusal_logged_mono_us;  /* of the journal; 0: never */
    unsigned refusals;               /* since then */
    uint64_t random_state;
};

/* shard.c */
/* Something of the queue has changed: at the end of the turn it loads and sends what it may. */
void shard_touch(struct endpoint_queue *queue);
/* Returns whether the shard may send anything now: it has a free slot, and the journal takes
 * outcomes. */
bool shard_may_send(const struct delivery_shard *shard);
/*
 * Returns wall time that a change of the clock does not move: the wall clock of the start plus the
 * monotonic time since. Due times are in it.
 */
int64_t shard_wall_us(const struct delivery_shard *shard);
uint32_t shard_random(struct delivery_shard *shard); /* for jitter, not for secrets */
/* Logs that the journal refused a request, once a minute for all of them. */
void shard_log_refused(struct delivery_shard *shard, const char *what, enum err error);
/* Sends a request to the shard's journal. The only way to it. */
void shard_ask(struct delivery_shard *shard, struct request *request, enum journal_kind kind,
    void (*on_done)(struct request *request, void *receiver));

/* backlog.c */
void backlog_init(struct delivery_shard *shard);
/* Asks the journal which endpoints have something to deliver. What is known already is kept. */
void backlog_scan(struct delivery_shard *shard);

/* job.c */
/* Queues it in this lane. Takes over the delivery's reference to its event. */
struct job *job_new(
    struct endpoint_queue *queue, const struct delivery *delivery, enum queue_lane lane);
void job_move(struct job *job, enum job_place place);
void job_free(struct job *job);
void job_free_run(struct attempt_run *run); /* takes NULL */
/* Returns NULL if the delivery is not in memory. */
struct job *job_find(struct delivery_shard *shard, int64_t delivery);

/* queues.c */
/* Creates the queue if there is none. */
struct endpoint_queue *queues_get(struct delivery_shard *shard, uint64_t endpoint);
struct endpoint_queue *queues_find(struct delivery_shard *shard, uint64_t endpoint);
void queues_free(struct delivery_shard *shard); /* all of them */

/* endpoint_queue.c */
bool endpoint_queue_has_room(const struct endpoint_queue *queue); /* for another fresh delivery */
/*
 * Returns how many more bytes of events the endpoint may have in memory. It is an eighth of the
 * shard's byte budget while half of the budget is free, and otherwise a small floor. So clients
 * that hang with large bodies cannot use up what other endpoints and ingress need.
 */
int64_t endpoint_queue_bytes_left(const struct endpoint_queue *queue);
void endpoint_queue_update_ready(struct endpoint_queue *queue);
/* Returns the next job to send, and ends the queue's turn when it has had its share. NULL: none may
 * be sent now. The queue is to be updated after it. */
struct job *endpoint_queue_next(struct endpoint_queue *queue);
/* Slots were freed: the queues that were short of them may be ready. */
void endpoint_queue_share_slots(struct delivery_shard *shard);
/* Returns the queued job that is the best probe: the oldest unguarded one of critical class, else
 * the oldest unguarded one, else the oldest. NULL: nothing is queued. */
struct job *endpoint_queue_oldest(struct endpoint_queue *queue);

/* settings.c */
void settings_read(struct endpoint_queue *queue);
/* The endpoint's settings or the gateway's have changed: reads them again. */
void settings_changed(struct endpoint_queue *queue);
/* Returns the rules of the job's endpoint for its class, as they are now. */
const struct delivery_rules *settings_of(const struct job *job);

/* rule_changes.c */
void rule_changes_init(struct delivery_shard *shard);
void rule_changes_init_queue(struct endpoint_queue *queue);
void rule_changes_done_queue(struct endpoint_queue *queue);
/* Takes the rules that the journal had at the start. Call it before the first backlog is taken. */
void rule_changes_begin(struct delivery_shard *shard);
/* The queue has waiting deliveries from an earlier run. Starts a walk if their due times may follow
 * other rules than the present ones. */
void rule_changes_check_backlog(struct endpoint_queue *queue);
/* The queue has new settings; before, its rules were these, one for each class. Starts a walk if
 * what waits is due earlier now. */
void rule_changes_on_settings(struct endpoint_queue *queue, const struct delivery_rules *before);
/* An endpoint has changed, and its queue has the new settings. */
void rule_changes_on_endpoint(struct delivery_shard *shard, int64_t version);
/* Records in the journal which rules the due times follow now, if it does not have them. */
void rule_changes_record(struct delivery_shard *shard);
/* Returns when the job, which waited, is due. A walk may have changed its due time in the journal
 * after it was loaded. */
int64_t rule_changes_due_us(const struct job *job);

/* pace.c */
void pace_count_ended(struct endpoint_queue *queue); /* one attempt */
/* True if the queue would need more than two seconds for what it has, at its present pace. */
bool pace_is_slow(struct endpoint_queue *queue, int64_t now_mono_us);

/* flow.c */
/* Sends nothing from the queue for this time, because this machine lacks something. */
void flow_rest(struct endpoint_queue *queue, int64_t rest_us);
void flow_init(struct endpoint_queue *queue);
void flow_done(struct endpoint_queue *queue);
/* Returns whether the endpoint may have another attempt in flight. While the breaker is not closed,
 * it may not. */
bool flow_has_place(const struct endpoint_queue *queue);
bool flow_is_open(const struct endpoint_queue *queue); /* the breaker is not closed */
/* Returns whether the endpoint succeeded a moment ago, and shows no sign of trouble. */
bool flow_has_proved_itself(const struct endpoint_queue *queue);
/* Return whether the rate and the retry budget allow an attempt now. Otherwise a timer makes the
 * queue ready again when they may. */
bool flow_may_send(struct endpoint_queue *queue);
bool flow_may_retry(struct endpoint_queue *queue);
/* The job is about to be sent. */
void flow_on_sent(struct job *job);
/* An attempt has ended, and its job is still in flight. */
void flow_on_end(const struct attempt_run *run, enum flow_result result);
/* The job is sent as a probe. */
void flow_on_probe(struct job *job);
/* It ended without a result, if it is a probe at all. */
void flow_on_probe_lost(struct job *job);
/* Returns whether the endpoint has failed lately, so that a probe is needed. */
bool flow_needs_probe(const struct endpoint_queue *queue);
/* Arms the timer of the next probe. */
void flow_await_probe(struct endpoint_queue *queue);
/* An operator has changed the endpoint. */
void flow_reset(struct endpoint_queue *queue);

/* probe.c */
/* Sends the event that tests whether the endpoint is back, if that is still unknown. */
void probe_send(struct endpoint_queue *queue);

/* probe_doubt.c */
/* A guarded event is sent as a probe. */
void probe_doubt_begin(struct endpoint_queue *queue);
/* The endpoint is back, or has changed. */
void probe_doubt_end(struct endpoint_queue *queue);
/* The attempt has ended, and it is certain how: so would a guarded one that began as late. */
void probe_doubt_note_certain_end(const struct job *job);
/* Returns how long no guarded one may be sent; 0: one may be sent now. */
int64_t probe_doubt_left_us(const struct endpoint_queue *queue);
/* True if a guarded one may be sent only when there is no unguarded one. */
bool probe_doubt_prefers_unguarded(const struct endpoint_queue *queue);

/* decision.c */
/* Submits a decision about one delivery to the journal. The caller fills in the action, but not its
 * `request`. `on_done` gets the answers, and first passes each one to decision_continue. */
void decision_submit(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver));
/* The journal has answered. Returns whether there is another answer to come. Otherwise the decision
 * has ended, with the result in action->request. */
bool decision_continue(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver));

/* status_probe.c */
void status_probe_init(struct endpoint_queue *queue);
/* Asks the client about deliveries in doubt, if the endpoint has a status probe. */
void status_probe_begin(struct endpoint_queue *queue);
void status_probe_done(struct endpoint_queue *queue);

/* refill.c */
void refill_init_queue(struct endpoint_queue *queue);
void refill_done(struct endpoint_queue *queue);
/* Loads more from the journal, if there may be more and there is room. */
void refill_queue(struct endpoint_queue *queue);
/* Makes what is parked as disabled or gone pending again, if the endpoint is enabled. */
void refill_release(struct endpoint_queue *queue);
void refill_release_later(struct endpoint_queue *queue); /* in a second */
/* A pending delivery with this number is in the journal only. The second is for one that an
 * operator replays. */
void refill_leave_in_journal(struct endpoint_queue *queue, int64_t delivery);
void refill_leave_replay_in_journal(struct endpoint_queue *queue, int64_t delivery);
/* As these two, and loads it if there is room. */
void refill_expect_pending(struct endpoint_queue *queue, int64_t delivery);
void refill_expect_replay(struct endpoint_queue *queue, int64_t delivery);
/* A delivery of the queue is waiting: its outcome was committed. */
void refill_expect_waiting(struct endpoint_queue *queue, const struct journal_record *record);
/* Some delivery of the queue waits until then. */
void refill_expect_due(struct endpoint_queue *queue, int64_t due_us);
/* The endpoint has recovered: what failed because of it is due. */
void refill_recover(struct endpoint_queue *queue);
/* Makes a job of the delivery, or leaves it in the journal. Takes over the reference to its
 * event. */
void refill_take_handover(struct endpoint_queue *queue, const struct delivery *delivery);
/* Forgets what waits in memory and is in the journal as well. It is loaded again later. */
void refill_unload(struct endpoint_queue *queue);

/* unrouted.c */
void unrouted_init(struct delivery_shard *shard);
/* Looks through all unrouted deliveries for those that an endpoint wants now. */
void unrouted_walk(struct delivery_shard *shard);
/* The event was committed as unrouted. Starts a walk if an endpoint takes it now. */
void unrouted_look_again(struct delivery_shard *shard, const struct event *event);

/* attempt.c */
void attempt_begin(struct job *job);
void attempt_begin_probe(struct job *job);

/* request_headers.c */
/* Makes a MAC of each of the endpoint's secrets, unless those of its version are there. Fails when
 * OpenSSL has no memory. */
enum err request_headers_prepare(struct endpoint_queue *queue, const struct endpoint *endpoint);
/* Signs the body of the request, and sets all headers. */
void request_headers_add(struct attempt_run *run);

/* outcome.c */
void outcome_init(struct delivery_shard *shard);
void outcome_of_attempt(struct attempt_run *run);                 /* the HTTP client has finished */
void outcome_park(struct job *job, enum park_reason reason);      /* without an attempt */
void outcome_pause(struct delivery_shard *shard, enum err error); /* the journal refused to write */
void outcome_cut_short(struct attempt_run *run); /* the shard stops: as a crash would leave it */
/* The row could not be moved. The job leaves memory, and the owner of the event decides. */
void outcome_forget_in_doubt(struct job *job);
/* True if the last attempt was lost with a kept connection, so that this one needs a new
 * connection. */
bool outcome_was_repeated(const struct delivery *delivery);

#endif
