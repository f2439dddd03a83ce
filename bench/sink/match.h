/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a request is matched to its post, when the target is not Penstock (bench/targets/README.md):
 * by our own key, "<run>-<number>", by the id that the target gave in its answer, or by both. The
 * places are selectors (common/selector.h). The {due_us} of the post may be read too.
 *
 * Without --key and --id requests are those of Penstock: the id is in the header webhook-id, and
 * the key at the begin of the body.
 *
 * A value that is missing or malformed is left empty in the record. The verdict counts a request
 * that matches no event as unknown. One request is one event: of several keys the first one counts.
 */
#ifndef PENSTOCK_BENCH_SINK_MATCH_H
#define PENSTOCK_BENCH_SINK_MATCH_H

#include "common/run_log.h"
#include "common/selector.h"

struct match {
    char run[RUN_NAME_BYTES]; /* not empty, where a key is looked for */
    struct selector key, id, due;
};

/* Returns the value of a header; an empty slice when there is none. */
typedef struct slice match_header(const void *request, const char *name);

static inline bool match_is_set(const struct match *match)
{
    return match->key.kind != SELECTOR_NONE || match->id.kind != SELECTOR_NONE;
}

/* Fills number, event and due_us of a record. */
void match_fill(const struct match *match, match_header *header, const void *request,
    struct slice body, struct sink_record *record);

#endif
