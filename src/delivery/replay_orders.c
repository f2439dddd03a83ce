/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators ask of replays: create one, pause, resume, cancel it or change its rate, list
 * them. The journal stores it first, and then the replay follows. A pause is the exception: nothing
 * more is moved from the moment in which it arrives, before its commit.
 */
#include "delivery/delivery.h"
#include "delivery/queues.h"
#include "delivery/replay_brake.h"
#include "delivery/replay_run.h"
#include "delivery/shard.h"

static void on_created(struct request *request, void *receiver)
{
    struct journal_replay_create *create =
        CONTAINER_OF(request, struct journal_replay_create, request);
    struct delivery_shard *shard = receiver;
    const struct replay *replay = &create->ret_replay;
    if (request->result == OK && !replay_state_is_end(replay->state) &&
        !replay_run_find(shard, &replay->order.id))
        replay_run_go_on(replay_run_add(shard, replay));
    request_answer(&create->ask, request->result);
}

static void on_create(struct mail *mail, void *receiver)
{
    struct journal_replay_create *create =
        CONTAINER_OF(mail, struct journal_replay_create, ask.mail);
    struct delivery_shard *shard = receiver;
    if (shard->taker.stopping)
        request_answer(&create->ask, ERR_SHUTTING_DOWN);
    else
        shard_ask(shard, &create->request, JOURNAL_REPLAY_CREATE, on_created);
}

void delivery_shard_create_replay(
    struct delivery_shard *shard, struct journal_replay_create *create)
{
    request_submit(&create->ask, &shard->mailbox, on_create);
}

static void apply(struct replay_run *run, enum replay_state state, unsigned rate)
{
    run->replay.state = state;
    replay_run_set_rate(run, rate);
    timer_disarm(&run->shard->loop, &run->timer);
    replay_run_go_on(run);
}

static void on_changed(struct request *request, void *receiver)
{
    struct journal_replay_change *change =
        CONTAINER_OF(request, struct journal_replay_change, request);
    struct replay_run *run = replay_run_find(receiver, &change->id);
    /* When the journal refused it, the replay continues as before. */
    bool is_known = request->result == OK || request->result == ERR_MOVED_ON;
    if (run && is_known)
        apply(run, change->ret_replay.state, change->ret_replay.order.rate);
    else if (run && run->replay.state == REPLAY_PAUSED)
        apply(run, change->state_before, run->replay.order.rate);
    request_answer(&change->ask, request->result);
}

static void on_change(struct mail *mail, void *receiver)
{
    struct journal_replay_change *change =
        CONTAINER_OF(mail, struct journal_replay_change, ask.mail);
    struct delivery_shard *shard = receiver;
    if (shard->taker.stopping) {
        request_answer(&change->ask, ERR_SHUTTING_DOWN);
        return;
    }
    /* Nothing more is moved from now on. The commit follows. */
    struct replay_run *run = replay_run_find(shard, &change->id);
    change->state_before = run ? run->replay.state : REPLAY_RUNNING;
    if (run && change->has_state && change->state != REPLAY_RUNNING)
        run->replay.state = REPLAY_PAUSED;
    shard_ask(shard, &change->request, JOURNAL_REPLAY_CHANGE, on_changed);
}

void delivery_shard_change_replay(
    struct delivery_shard *shard, struct journal_replay_change *change)
{
    request_submit(&change->ask, &shard->mailbox, on_change);
}

/* Of the endpoints that the replay works on. */
static unsigned count_resting(const struct replay_run *run)
{
    unsigned count = 0;
    for (unsigned i = 0; i < run->window_count; i++) {
        const struct endpoint_queue *queue =
            queues_find(run->shard, run->window[i].cursor.endpoint);
        count += queue && replay_brake_is_on(queue);
    }
    return count;
}

static void on_listed(struct request *request, void *receiver)
{
    struct journal_replay_list *list = CONTAINER_OF(request, struct journal_replay_list, request);
    for (unsigned i = 0; request->result == OK && i < list->ret_count; i++) {
        const struct replay_run *run = replay_run_find(receiver, &list->ret_replays[i].order.id);
        list->ret_replays[i].resting = run ? count_resting(run) : 0;
    }
    request_answer(&list->ask, request->result);
}

static void on_list(struct mail *mail, void *receiver)
{
    struct journal_replay_list *list = CONTAINER_OF(mail, struct journal_replay_list, ask.mail);
    struct delivery_shard *shard = receiver;
    if (shard->taker.stopping)
        request_answer(&list->ask, ERR_SHUTTING_DOWN);
    else
        shard_ask(shard, &list->request, JOURNAL_REPLAY_LIST, on_listed);
}

void delivery_shard_list_replays(struct delivery_shard *shard, struct journal_replay_list *list)
{
    request_submit(&list->ask, &shard->mailbox, on_list);
}
