/* SPDX-License-Identifier: Apache-2.0 */
/* The publish breaker alone, between a fake broker and a test that publishes. */
#include "fixture.h"

#include "broker/lag.h"
#include "queue/publish_breaker.h"
#include "runtime/metrics.h"

static const struct broker_options broker = {.partitions = QUEUE_PARTITIONS};
static struct broker_host host; /* the fake broker needs none */
static struct broker_status *status;
static struct broker_lag *lag; /* NULL: the breaker does not look at it */
static struct publish_breaker *breaker;
static struct event_id_generator ids;
static bool nothing_waits;

static const int64_t little_us = 10 * US_PER_MS;

#define WINDOW 8

static void make_breaker(unsigned number)
{
    const struct publish_breaker_options options = {.host = &host,
        .connector = fake_connector(),
        .broker = &broker,
        .reply_to = &queue_mailbox,
        .status = status,
        .number = number,
        .window = WINDOW,
        .confirm_timeout_us = CONFIRM_TIMEOUT_US,
        .lag = lag,
        .lag_us_max = LAG_US_MAX};
    cr_assert_eq(publish_breaker_new(&options, &breaker), OK);
}

static void begin(void)
{
    queue_ground_begin(0);
    cr_assert_eq(broker_status_new(&status), OK);
    nothing_waits = true;
    make_breaker(0);
}

static void connect(void)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, OK);
    mailbox_work(&queue_mailbox);
}

static void begin_connected(void)
{
    begin();
    connect();
}

static void begin_with_lag(void)
{
    cr_assert_eq(broker_lag_new(QUEUE_PARTITIONS, 2, &lag), OK);
    begin_connected();
}

static void end(void)
{
    publish_breaker_stop(breaker);
    if (fake_is_dialled(CONNECTOR_OPEN_PUBLISHER))
        fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_SHUTTING_DOWN);
    mailbox_work(&queue_mailbox);
    publish_breaker_free(breaker);
    broker_status_free(status);
    broker_lag_free(lag);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
    queue_ground_end();
}

TestSuite(publish_breaker, .init = begin_connected, .fini = end);
TestSuite(publish_breaker_dialling, .init = begin, .fini = end);
TestSuite(publish_breaker_lag, .init = begin_with_lag, .fini = end);

static void pass(int64_t us)
{
    publish_breaker_tick(breaker, queue_move_clock(us), nothing_waits);
}

static bool is_closed(unsigned partition)
{
    return publish_breaker_is_closed(breaker, partition);
}

static struct event_parts parts_of(unsigned partition)
{
    static const unsigned char random[8];
    struct event_parts parts = {.accepted_us = 1700000000000000, .body = SLICE_LITERAL("{}")};
    event_id_make(&ids, parts.accepted_us, partition, random, &parts.id);
    return parts;
}

static struct publication publications[64];
static enum publish_end ends[64];
static unsigned publications_count, ended;

static void on_end(struct publication *publication, enum publish_end end)
{
    ends[publication - publications] = end;
    ended++;
}

static enum err publish(unsigned partition)
{
    struct event_parts parts = parts_of(partition);
    struct publication *publication = &publications[publications_count++];
    *publication = (struct publication){.on_end = on_end, .id = parts.id};
    return publish_breaker_publish(breaker, publication, partition, &parts);
}

/* Offers an event as a probe. Returns whether it was published as one. */
static bool probe(unsigned partition)
{
    unsigned before = fake.published_count;
    struct event_parts parts = parts_of(partition);
    publish_breaker_probe(breaker, partition, &parts);
    return fake.published_count > before;
}

static void end_probe(enum publish_end end)
{
    fake_end(fake.published_count - 1, end);
}

static struct broker_link_status shown(void)
{
    struct broker_link_status shown;
    cr_assert(broker_status_get(status, BROKER_ROLE_PUBLISH, 0, &shown));
    return shown;
}

/* A connection */

Test(publish_breaker_dialling, without_a_connection_nothing_is_published)
{
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    cr_assert_eq(publish(0), ERR_UNAVAILABLE);
    cr_assert_not(publish_breaker_wants_probe(breaker));
    cr_assert_not(probe(0));
    cr_assert_not(shown().good);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 1);
}

