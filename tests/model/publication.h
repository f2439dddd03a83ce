/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts that are published to the broker. This gateway's ingress appends an event to the journal
 * when the confirm times out. Another gateway keeps an event that the broker does not accept in its
 * outbox, and publishes it later.
 *
 *   in flight --reaches a queue--> landed --confirmed--> the partner is answered 200
 *     |  '- lost                     |
 *     '-------------- timeout -------'---> appended to the journal; a message that is still in
 *                                          flight may land later
 */
#ifndef PENSTOCK_TESTS_MODEL_PUBLICATION_H
#define PENSTOCK_TESTS_MODEL_PUBLICATION_H

#include "model.h"

/* `elsewhere`: by another gateway, which has answered it. `times`: how often it reaches the
 * queue. */
void publication_begin(const struct event_parts *parts, const struct model_post_parts *model_parts,
    unsigned partition, bool elsewhere, unsigned times);
unsigned publications_count(void);
void publication_step(void); /* one step of one of them */
void publications_end(void); /* the gateway has stopped or crashed */
bool publication_holds(const struct model_post *post);

#endif
