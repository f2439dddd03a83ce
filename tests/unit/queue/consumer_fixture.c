/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_fixture.h"

#include "accounts/directory_publish.h"
#include "runtime/log.h"
#include "runtime/rcu.h"
#include "support/at_end.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGES_AT_ONCE 4

struct taken taken;
struct event_taker taker;
struct event_source *source;
struct consumer_options consumer_options;
struct broker_status *consumer_status;
const struct hash_seed consumer_seed = {{7}};

static struct loop loop;
static struct directory *directory;
static struct event_id_generator ids;
static char accounts[QUEUE_PARTITIONS][NAME_BYTES_MAX + 1];
static bool is_closed;

/* The taker */

static struct test_job *job_in(const struct sourced *sourced)
{
    return CONTAINER_OF(sourced, struct test_job, sourced);
}

static void end_of(struct test_job *job)
{
    list_remove(&job->sourced.in_event);
    event_unref(job->delivery.event);
    job->delivery.event = NULL;
}

static struct sourced *add(struct event_taker *of, const struct delivery *delivery)
{
    cr_assert_eq(of, &taker);
    if (taken.room == 0)
        return NULL;
    taken.room--;
    cr_assert(taken.count < TAKEN_MAX);
    struct test_job *job = calloc(1, sizeof *job);
    job->delivery = *delivery;
    job->sourced.delivery = delivery->id;
    list_init(&job->sourced.in_event);
    taken.jobs[taken.count++] = job;
    return &job->sourced;
}

static void drop(struct event_taker *of, struct sourced *sourced)
{
    struct test_job *job = job_in(sourced);
    cr_assert(job->delivery.event && !sourced->started, "it is not the source's to drop");
    job->is_dropped = true;
    end_of(job);
}

static void take_handover(struct event_taker *of, const struct delivery *delivery)
{
    taken.handed_over++;
    taken.last_handed_over = delivery->id;
    event_unref(delivery->event);
}

static void expect_pending(struct event_taker *of, uint64_t endpoint, int64_t delivery)
{
    cr_assert(taken.expected < TAKEN_MAX);
    taken.expectations[taken.expected].endpoint = endpoint;
    taken.expectations[taken.expected++].delivery = delivery;
}

static void look_again(struct event_taker *of, const struct event *event)
{
    cr_assert(event->references > 0);
    taken.looked_again++;
}

static void scan_backlog(struct event_taker *of)
{
    taken.scans++;
}

static bool is_slow(struct event_taker *of, const struct sourced *sourced, int64_t now_mono_us)
{
    return job_in(sourced)->is_slow;
}

static const struct event_taker_ops taker_ops = {.add = add,
    .drop = drop,
    .take_handover = take_handover,
    .expect_pending = expect_pending,
    .look_again = look_again,
    .scan_backlog = scan_backlog,
    .is_slow = is_slow};

static struct test_job *find_job(int64_t event, unsigned index)
{
    for (unsigned i = 0; i < taken.count; i++)
        if (taken.jobs[i]->delivery.id == placement_delivery(event, index) &&
            taken.jobs[i]->delivery.event)
            return taken.jobs[i];
    return NULL;
}

bool has_job(int64_t event, unsigned index)
{
    return find_job(event, index);
}

struct test_job *job_of(int64_t event, unsigned index)
{
    struct test_job *job = find_job(event, index);
    cr_assert_not_null(job, "no job for delivery %u of event %lld", index, (long long)event);
    return job;
}

void start_job(int64_t event, unsigned index)
{
    job_of(event, index)->sourced.started = true;
}

void end_job(int64_t event, unsigned index, bool adopted)
{
    struct test_job *job = job_of(event, index);
    if (job->sourced.event)
        source->ops->on_end(source, &job->sourced, adopted);
    cr_assert_null(job->sourced.event);
    cr_assert(list_is_empty(&job->sourced.in_event));
    end_of(job);
}

void doubt_job(int64_t event, unsigned index)
{
    struct test_job *job = job_of(event, index);
    cr_assert_not_null(job->sourced.event);
    source->ops->on_doubt(source, &job->sourced);
    cr_assert_null(job->sourced.event);
    end_of(job);
}

