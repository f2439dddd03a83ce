/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's table of actions (driver_actions.c), and what the actions need from each other:
 * partners' posts (partner.c) and clients' answers (driver_actions.c). */
#ifndef PENSTOCK_TESTS_MODEL_DRIVER_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_DRIVER_INTERNAL_H

#include "driver.h"

#include "sim.h"

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

/* driver.c */
/* Runs one of these coroutines until it waits. */
void driver_resume(struct sim_coroutine *const coroutines[], unsigned count);
/* Runs coroutines until all of them wait for time to pass or for the driver. One of them may crash
 * the gateway. */
void driver_run_dry(void);
/* Removes the faults of the disk, and brings the gateway up. */
void driver_bring_up(void);
int64_t driver_next_us(void); /* when something is due; INT64_MAX: nothing */
/* One step of the broker's side. Returns false if it has nothing to do. */
bool driver_broker_moves(void);

/* Called at the start of a seed. */
void partner_begin(bool history_expires);
void deployment_begin(void);
void actions_begin(void);

/* Called at each start of the gateway: its event ids begin anew. */
void partner_meet_new_gateway(void);

bool partner_can_post(void);
void partner_prefer_guarded(bool prefer); /* most events are guarded, until it is called again */
void partner_post(void);

bool deployment_can_answer(void);
void deployment_answer(void);
void deployment_change_mood(void);
void deployment_answer_all_well(void); /* answers 200 to all waiting requests */

/* Does one of the actions that disturb an outage. */
void actions_disturb(void);
/* An operator changes the rules about answers of an endpoint. */
void actions_change_rules(void);
/* An operator decides about a delivery in doubt, whatever its client would say. */
bool actions_can_decide_doubt(void);
void actions_decide_doubt(void);
/* Removes all faults of the disk, the broker, the endpoints and the policy. */
void actions_mend(void);

#endif
