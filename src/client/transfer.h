/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on one easy handle of libcurl, and what is learned of its answer. Handles are dear to
 * make and are used again and again; client.c keeps the idle ones.
 *
 *   idle --aim--> aimed (URL read) --pin--> pinned (addresses allowed) --load--> loaded, in the multi handle
 * --report--> idle
 *
 * Two things keep libcurl from choosing an address by itself. The allowed addresses are pinned
 * (CURLOPT_RESOLVE) in a DNS cache that belongs to this transfer alone and holds this one host; and
 * a look-up that it would begin all the same is refused. The socket is checked against the guard
 * once more.
 *
 * A kept connection leads where its name led when it was made. So connections are told apart not by
 * the host alone, but by its route (address_set.h): libcurl is told to connect to a host that is
 * called after it (CURLOPT_CONNECT_TO), and that is the one that is pinned. TLS and the Host field
 * go by the URL. When an address has left a name, no request uses an older connection; so a client
 * that moves is followed once the answer's time is over, TTL_SECONDS_MAX at most.
 *
 * libcurl gives each of several addresses half of the time that is left. One that doesn't answer
 * would cost seconds, so after ADDRESS_US it is put behind the others (on_turn in client.c), once
 * around; then libcurl has the rest.
 *
 * The verdict is taken when the final response's headers are complete. The body is read on, to keep
 * the connection and an excerpt, but only so much and so long; whatever happens from there on
 * changes nothing. What is no HTTP at all is read just as far, for the person who looks at it.
 */
#ifndef PENSTOCK_CLIENT_TRANSFER_H
#define PENSTOCK_CLIENT_TRANSFER_H

#include "base/list.h"
#include "client/client.h"
#include "client/reach.h"
#include "client/resolver.h"
#include "client/target.h"

/* All the header lines of an answer, 1xx included. */
#define ANSWER_HEADER_BYTES_MAX ((size_t)64 * 1024)
/* What is read of a body, so that the connection can be used again: reading more costs more than
 * connecting. */
#define ANSWER_BODY_BYTES_MAX ((size_t)64 * 1024)
/* How long the rest of an answer may take once its status is known. Longer for failures: people
 * will want the excerpt. / */
#define ANSWER_REST_US_2XX (1 * US_PER_SECOND)
#define ANSWER_REST_US_OTHER (5 * US_PER_SECOND)

/* How long one of several addresses may take to accept a connection before the next one is tried.
 * */
#define ADDRESS_US (600 * US_PER_MS)

/* "1234.route.invalid" */
#define ROUTE_NAME_BYTES 40
/* "name:port:" and the addresses, IPv6 in brackets. */
#define PIN_BYTES \
    (ROUTE_NAME_BYTES + sizeof ":65535:" + ADDRESS_SET_MAX * (INET6_ADDRSTRLEN + sizeof "[],"))

struct client_transfer {
    /* immutable after transfer_new */
    struct loop *loop;
    const struct client_options *options;
    struct client *client;
    struct client_transfer **sent_last; /* where to say so; NULL: nowhere */
    CURL *easy;
    CURLU *url;
    CURLSH *dns_cache;

    struct list link, nudge_link; /* of the client's lists */
    struct client_request *request;
    struct target target;
    struct resolver_waiter waiter;
    struct timer
        turn; /* armed while the first of several addresses has not accepted the connection yet */
    struct timer
        /* armed from aim to report: for the name, then the answer, then the rest of the body */
        deadline;
    int64_t started_mono_us;
    bool in_multi;
    struct address_set addresses; /* those that are allowed, in the order in which they are tried */
    unsigned turns;               /* addresses that have been put last */
    union address tried;          /* the last one to which a connection was begun */

    /* what libcurl's callbacks saw */
    bool address_refused;
    const char
        *shortage;   /* of what this machine had none when a socket was to be made; NULL: it had */
    bool in_headers; /* of a response, final or not */
    bool answered;   /* the final response's headers are complete */
    bool not_http;   /* what has come instead */
    int status;
    struct reach reach;

    /* lists for libcurl that point into the request and here */
    struct curl_slist headers[CLIENT_HEADERS_MAX + 1];
    struct curl_slist resolve[2], connect_to;
    char unpin[1 + ROUTE_NAME_BYTES +
               sizeof ":65535"]; /* takes the previous one out of dns_cache; "" for none */
    char connected_to[sizeof ":::" + ROUTE_NAME_BYTES];
    char pin[PIN_BYTES];
};

struct client_transfer *transfer_new(
    struct client *client, struct loop *loop, const struct client_options *options);
void transfer_free(struct client_transfer *transfer); /* takes NULL and half-built ones */

/* Takes the request on: starts the clock and reads the URL. Each request taken on, also by a
 * failing call, is reported. / */
enum err transfer_aim(struct client_transfer *transfer, struct client_request *request) MUST_CHECK;
/* Pins those of the addresses that the guard allows: ERR_ADDRESS_REFUSED when it allows none. */
enum err transfer_pin(
    struct client_transfer *transfer, const struct address_set *addresses) MUST_CHECK;
/* Makes the easy handle ready for the multi handle. */
enum err transfer_load(struct client_transfer *transfer) MUST_CHECK;

/* None of its addresses has accepted a connection yet, and there are others. */
bool transfer_may_turn(const struct client_transfer *transfer);
/* Puts the address that is being tried behind the others; to be loaded again, out of the multi
 * handle. */
void transfer_turn(struct client_transfer *transfer);

/* The socket of a request that is in flight has something to read, which libcurl is about to do. */
void transfer_look_ahead(struct client_transfer *transfer, int fd);
/* True for a request whose socket should be looked into. */
bool transfer_wants_look_ahead(const struct client_transfer *transfer);

/* What libcurl's verdict means (ERR_SHORTAGE fills transfer->shortage); of no account once the
 * answer is there. */
enum err transfer_explain(struct client_transfer *transfer, CURLcode code);
/* The time is up: for what? */
enum err transfer_explain_deadline(const struct client_transfer *transfer);

/* Writes the outcome into the request and lets go of it. The easy handle is out of the multi handle
 * by now. */
struct client_request *transfer_report(struct client_transfer *transfer, enum err error);

#endif
