/* SPDX-License-Identifier: Apache-2.0 */
/* The actions (operator_actions.c: outside; partner.c: posts; deployment.c: answers), and the
 * driver that draws them. / */
#ifndef PENSTOCK_TESTS_MODEL_DRIVER_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_DRIVER_INTERNAL_H

#include "driver.h"

#include <stdbool.h>

struct action {
    const char *name;
    unsigned weight;
    bool always; /* part of every seed */
    bool (*is_possible)(void);
    void (*run)(void);
};

extern const struct action actions[];
extern const unsigned actions_count;
#define ACTIONS_MAX 64

/* For a new seed. */
void partner_begin(bool history_expires);
void deployment_begin(void);
void acts_begin(void);

/* Once for each start of the gateway: its ids begin anew. */
void partner_meet_new_gateway(void);

bool partner_can_post(void);
void partner_post(void);

bool deployment_can_answer(void);
void deployment_answer(void);
void deployment_change_mood(void);
void deployment_answer_all_well(void); /* 200 to everything that waits */

/* All faults are over: the disk, the endpoints, the policy. */
void acts_mend(void);

#endif
