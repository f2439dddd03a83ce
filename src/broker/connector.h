/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector: the one thread that may wait for a broker. It opens TCP and TLS, logs in, declares
 * what must be there, and hands the connection over as a link. Requests are worked off one by one.
 * A broker that doesn't connect costs 3 s, one that doesn't log us in 5 s more, and behind that
 * each answer is awaited for 15 s; then the next address has its turn. The address that worked last
 * is tried first. What all nodes of a cluster would say alike (wrong password, wrong arguments,
 * another owner) is said by the first.
 *
 * What is declared (idempotently, with each connection that is opened while something may be
 * missing, and with a check of the ownership): the quorum queue of each partition, the exchange of
 * the taps, the queues of the intake. What exists with other arguments is ERR_CONFIG, with the
 * broker's own words and the command that shows it.
 *
 * Consuming needs the ownership: the exchange penstock.owner carries, in its argument
 * alternate-exchange, the name "penstock.<journal id>.<since, seconds>" of the journal that owns
 * delivery. Declaring it with our own name either makes it, finds it to be ours, or fails with the
 * name that is there: one atomic, replicated step. (Nothing is ever published to it.) Checked again
 * with each connection that is opened for consuming, and every 5 s by the delivering gateway.
 */
#ifndef PENSTOCK_BROKER_CONNECTOR_H
#define PENSTOCK_BROKER_CONNECTOR_H

#include "broker/broker.h"
#include "runtime/request.h"

#define BROKER_JOURNAL_ID_BYTES 33 /* 32 hex digits, NUL included */

struct broker_link;
struct broker_connector;

/* Which journal owns delivery, and since when. */
struct broker_ownership {
    char journal[BROKER_JOURNAL_ID_BYTES];
    int64_t since_s; /* wall time; 0: could not be read */
};

enum connector_task {
    CONNECTOR_OPEN_PUBLISHER, /* channel 1 in confirm mode */
    /* no channel yet: the subscriber opens its own; checks the ownership first */
    CONNECTOR_OPEN_SUBSCRIBER,
    CONNECTOR_OPEN_TAP,    /* channel 1 */
    CONNECTOR_OPEN_INTAKE, /* no channel; no ownership */
    /* on a short connection; without a ownership of ours only what is missing is declared */
    CONNECTOR_CHECK_OWNERSHIP,
    CONNECTOR_TAKE_OVER /* puts our ownership in place of whatever is there */
};

/*
 * Results: OK, ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_TLS, ERR_PERMISSION (login or vhost refused),
 * ERR_CONFIG (something exists with other arguments), ERR_NOT_OWNER (ret_owner says who is),
 * ERR_UNAVAILABLE (the broker answers, and refuses for now), ERR_SHUTTING_DOWN. `ret_detail` says
 * in words what was wrong with each address, also with those before one that was good.
 */
struct connector_request {
    struct request base;               /* kind: enum connector_task */
    struct broker_link *ret_link;      /* the requester's */
    struct broker_ownership ret_owner; /* journal "": its name could not be read */
    char ret_detail[BROKER_DETAIL_BYTES];
};

void broker_link_free(struct broker_link *link); /* takes NULL */

/* `ownership` is ours; NULL for a gateway that doesn't deliver. Both are copied. */
enum err broker_connector_new(const struct broker_options *options,
    const struct broker_ownership *ownership, struct broker_connector **ret_connector) MUST_CHECK;
/* Any thread. Never blocks. */
void broker_connector_submit(struct broker_connector *connector, struct connector_request *request);
/* Something that was declared is missing (a message came back, a consumer was cancelled): the next
 * connection that is opened, or check of the ownership, declares everything again. Any thread. */
void broker_connector_doubt(struct broker_connector *connector);
/* Another journal owned delivery when the ownership was checked last: what this gateway would
 * deliver itself, the other one may deliver as well. Any thread. False without a connector. */
bool broker_connector_is_deposed(const struct broker_connector *connector);
/* For main before the services start: submits and waits, 60 s at most. */
enum err broker_connector_call(
    struct broker_connector *connector, struct connector_request *request);
/* Ends what is in flight, answers what waits with ERR_SHUTTING_DOWN, joins. Takes NULL. */
void broker_connector_stop(struct broker_connector *connector);

#endif
