/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "delivery/shard.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "fake_client.h"
#include "journal/journal_sqlite.h"
#include "model_flow.h"
#include "publication.h"
#include "queue/consumer.h"
#include "runtime/thread.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_FD 3
#define FORCED_PER_MILLE 50 /* starts that adopt delivery from another journal by force */

/* Takes the place of the ingress thread: only its mailbox, which receives the answers. */
struct ingress {
    struct mailbox mailbox;
    struct thread thread;
    struct mail stop;
    bool stopping;
};

/* One run of the gateway. A crash abandons it as it is. */
struct gateway {
    struct thread main;
    struct accounts *accounts;
    struct ingress ingress;
    struct byte_budget budget;
    struct broker_connector *connector; /* NULL in direct mode */
    struct delivery_shard *shard;
    struct journal *journal;
    bool stop_wanted, failed;
    int64_t drain_us;
    unsigned long disk_errors_before;
    enum err start_error;
    char start_detail[256];
};

struct posting {
    struct journal_append append;
    struct model_post *post;
};

struct acting {
    struct journal_operator_action action;
    struct model_action *model_action;
};

struct creating {
    struct journal_replay_create create;
    struct model_replay *model_replay;
};

struct changing {
    struct journal_replay_change change;
    struct model_replay *model_replay;
};

const struct hash_seed world_seed = {{7}};

static struct gateway *gateway;
static enum world_state state;
static struct world_options options;

const struct backlog_board *world_backlog(void)
{
    return gateway && gateway->journal ? gateway->journal->backlog : NULL;
}

void world_init(const struct world_options *chosen)
{
    options = *chosen;
    model_flow_policy(chosen->policy.rules.in_flight_max, chosen->policy.in_flight_per_shard);
}

enum world_state world_state(void)
{
    return state;
}

bool world_must_stop(void)
{
    return gateway && gateway->failed;
}

const struct delivery_policy *world_policy(void)
{
    return &options.policy;
}

struct accounts *world_accounts(void)
{
    return gateway ? gateway->accounts : NULL;
}

/* Ingress. */

static void run_ingress(void *context)
{
    struct ingress *self = context;
    while (!self->stopping) {
        mailbox_wait(&self->mailbox, -1);
        mailbox_work(&self->mailbox);
    }
}

static void on_ingress_stop(struct mail *mail, void *receiver)
{
    (void)mail;
    ((struct ingress *)receiver)->stopping = true;
}

static void on_appended(struct request *request, void *receiver)
{
    (void)receiver;
    struct posting *posting = CONTAINER_OF(request, struct posting, append.request);
    model_answered(posting->post, request->result, &posting->append.ret_id);
    event_unref(posting->append.event);
    free(posting);
}

static bool append_event(const struct event_parts *parts, struct model_post *post,
    const struct model_post_parts *model_parts, int share_percent)
{
    struct event *event;
    enum err failed = event_new(parts, &gateway->budget, share_percent, &event);
    fail_unless(!failed || failed == ERR_OVERLOADED, BROKEN_SIM, "no event: %s", err_name(failed));
    if (failed)
        return false;
    struct posting *posting = calloc(1, sizeof *posting);
    assert(posting);
    struct journal_append *append = &posting->append;
    append->request = (struct request){
        .kind = JOURNAL_APPEND, .reply_to = &gateway->ingress.mailbox, .on_done = on_appended};
    append->event = event;
    if (parts->key.len)
        dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &append->dedupe_key);
    append->endpoints_count = model_parts->endpoints_count;
    memcpy(append->endpoints, model_parts->endpoints, sizeof append->endpoints);
    posting->post = post ? post : model_posted(model_parts);
    if (disk_board_get(&gateway->journal->room).reason == ROOM_FULL)
        model_disk_is_short(posting->post);
    journal_submit(gateway->journal, &append->request);
    return true;
}

bool world_post(
    const struct event_parts *parts, const struct model_post_parts *model_parts, int share_percent)
{
    return append_event(parts, NULL, model_parts, share_percent);
}

bool world_append(const struct event_parts *parts, struct model_post *post,
    const struct model_post_parts *model_parts, int share_percent)
{
    return append_event(parts, post, model_parts, share_percent);
}

static void on_acted(struct request *request, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, ask);
    (void)receiver;
    struct acting *acting = CONTAINER_OF(action, struct acting, action);
    model_action_answered(
        acting->model_action, action->ask.result, action->ret_state, action->ret_refusal);
    free(acting);
}

