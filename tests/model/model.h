/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true: a record of what was posted, answered, ordered and sent, and the rules of DESIGN.md's promises
 * about it. It knows nothing of how Penstock works; it sees answers, requests to clients, and the journal's tables.
 *
 *   model.c        posts and keys: P1 and P3, as far as answers tell
 *   model_acts.c   operators' acts, and what they permit
 *   model_look.c   looks at the journal's tables: P1 and P3 on disk, and what may expire
 *   model_ways.c   P2: how a delivery may have come from where it was to where it is
 *   model_money.c  P8: exact decimals, sums, the books
 *   model_send.c   requests to clients: P4 and P5
 *
 * A post:      in flight --> accepted | refused (a duplicate, a conflict, an error)
 *                  '-(crash, or a disk in doubt)--> in doubt --> accepted | refused   the next look after a start, or
 *                                                                                     the next answer about the key
 * An act the same, with `done` for accepted.
 *
 * A delivery is known by its post and its index among the post's deliveries; its endpoint may change (unrouted ones).
 */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_H
#define PENSTOCK_TESTS_MODEL_MODEL_H

#include "base/limits.h"
#include "model/delivery_state.h"
#include "model/event.h"
#include "model/verdict.h"

#define MODEL_POSTS_MAX 4096
#define MODEL_SCOPES_MAX 256
#define MODEL_NO_SCOPE UINT32_MAX /* posted without a key */

/* Billionths of a unit: 18 digits before and 9 after the point. */
typedef __int128 model_money;

enum model_post_state { POST_IN_FLIGHT, POST_IN_DOUBT, POST_ACCEPTED, POST_REFUSED };

struct model_post {
    enum model_post_state state;
    struct event_id id;
    int64_t accepted_us;
    uint32_t scope;
    unsigned account;
    bool guarded;
    bool has_amount;
    model_money amount;
    char currency[CURRENCY_BYTES + 1]; /* "": none */
    struct slice body;                 /* the model's copy */
    unsigned deliveries_count;
    struct model_delivery *deliveries;
    bool promised;             /* a partner has its 200 */
    unsigned long disk_errors; /* told before it was posted */
    bool was_low;              /* the disk, when it was posted */

    /* at the last look */
    bool on_disk, has_body;
    bool expired; /* its time was over, and it has gone */
    int64_t seq;
};

struct model_delivery {
    struct model_post *post;
    unsigned index;

    /* at the last look */
    bool on_disk;
    int64_t id;
    uint64_t endpoint;
    enum delivery_state state;
    enum park_reason reason;
    int64_t generation, attempts, failures;
    unsigned char ordered[DELIVERY_STATES][DELIVERY_STATES]; /* acts on it that this look has found */

    /* requests to its client */
    unsigned sends;
    bool under_way;
    bool worked_off; /* a client has answered 2xx, once at least */
    bool seen_2xx;   /* the gateway has seen that, and has not crashed since */
    bool spent;      /* guarded: its permission to send is used up */
    int64_t ends_seen;
};

/* Of this seed. */
struct model_rules {
    unsigned retry_steps;          /* dead after so many failures and one */
    int64_t bodies_us, history_us; /* how long what is settled is kept; 0: for ever */
};

void model_init(const struct model_rules *rules);

/* Posts. */
struct model_post_parts {
    uint32_t scope; /* the number of its (account, type, key) or MODEL_NO_SCOPE */
    unsigned account;
    bool guarded;
    struct event_id id;
    int64_t accepted_us;
    const char *amount, *currency; /* NULL: none */
    struct slice body;
    unsigned endpoints_count;
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
};
struct model_post *model_posted(const struct model_post_parts *parts);
void model_answered(struct model_post *post, enum err result, const struct event_id *id);
unsigned model_posts_count(void);
unsigned model_in_flight(void);                             /* posts and acts without an answer */
struct model_delivery *model_any_delivery(uint64_t random); /* one that the last look has seen; NULL: there is none */

/* Operators' acts. */
struct model_act *model_ordered(struct model_delivery *delivery, enum delivery_state from, enum delivery_state to);
void model_act_answered(struct model_act *act, enum err result, enum delivery_state state);

/* The gateway's life. `wall_us` is the clock of the journal that was opened, which does not jump. */
void model_journal_opened(int64_t wall_us);
void model_journal_failed(void); /* its file is in doubt */
void model_crashed(void);
void model_stopped(bool recorded_everything); /* in good order; the disk has refused nothing */

/* Looks at the journal, if there is something new; does nothing while it can't be seen. */
void model_look(void);
/* Deliveries that should still move; `ret_text` names some of them. */
unsigned model_unfinished(char *ret_text, size_t size);

/* Requests to clients. */
struct model_send {
    struct slice id, attempt; /* the headers' values */
    const char *url;
    struct slice body;
    bool once;
};
struct model_delivery *model_request_sent(const struct model_send *send);
/* The client has worked it off, or not: nobody but the driver knows yet. */
void model_request_answered(struct model_delivery *delivery, const struct attempt_end *end);
/* The gateway sees the end. */
void model_request_ended(struct model_delivery *delivery, const struct attempt_end *end);

#endif