/* Messages */

const char *account_of(unsigned partition)
{
    return accounts[partition];
}

struct message *message_of(unsigned partition)
{
    static struct message messages[MESSAGES_AT_ONCE];
    static char bodies[MESSAGES_AT_ONCE][256];
    static const unsigned char random[8];
    static unsigned count;
    unsigned i = count++ % MESSAGES_AT_ONCE;
    struct message *message = &messages[i];
    snprintf(bodies[i], sizeof bodies[i],
        "{\"type\": \"purchase\", \"account\": \"%s\", \"amount\": \"12.50\", \"currency\": "
        "\"EUR\", \"occurred_at\": \"2023-11-14T22:13:20Z\"}",
        accounts[partition]);
    *message = (struct message){.body = slice_from_string(bodies[i]),
        .body_bytes = strlen(bodies[i]),
        .message_id = SLICE_LITERAL("m"),
        .stream_offset = -1,
        .is_event = true,
        .parts = {.accepted_us = 1700000000000000,
            .class = CLASS_CRITICAL,
            .partner = SLICE_LITERAL("shop"),
            .account = slice_from_string(accounts[partition]),
            .type = SLICE_LITERAL("purchase"),
            .key = SLICE_LITERAL("order-1"),
            .body = slice_from_string(bodies[i])}};
    event_id_make(&ids, message->parts.accepted_us, partition, random, &message->parts.id);
    return message;
}

/* The journal */

struct journal_receive *receive_at(unsigned index)
{
    return CONTAINER_OF(queue_request(JOURNAL_RECEIVE, index), struct journal_receive, request);
}

void answer_received(
    enum journal_received received, bool is_new, int64_t event, unsigned deliveries)
{
    struct journal_receive *receive = receive_at(0);
    receive->ret_received = received;
    receive->ret_is_new = is_new;
    receive->ret_count = deliveries;
    for (unsigned i = 0; i < deliveries; i++)
        receive->ret_deliveries[i] = (struct journal_received_delivery){
            .delivery = placement_delivery(event, i), .endpoint = ENDPOINT_FIRST + i};
    queue_answer(&receive->request, OK);
}

struct message_tag receive_event(unsigned channel, int64_t event, unsigned deliveries)
{
    struct message_tag tag = fake_send(channel, message_of(channel % 2 ? 2 : 0));
    answer_received(RECEIVED_BROKER_OWNED, true, event, deliveries);
    return tag;
}

unsigned adopts(void)
{
    return queue_requests(JOURNAL_ADOPT);
}

struct journal_adopt *adopt_at(unsigned index)
{
    return CONTAINER_OF(queue_request(JOURNAL_ADOPT, index), struct journal_adopt, request);
}

void answer_adopt(enum err result)
{
    queue_answer(queue_request(JOURNAL_ADOPT, 0), result);
}

void answer_kept(enum err result)
{
    queue_answer(queue_request(JOURNAL_KEEP_POISON, 0), result);
}

void hand_over(int64_t event, uint64_t endpoint, unsigned deliveries)
{
    struct journal_handover *handover =
        calloc(1, sizeof *handover + deliveries * sizeof handover->deliveries[0]);
    struct event *made;
    cr_assert_eq(event_new(&message_of(0)->parts, &queue_budgets[0], 100, &made), OK);
    for (unsigned i = 0; i < deliveries; i++)
        handover->deliveries[handover->count++] =
            (struct delivery){.id = placement_delivery(event, i),
                .endpoint = i == 0 ? endpoint : ENDPOINT_FIRST + i,
                .state = DELIVERY_PENDING,
                .event = event_ref(made)};
    event_unref(made);
    event_source_on_handover(source, handover);
}

/* Time, and the broker */

void consumer_pass(int64_t us)
{
    int64_t end_us = clock_mono_us() + us;
    for (struct timer *timer; (timer = loop.timers.first) && timer->due_mono_us <= end_us;) {
        if (timer->due_mono_us > clock_mono_us())
            queue_move_clock(timer->due_mono_us - clock_mono_us());
        loop.now_mono_us = clock_mono_us();
        timer_disarm(&loop, timer);
        timer->on_due(timer);
    }
    loop.now_mono_us = queue_move_clock(end_us - clock_mono_us());
}

