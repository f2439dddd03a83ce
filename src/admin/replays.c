/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays: one operator action on all deliveries that a filter selects.
 *
 *   POST  /api/v1/replays       {"action", "reason", "rate", "force", "guarded", "dry_run", and the
 *                               members of a filter (model/delivery_filter.h)}
 *   GET   /api/v1/replays       newest first; `limit`, `cursor`
 *   GET   /api/v1/replays/{id}
 *   PATCH /api/v1/replays/{id}  {"state": "running" | "paused" | "cancelled", "rate"}
 *
 * Each shard that has such deliveries has a part of the replay. A request goes to the shards at
 * once, and the answers are added up. replay_create.c creates replays.
 */
#include "admin/replay_question.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT 20

/* Adding up. */

static enum replay_state more_open(enum replay_state one, enum replay_state other)
{
    static const int ranks[REPLAY_STATES] = {
        [REPLAY_RUNNING] = 3, [REPLAY_PAUSED] = 2, [REPLAY_CANCELLED] = 1, [REPLAY_DONE] = 0};
    return ranks[one] >= ranks[other] ? one : other;
}

/* Adds what another shard has of the same replay. */
static void add_replay(struct replay *sum, const struct replay *more)
{
    if (replay_state_is_end(sum->state)) /* the rate may have been changed since */
        sum->order.rate = more->order.rate;
    sum->state = more_open(sum->state, more->state);
    sum->order.total =
        sum->order.total < 0 || more->order.total < 0 ? -1 : sum->order.total + more->order.total;
    if (more->created_us < sum->created_us)
        sum->created_us = more->created_us;
    if (more->changed_us > sum->changed_us)
        sum->changed_us = more->changed_us;
    sum->resting += more->resting;
    replay_progress_add(&sum->progress, &more->progress);
}

void replay_question_found(struct replay_question *question, const struct replay *replay)
{
    if (question->found++ == 0)
        question->replay = *replay;
    else
        add_replay(&question->replay, replay);
}

/* The view. */

/* At the speed so far, and not faster than the rate; null when it is not known. */
static json_t *view_time_left(const struct replay *replay, int64_t matched)
{
    int64_t elapsed_us = clock_wall_us() - replay->created_us;
    double rate = replay->order.rate;
    if (replay->state != REPLAY_RUNNING || replay->order.total < 0)
        return json_null();
    double seen = elapsed_us > 0 ? (double)matched * US_PER_SECOND / (double)elapsed_us : rate;
    if (matched > 0 && elapsed_us > 2 * US_PER_SECOND && seen < rate)
        rate = seen;
    int64_t left = replay->order.total > matched ? replay->order.total - matched : 0;
    return json_integer((json_int_t)((double)left / rate + 0.999));
}

json_t *replay_view(const struct replay *replay)
{
    const struct replay_order *order = &replay->order;
    const struct replay_progress *progress = &replay->progress;
    int64_t refused = replay_progress_refused(progress), matched = progress->moved + refused;
    char id[REPLAY_ID_TEXT_BYTES];
    replay_id_format(&order->id, id);
    json_t *total = order->total < 0 ? json_null() : json_integer(order->total);
    json_t *view = json_pack("{s:s, s:s, s:s, s:o, s:b, s:b, s:i, s:s, s:o, s:o}", "id", id,
        "action", replay_action_name(order->action), "state", replay_state_name(replay->state),
        "filter", replay_view_filter(&order->filter), "force", (int)order->force, "guarded",
        (int)order->guarded, "rate", (int)order->rate, "reason", order->reason, "created_at",
        admin_time(replay->created_us), "changed_at", admin_time(replay->changed_us));
    json_object_set_new(view, "progress",
        json_pack("{s:o, s:I, s:I, s:I, s:o, s:i, s:o}", "total", total, "matched",
            (json_int_t)matched, "moved", (json_int_t)progress->moved, "refused",
            (json_int_t)refused, "refused_by", replay_view_refused(progress->refused),
            "endpoints_resting", (int)replay->resting, "time_left_s",
            view_time_left(replay, matched)));
    return view;
}

/* Asking the shards. */

/* To all shards. */
struct replay_question *replay_question_new(struct admin *admin, struct http_exchange *exchange)
{
    unsigned count = admin->options.shards;
    struct replay_question *question =
        memory_new(sizeof *question + count * sizeof question->shards[0]);
    question->admin = admin;
    question->exchange = exchange;
    question->count = question->waits_for = count;
    for (unsigned i = 0; i < count; i++)
        question->shards[i] = (struct replay_shard_question){.question = question, .shard = i};
    return question;
}

void replay_question_prepare(struct replay_question *question, struct request *ask,
    void (*on_done)(struct request *request, void *receiver))
{
    ask->reply_to = &question->admin->mailbox;
    ask->on_done = on_done;
}

