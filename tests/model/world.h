/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateways of a seed, one after the other on the same disk: the real journal and delivery. Each
 * is started and stopped in the order of main/gateway.c, by a coroutine "main" of its own.
 *
 *   down --start--> starting --> up --stop--> stopping --> down
 *            ^          '-- the disk refused --------------^
 *            '---- crash, in any state ------- down
 */
#ifndef PENSTOCK_TESTS_MODEL_WORLD_H
#define PENSTOCK_TESTS_MODEL_WORLD_H

#include "delivery/delivery.h"
#include "disk.h"
#include "model.h"
#include "model_replays.h"

#define WORLD_DIRECTORY "sim"
#define WORLD_JOURNAL_NAME "/journal-0.db"
#define WORLD_JOURNAL WORLD_DIRECTORY WORLD_JOURNAL_NAME

/* The installation's seed: it maps an account to its partition. */
extern const struct hash_seed world_seed;

enum world_state { WORLD_DOWN, WORLD_STARTING, WORLD_UP, WORLD_STOPPING };

/* The same for all runs of the gateway in a seed, except the policy, which the driver changes. */
struct world_options {
    struct delivery_policy policy;
    int64_t budget_bytes, reserve_bytes, bodies_us, history_us;
    unsigned partitions; /* of the broker; 0: direct mode */
    unsigned prefetch;
    int64_t prefetch_bytes;
    bool taps;
};

void world_init(const struct world_options *options);
enum world_state world_state(void);
bool world_must_stop(void); /* its journal has failed */

/* Of the gateway that runs; NULL: its journal is not open. */
const struct backlog_board *world_backlog(void);

void world_start(void);
void world_stop(int64_t drain_us);
void world_crash(enum disk_crash how);

/* Called after each step: detects the end of a run, and looks at the journal. */
void world_check(void);

/* Posts a partner's event; the gateway must be up. Returns false when it has no memory for it. */
/* Appends a post that the broker has not confirmed in time; the model has it already. */
bool world_post(
    const struct event_parts *parts, const struct model_post_parts *model_parts, int share_percent);
bool world_append(const struct event_parts *parts, struct model_post *post,
    const struct model_post_parts *model_parts, int share_percent);
/* Orders an operator action; the gateway must be up. `endpoint`: where to send it, or 0. */
void world_action(struct model_delivery *delivery, enum delivery_state from, enum delivery_state to,
    uint64_t endpoint);
/* Orders a replay, or a change of one; the gateway must be up. */
void world_create_replay(const struct replay_order *order, struct model_replay *model_replay);
void world_change_replay(
    struct model_replay *model_replay, const struct journal_replay_change *wanted);
/* How many deliveries are kept out of memory until something about them has been decided. */
unsigned world_deciding(void);
void world_set_policy(const struct delivery_policy *policy);
const struct delivery_policy *world_policy(void);
struct accounts *world_accounts(void); /* NULL while it is down */

#endif
