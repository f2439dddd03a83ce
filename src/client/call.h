/* SPDX-License-Identifier: Apache-2.0 */
/* One blocking HTTP request: for the command line tools that talk to a running gateway's admin
 * listener, and for a gateway that follows another one. Not for threads with a loop. */
#ifndef PENSTOCK_CLIENT_CALL_H
#define PENSTOCK_CLIENT_CALL_H

#include "base/buffer.h"

struct client_call {
    const char *method; /* "GET" */
    const char *url;
    const char *bearer_token;
    struct slice json;       /* the body; empty: none */
    long timeout_s;          /* 0: 30 */
    size_t answer_bytes_max; /* 0: 16 MiB */
    /* About once a second while it lasts; false ends it (ERR_CANCELLED). May be NULL. */
    bool (*on_wait)(void *context);
    void *context;
};

/* OK with any HTTP status; ERR_UNAVAILABLE when nobody answers there in time; ERR_TOO_LARGE;
 * ERR_NO_MEMORY; ERR_CANCELLED. *body gets the answer's. */
enum err client_call(
    const struct client_call *call, int *ret_status, struct buffer *body) MUST_CHECK;

#endif
