/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends HTTP requests from a loop. libcurl's multi interface makes the requests. c-ares resolves
 * names, because libcurl's own resolver blocks the loop while a DNS server is dead. The address
 * guard is between the two. Each loop has one client. The loop's thread owns the client and its
 * requests.
 *
 *   client_send -> name known? -- no --> c-ares on the loop -> cached with its TTL
 *                    | yes                      |
 *                    v                          v
 *               address guard -> libcurl, the address pinned -> on_done
 *
 * ERR_SHORTAGE: this machine lacks a resource (file descriptors, memory, local ports, a network
 * route, name servers that answer, the CA file). No byte of the request was sent, and the client is
 * not the cause.
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
    bool allow_http;          /* otherwise plain http:// is rejected (ERR_URL) */
    const char *ca_file;      /* NULL or "": the system's */
    const char *dns_servers;  /* NULL or "": the system's; or "ip:port,ip:port", for tests */
    unsigned connections_max; /* open at a time, idle ones included */
};

enum err client_new(
    struct loop *loop, const struct client_options *options, struct client **ret_client) MUST_CHECK;
/* Cancels the requests in flight: each on_done is called with ERR_CANCELLED. Takes NULL. */
void client_free(struct client *client);

/* Seven of our own, Authorization, and up to 16 that an operator gives. */
#define CLIENT_HEADERS_MAX 24

enum client_http {
    CLIENT_HTTP_1 = 0,
    /* Negotiated (ALPN): HTTP/1.1 if the peer does not support HTTP/2, and over plain http://.
     * Requests share few connections. */
    CLIENT_HTTP_2
};

/* The TLS settings of an endpoint. The texts are PEM. NULL: not set. */
struct client_tls {
    const char *ca_pem;          /* in place of client_options.ca_file */
    const char *certificate_pem; /* of the client, with its chain; asked for by the peer */
    const char *key_pem;         /* its key, not encrypted */
    /* Differs for each content of the texts, and is not 0: requests share a connection only if
     * their ids are equal. */
    uint64_t id;
};

/* One request. The caller owns it and keeps it valid until on_done, with its `url`, `body`, `tls`
 * and `answer`, and the texts of its headers. */
struct client_request {
    const char *url;
    struct slice body;
    const char *headers[CLIENT_HEADERS_MAX]; /* "name: value" */
    unsigned headers_count;
    bool get; /* a GET, without a body; otherwise a POST */
    enum client_http http;
    const struct client_tls *tls; /* NULL: the client's CA, and no certificate */
    int64_t connect_timeout_us;   /* name look-up included */
    int64_t answer_timeout_us;    /* the whole request */
    bool once;  /* guarded: uses a new connection, alone, and closes it afterwards */
    bool fresh; /* uses a new connection, which may be kept */
    /* The body decides. The request ends when the body is complete or fills `answer`. If the body
     * ends before, end.error says why, beside the status. Otherwise the request ends early, and a
     * success counts as soon as the headers are complete. */
    bool answer_wanted;
    char *answer;       /* receives the body; for answer_wanted only */
    size_t answer_size; /* up to ANSWER_RULE_BYTES_MAX */
    /* Called on the loop, never within client_send. */
    void (*on_done)(struct client_request *request);
    /* the result */
    struct attempt_end end;
    struct attempt_evidence evidence; /* of the last send; see the limits in evidence.h */
    unsigned sends; /* 0 or 1: a byte of it may have been sent; libcurl may not repeat it */
    unsigned unprocessed_sends; /* earlier ones, not in `sends`: see unprocessed.h */
    const char *shortage;       /* with ERR_SHORTAGE: the missing resource, in words */
    int64_t duration_us;
    int64_t retry_after_us; /* the longest Retry-After; 0: none */
    size_t answer_len;      /* in `answer` */
    bool answer_cut;        /* the body is longer than `answer` */
    uint32_t excerpt_len;
    /* Of the answer's body. Without a status: the first bytes that were received. */
    char excerpt[ANSWER_EXCERPT_BYTES_MAX];

    /* owned by the client while in flight */
    struct client_transfer *transfer;
    struct client_request *next; /* in the list of those that failed in client_send */
};

void client_send(struct client *client, struct client_request *request);

/* Checks a URL as client_send does, without name look-ups. Returns OK, or ERR_URL with a sentence
 * for people. */
enum err client_check_url(
    const struct client_options *options, const char *url, const char **ret_problem) MUST_CHECK;

#endif
