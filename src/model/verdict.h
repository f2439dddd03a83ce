/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end of an attempt (an answer, or none) means for the delivery.
 *
 *   2xx                              delivered, or what the endpoint's success rule says
 *   410                              parked; the endpoint is disabled
 *   408 425 429 5xx,                 retried until the schedule ends, then dead
 *   no answer, no connection,
 *   2xx whose body is wanted and lost
 *   3xx and other 4xx,               retried as well (new deployments are often broken at first),
 *   a success rule is not met        or dead at once if the endpoint says that they are final
 *   guarded and ambiguous            parked: the client may have done the work (lost, late or
 *                                    malformed answer, 502, 504, a body that cannot be judged)
 */
#ifndef PENSTOCK_MODEL_VERDICT_H
#define PENSTOCK_MODEL_VERDICT_H

#include "base/err.h"
#include "base/limits.h"
#include "model/attempt_cause.h"
#include "model/delivery_state.h"
#include "model/success_rule.h"

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
    int http_status; /* 0: no complete headers were received */
    /* OK if headers were received. If the caller wanted the body as well (a success rule looks at
     * it), it may be an error with a status: the body ended too early. */
    enum err error;
    bool request_begun; /* at least one byte of the request may have left */
};

/*
 * How an attempt was made and how far it got: evidence for the operator who decides whether the
 * client did the work, and for the client's developer. Texts are cut to their room. Durations are 0
 * for a step that did not happen or did not end, and on a connection that had been used before.
 */
struct attempt_evidence {
    /* The exact cause if it is known (attempt_cause_of). CAUSE_NONE: see the end of the attempt. */
    enum attempt_cause cause;
    bool warm;             /* the connection had been used before */
    bool request_complete; /* the kernel took the whole request */
    /* Headers and bodies: what the kernel took, and what was received. */
    uint32_t request_bytes, answer_bytes;
    /* The name's look-up, the connection's TCP and TLS handshakes, and from the request to the
     * answer's first byte. The look-up may be that of another request for the same name. */
    uint32_t dns_us, connect_us, tls_us, first_byte_us;
    /* "192.0.2.7:443", "[2001:db8::1]:443"; without a connection the last address that was tried;
     * "": none was. */
    char peer[EVIDENCE_PEER_BYTES];
    char tls[EVIDENCE_TLS_BYTES];   /* "TLSv1.3"; "": no TLS, or no connection */
    char http[EVIDENCE_HTTP_BYTES]; /* "1.1" or "2", as it was sent; "": nothing was */
    /* What is wrong with the connection's TLS, and the certificate that it is about:
     * "certificate has expired (CN=sink.test, 2026-11-03)". */
    char tls_problem[EVIDENCE_TLS_PROBLEM_BYTES];
    char location[EVIDENCE_LOCATION_BYTES]; /* of a 3xx */
};

/* What the verdict depends on besides the answer. */
struct verdict_terms {
    bool guarded;
    bool idempotent;      /* the endpoint tells repeated deliveries apart by itself */
    bool is_final;        /* the endpoint says that an answer with this status is its last word */
    enum success success; /* what the success rule says, if there was an answer */
};

enum verdict verdict_of(const struct attempt_end *end, const struct verdict_terms *terms);

/* Returns why a delivery waits after this attempt, which did not deliver it: the endpoint failed,
 * or it answered and does not want this event. */
enum wait_cause verdict_wait_cause(const struct attempt_end *end);

/* Returns true if the client may have done the work although no success was received. */
bool verdict_is_ambiguous(const struct attempt_end *end);

#endif
