/* SPDX-License-Identifier: Apache-2.0 */
/* The publish breaker alone: the circuits, their probes, and the connection. */
#include "breaker_fixture.h"

TestSuite(publish_breaker, .init = breaker_begin_connected, .fini = breaker_end);
TestSuite(publish_breaker_dialling, .init = breaker_begin, .fini = breaker_end);

static const int64_t little_us = 10 * US_PER_MS;

/* A connection */

Test(publish_breaker_dialling, without_a_connection_nothing_is_published)
{
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    cr_assert_eq(publish(0), ERR_UNAVAILABLE);
    cr_assert_not(publish_breaker_wants_probe(breaker));
    cr_assert_not(probe(0));
    cr_assert_not(breaker_shown().good);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 1);
}

Test(publish_breaker_dialling, with_a_connection_the_breaker_is_closed)
{
    breaker_connect();
    for (unsigned i = 0; i < QUEUE_PARTITIONS; i++)
        cr_assert_eq(publish(i), OK);
    cr_assert(breaker_shown().good);
    cr_assert_str_eq(breaker_shown().peer, "broker:5672");
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(publish_breaker_dialling, a_failed_dial_is_shown_and_repeated)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_TLS);
    mailbox_work(&queue_mailbox);
    cr_assert_str_eq(breaker_shown().why, "as the test says");
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    breaker_pass(US_PER_SECOND);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    breaker_connect();
    cr_assert(is_closed(0));
}

Test(publish_breaker_dialling, a_connection_that_comes_after_the_stop_is_freed)
{
    publish_breaker_stop(breaker);
    breaker_connect();
    cr_assert_eq(fake.links_freed, 1);
}

Test(publish_breaker, a_lost_connection_ends_its_window_and_is_dialled_again)
{
    cr_assert_eq(publish(0), OK);
    fake_lose_publisher();
    cr_assert_eq(publications_ended, 1);
    cr_assert_eq(publication_ends[0], PUBLISH_LOST);
    cr_assert_eq(publish(0), ERR_UNAVAILABLE);
    breaker_pass(US_PER_SECOND);
    breaker_connect();
    cr_assert(is_closed(0));
}

Test(publish_breaker, the_stop_ends_the_window_as_lost)
{
    cr_assert_eq(publish(0), OK);
    publish_breaker_stop(breaker);
    cr_assert_eq(publications_ended, 1);
    cr_assert_eq(publication_ends[0], PUBLISH_LOST);
    publish_breaker_stop(breaker); /* harmless */
}

Test(publish_breaker, has_half_is_false_when_half_of_the_window_is_used)
{
    for (unsigned i = 0; i < BREAKER_WINDOW / 2; i++) {
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
    *publication = (struct publication){.on_end = on_publication_end};
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

Test(publish_breaker, a_failure_opens_the_circuit_of_its_partition_or_of_the_connection)
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
            breaker_begin_connected();
        see(cases[i].sight);
        see(cases[i].sight); /* the same again changes nothing */
        cr_expect_eq(is_closed(1), !cases[i].opens_it, "%s", cases[i].title);
        cr_expect_eq(is_closed(2), !cases[i].opens_others, "%s", cases[i].title);
        cr_expect_eq(publish(1), cases[i].opens_it ? ERR_UNAVAILABLE : OK, "%s", cases[i].title);
        cr_expect_eq(
            publish(2), cases[i].opens_others ? ERR_UNAVAILABLE : OK, "%s", cases[i].title);
        cr_expect_eq(
            metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), cases[i].opens_it, "%s", cases[i].title);
        cr_expect_eq(breaker_shown().good, !cases[i].opens_it, "%s", cases[i].title);
        if (cases[i].why)
            cr_expect(strstr(breaker_shown().why, cases[i].why), "%s: %s", cases[i].title,
                breaker_shown().why);
        cr_expect_eq(fake.doubts > 0, cases[i].doubts, "%s", cases[i].title);
        breaker_pass(little_us);
        cr_expect_eq(fake.publishers_made, cases[i].publishers, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            breaker_end();
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
            breaker_begin_connected();
        see(cases[i].circuit == OF_LINK ? TIMEOUT : NACK);
        cr_expect_eq(publish_breaker_wants_probe(breaker), false, "%s", cases[i].title);
        breaker_pass(US_PER_SECOND - little_us);
        cr_expect_not(probe(1), "%s: too early", cases[i].title);
        breaker_pass(little_us);
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
            breaker_end();
    }
}

Test(publish_breaker, a_confirmed_probe_of_the_connection_closes_its_partition_as_well)
{
    see(NACK);
    see(TIMEOUT);
    breaker_pass(US_PER_SECOND);
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
            breaker_begin_connected();
        see(sights[of]);
        for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
            breaker_pass(gaps_s[i] * US_PER_SECOND - little_us);
            cr_assert_not(probe(1), "probe %u is early", i);
            breaker_pass(little_us);
            cr_assert(probe(1), "probe %u is late", i);
            breaker_pass(CONFIRM_TIMEOUT_US - little_us);
            cr_assert_eq(fake_unconfirmed(), 1);
            breaker_pass(little_us);
            cr_assert_eq(fake_unconfirmed(), 0, "probe %u is given up", i);
        }
        cr_assert_not(is_closed(1));
        if (of == 0)
            breaker_end();
    }
}

Test(publish_breaker, probes_that_are_nacked_come_at_growing_distances)
{
    static const int64_t gaps_s[] = {1, 2, 4, 5, 5};
    see(NACK);
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        breaker_pass(gaps_s[i] * US_PER_SECOND - little_us);
        cr_assert_not(probe(1), "probe %u is early", i);
        breaker_pass(little_us);
        cr_assert(probe(1), "probe %u is late", i);
        end_probe(PUBLISH_NACKED);
    }
}

