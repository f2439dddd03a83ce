/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceilings: what this machine can do at best. The gateway's figures are shown as a ratio to
 * them. Each kind is the bare h2o server (common/server.h) plus one cost of durability:
 *
 *   echo     none: the answer is the request's body
 *   commit   a group commit with one SQLite row for each request (commit.c)
 *   publish  a confirmed publish to a durable quorum queue (publish.c)
 *   consume  publish, and a consumer that keeps the queue nearly empty (consume.c)
 *
 *   drain    not a ceiling: only the consumer, for a run where another program publishes (drain.c)
 *
 * A request that cannot be answered at once is held (held.c). Loops share nothing. Each has its own
 * counts, and main adds them up when the loops have ended.
 */
#ifndef PENSTOCK_BENCH_CEILING_H
#define PENSTOCK_BENCH_CEILING_H

#include "base/list.h"
#include "common/server.h"
#include "runtime/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>

#define BODY_BYTES_MAX 65536 /* the gateway's limit */

/* As long as the gateway's answer to an accepted event. */
extern const char ceiling_accepted[];
#define CEILING_ACCEPTED_BYTES 134

struct ceiling_options {
    unsigned port, threads;
    const char *ready_file, *certificate_file, *key_file;
    /* commit */
    const char *data;
    unsigned writers;
    /* publish, consume, drain */
    const char *broker;
    const char *queue_name;
    unsigned window;
    int64_t max_length;
    bool with_properties; /* publish: with properties as in a gateway's messages */
};

struct ceiling_counts {
    uint64_t requests;
    uint64_t answered; /* 200 */
    uint64_t refused;  /* any other status */
    uint64_t left;     /* the client left before the answer */
};

/* Each loop of each kind has it, as the first member of its server_loop's data. */
struct ceiling_loop {
    struct server_loop *server_loop;
    struct ceiling_counts counts;
};

struct ceiling {
    struct ceiling_options options;
    const struct ceiling_kind *kind;
    void *data;          /* of the kind, set in open */
    _Atomic bool ending; /* connections that fail now were cut by us */
};

struct ceiling_kind {
    const char *name, *doc;
    bool needs_broker, needs_data; /* the option is required */
    /* Called before the first loop is made; may be NULL. Prints the error to stderr. */
    enum err (*open)(struct ceiling *ceiling);
    enum err (*on_start)(struct server_loop *loop, void *ceiling);
    int (*on_request)(h2o_handler_t *handler, h2o_req_t *req);
    /* Called before the loops end: cuts everything that could block one. May be NULL. */
    void (*cut)(struct ceiling *ceiling, struct server *server);
    /* Called when the loops have ended. Prints the kind's own counts to stderr, without a newline.
     * May be NULL. */
    void (*close)(struct ceiling *ceiling, struct server *server);
};

extern const struct ceiling_kind ceiling_echo, ceiling_commit, ceiling_publish, ceiling_consume,
    ceiling_drain;

static inline bool ceiling_is_post(const h2o_req_t *req)
{
    return h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST"));
}

/* Prints the program's name and a complaint to stderr. */
void ceiling_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A request that is answered later. The program owns it until held_answer or held_drop. `req`
 * becomes NULL when h2o frees the request first. It belongs to the loop's thread. A kind may append
 * members of its own, and hand those to another thread by mail. */
struct held {
    h2o_req_t *req;
    struct held **cell; /* in the request's memory: points back to this, or is NULL */
    struct ceiling_loop *loop;
};

/* Initialises `held`, the first member of a malloc'ed struct, and links it with the request. */
void held_init(struct held *held, struct ceiling_loop *loop, h2o_req_t *req);
/* Answers, unless the client has left, and frees `held`. */
void held_answer(struct held *held, int status, const char *body, size_t body_len);
/* Frees it without an answer. */
void held_drop(struct held *held);

/* Answers at once and counts. */
void ceiling_answer(
    struct ceiling_loop *loop, h2o_req_t *req, int status, const char *body, size_t body_len);

#endif
