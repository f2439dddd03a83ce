/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what an endpoint has in memory waits for its client, or only for its turn. */
#include "delivery/endpoint_queue.h"
#include "delivery/shard.h"

#include "base/clock.h"

#include <criterion/criterion.h>

static struct delivery_shard pace_shard;
static struct endpoint_queue queue;

static void begin(void)
{
    pace_shard.loop.now_mono_us = 1000 * US_PER_SECOND;
    queue = (struct endpoint_queue){.shard = &pace_shard};
}

TestSuite(delivery_pace, .init = begin);

static void end_attempts(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        endpoint_queue_count_ended(&queue);
}

static bool is_slow_in(int64_t ms)
{
    pace_shard.loop.now_mono_us += ms * US_PER_MS;
    return endpoint_queue_is_slow(&queue, pace_shard.loop.now_mono_us);
}

Test(delivery_pace, one_that_has_nothing_is_not_slow)
{
    cr_expect(!is_slow_in(0));
    cr_expect(!is_slow_in(10000));
}

Test(delivery_pace, one_that_hangs_is_slow_with_a_single_event)
{
    queue.in_flight = 1;
    cr_expect(is_slow_in(0));
    end_attempts(100);
    cr_expect(!is_slow_in(400), "it was quick just now");
    cr_expect(!is_slow_in(500), "or half a second ago");
    cr_expect(is_slow_in(500));
}

Test(delivery_pace, two_seconds_of_its_own_pace_are_the_bound)
{
    queue.queued = 368;
    queue.in_flight = 32;
    end_attempts(100); /* in half a second: 400 take two */
    cr_expect(!is_slow_in(500));
    queue.queued++;
    cr_expect(is_slow_in(0));
    end_attempts(101);
    cr_expect(!is_slow_in(0), "it has become quicker");
}
