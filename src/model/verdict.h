/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging the end of an attempt: what the client's answer, or its absence, means for the delivery.
 *
 *   2xx                                     delivered
 *   410                                     parked, and the endpoint is disabled
 *   408 425 429 5xx, no answer, no connection    retried (until the schedule ends: dead)
 *   3xx and other 4xx                       retried as well (deployments are often broken before they are right),
 *                                           or dead at once where the endpoint says that they are final
 *   guarded and ambiguous                   parked: the request may have been worked off (lost, late or malformed
 *                                           answer, 502, 504)
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
    int http_status;    /* 0: no complete headers came */
    enum err error;     /* OK when headers came */
    bool request_begun; /* at least one byte of the request may have left */
};

/* How far an attempt got: the evidence for the person who has to decide whether the client did the
 * work. */
struct attempt_reach {
    bool warm;             /* the connection had been used before */
    bool request_complete; /* all of the request was handed to the kernel */
    uint32_t request_bytes,
        answer_bytes; /* headers and bodies: what the kernel took, and what came back */
};

enum verdict verdict_of(
    const struct attempt_end *end, bool guarded, bool idempotent, bool final_4xx);

/* True when the client may have done the work although we saw no success. */
bool verdict_is_ambiguous(const struct attempt_end *end);

#endif
