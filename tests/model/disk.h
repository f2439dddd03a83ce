/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory, as SQLite's default VFS. It keeps track of what is durable.
 *
 * For each file it keeps two contents: what the running system sees, and what would be left after a
 * power loss. It also keeps the writes that are not synced yet. A kill loses none of these writes.
 * A power loss keeps a random part of them, by sectors of 512 bytes. A deletion is not durable
 * either until the next sync.
 *
 * Faults:
 *   full disk       a write that makes a file longer fails, sometimes after a part of it
 *   failed write    nothing is written
 *   failed sync     the kernel may have dropped the unsynced writes and marked them as clean: they
 *                   can still be read, but no later sync makes them durable
 *
 * At each write, truncation, sync and deletion the process may be killed (disk_die_after), and
 * another coroutine may run (sim_pause).
 */
#ifndef PENSTOCK_TESTS_MODEL_DISK_H
#define PENSTOCK_TESTS_MODEL_DISK_H

#include <stdbool.h>

/* Registers the disk as SQLite's default VFS. Call it once. */
void disk_register(void);

/* Kills the process at the n-th operation from now on; 0: never. */
void disk_die_after(unsigned operations);

enum disk_crash { DISK_KILL, DISK_POWER_LOSS };
/* Leaves what the next start finds. Connections from before must not be used again. */
void disk_crash(enum disk_crash how);

/* Faults: from now on, or for the next `count` operations. */
void disk_set_full(bool full);
void disk_refuse_growth(unsigned count); /* full for `count` writes */
void disk_fail_writes(unsigned count);
void disk_fail_syncs(unsigned count);
void disk_mend(void);
bool disk_is_mended(void);
unsigned long disk_errors(void); /* how many errors were reported to callers */

/* Copies the files whose names begin with `from` to names that begin with `to`. The copies hold
 * what a power loss would leave that keeps no unsynced write. */
void disk_copy_durable(const char *from, const char *to);
void disk_remove(const char *prefix);

#endif