Test(publish_breaker_dialling, with_a_connection_the_breaker_is_closed)
{
    connect();
    for (unsigned i = 0; i < QUEUE_PARTITIONS; i++)
        cr_assert_eq(publish(i), OK);
    cr_assert(shown().good);
    cr_assert_str_eq(shown().peer, "broker:5672");
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(publish_breaker_dialling, a_failed_dial_is_shown_and_repeated)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_TLS);
    mailbox_work(&queue_mailbox);
    cr_assert_str_eq(shown().why, "as the test says");
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    pass(US_PER_SECOND);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    connect();
    cr_assert(is_closed(0));
}

Test(publish_breaker_dialling, a_connection_that_comes_after_the_stop_is_freed)
{
    publish_breaker_stop(breaker);
    connect();
    cr_assert_eq(fake.links_freed, 1);
}

Test(publish_breaker, a_lost_connection_ends_its_window_and_is_dialled_again)
{
    cr_assert_eq(publish(0), OK);
    fake_lose_publisher();
    cr_assert_eq(ended, 1);
    cr_assert_eq(ends[0], PUBLISH_LOST);
    cr_assert_eq(publish(0), ERR_UNAVAILABLE);
    pass(US_PER_SECOND);
    connect();
    cr_assert(is_closed(0));
}

Test(publish_breaker, at_the_stop_what_is_in_the_window_ends_as_lost)
{
    cr_assert_eq(publish(0), OK);
    publish_breaker_stop(breaker);
    cr_assert_eq(ended, 1);
    cr_assert_eq(ends[0], PUBLISH_LOST);
    publish_breaker_stop(breaker); /* harmless */
}

Test(publish_breaker, half_of_the_window_is_free_up_to_half_of_it)
{
    for (unsigned i = 0; i < WINDOW / 2; i++) {
        cr_assert(publish_breaker_has_half(breaker), "%u are published", i);
        cr_assert_eq(publish(0), OK);
    }
    cr_assert_not(publish_breaker_has_half(breaker));
    fake_end(0, PUBLISHED);
    cr_assert(publish_breaker_has_half(breaker));
    publish_breaker_on_timeout(breaker);
    cr_assert_not(publish_breaker_has_half(breaker), "the breaker is open");
}

Test(publish_breaker, a_refused_message_is_published_with_its_reason)
{
    struct publication *publication = &publications[publications_count++];
    *publication = (struct publication){.on_end = on_end};
    struct slice nothing = {0};
    cr_assert_eq(publish_breaker_publish_refused(
                     breaker, publication, SLICE_LITERAL("{"), nothing, nothing, "no JSON"),
        OK);
    cr_assert_str_eq(fake.published[0].reason, "no JSON");
    publish_breaker_forget(breaker, publication);
    cr_assert_eq(fake_unconfirmed(), 0);
}

/* Closed -> open */

enum sight { NACK, RETURN, SILENCE, TIMEOUT, LOST, CONFIRM };

static void see(enum sight sight)
{
    switch (sight) {
    case NACK:
        publish_breaker_on_refused(breaker, 1, PUBLISH_NACKED);
        break;
    case RETURN:
        publish_breaker_on_refused(breaker, 1, PUBLISH_RETURNED);
        break;
    case SILENCE:
        publish_breaker_on_silence(breaker, 1);
        break;
    case TIMEOUT:
        publish_breaker_on_timeout(breaker);
        break;
    case LOST:
        publish_breaker_on_refused(breaker, 1, PUBLISH_LOST);
        break;
    case CONFIRM:
        publish_breaker_on_refused(breaker, 1, PUBLISHED);
        break;
    }
}

