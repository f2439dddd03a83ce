/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses: finds events that the broker confirmed and has lost. Causes are a purge, a queue that was
 * deleted or expired, a policy that also applies to the queues of dropped messages, or a queue that
 * lost its majority.
 *
 * Every publisher records the ids of confirmed events in a stream (broker/confirmed_ids.h). Each
 * shard reads the whole stream and looks for the ids of its own partitions. Most of them have
 * arrived and are remembered in `seen`. For the others the journal is asked. An id that the journal
 * does not have is lost if that is still so after LOST_US and all queues of the shard have been
 * found empty twice, with no other consumer: by then it would have arrived. The journal keeps lost
 * ids for the audit, and they are logged. If a lost event arrives later, it is not lost any more.
 *
 * The position in the stream is stored after the answers, so a restart asks again. Reading starts
 * one list earlier. If that list does not come, the stream was deleted and declared again, and is
 * read from its beginning. Events that another gateway delivered before a take-over are left out.
 *
 * Limits: the prefetch bounds the lists. `seen` has SEEN_COUNT places; an id that was overwritten
 * costs a question.
 */
#include "queue/consumer_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <inttypes.h>
#include <stdlib.h>

#define SEEN_COUNT 131072 /* a power of two: about ten seconds of events, 2 MiB */
#define ASKED_COUNT_MAX 512
#define QUESTIONS_MAX 8 /* in TICK_US, one after the other: 4096 ids a second and shard */
#define TICK_US US_PER_SECOND
#define ASK_US (2 * US_PER_SECOND) /* after a list has arrived */
#define ASK_EVERY_US (4 * US_PER_SECOND)
#define ROUND_EVERY_US (2 * US_PER_SECOND)
#define LOST_US (10 * US_PER_SECOND)
#define HANDOVER_US (60 * US_PER_SECOND)
#define STORE_EVERY_US (30 * US_PER_SECOND)
#define PROOF_US \
    (20 * US_PER_SECOND) /* for the last known list to arrive, after the stream was opened again */

struct confirmed_list {
    struct list in_lists;
    struct message_tag tag;
    int64_t offset, since_mono_us, asked_mono_us;
    unsigned count, asked; /* the first `asked` of them have been asked about in this pass */
    struct event_id ids[]; /* that have not arrived yet */
};

struct check_request {
    struct journal_check_confirmed check;
    struct consumer *consumer;
    int64_t offset; /* of the list; -1: none */
    struct event_id ids[ASKED_COUNT_MAX];
    bool known[ASKED_COUNT_MAX];
};

bool losses_is_of_confirmed(const struct consumer *consumer, unsigned channel)
{
    return channel >= consumer->queues_count;
}

static unsigned channel_of(const struct consumer *consumer)
{
    return consumer->queues_count;
}

static void read_on(struct consumer *consumer)
{
    int64_t next = consumer->losses.next_offset;
    if (consumer->subscriber)
        subscriber_set_offset(consumer->subscriber, channel_of(consumer), next > 0 ? next - 1 : 0);
}

/* What has arrived. */

static struct event_id *place_of(const struct losses *losses, const struct event_id *id)
{
    uint32_t place;
    memcpy(&place, id->bytes + sizeof id->bytes - sizeof place, sizeof place); /* random */
    return &losses->seen[place & (SEEN_COUNT - 1)];
}

void losses_see(struct consumer *consumer, const struct event_id *id)
{
    if (consumer->losses.seen)
        *place_of(&consumer->losses, id) = *id;
}

static bool is_seen(const struct losses *losses, const struct event_id *id)
{
    return memcmp(place_of(losses, id), id, sizeof *id) == 0;
}

/* The lists. */

static bool ask_about_one(struct consumer *consumer, int64_t now_mono_us);

static void forget_lists(struct losses *losses)
{
    list_for_each_safe (node, following, &losses->lists) {
        list_remove(node);
        free(CONTAINER_OF(node, struct confirmed_list, in_lists));
    }
}

