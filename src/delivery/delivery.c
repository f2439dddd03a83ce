/* SPDX-License-Identifier: Apache-2.0 */
/* The shard's thread: how it starts, what its mailbox and its source bring, what each turn ends
 * with, how it ends. */
#include "delivery/delivery.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/attempt.h"
#include "delivery/backlog.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/outcome.h"
#include "delivery/probe.h"
#include "delivery/queues.h"
#include "delivery/refill.h"
#include "delivery/replay.h"
#include "delivery/rule_changes.h"
#include "delivery/settings.h"
#include "delivery/shard.h"
#include "delivery/status_probe.h"
#include "delivery/switches.h"
#include "delivery/unrouted.h"
#include "queue/consumer.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdio.h>

struct shard_order {
    struct mail mail;
    struct delivery_policy policy;
    uint64_t endpoint;
    int64_t version; /* of the change */
    int64_t drain_us;
};

/* The end of a turn: sends what may be sent now, and stops the shard when it has drained. */

static bool take_flag(bool *flag)
{
    bool was_set = *flag;
    *flag = false;
    return was_set;
}

/* Does what the handlers of this turn have only asked for. */
static void update_queue(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    if (take_flag(&flow->wants_unload) && flow_is_open(queue))
        refill_unload(queue);
    if (take_flag(&flow->has_recovered))
        refill_recover(queue);
    if (take_flag(&flow->wants_probe))
        probe_send(queue);
    refill_queue(queue);
    endpoint_queue_update_ready(queue);
}

static void update_touched(struct delivery_shard *shard)
{
    for (struct endpoint_queue *queue;
         (queue = LIST_TAKE_FIRST(&shard->touched, struct endpoint_queue, in_touched));)
        update_queue(queue);
}

static void send_what_may_be_sent(struct delivery_shard *shard)
{
    while (shard_may_send(shard)) {
        switches_look(shard);
        struct fair_flow *flow = fair_queue_next(&shard->fair);
        if (!flow)
            return;
        struct endpoint_queue *queue = CONTAINER_OF(flow, struct endpoint_queue, fair);
        if (!queue->off.is_of_endpoint) /* it may have been added again since */
            switches_look_at_queue(queue);
        struct job *job = endpoint_queue_next(queue);
        if (job)
            attempt_begin(job);
        endpoint_queue_update_ready(queue);
    }
}

static void on_turn_end(struct loop *loop)
{
    struct delivery_shard *shard = CONTAINER_OF(loop, struct delivery_shard, loop);
    switches_look(shard);
    endpoint_queue_share_slots(shard);
    do { /* what is sent moves jobs, which leave room */
        update_touched(shard);
        send_what_may_be_sent(shard);
    } while (!list_is_empty(&shard->touched));
    if (shard->taker.stopping && shard->in_flight == 0 && shard->recording == 0 &&
        shard->taker.requests_out == 0)
        loop_stop(loop);
}

/* For the event source (queue/event_source.h). */

static struct delivery_shard *shard_of(struct event_taker *taker)
{
    return CONTAINER_OF(taker, struct delivery_shard, taker);
}

static struct sourced *add(struct event_taker *taker, const struct delivery *delivery)
{
    struct endpoint_queue *queue = queues_get(shard_of(taker), delivery->endpoint);
    assert(!job_find(shard_of(taker), delivery->id));
    return endpoint_queue_has_room(queue, delivery)
               ? &job_new(queue, delivery, QUEUE_FRESH)->sourced
               : NULL;
}

static void drop(struct event_taker *taker, struct sourced *sourced)
{
    struct job *job = CONTAINER_OF(sourced, struct job, sourced);
    struct endpoint_queue *queue = job->queue;
    job_free(job);
    shard_touch(queue);
}

static void take_handover(struct event_taker *taker, const struct delivery *delivery)
{
    refill_take_handover(queues_get(shard_of(taker), delivery->endpoint), delivery);
}

static void expect_pending(struct event_taker *taker, uint64_t endpoint, int64_t delivery)
{
    refill_expect_pending(queues_get(shard_of(taker), endpoint), delivery);
}

static void look_again(struct event_taker *taker, const struct event *event)
{
    struct delivery_shard *shard = shard_of(taker);
    if (!unrouted_look_again(shard, event))
        end_log_unrouted(shard, event);
}

static void scan_backlog(struct event_taker *taker)
{
    backlog_scan(shard_of(taker));
}

static bool is_slow(struct event_taker *taker, const struct sourced *sourced, int64_t now_mono_us)
{
    return endpoint_queue_is_slow(CONTAINER_OF(sourced, struct job, sourced)->queue, now_mono_us);
}

