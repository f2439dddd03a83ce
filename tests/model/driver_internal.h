/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's table of actions (driver_actions.c), and what the actions need from each other:
 * partners' posts (partner.c) and clients' answers (driver_actions.c). */
#ifndef PENSTOCK_TESTS_MODEL_DRIVER_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_DRIVER_INTERNAL_H

#include "driver.h"

#include <stdbool.h>

struct action {
    const char *name;
    unsigned weight;
    bool always; /* every seed uses it */
    bool (*is_possible)(void);
    void (*run)(void);
};

extern const struct action actions[];
extern const unsigned actions_count;
#define ACTIONS_MAX 64

/* Called at the start of a seed. */
void partner_begin(bool history_expires);
void deployment_begin(void);
void actions_begin(void);

/* Called at each start of the gateway: its event ids begin anew. */
void partner_meet_new_gateway(void);

bool partner_can_post(void);
void partner_post(void);

bool deployment_can_answer(void);
void deployment_answer(void);
void deployment_change_mood(void);
void deployment_answer_all_well(void); /* answers 200 to all waiting requests */

/* Removes all faults of the disk, the broker, the endpoints and the policy. */
void actions_mend(void);

#endif
