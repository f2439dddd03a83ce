/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the memory of the process private: it has the secrets of endpoints, keys of partners,
 * tokens and bodies of events. A core dump would write them to a disk, or hand them to a crash
 * reporter.
 */
#ifndef PENSTOCK_RUNTIME_CORE_DUMPS_H
#define PENSTOCK_RUNTIME_CORE_DUMPS_H

/* The process writes no core dump, and only root can read its memory or attach a debugger. Threads
 * and the rest of the process work as before. */
void core_dumps_forbid(void);

#endif
