/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink's record of its requests: one in the run's log for each request when it ends, and counts
 * for people. Thread-safe: one lock, taken once for each request.
 */
#ifndef PENSTOCK_BENCH_SINK_LOG_H
#define PENSTOCK_BENCH_SINK_LOG_H

#include "common/run_log.h"

#define SINK_LOG_FLUSH_MS 200 /* a kill loses at most so much */
#define SINK_DEEDS 4

struct sink_log;

struct sink_counts {
    uint64_t requests; /* also those that have not ended */
    uint64_t deeds[SINK_DEEDS];
};

/* `file` NULL: only counts. ERR_DISK, ERR_NO_MEMORY. */
enum err sink_log_new(const char *file, struct sink_log **ret_log) MUST_CHECK;
void sink_log_received(struct sink_log *log); /* a request has arrived */
/* A request hangs. It counts at once; its record is written when it ends. */
void sink_log_hangs(struct sink_log *log);
void sink_log_ended(struct sink_log *log, const struct sink_record *record, bool counted_before);
void sink_log_flush(struct sink_log *log);
void sink_log_count(struct sink_log *log, struct sink_counts *ret_counts);
/* ERR_DISK when a record was not written; takes NULL. */
enum err sink_log_free(struct sink_log *log) MUST_CHECK;

#endif
