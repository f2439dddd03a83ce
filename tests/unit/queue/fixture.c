/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "broker/lag.h"
#include "runtime/log.h"
#include "runtime/thread.h"
#include "support/at_end.h"

#include <stdlib.h>

#define REQUESTS_MAX 8192
#define SENT_MAX 8192

struct queue_journal {
    struct journal journal;
    unsigned shard;
};

struct queue *queue;
struct recent_keys *queue_known;
bool queue_sends_guarded;

static struct broker_lag *lag;

struct journal *queue_journals[QUEUE_SHARDS];
struct byte_budget queue_budgets[QUEUE_SHARDS];
struct mailbox queue_mailbox;

static struct queue_journal fakes[QUEUE_SHARDS];
static struct broker_options broker = {.partitions = QUEUE_PARTITIONS};
static struct broker_host host; /* the fake broker needs none */
static struct {
    struct request *request;
    unsigned shard;
} received[REQUESTS_MAX];
static unsigned received_count;
static struct sent *all_sent[SENT_MAX];
static unsigned sent_count;
static int64_t now_us; /* 0: no test of the queue is running, and the clock is the system's */
static struct event_id_generator ids;

/* In place of the clock (--wrap): what a test does takes no time, however busy the machine is. */
int64_t __real_clock_mono_us(void);
int64_t __wrap_clock_mono_us(void);

int64_t __wrap_clock_mono_us(void)
{
    return now_us ? now_us : __real_clock_mono_us();
}

static void submit(struct journal *journal, struct request *request)
{
    cr_assert(received_count < REQUESTS_MAX);
    received[received_count].request = request;
    received[received_count++].shard = CONTAINER_OF(journal, struct queue_journal, journal)->shard;
}

void queue_ground_begin(int64_t left)
{
    static const struct journal_ops ops = {.submit = submit};
    now_us = clock_mono_us();
    thread_adopt_main();
    log_set_level(LOG_ERROR);
    fake_broker_begin();
    received_count = 0;
    cr_assert_eq(mailbox_init(&queue_mailbox, NULL), OK);
    for (unsigned i = 0; i < QUEUE_SHARDS; i++) {
        fakes[i] =
            (struct queue_journal){.journal = {.ops = &ops, .found.outbox = left}, .shard = i};
        queue_journals[i] = &fakes[i].journal;
        queue_budgets[i].bytes_max = 1 << 20;
    }
}

void queue_ground_end(void)
{
    mailbox_done(&queue_mailbox);
    for (unsigned i = 0; i < QUEUE_SHARDS; i++)
        assert_at_end(queue_budgets[i].taken_bytes == 0);
    thread_leave_main();
}

void queue_answer_all(enum err result)
{
    for (unsigned i = 0; i < received_count; i++)
        if (received[i].request)
            queue_answer(received[i].request, result);
}

int64_t queue_move_clock(int64_t us)
{
    return now_us += us;
}

struct operator_event queue_operator_events[16];
unsigned queue_operator_events_count;

static void keep_operator_event(void *context, const struct operator_event *event)
{
    cr_assert_lt(queue_operator_events_count, ARRAY_LENGTH(queue_operator_events));
    queue_operator_events[queue_operator_events_count++] = *event;
}

void queue_fixture_begin(bool outbox, int64_t left)
{
    queue_ground_begin(left);
    queue_known = recent_keys_new(64);
    struct broker_queue_options options = {.breaker = {.host = &host,
                                               .connector = fake_connector(),
                                               .broker = &broker,
                                               .reply_to = &queue_mailbox,
                                               .window = 4096,
                                               .confirm_timeout_us = CONFIRM_TIMEOUT_US,
                                               .lag = lag,
                                               .lag_us_max = LAG_US_MAX},
        .journals = queue_journals,
        .budgets = queue_budgets,
        .known = queue_known,
        .shards = QUEUE_SHARDS,
        .threads = 1,
        .outbox = outbox,
        .operator_events = {.post = keep_operator_event}};
    cr_assert_eq(broker_queue_new(&options, &queue), OK);
}

void queue_fixture_begin_with_lag(void)
{
    lag = broker_lag_new(QUEUE_PARTITIONS, 1);
    queue_fixture_begin(false, 0);
}

