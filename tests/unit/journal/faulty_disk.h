/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that does as it is told: syncs fail, writes find no room, or a sync is held until the test
 * goes on. The program defines fdatasync() in front of libc's, and gives SQLite's own table of
 * system calls another pwrite.
 */
#ifndef PENSTOCK_TESTS_UNIT_JOURNAL_FAULTY_DISK_H
#define PENSTOCK_TESTS_UNIT_JOURNAL_FAULTY_DISK_H

#include <stdbool.h>
#include <stdint.h>

void disk_fail_syncs(bool fail);
void disk_be_full(bool full);
/* Every write takes from it, also over what was written before; a file that is cut gives its bytes
 * back. Less than 0: no bound. */
void disk_have_room(int64_t bytes);

void disk_hold_syncs(void);      /* the next sync waits */
void disk_wait_until_held(void); /* until one does */
void disk_release_syncs(void);

#endif
