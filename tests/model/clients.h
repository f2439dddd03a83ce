/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the clients behave during an outage (outage.h): each endpoint has a mood, and a mood plans
 * how and when a request ends. A moody endpoint plans nothing: the driver ends its requests.
 */
#ifndef PENSTOCK_TESTS_MODEL_CLIENTS_H
#define PENSTOCK_TESTS_MODEL_CLIENTS_H

#include "client/client.h"
#include "fake_rules.h"

enum client_mood {
    CLIENT_MOODY,
    CLIENT_WELL, /* answers 200 within 50 ms */
    CLIENT_FAILS,
    CLIENT_HANGS, /* until the request times out */
    CLIENT_REFUSES,
    CLIENT_THROTTLES, /* 429 with Retry-After */
    CLIENT_FLAKY,     /* fails every third time */
    CLIENT_REJECTS,   /* 404, or 200 with a body that says no: it works, but refuses the event */
    CLIENT_MOODS
};

/* How a request ends. A status probe that is answered 2xx with a good body is answered with the
 * truth, and with another body by one that says nothing. */
struct client_answer {
    struct attempt_end end;
    int64_t retry_after_us;
    enum fake_body body; /* with a status, if the rules look at the body */
};

struct client_plan {
    int64_t after_us;
    struct client_answer answer;
};

void clients_begin(void); /* called at the start of a seed: all are moody */
void clients_set(unsigned endpoint, enum client_mood mood);
void clients_set_all(enum client_mood mood);
bool clients_are_well(unsigned endpoint);
int64_t clients_changed_us(unsigned endpoint); /* monotonic */
/* Returns false if the driver decides. */
bool clients_plan(const struct client_request *request, struct client_plan *ret_plan);

#endif