/* A shard without the replay, or with an ended one, matters less than one that failed. */
static int rank(enum err error)
{
    return error == OK ? 0 : error == ERR_NOT_FOUND ? 1 : error == ERR_MOVED_ON ? 2 : 3;
}

/* One answer has come. True: it is the last one. */
bool replay_question_answered(struct replay_question *question, enum err result)
{
    if (rank(result) > rank(question->error))
        question->error = result;
    return --question->waits_for == 0;
}

static void answer_not_found(struct http_exchange *exchange)
{
    http_answer_problem(exchange, ERR_NOT_FOUND,
        "There is no such replay: GET /api/v1/replays (penstock replay list) shows those that are "
        "kept.",
        NULL);
}

#define TRY_AGAIN "Nothing was changed in a journal that refused it. Try again later."

/* Changes. */

static void on_change_answered(struct request *request, void *receiver);

void replay_submit_change(struct replay_question *question, const struct journal_replay_change *to,
    void (*on_done)(struct request *request, void *receiver))
{
    const struct admin_options *options = &question->admin->options;
    for (unsigned i = 0; i < question->count; i++) {
        struct journal_replay_change *change = &question->shards[i].change;
        *change = *to;
        replay_question_prepare(question, &change->ask, on_done);
    }
    for (unsigned i = question->count; i-- > 0;)
        options->change_replay(
            question->shards[i].shard, &question->shards[i].change, options->context);
}

static void answer_change(const struct replay_question *question)
{
    char detail[160];
    /* In some shards it may have ended before the others. */
    if (question->found > 0 && question->done == 0 && question->error == ERR_MOVED_ON) {
        snprintf(detail, sizeof detail,
            "The replay has ended (%s). Create another one if something is left.",
            replay_state_name(question->replay.state));
        http_answer_problem(question->exchange, ERR_MOVED_ON, detail, NULL);
    } else if (question->error && question->error != ERR_NOT_FOUND &&
               question->error != ERR_MOVED_ON) {
        http_answer_problem(question->exchange, question->error, TRY_AGAIN, NULL);
    } else if (question->found == 0) {
        answer_not_found(question->exchange);
    } else {
        admin_answer_json(question->exchange, 200, replay_view(&question->replay));
    }
}

static void on_change_answered(struct request *request, void *receiver)
{
    struct journal_replay_change *change = CONTAINER_OF(request, struct journal_replay_change, ask);
    struct replay_question *question =
        CONTAINER_OF(change, struct replay_shard_question, change)->question;
    (void)receiver;
    question->done += request->result == OK;
    if (request->result == OK || request->result == ERR_MOVED_ON)
        replay_question_found(question, &change->ret_replay);
    if (!replay_question_answered(question, request->result))
        return;
    answer_change(question);
    free(question);
}

/* PATCH. */

static bool take_id(struct http_exchange *exchange, struct event_id *ret_id)
{
    if (replay_id_parse(http_path_part(exchange, 0), ret_id))
        return true;
    answer_not_found(exchange);
    return false;
}

static bool take_change(
    struct http_exchange *exchange, const json_t *body, struct journal_replay_change *change)
{
    char text[16];
    enum admin_member taken = admin_take_text(exchange, body, "state", false, text, sizeof text);
    if (taken == ADMIN_MEMBER_ANSWERED)
        return false;
    change->has_state = taken == ADMIN_MEMBER_TAKEN;
    if (change->has_state &&
        (!replay_state_from_name(text, &change->state) || change->state == REPLAY_DONE)) {
        admin_refuse_member(exchange, "state", "must be running, paused or cancelled");
        return false;
    }
    if (!replay_take_rate(exchange, body, &change->has_rate, &change->rate))
        return false;
    if (change->has_state || change->has_rate)
        return true;
    admin_refuse_member(exchange, "state", "or rate is required: there is no change");
    return false;
}

static void submit_list(struct replay_question *question, const struct journal_replay_list *of,
    void (*on_done)(struct request *request, void *receiver))
{
    const struct admin_options *options = &question->admin->options;
    for (unsigned i = 0; i < question->count; i++) {
        struct journal_replay_list *list = &question->shards[i].list;
        *list = *of;
        list->ret_replays = memory_new_array(of->count_max, sizeof *list->ret_replays);
        replay_question_prepare(question, &list->ask, on_done);
    }
    for (unsigned i = question->count; i-- > 0;)
        options->list_replays(
            question->shards[i].shard, &question->shards[i].list, options->context);
}

static struct replay_question *question_of(struct request *request)
{
    struct journal_replay_list *list = CONTAINER_OF(request, struct journal_replay_list, ask);
    return CONTAINER_OF(list, struct replay_shard_question, list)->question;
}

static void free_lists(struct replay_question *question)
{
    for (unsigned i = 0; i < question->count; i++)
        free(TAKE(question->shards[i].list.ret_replays));
}

