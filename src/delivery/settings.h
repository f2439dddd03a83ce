/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of an endpoint as its queue uses them. */
#ifndef PENSTOCK_DELIVERY_SETTINGS_H
#define PENSTOCK_DELIVERY_SETTINGS_H

#include "model/endpoint_policy.h"

struct endpoint_queue;
struct job;

void settings_read(struct endpoint_queue *queue);
/* The endpoint's settings or the gateway's have changed: reads them again. */
void settings_changed(struct endpoint_queue *queue);
/* Returns the rules of the job's endpoint for its class, as they are now. */
const struct delivery_rules *settings_of(const struct job *job);

#endif