static const struct event_taker_ops taker_ops = {.add = add,
    .drop = drop,
    .take_handover = take_handover,
    .expect_pending = expect_pending,
    .look_again = look_again,
    .scan_backlog = scan_backlog,
    .is_slow = is_slow};

/* Mail from other threads. */

static void on_handover(struct mail *mail, void *receiver)
{
    struct delivery_shard *shard = receiver;
    event_source_on_handover(shard->source, CONTAINER_OF(mail, struct journal_handover, mail));
}

static void on_policy(struct mail *mail, void *receiver)
{
    struct shard_order *order = CONTAINER_OF(mail, struct shard_order, mail);
    struct delivery_shard *shard = receiver;
    shard->policy = order->policy;
    free(order);
    /* The caps may have grown. */
    id_map_for_each(node, &shard->queues)
    {
        struct endpoint_queue *queue = CONTAINER_OF(node, struct endpoint_queue, by_id);
        settings_changed(queue);
        shard_touch(queue);
    }
    rule_changes_record(shard);
}

static void on_endpoint_changed(struct mail *mail, void *receiver)
{
    struct shard_order *order = CONTAINER_OF(mail, struct shard_order, mail);
    struct delivery_shard *shard = receiver;
    /* After the stop the thread has ended and may not read the directory. */
    const struct endpoint *endpoint =
        shard->taker.stopping ? NULL : directory_endpoint(shard->taker.directory, order->endpoint);
    struct endpoint_queue *queue =
        endpoint ? queues_get(shard, order->endpoint) : queues_find(shard, order->endpoint);
    if (queue && !shard->taker.stopping) {
        settings_changed(queue);
        switches_look_at_queue(queue);
        flow_reset(queue); /* of a disabled one as well: what waits is parked now */
        shard_touch(queue);
    }
    if (endpoint) {
        rule_changes_on_endpoint(shard, order->version);
        rule_changes_record(shard);
    }
    if (endpoint && endpoint->enabled) {
        status_probe_begin(queue); /* it may have got a status probe */
        refill_release(queue);
        unrouted_walk(shard);
    }
    free(order);
}

/* The end of the turn looks at the directory: see on_turn_end. */
static void on_switch_changed(struct mail *mail, void *receiver)
{
    (void)receiver;
    free(CONTAINER_OF(mail, struct shard_order, mail));
}

static void on_drain_timer(struct timer *timer)
{
    struct delivery_shard *shard = CONTAINER_OF(timer, struct delivery_shard, drain_timer);
    if (shard->in_flight + shard->recording > 0)
        log_warn("shutdown.drain has expired: requests in flight are cancelled shard=%u "
                 "in_flight=%u unrecorded=%u",
            shard->taker.shard, shard->in_flight, shard->recording);
    loop_stop(&shard->loop);
}

static void on_stop(struct mail *mail, void *receiver)
{
    struct shard_order *order = CONTAINER_OF(mail, struct shard_order, mail);
    struct delivery_shard *shard = receiver;
    shard->taker.stopping = true;
    timer_arm(&shard->loop, &shard->drain_timer, order->drain_us);
    free(order);
}

static void on_join(struct mail *mail, void *receiver)
{
    ((struct delivery_shard *)receiver)->is_joined = true;
    free(CONTAINER_OF(mail, struct shard_order, mail));
}

static void post_order(struct delivery_shard *shard, const struct shard_order *order,
    void (*on_receive)(struct mail *mail, void *receiver))
{
    struct shard_order *copy = memory_new_raw(sizeof *copy);
    *copy = *order;
    copy->mail.on_receive = on_receive;
    mailbox_post(&shard->mailbox, &copy->mail);
}

void delivery_shard_set_policy(struct delivery_shard *shard, const struct delivery_policy *policy)
{
    post_order(shard, &(struct shard_order){.policy = *policy}, on_policy);
}

void delivery_shard_endpoint_changed(
    struct delivery_shard *shard, uint64_t endpoint, int64_t version)
{
    post_order(shard, &(struct shard_order){.endpoint = endpoint, .version = version},
        on_endpoint_changed);
}

void delivery_shard_switch_changed(struct delivery_shard *shard)
{
    post_order(shard, &(struct shard_order){0}, on_switch_changed);
}

void delivery_shard_stop(struct delivery_shard *shard, int64_t drain_us)
{
    post_order(shard, &(struct shard_order){.drain_us = drain_us}, on_stop);
}

/* Life. */

