/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything outside of the gateway: partners, clients' deployments, operators, the clock, the disk
 * and kills. In each step the driver does one action, or one of the gateway's coroutines continues.
 *
 * The seed also chooses which actions it uses, and how often (swarm testing): some bugs appear only
 * in a run without a certain action.
 *
 * At the end all faults are removed, and every client answers 200 and tells the truth. Then
 * everything must arrive.
 */
#ifndef PENSTOCK_TESTS_MODEL_DRIVER_H
#define PENSTOCK_TESTS_MODEL_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

/* Runs one seed. A failure ends the process. `outage`, `doubt`: with an outage, or a time of doubt,
 * in any case, and not only by chance. */
void driver_run(
    uint64_t seed, unsigned steps, bool with_broker, bool outage, bool doubt, bool has_replays);

#endif