Test(publish_breaker, what_is_seen_of_a_partition_opens_its_circuit_or_all)
{
    static const struct {
        const char *title;
        enum sight sight;
        bool opens_it, opens_others;
        unsigned doubts, publishers;
        const char *why;
    } cases[] = {
        {"a nack", NACK, true, false, 0, 1, "its queue refuses messages (is it full?)"},
        {"a return", RETURN, true, false, 1, 2, NULL},
        {"silence", SILENCE, true, false, 0, 1, "its queue does not confirm"},
        {"a timeout", TIMEOUT, true, true, 0, 1, "no confirm within 1000 ms"},
        {"a loss", LOST, false, false, 0, 1, NULL},
        {"a confirm", CONFIRM, false, false, 0, 1, NULL},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            begin_connected();
        see(cases[i].sight);
        see(cases[i].sight); /* the same again changes nothing */
        cr_expect_eq(is_closed(1), !cases[i].opens_it, "%s", cases[i].title);
        cr_expect_eq(is_closed(2), !cases[i].opens_others, "%s", cases[i].title);
        cr_expect_eq(publish(1), cases[i].opens_it ? ERR_UNAVAILABLE : OK, "%s", cases[i].title);
        cr_expect_eq(
            publish(2), cases[i].opens_others ? ERR_UNAVAILABLE : OK, "%s", cases[i].title);
        cr_expect_eq(
            metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), cases[i].opens_it, "%s", cases[i].title);
        cr_expect_eq(shown().good, !cases[i].opens_it, "%s", cases[i].title);
        if (cases[i].why)
            cr_expect(strstr(shown().why, cases[i].why), "%s: %s", cases[i].title, shown().why);
        cr_expect_eq(fake.doubts > 0, cases[i].doubts, "%s", cases[i].title);
        pass(little_us);
        cr_expect_eq(fake.publishers_made, cases[i].publishers, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            end();
    }
}

Test(publish_breaker, silence_and_timeouts_count_while_it_is_closed_only)
{
    fake_set_blocked(true);
    publish_breaker_on_timeout(breaker);
    publish_breaker_on_silence(breaker, 1);
    fake_set_blocked(false);
    cr_assert(is_closed(1));
}

/* Half-open */

Test(publish_breaker, the_end_of_a_probe_decides_about_its_circuit)
{
    enum { OF_LINK, OF_PARTITION };
    static const struct {
        const char *title;
        int circuit;
        enum publish_end end;
        bool closes_it, closes_others;
    } cases[] = {
        {"of the connection, confirmed", OF_LINK, PUBLISHED, true, true},
        {"of the connection, nacked: the broker answers", OF_LINK, PUBLISH_NACKED, false, true},
        {"of the connection, returned: the broker answers", OF_LINK, PUBLISH_RETURNED, false, true},
        {"of the connection, lost", OF_LINK, PUBLISH_LOST, false, false},
        {"of a partition, confirmed", OF_PARTITION, PUBLISHED, true, true},
        {"of a partition, nacked", OF_PARTITION, PUBLISH_NACKED, false, true},
        {"of a partition, returned", OF_PARTITION, PUBLISH_RETURNED, false, true},
        {"of a partition, lost", OF_PARTITION, PUBLISH_LOST, false, true},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            begin_connected();
        see(cases[i].circuit == OF_LINK ? TIMEOUT : NACK);
        cr_expect_eq(publish_breaker_wants_probe(breaker), false, "%s", cases[i].title);
        pass(US_PER_SECOND - little_us);
        cr_expect_not(probe(1), "%s: too early", cases[i].title);
        pass(little_us);
        cr_expect_eq(publish_breaker_wants_probe(breaker), cases[i].circuit == OF_LINK, "%s",
            cases[i].title);
        cr_expect(probe(1), "%s", cases[i].title);
        cr_expect_not(probe(1), "%s: one at a time", cases[i].title);
        cr_expect_not(is_closed(1), "%s: half-open", cases[i].title);
        end_probe(cases[i].end);
        cr_expect_eq(is_closed(1), cases[i].closes_it, "%s", cases[i].title);
        cr_expect_eq(is_closed(2), cases[i].closes_others, "%s", cases[i].title);
        cr_expect_eq(fake.doubts, cases[i].end == PUBLISH_RETURNED, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            end();
    }
}

Test(publish_breaker, a_confirmed_probe_of_the_connection_closes_its_partition_as_well)
{
    see(NACK);
    see(TIMEOUT);
    pass(US_PER_SECOND);
    cr_assert(probe(1));
    end_probe(PUBLISHED);
    cr_assert(is_closed(1));
}

Test(publish_breaker, probes_that_are_not_confirmed_come_at_growing_distances)
{
    static const int64_t gaps_s[] = {1, 2, 4, 5, 5};
    static const enum sight sights[] = {TIMEOUT, SILENCE};
    for (unsigned of = 0; of < ARRAY_LENGTH(sights); of++) {
        if (of > 0)
            begin_connected();
        see(sights[of]);
        for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
            pass(gaps_s[i] * US_PER_SECOND - little_us);
            cr_assert_not(probe(1), "probe %u is early", i);
            pass(little_us);
            cr_assert(probe(1), "probe %u is late", i);
            pass(CONFIRM_TIMEOUT_US - little_us);
            cr_assert_eq(fake_unconfirmed(), 1);
            pass(little_us);
            cr_assert_eq(fake_unconfirmed(), 0, "probe %u is given up", i);
        }
        cr_assert_not(is_closed(1));
        if (of == 0)
            end();
    }
}

