/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery sends the events of a shard to the endpoints and records the outcomes. One thread for
 * each shard owns everything here: endpoint queues, jobs, the HTTP client, timers. There are no
 * locks, and no shared state but the directory (RCU).
 *
 *   event source --> fresh lane --------------.
 *   journal --load-> retry and replay lanes --+--> attempt --> outcome --> journal
 *      ^                                                                      |
 *      '------- due, or there is room again <--- job freed <--- committed ----'
 *
 * Fresh events come from an event source (queue/event_source.h): the journal's handovers, and in
 * rabbitmq mode the broker.
 *
 * Limits: a queue has a bounded number of jobs, and the bodies count against the shard's byte
 * budget. What has no room stays in the journal and is loaded later. A job is known by its id until
 * the journal has committed its outcome. A delivery that is loaded in the meantime is recognized
 * and dropped, so that nothing is sent twice (journal.h, "Order").
 *
 * Failure: if outcomes cannot be committed, nothing new is sent, and they are recorded again every
 * second.
 */
#ifndef PENSTOCK_DELIVERY_DELIVERY_H
#define PENSTOCK_DELIVERY_DELIVERY_H

#include "accounts/accounts.h"
#include "client/client.h"
#include "journal/journal.h"
#include "model/endpoint_policy.h"
#include "model/operator_event.h"

struct consumer_options;
struct delivery_shard;
struct journal_replay_change;
struct journal_replay_create;
struct journal_replay_list;

/* What a reload may change. */
struct delivery_policy {
    struct delivery_rules rules; /* of endpoints that have no rules of their own */
    unsigned in_flight_per_shard, active_per_endpoint;
    /* A delivery to a healthy endpoint is late when it takes longer than this; 0: none is. */
    int64_t freshness_us_max;
};

/* The end of one attempt, for an observer. Valid during the call. */
struct delivery_report {
    const struct event *event;
    const char *endpoint_name;
    struct attempt_end end;
    enum verdict verdict;
    uint32_t attempt;
    int64_t duration_us;
    int64_t since_accepted_us;
};

struct delivery_options {
    unsigned shard;
    struct delivery_policy policy;
    struct client_options client;
    struct accounts *accounts;
    struct byte_budget *budget; /* the shard's */
    /* Called on the shard's thread. May be NULL. */
    void (*on_report)(const struct delivery_report *report);
    struct operator_event_sink operator_events; /* what operators must know */
};

/* The shard is made before its journal, which needs its mailbox, and started after it. */
enum err delivery_shard_new(
    const struct delivery_options *options, struct delivery_shard **ret_shard) MUST_CHECK;
/* Fills in what the journal is opened with, so that it hands events over to this shard. */
void delivery_shard_listen_to_journal(
    struct delivery_shard *shard, struct journal_listener *ret_listener);
/* `consumer` is copied: events come from the broker as well (queue/consumer.h). NULL: from the
 * journal alone. */
enum err delivery_shard_start(struct delivery_shard *shard, struct journal *journal,
    const struct consumer_options *consumer) MUST_CHECK;

/* Any thread. */
void delivery_shard_set_policy(struct delivery_shard *shard, const struct delivery_policy *policy);
/* `version`: of the change. The directory may already have a later one. */
void delivery_shard_endpoint_changed(
    struct delivery_shard *shard, uint64_t endpoint, int64_t version);

/* An operator has changed a switch: the shard looks at the directory. Any thread. */
void delivery_shard_switch_changed(struct delivery_shard *shard);

/*
 * Sends an operator action on one delivery of this shard. Any thread. The caller fills in the
 * action, but not its `request`. It belongs to delivery until the answer to its `ask`, which
 * follows the commit.
 */
void delivery_shard_operator_action(
    struct delivery_shard *shard, struct journal_operator_action *action);

/* The same for replays (journal/replays.h): the caller fills in the inputs and `ask`. */
void delivery_shard_create_replay(
    struct delivery_shard *shard, struct journal_replay_create *create);
void delivery_shard_change_replay(
    struct delivery_shard *shard, struct journal_replay_change *change);
void delivery_shard_list_replays(struct delivery_shard *shard, struct journal_replay_list *list);

/*
 * delivery_shard_stop starts nothing new and waits up to `drain_us` for what is in flight. Then it
 * cuts it short, with the same result as a crash: unguarded deliveries are sent again after the
 * restart, guarded ones are parked. It returns at once. delivery_shard_await_drained waits until
 * nothing is in flight; call it at most once. From then on the thread only answers questions, with
 * ERR_SHUTTING_DOWN, until delivery_shard_join, which waits for its end. So the threads that ask
 * shards stop between the two. The journal must live until the end.
 */
void delivery_shard_stop(struct delivery_shard *shard, int64_t drain_us);
void delivery_shard_await_drained(struct delivery_shard *shard);
void delivery_shard_join(struct delivery_shard *shard);
void delivery_shard_free(struct delivery_shard *shard); /* takes NULL */

#endif
