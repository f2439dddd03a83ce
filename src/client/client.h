/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Egress HTTP on a loop: libcurl's multi interface for the requests, c-ares for the names
 * (libcurl's own resolver would block the whole loop when a DNS server is dead), the address guard
 * between the two. One client per loop's thread, which owns it and its requests.
 *
 *   client_send -> name known? -- no --> c-ares on the loop -> cached with its TTL
 *                    | yes                      |
 *                    v                          v
 *               address guard -> libcurl, the address pinned -> on_done
 *
 * What fails for want of something of our own (descriptors, memory, local ports, a route to
 * anywhere, name servers that answer, our CA file) ends with ERR_SHORTAGE, and no byte of it has
 * left: that says nothing of the client.
 */
#ifndef PENSTOCK_CLIENT_CLIENT_H
#define PENSTOCK_CLIENT_CLIENT_H

#include "base/limits.h"
#include "client/address_guard.h"
#include "model/verdict.h"
#include "runtime/loop.h"

struct client;

struct client_options {
    struct address_guard guard;
    bool allow_http;          /* plain http:// is refused otherwise (ERR_URL) */
    const char *ca_file;      /* NULL or "": the system's */
    const char *dns_servers;  /* NULL or "": the system's; else "ip:port,ip:port", for tests */
    unsigned connections_max; /* kept open, idle ones included */
};

enum err client_new(
    struct loop *loop, const struct client_options *options, struct client **ret_client) MUST_CHECK;
/* Cancels what is in flight: each request gets its on_done with ERR_CANCELLED. Takes NULL. */
void client_free(struct client *client);

#define CLIENT_HEADERS_MAX 12

/* One POST. The caller allocates and keeps it until on_done; `url`, `body` and the headers' texts
 * as well. */
struct client_request {
    const char *url;
    struct slice body;
    const char *headers[CLIENT_HEADERS_MAX]; /* "name: value" */
    unsigned headers_count;
    int64_t connect_timeout_us; /* name look-up included */
    int64_t answer_timeout_us;  /* the whole request */
    bool once;                  /* guarded: a fresh connection, for this request alone */
    bool fresh;                 /* a fresh connection, which may be kept */
    void (*on_done)(
        struct client_request *request); /* on the loop, never from within client_send */

    /* what came of it */
    struct attempt_end end;
    struct attempt_reach reach; /* of the last send; its limits stand in reach.h */
    unsigned sends; /* 1 once a byte of it may have left; never more: libcurl may not repeat it */
    const char *shortage; /* with ERR_SHORTAGE: of what, in words */
    int64_t duration_us;
    int64_t retry_after_us; /* of Retry-After, the longest; 0 without */
    uint32_t excerpt_len;
    char excerpt
        /* of the answer's body; without a status: the first bytes that came */
        [ANSWER_EXCERPT_BYTES_MAX];

    /* owned by the client while in flight */
    struct client_transfer *transfer;
    struct client_request *next; /* in the list of those that failed at once */
};

void client_send(struct client *client, struct client_request *request);

/* Checks a URL as client_send will, without looking names up: OK or ERR_URL with a sentence for
 * people. */
enum err client_check_url(
    const struct client_options *options, const char *url, const char **ret_problem) MUST_CHECK;

#endif