static bool is_ours(const struct consumer *consumer, const struct event_id *id)
{
    int64_t forced_us = consumer->options.forced_since_us;
    return placement_shard(event_id_partition(id), consumer->options.shards) ==
               consumer->taker->shard &&
           (!forced_us || event_id_time_us(id) >= forced_us + HANDOVER_US);
}

void losses_take_list(
    struct consumer *consumer, const struct message_tag *tag, const struct message *message)
{
    consumer->losses.proof_due_us = 0;
    size_t count = message->body.len / sizeof(struct event_id);
    struct confirmed_list *list = malloc(sizeof *list + count * sizeof list->ids[0]);
    if (!list) {
        consumer_give_up(consumer);
        return;
    }
    *list = (struct confirmed_list){.tag = *tag,
        .offset = message->stream_offset,
        .since_mono_us = consumer->taker->loop->now_mono_us};
    for (size_t i = 0; i < count; i++) {
        struct event_id id;
        memcpy(id.bytes, message->body.data + i * sizeof id, sizeof id);
        if (is_ours(consumer, &id) && !is_seen(&consumer->losses, &id))
            list->ids[list->count++] = id;
    }
    list_init(&list->in_lists);
    list_add_tail(&consumer->losses.lists, &list->in_lists);
}

static void remove_seen(const struct losses *losses, struct confirmed_list *list)
{
    unsigned kept = 0, asked = list->asked;
    for (unsigned i = 0; i < list->count; i++) {
        if (!is_seen(losses, &list->ids[i]))
            list->ids[kept++] = list->ids[i];
        else if (i < asked)
            list->asked--;
    }
    list->count = kept;
}

/* Acks lists in order, as far as everything in them has arrived. */
static void end_lists(struct consumer *consumer)
{
    struct losses *losses = &consumer->losses;
    list_for_each_safe (node, following, &losses->lists) {
        struct confirmed_list *list = CONTAINER_OF(node, struct confirmed_list, in_lists);
        if (list->count > 0)
            return;
        subscriber_ack(consumer->subscriber, &list->tag);
        losses->next_offset = list->offset + 1;
        read_on(consumer);
        list_remove(&list->in_lists);
        free(list);
    }
}

void losses_on_channel_open(struct consumer *consumer, unsigned channel)
{
    if (losses_is_of_confirmed(consumer, channel) && consumer->losses.next_offset > 0)
        consumer->losses.proof_due_us = consumer->taker->loop->now_mono_us + PROOF_US;
}

/* The reason is found when the stream is read again. */
void losses_on_channel_lost(struct consumer *consumer, unsigned channel)
{
    if (!losses_is_of_confirmed(consumer, channel))
        return;
    forget_lists(&consumer->losses); /* they are delivered again */
    consumer->losses.proof_due_us = 0;
}

/* The channel is opened again after it has been quiet for a while. */
static void begin_anew(struct consumer *consumer)
{
    log_error("the stream of confirmed ids was deleted: delivery continues, but ids"
              " that were in it and not compared yet are not checked for losses. Do"
              " not delete it. shard=%u stream=" BROKER_CONFIRMED_STREAM
              " expected_offset=%" PRId64,
        consumer->taker->shard, consumer->losses.next_offset - 1);
    metrics_add(METRIC_UNCHECKED, 1);
    consumer->losses.proof_due_us = 0;
    consumer->losses.next_offset = 0;
    read_on(consumer);
}

/* Asking the journal. */

/* The number of lost events that have not arrived since. */
static void show_lost(struct consumer *consumer, int64_t count)
{
    metrics_add(METRIC_LOST, count - consumer->losses.lost);
    consumer->losses.lost = count;
    drops_show(consumer);
}

