/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of errors: one row for each thing that can go wrong, with its stable name, its
 * kind, the HTTP status and exit code that it is answered with, and a text for logs and messages.
 * (The title of an HTTP problem is the standard phrase of its status: http/problem.h.)
 *
 * Kinds: temporary (the same call may work later), permanent (the same call fails again), bug
 * (ours).
 */
#ifndef PENSTOCK_BASE_ERR_H
#define PENSTOCK_BASE_ERR_H

enum err_kind { ERR_KIND_NONE, ERR_KIND_TEMPORARY, ERR_KIND_PERMANENT, ERR_KIND_BUG };

/* symbol, stable name (also the tail of urn:penstock:problem:), kind, HTTP status, exit code
 * (sysexits.h), text */
#define ERR_TABLE(X)                                                                               \
    X(OK, "ok", NONE, 200, 0, "Success")                                                           \
    /* the machine */                                                                              \
    X(ERR_NO_MEMORY, "no-memory", TEMPORARY, 503, 75, "Out of memory")                             \
    X(ERR_SYSTEM, "system", TEMPORARY, 503, 71, "A system call failed")                            \
    X(ERR_SHORTAGE, "shortage", TEMPORARY, 503, 71,                                                \
        "The machine has run out of file descriptors, threads or other resources")                 \
    X(ERR_UNAVAILABLE, "unavailable", TEMPORARY, 503, 69, "The gateway is not available now")      \
    X(ERR_OVERLOADED, "overloaded", TEMPORARY, 503, 75, "The gateway is overloaded")               \
    X(ERR_SWITCHED_OFF, "switched-off", TEMPORARY, 503, 75, "An operator has switched this off")   \
    X(ERR_SHUTTING_DOWN, "shutting-down", TEMPORARY, 503, 75,                                      \
        "The gateway is shutting down. Send the request again later")                              \
    X(ERR_TIMEOUT, "timeout", TEMPORARY, 503, 75, "The operation took too long")                   \
    X(ERR_DISK, "disk", TEMPORARY, 503, 74, "The disk could not be read or written")               \
    X(ERR_DISK_FULL, "disk-full", TEMPORARY, 503, 74, "The disk is full")                          \
    X(ERR_DAMAGED, "damaged", PERMANENT, 500, 70, "Stored data is damaged")                        \
    X(ERR_BUG, "bug", BUG, 500, 70, "This is a bug in Penstock")                                   \
    /* starting up */                                                                              \
    X(ERR_USAGE, "usage", PERMANENT, 400, 64, "The command was used wrongly")                      \
    X(ERR_CONFIG, "config", PERMANENT, 500, 78, "The configuration is wrong")                      \
    X(ERR_LOCKED, "locked", TEMPORARY, 503, 75, "Another process uses the data directory")         \
    X(ERR_PERMISSION, "permission", PERMANENT, 500, 77, "Permission denied")                       \
    X(ERR_NOT_OWNER, "not-owner", PERMANENT, 409, 78,                                              \
        "Another gateway delivers for this installation")                                          \
    X(ERR_NEWER_FORMAT, "newer-format", PERMANENT, 500, 78,                                        \
        "The file was written by a newer version of Penstock")                                     \
    X(ERR_ADDRESS_IN_USE, "address-in-use", TEMPORARY, 503, 69, "The address is in use")           \
    X(ERR_ADDRESS_FOREIGN, "address-foreign", PERMANENT, 500, 78,                                  \
        "This machine does not have this address")                                                 \
    /* requests */                                                                                 \
    X(ERR_BAD_REQUEST, "bad-request", PERMANENT, 400, 65,                                          \
        "The request is not valid HTTP, or a part of it is wrong")                                 \
    X(ERR_MALFORMED_JSON, "malformed-json", PERMANENT, 400, 65, "The body is not valid JSON")      \
    X(ERR_UNAUTHENTICATED, "unauthenticated", PERMANENT, 401, 77,                                  \
        "The credentials are missing or wrong")                                                    \
    X(ERR_FORBIDDEN, "forbidden", PERMANENT, 403, 77, "You may not do this")                       \
    X(ERR_NOT_FOUND, "not-found", PERMANENT, 404, 66, "The object does not exist")                 \
    X(ERR_METHOD, "method-not-allowed", PERMANENT, 405, 64, "The method is not allowed")           \
    X(ERR_EXISTS, "exists", PERMANENT, 409, 65, "The object already exists")                       \
    X(ERR_MOVED_ON, "moved-on", PERMANENT, 409, 65,                                                \
        "The delivery is no longer in the expected state")                                         \
    X(ERR_TOO_LARGE, "too-large", PERMANENT, 413, 65, "The request is too large")                  \
    X(ERR_HEAD_TOO_LARGE, "head-too-large", PERMANENT, 431, 65,                                    \
        "The head of the request is too large")                                                    \
    X(ERR_MEDIA_TYPE, "media-type", PERMANENT, 415, 65,                                            \
        "The media type or encoding is not supported")                                             \
    X(ERR_INVALID, "invalid", PERMANENT, 422, 65, "A field is missing or wrong")                   \
    X(ERR_CONFLICT, "conflict", PERMANENT, 422, 65,                                                \
        "The key was used before with a different amount or currency")                             \
    X(ERR_RATE_LIMITED, "rate-limited", TEMPORARY, 429, 75, "Too many requests in a short time")   \
    /* attempts: the record of an attempt has one when there is no HTTP status */                  \
    X(ERR_URL, "url", PERMANENT, 422, 65, "The URL cannot be used")                                \
    X(ERR_ADDRESS_REFUSED, "address-refused", TEMPORARY, 502, 77, "The address is not allowed")    \
    X(ERR_NAME_LOOKUP, "name-lookup", TEMPORARY, 502, 69, "The host name cannot be resolved")      \
    X(ERR_CONNECT, "connect", TEMPORARY, 502, 69, "The connection failed")                         \
    X(ERR_CONNECT_TIMEOUT, "connect-timeout", TEMPORARY, 504, 69,                                  \
        "The attempt to connect took too long")                                                    \
    X(ERR_TLS, "tls", TEMPORARY, 502, 69,                                                          \
        "The TLS handshake failed, or the certificate is not valid")                               \
    X(ERR_SEND, "send", TEMPORARY, 502, 69, "The connection was lost before the request was sent") \
    X(ERR_ANSWER_LOST, "answer-lost", TEMPORARY, 502, 69,                                          \
        "The connection was lost before the answer arrived")                                       \
    X(ERR_ANSWER_MALFORMED, "answer-malformed", TEMPORARY, 502, 76,                                \
        "The answer is not valid HTTP")                                                            \
    X(ERR_ANSWER_TOO_LARGE, "answer-too-large", TEMPORARY, 502, 76,                                \
        "The answer is too large: at most 64 KiB of headers, and 256 KiB in all")                  \
    X(ERR_ANSWER_TIMEOUT, "answer-timeout", TEMPORARY, 504, 69, "The answer took too long")        \
    X(ERR_INTERRUPTED, "interrupted", TEMPORARY, 503, 75,                                          \
        "The gateway was killed or crashed during the attempt")                                    \
    X(ERR_CANCELLED, "cancelled", TEMPORARY, 503, 75,                                              \
        "The gateway was stopped and cancelled the attempt")

enum err {
#define X(symbol, name, kind, status, exit_code, title) symbol,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* All return static strings or values; an `e` outside the catalogue reads as ERR_BUG. */
const char *err_name(enum err e);
const char *err_title(enum err e);
enum err_kind err_kind(enum err e);
int err_http_status(enum err e);
int err_exit_code(enum err e);

/* The row of a stable name, or ERR_BUG when there is none (a record written by a newer version). */
enum err err_from_name(const char *name);

#endif
