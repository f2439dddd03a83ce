/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms, one table. Each thread writes plain (relaxed) words of its own
 * block; the reader sums the blocks. No lock and no shared cache line on the path of an event.
 * Names are Prometheus's way: prefix penstock_, base units.
 */
#ifndef PENSTOCK_RUNTIME_METRICS_H
#define PENSTOCK_RUNTIME_METRICS_H

#include "base/buffer.h"

#include <stdint.h>

/* symbol, type (counter or gauge), name, labels, help. Rows of one name stand together. */
#define METRIC_TABLE(X)                                                                            \
    X(METRIC_HTTP_CONNECTIONS, gauge, "penstock_ingress_connections", "",                          \
        "Open partner connections")                                                                \
    X(METRIC_HTTP_ACCEPT_FAILURES, counter, "penstock_accept_failures_total", "",                  \
        "Connections that could not be accepted (no file descriptors)")                            \
    X(METRIC_EVENTS_ACCEPTED, counter, "penstock_events_total", "result=\"accepted\"",             \
        "Events posted by partners, by what became of the request")                                \
    X(METRIC_EVENTS_DUPLICATE, counter, "penstock_events_total", "result=\"duplicate\"", "")       \
    X(METRIC_EVENTS_CONFLICT, counter, "penstock_events_total", "result=\"conflict\"", "")         \
    X(METRIC_EVENTS_REFUSED, counter, "penstock_events_total", "result=\"refused\"", "")           \
    X(METRIC_EVENTS_UNAVAILABLE, counter, "penstock_events_total", "result=\"unavailable\"", "")   \
    X(METRIC_HTTP_SILENT_CLOSED, counter, "penstock_http_silent_connections_closed_total", "",     \
        "Connections without a request that were closed for new ones, since there were too many")  \
    X(METRIC_ANSWERS_ORPHANED, counter, "penstock_answers_orphaned_total", "",                     \
        "Answers whose client had left before they were ready; the events count all the same")     \
    X(METRIC_BYTES_IN_FLIGHT, gauge, "penstock_bytes_in_flight", "",                               \
        "Memory held by events on their way")                                                      \
    X(METRIC_JOURNAL_COMMITS, counter, "penstock_journal_commits_total", "",                       \
        "Transactions committed")                                                                  \
    X(METRIC_JOURNAL_COMMIT_FAILURES, counter, "penstock_journal_commit_failures_total", "",       \
        "Transactions that the disk refused")                                                      \
    X(METRIC_JOURNAL_FAILED, gauge, "penstock_journals_failed", "",                                \
        "Journals that take nothing any more since their file is in doubt")                        \
    X(METRIC_JOURNAL_REQUESTS, counter, "penstock_journal_requests_total", "",                     \
        "Requests worked off by the journal")                                                      \
    X(METRIC_JOURNAL_CHECKPOINTS, counter, "penstock_journal_checkpoints_total", "",               \
        "Checkpoints of the WAL")                                                                  \
    X(METRIC_JOURNAL_WAL_PAGES, gauge, "penstock_journal_wal_pages", "", "Pages in the WAL files") \
    X(METRIC_JOURNAL_SPACE, gauge, "penstock_journal_space_shortage", "",                          \
        "Room on the journals' disk, summed over the shards: 0 plenty, 1 low, 2 scarce, 3 none "   \
        "for each")                                                                                \
    X(METRIC_JOURNALS_REFUSING_CRITICAL, gauge, "penstock_journals_refusing",                      \
        "class=\"critical\"", "Journals that refuse a class of events")                            \
    X(METRIC_JOURNALS_REFUSING_IMPORTANT, gauge, "penstock_journals_refusing",                     \
        "class=\"important\"", "")                                                                 \
    X(METRIC_JOURNALS_REFUSING_OPTIONAL, gauge, "penstock_journals_refusing",                      \
        "class=\"optional\"", "")                                                                  \
    X(METRIC_JOURNALS_SHORT_RESERVE, gauge, "penstock_journals_short", "reason=\"reserve\"",       \
        "Journals that don't take every event, by the reason")                                     \
    X(METRIC_JOURNALS_SHORT_FULL, gauge, "penstock_journals_short", "reason=\"full\"", "")         \
    X(METRIC_JOURNALS_SHORT_READ_ONLY, gauge, "penstock_journals_short", "reason=\"read-only\"",   \
        "")                                                                                        \
    X(METRIC_JOURNALS_SHORT_FAILING, gauge, "penstock_journals_short", "reason=\"failing\"", "")   \
    X(METRIC_ATTEMPTS_DELIVERED, counter, "penstock_attempts_total", "result=\"delivered\"",       \
        "HTTP requests to client deployments, by their end")                                       \
    X(METRIC_ATTEMPTS_RETRY, counter, "penstock_attempts_total", "result=\"retry\"", "")           \
    X(METRIC_ATTEMPTS_DEAD, counter, "penstock_attempts_total", "result=\"dead\"", "")             \
    X(METRIC_ATTEMPTS_REPLAY_FAILED, counter, "penstock_attempts_total",                           \
        "result=\"replay_failed\"", "")                                                            \
    X(METRIC_ATTEMPTS_PARKED, counter, "penstock_attempts_total", "result=\"parked\"", "")         \
    X(METRIC_SENDS_REPEATED, counter, "penstock_sends_repeated_total", "",                         \
        "Attempts made again at once on a new connection, since a kept one broke before an "       \
        "answer")                                                                                  \
    X(METRIC_SHORTAGES, counter, "penstock_delivery_shortages_total", "",                          \
        "Sends put off since this machine was short of something of its own; no attempt was made") \
    X(METRIC_IN_FLIGHT, gauge, "penstock_deliveries_in_flight", "",                                \
        "Requests to client deployments under way")                                                \
    X(METRIC_ACTIVE, gauge, "penstock_deliveries_active", "", "Deliveries in memory")              \
    X(METRIC_PUBLISHERS_OPEN, gauge, "penstock_broker_publishers_open", "",                        \
        "Publishing connections to the broker that are open and not blocked")                      \
    X(METRIC_PUBLISH_BREAKERS_OPEN, gauge, "penstock_publish_breakers_open", "",                   \
        "Ingress threads whose events take the direct path, through the journal, for now")         \
    X(METRIC_PARTITIONS_BEHIND, gauge, "penstock_broker_partitions_behind", "",                    \
        "Partitions whose events wait in the broker for longer than broker.lag_max, summed over "  \
        "the ingress threads")                                                                     \
    X(METRIC_PUBLISH_ACKED, counter, "penstock_broker_publishes_total", "result=\"acked\"",        \
        "Events published to the broker, by what it said")                                         \
    X(METRIC_PUBLISH_NACKED, counter, "penstock_broker_publishes_total", "result=\"nacked\"", "")  \
    X(METRIC_PUBLISH_RETURNED, counter, "penstock_broker_publishes_total", "result=\"returned\"",  \
        "")                                                                                        \
    X(METRIC_PUBLISH_LOST, counter, "penstock_broker_publishes_total", "result=\"lost\"", "")      \
    X(METRIC_PUBLISH_LATE, counter, "penstock_broker_publishes_total", "result=\"late\"", "")      \
    X(METRIC_DIRECT, counter, "penstock_broker_direct_total", "",                                  \
        "Events that the journal took because the broker could not, or not in time")               \
    X(METRIC_OUTBOX, gauge, "penstock_outbox_events", "",                                          \
        "Events that wait in this gateway's journal for the broker")                               \
    X(METRIC_CHANNELS_CONSUMING, gauge, "penstock_broker_channels_consuming", "",                  \
        "Queues that are being consumed: two of each partition, and a stream in each shard")       \
    X(METRIC_RECEIVED_NEW, counter, "penstock_broker_received_total", "result=\"new\"",            \
        "Messages that the broker delivered, by what the dedupe store said")                       \
    X(METRIC_RECEIVED_AGAIN, counter, "penstock_broker_received_total", "result=\"again\"", "")    \
    X(METRIC_RECEIVED_ALIAS, counter, "penstock_broker_received_total", "result=\"alias\"", "")    \
    X(METRIC_RECEIVED_CONFLICT, counter, "penstock_broker_received_total", "result=\"conflict\"",  \
        "")                                                                                        \
    X(METRIC_RECEIVED_POISON, counter, "penstock_broker_received_total", "result=\"poison\"", "")  \
    X(METRIC_DROPPED, counter, "penstock_broker_dropped_total", "",                                \
        "Messages that the broker would have dropped from a partition's queue, and that came "     \
        "back by its queue of "                                                                    \
        "dropped messages")                                                                        \
    X(METRIC_BROKER_WAITING, gauge, "penstock_broker_waiting", "",                                 \
        "Messages in the partitions' queues that nobody has consumed, when it was last asked: "    \
        "only the broker holds "                                                                   \
        "them")                                                                                    \
    X(METRIC_LOST, gauge, "penstock_broker_lost", "",                                              \
        "Events that the broker confirmed and does not have any more: the audit names them")       \
    X(METRIC_UNCHECKED, counter, "penstock_broker_unchecked_total", "",                            \
        "Times that ids of confirmed events can't be checked: not taken by the broker, or their "  \
        "stream was deleted")                                                                      \
    X(METRIC_UNACKED, gauge, "penstock_broker_unacked", "", "Messages consumed and not acked yet") \
    X(METRIC_RECEIVING, gauge, "penstock_broker_receiving", "",                                    \
        "Messages consumed and not in the journal yet")                                            \
    X(METRIC_ADOPTED, counter, "penstock_broker_adopted_total", "",                                \
        "Events that the journal took over from the broker before they were delivered")            \
    X(METRIC_SUSPENDED, gauge, "penstock_broker_suspended", "",                                    \
        "Events that wait for the broker to deliver them again")                                   \
    X(METRIC_TAPS_SENT, counter, "penstock_taps_total", "result=\"sent\"",                         \
        "Copies of events for taps")                                                               \
    X(METRIC_TAPS_DROPPED, counter, "penstock_taps_total", "result=\"dropped\"", "")               \
    X(METRIC_INTAKE_ACCEPTED, counter, "penstock_intake_total", "result=\"accepted\"",             \
        "Messages of the intake queue")                                                            \
    X(METRIC_INTAKE_REFUSED, counter, "penstock_intake_total", "result=\"refused\"", "")           \
    X(METRIC_DIRECTORY_AGE, gauge, "penstock_directory_age_seconds", "",                           \
        "On a gateway that follows a leader: since the accounts were last known to be the "        \
        "leader's")                                                                                \
    X(METRIC_DIRECTORY_OBJECTS, gauge, "penstock_directory_objects", "",                           \
        "Partners, accounts and endpoints known")                                                  \
    X(METRIC_LOG_DROPPED, counter, "penstock_log_dropped_total", "",                               \
        "Log lines dropped: a ring was full, or a library printed a lot")

/* symbol, name, help; all in seconds */
#define HISTOGRAM_TABLE(X)                                                                      \
    X(HISTOGRAM_ANSWER, "penstock_answer_seconds",                                              \
        "From the last byte of a partner's request to its answer")                              \
    X(HISTOGRAM_TURN, "penstock_ingress_turn_seconds",                                          \
        "What an ingress loop did between two waits, from its first handler on")                \
    X(HISTOGRAM_CONFIRM, "penstock_broker_confirm_seconds",                                     \
        "From a publish to the broker's confirm")                                               \
    X(HISTOGRAM_COMMIT, "penstock_journal_commit_seconds", "One commit, with its fsync")        \
    X(HISTOGRAM_ATTEMPT, "penstock_attempt_seconds", "One HTTP request to a client deployment") \
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

/* For the calling thread's own block; gauges take negative amounts. Without a block (out of memory)
 * they count nothing. / */
void metrics_add(enum metric metric, int64_t amount);
void metrics_observe(enum histogram histogram, int64_t value_us);

/* Sums over all threads; any thread. */
int64_t metrics_read(enum metric metric);
void metrics_print(struct buffer *text); /* Prometheus text exposition format 0.0.4 */

#endif
