/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of an endpoint (model/endpoint_policy.h). Some endpoints have their own. The model
 * knows them from here, and the gateway from the JSON text that is made of them.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_POLICY_H
#define PENSTOCK_TESTS_MODEL_FAKE_POLICY_H

#include "fake_rules.h"
#include "model/endpoint_policy.h"

#define FAKE_STEPS_MAX 3
#define FAKE_MEMBERS_BYTES 400

struct fake_policy {
    const struct endpoint_policy *parsed; /* NULL: the endpoint has none */
    char members[FAKE_MEMBERS_BYTES];     /* of the JSON object, without the rules */
    const struct fake_rules *rules;
    unsigned steps; /* 0: the gateway's schedule */
    int64_t steps_us[FAKE_STEPS_MAX];
    int64_t horizon_us;              /* 0: none */
    unsigned in_flight_max;          /* 0: the gateway's */
    unsigned critical_in_flight_max; /* 0: as above */
    unsigned rate_max;               /* 0: none */
    bool final_404;                  /* a 404 is not retried */
};

/* Draws one, or none. `host` is the name of the endpoint. */
void fake_policy_draw(struct fake_policy *ret_policy, const char *host);
/* An operator changes the rules about answers (fake_rules.h). */
void fake_policy_change_rules(struct fake_policy *policy, const char *host);

#endif
