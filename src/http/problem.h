/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as application/problem+json (RFC 9457), from the error catalogue (base/err.h): type
 * urn:penstock:problem:<name>, title (the standard phrase of the status), status, detail, errors[].
 */
#ifndef PENSTOCK_HTTP_PROBLEM_H
#define PENSTOCK_HTTP_PROBLEM_H

#include "http/server.h"
#include "model/refusal.h"

/*
 * Answers with a problem, which ends the exchange. `detail` gives the reason and the remedy; NULL:
 * the text of the error. `problems` may be NULL. 503 and 429 have Retry-After, 401 has the route's
 * WWW-Authenticate.
 */
void http_answer_problem(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems);

/* The same for a refusal. */
void http_answer_refusal(struct http_exchange *exchange, const struct refusal *refusal);
/* The same if the handler has returned: `body` is what it kept of the request, for on_refused. */
void http_answer_refusal_of(
    struct http_exchange *exchange, const struct refusal *refusal, struct slice body);

/* A refusal of a request, or of a part of it. Valid during the call that it is given to. */
struct http_refused {
    enum err error;
    const char *detail;                    /* NULL: the text of the error */
    const struct field_problems *problems; /* NULL: none */
    struct slice body; /* what it is about; without data: the body of the request */
};

/* Counts, logs and reports the refusal of a part of the request, such as an item of a batch
 * (refusals.h, on_refused of http_options). The functions above do it for the whole request. */
void http_note_refusal(struct http_exchange *exchange, const struct http_refused *refused);

/* Prints the problem of a refusal as a JSON object, for an answer with several results. */
void http_print_refusal(struct buffer *json, const struct refusal *refusal);

#endif
