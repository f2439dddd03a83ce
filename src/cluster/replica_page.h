/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses an answer of the leader (admin/followers.c) into a page of objects. It is checked like the
 * input of an operator, since the leader may be of another version. Members that are unknown are
 * ignored. Objects keep their order.
 */
#ifndef PENSTOCK_CLUSTER_REPLICA_PAGE_H
#define PENSTOCK_CLUSTER_REPLICA_PAGE_H

#include "accounts/replication.h"
#include "base/buffer.h"

struct replica_answer {
    struct accounts_page page; /* the caller ends it with accounts_page_done */
    char installation[33];
    bool restart; /* the leader was restored from a backup: follow it from version 0 on */
};

#define REPLICA_PAGE_DETAIL_BYTES 128

/* Returns false when the text is no page; `ret_detail` (REPLICA_PAGE_DETAIL_BYTES) then says what
 * is wrong first. The page must be ended in either case. */
bool replica_page_parse(struct slice json, struct replica_answer *ret_answer, char *ret_detail);

#endif