/* The other shards may still drain, and operators ask meanwhile: each question is answered. */
static void answer_until_joined(struct delivery_shard *shard)
{
    shard->taker.stopping = true;
    shard->taker.journal = NULL; /* it is asked for nothing more */
    while (!shard->is_joined) {
        mailbox_wait(&shard->mailbox, -1);
        mailbox_work(&shard->mailbox);
    }
}

static void run(void *context)
{
    struct delivery_shard *shard = context;
    backlog_scan(shard);
    loop_run(&shard->loop);
    end_log_flush(shard);
    event_source_close(shard->source);
    /* Cuts short what is in flight: its on_done runs inside. */
    client_free(TAKE(shard->client));
    sem_post(&shard->drained);
    answer_until_joined(shard);
}

enum err delivery_shard_new(
    const struct delivery_options *options, struct delivery_shard **ret_shard)
{
    struct delivery_shard *shard;
    MEMORY_NEW(shard);
    shard->taker = (struct event_taker){.ops = &taker_ops,
        .shard = options->shard,
        .loop = &shard->loop,
        .mailbox = &shard->mailbox,
        .directory = accounts_directory(options->accounts),
        .budget = options->budget};
    shard->source = event_source_direct_new(&shard->taker);
    shard->accounts = options->accounts;
    shard->client_options = options->client;
    shard->on_report = options->on_report;
    shard->operator_events = options->operator_events;
    end_log_init(shard);
    shard->policy = options->policy;
    shard->wall_offset_us = clock_wall_us() - clock_mono_us();
    crypto_random(&shard->random_state, sizeof shard->random_state);
    shard->random_state |= 1;
    fair_queue_init(&shard->fair);
    list_init(&shard->short_of_slots);
    list_init(&shard->touched);
    list_init(&shard->unrecorded);
    backlog_init(shard);
    replay_init(shard);
    rule_changes_init(shard);
    unrouted_init(shard);
    outcome_init(shard);
    timer_init(&shard->drain_timer, on_drain_timer);
    shard->mailbox.event_fd = -1;
    sem_init(&shard->drained, 0, 0);
    enum err failed = loop_init(&shard->loop);
    loop_set_turn_end(&shard->loop, on_turn_end);
    if (!failed)
        failed = mailbox_init(&shard->mailbox, shard);
    if (!failed)
        failed = loop_attach_mailbox(&shard->loop, &shard->mailbox);
    if (!failed)
        failed = client_new(&shard->loop, &shard->client_options, &shard->client);
    if (failed) {
        delivery_shard_free(shard);
        return failed;
    }
    *ret_shard = shard;
    return OK;
}

void delivery_shard_listen_to_journal(
    struct delivery_shard *shard, struct journal_listener *ret_listener)
{
    ret_listener->delivery = &shard->mailbox;
    ret_listener->on_handover = on_handover;
}

enum err delivery_shard_start(
    struct delivery_shard *shard, struct journal *journal, const struct consumer_options *consumer)
{
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof name, "delivery-%u", shard->taker.shard % 1000);
    shard->taker.journal = journal;
    if (consumer) {
        event_source_free(shard->source);
        shard->source = consumer_new(&shard->taker, consumer);
    }
    return thread_start(&shard->thread, name, run, shard);
}

void delivery_shard_await_drained(struct delivery_shard *shard)
{
    if (shard->thread.started)
        while (sem_wait(&shard->drained) != 0)
            ; /* a signal */
}

void delivery_shard_join(struct delivery_shard *shard)
{
    if (shard->thread.started)
        post_order(shard, &(struct shard_order){0}, on_join);
    thread_join(&shard->thread);
}

void delivery_shard_free(struct delivery_shard *shard)
{
    if (!shard)
        return;
    client_free(TAKE(shard->client));
    /* The journal has ended: its last mail is in the mailbox, and every request has its answer. */
    if (shard->mailbox.event_fd >= 0) {
        shard->taker.stopping = true;
        shard->taker.journal = NULL;
        mailbox_work(&shard->mailbox);
    }
    for (struct id_map_node *node; (node = id_map_any(&shard->jobs));)
        job_free(CONTAINER_OF(node, struct job, by_id));
    replay_done(shard);
    queues_free(shard);
    end_log_done(shard);
    event_source_free(shard->source);
    id_map_done(&shard->jobs);
    id_map_done(&shard->queues);
    id_map_done(&shard->deciding);
    mailbox_done(&shard->mailbox);
    loop_done(&shard->loop);
    sem_destroy(&shard->drained);
    free(shard);
}
