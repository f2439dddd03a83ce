/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms, one table. Each thread writes plain (relaxed) words of its own block; the reader
 * sums the blocks. No lock and no shared cache line on the path of an event. Names are Prometheus's way: prefix
 * penstock_, base units.
 */
#ifndef PENSTOCK_RUNTIME_METRICS_H
#define PENSTOCK_RUNTIME_METRICS_H

#include "base/buffer.h"

#include <stdint.h>

/* symbol, type (counter or gauge), name, labels, help. Rows of one name stand together. */
#define METRIC_TABLE(X)                                                                                              \
    X(METRIC_HTTP_CONNECTIONS, gauge, "penstock_ingress_connections", "", "Open partner connections")                \
    X(METRIC_HTTP_ACCEPT_FAILURES, counter, "penstock_accept_failures_total", "",                                    \
        "Connections that could not be accepted (no file descriptors)")                                              \
    X(METRIC_EVENTS_ACCEPTED, counter, "penstock_events_total", "result=\"accepted\"",                               \
        "Events posted by partners, by what became of the request")                                                  \
    X(METRIC_EVENTS_DUPLICATE, counter, "penstock_events_total", "result=\"duplicate\"", "")                         \
    X(METRIC_EVENTS_CONFLICT, counter, "penstock_events_total", "result=\"conflict\"", "")                           \
    X(METRIC_EVENTS_REFUSED, counter, "penstock_events_total", "result=\"refused\"", "")                             \
    X(METRIC_EVENTS_UNAVAILABLE, counter, "penstock_events_total", "result=\"unavailable\"", "")                     \
    X(METRIC_ANSWERS_ORPHANED, counter, "penstock_answers_orphaned_total", "",                                       \
        "Answers whose client had left before they were ready; the events count all the same")                       \
    X(METRIC_HELD_BYTES, gauge, "penstock_held_bytes", "", "Memory held by events on their way")                     \
    X(METRIC_JOURNAL_COMMITS, counter, "penstock_journal_commits_total", "", "Transactions committed")               \
    X(METRIC_JOURNAL_COMMIT_FAILURES, counter, "penstock_journal_commit_failures_total", "",                         \
        "Transactions that the disk refused")                                                                        \
    X(METRIC_JOURNAL_FAILED, gauge, "penstock_journals_failed", "",                                                  \
        "Journals that take nothing any more since their file is in doubt")                                          \
    X(METRIC_JOURNAL_REQUESTS, counter, "penstock_journal_requests_total", "", "Requests worked off by the journal") \
    X(METRIC_JOURNAL_CHECKPOINTS, counter, "penstock_journal_checkpoints_total", "", "Checkpoints of the WAL")       \
    X(METRIC_JOURNAL_WAL_PAGES, gauge, "penstock_journal_wal_pages", "", "Pages in the WAL files")                   \
    X(METRIC_JOURNAL_SPACE, gauge, "penstock_journal_space_shortage", "",                                            \
        "Room on the journals' disk, summed over the shards: 0 plenty, 1 low, 2 scarce, 3 none for each")            \
    X(METRIC_ATTEMPTS_DELIVERED, counter, "penstock_attempts_total", "result=\"delivered\"",                         \
        "HTTP requests to client deployments, by their end")                                                         \
    X(METRIC_ATTEMPTS_RETRY, counter, "penstock_attempts_total", "result=\"retry\"", "")                             \
    X(METRIC_ATTEMPTS_DEAD, counter, "penstock_attempts_total", "result=\"dead\"", "")                               \
    X(METRIC_ATTEMPTS_PARKED, counter, "penstock_attempts_total", "result=\"parked\"", "")                           \
    X(METRIC_SENDS_REPEATED, counter, "penstock_sends_repeated_total", "",                                           \
        "Requests that libcurl sent again by itself on a new connection")                                            \
    X(METRIC_IN_FLIGHT, gauge, "penstock_deliveries_in_flight", "", "Requests to client deployments under way")      \
    X(METRIC_ACTIVE, gauge, "penstock_deliveries_active", "", "Deliveries in memory")                                \
    X(METRIC_DIRECTORY_OBJECTS, gauge, "penstock_directory_objects", "", "Partners, accounts and endpoints known")   \
    X(METRIC_LOG_DROPPED, counter, "penstock_log_dropped_total", "", "Log lines dropped because a ring was full")

/* symbol, name, help; all in seconds */
#define HISTOGRAM_TABLE(X)                                                                                    \
    X(HISTOGRAM_ANSWER, "penstock_answer_seconds", "From the last byte of a partner's request to its answer") \
    X(HISTOGRAM_COMMIT, "penstock_journal_commit_seconds", "One commit, with its fsync")                      \
    X(HISTOGRAM_ATTEMPT, "penstock_attempt_seconds", "One HTTP request to a client deployment")               \
    X(HISTOGRAM_FRESHNESS, "penstock_freshness_seconds", "From accepted to delivered")

enum metric {
#define X(symbol, type, name, labels, help) symbol,
    METRIC_TABLE(X)
#undef X
        METRIC_COUNT
};

enum histogram {
#define X(symbol, name, help) symbol,
    HISTOGRAM_TABLE(X)
#undef X
        HISTOGRAM_COUNT
};

void metrics_thread_enter(void);
void metrics_thread_leave(void); /* its counts stay */

/* For the calling thread's own block; gauges take negative amounts. Without a block (out of memory) they count nothing.
 */
void metrics_add(enum metric metric, int64_t amount);
void metrics_observe(enum histogram histogram, int64_t value_us);

/* Sums over all threads; any thread. */
int64_t metrics_read(enum metric metric);
void metrics_print(struct buffer *text); /* Prometheus text exposition format 0.0.4 */

#endif