void admin_change_replay(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"state", "rate", NULL};
    struct admin *admin = context;
    struct journal_replay_change change = {0};
    json_t *body = admin_authenticate(admin, exchange) && take_id(exchange, &change.id)
                       ? admin_read_object(exchange, known)
                       : NULL;
    if (!body)
        return;
    bool taken = take_change(exchange, body, &change);
    json_decref(body);
    if (!taken || admin_refuse_as_follower(admin, exchange))
        return;
    struct replay_question *question = replay_question_new(admin, exchange);
    replay_submit_change(question, &change, on_change_answered);
}

/* Lists. */

static void on_shown(struct request *request, void *receiver)
{
    struct replay_question *question = question_of(request);
    const struct journal_replay_list *list = CONTAINER_OF(request, struct journal_replay_list, ask);
    (void)receiver;
    if (request->result == OK && list->ret_count > 0)
        replay_question_found(question, &list->ret_replays[0]);
    if (!replay_question_answered(question, request->result))
        return;
    if (question->error && question->error != ERR_NOT_FOUND)
        http_answer_problem(question->exchange, question->error, ADMIN_JOURNALS_UNREADABLE, NULL);
    else if (question->found == 0)
        answer_not_found(question->exchange);
    else
        admin_answer_json(question->exchange, 200, replay_view(&question->replay));
    free_lists(question);
    free(question);
}

void admin_get_replay(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct journal_replay_list list = {.has_id = true, .count_max = 1};
    if (!admin_authenticate(admin, exchange) || !take_id(exchange, &list.id) ||
        admin_refuse_as_follower(admin, exchange))
        return;
    submit_list(replay_question_new(admin, exchange), &list, on_shown);
}

/* Takes the replay with the largest id out of the lists, added up over the shards. False: they are
 * at their ends. `at` has the place in each list. */
static bool take_newest(
    const struct replay_question *question, unsigned *at, struct replay *ret_replay)
{
    struct event_id newest = {0};
    for (unsigned i = 0; i < question->count; i++) {
        const struct journal_replay_list *list = &question->shards[i].list;
        if (at[i] < list->ret_count &&
            memcmp(&list->ret_replays[at[i]].order.id, &newest, sizeof newest) > 0)
            newest = list->ret_replays[at[i]].order.id;
    }
    bool found = false;
    for (unsigned i = 0; i < question->count; i++) {
        const struct journal_replay_list *list = &question->shards[i].list;
        if (at[i] == list->ret_count ||
            memcmp(&list->ret_replays[at[i]].order.id, &newest, sizeof newest) != 0)
            continue;
        if (found)
            add_replay(ret_replay, &list->ret_replays[at[i]]);
        else
            *ret_replay = list->ret_replays[at[i]];
        found = true;
        at[i]++;
    }
    return found;
}

static void answer_list(const struct replay_question *question)
{
    unsigned at[SHARDS_MAX] = {0}, count = 0;
    struct replay replay;
    char id[REPLAY_ID_TEXT_BYTES] = "";
    json_t *replays = json_array();
    while (count < question->limit && take_newest(question, at, &replay)) {
        json_array_append_new(replays, replay_view(&replay));
        replay_id_format(&replay.order.id, id);
        count++;
    }
    bool more = count == question->limit && take_newest(question, at, &replay);
    admin_answer_json(question->exchange, 200,
        json_pack("{s:o, s:s?}", "replays", replays, "next", more ? id : NULL));
}

static void on_listed(struct request *request, void *receiver)
{
    struct replay_question *question = question_of(request);
    (void)receiver;
    if (!replay_question_answered(question, request->result))
        return;
    if (question->error)
        http_answer_problem(question->exchange, question->error, ADMIN_JOURNALS_UNREADABLE, NULL);
    else
        answer_list(question);
    free_lists(question);
    free(question);
}

void admin_list_replays(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct admin_parameter parameters[] = {{.name = "limit"}, {.name = "cursor"}};
    struct journal_replay_list list = {0};
    unsigned limit = LIMIT_DEFAULT;
    if (!admin_authenticate(admin, exchange) ||
        !admin_take_parameters(exchange, parameters, ARRAY_LENGTH(parameters)) ||
        !admin_take_limit(exchange, &parameters[0], REPLAY_LIST_MAX - 1, &limit))
        return;
    list.has_before = parameters[1].given;
    if (list.has_before && !replay_id_parse(slice_from_string(parameters[1].value), &list.before)) {
        admin_refuse_member(exchange, "cursor", "must be the value of `next` in an answer");
        return;
    }
    if (admin_refuse_as_follower(admin, exchange))
        return;
    list.count_max = limit + 1; /* the last one shows that there are more */
    struct replay_question *question = replay_question_new(admin, exchange);
    question->limit = limit;
    submit_list(question, &list, on_listed);
}
