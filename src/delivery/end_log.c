/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery/end_log.h"

#include "base/clock.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "model/delivery_id.h"
#include "model/placement.h"
#include "runtime/log.h"

#define LINE_EVERY_US (60 * US_PER_SECOND)

struct names {
    char delivery[DELIVERY_ID_TEXT_BYTES], endpoint[ENDPOINT_ID_TEXT_BYTES];
    char what[CAUSE_TEXT_BYTES];
    const char *cause;
};

static struct names names_of(const struct job *job, const struct attempt *attempt)
{
    struct names names;
    const struct attempt_said said = attempt_said_of(attempt);
    delivery_id_format(
        &job->delivery.event->parts.id, placement_index(job->delivery.id), names.delivery);
    endpoint_id_format(job->queue->endpoint, names.endpoint);
    attempt_cause_describe(&said, names.what);
    names.cause = attempt_cause_code(attempt_cause_of(&said));
    return names;
}

void end_log_dead(const struct job *job, const struct attempt *attempt)
{
    struct endpoint_queue *queue = job->queue;
    int64_t now_us = clock_mono_us();
    if (queue->dead_logged_mono_us != 0 && now_us - queue->dead_logged_mono_us < LINE_EVERY_US) {
        queue->dead_unlogged++;
        return;
    }
    const struct names names = names_of(job, attempt);
    log_warn("a delivery is dead after its last attempt: %s. \"penstock delivery list --state "
             "dead\" shows all account=%.*s endpoint=%s delivery=%s attempt=%u cause=%s "
             "left_out=%u",
        names.what, SLICE_ARGS(job->delivery.event->parts.account), names.endpoint, names.delivery,
        attempt->number, names.cause, queue->dead_unlogged);
    queue->dead_logged_mono_us = now_us;
    queue->dead_unlogged = 0;
}

void end_log_in_doubt(const struct job *job, const struct attempt *attempt)
{
    const struct names names = names_of(job, attempt);
    log_warn("a guarded delivery is in doubt%s: %s account=%.*s endpoint=%s delivery=%s attempt=%u "
             "cause=%s",
        job->delivery.was_delivered ? "" : ", and is parked until it is resolved", names.what,
        SLICE_ARGS(job->delivery.event->parts.account), names.endpoint, names.delivery,
        attempt->number, names.cause);
}