Test(publish_breaker, probes_that_are_nacked_come_at_growing_distances)
{
    static const int64_t gaps_s[] = {1, 2, 4, 5, 5};
    see(NACK);
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        pass(gaps_s[i] * US_PER_SECOND - little_us);
        cr_assert_not(probe(1), "probe %u is early", i);
        pass(little_us);
        cr_assert(probe(1), "probe %u is late", i);
        end_probe(PUBLISH_NACKED);
    }
}

Test(publish_breaker, a_circuit_that_opens_again_is_probed_after_a_second_again)
{
    see(NACK);
    pass(US_PER_SECOND);
    cr_assert(probe(1));
    end_probe(PUBLISH_NACKED);
    pass(2 * US_PER_SECOND);
    cr_assert(probe(1));
    end_probe(PUBLISHED);
    see(NACK);
    pass(US_PER_SECOND - little_us);
    cr_assert_not(probe(1));
    pass(little_us);
    cr_assert(probe(1));
}

Test(publish_breaker, without_room_a_probe_is_not_sent_and_still_due)
{
    see(NACK);
    pass(US_PER_SECOND);
    fake.has_room = false;
    cr_assert_not(probe(1));
    fake.has_room = true;
    cr_assert(probe(1));
}

/* Blocked */

Test(publish_breaker, while_it_is_blocked_nothing_is_published_and_nothing_probed)
{
    see(NACK);
    fake_set_blocked(true);
    cr_assert_eq(publish(2), ERR_UNAVAILABLE);
    cr_assert_str_eq(shown().why, "low on memory");
    pass(10 * US_PER_SECOND);
    cr_assert_not(probe(1));
    fake_set_blocked(false);
    cr_assert_eq(publish(2), OK);
    cr_assert_not(is_closed(1), "its own circuit is open as before");
    cr_assert(probe(1));
}

Test(publish_breaker, a_breaker_that_was_open_is_open_after_the_block)
{
    see(TIMEOUT);
    fake_set_blocked(true);
    pass(10 * US_PER_SECOND);
    cr_assert_not(publish_breaker_wants_probe(breaker));
    fake_set_blocked(false);
    cr_assert_not(is_closed(0));
    cr_assert(publish_breaker_wants_probe(breaker));
}

/* Renewal */

Test(publish_breaker, the_connection_is_renewed_at_most_once_in_five_seconds)
{
    see(RETURN);
    pass(little_us);
    cr_assert_eq(fake.publishers_made, 2);
    pass(US_PER_SECOND);
    connect();
    fake_miss_queue();
    cr_assert_eq(fake.doubts, 2);
    pass(4 * US_PER_SECOND - little_us);
    cr_assert_eq(fake.publishers_made, 2, "not so soon again");
    pass(little_us);
    cr_assert_eq(fake.publishers_made, 3);
}

Test(publish_breaker, after_a_renewal_an_open_partition_is_probed_at_once)
{
    see(RETURN);
    cr_assert_eq(publish(2), OK);
    pass(little_us);
    cr_assert_eq(ends[0], PUBLISH_LOST, "its window ends with the old connection");
    cr_assert_eq(publish(2), ERR_UNAVAILABLE);
    pass(US_PER_SECOND);
    connect();
    cr_assert_eq(publish(2), OK);
    cr_assert_not(is_closed(1), "the queue is not known to be there");
    cr_assert(probe(1));
    end_probe(PUBLISHED);
    cr_assert(is_closed(1));
}

