/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors, which a process has a limited number of: who may take how many, so that silent
 * connections of one kind leave enough for everybody else. Partners get a half of what the process
 * itself does not need, deliveries a quarter, operators an eighth; the last eighth is for what
 * comes and goes (readers of the journals, name look-ups, certificates, the broker).
 */
#ifndef PENSTOCK_RUNTIME_DESCRIPTORS_H
#define PENSTOCK_RUNTIME_DESCRIPTORS_H

#include <stdint.h>

struct descriptor_shares {
    unsigned partners;   /* connections of one ingress thread */
    unsigned deliveries; /* connections of one shard */
    unsigned operators;  /* connections of the admin listener */
};

/* Raises the soft limit to the hard one, says so in the log, and returns what it is now. */
uint64_t descriptors_raise(void);
uint64_t descriptors_limit(void);

/* Never less than a few for each, also where the limit is too low for them. */
struct descriptor_shares descriptors_share(
    uint64_t limit, unsigned shards, unsigned ingress_threads);

#endif
