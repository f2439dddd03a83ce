/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of journal/reserve.c: room on the simulated disk. What a reserve that is given up leaves
 * is room for FAKE_RESERVE_BYTES more on a disk that is full.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_RESERVE_H
#define PENSTOCK_TESTS_MODEL_FAKE_RESERVE_H

#include "journal/reserve.h"

#define FAKE_RESERVE_BYTES (1 << 20)

/* What the file system will say from now on, as long as the disk is not full. */
void fake_reserve_set_space(enum disk_space space);
bool fake_reserve_is_low(void);            /* some events are refused now */
unsigned long fake_reserve_refusals(void); /* how often that has begun */

#endif
