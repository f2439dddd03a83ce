/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed bounds that several modules share, each with its reason. A bound of one module is at the
 * top of its file. What an operator may set is in config/option_table.h.
 */
#ifndef PENSTOCK_BASE_LIMITS_H
#define PENSTOCK_BASE_LIMITS_H

/* Events. The partner API's contract; a body is buffered whole, times 100 streams of a connection.
 * */
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
#define WEBHOOK_AGE_S_MAX \
    300 /* of a signed request, both ways: Standard Webhooks leaves it to us; others take 300 */
#define WEBHOOK_SIGNATURES_MAX \
    16 /* of one request: one for each secret during a rotation, and many to spare */

/* Names that operators give: partner and account ids, endpoint names. */
#define NAME_BYTES_MAX 64
#define URL_BYTES_MAX 2048
#define ENDPOINT_SECRETS_MAX \
    4 /* active at once during rotation: the old, the new, and two to spare */
#define ENDPOINT_SECRET_BYTES 32
#define PARTNER_SECRETS_MAX 4 /* as above, for partners who sign */
#define ACCOUNT_ENDPOINTS_MAX \
    16 /* fan-out of one event; part of every delivery's number (journal.h) */

/* Partition bits in an event id are rand_a of UUIDv7, 12 bits. */
#define PARTITIONS_MAX 4096
#define SHARDS_MAX 64
#define INGRESS_THREADS_MAX 64

/* One transaction of the journal: enough to make the fsync cheap, small enough for answers to be
 * quick. */
#define JOURNAL_BATCH_REQUESTS_MAX 1024

/* One segment of the dedupe store. Its index takes 8 MB of memory while it is open, and 12 MB while
 * it grows, for each of the two retentions; when the segment is full, 5 MB of index and filter are
 * written in one commit (25 ms); a start reads the keys of the newest segments (a tenth of a second);
 * a look-up costs a cache miss for each segment. 2^19 is what fills the filter, and the pages of the
 * index in the file, exactly. */
#define DEDUPE_SEGMENT_KEYS_MAX 524288
/* Segments whose index in the file is damaged, or not written yet, with one in memory (8 MB). With
 * more, look-ups read segments again and again. */
#define DEDUPE_CLOSED_INDEXES_MAX 4

/* An attempt's record keeps this much of what came back, for the person who looks at why it failed.
 * */
#define ANSWER_EXCERPT_BYTES_MAX 512
#define ACTION_NOTE_BYTES_MAX 200 /* why an operator moved a delivery */
#define RETRY_STEPS_MAX 32
#define ADMIN_TOKEN_BYTES_MAX 256 /* of the admin API, in a file */

/* Bytes of one log line; longer ones are cut. Lines that wait per thread: what an ill-tempered
 * second may say. */
#define LOG_LINE_BYTES 512
#define LOG_RING_LINES 1024

#endif
