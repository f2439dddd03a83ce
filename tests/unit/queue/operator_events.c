/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of operator events, between real accounts and journals that the test answers for. */
#include "queue/operator_events.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"
#include "support/at_end.h"
#include "support/wait_until.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SHARDS 2
#define PARTITIONS 4
#define STORED_MAX 2048

static struct accounts *accounts;
static uint64_t added; /* the endpoint */
static struct operator_events *events;
static struct operator_event_sink sink;
static char directory[64];
static const struct hash_seed seed = {{7}};

/* --- the journals --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct event *stored[STORED_MAX];
static unsigned stored_count, endpoints_count;
static struct request *held;
static bool holds;
static enum err answer;

static void submit(struct journal *journal, struct request *request)
{
    struct journal_append *append = CONTAINER_OF(request, struct journal_append, request);
    cr_assert_eq(request->kind, JOURNAL_APPEND);
    pthread_mutex_lock(&lock);
    stored[stored_count++] = event_ref(append->event);
    endpoints_count = append->endpoints_count;
    held = holds ? request : NULL;
    pthread_mutex_unlock(&lock);
    if (!holds)
        request_answer(request, answer);
}

static unsigned count_stored(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = stored_count;
    pthread_mutex_unlock(&lock);
    return count;
}

static struct journal fakes[SHARDS];
static struct journal *journals[SHARDS] = {&fakes[0], &fakes[1]};

/* --- the fixture --- */

static void add_endpoint(const char *pattern)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_ADD_ENDPOINT, .account = OPERATOR_ACCOUNT, .endpoint.enabled = true};
    snprintf(request.endpoint.name, sizeof request.endpoint.name, "main");
    snprintf(request.endpoint.url, sizeof request.endpoint.url, "https://ops.test/in");
    if (pattern)
        snprintf(request.endpoint.types.patterns[request.endpoint.types.count++],
            sizeof request.endpoint.types.patterns[0], "%s", pattern);
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
    added = request.ret_endpoint;
}

static void disable_endpoint(void)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_ENDPOINT,
        .account = OPERATOR_ACCOUNT,
        .endpoint_id = added,
        .changes = ENDPOINT_CHANGE_ENABLED};
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
}

static void begin(void)
{
    static const struct journal_ops ops = {.submit = submit};
    char detail[256];
    thread_adopt_main();
    log_set_level((enum log_level) - 1);
    snprintf(directory, sizeof directory, "/tmp/penstock-operator-XXXXXX");
    cr_assert(mkdtemp(directory));
    for (unsigned i = 0; i < SHARDS; i++)
        fakes[i].ops = &ops;
    cr_assert_eq(accounts_open(directory, &seed, &accounts, detail), OK, "%s", detail);
    struct accounts_request account = {
        .base.kind = ACCOUNTS_ADD_ACCOUNT, .account = OPERATOR_ACCOUNT};
    cr_assert_eq(accounts_call(accounts, &account), OK, "%s", account.detail);
    const struct operator_events_options options = {.accounts = accounts,
        .journals = journals,
        .seed = seed,
        .partitions = PARTITIONS,
        .shards = SHARDS,
        .stores = true};
    cr_assert_eq(operator_events_new(&options, &events), OK);
    sink = operator_events_sink(events);
}

static void end(void)
{
    operator_events_free(events);
    accounts_stop(accounts);
    for (unsigned i = 0; i < stored_count; i++)
        event_unref(stored[i]);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_at_end(system(command) == 0);
    thread_leave_main();
}

TestSuite(operator_events, .init = begin, .fini = end);

static void start(void)
{
    cr_assert_eq(operator_events_start(events), OK);
}

static void post(enum operator_event_kind kind, const char *cause)
{
    struct operator_event event = {.kind = kind, .account = "acc_1", .is_logged = true};
    snprintf(event.cause, sizeof event.cause, "%s", cause);
    operator_event_post(&sink, &event);
}

/* --- tests --- */

Test(operator_events, what_is_posted_is_counted_listed_and_stored_for_the_endpoints_that_take_it)
{
    static struct operator_event listed[OPERATOR_EVENTS_LISTED_MAX];
    int64_t before_us = clock_wall_us();
    add_endpoint("endpoint.*");
    start();
    post(OPERATOR_ENDPOINT_FAILING, "first");
    post(OPERATOR_DELIVERY_DEAD, "second");
    operator_events_stop(events);
    cr_assert_eq(operator_events_list(events, listed), 2);
    cr_expect_str_eq(listed[0].cause, "second", "the newest is first");
    cr_expect_str_eq(listed[1].cause, "first");
    cr_expect_geq(listed[1].at_us, before_us);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_ENDPOINT_FAILING), 1);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_DELIVERY_DEAD), 1);
    cr_assert_eq(count_stored(), 1, "the endpoint does not take the other one");
    const struct event_parts *parts = &stored[0]->parts;
    cr_expect(slice_equals_string(parts->account, "penstock"));
    cr_expect(slice_equals_string(parts->partner, "penstock"));
    cr_expect(slice_equals_string(parts->type, "endpoint.failing"));
    cr_expect(parts->class == CLASS_IMPORTANT && !parts->guarded);
    cr_expect(parts->key.len == 0 && parts->amount.len == 0);
    cr_expect(slice_starts_with(parts->body, "{\"type\":\"endpoint.failing\","));
    cr_expect_eq(parts->occurred_us, listed[1].at_us);
    cr_expect_eq(endpoints_count, 1);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_STORED), 1);
}

