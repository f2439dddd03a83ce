/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which journal owns delivery: an installation has one gateway that delivers. The broker names it
 * (broker/connector.h); this is the gateway's own half: delivery.json in the data directory.
 *
 *   {"journal": "<32 hex digits>", "since_us": <wall time>, "forced": false, "confirmed": true}
 *
 *   journal     made with the file: a copy of the installation on another machine has another one only if the file was
 *               not copied, and a copied data directory is the same journal twice, which nothing can tell apart
 *   since_us    when delivery was owned first, or taken over; the broker knows it in seconds
 *   forced      it was taken over from another journal: guarded events that were accepted before
 *               that may have been sent by that one, and are parked
 *   confirmed   the broker's last answer was that it is ours: then delivery goes on when the
 *               broker is away at a start
 *
 * A take-over is stored, unconfirmed, before the broker is told. One that ends in between is found
 * at the next start: the broker names the old journal or this one, and what was accepted before is
 * parked either way.
 */
#ifndef PENSTOCK_MAIN_OWNERSHIP_H
#define PENSTOCK_MAIN_OWNERSHIP_H

#include "base/buffer.h"
#include "broker/connector.h"

struct ownership {
    const char *directory;
    struct broker_ownership name;
    int64_t since_us;
    bool forced, confirmed;
};

/* Reads delivery.json, or makes it. `directory` must outlive the owner. ERR_DAMAGED,
 * ERR_PERMISSION, ERR_DISK_FULL, ERR_SYSTEM; `complaints` says which. */
enum err ownership_load(
    const char *directory, struct ownership *ret_owner, struct buffer *complaints) MUST_CHECK;

/*
 * At the start of a delivering gateway, by main, before the connector that gets the ownership is
 * made: asks the broker, over a connector of its own, and stores its yes. OK as well when it can't
 * be reached and has said yes before. ERR_NOT_OWNER: another journal owns delivery; with
 * `take_over` it is told that this one does, from now on, and ownership->name is another one.
 * (Without another owner `take_over` changes nothing: it may stand in a service's file.)
 * ERR_UNAVAILABLE: it can't be reached, and did not say yes the last time. ERR_CONFIG and
 * ERR_PERMISSION: it refuses us as we are configured. `complaints` says what to do.
 */
enum err ownership_acquire(struct ownership *ownership, const struct broker_options *broker,
    bool take_over, struct buffer *complaints) MUST_CHECK;

/* Guarded events that were accepted before are to be parked; 0: nothing was taken over. */
int64_t ownership_forced_since_us(const struct ownership *ownership);

#endif
