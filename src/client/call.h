/* SPDX-License-Identifier: Apache-2.0 */
/* One blocking HTTP request. For the command line tools, which call the admin listener of a running
 * gateway, and for a gateway that follows another one. Not for threads with a loop. */
#ifndef PENSTOCK_CLIENT_CALL_H
#define PENSTOCK_CLIENT_CALL_H

#include "base/buffer.h"

struct client_call {
    const char *method; /* "GET" */
    const char *url;
    const char *bearer_token;
    const char *ca_file;     /* NULL or empty: the CAs of the system */
    struct slice json;       /* the body; empty: none */
    long timeout_s;          /* 0: 30 */
    size_t answer_bytes_max; /* 0: 16 MiB */
    /* Called about once a second. If it returns false, the call ends (ERR_CANCELLED). May be
     * NULL. */
    bool (*on_wait)(void *context);
    void *context;
};

/* OK with any HTTP status. ERR_UNAVAILABLE: no answer in time. ERR_TOO_LARGE, ERR_NO_MEMORY,
 * ERR_CANCELLED. The body of the answer is added to *body. */
enum err client_call(
    const struct client_call *call, int *ret_status, struct buffer *body) MUST_CHECK;

#endif
