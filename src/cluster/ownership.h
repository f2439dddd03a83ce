/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which journal owns delivery. One gateway of an installation delivers. The broker stores the name
 * of its journal (broker/connector.h); the gateway stores its own half in delivery.json of the data
 * directory:
 *
 *   {"journal": "<32 hex digits>", "since_us": <wall time>, "forced": false, "confirmed": true}
 *
 *   journal     random, made with the file. A copy of the data directory has the same one: two
 *               gateways on such copies cannot be distinguished
 *   since_us    when this journal first owned delivery, or took it over; the broker has seconds
 *   forced      delivery was taken over from another journal, which may have sent guarded events
 *               that were accepted before: they are parked
 *   confirmed   the last answer of the broker was that this journal owns delivery: a later start
 *               does not need the broker
 *
 * A take-over is stored, not confirmed, before the request to the broker. After a crash in between,
 * the next start gets the old journal or this one from the broker; events that were accepted before
 * are parked in both cases.
 */
#ifndef PENSTOCK_CLUSTER_OWNERSHIP_H
#define PENSTOCK_CLUSTER_OWNERSHIP_H

#include "base/buffer.h"
#include "broker/connector.h"

struct ownership {
    const char *directory;
    struct broker_ownership name;
    int64_t since_us;
    bool forced, confirmed;
};

/* Reads delivery.json, or makes it. `directory` must outlive the ownership. ERR_DAMAGED,
 * ERR_PERMISSION, ERR_DISK_FULL, ERR_SYSTEM; `complaints` gets the reason. */
enum err ownership_load(
    const char *directory, struct ownership *ret_owner, struct buffer *complaints) MUST_CHECK;

/*
 * Asks the broker, over a connector of its own, whether this journal owns delivery, and stores the
 * answer. For main at the start of a delivering gateway, before the connector that gets the
 * ownership is made.
 *
 * OK: this journal owns delivery. Also OK when the broker does not answer and its last answer was
 * yes. ERR_NOT_OWNER: another journal owns it. With `take_over` the broker gets this journal as the
 * new owner instead, and ownership->name changes. Without another owner `take_over` has no effect,
 * so it may stay in the file of a service. ERR_UNAVAILABLE: the broker does not answer, and its
 * last answer was not yes. ERR_CONFIG, ERR_PERMISSION: the broker rejects the configuration.
 * `complaints` gets the reason and the remedy.
 */
enum err ownership_acquire(struct ownership *ownership, const struct broker_options *broker,
    bool take_over, struct buffer *complaints) MUST_CHECK;

/* Guarded events that were accepted before this time are to be parked. 0: nothing was taken
 * over. */
int64_t ownership_forced_since_us(const struct ownership *ownership);

#endif
