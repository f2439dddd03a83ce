/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector: the only thread that may wait for a broker. It opens TCP and TLS, logs in,
 * declares objects, and hands the connection over as a link. It handles one request at a time.
 *
 * Limits of time: 3 s to connect, 5 s to log in, 15 s for each later answer. Then it tries the next
 * address. It begins with the address that worked last. If all nodes of a cluster would fail alike
 * (wrong password, wrong arguments, another owner), it stops after the first.
 *
 * It declares the quorum queue of each partition, the exchange of the taps, and the queues of the
 * intake. Declaring is idempotent. It is done with each new connection while something may be
 * missing, and with each check of the ownership. An object that exists with other arguments is
 * ERR_CONFIG, with the broker's text and the command that shows the object.
 *
 * Consuming needs the ownership. The exchange penstock.owner has an argument alternate-exchange.
 * Its value is "penstock.<journal id>.<since, seconds>" and names the journal that owns delivery.
 * This gateway declares the exchange with its own name. That creates the exchange, or finds its own
 * name, or fails with the name that is there: one atomic, replicated step. (Nothing is published to
 * the exchange.) It is checked for each connection that consumes, and every 5 s by the delivering
 * gateway.
 */
#ifndef PENSTOCK_BROKER_CONNECTOR_H
#define PENSTOCK_BROKER_CONNECTOR_H

#include "broker/broker.h"
#include "runtime/request.h"

#define BROKER_JOURNAL_ID_BYTES 33 /* 32 hex digits, NUL included */

struct broker_link;
struct broker_connector;

/* The journal that owns delivery, and since when. */
struct broker_ownership {
    char journal[BROKER_JOURNAL_ID_BYTES];
    int64_t since_s; /* wall time; 0: unknown */
};

enum connector_task {
    CONNECTOR_OPEN_PUBLISHER, /* channel 1 in confirm mode */
    /* without a channel: the subscriber opens its own; checks the ownership first */
    CONNECTOR_OPEN_SUBSCRIBER,
    CONNECTOR_OPEN_TAP,    /* channel 1 */
    CONNECTOR_OPEN_INTAKE, /* without a channel and without the ownership */
    /* On a short connection. A gateway that does not own delivery only declares what is missing. */
    CONNECTOR_CHECK_OWNERSHIP,
    CONNECTOR_TAKE_OVER /* replaces any owner by this gateway */
};

/*
 * Results: OK, ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_TLS, ERR_PERMISSION (login or vhost refused),
 * ERR_CONFIG (an object exists with other arguments), ERR_NOT_OWNER (see ret_owner),
 * ERR_UNAVAILABLE (the broker refuses for now), ERR_SHUTTING_DOWN. `ret_detail` has the error of
 * each address that failed, also if a later one worked.
 */
struct connector_request {
    struct request base;               /* kind: enum connector_task */
    struct broker_link *ret_link;      /* owned by the requester */
    struct broker_ownership ret_owner; /* journal "": unknown */
    char ret_detail[BROKER_DETAIL_BYTES];
};

void broker_link_free(struct broker_link *link); /* takes NULL */

/* `ownership` is this gateway's; NULL for a gateway that does not deliver. Both are copied. */
enum err broker_connector_new(const struct broker_options *options,
    const struct broker_ownership *ownership, struct broker_connector **ret_connector) MUST_CHECK;
/* Any thread. Never blocks. */
void broker_connector_submit(struct broker_connector *connector, struct connector_request *request);
/* Call it when a declared object is missing (a message was returned, a consumer was cancelled). The
 * next new connection, or check of the ownership, declares everything again. Any thread. */
void broker_connector_doubt(struct broker_connector *connector);
/* Returns whether another journal owned delivery at the last check. Then the other gateway may
 * deliver the same events. Any thread. False without a connector. */
bool broker_connector_is_deposed(const struct broker_connector *connector);
/* For main, before the services start: submits and waits, at most 60 s. */
enum err broker_connector_call(
    struct broker_connector *connector, struct connector_request *request);
/* Ends the current request, answers the others with ERR_SHUTTING_DOWN, and joins the thread. Takes
 * NULL. */
void broker_connector_stop(struct broker_connector *connector);

#endif