Test(publish_breaker, a_new_connection_closes_the_circuit_of_the_connection)
{
    see(TIMEOUT);
    fake_lose_publisher();
    pass(US_PER_SECOND);
    connect();
    cr_assert(is_closed(0));
}

Test(publish_breaker, a_window_without_room_that_nobody_waits_for_is_renewed)
{
    static const struct {
        const char *title;
        bool is_open, waits;
        int64_t after_us;
        unsigned publishers;
    } cases[] = {
        {"closed", false, false, 0, 2},
        {"closed, and somebody waits", false, true, 30 * US_PER_SECOND, 1},
        {"open, for less than ten seconds", true, false, 10 * US_PER_SECOND - little_us, 1},
        {"open, for ten seconds", true, false, 10 * US_PER_SECOND, 2},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            begin_connected();
        if (cases[i].is_open)
            see(TIMEOUT);
        nothing_waits = !cases[i].waits;
        fake.has_room = false;
        pass(little_us);
        if (cases[i].after_us)
            pass(cases[i].after_us);
        cr_expect_eq(fake.publishers_made, cases[i].publishers, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            end();
    }
}

Test(publish_breaker, a_partition_that_nacks_for_half_a_minute_renews_the_connection)
{
    int64_t passed_us = 0;
    see(NACK);
    for (; fake.publishers_made == 1 && passed_us < 60 * US_PER_SECOND; passed_us += little_us) {
        pass(little_us);
        if (probe(1))
            end_probe(PUBLISH_NACKED);
    }
    cr_assert_geq(passed_us, 30 * US_PER_SECOND);
    cr_assert_leq(passed_us, 36 * US_PER_SECOND);
    cr_assert_eq(fake.doubts, 0);
}

/* What waits in the broker */

Test(publish_breaker, the_depth_of_the_queues_is_asked_for_by_the_first_thread)
{
    int64_t waiting;
    pass(little_us);
    cr_assert_eq(fake.publisher_depth_asked, 1);
    pass(5 * US_PER_SECOND - little_us);
    cr_assert_eq(fake.publisher_depth_asked, 1, "there is no answer yet");
    pass(little_us);
    cr_assert_eq(fake.publisher_depth_asked, 2);
    fake_answer_waiting(7);
    cr_assert(broker_status_get_waiting(status, &waiting));
    cr_assert_eq(waiting, 7);
    pass(250 * US_PER_MS);
    cr_assert_eq(fake.publisher_depth_asked, 3, "soon, while something waits");
    fake_answer_waiting(0);
    pass(US_PER_SECOND - little_us);
    cr_assert_eq(fake.publisher_depth_asked, 3);
    pass(little_us);
    cr_assert_eq(fake.publisher_depth_asked, 4);
}

Test(publish_breaker_dialling, another_thread_does_not_ask_for_the_depth)
{
    struct publish_breaker *first = breaker;
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_SHUTTING_DOWN);
    mailbox_work(&queue_mailbox);
    publish_breaker_stop(first);
    publish_breaker_free(first);
    make_breaker(1);
    connect();
    pass(10 * US_PER_SECOND);
    cr_assert_eq(fake.publisher_depth_asked, 0);
}

/* Behind */

static bool is_behind(unsigned partition)
{
    return publish_breaker_is_behind(breaker, partition, clock_mono_us());
}

/* An event of the partition is published and marked. */
static struct event_id mark(unsigned partition)
{
    struct event_parts parts = parts_of(partition);
    publish_breaker_mark(breaker, &parts.id, clock_mono_us());
    return parts.id;
}

static void arrive(const struct event_id *id)
{
    broker_lag_arrived(lag, id, clock_mono_us());
}

static struct event_id fall_behind(unsigned partition)
{
    struct event_id marked = mark(partition);
    pass(LAG_US_MAX + little_us);
    cr_assert(is_behind(partition));
    return marked;
}

