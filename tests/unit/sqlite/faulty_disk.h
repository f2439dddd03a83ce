/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails on a test's request: syncs fail, writes are refused or find no room, or a sync
 * waits until the test releases it. The program defines fdatasync() in front of libc's, and puts
 * another pwrite into SQLite's own table of system calls.
 */
#ifndef PENSTOCK_TESTS_UNIT_SQLITE_FAULTY_DISK_H
#define PENSTOCK_TESTS_UNIT_SQLITE_FAULTY_DISK_H

#include <stdbool.h>
#include <stdint.h>

void disk_fail_syncs(bool fail);
void disk_refuse_writes(int error); /* an errno; 0: none */
void disk_be_full(bool full);
/* Every write takes from it, also over what was written before; a file that is cut gives its bytes
 * back. Less than 0: no bound. */
void disk_have_room(int64_t bytes);

void disk_hold_syncs(void);      /* the next sync waits */
void disk_wait_until_held(void); /* until one does */
void disk_release_syncs(void);

#endif
