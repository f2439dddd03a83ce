/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard says of the queues of its endpoints. */
#include "delivery/queue_look.h"
#include "failing.h"
#include "journal/queue_look.h"

#include <stdatomic.h>

TestSuite(queue_look, .init = fixture_begin, .fini = fixture_end);

#define NOBODY 999

static _Atomic unsigned answered;

static void on_answered(struct request *request, void *receiver)
{
    (void)request;
    (void)receiver;
    atomic_fetch_add(&answered, 1);
}

static void look_at(struct queue_look *look, struct queue_look_entry *entries, unsigned count)
{
    unsigned before = atomic_load(&answered);
    *look = (struct queue_look){.ask.on_done = on_answered, .entries = entries, .count = count};
    delivery_shard_look(shard, look);
    WAIT_UNTIL(atomic_load(&answered) > before);
    cr_assert(look->ask.result == OK);
}

Test(queue_look, of_an_endpoint_that_fails_tells_breaker_probe_and_cause)
{
    struct queue_look look;
    begin_failing_shard();
    struct queue_look_entry entries[] = {{.endpoint = endpoint}, {.endpoint = NOBODY}};
    look_at(&look, entries, 2);
    cr_expect(entries[0].ret_breaker == BREAKER_CLOSED && entries[0].ret_failing_since_us == 0);
    int64_t failed = open_breaker(1) - 1;
    look_at(&look, entries, 2);
    cr_expect(entries[0].ret_found && !entries[1].ret_found);
    cr_expect(entries[0].ret_breaker != BREAKER_CLOSED && entries[0].ret_failing_since_us > 0);
    cr_expect(entries[0].ret_next_probe_us > entries[0].ret_failing_since_us ||
              entries[0].ret_probes_in_flight > 0);
    cr_expect(entries[0].ret_causes[0].cause == CAUSE_FAILED);
    cr_expect(entries[0].ret_causes[0].present + entries[0].ret_causes[0].before >= failed);
    cr_expect(entries[1].ret_breaker == BREAKER_CLOSED && entries[1].ret_causes[0].present == 0);
    cr_expect(!look.ret_journal_refuses);
}

/* Other shards may still drain, and operators ask why the gateway does not stop. */
Test(queue_look, of_a_shard_that_has_drained_is_answered_before_it_is_joined)
{
    static struct queue_look look;
    begin_shard(NULL);
    delivery_shard_stop(shard, US_PER_SECOND);
    delivery_shard_await_drained(shard);
    for (unsigned turn = 1; turn <= 2; turn++) {
        look = (struct queue_look){.ask.on_done = on_answered};
        delivery_shard_look(shard, &look);
        WAIT_UNTIL(atomic_load(&answered) == turn);
        cr_assert(look.ask.result == ERR_SHUTTING_DOWN);
    }
    end_shard(0);
}
