/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals: each request of a partner that is answered with 4xx or 5xx, each item of a batch that
 * is, and each connection that is cut. All are counted by reason (penstock_refusals_total). A
 * sample is logged: at most one line per reason and second, with the number of those that have no
 * line. A flood costs two atomic additions for each refusal.
 *
 *   refused: reason=invalid status=422 partner=shop address=192.0.2.1 request=req_... field=/amount
 *   left_out=9
 *
 * A line has the partner (`-`: not authenticated), the address, the id of the request, and the
 * pointer of the first field that is wrong. It never has a header, a path, a key or a body: these
 * may hold secrets. The detail of the problem is in the answer, and in the list of the last
 * rejections of the partner (rejections.h).
 *
 * Reasons are the names of errors (base/err.h), and those of connections that are cut. Shared by
 * all ingress threads; any thread, except _new and _free.
 */
#ifndef PENSTOCK_HTTP_REFUSALS_H
#define PENSTOCK_HTTP_REFUSALS_H

#include "base/err.h"
#include "runtime/metrics.h"

#include <stdbool.h>

/* symbol, name, metric, error; OK: no answer has this error. The first one is 0. */
#define REFUSAL_TABLE(X)                                                                           \
    X(REFUSAL_OTHER, "other", METRIC_REFUSED_OTHER, OK)                                            \
    X(REFUSAL_BAD_REQUEST, "bad-request", METRIC_REFUSED_BAD_REQUEST, ERR_BAD_REQUEST)             \
    X(REFUSAL_MALFORMED_JSON, "malformed-json", METRIC_REFUSED_MALFORMED_JSON, ERR_MALFORMED_JSON) \
    X(REFUSAL_UNAUTHENTICATED, "unauthenticated", METRIC_REFUSED_UNAUTHENTICATED,                  \
        ERR_UNAUTHENTICATED)                                                                       \
    X(REFUSAL_FORBIDDEN, "forbidden", METRIC_REFUSED_FORBIDDEN, ERR_FORBIDDEN)                     \
    X(REFUSAL_NOT_FOUND, "not-found", METRIC_REFUSED_NOT_FOUND, ERR_NOT_FOUND)                     \
    X(REFUSAL_METHOD, "method-not-allowed", METRIC_REFUSED_METHOD, ERR_METHOD)                     \
    X(REFUSAL_TOO_LARGE, "too-large", METRIC_REFUSED_TOO_LARGE, ERR_TOO_LARGE)                     \
    X(REFUSAL_MEDIA_TYPE, "media-type", METRIC_REFUSED_MEDIA_TYPE, ERR_MEDIA_TYPE)                 \
    X(REFUSAL_INVALID, "invalid", METRIC_REFUSED_INVALID, ERR_INVALID)                             \
    X(REFUSAL_CONFLICT, "conflict", METRIC_REFUSED_CONFLICT, ERR_CONFLICT)                         \
    X(REFUSAL_RATE_LIMITED, "rate-limited", METRIC_REFUSED_RATE_LIMITED, ERR_RATE_LIMITED)         \
    X(REFUSAL_OVERLOADED, "overloaded", METRIC_REFUSED_OVERLOADED, ERR_OVERLOADED)                 \
    X(REFUSAL_SWITCHED_OFF, "switched-off", METRIC_REFUSED_SWITCHED_OFF, ERR_SWITCHED_OFF)         \
    X(REFUSAL_NO_MEMORY, "no-memory", METRIC_REFUSED_NO_MEMORY, ERR_NO_MEMORY)                     \
    X(REFUSAL_TIMEOUT, "timeout", METRIC_REFUSED_TIMEOUT, ERR_TIMEOUT)                             \
    X(REFUSAL_DISK, "disk", METRIC_REFUSED_DISK, ERR_DISK)                                         \
    X(REFUSAL_DISK_FULL, "disk-full", METRIC_REFUSED_DISK_FULL, ERR_DISK_FULL)                     \
    X(REFUSAL_UNAVAILABLE, "unavailable", METRIC_REFUSED_UNAVAILABLE, ERR_UNAVAILABLE)             \
    X(REFUSAL_SHUTTING_DOWN, "shutting-down", METRIC_REFUSED_SHUTTING_DOWN, ERR_SHUTTING_DOWN)     \
    /* an address exceeds a limit: connections, new connections, requests, failures */             \
    X(REFUSAL_ADDRESS_CONNECTIONS, "address-connections", METRIC_REFUSED_ADDRESS_CONNECTIONS, OK)  \
    X(REFUSAL_ADDRESS_CONNECTION_RATE, "address-connection-rate",                                  \
        METRIC_REFUSED_ADDRESS_CONNECTION_RATE, OK)                                                \
    X(REFUSAL_ADDRESS_REQUESTS, "address-requests", METRIC_REFUSED_ADDRESS_REQUESTS, OK)           \
    X(REFUSAL_ADDRESS_FAILURES, "address-failures", METRIC_REFUSED_ADDRESS_FAILURES, OK)           \
    /* too slow; does not read its answer; much work for nothing (patience.h); no memory */        \
    X(REFUSAL_DEADLINE, "deadline", METRIC_REFUSED_DEADLINE, OK)                                   \
    X(REFUSAL_UNREAD, "answer-not-read", METRIC_REFUSED_UNREAD, OK)                                \
    X(REFUSAL_FLOOD, "flood", METRIC_REFUSED_FLOOD, OK)                                            \
    X(REFUSAL_PROXY_HEADER, "proxy-header", METRIC_REFUSED_PROXY_HEADER, OK)                       \
    X(REFUSAL_NO_ROOM, "no-room", METRIC_REFUSED_NO_ROOM, OK)                                      \
    X(REFUSAL_HEAD_TOO_LARGE, "head-too-large", METRIC_REFUSED_HEAD_TOO_LARGE, ERR_HEAD_TOO_LARGE) \
    X(REFUSAL_DESCRIPTORS, "descriptors", METRIC_REFUSED_DESCRIPTORS, OK)                          \
    X(REFUSAL_KEY_UPDATES, "key-updates", METRIC_REFUSED_KEY_UPDATES, OK)

enum refusal_reason {
#define X(symbol, name, metric, error) symbol,
    REFUSAL_TABLE(X)
#undef X
        REFUSAL_COUNT
};

const char *refusal_name(enum refusal_reason reason);
enum refusal_reason refusal_of_error(enum err error);

struct refusals;

struct refusals *refusals_new(void);
void refusals_free(struct refusals *refusals); /* takes NULL */

/* Counts a refusal. Returns true if it must be logged with refusals_log, and the number of those
 * that were left out since the last line. */
bool refusals_count(
    struct refusals *refusals, enum refusal_reason reason, int64_t now_us, uint64_t *ret_left_out);

struct refused {
    enum refusal_reason reason;
    int status;                                 /* 0: a connection was cut */
    const char *partner, *address, *request_id; /* NULL or empty: none */
    const char *pointer; /* of the first field that is wrong; NULL or empty: none */
};
void refusals_log(const struct refused *refused, uint64_t left_out);

/* Finds a reason with refusals that have no line, and whose last line is more than a second old.
 * For the end of a flood. */
bool refusals_take_left_out(struct refusals *refusals, int64_t now_us,
    enum refusal_reason *ret_reason, uint64_t *ret_left_out);
/* Logs them. Called about every 100 ms. */
void refusals_tick(struct refusals *refusals, int64_t now_us);

#endif
