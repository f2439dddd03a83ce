/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creates a replay, or makes the dry run of one: POST /api/v1/replays.
 *
 * Before a replay is created, its deliveries are counted for a short time: the total is for the
 * progress, and each shard gets the part of the rate that belongs to its part of the deliveries. If
 * there are too many to count, the shards get equal parts.
 *
 * A replay is created in two steps, so that nothing moves before all shards have it: each shard
 * stores it as paused, and then each makes it run. If a shard refuses the first step, the others
 * cancel it, and the answer says why. If the gateway is killed between the steps, the replay is
 * listed as paused, or becomes paused when the shards that run it are done. To resume it makes it
 * run in all of them.
 */
#include "admin/replay_question.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>

#define DRY_RUN_US (20 * US_PER_SECOND)
#define COUNT_US (2 * US_PER_SECOND) /* of the deliveries of a new replay */

#define PARTLY_CREATED_BYTES 320

/* Shards that refused a step of the creation may still have the replay: its id is in the answer. */
static void answer_partly_created(const struct replay_question *question, bool all_have_it)
{
    char id[REPLAY_ID_TEXT_BYTES], detail[PARTLY_CREATED_BYTES];
    replay_id_format(&question->replay.order.id, id);
    if (all_have_it)
        snprintf(detail, sizeof detail,
            "The replay %s was created, but a journal could not make it run. It is paused there: "
            "resume it (penstock replay resume %s).",
            id, id);
    else
        snprintf(detail, sizeof detail,
            "A journal refused the replay %s, and another one could not take it back. It is paused "
            "there and has moved nothing: cancel it (penstock replay cancel %s).",
            id, id);
    http_answer_problem(question->exchange, question->error, detail, NULL);
}

static void note_step(struct replay_question *question, enum err result)
{
    bool is_known = result == OK || result == ERR_MOVED_ON || result == ERR_NOT_FOUND;
    question->failed += !is_known;
}

/* A shard refused it: the others cancel it. */
static void on_taken_back(struct request *request, void *receiver)
{
    struct journal_replay_change *change = CONTAINER_OF(request, struct journal_replay_change, ask);
    struct replay_question *question =
        CONTAINER_OF(change, struct replay_shard_question, change)->question;
    (void)receiver;
    note_step(question, request->result);
    if (--question->waits_for > 0)
        return;
    if (question->failed > 0 && question->found > 0)
        answer_partly_created(question, false);
    else
        http_answer_problem(question->exchange, question->error,
            question->error == ERR_OVERLOADED
                ? "16 replays have not ended yet: wait for one of them, or cancel it."
                : "The replay was not created, since a journal refused it. Try again later.",
            NULL);
    free(question);
}

/* All shards have it, and it runs in those that have made the change. */
static void on_run(struct request *request, void *receiver)
{
    struct journal_replay_change *change = CONTAINER_OF(request, struct journal_replay_change, ask);
    struct replay_question *question =
        CONTAINER_OF(change, struct replay_shard_question, change)->question;
    (void)receiver;
    note_step(question, request->result);
    if (request->result == OK || request->result == ERR_MOVED_ON) {
        if (question->done++ == 0)
            question->found = 0; /* what the first step has answered is out of date */
        replay_question_found(question, &change->ret_replay);
    }
    if (!replay_question_answered(question, request->result))
        return;
    if (question->failed > 0)
        answer_partly_created(question, true);
    else
        admin_answer_json(question->exchange, 201, replay_view(&question->replay));
    free(question);
}

static void on_create_answered(struct request *request, void *receiver)
{
    struct journal_replay_create *create = CONTAINER_OF(request, struct journal_replay_create, ask);
    struct replay_question *question =
        CONTAINER_OF(create, struct replay_shard_question, create)->question;
    (void)receiver;
    if (request->result == OK)
        replay_question_found(question, &create->ret_replay);
    if (!replay_question_answered(question, request->result))
        return;
    const struct journal_replay_change next = {.id = question->shards[0].create.order.id,
        .has_state = true,
        .state = question->error ? REPLAY_CANCELLED : REPLAY_RUNNING};
    question->waits_for = question->count;
    replay_submit_change(question, &next, question->error ? on_taken_back : on_run);
}

/* The shard of the only account that the filter can select; -1: any. */
static int only_shard(const struct admin *admin, const struct delivery_filter *filter)
{
    const struct admin_installation *installation = &admin->options.installation;
    const char *account = filter->account;
    const struct endpoint *endpoint =
        filter->has_endpoint
            ? directory_endpoint(accounts_directory(admin->options.accounts), filter->endpoint)
            : NULL;
    if (!*account && endpoint)
        account = endpoint->account;
    if (!*account)
        return -1;
    return (int)placement_shard(placement_partition(&installation->seed, slice_from_string(account),
                                    installation->partitions),
        admin->options.shards);
}

