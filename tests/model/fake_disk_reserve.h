/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces journal/disk_reserve.c: free space on the simulated disk. Releasing the reserve gives a
 * full disk room for FAKE_RESERVE_BYTES more.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_DISK_RESERVE_H
#define PENSTOCK_TESTS_MODEL_FAKE_DISK_RESERVE_H

#include "journal/disk_reserve.h"

#define FAKE_RESERVE_BYTES (1 << 20)

/* Sets the free space that is reported from now on, as long as the disk is not full. */
void fake_reserve_set_space(enum disk_space space);
bool fake_reserve_is_low(void);            /* some events are refused */
unsigned long fake_reserve_refusals(void); /* how often refusing has begun */

#endif
