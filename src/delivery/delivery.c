/* SPDX-License-Identifier: Apache-2.0 */
/* The shard's thread: how it starts, what its mailbox brings, how it ends. */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <stdio.h>

struct shard_order {
    struct mail mail;
    struct delivery_policy policy;
    uint64_t endpoint;
    int64_t drain_us;
};

int64_t shard_wall_us(const struct delivery_shard *shard)
{
    return clock_mono_us() + shard->wall_offset_us;
}

uint32_t shard_random(struct delivery_shard *shard)
{
    /* xorshift64 (Marsaglia 2003) */
    uint64_t x = shard->random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    shard->random_state = x;
    return (uint32_t)(x >> 32);
}

static void on_pump_timer(struct timer *timer)
{
    struct delivery_shard *shard = CONTAINER_OF(timer, struct delivery_shard, pump_timer);
    id_map_for_each(node, &shard->queues)
        endpoint_queue_update_ready(CONTAINER_OF(node, struct endpoint_queue, by_id));
    pump_run(shard);
}

static void on_route_timer(struct timer *timer)
{
    route_walk(CONTAINER_OF(timer, struct delivery_shard, route_timer));
}

static void on_record_timer(struct timer *timer)
{
    outcome_retry_unrecorded(CONTAINER_OF(timer, struct delivery_shard, record_timer));
}

/* Starting: what lies in the journal. */

#define SCAN_AGAIN_US US_PER_SECOND

static void on_scanned(struct request *request, void *receiver);

static void scan_again(struct delivery_shard *shard, enum err error)
{
    log_error("the journal's backlog can't be read; delivery waits for it shard=%u error=%s",
        shard->number, err_name(error));
    timer_arm(&shard->loop, &shard->scan_timer, SCAN_AGAIN_US);
}

void shard_scan_backlog(struct delivery_shard *shard)
{
    struct journal_backlog_scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        scan_again(shard, ERR_NO_MEMORY);
        return;
    }
    scan->request = (struct request){
        .kind = JOURNAL_SCAN_BACKLOG, .reply_to = &shard->mailbox, .on_done = on_scanned};
    scan->now_us = shard_wall_us(shard);
    shard->requests_out++;
    journal_submit(shard->journal, &scan->request);
}

static void take_backlog(struct delivery_shard *shard, const struct journal_backlog *backlog)
{
    struct endpoint_queue *queue;
    if (endpoint_queue_get(shard, backlog->endpoint, &queue) != OK) {
        log_error("no memory for an endpoint's queue: its events wait until the restart shard=%u",
            shard->number);
        return;
    }
    if (backlog->pending > 0)
        refill_leave_in_journal(queue, 1);
    if (backlog->waiting > 0)
        endpoint_queue_expect(queue, backlog->waiting_due_us);
    const struct endpoint *endpoint = directory_endpoint(shard->directory, backlog->endpoint);
    if (backlog->parked_releasable > 0 && endpoint && endpoint->enabled)
        refill_release(queue); /* it was enabled while the gateway was down */
    refill_queue(queue);
}

static void on_scanned(struct request *request, void *receiver)
{
    struct journal_backlog_scan *scan = CONTAINER_OF(request, struct journal_backlog_scan, request);
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    if (request->result != OK) {
        scan_again(shard, request->result);
    } else if (scan->ret_again) {
        free(scan->ret_backlogs);
        if (!shard->stopping)
            shard_scan_backlog(shard);
    } else {
        int64_t pending = 0, waiting = 0, unrouted = 0;
        bool first = !shard->scanned;
        shard->scanned = true;
        for (size_t i = 0; i < scan->ret_count && !shard->stopping; i++) {
            pending += scan->ret_backlogs[i].pending;
            waiting += scan->ret_backlogs[i].waiting;
            unrouted += scan->ret_backlogs[i].unrouted;
            if (scan->ret_backlogs[i].endpoint != 0)
                take_backlog(shard, &scan->ret_backlogs[i]);
        }
        if (!shard->stopping && first)
            log_info("delivery is ready shard=%u endpoints_with_backlog=%zu pending=%lld "
                     "waiting=%lld unrouted=%lld",
                shard->number, scan->ret_count, (long long)pending, (long long)waiting,
                (long long)unrouted);
        route_walk(shard); /* an endpoint may have appeared just before the last run ended */
        if (first && shard->consumer && !shard->stopping)
            consumer_start(shard->consumer);
        free(scan->ret_backlogs);
    }
    free(scan);
    pump_run(shard);
    shard_stop_if_drained(shard);
}

static void on_scan_timer(struct timer *timer)
{
    shard_scan_backlog(CONTAINER_OF(timer, struct delivery_shard, scan_timer));
}

/* What other threads send. */

static void on_handover(struct mail *mail, void *receiver)
{
    struct journal_handover *handover = CONTAINER_OF(mail, struct journal_handover, mail);
    struct delivery_shard *shard = receiver;
    for (unsigned i = 0; i < handover->count; i++) {
        struct delivery *delivery = &handover->deliveries[i];
        if (shard->consumer && placement_index(delivery->id) == 0)
            consumer_tap(shard->consumer, delivery->event);
        if (shard->consumer)
            unacked_adopt(shard->consumer, placement_event(delivery->id));
        if (delivery->endpoint != 0) {
            endpoint_queue_take_handover(shard, delivery);
        } else {
            route_look_again(shard, delivery->event);
            event_unref(delivery->event);
        }
    }
    free(handover);
    pump_run(shard);
}

