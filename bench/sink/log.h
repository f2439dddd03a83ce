/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink's account of its requests: one record in the run's log for each, when its end is known,
 * and counts for people. Thread-safe: one lock, taken once a request.
 */
#ifndef PENSTOCK_BENCH_SINK_LOG_H
#define PENSTOCK_BENCH_SINK_LOG_H

#include "common/run_log.h"

#define SINK_LOG_FLUSH_MS 200 /* what a kill may cost */
#define SINK_DEEDS 4

struct sink_log;

struct sink_counts {
    uint64_t requests; /* those that wait included */
    uint64_t deeds[SINK_DEEDS];
};

/* `file` NULL: counts only. ERR_DISK, ERR_NO_MEMORY. */
enum err sink_log_new(const char *file, struct sink_log **ret_log) MUST_CHECK;
void sink_log_received(struct sink_log *log); /* a request has come */
/* One that hangs counts at once; its record follows when it is over. */
void sink_log_hangs(struct sink_log *log);
void sink_log_ended(struct sink_log *log, const struct sink_record *record, bool counted_before);
void sink_log_flush(struct sink_log *log);
void sink_log_count(struct sink_log *log, struct sink_counts *ret_counts);
enum err sink_log_free(
    struct sink_log *log) MUST_CHECK; /* ERR_DISK when anything was not written; takes NULL */

#endif