void consumer_answer_dial(enum connector_task task, enum err result)
{
    fake_answer_dial(task, result);
    mailbox_work(&queue_mailbox);
}

struct broker_link_status consumer_shown(enum broker_role role)
{
    struct broker_link_status shown;
    cr_assert(broker_status_get(consumer_status, role, 0, &shown));
    return shown;
}

/* Life */

static void publish_account(unsigned partition)
{
    struct account account = {
        .enabled = true, .endpoints_count = 2, .endpoints = {ENDPOINT_FIRST, ENDPOINT_SECOND}};
    char *name = accounts[partition];
    unsigned i = 0;
    do
        snprintf(name, sizeof accounts[partition], "acc_%u", i++);
    while (placement_partition(&consumer_seed, slice_from_string(name), QUEUE_PARTITIONS) !=
           partition);
    snprintf(account.id, sizeof account.id, "%s", name);
    directory_publish(directory, directory_entry_of_account(&account));
}

void consumer_prepare(void)
{
    queue_ground_begin(0);
    memset(&taken, 0, sizeof taken);
    taken.room = TAKEN_MAX;
    is_closed = false;
    cr_assert_eq(loop_init(&loop), OK);
    cr_assert_eq(directory_new(&consumer_seed, &directory), OK);
    for (unsigned i = 0; i < QUEUE_PARTITIONS; i++)
        publish_account(i);
    rcu_go_online();
    consumer_status = broker_status_new();
    taker = (struct event_taker){.ops = &taker_ops,
        .loop = &loop,
        .mailbox = &queue_mailbox,
        .journal = queue_journals[0],
        .directory = directory,
        .budget = &queue_budgets[0]};
    consumer_options = (struct consumer_options){.connector = fake_connector(),
        .status = consumer_status,
        .journals = queue_journals,
        .seed = consumer_seed,
        .partitions = QUEUE_PARTITIONS,
        .shards = QUEUE_SHARDS,
        .prefetch = PREFETCH,
        .prefetch_bytes = PREFETCH_BYTES};
}

void consumer_start(void)
{
    source = consumer_new(&taker, &consumer_options);
    event_source_start(source);
}

void consumer_list_nothing(void)
{
    queue_answer(queue_request(JOURNAL_LIST_BROKER_OWNED, 0), OK);
}

void consumer_connect(void)
{
    consumer_answer_dial(CONNECTOR_OPEN_SUBSCRIBER, OK);
    fake_open_channels();
}

void consumer_begin(void)
{
    consumer_prepare();
    consumer_start();
    consumer_list_nothing();
    consumer_pass(100 * US_PER_MS);
    consumer_connect();
}

void consumer_stop(void)
{
    taker.stopping = true;
}

/* The shard has ended its loop; then the journal ends, and the connector. */
void consumer_end(void)
{
    taker.stopping = true;
    event_source_close(source);
    queue_answer_all(ERR_SHUTTING_DOWN);
    for (int task = 0; task <= CONNECTOR_TAKE_OVER; task++)
        if (fake_is_dialled((enum connector_task)task))
            consumer_answer_dial((enum connector_task)task, ERR_SHUTTING_DOWN);
    assert_at_end(taker.requests_out == 0);
    taker.journal = NULL;
    for (unsigned i = 0; i < taken.count; i++)
        if (taken.jobs[i]->delivery.event)
            end_of(taken.jobs[i]);
    event_source_free(source);
    for (unsigned i = 0; i < taken.count; i++)
        free(taken.jobs[i]);
    rcu_go_offline();
    directory_free(directory);
    broker_status_free(consumer_status);
    loop_done(&loop);
    assert_at_end(metrics_read(METRIC_UNACKED) == 0);
    assert_at_end(metrics_read(METRIC_RECEIVING) == 0);
    assert_at_end(metrics_read(METRIC_SUSPENDED) == 0);
    queue_ground_end();
}