/* As a gateway ends: the thread, then the journals and the connector, then the rest. */
void queue_fixture_end(void)
{
    queue_stop(queue);
    queue_answer_all(ERR_SHUTTING_DOWN);
    if (fake_is_dialled(CONNECTOR_OPEN_PUBLISHER))
        fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_SHUTTING_DOWN);
    queue_work();
    queue_free(queue);
    recent_keys_free(queue_known);
    broker_lag_free(lag);
    lag = NULL;
    queue_sends_guarded = false;
    for (unsigned i = 0; i < sent_count; i++) {
        assert_at_end(all_sent[i]->answers == 1);
        free(all_sent[i]);
    }
    queue_ground_end();
}

void queue_arrive(const struct sent *sent)
{
    broker_lag_arrived(lag, &sent->id, now_us);
}

struct disk_board *queue_room(unsigned shard)
{
    return &queue_journals[shard]->room;
}

void queue_work(void)
{
    mailbox_work(&queue_mailbox);
}

void queue_connect(void)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, OK);
    queue_work();
}

void queue_pass(int64_t us)
{
    queue_tick(queue, queue_move_clock(us));
}

static void on_durable(struct queue_entry *entry, enum err result)
{
    struct sent *sent = CONTAINER_OF(entry, struct sent, entry);
    sent->answers++;
    sent->result = result;
    event_unref(entry->append.event);
}

static struct event *event_of(unsigned partition, const char *key, const char *amount)
{
    struct event_parts parts = {.accepted_us = 1700000000000000,
        .partner = SLICE_LITERAL("shop"),
        .account = SLICE_LITERAL("acc_1"),
        .type = SLICE_LITERAL("purchase"),
        .key = slice_from_string(key),
        .amount = slice_from_string(amount),
        .currency = slice_from_string(*amount ? "EUR" : ""),
        .guarded = queue_sends_guarded,
        .body = SLICE_LITERAL("{}")};
    static unsigned char random[8];
    event_id_make(&ids, parts.accepted_us, partition, random, &parts.id);
    struct event *event;
    cr_assert_eq(event_new(&parts, &queue_budgets[partition % QUEUE_SHARDS], 100, &event), OK);
    return event;
}

struct sent *queue_send(unsigned partition, const char *key, const char *amount)
{
    struct sent *sent = calloc(1, sizeof *sent);
    cr_assert(sent_count < SENT_MAX);
    all_sent[sent_count++] = sent;
    sent->entry.on_durable = on_durable;
    sent->entry.append.event = event_of(partition, key, amount);
    const struct event_parts *parts = &sent->entry.append.event->parts;
    sent->id = parts->id;
    dedupe_key_of(
        parts->partner, parts->account, parts->type, parts->key, &sent->entry.append.dedupe_key);
    queue_enqueue(queue, &sent->entry, partition % QUEUE_SHARDS);
    return sent;
}

void queue_expect(const struct sent *sent, enum err result)
{
    cr_assert_eq(sent->answers, 1, "answered %u times", sent->answers);
    cr_assert_eq(
        sent->result, result, "%s instead of %s", err_name(sent->result), err_name(result));
}

/* Returns the position of the index-th request of its kind among all requests, or -1. */
static int find_request(enum journal_kind kind, unsigned index)
{
    for (unsigned i = 0; i < received_count; i++)
        if (received[i].request && received[i].request->kind == kind && index-- == 0)
            return (int)i;
    return -1;
}

unsigned queue_requests(enum journal_kind kind)
{
    unsigned count = 0;
    while (find_request(kind, count) >= 0)
        count++;
    return count;
}

struct request *queue_request(enum journal_kind kind, unsigned index)
{
    int at = find_request(kind, index);
    cr_assert(at >= 0, "no such request");
    return received[at].request;
}

unsigned queue_request_shard(enum journal_kind kind, unsigned index)
{
    return received[find_request(kind, index)].shard;
}

struct journal_append *queue_append(unsigned index)
{
    return CONTAINER_OF(queue_request(JOURNAL_APPEND, index), struct journal_append, request);
}

void queue_answer(struct request *request, enum err result)
{
    for (unsigned i = 0; i < received_count; i++)
        if (received[i].request == request)
            received[i].request = NULL; /* it may be freed, and used again */
    request_answer(request, result);
    queue_work();
}

void queue_answer_load(
    unsigned index, int64_t first_number, unsigned count, const unsigned *partitions)
{
    struct journal_load_outbox *load = CONTAINER_OF(
        queue_request(JOURNAL_LOAD_OUTBOX, index), struct journal_load_outbox, request);
    cr_assert(count <= load->count_max);
    for (unsigned i = 0; i < count; i++)
        load->ret_entries[i] = (struct journal_outbox_entry){
            .number = first_number + i, .event = event_of(partitions[i], "k", "")};
    load->ret_count = count;
    queue_answer(&load->request, OK);
}
