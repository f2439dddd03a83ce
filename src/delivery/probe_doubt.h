/* SPDX-License-Identifier: Apache-2.0 */
/* The doubt of an endpoint's probes: when a guarded event may be sent as a probe. */
#ifndef PENSTOCK_DELIVERY_PROBE_DOUBT_H
#define PENSTOCK_DELIVERY_PROBE_DOUBT_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint_queue;
struct job;

/* The doubt that the last guarded probe has left. */
struct probe_doubt {
    bool is_open;               /* it has no answer, or none yet */
    int64_t began_mono_us;      /* when it was sent */
    int64_t unguarded_after_id; /* the search for an unguarded event continues behind it */
};

/* A guarded event is sent as a probe. */
void probe_doubt_begin(struct endpoint_queue *queue);
/* The endpoint is back, or has changed. */
void probe_doubt_end(struct endpoint_queue *queue);
/* The attempt has ended, and it is certain how: so would a guarded one that began as late. */
void probe_doubt_note_certain_end(const struct job *job);
/* Returns how long no guarded one may be sent; 0: one may be sent now. */
int64_t probe_doubt_left_us(const struct endpoint_queue *queue);
/* True if a guarded one may be sent only when there is no unguarded one. */
bool probe_doubt_prefers_unguarded(const struct endpoint_queue *queue);

#endif