void world_action(struct model_delivery *delivery, enum delivery_state from, enum delivery_state to,
    uint64_t endpoint)
{
    struct acting *acting = calloc(1, sizeof *acting);
    assert(acting);
    acting->model_action = model_ordered(delivery, from, to, endpoint);
    struct journal_operator_action *action = &acting->action;
    action->event = delivery->post->id;
    action->index = delivery->index;
    action->from = from;
    action->to = to;
    action->endpoint = endpoint;
    action->allows_doubt = true;
    snprintf(action->note, sizeof action->note, "ordered by the model");
    action->ask.reply_to = &gateway->ingress.mailbox;
    action->ask.on_done = on_acted;
    delivery_shard_operator_action(gateway->shard, action);
}

/* Replays. */

static void on_replay_created(struct request *request, void *receiver)
{
    struct creating *creating = CONTAINER_OF(request, struct creating, create.ask);
    (void)receiver;
    model_replay_created(creating->model_replay, request->result);
    free(creating);
}

void world_create_replay(const struct replay_order *order, struct model_replay *model_replay)
{
    struct creating *creating = calloc(1, sizeof *creating);
    assert(creating);
    creating->model_replay = model_replay;
    creating->create.order = *order;
    creating->create.ask.reply_to = &gateway->ingress.mailbox;
    creating->create.ask.on_done = on_replay_created;
    delivery_shard_create_replay(gateway->shard, &creating->create);
}

static void on_replay_changed(struct request *request, void *receiver)
{
    struct changing *changing = CONTAINER_OF(request, struct changing, change.ask);
    (void)receiver;
    model_replay_changed(
        changing->model_replay, request->result, changing->change.ret_replay.state);
    free(changing);
}

void world_change_replay(
    struct model_replay *model_replay, const struct journal_replay_change *wanted)
{
    struct changing *changing = calloc(1, sizeof *changing);
    assert(changing);
    model_replay_change_ordered(model_replay);
    changing->model_replay = model_replay;
    changing->change = *wanted;
    changing->change.id = model_replay_order(model_replay)->id;
    changing->change.ask.reply_to = &gateway->ingress.mailbox;
    changing->change.ask.on_done = on_replay_changed;
    delivery_shard_change_replay(gateway->shard, &changing->change);
}

unsigned world_deciding(void)
{
    return gateway && gateway->shard ? (unsigned)gateway->shard->deciding.count : 0;
}

/* The gateway's parts, in the order of main/gateway.c. */

static void on_endpoint_changed(uint64_t endpoint, int64_t version)
{
    if (gateway->shard)
        delivery_shard_endpoint_changed(gateway->shard, endpoint, version);
}

static void on_switch_changed(void)
{
    if (gateway && gateway->shard)
        delivery_shard_switch_changed(gateway->shard);
}

static void on_journal_failed(void *context, enum err error)
{
    struct gateway *self = context;
    trace("the journal fails: %s", err_name(error));
    fail_unless(disk_errors() > self->disk_errors_before, "P1",
        "the journal fails, but the disk has not refused anything");
    self->failed = true;
    model_journal_failed();
    tally(TALLY_JOURNAL_FAILED);
}

static enum err start_shard(struct gateway *self)
{
    struct consumer_options consumer = {.seed = world_seed,
        .journals = &self->journal,
        .partitions = options.partitions,
        .shards = 1,
        .prefetch = options.prefetch,
        .prefetch_bytes = options.prefetch_bytes,
        .taps = options.taps};
    if (options.partitions > 0) {
        consumer.connector = self->connector = fake_connector_new();
        if (sim_chance(STREAM_DRIVER, FORCED_PER_MILLE)) {
            consumer.forced_since_us = sim_wall_us();
            model_adopted(consumer.forced_since_us);
        }
    }
    return delivery_shard_start(self->shard, self->journal, self->connector ? &consumer : NULL);
}

static enum err start_parts(struct gateway *self)
{
    self->accounts = fake_accounts_open(on_endpoint_changed, on_switch_changed);
    enum err failed = mailbox_init(&self->ingress.mailbox, &self->ingress);
    if (!failed)
        failed = thread_start(&self->ingress.thread, "ingress-0", run_ingress, &self->ingress);
    fail_unless(!failed, BROKEN_SIM, "ingress does not start");
    self->budget.bytes_max = options.budget_bytes;
    failed = delivery_shard_new(
        &(struct delivery_options){
            .policy = options.policy, .accounts = self->accounts, .budget = &self->budget},
        &self->shard);
    if (failed)
        return failed;
    struct journal_sqlite_options journal_options = {.directory = WORLD_DIRECTORY,
        .expiry = {options.bodies_us, options.history_us},
        .reserve_bytes = options.reserve_bytes,
        .listener = {.on_failed = on_journal_failed, .context = self}};
    delivery_shard_listen_to_journal(self->shard, &journal_options.listener);
    int64_t wall_offset_us = sim_wall_us() - sim_mono_us();
    failed = journal_sqlite_open(&journal_options, &self->journal, self->start_detail);
    if (failed)
        return failed;
    model_journal_opened(sim_mono_us() + wall_offset_us);
    return start_shard(self);
}

