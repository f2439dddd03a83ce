/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of an endpoint (model/endpoint_policy.h). Some endpoints have their own. The model
 * knows them from here, and the gateway from the JSON text that is made of them.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_POLICY_H
#define PENSTOCK_TESTS_MODEL_FAKE_POLICY_H

#include "model/endpoint_policy.h"

#define FAKE_STEPS_MAX 3

struct fake_policy {
    const struct endpoint_policy *parsed; /* NULL: the endpoint has none, and the rest is zero */
    unsigned steps;                       /* 0: the gateway's schedule */
    int64_t steps_us[FAKE_STEPS_MAX];
    int64_t horizon_us;              /* 0: none */
    unsigned in_flight_max;          /* 0: the gateway's */
    unsigned critical_in_flight_max; /* 0: as above */
    unsigned rate_max;               /* 0: none */
    bool final_404;                  /* a 404 is not retried */
};

/* Draws one, or none. */
void fake_policy_draw(struct fake_policy *ret_policy);

#endif
