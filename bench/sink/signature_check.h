/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the signature of a delivery like a client: one of the header's signatures must fit one of
 * the path's secrets. */
#ifndef PENSTOCK_BENCH_SINK_SIGNATURE_CHECK_H
#define PENSTOCK_BENCH_SINK_SIGNATURE_CHECK_H

#include "sink/behaviour.h"

/* The MACs of one loop. They are keyed once for each path, and again when its behaviour is
 * replaced. All zeros at first. */
struct signature_checker {
    struct path_macs *macs; /* by the path's number */
    size_t count;
};

struct signed_request {
    struct slice id, timestamp, signatures; /* the webhook-... headers; empty: not there */
    struct slice body;
};

enum sink_signature signature_check(struct signature_checker *checker,
    const struct behaviour *behaviour, const struct signed_request *request) MUST_CHECK;
void signature_checker_done(struct signature_checker *checker);

#endif
