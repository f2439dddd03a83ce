/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intake: events that other systems publish to the queue penstock.intake, as JSON of the
 * partner API. The configuration names one partner for the queue. Each message is handled as a post
 * of that partner. Its message_id is the key if there is no other key.
 *
 *   message --> checked --> in the queue -- durable --> acked
 *      ^           |            |
 *      |           |            '-- conflict --.
 *      |           '------- rejected ----------+--> penstock.intake.errors, with the reason
 *      |                                       |        |
 *      '--- after 1 s --- no room, disk error, |        '-- confirmed --> acked
 *                         not confirmed
 *
 * While the partner is unknown or disabled, or ingress is switched off for all, nothing is
 * consumed. What another switch holds waits like what has no room. At most half of the messages in
 * memory may be held so. The oldest of these are sent to the end of penstock.intake, at most
 * INTAKE_PREFETCH in a second, so that the events behind them are read. If the connection is lost,
 * unacked messages are delivered again. Those that became durable meanwhile are duplicates then.
 *
 * Limits: INTAKE_PREFETCH messages at a time. Owned by ingress thread 0.
 */
#ifndef PENSTOCK_INGRESS_INTAKE_H
#define PENSTOCK_INGRESS_INTAKE_H

#include "ingress/ingress_internal.h"

#define INTAKE_PREFETCH 256

struct intake;

/* Uses the options, server and queue of the ingress. Connects with the first tick. */
struct intake *intake_new(struct ingress *ingress);
void intake_tick(struct intake *intake, int64_t now_mono_us); /* online for RCU */
/* Takes no more messages. Those in flight are finished. */
void intake_drain(struct intake *intake);
bool intake_is_idle(const struct intake *intake);
void intake_stop(struct intake *intake); /* before the thread ends */
void intake_free(struct intake *intake); /* after the queue and the connector. Takes NULL */

#endif
