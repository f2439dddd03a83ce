/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator sets for one endpoint: when it is retried, what counts as success, how it is
 * sent. One JSON object; every member is optional, and the gateway's configuration applies where
 * one is absent.
 *
 *   retry_schedule           ["1s", "5s"]: waits after failed attempts
 *   horizon                  "77h": nothing is retried later than this after its acceptance
 *   connect_timeout, answer_timeout, guarded_answer_timeout    "5s"
 *   final_statuses           ["400-499", 301]: these answers are not retried. 300 to 499. A range
 *                            leaves out 408, 425 and 429, which are temporary, and 410, which
 *                            disables the endpoint
 *   in_flight_max            requests at the same time
 *   rate_max                 attempts per second; fractions are possible
 *   classes                  {"critical": {...}, "important": {...}, "optional": {...}}: all of the
 *                            above but rate_max, for the events of one class
 *   success                  what counts as success (model/success_rule.h)
 *   status_probe             {"url": "https://client.example/status/{id}", "yes": {...},
 *                            "no": {...}}: asks the client whether it has processed an event. `yes`
 *                            and `no` are rules as `success`; an answer that meets both, or none,
 *                            says nothing. Without `no`, no answer means no
 *   headers                  {"X-Partner": "7"}: sent with each request
 *   authorization            {"basic": {"user", "password"}} or {"bearer": "token"}
 *   tls                      {"ca", "certificate", "key"}: texts in PEM form
 *   http                     "1.1" or "2"
 *
 * A policy is immutable and counts its references, so that an attempt can keep the one that it
 * began with. Any thread may take and give references.
 *
 * Secrets are the password, the bearer token, the key, and the values of headers whose names say
 * that they are credentials (X-Api-Key). endpoint_policy_text has them, for the account database.
 * endpoint_policy_masked has "***" in their place, for people. Such a masked text can be parsed
 * again with the present policy beside it: "***" keeps the present secret. So an operator can read
 * a policy, change it and write it back.
 */
#ifndef PENSTOCK_MODEL_ENDPOINT_POLICY_H
#define PENSTOCK_MODEL_ENDPOINT_POLICY_H

#include "base/err.h"
#include "base/limits.h"
#include "model/class.h"
#include "model/retry.h"
#include "model/success_rule.h"

#define POLICY_BYTES_MAX (64 * 1024)
#define POLICY_HEADERS_MAX 16
#define POLICY_HEADER_VALUE_BYTES_MAX 1024
#define POLICY_MASK "***"

struct endpoint_policy;
struct refusal; /* model/refusal.h */

/*
 * Parses a policy. `present` is the policy that "***" refers to, or NULL. ERR_MALFORMED_JSON,
 * ERR_TOO_LARGE, ERR_NO_MEMORY, or ERR_INVALID with the problems of single members: each has a JSON
 * pointer into the policy, such as /retry_schedule/0, and says what it must be. The new policy has
 * one reference.
 */
enum err endpoint_policy_parse(struct slice json, const struct endpoint_policy *present,
    const struct endpoint_policy **ret_policy, struct refusal *ret_refusal) MUST_CHECK;

/* Both take NULL. The first returns its argument. */
const struct endpoint_policy *endpoint_policy_ref(const struct endpoint_policy *policy);
void endpoint_policy_unref(const struct endpoint_policy *policy);

/* The policy as JSON, without white space: with its secrets, and masked. Valid as long as the
 * policy; NUL-terminated. */
struct slice endpoint_policy_text(const struct endpoint_policy *policy);
struct slice endpoint_policy_masked(const struct endpoint_policy *policy);

/* What delivery follows for the events of one class. */
struct delivery_rules {
    struct retry_schedule schedule;
    int64_t horizon_us; /* 0: the sum of the schedule (model/retry.h) */
    int64_t retry_after_us_max;
    int64_t connect_timeout_us, answer_timeout_us, guarded_answer_timeout_us;
    unsigned in_flight_max;
    struct status_set final_statuses;
};

/* The rules of a class: for each member the one under `classes`, else the policy's own, else the
 * one of `defaults`. `policy` may be NULL. */
void endpoint_policy_rules(const struct endpoint_policy *policy, enum event_class class,
    const struct delivery_rules *defaults, struct delivery_rules *ret_rules);

/* All of the following take NULL: an endpoint without a policy. What they return belongs to the
 * policy. */

double endpoint_policy_rate_max(const struct endpoint_policy *policy); /* per second; 0: no limit */

/* Ready "name: value" texts, the Authorization header included: returns their number, at most
 * POLICY_HEADERS_MAX + 1. */
unsigned endpoint_policy_headers(
    const struct endpoint_policy *policy, const char *const **ret_headers);

/* NULL: the gateway's CA, and no certificate. */
struct endpoint_tls {
    const char *ca_pem, *certificate_pem, *key_pem; /* NULL: none */
    uint64_t id; /* a hash of the texts: connections of different ids must not be shared */
};
const struct endpoint_tls *endpoint_policy_tls(const struct endpoint_policy *policy);

enum endpoint_http { ENDPOINT_HTTP_1, ENDPOINT_HTTP_2 };
enum endpoint_http endpoint_policy_http(const struct endpoint_policy *policy);

/* NULL: the default rule, 2xx. */
const struct success_rule *endpoint_policy_success(const struct endpoint_policy *policy);

/* The status probe. */

#define STATUS_PROBE_ID "{id}" /* where the id of the event is in the URL */

struct status_probe {
    const char *url; /* with {id} at least once, not in the host */
    struct success_rule yes, no;
    bool has_no;
};
const struct status_probe *endpoint_policy_probe(const struct endpoint_policy *policy);

#define STATUS_PROBE_URL_BYTES (URL_BYTES_MAX + 1)
/* Writes the URL of the probe for one event. `id` needs no escapes in a URL. Returns false if it is
 * too long. */
bool status_probe_url(
    const struct status_probe *probe, struct slice id, char ret_url[STATUS_PROBE_URL_BYTES]);

enum probe_answer { PROBE_UNKNOWN, PROBE_YES, PROBE_NO };
/* As success_rule_judge. */
enum probe_answer status_probe_judge(const struct status_probe *probe, int status,
    struct slice body, bool cut, char ret_why[SUCCESS_WHY_BYTES]);

#endif
