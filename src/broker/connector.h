/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector: the one thread that may wait for a broker. It opens TCP and TLS, logs in, declares what must be there,
 * and hands the connection over as a link. Requests are worked off one by one; one takes 15 s at most for each address,
 * and the address that worked last is tried first.
 *
 * What is declared (idempotently, with each connection for publishing or consuming that is opened while something may
 * be missing): the quorum queue of each partition, the exchange of the taps, the queues of the intake. What exists with
 * other arguments is ERR_CONFIG, with the broker's own words and the command that shows it.
 *
 * Consuming needs the claim: the exchange penstock.owner carries, in its argument alternate-exchange, the name
 * "penstock.owner.<journal id>.<since, seconds>" of the journal that owns delivery. Declaring it with our own name
 * either makes it, finds it to be ours, or fails with the name that is there: one atomic, replicated step. (Nothing is
 * ever published to it.) Checked again with each connection, and every few seconds by the delivering gateway.
 */
#ifndef PENSTOCK_BROKER_CONNECTOR_H
#define PENSTOCK_BROKER_CONNECTOR_H

#include "broker/broker.h"
#include "runtime/mailbox.h"

#define BROKER_JOURNAL_ID_BYTES 33 /* 32 hex digits, NUL included */

struct broker_link;
struct broker_connector;

/* Which journal owns delivery, and since when. */
struct broker_claim {
    char journal[BROKER_JOURNAL_ID_BYTES];
    int64_t since_s; /* wall time */
};

enum connector_act {
    CONNECTOR_OPEN_PUBLISHER, /* channel 1 in confirm mode */
    CONNECTOR_OPEN_CONSUMER,  /* no channel yet: the consumer opens its own; checks the claim first */
    CONNECTOR_OPEN_TAP,       /* channel 1 */
    CONNECTOR_OPEN_INTAKE,    /* no channel; no claim */
    CONNECTOR_CHECK_CLAIM,    /* on a short connection */
    CONNECTOR_TAKE_OVER       /* puts our claim in place of whatever is there */
};

/*
 * Results: OK, ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_TLS, ERR_PERMISSION (login or vhost refused), ERR_CONFIG
 * (something exists with other arguments), ERR_NOT_OWNER (ret_owner says who is), ERR_UNAVAILABLE (the broker answers,
 * and refuses for now), ERR_SHUTTING_DOWN. `ret_detail` says which, in words.
 */
struct connector_request {
    struct mail mail;
    enum connector_act act;
    struct mailbox *reply_to;
    void (*on_done)(struct connector_request *request, void *receiver); /* may free the request */
    enum err result;
    struct broker_link *ret_link;  /* the requester's */
    struct broker_claim ret_owner; /* journal "": its name could not be read */
    char ret_detail[BROKER_DETAIL_BYTES];
};

/* `claim` is ours; NULL for a gateway that doesn't deliver. Both are copied. */
enum err broker_connector_new(const struct broker_options *options, const struct broker_claim *claim,
    struct broker_connector **ret_connector) MUST_CHECK;
/* Any thread. Never blocks. */
void broker_connector_submit(struct broker_connector *connector, struct connector_request *request);
/* Something that was declared is missing (a message came back, a consumer was cancelled): the next connection that is
 * opened declares everything again. Any thread. */
void broker_connector_doubt(struct broker_connector *connector);
/* For main before the services start: submits and waits, 60 s at most. */
enum err broker_connector_call(struct broker_connector *connector, struct connector_request *request);
/* Ends what is under way, answers what waits with ERR_SHUTTING_DOWN, joins. Takes NULL. */
void broker_connector_stop(struct broker_connector *connector);

#endif
