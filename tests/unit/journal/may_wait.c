/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes that may wait for a commit that carries more. */
#include "runtime/metrics.h"
#include "unit/journal/fixture.h"
#include "unit/sqlite/faulty_disk.h"

#include <criterion/criterion.h>

#define ENDPOINT 7
#define COUNT 20
/* Longer than any batch waits, and much shorter than a minute. */
#define AT_LATEST_US (5 * US_PER_SECOND)
#define TRIALS_MAX 100

static struct journal_record outcome_of(int64_t delivery, bool may_wait)
{
    struct journal_record outcome = move_of(delivery, DELIVERY_PENDING, DELIVERY_DELIVERED);
    outcome.may_wait = may_wait;
    return outcome;
}

/* As many deliveries, to be recorded. */
static void accept_some(struct desk *desk, int64_t *ret_ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cr_assert(desk_append(desk, (struct draft){0}, ENDPOINT, NULL) == OK);
        ret_ids[i] = desk_last_delivery(desk);
    }
}

static int64_t commits(void)
{
    return (int64_t)metrics_read(METRIC_JOURNAL_COMMITS);
}

Test(may_wait, a_lone_outcome_is_committed_after_its_time)
{
    struct desk *desk = desk_new();
    int64_t id;
    accept_some(desk, &id, 1);
    struct journal_record outcome = outcome_of(id, true);
    int64_t started_us = clock_mono_us();
    cr_assert(desk_call(desk, &outcome.request) == OK);
    int64_t took_us = clock_mono_us() - started_us;
    cr_expect(
        took_us >= JOURNAL_WAIT_US - 1000 && took_us < AT_LATEST_US, "%lld us", (long long)took_us);
    cr_expect(desk_sql_int(desk, "SELECT count(*) FROM deliveries WHERE state = 4") == 1);
    desk_free(desk);
}

Test(may_wait, those_of_the_same_time_share_one_commit)
{
    struct desk *desk = desk_new();
    int64_t ids[COUNT];
    struct journal_record outcomes[COUNT];
    accept_some(desk, ids, COUNT);
    int64_t before = commits();
    size_t answers = desk->answers_count;
    for (unsigned i = 0; i < COUNT; i++) {
        outcomes[i] = outcome_of(ids[i], true);
        desk_submit(desk, &outcomes[i].request);
    }
    desk_wait_answers(desk, answers + COUNT);
    cr_expect(commits() - before < COUNT / 2, "%lld commits", (long long)(commits() - before));
    for (unsigned i = 0; i < COUNT; i++)
        cr_expect(outcomes[i].request.result == OK);
    desk_free(desk);
}

/* What a request does that arrives while an outcome waits. */
struct trial {
    int64_t took_us, commits;
    int64_t waiting; /* the delivery whose outcome waited */
};

static struct trial submit_behind_one_that_waits(struct desk *desk, struct request *request)
{
    struct trial trial = {0};
    accept_some(desk, &trial.waiting, 1);
    struct journal_record waiting = outcome_of(trial.waiting, true);
    size_t answers = desk->answers_count;
    desk_submit(desk, &waiting.request);
    int64_t before = commits(), started_us = clock_mono_us();
    desk_submit(desk, request);
    desk_wait_answers(desk, answers + 2);
    trial.took_us = clock_mono_us() - started_us;
    trial.commits = commits() - before;
    cr_expect(waiting.request.result == OK && request->result == OK);
    const struct request *last = NULL;
    for (size_t at = 0; at < desk->arrivals_count; at++)
        if (desk->arrivals[at].answered)
            last = desk->arrivals[at].answered;
    cr_expect_eq(last, request, "the answers are in the order of posting");
    return trial;
}

enum other { OTHER_OUTCOME, OTHER_START, OTHER_APPEND, OTHER_LOAD, OTHERS };

static struct trial try_other(struct desk *desk, enum other other)
{
    int64_t id;
    struct trial trial;
    if (other == OTHER_APPEND) {
        struct journal_append append;
        struct event *event = desk_event(desk, (struct draft){0});
        append_init(&append, event, (uint64_t[]){ENDPOINT}, 1);
        trial = submit_behind_one_that_waits(desk, &append.request);
        event_unref(event);
    } else if (other == OTHER_LOAD) {
        struct loaded loaded;
        loaded_init(&loaded, ENDPOINT);
        loaded.load.budget = &desk->budget;
        loaded.load.request.kind = JOURNAL_LOAD;
        trial = submit_behind_one_that_waits(desk, &loaded.load.request);
        for (unsigned i = 0; i < loaded.load.ret_count; i++)
            cr_expect_neq(loaded.deliveries[i].id, trial.waiting, "it has seen the outcome");
        loaded_done(&loaded);
    } else {
        accept_some(desk, &id, 1);
        struct journal_record record = other == OTHER_START
                                           ? move_of(id, DELIVERY_PENDING, DELIVERY_SENDING)
                                           : outcome_of(id, false);
        trial = submit_behind_one_that_waits(desk, &record.request);
    }
    return trial;
}

/* On a busy machine a request takes longer than an outcome waits, and once a second the totals have
 * a commit of their own. So one trial of many is enough: without the promise there is none. */
Test(may_wait, any_other_request_is_committed_at_once_and_carries_them)
{
    static const char *const titles[OTHERS] = {
        "an outcome that may not wait", "a start", "an event", "a load"};
    for (enum other other = 0; other < OTHERS; other++) {
        struct desk *desk = desk_new(); /* its list of arrivals is bounded */
        bool is_kept = false;
        for (unsigned trials = 0; !is_kept && trials < TRIALS_MAX; trials++) {
            struct trial trial = try_other(desk, other);
            is_kept = trial.took_us < JOURNAL_WAIT_US && trial.commits == 1;
        }
        cr_expect(is_kept, "%s", titles[other]);
        desk_free(desk);
    }
}

Test(may_wait, a_stop_commits_what_waits)
{
    struct desk *desk = desk_new();
    int64_t id;
    accept_some(desk, &id, 1);
    struct journal_record outcome = outcome_of(id, true);
    size_t answers = desk->answers_count;
    desk_submit(desk, &outcome.request);
    desk_stop(desk);
    cr_expect(desk->answers_count == answers + 1 && outcome.request.result == OK);
    desk_open(desk);
    cr_expect(desk_sql_int(desk, "SELECT count(*) FROM deliveries WHERE state = 4") == 1);
    desk_free(desk);
}

Test(may_wait, an_outcome_that_the_disk_refuses_is_answered_with_the_error)
{
    struct desk *desk = desk_new();
    int64_t id;
    accept_some(desk, &id, 1);
    struct journal_record outcome = outcome_of(id, true);
    disk_be_full(true);
    cr_expect(desk_call(desk, &outcome.request) == ERR_DISK_FULL);
    disk_be_full(false);
    cr_expect(desk_sql_int(desk, "SELECT count(*) FROM deliveries WHERE state = 0") == 1);
    desk_free(desk);
}
