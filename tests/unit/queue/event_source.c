/* SPDX-License-Identifier: Apache-2.0 */
/* The direct event source, and the embedded queue in front of it. */
#include "consumer_fixture.h"

#include "queue/queue.h"

static void begin_direct(void)
{
    consumer_prepare();
    source = event_source_direct_new(&taker);
}

TestSuite(direct, .init = begin_direct, .fini = consumer_end);

Test(direct, each_delivery_of_a_handover_is_passed_on_in_order)
{
    for (int64_t event = 1; event <= 3; event++) {
        hand_over(event, ENDPOINT_FIRST, 2);
        cr_assert_eq(taken.handed_over, 2 * event);
        cr_assert_eq(taken.last_handed_over, placement_delivery(event, 1));
    }
    cr_assert_eq(taken.looked_again, 0);
}

Test(direct, an_event_without_an_endpoint_is_looked_at_again)
{
    hand_over(1, 0, 1);
    cr_assert_eq(taken.handed_over, 0);
    cr_assert_eq(taken.looked_again, 1);
}

Test(direct, the_direct_source_asks_the_journal_for_nothing)
{
    event_source_start(source);
    consumer_pass(60 * US_PER_SECOND);
    for (int kind = 0; kind < JOURNAL_KINDS; kind++)
        cr_assert_eq(queue_requests((enum journal_kind)kind), 0);
}

static unsigned durable;
static enum err durable_as;

static void on_durable(struct queue_entry *entry, enum err result)
{
    durable++;
    durable_as = result;
}

Test(direct, an_entry_of_the_embedded_queue_is_durable_when_its_shard_has_committed_it)
{
    static const enum err results[] = {OK, ERR_EXISTS, ERR_CONFLICT, ERR_DISK_FULL};
    struct queue *embedded = direct_queue_new(queue_journals, &queue_mailbox);
    for (unsigned i = 0; i < ARRAY_LENGTH(results); i++) {
        struct queue_entry entry = {.on_durable = on_durable};
        queue_enqueue(embedded, &entry, i % QUEUE_SHARDS);
        cr_assert_eq(queue_request_shard(JOURNAL_APPEND, 0), i % QUEUE_SHARDS);
        cr_assert_eq(durable, i);
        queue_answer(queue_request(JOURNAL_APPEND, 0), results[i]);
        cr_assert_eq(durable, i + 1);
        cr_assert_eq(durable_as, results[i]);
    }
    struct queue_found found;
    struct event_id id = {{0}};
    cr_assert_not(queue_find(embedded, &id, &found), "the journal knows all");
    queue_tick(embedded, clock_mono_us());
    queue_stop(embedded);
    queue_free(embedded);
}
