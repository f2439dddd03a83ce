/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which journal owns delivery, kept by the broker: the exchange penstock.owner carries the owner's
 * name, "penstock.<journal id>.<since, seconds>", in its argument alternate-exchange (connector.h
 * says why that is atomic). RabbitMQ compares this argument on each declaration, and a refusal
 * names what is there:
 *
 *   PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'penstock.owner' in vhost '/':
 *   received 'penstock.<ours>' but current is 'penstock.<theirs>'
 *
 * A refusal has 255 bytes: hence the short name. With a vhost of more than 19 characters the time
 * is cut off, with more than some 28 the journal. The alternate exchange itself doesn't exist, and
 * penstock.owner is internal: clients can't publish to it. A ownership of our journal with another
 * time is ours: what counts is the journal. Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_OWNERSHIP_H
#define PENSTOCK_BROKER_OWNERSHIP_H

#include "broker/connector.h"
#include "broker/link.h"

#define BROKER_OWNERSHIP_NAME_BYTES 64 /* penstock.<32 hex digits>.<20 digits>, NUL included */

void broker_ownership_name(
    const struct broker_ownership *ownership, char ret_name[BROKER_OWNERSHIP_NAME_BYTES]);
/* The ownership that a broker's refusal names; false when it names none. `since_s` 0: it was cut
 * off. */
bool broker_ownership_parse(struct slice refusal, struct broker_ownership *ret_ownership);

/* On a channel that is open. OK: it is ours, and `ret_owner` is what stands there. ERR_NOT_OWNER:
 * `ret_owner` says who is. Behind a failure the channel is closed. */
enum err broker_ownership_check(struct broker_link *link, amqp_channel_t channel,
    const struct broker_ownership *ours, struct broker_ownership *ret_owner,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;
/* The same, in place of whatever is there. Whoever claims it at the same moment may win:
 * ERR_NOT_OWNER. */
enum err broker_ownership_take_over(struct broker_link *link, amqp_channel_t channel,
    const struct broker_ownership *ours, struct broker_ownership *ret_owner,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

#endif
