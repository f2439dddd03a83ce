/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker records which journal owns delivery. The exchange penstock.owner has the owner's name,
 * "penstock.<journal id>.<since, seconds>", in its argument alternate-exchange (connector.h says
 * why that is atomic). RabbitMQ compares this argument on each declaration. Its refusal has the
 * name:
 *
 *   PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'penstock.owner' in
 *   vhost '/': received 'penstock.<ours>' but current is 'penstock.<theirs>'
 *
 * A refusal has at most 255 bytes, so the name is short. With a vhost of more than 19 characters
 * the time is cut off, with more than about 28 the journal. The alternate exchange itself does not
 * exist, and penstock.owner is internal: clients cannot publish to it. Only the journal is
 * compared: this journal with another time is still the owner. Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_OWNERSHIP_H
#define PENSTOCK_BROKER_OWNERSHIP_H

#include "broker/connector.h"
#include "broker/link.h"

#define BROKER_OWNERSHIP_NAME_BYTES 64 /* penstock.<32 hex digits>.<20 digits>, NUL included */

void broker_ownership_name(
    const struct broker_ownership *ownership, char ret_name[BROKER_OWNERSHIP_NAME_BYTES]);
/* Reads the ownership from a broker's refusal. Returns false if it has none. `since_s` 0: it was
 * cut off. */
bool broker_ownership_parse(struct slice refusal, struct broker_ownership *ret_ownership);

/* On an open channel. OK: this journal owns delivery, and `ret_owner` is the recorded ownership.
 * ERR_NOT_OWNER: `ret_owner` is the owner. A failure closes the channel. */
enum err broker_ownership_check(struct broker_link *link, amqp_channel_t channel,
    const struct broker_ownership *ours, struct broker_ownership *ret_owner,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;
/* The same, but replaces any owner. ERR_NOT_OWNER: another gateway took it at the same moment. */
enum err broker_ownership_take_over(struct broker_link *link, amqp_channel_t channel,
    const struct broker_ownership *ours, struct broker_ownership *ret_owner,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

#endif