/* Which shards have a part of the replay, and how large it is (of REPLAY_SHARE_ALL). Those that
 * have nothing are left out, so that the others get the whole rate. */
static void divide(const struct admin *admin, const struct delivery_filter *filter,
    const struct replay_estimate *estimate, unsigned ret_shares[SHARDS_MAX])
{
    int only = only_shard(admin, filter);
    int64_t total = replay_estimate_total(estimate);
    for (unsigned shard = 0; shard < admin->options.shards; shard++) {
        int64_t count = replay_estimate_of_shard(estimate, shard);
        if (only >= 0)
            ret_shares[shard] = shard == (unsigned)only ? REPLAY_SHARE_ALL : 0;
        else if (count < 0)
            ret_shares[shard] = REPLAY_SHARE_ALL / admin->options.shards;
        else if (total == 0) /* somebody must have it */
            ret_shares[shard] = shard == 0 ? REPLAY_SHARE_ALL : 0;
        else
            ret_shares[shard] = (unsigned)((count * REPLAY_SHARE_ALL + total - 1) / total);
    }
}

static void make_id(struct admin *admin, struct event_id *ret_id)
{
    unsigned char random[8];
    crypto_random(random, sizeof random);
    event_id_make(&admin->replay_ids, clock_wall_us(), 0, random, ret_id);
}

static void create(struct admin *admin, struct http_exchange *exchange,
    const struct replay_order *order, const struct replay_estimate *estimate)
{
    unsigned shares[SHARDS_MAX] = {0}, count = 0;
    struct replay_order part = *order;
    struct replay_question *question = replay_question_new(admin, exchange);
    int64_t total = replay_estimate_total(estimate);
    divide(admin, &order->filter, estimate, shares);
    make_id(admin, &part.id);
    for (unsigned shard = 0; shard < admin->options.shards; shard++) {
        struct journal_replay_create *create = &question->shards[count].create;
        if (shares[shard] == 0)
            continue;
        part.total = total < 0 ? -1 : count == 0 ? total : 0;
        part.share_ppm = shares[shard];
        create->order = part;
        create->paused = true;
        question->shards[count++].shard = shard;
        replay_question_prepare(question, &create->ask, on_create_answered);
    }
    question->count = question->waits_for = count;
    for (unsigned i = count; i-- > 0;)
        admin->options.create_replay(
            question->shards[i].shard, &question->shards[i].create, admin->options.context);
}

/* A body that has been read, while its deliveries are counted. */
struct replay_draft {
    struct admin *admin;
    struct http_exchange *exchange;
    struct replay_order order;
    bool dry_run;
};

static void on_estimated(const struct replay_estimate *estimate, enum err result, void *context)
{
    struct replay_draft *draft = context;
    if (result)
        http_answer_problem(draft->exchange, result, ADMIN_JOURNALS_UNREADABLE, NULL);
    else if (draft->dry_run)
        admin_answer_json(draft->exchange, 200, replay_estimate_view(estimate));
    else if (draft->admin->draining)
        http_answer_problem(draft->exchange, ERR_SHUTTING_DOWN,
            "The gateway stops, so the replay was not created. Try again when it runs.", NULL);
    else
        create(draft->admin, draft->exchange, &draft->order, estimate);
    free(draft);
}

static json_t *read_body(struct http_exchange *exchange)
{
    static const char *const own[] = {"action", "reason", "rate", "force", "guarded", "dry_run"};
    const char *known[32] = {NULL};
    size_t count = 0;
    for (; count < ARRAY_LENGTH(own); count++)
        known[count] = own[count];
    for (size_t i = 0; delivery_filter_names[i] && count + 1 < ARRAY_LENGTH(known); i++)
        known[count++] = delivery_filter_names[i];
    return admin_read_object(exchange, known);
}

void admin_create_replay(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct replay_draft draft = {.admin = admin, .exchange = exchange};
    json_t *body = admin_authenticate(admin, exchange) ? read_body(exchange) : NULL;
    if (!body)
        return;
    bool taken = replay_take_order(admin, exchange, body, &draft.order, &draft.dry_run);
    json_decref(body);
    if (!taken || admin_refuse_as_follower(admin, exchange))
        return;
    struct replay_draft *copy = memory_new_raw(sizeof *copy);
    *copy = draft;
    replay_estimate(admin, &draft.order, draft.dry_run ? DRY_RUN_US : COUNT_US, on_estimated, copy);
}