static void on_policy(struct mail *mail, void *receiver)
{
    struct shard_order *order = CONTAINER_OF(mail, struct shard_order, mail);
    struct delivery_shard *shard = receiver;
    shard->policy = order->policy;
    free(order);
    /* The caps may have grown, and the pause may be over. */
    id_map_for_each(node, &shard->queues)
        refill_queue(CONTAINER_OF(node, struct endpoint_queue, by_id));
    on_pump_timer(&shard->pump_timer);
}

static void on_endpoint_changed(struct mail *mail, void *receiver)
{
    struct shard_order *order = CONTAINER_OF(mail, struct shard_order, mail);
    struct delivery_shard *shard = receiver;
    /* After the stop the thread is gone, and with it the right to read the directory. */
    const struct endpoint *endpoint =
        shard->stopping ? NULL : directory_endpoint(shard->directory, order->endpoint);
    struct endpoint_queue *queue;
    if (endpoint && endpoint->enabled) {
        if (endpoint_queue_get(shard, order->endpoint, &queue) == OK)
            refill_release(queue);
        route_walk(shard);
    }
    free(order);
}

static void on_drain_timer(struct timer *timer)
{
    struct delivery_shard *shard = CONTAINER_OF(timer, struct delivery_shard, drain_timer);
    if (shard->in_flight + shard->recording > 0)
        log_warn("the drain limit has passed shard=%u in_flight=%u unrecorded=%u", shard->number,
            shard->in_flight, shard->recording);
    loop_stop(&shard->loop);
}

static void on_stop(struct mail *mail, void *receiver)
{
    struct shard_order *order = CONTAINER_OF(mail, struct shard_order, mail);
    struct delivery_shard *shard = receiver;
    shard->stopping = true;
    timer_arm(&shard->loop, &shard->drain_timer, order->drain_us);
    free(order);
    shard_stop_if_drained(shard);
}

void shard_stop_if_drained(struct delivery_shard *shard)
{
    if (shard->stopping && shard->in_flight == 0 && shard->recording == 0 &&
        shard->requests_out == 0)
        loop_stop(&shard->loop);
}

static void post_order(struct delivery_shard *shard, const struct shard_order *order,
    void (*on_receive)(struct mail *mail, void *receiver))
{
    struct shard_order *copy = malloc(sizeof *copy);
    if (!copy) {
        log_error("no memory for an order to delivery shard=%u", shard->number);
        return;
    }
    *copy = *order;
    copy->mail.on_receive = on_receive;
    mailbox_post(&shard->mailbox, &copy->mail);
}

void delivery_shard_set_policy(struct delivery_shard *shard, const struct delivery_policy *policy)
{
    post_order(shard, &(struct shard_order){.policy = *policy}, on_policy);
}

void delivery_shard_endpoint_changed(struct delivery_shard *shard, uint64_t endpoint)
{
    post_order(shard, &(struct shard_order){.endpoint = endpoint}, on_endpoint_changed);
}

void delivery_shard_stop(struct delivery_shard *shard, int64_t drain_us)
{
    post_order(shard, &(struct shard_order){.drain_us = drain_us}, on_stop);
}

/* Life. */

static void run(void *context)
{
    struct delivery_shard *shard = context;
    shard_scan_backlog(shard);
    loop_run(&shard->loop);
    consumer_close(shard->consumer);
    /* What is still in flight is cut short: its on_done runs in here. */
    client_free(TAKE(shard->client));
}

enum err delivery_shard_new(
    const struct delivery_options *options, struct delivery_shard **ret_shard)
{
    struct delivery_shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return ERR_NO_MEMORY;
    shard->number = options->shard;
    shard->accounts = options->accounts;
    shard->directory = accounts_directory(options->accounts);
    shard->budget = options->budget;
    shard->client_options = options->client;
    shard->on_report = options->on_report;
    shard->policy = options->policy;
    shard->wall_offset_us = clock_wall_us() - clock_mono_us();
    crypto_random(&shard->random_state, sizeof shard->random_state);
    shard->random_state |= 1;
    list_init(&shard->ready);
    list_init(&shard->unrecorded);
    timer_init(&shard->pump_timer, on_pump_timer);
    timer_init(&shard->record_timer, on_record_timer);
    timer_init(&shard->scan_timer, on_scan_timer);
    timer_init(&shard->route_timer, on_route_timer);
    timer_init(&shard->drain_timer, on_drain_timer);
    shard->mailbox.event_fd = -1;
    enum err failed = loop_init(&shard->loop);
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

enum err delivery_shard_start(struct delivery_shard *shard, struct journal *journal,
    const struct delivery_consumer_options *consumer)
{
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof name, "delivery-%u", shard->number % 1000);
    shard->journal = journal;
    enum err failed = consumer ? consumer_new(shard, consumer, &shard->consumer) : OK;
    return failed ? failed : thread_start(&shard->thread, name, run, shard);
}

void delivery_shard_join(struct delivery_shard *shard)
{
    thread_join(&shard->thread);
}

void delivery_shard_free(struct delivery_shard *shard)
{
    if (!shard)
        return;
    client_free(TAKE(shard->client));
    /* The journal has ended: what it still had to say lies in the mailbox, and every request of
     * ours is back. */
    if (shard->mailbox.event_fd >= 0) {
        shard->stopping = true;
        shard->journal = NULL;
        mailbox_work(&shard->mailbox);
    }
    for (struct id_map_node *node; (node = id_map_any(&shard->jobs));)
        job_free(CONTAINER_OF(node, struct job, by_id));
    for (struct id_map_node *node; (node = id_map_any(&shard->queues));)
        endpoint_queue_free(CONTAINER_OF(node, struct endpoint_queue, by_id));
    consumer_free(shard->consumer);
    id_map_done(&shard->jobs);
    id_map_done(&shard->queues);
    mailbox_done(&shard->mailbox);
    loop_done(&shard->loop);
    free(shard);
}
