/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of replays share: questions to the shards, the body of a request, dry runs. */
#ifndef PENSTOCK_ADMIN_REPLAY_QUESTION_H
#define PENSTOCK_ADMIN_REPLAY_QUESTION_H

#include "admin/admin_internal.h"
#include "journal/replays.h"

#include <jansson.h>

struct replay_question;

/* What one shard is asked. */
struct replay_shard_question {
    struct replay_question *question;
    unsigned shard;
    union {
        struct journal_replay_create create;
        struct journal_replay_change change;
        struct journal_replay_list list;
    };
};

/* A question to some shards, on its way and back. */
struct replay_question {
    struct admin *admin;
    struct http_exchange *exchange;
    unsigned count;
    unsigned waits_for;
    unsigned done;        /* shards that have made the change */
    unsigned failed;      /* shards that could not make it, and may have the replay */
    enum err error;       /* of a shard; OK: none failed */
    unsigned found;       /* shards that have the replay */
    struct replay replay; /* of all of them */
    unsigned limit;       /* of a list */
    struct replay_shard_question shards[];
};

/* A question to all shards. */
struct replay_question *replay_question_new(struct admin *admin, struct http_exchange *exchange);
/* Sets where the answer of a shard arrives. */
void replay_question_prepare(struct replay_question *question, struct request *ask,
    void (*on_done)(struct request *request, void *receiver));
/* A shard has this part of the replay: adds it to the whole. */
void replay_question_found(struct replay_question *question, const struct replay *replay);
/* A shard has answered. True: it is the last one. */
bool replay_question_answered(struct replay_question *question, enum err result);
/* Asks the shards of the question to make the change. */
void replay_submit_change(struct replay_question *question, const struct journal_replay_change *to,
    void (*on_done)(struct request *request, void *receiver));
json_t *replay_view(const struct replay *replay);

/* Reads the order of a replay from a body, all but its id. Its rate is the one over all shards.
 * False after an answer. */
bool replay_take_order(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, struct replay_order *ret_order, bool *ret_dry_run);

/* Its members in an answer. */
json_t *replay_view_filter(const struct delivery_filter *filter);
/* The member `rate`. False after an answer. */
bool replay_take_rate(
    struct http_exchange *exchange, const json_t *body, bool *ret_given, unsigned *ret_rate);

/* How many were refused, by reason; without those that are 0. */
json_t *replay_view_refused(const int64_t refused[REPLAY_REFUSALS]);

/* What a replay would do. */
struct replay_estimate;
/*
 * Counts what the order selects, for `within_us`. `on_done` gets the estimate, and the context of
 * the caller; the estimate is valid during the call.
 */
void replay_estimate(struct admin *admin, const struct replay_order *order, int64_t within_us,
    void (*on_done)(const struct replay_estimate *estimate, enum err result, void *context),
    void *context);
/* How many deliveries are selected; -1: the time was too short to count them all. */
int64_t replay_estimate_total(const struct replay_estimate *estimate);
/* How many of them the shard has; -1: not known. */
int64_t replay_estimate_of_shard(const struct replay_estimate *estimate, unsigned shard);
/* The answer to a dry run. */
json_t *replay_estimate_view(const struct replay_estimate *estimate);

#endif
