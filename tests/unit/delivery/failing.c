/* SPDX-License-Identifier: Apache-2.0 */
#include "failing.h"

#include "runtime/metrics.h"

int64_t open_breaker(int64_t first)
{
    while (metrics_read(METRIC_BREAKERS_OPEN) == 0) {
        unsigned recorded = journal_count(JOURNAL_RECORD_OUTCOME);
        hand_over(first, first, "note");
        first++;
        WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == recorded + 1);
    }
    return first;
}

struct journal_load *next_load(unsigned *index, bool is_probe)
{
    for (;;) {
        struct journal_load *load = journal_load_at((*index)++);
        if (load->probe == is_probe)
            return load;
        journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
    }
}

void begin_failing_shard(void)
{
    sink_set(SINK_ANSWER, 500);
    for (unsigned i = 0; i < policy.rules.schedule.steps; i++)
        policy.rules.schedule.steps_us[i] = US_PER_DAY;
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
}
