/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory, as SQLite's default VFS, that knows what is durable.
 *
 * For each file it keeps what the running system sees, what would be there after a power loss at
 * this moment, and in between the writes that no sync has followed yet. A process that is killed
 * loses nothing of that; a power loss keeps of those writes what chance says, sector by sector (512
 * bytes). A deletion is as uncertain as a write until something is synced.
 *
 * Faults: a full disk (what makes a file longer fails, sometimes after a part of it), a write that
 * fails, a sync that fails. After a failed sync the kernel has thrown the writes away or not, and
 * believes that they are done: they can still be read, and no later sync makes them durable.
 *
 * Each write, truncation, sync and deletion is a point where the process may die (disk_die_after)
 * and where others may go on (sim_pause).
 */
#ifndef PENSTOCK_TESTS_MODEL_DISK_H
#define PENSTOCK_TESTS_MODEL_DISK_H

#include <stdbool.h>

/* Becomes SQLite's default. Once for the process. */
void disk_register(void);

/* The coroutine that makes the n-th operation from now on dies at it; 0: none does. */
void disk_die_after(unsigned operations);

enum disk_crash { DISK_KILL, DISK_POWER_LOSS };
/* What is left for the next start. No connection of before is ever used again. */
void disk_crash(enum disk_crash how);

/* Faults, by now and by how often. */
void disk_set_full(bool full);
void disk_refuse_growth(unsigned count); /* full for so many writes */
void disk_fail_writes(unsigned count);
void disk_fail_syncs(unsigned count);
void disk_mend(void);
bool disk_is_mended(void);
unsigned long disk_errors(void); /* how often a caller was told of one */

/* Files whose name begins with `from`, as a power loss that keeps no unsynced write would leave
 * them, under names that begin with `to` instead. */
void disk_copy_durable(const char *from, const char *to);
void disk_remove(const char *prefix);

#endif
