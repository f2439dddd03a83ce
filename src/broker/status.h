/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board on which the owners of links say how they stand with the broker, for readyz, `penstock
 * status` and operators. Written when something changes, never for an event; a lock, since it is
 * text.
 */
#ifndef PENSTOCK_BROKER_STATUS_H
#define PENSTOCK_BROKER_STATUS_H

#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define BROKER_STATUS_TEXT_BYTES 256

/* BROKER_ROLE_KEEP: the queues of a shard, and whether they keep what they have confirmed. */
enum broker_role {
    BROKER_ROLE_PUBLISH,
    BROKER_ROLE_CONSUME,
    BROKER_ROLE_TAP,
    BROKER_ROLE_INTAKE,
    BROKER_ROLE_KEEP,
    BROKER_ROLES
};

struct broker_link_status {
    bool known;                          /* somebody has this place */
    bool good;                           /* everything goes through the broker */
    int64_t since_us;                    /* wall time of the last change of `good` */
    char peer[BROKER_STATUS_TEXT_BYTES]; /* host:port, or empty */
    char why[BROKER_STATUS_TEXT_BYTES];  /* when it is not good */
};

struct broker_status;

enum err broker_status_new(struct broker_status **ret_status) MUST_CHECK;
void broker_status_free(struct broker_status *status); /* takes NULL */

/* Any thread. `number` of the ingress thread or shard; below INGRESS_THREADS_MAX. `peer`, `why` are
 * copied; takes a NULL status. */
void broker_status_set(struct broker_status *status, enum broker_role role, unsigned number,
    bool good, const char *peer, const char *why);
/* False when nobody has this place. */
bool broker_status_get(struct broker_status *status, enum broker_role role, unsigned number,
    struct broker_link_status *ret_status);
/*
 * What only the broker holds: confirmed, and not consumed by anybody. False when it could not be
 * asked for the last BROKER_WAITING_AGE_S_MAX: then nobody knows.
 */
#define BROKER_WAITING_AGE_S_MAX 10
void broker_status_set_waiting(struct broker_status *status, int64_t messages);
bool broker_status_get_waiting(struct broker_status *status, int64_t *ret_messages);
const char *broker_role_name(enum broker_role role);

#endif
