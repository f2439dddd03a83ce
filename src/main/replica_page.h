/* SPDX-License-Identifier: Apache-2.0 */
/* A leader's answer (admin/changes.c) as a page of objects. What a leader sends is checked like
 * what an operator sends: it may be of another version. */
#ifndef PENSTOCK_MAIN_REPLICA_PAGE_H
#define PENSTOCK_MAIN_REPLICA_PAGE_H

#include "accounts/replication.h"
#include "base/buffer.h"

struct replica_answer {
    struct accounts_page page; /* the caller's, who ends it */
    char installation[33];
    bool restart; /* the leader has forgotten what we have */
};

/* False, with `detail` (at least 128 bytes) about the first thing that is wrong, when it is no
 * page; what is there of it is to be ended all the same. */
bool replica_page_parse(struct slice json, struct replica_answer *ret_answer, char *detail);

#endif
