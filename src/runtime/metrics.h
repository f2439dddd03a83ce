/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms, in one table. Each thread writes relaxed words of its own block,
 * and the reader sums the blocks. So the path of an event has no lock and no shared cache line.
 * Names follow Prometheus: prefix penstock_, base units.
 */
#ifndef PENSTOCK_RUNTIME_METRICS_H
#define PENSTOCK_RUNTIME_METRICS_H

#include "base/buffer.h"

#include <stdint.h>

/* symbol, type (counter or gauge), name, labels, help. Rows of the same name are next to each
 * other, and the first one has the help. */
#define METRIC_TABLE(X)                                                                            \
    X(METRIC_HTTP_CONNECTIONS, gauge, "penstock_ingress_connections", "",                          \
        "Open partner connections")                                                                \
    X(METRIC_HTTP_ACCEPT_FAILURES, counter, "penstock_accept_failures_total", "",                  \
        "Connections that could not be accepted (no file descriptors)")                            \
    X(METRIC_FORWARDED_MALFORMED, counter, "penstock_forwarded_malformed_total", "",               \
        "Requests of proxies whose field Forwarded is malformed")                                  \
    X(METRIC_TLS_FULL, counter, "penstock_tls_handshakes_total", "result=\"full\"",                \
        "Successful TLS handshakes of clients of both listeners")                                  \
    X(METRIC_TLS_RESUMED, counter, "penstock_tls_handshakes_total", "result=\"resumed\"", "")      \
    X(METRIC_TLS_FAILED_TIMEOUT, counter, "penstock_tls_handshake_failures_total",                 \
        "reason=\"timeout\"", "Failed TLS handshakes of clients of both listeners, by reason")     \
    X(METRIC_TLS_FAILED_CLOSED, counter, "penstock_tls_handshake_failures_total",                  \
        "reason=\"closed\"", "")                                                                   \
    X(METRIC_TLS_FAILED_CLEARTEXT, counter, "penstock_tls_handshake_failures_total",               \
        "reason=\"cleartext\"", "")                                                                \
    X(METRIC_TLS_FAILED_VERSION, counter, "penstock_tls_handshake_failures_total",                 \
        "reason=\"version\"", "")                                                                  \
    X(METRIC_TLS_FAILED_CIPHER, counter, "penstock_tls_handshake_failures_total",                  \
        "reason=\"cipher\"", "")                                                                   \
    X(METRIC_TLS_FAILED_ALPN, counter, "penstock_tls_handshake_failures_total", "reason=\"alpn\"", \
        "")                                                                                        \
    X(METRIC_TLS_FAILED_CLIENT_CERTIFICATE, counter, "penstock_tls_handshake_failures_total",      \
        "reason=\"client_certificate\"", "")                                                       \
    X(METRIC_TLS_FAILED_REJECTED, counter, "penstock_tls_handshake_failures_total",                \
        "reason=\"rejected\"", "")                                                                 \
    X(METRIC_TLS_FAILED_MALFORMED, counter, "penstock_tls_handshake_failures_total",               \
        "reason=\"malformed\"", "")                                                                \
    X(METRIC_TLS_EXPIRES_INGRESS, gauge, "penstock_tls_certificate_expires_seconds",               \
        "listener=\"ingress\"",                                                                    \
        "When the first certificate of a listener expires, in seconds since 1970; 0: no TLS")      \
    X(METRIC_TLS_EXPIRES_ADMIN, gauge, "penstock_tls_certificate_expires_seconds",                 \
        "listener=\"admin\"", "")                                                                  \
    X(METRIC_EVENTS_ACCEPTED, counter, "penstock_events_total", "result=\"accepted\"",             \
        "Events posted by partners, by result")                                                    \
    X(METRIC_EVENTS_DUPLICATE, counter, "penstock_events_total", "result=\"duplicate\"", "")       \
    X(METRIC_EVENTS_CONFLICT, counter, "penstock_events_total", "result=\"conflict\"", "")         \
    X(METRIC_EVENTS_REFUSED, counter, "penstock_events_total", "result=\"refused\"", "")           \
    X(METRIC_EVENTS_UNAVAILABLE, counter, "penstock_events_total", "result=\"unavailable\"", "")   \
    X(METRIC_REFUSED_BAD_REQUEST, counter, "penstock_refusals_total", "reason=\"bad-request\"",    \
        "Refused requests, items of batches and connections of partners, by reason")               \
    X(METRIC_REFUSED_MALFORMED_JSON, counter, "penstock_refusals_total",                           \
        "reason=\"malformed-json\"", "")                                                           \
    X(METRIC_REFUSED_UNAUTHENTICATED, counter, "penstock_refusals_total",                          \
        "reason=\"unauthenticated\"", "")                                                          \
    X(METRIC_REFUSED_FORBIDDEN, counter, "penstock_refusals_total", "reason=\"forbidden\"", "")    \
    X(METRIC_REFUSED_NOT_FOUND, counter, "penstock_refusals_total", "reason=\"not-found\"", "")    \
    X(METRIC_REFUSED_METHOD, counter, "penstock_refusals_total", "reason=\"method-not-allowed\"",  \
        "")                                                                                        \
    X(METRIC_REFUSED_TOO_LARGE, counter, "penstock_refusals_total", "reason=\"too-large\"", "")    \
    X(METRIC_REFUSED_MEDIA_TYPE, counter, "penstock_refusals_total", "reason=\"media-type\"", "")  \
    X(METRIC_REFUSED_INVALID, counter, "penstock_refusals_total", "reason=\"invalid\"", "")        \
    X(METRIC_REFUSED_CONFLICT, counter, "penstock_refusals_total", "reason=\"conflict\"", "")      \
    X(METRIC_REFUSED_RATE_LIMITED, counter, "penstock_refusals_total", "reason=\"rate-limited\"",  \
        "")                                                                                        \
    X(METRIC_REFUSED_OVERLOADED, counter, "penstock_refusals_total", "reason=\"overloaded\"", "")  \
    X(METRIC_REFUSED_SWITCHED_OFF, counter, "penstock_refusals_total", "reason=\"switched-off\"",  \
        "")                                                                                        \
    X(METRIC_REFUSED_NO_MEMORY, counter, "penstock_refusals_total", "reason=\"no-memory\"", "")    \
    X(METRIC_REFUSED_TIMEOUT, counter, "penstock_refusals_total", "reason=\"timeout\"", "")        \
    X(METRIC_REFUSED_DISK, counter, "penstock_refusals_total", "reason=\"disk\"", "")              \
    X(METRIC_REFUSED_DISK_FULL, counter, "penstock_refusals_total", "reason=\"disk-full\"", "")    \
    X(METRIC_REFUSED_UNAVAILABLE, counter, "penstock_refusals_total", "reason=\"unavailable\"",    \
        "")                                                                                        \
    X(METRIC_REFUSED_SHUTTING_DOWN, counter, "penstock_refusals_total",                            \
        "reason=\"shutting-down\"", "")                                                            \
    X(METRIC_REFUSED_OTHER, counter, "penstock_refusals_total", "reason=\"other\"", "")            \
    X(METRIC_REFUSED_ADDRESS_CONNECTIONS, counter, "penstock_refusals_total",                      \
        "reason=\"address-connections\"", "")                                                      \
    X(METRIC_REFUSED_ADDRESS_CONNECTION_RATE, counter, "penstock_refusals_total",                  \
        "reason=\"address-connection-rate\"", "")                                                  \
    X(METRIC_REFUSED_ADDRESS_REQUESTS, counter, "penstock_refusals_total",                         \
        "reason=\"address-requests\"", "")                                                         \
    X(METRIC_REFUSED_ADDRESS_FAILURES, counter, "penstock_refusals_total",                         \
        "reason=\"address-failures\"", "")                                                         \
    X(METRIC_REFUSED_HEAD_TOO_LARGE, counter, "penstock_refusals_total",                           \
        "reason=\"head-too-large\"", "")                                                           \
    X(METRIC_REFUSED_UNREAD, counter, "penstock_refusals_total", "reason=\"answer-not-read\"", "") \
    X(METRIC_REFUSED_FLOOD, counter, "penstock_refusals_total", "reason=\"flood\"", "")            \
    X(METRIC_REFUSED_PROXY_HEADER, counter, "penstock_refusals_total", "reason=\"proxy-header\"",  \
        "")                                                                                        \
    X(METRIC_REFUSED_NO_ROOM, counter, "penstock_refusals_total", "reason=\"no-room\"", "")        \
    X(METRIC_REFUSED_DEADLINE, counter, "penstock_refusals_total", "reason=\"deadline\"", "")      \
    X(METRIC_REFUSED_DESCRIPTORS, counter, "penstock_refusals_total", "reason=\"descriptors\"",    \
        "")                                                                                        \
    X(METRIC_REFUSED_KEY_UPDATES, counter, "penstock_refusals_total", "reason=\"key-updates\"",    \
        "")                                                                                        \
    X(METRIC_INGRESS_REFUSING_CRITICAL, gauge, "penstock_ingress_refusing", "class=\"critical\"",  \
        "Ingress threads that reject a class of events because of overload")                       \
    X(METRIC_INGRESS_REFUSING_IMPORTANT, gauge, "penstock_ingress_refusing",                       \
        "class=\"important\"", "")                                                                 \
    X(METRIC_INGRESS_REFUSING_OPTIONAL, gauge, "penstock_ingress_refusing", "class=\"optional\"",  \
        "")                                                                                        \
    X(METRIC_INGRESS_OVERLOADED_MEMORY, gauge, "penstock_ingress_overloaded", "sign=\"memory\"",   \
        "Ingress threads that are overloaded, by sign")                                            \
    X(METRIC_INGRESS_OVERLOADED_TURNS, gauge, "penstock_ingress_overloaded", "sign=\"turns\"", "") \
    X(METRIC_INGRESS_OVERLOADED_ANSWERS, gauge, "penstock_ingress_overloaded", "sign=\"answers\"", \
        "")                                                                                        \
    X(METRIC_HTTP_SILENT_CLOSED, counter, "penstock_http_silent_connections_closed_total", "",     \
        "Idle connections closed to make room for new ones")                                       \
    X(METRIC_HTTP_WAITS, counter, "penstock_http_input_waits_total", "",                           \
        "Times that an HTTP/2 connection was not read, since masses of requests were refused")     \
    X(METRIC_ANSWERS_ORPHANED, counter, "penstock_answers_orphaned_total", "",                     \
        "Answers whose client had disconnected; the events are stored")                            \
    X(METRIC_BYTES_IN_FLIGHT, gauge, "penstock_bytes_in_flight", "",                               \
        "Memory used by events that are not finished")                                             \
    X(METRIC_JOURNAL_COMMITS, counter, "penstock_journal_commits_total", "",                       \
        "Transactions committed")                                                                  \
    X(METRIC_JOURNAL_COMMIT_FAILURES, counter, "penstock_journal_commit_failures_total", "",       \
        "Transactions that failed to commit")                                                      \
    X(METRIC_JOURNAL_FAILED, gauge, "penstock_journals_failed", "",                                \
        "Journals that stopped because their file may be damaged")                                 \
    X(METRIC_JOURNAL_REQUESTS, counter, "penstock_journal_requests_total", "",                     \
        "Requests handled by the journal")                                                         \
    X(METRIC_JOURNAL_CHECKPOINTS, counter, "penstock_journal_checkpoints_total", "",               \
        "Checkpoints of the WAL")                                                                  \
    X(METRIC_JOURNAL_WAL_PAGES, gauge, "penstock_journal_wal_pages", "", "Pages in the WAL files") \
    X(METRIC_JOURNAL_SPACE, gauge, "penstock_journal_space_shortage", "",                          \
        "Free space on the journals' disk, summed over the shards: 0 enough, 1 low, 2 scarce, 3 "  \
        "none")                                                                                    \
    X(METRIC_JOURNALS_REFUSING_CRITICAL, gauge, "penstock_journals_refusing",                      \
        "class=\"critical\"", "Journals that reject a class of events")                            \
    X(METRIC_JOURNALS_REFUSING_IMPORTANT, gauge, "penstock_journals_refusing",                     \
        "class=\"important\"", "")                                                                 \
    X(METRIC_JOURNALS_REFUSING_OPTIONAL, gauge, "penstock_journals_refusing",                      \
        "class=\"optional\"", "")                                                                  \
    X(METRIC_JOURNALS_SHORT_RESERVE, gauge, "penstock_journals_short", "reason=\"reserve\"",       \
        "Journals that reject some or all events, by reason")                                      \
    X(METRIC_JOURNALS_SHORT_FULL, gauge, "penstock_journals_short", "reason=\"full\"", "")         \
    X(METRIC_JOURNALS_SHORT_READ_ONLY, gauge, "penstock_journals_short", "reason=\"read-only\"",   \
        "")                                                                                        \
    X(METRIC_JOURNALS_SHORT_FAILING, gauge, "penstock_journals_short", "reason=\"failing\"", "")   \
    X(METRIC_BACKLOG_PENDING_CRITICAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"pending\",class=\"critical\"",                                                    \
        "Deliveries in the journals that are not final, by state and class")                       \
    X(METRIC_BACKLOG_PENDING_IMPORTANT, gauge, "penstock_backlog_deliveries",                      \
        "state=\"pending\",class=\"important\"", "")                                               \
    X(METRIC_BACKLOG_PENDING_OPTIONAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"pending\",class=\"optional\"", "")                                                \
    X(METRIC_BACKLOG_REPLAYS_CRITICAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"replays\",class=\"critical\"", "")                                                \
    X(METRIC_BACKLOG_REPLAYS_IMPORTANT, gauge, "penstock_backlog_deliveries",                      \
        "state=\"replays\",class=\"important\"", "")                                               \
    X(METRIC_BACKLOG_REPLAYS_OPTIONAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"replays\",class=\"optional\"", "")                                                \
    X(METRIC_BACKLOG_SENDING_CRITICAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"sending\",class=\"critical\"", "")                                                \
    X(METRIC_BACKLOG_SENDING_IMPORTANT, gauge, "penstock_backlog_deliveries",                      \
        "state=\"sending\",class=\"important\"", "")                                               \
    X(METRIC_BACKLOG_SENDING_OPTIONAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"sending\",class=\"optional\"", "")                                                \
    X(METRIC_BACKLOG_WAITING_CRITICAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"waiting\",class=\"critical\"", "")                                                \
    X(METRIC_BACKLOG_WAITING_IMPORTANT, gauge, "penstock_backlog_deliveries",                      \
        "state=\"waiting\",class=\"important\"", "")                                               \
    X(METRIC_BACKLOG_WAITING_OPTIONAL, gauge, "penstock_backlog_deliveries",                       \
        "state=\"waiting\",class=\"optional\"", "")                                                \
    X(METRIC_BACKLOG_PARKED_CRITICAL, gauge, "penstock_backlog_deliveries",                        \
        "state=\"parked\",class=\"critical\"", "")                                                 \
    X(METRIC_BACKLOG_PARKED_IMPORTANT, gauge, "penstock_backlog_deliveries",                       \
        "state=\"parked\",class=\"important\"", "")                                                \
    X(METRIC_BACKLOG_PARKED_OPTIONAL, gauge, "penstock_backlog_deliveries",                        \
        "state=\"parked\",class=\"optional\"", "")                                                 \
    X(METRIC_BACKLOG_DEAD_CRITICAL, gauge, "penstock_backlog_deliveries",                          \
        "state=\"dead\",class=\"critical\"", "")                                                   \
    X(METRIC_BACKLOG_DEAD_IMPORTANT, gauge, "penstock_backlog_deliveries",                         \
        "state=\"dead\",class=\"important\"", "")                                                  \
    X(METRIC_BACKLOG_DEAD_OPTIONAL, gauge, "penstock_backlog_deliveries",                          \
        "state=\"dead\",class=\"optional\"", "")                                                   \
    X(METRIC_OLDEST_PAST_DUE, gauge, "penstock_backlog_oldest_past_due_seconds", "",               \
        "How long ago the oldest unsent delivery was due, looked up every 10 s; -1: unknown")      \
    X(METRIC_DISK_FREE, gauge, "penstock_disk_free_bytes", "",                                     \
        "Free space on the disk of the data directory, looked up every 10 s")                      \
    X(METRIC_JOURNAL_BYTES, gauge, "penstock_journal_bytes", "",                                   \
        "Size of the files of the journals, looked up every 10 s")                                 \
    X(METRIC_BREAKERS_OPEN, gauge, "penstock_breakers_open", "",                                   \
        "Endpoints that fail: their events wait until a probe succeeds")                           \
    X(METRIC_SWITCHES_DELIVERIES, gauge, "penstock_switches_off", "switch=\"deliveries\"",         \
        "Switches that an operator has switched off, by switch")                                   \
    X(METRIC_SWITCHES_RETRIES, gauge, "penstock_switches_off", "switch=\"retries\"", "")           \
    X(METRIC_SWITCHES_INGRESS, gauge, "penstock_switches_off", "switch=\"ingress\"", "")           \
    X(METRIC_SWITCHES_OPTIONAL, gauge, "penstock_switches_off", "switch=\"optional\"", "")         \
    X(METRIC_PROBES, counter, "penstock_probes_total", "",                                         \
        "Events sent to find out whether an endpoint is back")                                     \
    X(METRIC_RECOVERIES, counter, "penstock_recoveries_total", "",                                 \
        "Recoveries of endpoints: what had failed became due at once")                             \
    X(METRIC_ATTEMPTS_DELIVERED, counter, "penstock_attempts_total", "result=\"delivered\"",       \
        "HTTP requests to clients, by result")                                                     \
    X(METRIC_ATTEMPTS_RETRY, counter, "penstock_attempts_total", "result=\"retry\"", "")           \
    X(METRIC_ATTEMPTS_DEAD, counter, "penstock_attempts_total", "result=\"dead\"", "")             \
    X(METRIC_ATTEMPTS_REPLAY_FAILED, counter, "penstock_attempts_total",                           \
        "result=\"replay_failed\"", "")                                                            \
    X(METRIC_ATTEMPTS_PARKED, counter, "penstock_attempts_total", "result=\"parked\"", "")         \
    X(METRIC_SENDS_REPEATED, counter, "penstock_sends_repeated_total", "",                         \
        "Sends repeated at once: a kept-alive connection broke, or HTTP/2 refused the request")    \
    X(METRIC_SHORTAGES, counter, "penstock_delivery_shortages_total", "",                          \
        "Sends delayed because this machine lacks a resource; no attempt was made")                \
    X(METRIC_IN_FLIGHT, gauge, "penstock_deliveries_in_flight", "",                                \
        "HTTP requests to clients in progress")                                                    \
    X(METRIC_ACTIVE, gauge, "penstock_deliveries_active", "", "Deliveries in memory")              \
    X(METRIC_PUBLISHERS_OPEN, gauge, "penstock_broker_publishers_open", "",                        \
        "Publishing connections to the broker that are open and not blocked")                      \
    X(METRIC_PUBLISH_BREAKERS_OPEN, gauge, "penstock_publish_breakers_open", "",                   \
        "Ingress threads that write events to the journal instead of the broker")                  \
    X(METRIC_PARTITIONS_BEHIND, gauge, "penstock_broker_partitions_behind", "",                    \
        "Partitions whose events wait in the broker for longer than broker.lag_max, summed over "  \
        "the ingress threads")                                                                     \
    X(METRIC_PUBLISH_ACKED, counter, "penstock_broker_publishes_total", "result=\"acked\"",        \
        "Events published to the broker, by the broker's answer")                                  \
    X(METRIC_PUBLISH_NACKED, counter, "penstock_broker_publishes_total", "result=\"nacked\"", "")  \
    X(METRIC_PUBLISH_RETURNED, counter, "penstock_broker_publishes_total", "result=\"returned\"",  \
        "")                                                                                        \
    X(METRIC_PUBLISH_LOST, counter, "penstock_broker_publishes_total", "result=\"lost\"", "")      \
    X(METRIC_PUBLISH_LATE, counter, "penstock_broker_publishes_total", "result=\"late\"", "")      \
    X(METRIC_DIRECT, counter, "penstock_broker_direct_total", "",                                  \
        "Events written to the journal because the broker failed or was late")                     \
    X(METRIC_OUTBOX, gauge, "penstock_outbox_events", "",                                          \
        "Events in this gateway's journal that wait for the broker")                               \
    X(METRIC_CHANNELS_CONSUMING, gauge, "penstock_broker_channels_consuming", "",                  \
        "Queues that are being consumed: two of each partition, and a stream in each shard")       \
    X(METRIC_RECEIVED_NEW, counter, "penstock_broker_received_total", "result=\"new\"",            \
        "Messages that the broker delivered, by the verdict of the dedupe store")                  \
    X(METRIC_RECEIVED_AGAIN, counter, "penstock_broker_received_total", "result=\"again\"", "")    \
    X(METRIC_RECEIVED_ALIAS, counter, "penstock_broker_received_total", "result=\"alias\"", "")    \
    X(METRIC_RECEIVED_CONFLICT, counter, "penstock_broker_received_total", "result=\"conflict\"",  \
        "")                                                                                        \
    X(METRIC_RECEIVED_POISON, counter, "penstock_broker_received_total", "result=\"poison\"", "")  \
    X(METRIC_DROPPED, counter, "penstock_broker_dropped_total", "",                                \
        "Messages that a full partition queue dropped, received from the queue of dropped "        \
        "messages")                                                                                \
    X(METRIC_BROKER_WAITING, gauge, "penstock_broker_waiting", "",                                 \
        "Messages in the partitions' queues that are not consumed, at the last check")             \
    X(METRIC_LOST, gauge, "penstock_broker_lost", "",                                              \
        "Events that the broker confirmed and has lost: the audit names them")                     \
    X(METRIC_UNCHECKED, counter, "penstock_broker_unchecked_total", "",                            \
        "Confirmed events whose ids cannot be checked: the broker rejected the ids, or their "     \
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
    X(METRIC_ACCESS_NO_KEY, counter, "penstock_access_refusals_total", "reason=\"no-key\"",        \
        "Requests, and events of batches, rejected with 401 or 403, by reason")                    \
    X(METRIC_ACCESS_UNKNOWN_KEY, counter, "penstock_access_refusals_total",                        \
        "reason=\"unknown-key\"", "")                                                              \
    X(METRIC_ACCESS_EXPIRED_KEY, counter, "penstock_access_refusals_total",                        \
        "reason=\"expired-key\"", "")                                                              \
    X(METRIC_ACCESS_PARTNER, counter, "penstock_access_refusals_total",                            \
        "reason=\"disabled-partner\"", "")                                                         \
    X(METRIC_ACCESS_SIGNATURE, counter, "penstock_access_refusals_total", "reason=\"signature\"",  \
        "")                                                                                        \
    X(METRIC_ACCESS_ADDRESS, counter, "penstock_access_refusals_total", "reason=\"address\"", "")  \
    X(METRIC_ACCESS_CERTIFICATE, counter, "penstock_access_refusals_total",                        \
        "reason=\"certificate\"", "")                                                              \
    X(METRIC_ACCESS_SCOPE, counter, "penstock_access_refusals_total", "reason=\"scope\"", "")      \
    X(METRIC_ACCESS_ACCOUNT, counter, "penstock_access_refusals_total", "reason=\"account\"", "")  \
    X(METRIC_DIRECTORY_AGE, gauge, "penstock_directory_age_seconds", "",                           \
        "On a gateway that follows a leader: time since the accounts last matched the "            \
        "leader's")                                                                                \
    X(METRIC_DIRECTORY_OBJECTS, gauge, "penstock_directory_objects", "",                           \
        "Partners, accounts and endpoints in memory")                                              \
    X(METRIC_ENDPOINTS_DISABLED, gauge, "penstock_endpoints_disabled", "",                         \
        "Endpoints that are disabled: their events are parked")                                    \
    X(METRIC_FRESH_IN_TIME, counter, "penstock_fresh_deliveries_total", "result=\"in_time\"",      \
        "Deliveries at the first attempt to endpoints that do not fail, by "                       \
        "operator_events.freshness_max")                                                           \
    X(METRIC_FRESH_LATE, counter, "penstock_fresh_deliveries_total", "result=\"late\"", "")        \
    X(METRIC_OPERATOR_ENDPOINT_FAILING, counter, "penstock_operator_events_total",                 \
        "kind=\"endpoint.failing\"", "Operator events, by kind")                                   \
    X(METRIC_OPERATOR_ENDPOINT_RECOVERED, counter, "penstock_operator_events_total",               \
        "kind=\"endpoint.recovered\"", "")                                                         \
    X(METRIC_OPERATOR_ENDPOINT_DISABLED, counter, "penstock_operator_events_total",                \
        "kind=\"endpoint.disabled\"", "")                                                          \
    X(METRIC_OPERATOR_ENDPOINT_ENABLED, counter, "penstock_operator_events_total",                 \
        "kind=\"endpoint.enabled\"", "")                                                           \
    X(METRIC_OPERATOR_DELIVERY_DEAD, counter, "penstock_operator_events_total",                    \
        "kind=\"delivery.dead\"", "")                                                              \
    X(METRIC_OPERATOR_DELIVERY_PARKED, counter, "penstock_operator_events_total",                  \
        "kind=\"delivery.parked\"", "")                                                            \
    X(METRIC_OPERATOR_EVENT_CONFLICT, counter, "penstock_operator_events_total",                   \
        "kind=\"event.conflict\"", "")                                                             \
    X(METRIC_OPERATOR_FRESHNESS_LATE, counter, "penstock_operator_events_total",                   \
        "kind=\"freshness.late\"", "")                                                             \
    X(METRIC_OPERATOR_FRESHNESS_WELL, counter, "penstock_operator_events_total",                   \
        "kind=\"freshness.well\"", "")                                                             \
    X(METRIC_OPERATOR_BACKLOG_HIGH, counter, "penstock_operator_events_total",                     \
        "kind=\"backlog.high\"", "")                                                               \
    X(METRIC_OPERATOR_BACKLOG_WELL, counter, "penstock_operator_events_total",                     \
        "kind=\"backlog.well\"", "")                                                               \
    X(METRIC_OPERATOR_DISK_LOW, counter, "penstock_operator_events_total", "kind=\"disk.low\"",    \
        "")                                                                                        \
    X(METRIC_OPERATOR_DISK_WELL, counter, "penstock_operator_events_total", "kind=\"disk.well\"",  \
        "")                                                                                        \
    X(METRIC_OPERATOR_SWITCH_CHANGED, counter, "penstock_operator_events_total",                   \
        "kind=\"switch.changed\"", "")                                                             \
    X(METRIC_OPERATOR_REPLAY_ENDED, counter, "penstock_operator_events_total",                     \
        "kind=\"replay.ended\"", "")                                                               \
    X(METRIC_OPERATOR_EVENTS_STORED, counter, "penstock_operator_events_stored_total", "",         \
        "Operator events that were stored for the endpoints of the account penstock")              \
    X(METRIC_OPERATOR_EVENTS_NOT_STORED, counter, "penstock_operator_events_not_stored_total", "", \
        "Operator events that were not stored: too many at once, or the journal refused them")     \
    X(METRIC_OPERATOR_EVENTS_DROPPED, counter, "penstock_operator_events_dropped_total", "",       \
        "Operator events that were dropped, because too many waited for the thread that handles "  \
        "them")                                                                                    \
    X(METRIC_LOG_DROPPED, counter, "penstock_log_dropped_total", "",                               \
        "Log lines dropped: a ring was full, or a library printed too many lines")

/* symbol, name, help; all in seconds */
#define HISTOGRAM_TABLE(X)                                                               \
    X(HISTOGRAM_ANSWER, "penstock_answer_seconds",                                       \
        "From the last byte of a partner's request to its answer")                       \
    X(HISTOGRAM_TURN, "penstock_ingress_turn_seconds",                                   \
        "Work of an ingress loop between two waits, from its first handler")             \
    X(HISTOGRAM_CONFIRM, "penstock_broker_confirm_seconds",                              \
        "From a publish to the broker's confirm")                                        \
    X(HISTOGRAM_COMMIT, "penstock_journal_commit_seconds", "One commit, with its fsync") \
    X(HISTOGRAM_ATTEMPT, "penstock_attempt_seconds", "One HTTP request to a client")     \
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

/* Add to the calling thread's own block. Gauges take negative amounts. A thread that has not
 * entered counts nothing. */
void metrics_add(enum metric metric, int64_t amount);
void metrics_observe(enum histogram histogram, int64_t value_us);

/* Sums over all threads; any thread. */
int64_t metrics_read(enum metric metric);
void metrics_print(struct buffer *text); /* Prometheus text exposition format 0.0.4 */

#endif
