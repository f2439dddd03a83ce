/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on one easy handle of libcurl, and what is known about its answer. A handle is
 * expensive to create and is used many times. client.c keeps the idle ones.
 *
 *   idle -- aim --> aimed (URL read) -- pin --> pinned (addresses allowed)
 *    ^                                             |
 *    '-- report -- loaded (in the multi handle) <-- load
 *
 * libcurl must not choose an address by itself. So the allowed addresses are pinned
 * (CURLOPT_RESOLVE) in a DNS cache that belongs to this transfer and holds only this host. A
 * look-up by libcurl is refused. The guard checks the socket's address again.
 *
 * A kept connection leads to the address that its name had when it was made, with the TLS settings
 * of then. So a connection is identified by its route (address_set.h), by the id of its TLS
 * settings, and for HTTP/2 by its number (multiplex.h), not only by its host. libcurl connects to a
 * host name that is made from them (CURLOPT_CONNECT_TO), and that name is pinned. TLS and the Host
 * field use the URL. When an address is removed from a name, no request uses an older connection.
 * So a client that moves is followed when the answer expires, after at most TTL_SECONDS_MAX.
 *
 * libcurl gives each of several addresses half of the remaining time, so an address that does not
 * answer costs seconds. After a shorter time (resolver_address_us) the address is put behind
 * the others (on_turn in client.c), each address once. After that, libcurl decides.
 */
#ifndef PENSTOCK_CLIENT_TRANSFER_H
#define PENSTOCK_CLIENT_TRANSFER_H

#include "base/list.h"
#include "client/client.h"
#include "client/evidence.h"
#include "client/multiplex.h"
#include "client/resolver.h"
#include "client/target.h"
#include "client/tls.h"

/* "1234.route.invalid"; with TLS settings and a connection's number "1234.t7.c89.route.invalid" */
#define ROUTE_NAME_BYTES 88
/* "name:port:" and the addresses, IPv6 in brackets. */
#define PIN_BYTES \
    (ROUTE_NAME_BYTES + sizeof ":65535:" + ADDRESS_SET_MAX * (INET6_ADDRSTRLEN + sizeof "[],"))

struct client_transfer {
    /* immutable after transfer_new */
    struct loop *loop;
    const struct client_options *options;
    struct client *client;
    struct client_transfer **sent_last; /* set to this transfer when it sends; NULL: unused */
    struct multiplex *multiplex;        /* the client's; NULL: unused */
    CURL *easy;
    CURLU *url;
    CURLSH *dns_cache;

    struct list link, nudge_link, repeat_link; /* of the client's lists */
    struct client_request *request;
    struct target target;
    struct resolver_waiter waiter;
    struct multiplex_stream stream; /* of a request that shares connections (HTTP/2) */
    uint64_t own_connection;        /* the number of a guarded request's HTTP/2 connection, or 0 */
    /* Armed until the first of several addresses accepts the connection. */
    struct timer turn;
    /* Armed from aim to report: for the name, then the answer, then the rest of the body. */
    struct timer deadline;
    int64_t started_mono_us;
    int64_t connect_from_mono_us; /* the time to connect counts from then */
    bool in_multi;
    struct address_set addresses; /* the allowed ones, in the order in which they are tried */
    unsigned turns;               /* addresses that were put last */
    int64_t address_us;           /* how long one of several addresses may take */
    union address tried;          /* the last address to which a connection was begun */

    /* set by libcurl's callbacks */
    bool address_refused;
    bool stream_failed;   /* HTTP/2: the stream was reset, and not the connection */
    bool refused;         /* HTTP/2: the peer says so (refusal.h) */
    bool join_refused;    /* the connection that the request was to join takes no more */
    const char *shortage; /* the missing resource when a socket was opened; NULL: none */
    bool in_headers;      /* of a response, final or not */
    bool answered;        /* the final response's headers are complete */
    bool not_http;        /* the answer is not HTTP */
    int status;
    struct evidence evidence;
    struct tls_notes tls;

    /* lists for libcurl that point into the request and here */
    struct curl_slist headers[CLIENT_HEADERS_MAX + 1];
    struct curl_slist resolve[2], connect_to;
    char name[ROUTE_NAME_BYTES]; /* that libcurl connects to; "": the address in the URL */
    /* Removes the previous pin from dns_cache; "": none. */
    char unpin[1 + ROUTE_NAME_BYTES + sizeof ":65535"];
    char connected_to[sizeof ":::" + ROUTE_NAME_BYTES];
    char pin[PIN_BYTES];
};

struct client_transfer *transfer_new(
    struct client *client, struct loop *loop, const struct client_options *options);
void transfer_free(struct client_transfer *transfer); /* takes NULL and half-built ones */
/* NULL: the handle is not a transfer's. */
struct client_transfer *transfer_of(CURL *easy);

/* Takes a request: starts its timer and reads the URL. Call transfer_report later in any case, also
 * if this fails. */
enum err transfer_aim(struct client_transfer *transfer, struct client_request *request) MUST_CHECK;
/* Takes the addresses that the guard allows. ERR_ADDRESS_REFUSED: it allows none. */
enum err transfer_pin(
    struct client_transfer *transfer, const struct address_set *addresses) MUST_CHECK;

/* Writes the name and its pin again: call it when the connection's number is known. */
void transfer_route(struct client_transfer *transfer);

/* Returns whether the request is sent over TLS and may use HTTP/2. */
bool transfer_wants_http_2(const struct client_transfer *transfer);
/* Returns whether it then shares connections. */
bool transfer_multiplexes(const struct client_transfer *transfer);
/* Writes the name of the pinned transfer's origin. */
#define ORIGIN_NAME_BYTES (HOST_BYTES_MAX + INET6_ADDRSTRLEN + ROUTE_NAME_BYTES)
void transfer_print_origin(
    const struct client_transfer *transfer, char ret_name[ORIGIN_NAME_BYTES]);

/* Makes the easy handle ready for the multi handle. The way of `stream` counts. */
enum err transfer_load(struct client_transfer *transfer) MUST_CHECK;
/* The easy handle was taken out of the multi handle, to be loaded again. */
void transfer_unload(struct client_transfer *transfer);

/* Begins as if the request had not been sent: the peer has not processed it (refusal.h). The
 * transfer is out of the multi handle. */
void transfer_begin_again(struct client_transfer *transfer);

/* Returns whether no address has accepted a connection yet and there are others to try. */
bool transfer_may_turn(const struct client_transfer *transfer);
/* Puts the address that is being tried behind the others. The transfer is out of the multi handle
 * and must be loaded again. */
void transfer_turn(struct client_transfer *transfer);

/* Call it when the socket of a request in flight is readable, before libcurl reads it. */
void transfer_look_ahead(struct client_transfer *transfer, int fd);
/* Returns whether transfer_look_ahead is useful for this request. */
bool transfer_wants_look_ahead(const struct client_transfer *transfer);

/* Converts libcurl's result. ERR_SHORTAGE sets transfer->shortage. Has no effect if the transfer is
 * answered. */
enum err transfer_explain(struct client_transfer *transfer, CURLcode code);
/* Returns the error for a deadline that has passed, by the step that it was for. */
enum err transfer_explain_deadline(const struct client_transfer *transfer);

int64_t transfer_time_left_us(const struct client_transfer *transfer, int64_t timeout_us);

/* Writes the result into the request and detaches it. The easy handle is already out of the multi
 * handle. */
struct client_request *transfer_report(struct client_transfer *transfer, enum err error);

#endif