static void say_lost(struct consumer *consumer, const struct check_request *request)
{
    const struct event_id *first = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < request->check.count; i++) {
        if (request->known[i])
            continue;
        first = first ? first : &request->ids[i];
        count++;
    }
    if (count == 0)
        return;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(first, id);
    log_error("the broker confirmed events and has lost them: \"penstock audit\" "
              "names them. Was a queue purged, deleted, or changed by a policy? "
              "shard=%u count=%u first=%s partition=%u",
        consumer->taker->shard, count, id, event_id_partition(first));
    show_lost(consumer, consumer->losses.lost + count);
}

static struct confirmed_list *find_list(const struct losses *losses, int64_t offset)
{
    list_for_each (node, &losses->lists) {
        struct confirmed_list *list = CONTAINER_OF(node, struct confirmed_list, in_lists);
        if (list->offset == offset)
            return list;
    }
    return NULL;
}

/* Ids that the journal has count as arrived. So do those that were judged as lost, for the list. */
static void take_answer(struct consumer *consumer, const struct check_request *request)
{
    struct confirmed_list *list = find_list(&consumer->losses, request->offset);
    for (unsigned i = 0; i < request->check.count; i++)
        if (request->known[i] || request->check.judge)
            losses_see(consumer, &request->ids[i]);
    if (list)
        remove_seen(&consumer->losses, list);
    if (request->check.judge)
        say_lost(consumer, request);
}

static void on_checked(struct request *journal_request, void *receiver)
{
    struct check_request *request =
        CONTAINER_OF(journal_request, struct check_request, check.request);
    struct consumer *consumer = request->consumer;
    struct losses *losses = &consumer->losses;
    struct event_taker *taker = consumer->taker;
    losses->asking = false;
    if (journal_request->result == OK) {
        if (!losses->is_ready) {
            losses->is_ready = true;
            losses->next_offset = request->check.ret_next_offset;
            read_on(consumer);
        }
        if (request->check.count == 0)
            show_lost(consumer, request->check.ret_lost);
        losses->stored_offset = request->check.ret_next_offset;
        if (!taker->stopping) {
            take_answer(consumer, request);
            if (losses->questions_left > 0 && ask_about_one(consumer, taker->loop->now_mono_us))
                losses->questions_left--;
        }
    }
}

static void submit(struct consumer *consumer, bool judge)
{
    struct losses *losses = &consumer->losses;
    struct check_request *request = losses->request;
    request->consumer = consumer;
    request->check.ids = request->ids;
    request->check.ret_known = request->known;
    request->check.judge = judge;
    request->check.next_offset = losses->is_ready ? losses->next_offset : -1;
    losses->asking = true;
    event_taker_ask(consumer->taker, consumer->taker->journal, &request->check.request,
        JOURNAL_CHECK_CONFIRMED, on_checked);
}

static bool may_judge(
    const struct consumer *consumer, const struct confirmed_list *list, int64_t now_mono_us)
{
    const struct losses *losses = &consumer->losses;
    return now_mono_us - list->since_mono_us >= LOST_US && losses->good_rounds >= 2 &&
           losses->good_round_us >= list->since_mono_us + LOST_US / 2 &&
           !unacked_any_is_refused(consumer);
}

/* Asks about the first list that is old enough and was not asked about lately. */
static bool ask_about_one(struct consumer *consumer, int64_t now_mono_us)
{
    struct losses *losses = &consumer->losses;
    list_for_each (node, &losses->lists) {
        struct confirmed_list *list = CONTAINER_OF(node, struct confirmed_list, in_lists);
        if (now_mono_us - list->since_mono_us < ASK_US)
            break;
        remove_seen(losses, list);
        if (list->count == 0 ||
            (list->asked_mono_us && now_mono_us - list->asked_mono_us < ASK_EVERY_US))
            continue;
        struct check_request *request = losses->request;
        request->offset = list->offset;
        unsigned left = list->count - list->asked;
        request->check.count = left < ASKED_COUNT_MAX ? left : ASKED_COUNT_MAX;
        memcpy(
            request->ids, list->ids + list->asked, request->check.count * sizeof request->ids[0]);
        list->asked += request->check.count;
        if (list->asked == list->count) { /* the next pass starts later */
            list->asked = 0;
            list->asked_mono_us = now_mono_us;
        }
        submit(consumer, may_judge(consumer, list, now_mono_us));
        return true;
    }
    return false;
}

