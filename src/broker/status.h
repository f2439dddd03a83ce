/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of each link to the broker, for readyz, `penstock status` and operators. Owners of
 * links write it when it changes, never per event. It is text, so it has a lock.
 */
#ifndef PENSTOCK_BROKER_STATUS_H
#define PENSTOCK_BROKER_STATUS_H

#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define BROKER_STATUS_TEXT_BYTES 256

/* BROKER_ROLE_KEEP: whether the queues of a shard keep all messages that the broker confirmed. */
enum broker_role {
    BROKER_ROLE_PUBLISH,
    BROKER_ROLE_CONSUME,
    BROKER_ROLE_TAP,
    BROKER_ROLE_INTAKE,
    BROKER_ROLE_KEEP,
    BROKER_ROLES
};

struct broker_link_status {
    bool known;                          /* a link has this place */
    bool good;                           /* all events can use the broker */
    int64_t since_us;                    /* wall time of the last change of `good` */
    char peer[BROKER_STATUS_TEXT_BYTES]; /* host:port, or empty */
    char why[BROKER_STATUS_TEXT_BYTES];  /* why it is not good */
};

struct broker_status;

struct broker_status *broker_status_new(void);
void broker_status_free(struct broker_status *status); /* takes NULL */

/* Any thread. `number` is that of the ingress thread or shard, below INGRESS_THREADS_MAX. `peer`
 * and `why` are copied. Takes a NULL status. */
void broker_status_set(struct broker_status *status, enum broker_role role, unsigned number,
    bool good, const char *peer, const char *why);
/* Returns false if no link has this place. */
bool broker_status_get(struct broker_status *status, enum broker_role role, unsigned number,
    struct broker_link_status *ret_status);
/*
 * Messages that only the broker has: confirmed, and not consumed. False if it could not be asked
 * within the last BROKER_WAITING_AGE_S_MAX: then the number is unknown.
 */
#define BROKER_WAITING_AGE_S_MAX 10
void broker_status_set_waiting(struct broker_status *status, int64_t messages);
bool broker_status_get_waiting(struct broker_status *status, int64_t *ret_messages);
const char *broker_role_name(enum broker_role role);

#endif
