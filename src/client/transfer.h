/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on one easy handle of libcurl, and what is known about its answer. A handle is
 * expensive to create and is used many times. client.c keeps the idle ones.
 *
 *   idle -- aim --> aimed (URL read) -- route_pin --> pinned (addresses allowed)
 *    ^                                                   |
 *    '-- report -- loaded (in the multi handle) <-- load --'
 *
 * This module owns the handle, its options, libcurl's callbacks, and the steps above. route.h says
 * where the request is sent, answer.h reads the answer, evidence.h and tls.h note how far it got,
 * unprocessed.h and explain.h say what its end means. All of them work on the struct below.
 */
#ifndef PENSTOCK_CLIENT_TRANSFER_H
#define PENSTOCK_CLIENT_TRANSFER_H

#include "base/list.h"
#include "client/client.h"
#include "client/evidence.h"
#include "client/inflow.h"
#include "client/multiplex.h"
#include "client/resolver.h"
#include "client/route.h"
#include "client/target.h"
#include "client/tls.h"

struct client_transfer {
    /* immutable after transfer_new */
    struct loop *loop;
    const struct client_options *options;
    struct client *client;
    struct client_transfer **sent_last; /* set to this transfer when it sends; NULL: unused */
    struct multiplex *multiplex;        /* the client's; NULL: unused */
    struct inflow *inflow;              /* the client's; NULL: unused */
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
    int64_t address_us;  /* how long one of several addresses may take */
    union address tried; /* the last address to which a connection was begun */

    /* set by libcurl's callbacks */
    bool address_refused;
    bool stream_failed;   /* HTTP/2: the stream was reset, and not the connection */
    bool unprocessed;     /* HTTP/2: the peer says that it has not processed it (unprocessed.h) */
    bool join_refused;    /* the connection that the request was to join takes no more */
    const char *shortage; /* the missing resource when a socket was opened; NULL: none */
    bool in_headers;      /* of a response, final or not */
    bool answered;        /* the final response's headers are complete */
    bool not_http;        /* the answer is not HTTP */
    int status;
    struct inflow_user received;
    struct evidence evidence;
    struct tls_notes tls;

    /* of route.c */
    struct address_set addresses; /* the allowed ones, in the order in which they are tried */
    unsigned turns;               /* addresses that were put last */
    char name[ROUTE_NAME_BYTES];  /* that libcurl connects to; "": the address in the URL */
    /* Removes the previous pin from dns_cache; "": none. */
    char unpin[1 + ROUTE_NAME_BYTES + sizeof ":65535"];
    char connected_to[sizeof ":::" + ROUTE_NAME_BYTES];
    char pin[PIN_BYTES];

    /* lists for libcurl that point into the request and here */
    struct curl_slist headers[CLIENT_HEADERS_MAX + 1];
    struct curl_slist resolve[2], connect_to;
};

struct client_transfer *transfer_new(
    struct client *client, struct loop *loop, const struct client_options *options);
void transfer_free(struct client_transfer *transfer); /* takes NULL and half-built ones */

/* NULL: the handle is not a transfer's, for instance the one with which libcurl closes idle
 * connections. */
static inline struct client_transfer *transfer_of(CURL *easy)
{
    char *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    return (struct client_transfer *)(void *)private;
}

/* Takes a request: starts its timer and reads the URL. Call transfer_report later in any case, also
 * if this fails. */
enum err transfer_aim(struct client_transfer *transfer, struct client_request *request) MUST_CHECK;

/* Makes the easy handle ready for the multi handle. The way of `stream` counts. */
enum err transfer_load(struct client_transfer *transfer) MUST_CHECK;
/* The easy handle was taken out of the multi handle, to be loaded again. */
void transfer_unload(struct client_transfer *transfer);

/* Prepares to send a request again that the peer has not processed (unprocessed.h). The transfer is
 * out of the multi handle. */
void transfer_begin_again(struct client_transfer *transfer);

/* Call it when the socket of a request in flight is readable, before libcurl reads it. */
void transfer_look_ahead(struct client_transfer *transfer, int fd);
/* Returns whether transfer_look_ahead is useful for this request. */
bool transfer_wants_look_ahead(const struct client_transfer *transfer);

int64_t transfer_time_left_us(const struct client_transfer *transfer, int64_t timeout_us);

/* Writes the result into the request and detaches it. The easy handle is already out of the multi
 * handle. */
struct client_request *transfer_report(struct client_transfer *transfer, enum err error);

#endif
