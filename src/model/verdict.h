/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end of an attempt (an answer, or none) means for the delivery.
 *
 *   2xx                              delivered
 *   410                              parked; the endpoint is disabled
 *   408 425 429 5xx,                 retried until the schedule ends, then dead
 *   no answer, no connection
 *   3xx and other 4xx                retried as well (new deployments are often broken at first),
 *                                    or dead at once if the endpoint says that they are final
 *   guarded and ambiguous            parked: the client may have done the work (lost, late or
 *                                    malformed answer, 502, 504)
 */
#ifndef PENSTOCK_MODEL_VERDICT_H
#define PENSTOCK_MODEL_VERDICT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum verdict {
    VERDICT_DELIVERED,
    VERDICT_RETRY,
    VERDICT_DEAD,
    VERDICT_PARK_AMBIGUOUS,
    VERDICT_DISABLE_ENDPOINT
};

struct attempt_end {
    int http_status;    /* 0: no complete headers were received */
    enum err error;     /* OK if headers were received */
    bool request_begun; /* at least one byte of the request may have left */
};

/* How an attempt went: evidence for the operator who decides whether the client did the work, and
 * for whoever looks for the reason of a failure. Texts are empty when there is nothing to say. */
struct attempt_reach {
    bool warm;             /* the connection had been used before */
    bool request_complete; /* the kernel took the whole request */
    /* Headers and bodies: what the kernel took, and what was received. */
    uint32_t request_bytes, answer_bytes;
    char peer[48];        /* address and port, of the last address that was tried */
    char tls[16];         /* the version, as OpenSSL says it: "TLSv1.3" */
    char http[4];         /* "1.1", "2" */
    char tls_problem[96]; /* why the client's certificate was refused, and whose it is */
    /* How long each step took. 0: it did not happen, as on a connection that was used before. */
    uint32_t dns_us, connect_us, tls_us, first_byte_us;
    char location[128]; /* of a redirect, cut */
};

enum verdict verdict_of(
    const struct attempt_end *end, bool guarded, bool idempotent, bool final_4xx);

/* Returns true if the client may have done the work although no success was received. */
bool verdict_is_ambiguous(const struct attempt_end *end);

#endif
