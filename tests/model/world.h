/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One gateway after the other on the same disk: the real journal and delivery, started and stopped
 * in the order of main/gateway.c, each time by a coroutine "main" of its own.
 *
 *   down --start--> starting --> up --stop--> stopping --> down
 *            ^          '-- the disk refused --------------^
 *            '---- crash, from anywhere ------ down
 */
#ifndef PENSTOCK_TESTS_MODEL_WORLD_H
#define PENSTOCK_TESTS_MODEL_WORLD_H

#include "delivery/delivery.h"
#include "disk.h"
#include "model.h"

#define WORLD_DIRECTORY "sim"
#define WORLD_JOURNAL_NAME "/journal-0.db"
#define WORLD_JOURNAL WORLD_DIRECTORY WORLD_JOURNAL_NAME

/* Of the installation: an account's partition. */
extern const struct hash_seed world_seed;

enum world_state { WORLD_DOWN, WORLD_STARTING, WORLD_UP, WORLD_STOPPING };

/* What is the same for all runs of the gateway; the policy may be changed. */
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
bool world_must_stop(void); /* its journal has given up */

void world_start(void);
void world_stop(int64_t drain_us);
void world_crash(enum disk_crash how);

/* After each step: what has come to an end is noticed, what became durable is looked at. */
void world_check(void);

/* A partner's request; it must be up. False when there is no room for the event. */
bool world_post(
    const struct event_parts *parts, const struct model_post_parts *model_parts, int share_percent);
/* The same for a post that the model knows already: the broker has not confirmed it in time. */
bool world_append(const struct event_parts *parts, struct model_post *post,
    const struct model_post_parts *model_parts, int share_percent);
/* An operator's action; it must be up. `endpoint`: where to send it from now on, or 0. */
void world_action(struct model_delivery *delivery, enum delivery_state from, enum delivery_state to,
    uint64_t endpoint);
void world_set_policy(const struct delivery_policy *policy);
const struct delivery_policy *world_policy(void);
struct accounts *world_accounts(void); /* NULL while it is down */

#endif
