/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder. */
#ifndef PENSTOCK_INGRESS_INGRESS_INTERNAL_H
#define PENSTOCK_INGRESS_INGRESS_INTERNAL_H

#include "base/list.h"
#include "http/problem.h"
#include "ingress/broker_host.h"
#include "ingress/ingress.h"
#include "model/overload.h"
#include "queue/queue.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"

#define RANDOM_POOL_BYTES 4096 /* one getrandom for 512 event ids */

struct intake;

/* caller.c: who sends a request. Valid until the handler returns. */
struct caller {
    const struct partner *partner;
    const struct credential *credential; /* NULL: a signed post, or a message of the intake queue */
};

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
    struct {
        const struct http_exchange *exchange; /* NULL: none. Only compared */
        uint64_t turn;
        struct caller caller; /* valid in this turn */
    } admitted;               /* the last one */
    struct {
        const struct http_exchange *exchange; /* NULL: none. Only compared */
        uint64_t turn;
        char partner[NAME_BYTES_MAX + 1];
    } turned_away; /* the last one with good credentials that may not post (caller.c) */
    struct overload overload;
    enum overload_level overload_shown[OVERLOAD_SIGNS]; /* in the metrics */
    int64_t ticked_mono_us;
    bool draining;
    bool ended; /* the loop has ended; ingress_free handles the mail that is left */
    int64_t drain_until_mono_us;
};

/* Finds the caller by the Authorization header, and checks the rules of its partner for the
 * connection. ERR_UNAUTHENTICATED, ERR_FORBIDDEN. Does not answer. */
enum err caller_identify(struct ingress *ingress, struct http_exchange *exchange,
    struct caller *ret_caller, struct refusal *ret_refusal) MUST_CHECK;
/* The same, but answers a refusal and returns false. */
bool ingress_authenticate(
    struct ingress *ingress, struct http_exchange *exchange, struct caller *ret_caller);
/* Checks the rules of the partner for the connection alone: its networks and certificates.
 * ERR_FORBIDDEN. */
enum err caller_check_connection(const struct http_exchange *exchange, const struct caller *caller,
    struct refusal *ret_refusal) MUST_CHECK;
/* Whether the caller's key may post such an event. ERR_FORBIDDEN. */
enum err caller_check_scope(const struct caller *caller, struct slice account, struct slice type,
    struct refusal *ret_refusal) MUST_CHECK;

/* The caller has shown good credentials, but may not post from here or at all: the rejection is
 * listed for its partner. Call it before the answer, in the same turn. */
void caller_turn_away(
    struct ingress *ingress, const struct http_exchange *exchange, const struct partner *partner);
/* Returns the partner of the API key of a request whose caller is not identified yet; NULL:
 * none. */
const struct partner *caller_of_key(
    const struct ingress *ingress, const struct http_exchange *exchange);

/* rejected_posts.c: the list of the last rejections of each partner (http/rejections.h). For
 * on_refused of http_options: all refusals pass here. */
void ingress_on_refused(
    struct http_exchange *exchange, const struct http_refused *refused, void *context);

/* request.c: what the headers of a request say. */

/* Returns false if the body has a content-encoding (gzip and others). Does not answer. */
bool media_is_plain(const struct http_exchange *exchange);
/* Compares the media type without parameters; case does not matter. */
bool media_is(const struct http_exchange *exchange, const char *media_type);
bool media_type_is(struct slice content_type, const char *media_type);

/* Of the Idempotency-Key header: quoted, with each character escaped. */
#define GIVEN_KEY_BYTES_MAX (2 * EVENT_KEY_BYTES_MAX + 2)
/*
 * Reads the Idempotency-Key header. The draft's form is a quoted string, and many partners send the
 * bare key: `"k"` and `k` are the same key. Without the header `ret_key` is unchanged. It points
 * into the header or into `storage`.
 */
enum err given_key_parse(struct slice header, char storage[GIVEN_KEY_BYTES_MAX],
    struct slice *ret_key, struct refusal *ret_refusal) MUST_CHECK;

/*
 * admission.c: who sends a request, and what a partner may post, before its body is received. The
 * first three are called when the head is complete, and answer what is refused.
 */
void ingress_admit_event(struct http_exchange *exchange, void *context);
void ingress_admit_batch(struct http_exchange *exchange, void *context);
void ingress_admit_get(struct http_exchange *exchange, void *context);
/* Returns the caller of a request that was admitted. Or answers and returns false: the key was
 * revoked while the body was received. */
bool ingress_admitted(
    struct ingress *ingress, struct http_exchange *exchange, struct caller *ret_caller);

/* Each adds RateLimit and RateLimit-Policy to the answer if the partner has a limit. */
/* Takes one event and the bytes of its body. Or answers 429 and returns false. */
bool ingress_take_event(
    struct ingress *ingress, struct http_exchange *exchange, const struct partner *partner);