Test(publish_breaker, a_circuit_that_opens_again_is_probed_after_a_second_again)
{
    see(NACK);
    breaker_pass(US_PER_SECOND);
    cr_assert(probe(1));
    end_probe(PUBLISH_NACKED);
    breaker_pass(2 * US_PER_SECOND);
    cr_assert(probe(1));
    end_probe(PUBLISHED);
    see(NACK);
    breaker_pass(US_PER_SECOND - little_us);
    cr_assert_not(probe(1));
    breaker_pass(little_us);
    cr_assert(probe(1));
    end_probe(PUBLISH_NACKED);
    breaker_pass(2 * US_PER_SECOND);
    cr_assert(probe(1), "and then after two");
}

Test(publish_breaker, a_probe_without_room_is_still_due)
{
    see(NACK);
    breaker_pass(US_PER_SECOND);
    fake.has_room = false;
    cr_assert_not(probe(1));
    fake.has_room = true;
    cr_assert(probe(1));
}

/* Blocked */

Test(publish_breaker, a_blocked_connection_publishes_no_event_and_no_probe)
{
    see(NACK);
    fake_set_blocked(true);
    cr_assert_eq(publish(2), ERR_UNAVAILABLE);
    cr_assert_str_eq(breaker_shown().why, "low on memory");
    breaker_pass(10 * US_PER_SECOND);
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
    breaker_pass(10 * US_PER_SECOND);
    cr_assert_not(publish_breaker_wants_probe(breaker));
    fake_set_blocked(false);
    cr_assert_not(is_closed(0));
    cr_assert(publish_breaker_wants_probe(breaker));
}

/* Renewal */

Test(publish_breaker, the_connection_is_renewed_at_most_once_in_five_seconds)
{
    see(RETURN);
    breaker_pass(little_us);
    cr_assert_eq(fake.publishers_made, 2);
    breaker_pass(US_PER_SECOND);
    breaker_connect();
    fake_miss_queue();
    cr_assert_eq(fake.doubts, 2);
    breaker_pass(4 * US_PER_SECOND - little_us);
    cr_assert_eq(fake.publishers_made, 2, "not so soon again");
    breaker_pass(little_us);
    cr_assert_eq(fake.publishers_made, 3);
}

Test(publish_breaker, after_a_renewal_an_open_partition_is_probed_at_once)
{
    see(RETURN);
    cr_assert_eq(publish(2), OK);
    breaker_pass(little_us);
    cr_assert_eq(publication_ends[0], PUBLISH_LOST, "its window ends with the old connection");
    cr_assert_eq(publish(2), ERR_UNAVAILABLE);
    breaker_pass(US_PER_SECOND);
    breaker_connect();
    cr_assert_eq(publish(2), OK);
    cr_assert_not(is_closed(1), "the queue is not known to be there");
    cr_assert(probe(1));
    end_probe(PUBLISHED);
    cr_assert(is_closed(1));
}

Test(publish_breaker, an_open_partition_is_probed_at_once_on_a_new_connection)
{
    see(NACK);
    for (unsigned i = 0; i < 2; i++) {
        breaker_pass(2 * US_PER_SECOND);
        cr_assert(probe(1));
        end_probe(PUBLISH_NACKED);
    }
    fake_lose_publisher();
    breaker_pass(US_PER_SECOND);
    breaker_connect();
    cr_assert_not(is_closed(1));
    cr_assert(probe(1), "it was due in 3 s");
}

Test(publish_breaker, a_new_connection_closes_the_circuit_of_the_connection)
{
    see(TIMEOUT);
    fake_lose_publisher();
    breaker_pass(US_PER_SECOND);
    breaker_connect();
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
            breaker_begin_connected();
        if (cases[i].is_open)
            see(TIMEOUT);
        breaker_nothing_waits = !cases[i].waits;
        fake.has_room = false;
        breaker_pass(little_us);
        if (cases[i].after_us)
            breaker_pass(cases[i].after_us);
        cr_expect_eq(fake.publishers_made, cases[i].publishers, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            breaker_end();
    }
}

Test(publish_breaker, a_partition_that_nacks_for_half_a_minute_renews_the_connection)
{
    int64_t passed_us = 0;
    see(NACK);
    for (; fake.publishers_made == 1 && passed_us < 60 * US_PER_SECOND; passed_us += little_us) {
        breaker_pass(little_us);
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
    breaker_pass(little_us);
    cr_assert_eq(fake.publisher_depth_asked, 1);
    breaker_pass(5 * US_PER_SECOND - little_us);
    cr_assert_eq(fake.publisher_depth_asked, 1, "there is no answer yet");
    breaker_pass(little_us);
    cr_assert_eq(fake.publisher_depth_asked, 2);
    fake_answer_waiting(7);
    cr_assert(broker_status_get_waiting(breaker_status, &waiting));
    cr_assert_eq(waiting, 7);
    breaker_pass(250 * US_PER_MS);
    cr_assert_eq(fake.publisher_depth_asked, 3, "soon, while something waits");
    fake_answer_waiting(0);
    breaker_pass(US_PER_SECOND - little_us);
    cr_assert_eq(fake.publisher_depth_asked, 3);
    breaker_pass(little_us);
    cr_assert_eq(fake.publisher_depth_asked, 4);
}

Test(publish_breaker_dialling, another_thread_does_not_ask_for_the_depth)
{
    struct publish_breaker *first = breaker;
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_SHUTTING_DOWN);
    mailbox_work(&queue_mailbox);
    publish_breaker_stop(first);
    publish_breaker_free(first);
    breaker_make(1);
    breaker_connect();
    breaker_pass(10 * US_PER_SECOND);
    cr_assert_eq(fake.publisher_depth_asked, 0);
}
