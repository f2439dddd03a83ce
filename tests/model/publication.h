/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts that go through the broker: from the ingress threads of this gateway, which turn to the
 * journal when no confirm comes in time, or from other gateways, which keep what the broker does
 * not take (their outboxes) and relay it later.
 *
 *   flying --it lands in a queue--> landed --confirmed--> (the partner has his 200)
 *     |  '- lost                      '-- no confirm in time --.
 *     '--- no confirm in time --> appended to the journal <----'    and may land all the same
 */
#ifndef PENSTOCK_TESTS_MODEL_PUBLICATION_H
#define PENSTOCK_TESTS_MODEL_PUBLICATION_H

#include "model.h"

/* `elsewhere`: by another gateway, which has promised it already. `times`: how often it lands. */
void publication_begin(const struct event_parts *parts, const struct model_post_parts *model_parts,
    unsigned partition, bool elsewhere, unsigned times);
unsigned publications_count(void);
void publication_step(void); /* of one of them */
void publications_end(void); /* this gateway has stopped or crashed */
bool publication_holds(const struct model_post *post);

#endif
