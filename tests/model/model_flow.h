/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P7: what an endpoint gets while it fails and after it is back. From the ends of the attempts
 * alone the model knows what the gateway must know as well:
 *
 *   open         the breaker is open for certain: FLOW_RUN_OPENS attempts in a row have failed.
 *                Until the next success only probes are sent, at most one in each interval
 *   may be open  the breaker may be open: many attempts of the last seconds have failed
 *   recovered    the endpoint has recovered for certain: a success after failures. What failed
 *                because of the endpoint until then is sent within a bounded time, whatever its due
 *                time says, once
 *
 * A delivery is sent before it is due only as a probe, or because its endpoint has recovered since
 * it began to wait. If it fails then, it keeps its due time and uses up no step.
 *
 * Bounds of time are checked while it is calm: outage.c lets time pass only when no coroutine can
 * run, and disturbs nothing.
 */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_FLOW_H
#define PENSTOCK_TESTS_MODEL_MODEL_FLOW_H

#include "model.h"

void model_flow_begin(void); /* at the start of a seed */
/* A run of the gateway begins or ends: breakers are closed, and nothing is in flight. */
void model_flow_restarted(void);
/* An operator, or a 410, changes the endpoint. The gateway has received it by the next
 * call of model_flow_all_is_received. */
void model_flow_endpoint_changed(uint64_t endpoint);
void model_flow_policy(unsigned in_flight_max, unsigned in_flight_per_shard);
/* No coroutine can run: every mail was received, every commit is done. */
void model_flow_all_is_received(void);

/* True while time passes only when no coroutine can run. */
void model_flow_time_is_exact(bool exact);
/* True while nothing is disturbed: the disk and the gateway work, all endpoints are open. */
void model_flow_calm(bool calm);
/* The shard has few slots: what hangs may hold all of them. */
void model_flow_narrow(bool narrow);
/* Clients that failed are well from now on. */
void model_flow_clients_are_back(void);
/* Checks the bounds of time. */
void model_flow_check(void);

#endif
