/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outages: clients fail for seconds to hours, and come back. One in ten seeds ends with some.
 *
 *   fail     some clients fail in some way, the others are well. Sometimes the gateway is disturbed
 *            as well: kills, stops, disk faults, changes of endpoints
 *   calm     the disturbance ends, the clients still fail
 *   return   all but a few are well. The model checks what has to move by when (model_flow.h)
 *
 * Time passes only when no coroutine can run. Otherwise no bound of time could hold.
 */
#ifndef PENSTOCK_TESTS_MODEL_OUTAGE_H
#define PENSTOCK_TESTS_MODEL_OUTAGE_H

void outage_run(void);

#endif
