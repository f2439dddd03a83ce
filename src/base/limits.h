/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed limits that several modules share, each with its reason. A limit of one module is at
 * the top of its file. Limits that an operator may set are in config/option_table.h. */
#ifndef PENSTOCK_BASE_LIMITS_H
#define PENSTOCK_BASE_LIMITS_H

/* Events: the contract of the partner API. A body is buffered whole, for up to 100 streams of a
 * connection. */
#define EVENT_BYTES_MAX (64 * 1024)
#define EVENT_KEY_BYTES_MAX 256 /* id and key: printable ASCII */
#define EVENT_TYPE_BYTES_MAX 64
#define EVENT_JSON_DEPTH_MAX 32
#define TYPE_LIST_MAX 32          /* patterns of event types in one list */
#define KEY_POINTER_BYTES_MAX 128 /* a partner's dedupe rule, a JSON pointer (RFC 6901) */
#define BATCH_ITEMS_MAX 1000
#define BATCH_BYTES_MAX (1024 * 1024)
#define AMOUNT_INTEGER_DIGITS_MAX 18
#define AMOUNT_FRACTION_DIGITS_MAX 9
#define AMOUNT_TEXT_BYTES (1 + AMOUNT_INTEGER_DIGITS_MAX + 1 + AMOUNT_FRACTION_DIGITS_MAX + 1)
#define CURRENCY_BYTES 3
#define TRACEPARENT_BYTES_MAX 64 /* W3C trace context, version 00: 55 */
/* The age of a signed request, in both directions. Standard Webhooks leaves the value open; 300 is
 * usual. */
#define WEBHOOK_AGE_S_MAX 300
/* Signatures of one request: one for each secret during a rotation, and spare ones. */
#define WEBHOOK_SIGNATURES_MAX 16
/* Names that operators give: partner and account ids, endpoint names. */
#define NAME_BYTES_MAX 64
#define URL_BYTES_MAX 2048
/* Active secrets during a rotation: the old one, the new one, and two spare ones. */
#define ENDPOINT_SECRETS_MAX 4
#define ENDPOINT_SECRET_BYTES 32
#define PARTNER_SECRETS_MAX 4 /* the same, for partners that sign */
/* The fan-out of one event. It is part of every delivery number (model/placement.h). */
#define ACCOUNT_ENDPOINTS_MAX 16

/* The partition is in the 12 bits rand_a of the event id (UUIDv7). */
#define PARTITIONS_MAX 4096
#define SHARDS_MAX 64
#define INGRESS_THREADS_MAX 64

/* Requests in one transaction of the journal: enough to share the fsync, few enough for quick
 * answers. */
#define JOURNAL_BATCH_REQUESTS_MAX 1024

/* Keys of one segment of the dedupe store. For each of the two retentions, the index takes 8 MB of
 * memory while the segment is open, and 12 MB while it grows. When the segment is full, 5 MB of
 * index and filter are written in one commit (25 ms). A start reads the keys of the newest segments
 * (0.1 s). A look-up costs one cache miss per segment. 2^19 keys fill the filter and the pages of
 * the index exactly. */
#define DEDUPE_SEGMENT_KEYS_MAX 524288
/* Segments whose index in the file is damaged or not written yet, and is in memory (8 MB each).
 * With more of them, look-ups read segments again and again. */
#define DEDUPE_CLOSED_INDEXES_MAX 4

/* Bytes of a failed answer that are kept in the attempt's record, for the operator. */
#define ANSWER_EXCERPT_BYTES_MAX 512
/* Bytes of an answer's body that a success rule or a status probe looks at. */
#define ANSWER_RULE_BYTES_MAX (16 * 1024)
/* The texts of an attempt's evidence, each with its NUL. */
#define EVIDENCE_PEER_BYTES 48 /* "[", 39 of IPv6, "]:65535" */
#define EVIDENCE_TLS_BYTES 16
#define EVIDENCE_HTTP_BYTES 4
#define EVIDENCE_TLS_PROBLEM_BYTES 96
#define EVIDENCE_LOCATION_BYTES 128
#define EVIDENCE_RULE_BYTES 128   /* what a success rule says of an answer */
#define ACTION_NOTE_BYTES_MAX 200 /* why an operator moved a delivery */
#define RETRY_STEPS_MAX 32
#define ADMIN_TOKEN_BYTES_MAX 256 /* of the admin API, in a file */

/* Bytes of one log line (longer lines are cut), and lines that may wait per thread: a very busy
 * second of it. */
#define LOG_LINE_BYTES 512
#define LOG_RING_LINES 1024

#endif
