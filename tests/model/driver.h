/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everybody outside of the gateway: partners, clients' deployments, operators, the clock, the disk,
 * and the fate that kills processes. At each step one of them acts, or one of the gateway's
 * coroutines goes on. Which actions a seed knows, and how often, is part of the seed (swarm
 * testing: what happens in every run hides what happens only without it).
 *
 * At the end all faults are taken back and every client answers 200: then whatever is on its way
 * must arrive.
 */
#ifndef PENSTOCK_TESTS_MODEL_DRIVER_H
#define PENSTOCK_TESTS_MODEL_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

/* The whole run of one seed; a failure ends the process. */
void driver_run(uint64_t seed, unsigned steps, bool with_broker);

#endif
