/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/status.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(INGRESS_THREADS_MAX >= SHARDS_MAX, "one bound for both");

struct broker_status {
    pthread_mutex_t lock;
    int64_t waiting, waiting_mono_us; /* the second 0: never asked */
    struct broker_link_status standings[BROKER_ROLES][INGRESS_THREADS_MAX];
};

struct broker_status *broker_status_new(void)
{
    struct broker_status *status = memory_new(sizeof *status);
    pthread_mutex_init(&status->lock, NULL);
    return status;
}

void broker_status_free(struct broker_status *status)
{
    if (!status)
        return;
    pthread_mutex_destroy(&status->lock);
    free(status);
}

void broker_status_set(struct broker_status *status, enum broker_role role, unsigned number,
    bool good, const char *peer, const char *why)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    struct broker_link_status *link_status = &status->standings[role][number];
    if (!link_status->known || link_status->good != good)
        link_status->since_us = clock_wall_us();
    link_status->known = true;
    link_status->good = good;
    snprintf(link_status->peer, sizeof link_status->peer, "%s", peer ? peer : "");
    snprintf(link_status->why, sizeof link_status->why, "%s", why && !good ? why : "");
    pthread_mutex_unlock(&status->lock);
}

bool broker_status_get(struct broker_status *status, enum broker_role role, unsigned number,
    struct broker_link_status *ret_status)
{
    pthread_mutex_lock(&status->lock);
    *ret_status = status->standings[role][number];
    pthread_mutex_unlock(&status->lock);
    return ret_status->known;
}

void broker_status_set_waiting(struct broker_status *status, int64_t messages)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    metrics_add(METRIC_BROKER_WAITING, messages - status->waiting);
    status->waiting = messages;
    status->waiting_mono_us = clock_mono_us();
    pthread_mutex_unlock(&status->lock);
}

bool broker_status_get_waiting(struct broker_status *status, int64_t *ret_messages)
{
    pthread_mutex_lock(&status->lock);
    *ret_messages = status->waiting;
    bool known = status->waiting_mono_us && clock_mono_us() - status->waiting_mono_us <
                                                BROKER_WAITING_AGE_S_MAX * US_PER_SECOND;
    pthread_mutex_unlock(&status->lock);
    return known;
}

const char *broker_role_name(enum broker_role role)
{
    static const char *const names[BROKER_ROLES] = {"publish", "consume", "tap", "intake", "keep"};
    return (unsigned)role < BROKER_ROLES ? names[role] : "unknown";
}
