/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as application/problem+json (RFC 9457), from the error catalogue: type
 * urn:penstock:problem:<name>, title, status, detail, errors[]. */
#ifndef PENSTOCK_HTTP_PROBLEM_H
#define PENSTOCK_HTTP_PROBLEM_H

#include "http/server.h"
#include "model/refusal.h"

/*
 * `detail` says what to do; `problems` may be NULL. 503 and 429 carry Retry-After, 401 the route's
 * WWW-Authenticate. Ends the exchange.
 */
void http_answer_problem(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems);

/* The same of a refusal. */
void http_answer_refusal(struct http_exchange *exchange, const struct refusal *refusal);

/* The problem as a JSON object, for an answer that tells of several things. */
void http_print_refusal(struct buffer *json, const struct refusal *refusal);

#endif