Test(operator_events, without_an_endpoint_nothing_is_stored)
{
    start();
    post(OPERATOR_ENDPOINT_FAILING, "");
    operator_events_stop(events);
    cr_expect_eq(count_stored(), 0);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_ENDPOINT_FAILING), 1);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_NOT_STORED), 0);
}

Test(operator_events, what_has_no_room_is_dropped_and_counted)
{
    static struct operator_event listed[OPERATOR_EVENTS_LISTED_MAX];
    for (unsigned i = 0; i < OPERATOR_EVENTS_WAITING_MAX + 7; i++)
        post(OPERATOR_ENDPOINT_RECOVERED, i == OPERATOR_EVENTS_WAITING_MAX - 1 ? "last" : "");
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_DROPPED), 7);
    start();
    operator_events_stop(events);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_ENDPOINT_RECOVERED), OPERATOR_EVENTS_WAITING_MAX);
    cr_expect_eq(operator_events_list(events, listed), OPERATOR_EVENTS_LISTED_MAX);
    cr_expect_str_eq(listed[0].cause, "last");
}

Test(operator_events, a_thousand_are_stored_at_once_and_more_are_only_counted)
{
    add_endpoint(NULL);
    start();
    for (unsigned i = 0; i < OPERATOR_EVENTS_STORED_BURST + 5; i++) {
        post(OPERATOR_ENDPOINT_RECOVERED, "");
        WAIT_UNTIL(metrics_read(METRIC_OPERATOR_ENDPOINT_RECOVERED) >= (int64_t)i - 100);
    }
    operator_events_stop(events);
    cr_expect_eq(count_stored(), OPERATOR_EVENTS_STORED_BURST);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_STORED), OPERATOR_EVENTS_STORED_BURST);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_NOT_STORED), 5);
}

Test(operator_events, what_the_journal_refuses_is_counted)
{
    add_endpoint(NULL);
    answer = ERR_DISK_FULL;
    start();
    post(OPERATOR_DISK_LOW, "");
    operator_events_stop(events);
    cr_assert_eq(count_stored(), 1);
    cr_expect_eq(stored[0]->parts.class, CLASS_CRITICAL, "others are refused before it");
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_NOT_STORED), 1);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_STORED), 0);
}

static void *answer_later(void *unused)
{
    (void)unused;
    WAIT_UNTIL(count_stored() == 1);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    request_answer(held, OK);
    return NULL;
}

Test(operator_events, the_stop_waits_for_the_journal)
{
    pthread_t thread;
    add_endpoint(NULL);
    holds = true;
    start();
    post(OPERATOR_ENDPOINT_RECOVERED, "");
    cr_assert_eq(pthread_create(&thread, NULL, answer_later, NULL), 0);
    operator_events_stop(events);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_EVENTS_STORED), 1);
    pthread_join(thread, NULL);
}

Test(operator_events, a_disk_that_is_short_is_found_without_being_posted)
{
    static struct operator_event listed[OPERATOR_EVENTS_LISTED_MAX];
    disk_board_set(&fakes[1].room,
        &(struct room){.space = SPACE_SCARCE, .reason = ROOM_RESERVE, .free_bytes = 100 << 20});
    start();
    WAIT_UNTIL(metrics_read(METRIC_OPERATOR_DISK_LOW) == 1);
    operator_events_stop(events);
    cr_assert_eq(operator_events_list(events, listed), 1);
    cr_expect_str_eq(
        listed[0].detail, "journal 1 accepts only critical events (reserve), 100 MiB free");
}

Test(operator_events, samples_of_late_deliveries_are_no_events)
{
    start();
    post(OPERATOR_FRESHNESS_LATE, "");
    operator_events_stop(events);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_FRESHNESS_LATE), 0);
}

Test(operator_events, what_is_about_the_operators_own_account_is_only_logged)
{
    static struct operator_event listed[OPERATOR_EVENTS_LISTED_MAX];
    struct operator_event event = {
        .kind = OPERATOR_ENDPOINT_FAILING, .account = OPERATOR_ACCOUNT, .is_logged = true};
    add_endpoint(NULL);
    start();
    operator_event_post(&sink, &event);
    operator_events_stop(events);
    cr_expect_eq(operator_events_list(events, listed), 0);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_ENDPOINT_FAILING), 0);
    cr_expect_eq(count_stored(), 0);
}

Test(operator_events, disabled_endpoint_gets_none_stored)
{
    add_endpoint(NULL);
    disable_endpoint();
    start();
    post(OPERATOR_DELIVERY_DEAD, "x");
    operator_events_stop(events);
    cr_expect_eq(metrics_read(METRIC_OPERATOR_DELIVERY_DEAD), 1);
    cr_expect_eq(count_stored(), 0, "it would be parked");
}

Test(operator_events, endpoints_that_flap_leave_room_for_errors_and_recoveries)
{
    struct operator_event early = {
        .kind = OPERATOR_ENDPOINT_FAILING, .account = "acc_1", .percent = 50, .is_logged = true};
    add_endpoint(NULL);
    start();
    for (int i = 0; i < 600; i++) {
        operator_event_post(&sink, &early);
        WAIT_UNTIL(metrics_read(METRIC_OPERATOR_ENDPOINT_FAILING) == i + 1);
    }
    WAIT_UNTIL(metrics_read(METRIC_OPERATOR_EVENTS_NOT_STORED) > 0);
    unsigned before = count_stored();
    cr_expect_leq(before, 501, "the other half is for what is worse: %u", before);
    early.percent = 100;
    operator_event_post(&sink, &early);
    post(OPERATOR_DISK_LOW, "full");
    post(OPERATOR_ENDPOINT_RECOVERED, "");
    operator_events_stop(events);
    cr_expect_eq(count_stored(), before + 3);
}