static void stop_parts(struct gateway *self)
{
    if (self->journal) {
        delivery_shard_stop(self->shard, self->drain_us);
        delivery_shard_join(self->shard);
        journal_stop(TAKE(self->journal));
    }
    fake_connector_stop(TAKE(self->connector));
    fake_accounts_close(self->accounts);
    self->accounts = NULL;
    delivery_shard_free(self->shard);
    self->shard = NULL;
    self->ingress.stop.on_receive = on_ingress_stop;
    mailbox_post(&self->ingress.mailbox, &self->ingress.stop);
    thread_join(&self->ingress.thread);
    mailbox_work(&self->ingress.mailbox);
    mailbox_done(&self->ingress.mailbox);
}

static bool is_told_to_stop(void *context)
{
    return ((struct gateway *)context)->stop_wanted;
}

static void run_main(void *context)
{
    struct gateway *self = context;
    self->start_error = start_parts(self);
    if (self->start_error)
        trace("the start fails: %s", self->start_detail);
    else
        state = WORLD_UP;
    while (!self->start_error && !self->stop_wanted)
        sim_wait(is_told_to_stop, self, INT64_MAX);
    stop_parts(self);
}

/* Called by the driver. */

void world_start(void)
{
    assert(state == WORLD_DOWN && !gateway);
    gateway = calloc(1, sizeof *gateway);
    assert(gateway);
    gateway->disk_errors_before = disk_errors();
    state = WORLD_STARTING;
    tally(TALLY_STARTS);
    trace("start");
    enum err failed = thread_start(&gateway->main, "main", run_main, gateway);
    fail_unless(!failed, BROKEN_SIM, "main does not start");
}

void world_stop(int64_t drain_us)
{
    assert(state == WORLD_UP);
    trace("stop, drain %lld us", (long long)drain_us);
    gateway->drain_us = drain_us;
    gateway->stop_wanted = true;
    state = WORLD_STOPPING;
}

void world_crash(enum disk_crash how)
{
    trace("%s", how == DISK_KILL ? "killed" : "power loss");
    tally(how == DISK_KILL ? TALLY_KILLS : TALLY_POWER_LOSSES);
    if (sim_is_crashed())
        tally(TALLY_DEATHS_IN_DISK);
    sim_abandon();
    disk_crash(how);
    fake_client_forget();
    model_crashed();
    fake_broker_gateway_crashed();
    publications_end();
    close_range(FIRST_FD, UINT_MAX, 0); /* of the mailboxes */
    gateway = NULL;
    state = WORLD_DOWN;
}

void world_set_policy(const struct delivery_policy *changed)
{
    options.policy = *changed;
    model_flow_policy(changed->rules.in_flight_max, changed->in_flight_per_shard);
    if (state == WORLD_UP)
        delivery_shard_set_policy(gateway->shard, changed);
}

static void notice_end(void)
{
    struct gateway *self = gateway;
    if (!self || sim_is_crashed() || !sim_has_ended((struct sim_coroutine *)(void *)self->main.id))
        return;
    bool disk_refused = disk_errors() > self->disk_errors_before;
    if (self->start_error) {
        bool of_disk = self->start_error == ERR_DISK || self->start_error == ERR_DISK_FULL;
        fail_unless(of_disk && disk_refused, BROKEN_REOPEN, "the gateway does not start: %s, %s",
            err_name(self->start_error), self->start_detail);
        tally(TALLY_STARTS_REFUSED);
    } else {
        tally(TALLY_STOPS);
        publications_end();
        fail_unless(
            fake_broker_links() == 0, BROKEN_CREDIT, "connections to the broker were not closed");
        fail_unless(atomic_load(&self->budget.taken_bytes) == 0, BROKEN_CREDIT,
            "%lld bytes of events were not released", (long long)self->budget.taken_bytes);
        fail_unless(model_in_flight() == 0, BROKEN_CREDIT, "posts or actions were never answered");
        model_look();
    }
    model_stopped(!disk_refused);
    trace("down");
    free(self);
    gateway = NULL;
    state = WORLD_DOWN;
}

void world_check(void)
{
    notice_end();
    model_look();
}