static void ask_nothing(struct consumer *consumer)
{
    consumer->losses.request->check.count = 0;
    consumer->losses.request->offset = -1;
    submit(consumer, false);
}

/* Are the queues empty? */

void losses_on_depth(
    struct consumer *consumer, unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    struct losses *losses = &consumer->losses;
    if (losses_is_of_confirmed(consumer, channel) || !losses->answered || losses->answered[channel])
        return;
    losses->answered[channel] = true;
    /* We consume all of them. A queue without a leader is reported with no messages and no
     * consumers. */
    losses->is_good &= messages_ready == 0 && consumers == 1;
    if (++losses->answers < consumer->queues_count)
        return;
    losses->good_rounds = losses->is_good ? losses->good_rounds + 1 : 0;
    losses->good_round_us = losses->round_us;
}

static void begin_round(struct consumer *consumer, int64_t now_mono_us)
{
    struct losses *losses = &consumer->losses;
    if (losses->answers < consumer->queues_count)
        losses->good_rounds = 0; /* not all questions of the last round were answered */
    memset(losses->answered, 0, consumer->queues_count * sizeof losses->answered[0]);
    losses->answers = 0;
    losses->is_good = true;
    losses->round_us = now_mono_us;
    for (unsigned channel = 0; channel < consumer->queues_count; channel++)
        subscriber_ask_depth(consumer->subscriber, channel);
}

/* True if something has been missing for some seconds. */
static bool misses_something(const struct losses *losses, int64_t now_mono_us)
{
    list_for_each (node, &losses->lists) {
        const struct confirmed_list *list = CONTAINER_OF(node, struct confirmed_list, in_lists);
        if (list->count > 0 && list->asked_mono_us &&
            now_mono_us - list->since_mono_us >= LOST_US / 2)
            return true;
    }
    return false;
}

void losses_tick(struct consumer *consumer, int64_t now_mono_us)
{
    struct losses *losses = &consumer->losses;
    if (!consumer->options.checks || now_mono_us < losses->due_us)
        return;
    losses->due_us = now_mono_us + TICK_US;
    if (!losses->is_ready) {
        if (!losses->asking)
            ask_nothing(consumer);
        return;
    }
    if (losses->proof_due_us && !consumer->reading)
        losses->proof_due_us = now_mono_us + PROOF_US;
    if (losses->proof_due_us && now_mono_us >= losses->proof_due_us)
        begin_anew(consumer);
    if (misses_something(losses, now_mono_us) && now_mono_us - losses->round_us >= ROUND_EVERY_US)
        begin_round(consumer, now_mono_us);
    losses->questions_left = QUESTIONS_MAX - 1;
    bool asks = losses->asking || ask_about_one(consumer, now_mono_us);
    end_lists(consumer);
    if (!asks && losses->next_offset != losses->stored_offset &&
        now_mono_us - losses->stored_us >= STORE_EVERY_US) {
        losses->stored_us = now_mono_us;
        ask_nothing(consumer);
    }
}

/* Life. */

void losses_init(struct consumer *consumer)
{
    struct losses *losses = &consumer->losses;
    list_init(&losses->lists);
    losses->is_ready = !consumer->options.checks;
    if (!consumer->options.checks)
        return;
    losses->seen = memory_new_array(SEEN_COUNT, sizeof *losses->seen);
    losses->answered = memory_new_array(consumer->queues_count, sizeof *losses->answered);
    MEMORY_NEW(losses->request);
    losses->answers = consumer->queues_count;
}

void losses_done(struct consumer *consumer)
{
    struct losses *losses = &consumer->losses;
    if (losses->seen || losses->request)
        forget_lists(losses);
    free(losses->seen);
    free(losses->answered);
    free(losses->request);
}
