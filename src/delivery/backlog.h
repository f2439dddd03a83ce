/* SPDX-License-Identifier: Apache-2.0 */
/* The backlog scan: which endpoints have something to deliver. */
#ifndef PENSTOCK_DELIVERY_BACKLOG_H
#define PENSTOCK_DELIVERY_BACKLOG_H

struct delivery_shard;

void backlog_init(struct delivery_shard *shard);
/* Asks the journal which endpoints have something to deliver. What is known already is kept. */
void backlog_scan(struct delivery_shard *shard);

#endif
