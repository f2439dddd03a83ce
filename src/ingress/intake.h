/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intake: events that other systems publish to penstock.intake, in the partner API's JSON. The
 * queue has one identity, a partner of the configuration; each message goes the way of a post by
 * him, with its message_id as the key when nothing else gives one.
 *
 *   message --> checked --> in the queue --durable--> acked
 *      ^           |            |
 *      |           |            +--conflict--.
 *      |           '---refused---------------+--> penstock.intake.errors, with the reason --confirmed--> acked
 *      |                                     |
 *      '--- 1 s later ---- no room, no disk, not confirmed
 *
 * While the partner is unknown or disabled, nothing is consumed. A message that is not acked when
 * the connection is lost comes again; what came of it meanwhile is a duplicate then.
 *
 * Limits: INTAKE_PREFETCH messages are held at once. Owned by ingress thread 0.
 */
#ifndef PENSTOCK_INGRESS_INTAKE_H
#define PENSTOCK_INGRESS_INTAKE_H

#include "ingress/ingress_internal.h"

#define INTAKE_PREFETCH 256

struct intake;

/* From the ingress's options; its server and queue are there. Dials with the first tick. */
struct intake *intake_new(struct ingress *ingress);
void intake_tick(struct intake *intake, int64_t now_mono_us); /* online */
/* Nothing more is taken; what is in flight ends. */
void intake_drain(struct intake *intake);
bool intake_is_idle(const struct intake *intake);
void intake_stop(struct intake *intake); /* the thread is about to end */
void intake_free(struct intake *intake); /* after the queue, and the connector. Takes NULL */

#endif
