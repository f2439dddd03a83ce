/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef PENSTOCK_INGRESS_INGRESS_INTERNAL_H
#define PENSTOCK_INGRESS_INGRESS_INTERNAL_H

#include "base/list.h"
#include "http/problem.h"
#include "ingress/broker_host.h"
#include "ingress/ingress.h"
#include "queue/queue.h"
#include "runtime/thread.h"

#define RANDOM_POOL_BYTES 4096 /* one getrandom for 512 event ids */

struct intake;

struct ingress {
    /* immutable after init */
    struct ingress_options options;
    struct thread thread;
    struct mailbox mailbox;

    /* owned by the ingress thread */
    struct http_server *server;
    struct queue *queue;
    struct ingress_host publish_host; /* with a connector */
    struct intake *intake;            /* NULL: none */
    struct hmac *receipt_mac;
    struct class_rules class_rules;
    struct event_id_generator ids;
    unsigned char random_pool[RANDOM_POOL_BYTES];
    size_t random_used;
    struct list waiting; /* of struct awaited, in order of arrival */
    bool draining;
    bool
        ended; /* its loop runs no more; what its mailbox holds is worked off by whoever frees it */
    int64_t drain_until_mono_us;
};

/* authenticate.c: the partner behind the Authorization header, or NULL after a 401 was answered.
 * Valid until the handler returns. */
const struct partner *ingress_authenticate(struct ingress *ingress, struct http_exchange *exchange);

/* media.c: what a body is. False, and nothing answered, when it is encoded (gzip and the like). */
bool media_is_plain(const struct http_exchange *exchange);
/* "application/json", whatever its parameters and case. */
bool media_is(const struct http_exchange *exchange, const char *media_type);
bool media_type_is(struct slice content_type, const char *media_type);

/*
 * awaited.c: a partner who waits for an answer, in order of arrival. One who has waited for 3 s is
 * answered by `on_late`, which takes the exchange; what he sent goes on without him.
 */
struct awaited {
    struct list in_waiting;
    struct http_exchange *exchange; /* NULL: answered */
    int64_t received_mono_us;
    void (*on_late)(struct awaited *awaited);
};

void awaited_begin(struct awaited *awaited, struct ingress *ingress, struct http_exchange *exchange,
    void (*on_late)(struct awaited *awaited));
/* The exchange, for its answer now, which the caller gives; NULL when that was given before. */
struct http_exchange *awaited_take_exchange(struct awaited *awaited);
void awaited_end(struct awaited *awaited);
void awaited_expire(struct ingress *ingress, int64_t now_mono_us);

/* accept.c: from the bytes that a partner sent to an event on its way, or a refusal. Knows nothing
 * of HTTP. */
struct submission {
    const struct partner *partner;
    struct slice body;
    struct slice given_key;    /* goes before all that the body says; valid or empty */
    struct slice fallback_key; /* when nothing else gives one; valid or empty */
    struct slice traceparent;  /* taken if it is one */
};

/* Fills `append` but for its request; the caller then owns its event. The errors are those of
 * *ret_refusal. */
enum err ingress_accept(struct ingress *ingress, const struct submission *submission,
    struct journal_append *append, struct refusal *ret_refusal) MUST_CHECK;
/* Hands an accepted entry to the queue; its on_durable answers. */
void ingress_enqueue(struct ingress *ingress, struct queue_entry *entry);

/*
 * given_key.c: the Idempotency-Key header. The draft's form is a quoted string, many partners send
 * the bare key: `"k"` and `k` are one key. `ret_key` stays empty without the header; it points into
 * the header, or into `storage`.
 */
#define GIVEN_KEY_BYTES_MAX \
    (2 * EVENT_KEY_BYTES_MAX + 2) /* of the header: quoted, each character escaped */
enum err given_key_parse(struct slice header, char storage[GIVEN_KEY_BYTES_MAX],
    struct slice *ret_key, struct refusal *ret_refusal) MUST_CHECK;

/* result.c: what a partner is told, and the metrics count, of one event. */
void result_count_refused(enum err error);
void result_count(enum err result); /* of on_durable */
bool result_is_good(enum err result);
/* A good one as a JSON object: `head` ("{\"status\":") and behind it "accepted" or "duplicate", the
 * id, the receipt, and `warnings` (as a problem's `errors`) when it is a conversion without an
 * amount. */
void result_print(struct ingress *ingress, const struct journal_append *append, enum err result,
    const char *head, struct buffer *json);
/* Any other. */
void result_refuse(
    const struct journal_append *append, enum err result, struct refusal *ret_refusal);
#define REFUSED_LATE                                                                           \
    "The event is not known to be durable yet. Send it again with the same id: it will count " \
    "once."

/* One event of a partner whose credentials were good; `fallback_key` as in struct submission. */
void ingress_post_one(struct ingress *ingress, struct http_exchange *exchange,
    const struct partner *partner, struct slice fallback_key);

/* The routes. */
void ingress_post_event(struct http_exchange *exchange, void *context);
void ingress_post_batch(struct http_exchange *exchange, void *context);
void ingress_post_signed(struct http_exchange *exchange, void *context);
void ingress_get_event(struct http_exchange *exchange, void *context);

#endif
