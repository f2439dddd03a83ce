/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Divides the file descriptors of the process, so that idle connections of one kind leave enough
 * for the others. The process itself keeps what it needs. Of the rest, partners get a half,
 * deliveries a quarter, and operators an eighth. The last eighth is for short-lived descriptors:
 * readers of the journals, name look-ups, certificates, the broker.
 */
#ifndef PENSTOCK_RUNTIME_DESCRIPTORS_H
#define PENSTOCK_RUNTIME_DESCRIPTORS_H

#include <stdint.h>

/* Descriptors that an idle ingress thread has open, measured, times 1.5. */
#define DESCRIPTORS_OF_INGRESS_THREAD 8

struct descriptor_shares {
    unsigned partners;   /* connections of one ingress thread */
    unsigned deliveries; /* connections of one shard */
    unsigned operators;  /* connections of the admin listener */
};

/* Raises the soft limit to the hard limit, logs the result, and returns the limit that now
 * holds. */
uint64_t descriptors_raise(void);
uint64_t descriptors_limit(void);

/* Counts the open descriptors of the process. */
unsigned descriptors_open(void);

/*
 * Returns the first descriptor that connections of partners must not have. The kernel always gives
 * the lowest free number, so a connection with this number or a higher one is one of the last that
 * the process can open. These are for operators and deliveries, also if the limit is too low for
 * all shares. `in_use`: open before the first partner connects. Partners can always have half of
 * the others.
 */
unsigned descriptors_end_for_partners(uint64_t limit, uint64_t in_use, unsigned shards);

/* Each share is at least a few, even if the limit is too low for them. */
struct descriptor_shares descriptors_share(
    uint64_t limit, unsigned shards, unsigned ingress_threads);

#endif