/* Takes one event for each item and returns how many were left. If they are fewer, *ret_refusal is
 * for the other items. */
unsigned ingress_take_items(struct ingress *ingress, struct http_exchange *exchange,
    const struct partner *partner, unsigned items, struct refusal *ret_refusal);

/* overload.c */
void ingress_watch_overload(struct ingress *ingress, int64_t now_mono_us); /* from the tick */
void ingress_end_overload(struct ingress *ingress);
/* ERR_OVERLOADED if this thread is too late to take events of this class. */
enum err ingress_check_overload(
    const struct ingress *ingress, enum event_class class, struct refusal *ret_refusal) MUST_CHECK;
/* Makes the refusal of a class. Returns ERR_OVERLOADED. */
enum err ingress_refuse_class(
    enum event_class class, enum overload_sign sign, struct refusal *ret_refusal);

/* switched_off.c: what an operator has switched off (model/switch.h). */
/* ERR_SWITCHED_OFF if posts are off: for all, or for this account (empty: for all only). */
enum err ingress_check_switch(
    const struct ingress *ingress, struct slice account, struct refusal *ret_refusal) MUST_CHECK;
/* The same for a class of events. */
enum err ingress_check_class_switch(const struct ingress *ingress, struct slice account,
    enum event_class class, struct refusal *ret_refusal) MUST_CHECK;
/* Answers a post that is off for all, before its body has arrived, and returns false. */
bool ingress_is_switched_on(struct ingress *ingress, struct http_exchange *exchange);

/* accept.c: makes an event of the bytes that a partner sent, or rejects them. Does not use HTTP. */
struct submission {
    struct caller caller;
    struct slice body;
    bool may_give_key;         /* this way of posting allows an Idempotency-Key header */
    struct slice given_key;    /* used before a key in the body; valid or empty */
    struct slice fallback_key; /* used if there is no other key; valid or empty */
    struct slice traceparent;  /* ignored if it is not valid */
};

/* Fills `append` except its request. The caller owns its event. The errors are those of
 * *ret_refusal. */
enum err ingress_accept(struct ingress *ingress, const struct submission *submission,
    struct journal_append *append, struct refusal *ret_refusal) MUST_CHECK;
/* Gives an accepted entry to the queue. Its on_durable answers. */
void ingress_enqueue(struct ingress *ingress, struct queue_entry *entry);

/*
 * answer.c: a partner that waits for an answer. Kept in order of arrival. After 3 s `on_late` is
 * called and must answer. The event is handled further in any case.
 */
struct awaited {
    struct list in_waiting;
    struct http_exchange *exchange; /* NULL: answered */
    int64_t received_mono_us;
    void (*on_late)(struct awaited *awaited);
};

void awaited_begin(struct awaited *awaited, struct ingress *ingress, struct http_exchange *exchange,
    void (*on_late)(struct awaited *awaited));
/* Returns the exchange, which the caller must answer now, or NULL if it is already answered. */
struct http_exchange *awaited_take_exchange(struct awaited *awaited);
void awaited_end(struct awaited *awaited, struct ingress *ingress);
void awaited_expire(struct ingress *ingress, int64_t now_mono_us);

/* What a partner is answered for one event, and the metrics. */
void result_count_refused(enum err error);
void result_count(enum err result); /* the result of on_durable */
bool result_is_good(enum err result);
/* Prints a good result as a JSON object: `head` ("{\"status\":"), "accepted" or "duplicate", the
 * id, the receipt, and `warnings` (in the form of a problem's `errors`) for a critical event
 * without an amount. */
void result_print(struct ingress *ingress, const struct journal_append *append, enum err result,
    const char *head, struct buffer *json);
/* Makes the refusal for any other result. */
void result_refuse(
    const struct journal_append *append, enum err result, struct refusal *ret_refusal);
#define REFUSED_LATE \
    "The event is not durable yet. Send it again with the same key. It counts only once."

/* post_event.c: posts one event of an authenticated caller. `fallback_key` as in submission. */
void ingress_post_one(struct ingress *ingress, struct http_exchange *exchange,
    const struct caller *caller, struct slice fallback_key);

/* The routes. */
void ingress_post_event(struct http_exchange *exchange, void *context);
void ingress_post_batch(struct http_exchange *exchange, void *context);
void ingress_post_signed(struct http_exchange *exchange, void *context);
/* get_event.c: members of an event that a partner may see. */
void ingress_print_parts(struct buffer *json, struct slice type, struct slice account,
    struct slice key, int64_t accepted_us);
void ingress_print_deliveries(
    struct buffer *json, const struct timeline_delivery *deliveries, size_t count);

void ingress_find_events(struct http_exchange *exchange, void *context);
void ingress_get_event(struct http_exchange *exchange, void *context);
void ingress_get_openapi(struct http_exchange *exchange, void *context);

#endif
