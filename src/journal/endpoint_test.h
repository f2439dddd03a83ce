/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test of an endpoint: a question of an operator to the shard of delivery that owns the
 * account. The shard sends one marked event, as it sends a real one (delivery/endpoint_test.h).
 *
 * It is in this folder because its answer is an attempt, and both sides may include this folder.
 * The journal never gets a test.
 */
#ifndef PENSTOCK_JOURNAL_ENDPOINT_TEST_H
#define PENSTOCK_JOURNAL_ENDPOINT_TEST_H

#include "journal/journal.h"
#include "model/verdict.h"

#define ENDPOINT_TEST_TYPE "penstock.test" /* of the event */
#define ENDPOINT_TEST_HEADERS_BYTES 2560   /* our own headers, and the names of the endpoint's */
#define ENDPOINT_TEST_BODY_BYTES 512

/* Results: OK; ERR_NOT_FOUND; ERR_OVERLOADED (too many tests, or too many events in memory);
 * ERR_NO_MEMORY; ERR_SHUTTING_DOWN. */
struct endpoint_test {
    struct request ask;
    uint64_t endpoint;
    /* the answer */
    struct event_id ret_event;
    bool ret_enabled;
    bool ret_breaker_open; /* what is real waits; the test was sent in spite of it */
    /* What was sent. Each header ends with a line feed. The values of headers that the endpoint's
     * settings add are not in it, since they may be secrets. */
    char ret_url[URL_BYTES_MAX + 1];
    char ret_headers[ENDPOINT_TEST_HEADERS_BYTES];
    char ret_body[ENDPOINT_TEST_BODY_BYTES];
    struct attempt ret_attempt;
    enum verdict ret_verdict; /* what the answer would mean for a real event */
    const char *ret_shortage; /* what this machine lacks, in words; NULL: nothing */
};

#endif
