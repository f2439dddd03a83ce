/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sink_log {
    _Atomic uint64_t requests;
    pthread_mutex_t lock; /* for all fields below */
    struct run_log *records;
    uint64_t deeds[SINK_DEEDS];
};

enum err sink_log_new(const char *file, struct sink_log **ret_log)
{
    struct sink_log *log = calloc(1, sizeof *log);
    if (!log)
        return ERR_NO_MEMORY;
    enum err result =
        file ? run_log_create(file, SINK_LOG, "", sizeof(struct sink_record), &log->records) : OK;
    if (result) {
        free(log);
        return result;
    }
    pthread_mutex_init(&log->lock, NULL);
    *ret_log = log;
    return OK;
}

void sink_log_received(struct sink_log *log)
{
    atomic_fetch_add_explicit(&log->requests, 1, memory_order_relaxed);
}

void sink_log_hangs(struct sink_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->deeds[SINK_NEVER_ENDED]++;
    pthread_mutex_unlock(&log->lock);
}

void sink_log_ended(struct sink_log *log, const struct sink_record *record, bool counted_before)
{
    pthread_mutex_lock(&log->lock);
    log->deeds[record->deed] += !counted_before;
    if (log->records)
        run_log_write(log->records, record);
    pthread_mutex_unlock(&log->lock);
}

void sink_log_flush(struct sink_log *log)
{
    pthread_mutex_lock(&log->lock);
    if (log->records)
        run_log_flush(log->records);
    pthread_mutex_unlock(&log->lock);
}

void sink_log_count(struct sink_log *log, struct sink_counts *ret_counts)
{
    pthread_mutex_lock(&log->lock);
    memcpy(ret_counts->deeds, log->deeds, sizeof log->deeds);
    pthread_mutex_unlock(&log->lock);
    ret_counts->requests = atomic_load(&log->requests);
}

enum err sink_log_free(struct sink_log *log)
{
    if (!log)
        return OK;
    enum err result = run_log_close(log->records);
    pthread_mutex_destroy(&log->lock);
    free(log);
    return result;
}
