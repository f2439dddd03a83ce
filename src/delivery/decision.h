/* SPDX-License-Identifier: Apache-2.0 */
/* A decision about one delivery, by an operator or by the answer to a status probe. */
#ifndef PENSTOCK_DELIVERY_DECISION_H
#define PENSTOCK_DELIVERY_DECISION_H

#include "journal/journal.h"

struct delivery_shard;

/* Submits a decision about one delivery to the journal. The caller fills in the action, but not its
 * `request`. `on_done` gets the answers, and first passes each one to decision_continue. */
void decision_submit(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver));
/* The journal has answered. Returns whether there is another answer to come. Otherwise the decision
 * has ended, with the result in action->request. */
bool decision_continue(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver));

#endif