Test(publish_breaker_lag, a_partition_is_behind_when_its_marked_event_waits_too_long)
{
    mark(1);
    pass(LAG_US_MAX);
    cr_assert_not(is_behind(1));
    pass(1);
    cr_assert(is_behind(1));
    cr_assert_not(is_behind(2));
    cr_assert(is_closed(1), "the connection is as good as it was");
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 1);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(publish_breaker_lag, one_event_at_a_time_is_marked)
{
    mark(1);
    pass(LAG_US_MAX / 2);
    struct event_id second = mark(1);
    arrive(&second); /* it is not the marked one */
    pass(LAG_US_MAX / 2 + little_us);
    cr_assert(is_behind(1));
}

Test(publish_breaker_lag, lag_probes_come_at_growing_distances_until_one_is_in_time)
{
    static const int64_t gaps_s[] = {1, 2, 4, 8, 16, 30, 30};
    struct event_id marked = fall_behind(1);
    arrive(&marked);
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        cr_assert(is_behind(1));
        pass(gaps_s[i] * US_PER_SECOND - little_us);
        cr_assert_not(probe(1), "probe %u is early", i);
        pass(little_us);
        cr_assert(probe(1), "probe %u is late", i);
        cr_assert_not(probe(1), "one at a time");
        struct event_id id = fake.published[fake.published_count - 1].id;
        end_probe(PUBLISHED);
        pass(LAG_US_MAX / 2 + little_us);
        arrive(&id);
    }
    cr_assert(is_behind(1));
    pass(30 * US_PER_SECOND);
    cr_assert(probe(1));
    struct event_id id = fake.published[fake.published_count - 1].id;
    end_probe(PUBLISHED);
    pass(LAG_US_MAX / 2);
    arrive(&id);
    cr_assert_not(is_behind(1));
}

Test(publish_breaker_lag, the_end_of_a_lag_probe_can_open_the_circuit)
{
    static const struct {
        const char *title;
        enum publish_end end;
        bool is_ended, is_closed;
    } cases[] = {
        {"confirmed", PUBLISHED, true, true},
        {"nacked", PUBLISH_NACKED, true, false},
        {"returned", PUBLISH_RETURNED, true, false},
        {"not confirmed in time", PUBLISHED, false, false},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            begin_with_lag();
        struct event_id marked = fall_behind(1);
        arrive(&marked);
        pass(US_PER_SECOND);
        cr_assert(probe(1), "%s", cases[i].title);
        if (cases[i].is_ended)
            end_probe(cases[i].end);
        else
            pass(CONFIRM_TIMEOUT_US);
        cr_expect_eq(is_closed(1), cases[i].is_closed, "%s", cases[i].title);
        cr_expect(is_closed(2), "%s", cases[i].title);
        cr_expect_eq(metrics_read(METRIC_PARTITIONS_BEHIND), cases[i].is_closed,
            "%s: a partition is open or behind, not both", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            end();
    }
}

Test(publish_breaker_lag, a_guarded_event_is_no_lag_probe)
{
    struct event_id marked = fall_behind(1);
    arrive(&marked);
    pass(2 * US_PER_SECOND);
    struct event_parts parts = parts_of(1);
    parts.guarded = true;
    publish_breaker_probe(breaker, 1, &parts);
    cr_assert_eq(fake.published_count, 0);
    cr_assert(probe(1));
}

Test(publish_breaker_lag, a_partition_without_a_lag_probe_for_half_a_minute_is_in_time)
{
    fall_behind(1);
    pass(31 * US_PER_SECOND);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 1);
    pass(little_us);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
    cr_assert_not(is_behind(1));
}

Test(publish_breaker_lag, a_deposed_gateway_has_no_partition_behind)
{
    fall_behind(1);
    fake.deposed = true;
    cr_assert_not(is_behind(1), "what another gateway owns is not delivered by this one");
    pass(little_us);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
}

Test(publish_breaker_lag, a_new_connection_forgets_what_was_marked)
{
    fall_behind(1);
    fake_lose_publisher();
    pass(US_PER_SECOND);
    connect();
    cr_assert_not(is_behind(1));
}
