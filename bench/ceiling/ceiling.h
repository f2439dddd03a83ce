/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceilings: what the machine could do at best, against which the gateway is measured as a
 * ratio. Each kind is the bare h2o server (common/server.h) plus one thing that durability may
 * cost:
 *
 *   echo     nothing: the answer is the request's body
 *   commit   a group commit of one SQLite row for each request (commit.c)
 *   publish  a confirmed publish into a durable quorum queue (publish.c)
 *   consume  publish, and a consumer that keeps the queue near empty (consume.c)
 *
 *   drain    no ceiling: the consumer alone, beside something else that publishes (drain.c)
 *
 * A request that can't be answered at once is held (adopt.c). Loops share nothing; each counts for
 * itself, and main adds the counts up when the loops have ended.
 */
#ifndef PENSTOCK_BENCH_CEILING_H
#define PENSTOCK_BENCH_CEILING_H

#include "base/list.h"
#include "common/server.h"
#include "runtime/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>

#define BODY_BYTES_MAX 65536 /* as the gateway */

/* As long as what the gateway answers to an accepted event. */
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
    bool with_properties; /* publish: as many and as long as a gateway's messages have */
};

struct ceiling_counts {
    uint64_t requests;
    uint64_t answered; /* 200 */
    uint64_t refused;  /* anything else */
    uint64_t left;     /* the client went before its answer */
};

/* What every kind has for each loop, as the first member of its server_loop's data. */
struct ceiling_loop {
    struct server_loop *server_loop;
    struct ceiling_counts counts;
};

struct ceiling {
    struct ceiling_options options;
    const struct ceiling_kind *kind;
    void *data;          /* the kind's, set in open */
    _Atomic bool ending; /* what breaks now was cut by us */
};

struct ceiling_kind {
    const char *name, *doc;
    bool needs_broker, needs_data; /* whose option has no default */
    /* Before the first loop is made; may be NULL. Says on stderr what failed. */
    enum err (*open)(struct ceiling *ceiling);
    enum err (*on_start)(struct server_loop *loop, void *ceiling);
    int (*on_request)(h2o_handler_t *handler, h2o_req_t *req);
    /* Before the loops end: whatever could block one is cut. May be NULL. */
    void (*cut)(struct ceiling *ceiling, struct server *server);
    /* When they have ended; prints what it counted itself to stderr, without a newline. May be
     * NULL. */
    void (*close)(struct ceiling *ceiling, struct server *server);
};

extern const struct ceiling_kind ceiling_echo, ceiling_commit, ceiling_publish, ceiling_consume,
    ceiling_drain;

static inline bool ceiling_is_post(const h2o_req_t *req)
{
    return h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST"));
}

/* A complaint on stderr, behind the program's name. */
void ceiling_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A request whose answer comes later. It is ours until held_answer or held_drop; `req` becomes NULL
 * when h2o frees the request first. Belongs to the loop's thread, but for what a kind puts behind
 * it and hands over by mail. */
struct held {
    h2o_req_t *req;
    struct held **cell; /* in the request's memory: points back, or NULL */
    struct ceiling_loop *loop;
};

/* Fills `broker_owned` (the first member of a malloc'ed struct) in and ties it to the request. */
void held_init(struct held *held, struct ceiling_loop *loop, h2o_req_t *req);
/* Answers, when there is somebody to answer, and frees `broker_owned`. */
void held_answer(struct held *held, int status, const char *body, size_t body_len);
/* Frees it without an answer. */
void held_drop(struct held *held);

/* Answers at once and counts. */
void ceiling_answer(
    struct ceiling_loop *loop, h2o_req_t *req, int status, const char *body, size_t body_len);

#endif
