/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt: from its beginning until its outcome is committed. */
#ifndef PENSTOCK_DELIVERY_ATTEMPT_H
#define PENSTOCK_DELIVERY_ATTEMPT_H

#include "accounts/directory.h"
#include "client/client.h"
#include "journal/journal.h"
#include "model/endpoint_policy.h"

struct job;

struct attempt_run {
    struct journal_record record;
    struct client_request client;
    struct client_tls tls; /* texts of the policy */
    struct job *job;
    int64_t started_wall_us;
    int64_t sent_us; /* the same, by the shard's clock (shard_wall_us) */
    char url[URL_BYTES_MAX + 1];
    char endpoint_name[NAME_BYTES_MAX + 1];
    /* The endpoint's settings when the attempt began. */
    bool idempotent, final_4xx;
    bool is_test;                         /* endpoint_test.h */
    const struct endpoint_policy *policy; /* a reference; NULL: it has none */
    unsigned own_headers_count; /* of client.headers: those that the policy does not add */
    char header_texts[896];
    char answer[]; /* ANSWER_RULE_BYTES_MAX, if a success rule looks at the body */
};

/* Makes the run of a job with the endpoint's settings of now. Nothing is sent. */
struct attempt_run *attempt_new(struct job *job, const struct endpoint *endpoint);
/* Gives the request to the HTTP client. The MACs of the queue must be the endpoint's
 * (request_headers_prepare). */
void attempt_send(struct attempt_run *run, void (*on_done)(struct client_request *request));

void attempt_begin(struct job *job);
void attempt_begin_probe(struct job *job);

#endif
