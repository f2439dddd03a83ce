/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option of Penstock. Loading, environment, --help and the sample file all come from this
 * table.
 *
 * X(key, type, field, min, max, default, when, doc)
 *   key      section.name; the environment variable is PENSTOCK_SECTION__NAME
 *            (PENSTOCK_NAME for a key without a section)
 *   type     TEXT, PATH, ADDRESS, INTEGER, BYTES (64MiB), DURATION (500ms, 5s, 2m, 1h, 1d),
 *            BOOLEAN, LEVEL, QUEUE_KIND; lists: DURATIONS, NETWORKS, TYPES (of events),
 *            ADDRESSES (of brokers), ROLES
 *   field    of struct config
 *   min, max of numbers (DURATION in microseconds); of texts the length; of lists the count
 *   default  as the file would have it
 *   when     reload (a SIGHUP is enough) or restart
 */
#ifndef PENSTOCK_CONFIG_OPTION_TABLE_H
#define PENSTOCK_CONFIG_OPTION_TABLE_H

#define OPTION_TABLE(X)                                                                            \
    X("roles", ROLES, roles, 1, 2, "[ingress, delivery]", restart,                                 \
        "What this gateway does: ingress takes events, delivery sends them to clients. Exactly "   \
        "one gateway has both. All other gateways have only ingress. They need a broker "          \
        "(queue.kind: rabbitmq) and leader.url.")                                                  \
    X("data.directory", PATH, data_directory, 1, 4000, "/var/lib/penstock", restart,               \
        "The directory of all durable data: installation, keys, account database, journals.")      \
    X("data.partitions", INTEGER, partitions, 1, 4096, "16", restart,                              \
        "Number of parts into which accounts are divided. It cannot be changed later.")            \
    X("data.shards", INTEGER, shards, 0, 64, "0", restart,                                         \
        "Number of journals; each has its own threads. 0: one per core, at most the number of "    \
        "partitions. It cannot be changed later.")                                                 \
    X("data.bytes_in_flight_max", BYTES, bytes_in_flight_max, 16777216, 1099511627776, "64MiB",    \
        restart,                                                                                   \
        "Memory for events that are being stored or sent. When it is full, partners get 503.")     \
    X("data.reserve", BYTES, reserve_bytes, 0, 1099511627776, "64MiB", restart,                    \
        "Disk space that is kept free to record deliveries, at least 16 MiB for each shard. If "   \
        "less than four times this space is free, optional events are rejected. If less than "     \
        "twice this space is free, important events are rejected as well. If the disk is full, "   \
        "all events are rejected. 0: no space is kept free.")                                      \
    X("retention.bodies", DURATION, retention_bodies_us, 0, 315360000000000, "7d", restart,        \
        "How long the bodies of delivered and discarded events are kept. 0s: forever.")            \
    X("retention.history", DURATION, retention_history_us, 0, 315360000000000, "90d", restart,     \
        "How long each delivered or discarded event is kept. Daily sums are kept longer. 0s: "     \
        "forever.")                                                                                \
    X("queue.kind", QUEUE_KIND, queue_kind, 0, 0, "direct", restart,                               \
        "Where events wait between ingress and delivery. direct: in the journal of this gateway. " \
        "rabbitmq: in the quorum queues of a RabbitMQ cluster, and in the journal while the "      \
        "cluster does not accept them.")                                                           \
    X("broker.addresses", ADDRESSES, broker_addresses, 1, 16, "[127.0.0.1:5672]", restart,         \
        "The nodes of the cluster, each as host:port or as host. The default port is 5672, with "  \
        "TLS 5671. The last node that worked is tried first, then the others in order.")           \
    X("broker.vhost", TEXT, broker_vhost, 1, 255, "/", restart, "The virtual host.")               \
    X("broker.credentials_file", PATH, broker_credentials_file, 0, 4000, "", restart,              \
        "File with user:password in one line, read at each login. Empty: guest:guest.")            \
    X("broker.tls", BOOLEAN, broker_tls, 0, 1, "false", restart,                                   \
        "Use TLS 1.2 or later for connections to the broker.")                                     \
    X("broker.ca_file", PATH, broker_ca_file, 0, 4000, "", restart,                                \
        "CA certificates for checking the broker. Empty: those of the system.")                    \
    X("broker.certificate_file", PATH, broker_certificate_file, 0, 4000, "", restart,              \
        "The client certificate of the gateway, with its chain. Empty: none.")                     \
    X("broker.key_file", PATH, broker_key_file, 0, 4000, "", restart,                              \
        "The key of the client certificate.")                                                      \
    X("broker.heartbeat", DURATION, broker_heartbeat_us, 2000000, 600000000, "10s", restart,       \
        "Interval of heartbeats on a connection. After two intervals without data the connection " \
        "is closed.")                                                                              \
    X("broker.confirm_timeout", DURATION, broker_confirm_timeout_us, 100000, 10000000, "1s",       \
        restart,                                                                                   \
        "How long the broker may take to confirm an event. After that the journal takes the "      \
        "event.")                                                                                  \
    X("broker.lag_max", DURATION, broker_lag_us_max, 0, 5000000, "150ms", restart,                 \
        "If events wait longer than this in the broker, new events of their partition go through " \
        "the journal until the broker has caught up. Only used by the gateway that delivers. 0s: " \
        "no limit.")                                                                               \
    X("broker.window", INTEGER, broker_window, 16, 65536, "4096", restart,                         \
        "The largest number of events that an ingress thread has published and that the broker "   \
        "has not confirmed. Quorum queues are fast with a large window.")                          \
    X("broker.prefetch", INTEGER, broker_prefetch, 1, 65535, "512", restart,                       \
        "The largest number of events of one partition that the broker sends to delivery before "  \
        "delivery acknowledges them.")                                                             \
    X("broker.prefetch_bytes", BYTES, broker_prefetch_bytes, 1048576, 1099511627776, "32MiB",      \
        restart,                                                                                   \
        "The largest total size of the events that the broker has sent to delivery and that "      \
        "delivery has not acknowledged, for all partitions of a shard.")                           \
    X("broker.taps", BOOLEAN, broker_taps, 0, 1, "true", restart,                                  \
        "When delivery takes an event, publish a copy of it to the topic exchange "                \
        "penstock.events.")                                                                        \
    X("intake.partner", TEXT, intake_partner, 0, 64, "", restart,                                  \
        "Accept messages from the queue penstock.intake, as if this partner had posted them. "     \
        "Empty: off.")                                                                             \
    X("leader.url", TEXT, leader_url, 0, 1024, "", restart,                                        \
        "For a gateway without delivery: the admin listener of the delivering gateway, such as "   \
        "https://leader.example:9640. Partners, accounts and endpoints come from there.")          \
    X("leader.token_file", PATH, leader_token_file, 0, 4000, "", restart,                          \
        "File with a token of the leader's admin API: a copy of its keys/readonly.token.")         \
    X("leader.ca_file", PATH, leader_ca_file, 0, 4000, "", restart,                                \
        "CA certificates for checking the leader. Empty: those of the system.")                    \
    X("ingress.listen", ADDRESS, ingress_listen, 0, 255, "127.0.0.1:8080", restart,                \
        "The listener for partners without TLS: HTTP/1.1 and HTTP/2 in cleartext. The keys of "    \
        "partners travel in it, so listen on other addresses only in a network that you trust. "   \
        "Empty: none.")                                                                            \
    X("ingress.tls_listen", ADDRESS, ingress_tls_listen, 0, 255, "", restart,                      \
        "The listener for partners with TLS 1.2 or 1.3, such as *:8443. Empty: none.")             \
    X("ingress.certificate_file", PATH, ingress_certificate_file, 0, 4000, "", reload,             \
        "The certificate of ingress.tls_listen with its chain, in PEM form. Several files with "   \
        "commas between them: the name that the client asks for selects one, and the first is "    \
        "the default. Files that change are read again within 10 seconds.")                        \
    X("ingress.key_file", PATH, ingress_key_file, 0, 4000, "", reload,                             \
        "The key of the certificate. With several certificates: their keys, in the same order.")   \
    X("ingress.client_ca_file", PATH, ingress_client_ca_file, 0, 4000, "", reload,                 \
        "CA certificates for the certificates of partners. A certificate that another CA has "     \
        "signed is rejected. Whether a partner must have one is set for each partner. Empty: no "  \
        "certificates are asked for.")                                                             \
    X("ingress.threads", INTEGER, ingress_threads, 0, 64, "0", restart,                            \
        "Ingress threads. 0: one per core.")                                                       \
    X("ingress.connections_max", INTEGER, ingress_connections_max, 1, 1000000, "10000", restart,   \
        "The largest number of connections of partners per ingress thread. At this limit, new "    \
        "connections wait.")                                                                       \
    X("ingress.proxies", NETWORKS, ingress_proxies, 0, 64, "[]", restart,                          \
        "The proxies in front of this gateway, such as [10.0.0.0/8]. Only connections from them "  \
        "may say for whom they are: with the header Forwarded (RFC 7239), or with the PROXY "      \
        "protocol.")                                                                               \
    X("ingress.proxy_protocol", BOOLEAN, ingress_proxy_protocol, 0, 1, "false", restart,           \
        "true: each connection from ingress.proxies must begin with a header of the PROXY "        \
        "protocol, version 2. Other connections must not.")                                        \
    X("ingress.address_connections_max", INTEGER, address_connections_max, 0, 1000000, "1000",     \
        reload,                                                                                    \
        "The largest number of open connections of one client address. IPv6 addresses count by "   \
        "/64. An address from which anyone has authenticated within 24 hours has ten times this "  \
        "and the next three limits, because many partners may share it. 0: no limit.")             \
    X("ingress.address_connections_per_second", INTEGER, address_connections_per_s, 0, 1000000,    \
        "100", reload,                                                                             \
        "New connections per second of one client address. Five times as many may come at once. "  \
        "More are closed. 0: no limit.")                                                           \
    X("ingress.address_requests_per_second", INTEGER, address_requests_per_s, 0, 1000000, "50",    \
        reload,                                                                                    \
        "Requests per second of one client address that are refused before the caller is "         \
        "authenticated, such as those to unknown paths. Five times as many may come at once. "     \
        "More are answered with 429, and then the connection is closed. 0: no limit.")             \
    X("ingress.address_failures_max", INTEGER, address_failures_max, 0, 1000000, "100", reload,    \
        "Failed authentications of one client address in 100 seconds. After a tenth of them the "  \
        "answers are delayed by 1 s, after half of them they are 429, and after the last one the " \
        "connection is closed and new ones are refused for a minute. 0: no limit.")                \
    X("ingress.address_exempt", NETWORKS, address_exempt, 0, 64, "[127.0.0.0/8, 0::1/128]",        \
        reload,                                                                                    \
        "Networks whose addresses have no limits: proxies that do not say for whom they speak, "   \
        "and monitoring.")                                                                         \
    X("ingress.partner_events_per_second", INTEGER, partner_events_per_s, 0, 1000000, "0", reload, \
        "How many events each partner may post per second. More are answered with 429 and "        \
        "Retry-After. A partner can have a limit of its own (penstock partner change). 0: no "     \
        "limit.")                                                                                  \
    X("ingress.partner_events_burst", INTEGER, partner_events_burst, 0, 10000000, "0", reload,     \
        "How many events a partner may post at once after a pause. 0: as many as in one second.")  \
    X("ingress.partner_bytes_per_second", BYTES, partner_bytes_per_s, 0, 1099511627776, "0",       \
        reload, "How many bytes of events each partner may post per second. 0: no limit.")         \
    X("ingress.partner_bytes_burst", BYTES, partner_bytes_burst, 0, 1099511627776, "0", reload,    \
        "How many bytes a partner may post at once after a pause. 0: as many as in one second, "   \
        "and at least one full batch (1MiB).")                                                     \
    X("ingress.partner_lookups_per_second", INTEGER, partner_lookups_per_s, 0, 1000000, "100",     \
        reload,                                                                                    \
        "How many events each partner may look up per second (GET /v1/events/{id}). Ten times as " \
        "many may come at once. More are answered with 429 and Retry-After. 0: no limit.")         \
    X("admin.listen", ADDRESS, admin_listen, 1, 255, "127.0.0.1:9640", restart,                    \
        "The listener for operators without TLS: admin API, health, metrics. The commands of "     \
        "penstock use it. It must be on loopback, unless admin.allow_cleartext is true.")          \
    X("admin.tls_listen", ADDRESS, admin_tls_listen, 0, 255, "", restart,                          \
        "The listener for operators with TLS 1.2 or 1.3, such as *:9643. Empty: none.")            \
    X("admin.certificate_file", PATH, admin_certificate_file, 0, 4000, "", reload,                 \
        "The certificate of admin.tls_listen, as for ingress.certificate_file.")                   \
    X("admin.key_file", PATH, admin_key_file, 0, 4000, "", reload,                                 \
        "The key of the certificate. With several certificates: their keys, in the same order.")   \
    X("admin.client_ca_file", PATH, admin_client_ca_file, 0, 4000, "", reload,                     \
        "CA certificates for the certificates of operators. With it, every client of "             \
        "admin.tls_listen needs a certificate that it has signed. Empty: no certificates are "     \
        "asked for.")                                                                              \
    X("admin.allow_cleartext", BOOLEAN, admin_allow_cleartext, 0, 1, "false", restart,             \
        "Allow other addresses than loopback in admin.listen. The admin token travels in it in "   \
        "cleartext.")                                                                              \
    X("admin.hosts", ADDRESSES, admin_hosts, 0, 16, "[]", restart,                                 \
        "Host names that clients may use for the admin listener, such as [gateway.example]. IP "   \
        "addresses, localhost and the names of its certificates are always allowed. Other names "  \
        "are rejected, since a web page could use them to reach the listener through a browser.")  \
    X("admin.token_file", PATH, admin_token_file, 0, 4000, "", restart,                            \
        "File with the bearer token of the admin API, read again at a reload. Empty: "             \
        "keys/admin.token, made at the first start.")                                              \
    X("admin.readonly_token_file", PATH, admin_readonly_token_file, 0, 4000, "", restart,          \
        "File with a second token, which may only read (GET). Followers should use it. Read "      \
        "again at a reload. Empty: keys/readonly.token, made at the first start.")                 \
    X("events.critical_types", TYPES, critical_types, 0, 32, "[lead, purchase, payout]", reload,   \
        "Event types that are critical, or prefixes with *, such as lead.*. Their events need a "  \
        "key, and duplicates are recognized for 90 days. When the gateway is overloaded, they "    \
        "are rejected last.")                                                                      \
    X("events.optional_types", TYPES, optional_types, 0, 32, "[notification, status_update]",      \
        reload,                                                                                    \
        "Event types that are rejected first when the gateway is overloaded or its disk fills "    \
        "up. Types in neither list are important.")                                                \
    X("events.guarded_types", TYPES, guarded_types, 0, 32, "[payout]", reload,                     \
        "Event types that the gateway never sends twice: when it is unknown whether the client "   \
        "received the event, the gateway parks the delivery for an operator. These types are "     \
        "critical as well.")                                                                       \
    X("events.allowed_types", TYPES, allowed_types, 0, 32, "[]", reload,                           \
        "Event types that are accepted; others are rejected with 422. Empty: every type. A type "  \
        "that differs from one of the lists above only by case is always rejected.")               \
    X("delivery.connect_timeout", DURATION, connect_timeout_us, 1000, 60000000, "5s", reload,      \
        "How long a connection may take: DNS, TCP and TLS together. The timeouts, the schedule "   \
        "and in_flight_per_endpoint can be set for single endpoints and classes as well.")         \
    X("delivery.answer_timeout", DURATION, answer_timeout_us, 10000, 600000000, "30s", reload,     \
        "Timeout of one whole request to a client.")                                               \
    X("delivery.guarded_answer_timeout", DURATION, guarded_answer_timeout_us, 10000, 600000000,    \
        "90s", reload,                                                                             \
        "Timeout of one whole request to a client for a guarded event, such as a payout. It is "   \
        "longer because after a timeout it is unknown whether the client processed the payout.")   \
    X("delivery.retry_schedule", DURATIONS, retry_schedule, 1, 32,                                 \
        "[1s, 5s, 15s, 30s, 1m, 2m, 5m, 15m, 30m, 1h, 2h, 5h, 10h, 14h, 20h, 24h]", reload,        \
        "The wait after each failed attempt, up to 20 % shorter or longer. When the attempt "      \
        "after the last wait fails, the delivery is dead. The sum of the waits is the longest "    \
        "time that Penstock tries. An endpoint can have its own schedule and horizon "             \
        "(etc/doc/endpoint-policy.md).")                                                           \
    X("delivery.retry_after_max", DURATION, retry_after_us_max, 0, 2592000000000, "2h", reload,    \
        "The longest delay that a client can request with Retry-After, unless the step of the "    \
        "schedule is longer. It does not make the total retry time longer.")                       \
    X("delivery.in_flight_per_endpoint", INTEGER, in_flight_per_endpoint, 1, 1024, "32", reload,   \
        "The largest number of requests to one endpoint at the same time.")                        \
    X("delivery.in_flight_per_shard", INTEGER, in_flight_per_shard, 1, 16384, "1024", reload,      \
        "The largest number of requests of one shard at the same time.")                           \
    X("delivery.active_per_endpoint", INTEGER, active_per_endpoint, 1, 100000, "512", reload,      \
        "The largest number of deliveries of one endpoint in memory. Others wait in the journal.") \
    X("delivery.allow_networks", NETWORKS, allow_networks, 0, 64, "[]", restart,                   \
        "Private networks that deliveries may go to, such as [10.0.0.0/8].")                       \
    X("delivery.allow_http", BOOLEAN, allow_http, 0, 1, "false", restart,                          \
        "Allow endpoints with plain http:// URLs.")                                                \
    X("delivery.ca_file", PATH, ca_file, 0, 4000, "", restart,                                     \
        "CA certificates for checking endpoints. Empty: those of the system.")                     \
    X("operator_events.backlog_max", INTEGER, backlog_max, 0, 1000000000000, "100000", reload,     \
        "If more deliveries than this are pending or waiting, an operator event says so. 0: no "   \
        "limit.")                                                                                  \
    X("operator_events.past_due_max", DURATION, past_due_us_max, 0, 2592000000000, "15m", reload,  \
        "If the oldest delivery should have been sent longer ago than this, an operator event "    \
        "says so. Those of endpoints that fail count as well. 0s: no limit.")                      \
    X("operator_events.freshness_max", DURATION, freshness_us_max, 0, 86400000000, "15s", reload,  \
        "A delivery is late when it takes longer than this from its acceptance. If more than 1 % " \
        "of the deliveries of a minute are late, an operator event says so "                       \
        "(etc/doc/operator-events.md). "                                                           \
        "Deliveries to endpoints that fail do not count. 0s: none is late.")                       \
    X("shutdown.drain", DURATION, drain_us, 0, 600000000, "15s", reload,                           \
        "After SIGTERM, how long the gateway waits for running requests and deliveries.")          \
    X("log.level", LEVEL, log_level, 0, 0, "info", reload,                                         \
        "The least important messages that are logged: error, warn, info or debug.")               \
    X("process.core_dumps", BOOLEAN, core_dumps, 0, 1, "false", restart,                           \
        "true: a crash may write the memory to a file, and other processes of the same user may "  \
        "read it (debuggers, perf). The memory has secrets and bodies of events.")

#endif
