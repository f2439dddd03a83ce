/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery: takes what its shard's journal accepted, sends it to the clients' endpoints, and
 * records what came of it. One thread per shard owns everything here: endpoint queues, jobs, the
 * HTTP client, timers. No lock, no shared state but the directory (RCU).
 *
 *   broker --consumer---.
 *                     v
 *   journal --handover--> queue, fresh ----.
 *   journal --load------> queue, backlog --+--> pump --> attempt --> outcome --> journal
 *      ^                                                                           |
 *      '--- due, or room again <------- the job leaves memory <------ committed <--'
 *
 * Memory is bounded: a queue holds so many jobs, bodies count against the shard's byte budget, and
 * what has no room stays in the journal. A job stays known by its id until the journal has
 * committed its outcome; whatever is loaded meanwhile and is known already is dropped, so that
 * nothing is sent twice (journal.h, "Order").
 *
 * When outcomes can't be committed no new send starts; they are offered to the journal again every
 * second.
 */
#ifndef PENSTOCK_DELIVERY_DELIVERY_H
#define PENSTOCK_DELIVERY_DELIVERY_H

#include "accounts/accounts.h"
#include "client/client.h"
#include "journal/journal.h"
#include "model/retry.h"

struct consumer_options;
struct delivery_shard;

/* What a reload may change. */
struct delivery_policy {
    struct retry_schedule schedule;
    int64_t retry_after_us_max;
    int64_t connect_timeout_us, answer_timeout_us, guarded_answer_timeout_us;
    unsigned in_flight_per_endpoint, in_flight_per_shard, active_per_endpoint;
    bool paused; /* nothing is sent; outcomes of what is in flight are recorded */
};

/* The end of one attempt, for whoever watches; valid during the call. */
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
    void (*on_report)(
        const struct delivery_report *report); /* on the shard's thread; may be NULL */
};

/* Made first, since the journal needs its mailbox; started when the journal is there. */
enum err delivery_shard_new(
    const struct delivery_options *options, struct delivery_shard **ret_shard) MUST_CHECK;
/* What a journal is to be opened with so that it feeds this shard. */
void delivery_shard_listen_to_journal(
    struct delivery_shard *shard, struct journal_listener *ret_listener);
/* `consumer` is copied: events come from the broker as well (queue/consumer.h). NULL: from the
 * journal alone. */
enum err delivery_shard_start(struct delivery_shard *shard, struct journal *journal,
    const struct consumer_options *consumer) MUST_CHECK;

/* Any thread. */
void delivery_shard_set_policy(struct delivery_shard *shard, const struct delivery_policy *policy);
void delivery_shard_endpoint_changed(struct delivery_shard *shard, uint64_t endpoint);

/*
 * An operator's act on one delivery of this shard; any thread. `action` is filled but for its
 * request, and belongs to delivery until the answer to its `ask`. Answered
 * after the commit.
 */
void delivery_shard_operator_action(
    struct delivery_shard *shard, struct journal_operator_action *action);

/*
 * Starts nothing new and waits up to `drain_us` for what is in flight; then cuts it short (as a
 * crash would: unguarded deliveries are sent again after the restart, guarded ones are parked).
 * delivery_shard_stop returns at once, delivery_shard_join waits for the thread; the journal must
 * live until then.
 */
void delivery_shard_stop(struct delivery_shard *shard, int64_t drain_us);
void delivery_shard_join(struct delivery_shard *shard);
void delivery_shard_free(struct delivery_shard *shard); /* takes NULL */

#endif
