/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/publisher.h"

#include "broker/message_internal.h"
#include "runtime/metrics.h"
#include "support/at_end.h"
#include "unit/broker/peer.h"

#define WINDOW 6

static struct manual_host host;
static struct peer peer;
static struct publisher *publisher;
static struct broker_link *its_link;
static struct heard heard;

struct note {
    struct publication publication;
    int ends; /* how often on_end ran */
    enum publish_end end;
};

static struct note notes[32];
static unsigned states;
static bool last_state;
static char last_why[256];
static unsigned lost_before_state;

static void on_state(void *context, bool can_publish, const char *why)
{
    states++;
    last_state = can_publish;
    snprintf(last_why, sizeof last_why, "%s", why ? why : "");
    for (unsigned i = 0; i < ARRAY_LENGTH(notes); i++)
        lost_before_state += notes[i].ends > 0 && notes[i].end == PUBLISH_LOST;
}

static void on_end(struct publication *publication, enum publish_end end)
{
    struct note *note = CONTAINER_OF(publication, struct note, publication);
    cr_assert_eq(publication->tag, 0);
    note->ends++;
    note->end = end;
}

static void begin(void)
{
    metrics_thread_enter();
    manual_host_init(&host);
    struct broker_options options = {.partitions = 16};
    publisher = publisher_new(
        &host.host, &options, WINDOW, &(struct publisher_listener){.on_state = on_state});
    its_link = peer_begin(&peer);
    cr_assert_eq(publisher_open(publisher, its_link), OK);
}

static void end(void)
{
    publisher_free(publisher);
    assert_at_end(metrics_read(METRIC_PUBLISHERS_OPEN) == 0);
    peer_end(&peer);
    metrics_thread_leave();
}

TestSuite(publisher, .init = begin, .fini = end);

static enum err publish(unsigned number)
{
    struct event_parts parts = some_event(number);
    notes[number].publication = (struct publication){.id = parts.id, .on_end = on_end};
    return publisher_publish(publisher, &notes[number].publication, number % 16, &parts);
}

/* Publishes notes 1 to `count`, with the tags of the same numbers. */
static void publish_many(unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        cr_assert_eq(publish(i), OK);
        cr_assert_eq(notes[i].publication.tag, i);
    }
}

static void expect_end(unsigned number, enum publish_end expected)
{
    cr_assert_eq(notes[number].ends, 1, "%u ended %d times", number, notes[number].ends);
    cr_assert_eq(notes[number].end, expected, "%u", number);
}

static void expect_no_end(unsigned number)
{
    cr_assert_eq(notes[number].ends, 0, "%u", number);
}

Test(publisher, event_is_published_whole_to_the_queue_of_its_partition)
{
    cr_assert(publisher_is_open(publisher) && publisher_can_publish(publisher));
    cr_assert_str_eq(publisher_peer(publisher), "peer:5672");
    cr_assert_eq(states, 1);
    cr_assert_eq(publish(5), OK);
    cr_assert_not(peer_hear_message(&peer, &heard), "nothing leaves before the turn's end");
    manual_host_turn(&host);
    cr_assert(peer_hear_message(&peer, &heard));
    cr_assert_str_eq(heard.key, "penstock.deliver.16.5");
    cr_assert_str_eq(heard.exchange, "");
    cr_assert(heard.mandatory && heard.channel == 1);
    cr_assert_eq(heard.properties.delivery_mode, 2);
    struct message message;
    struct buffer scratch = BUFFER_EMPTY;
    message_decode(&heard.properties, slice_of(heard.body, heard.body_len), heard.body_len, false,
        &scratch, &message);
    cr_assert(message.is_event, "%s", message.why_not);
    cr_assert_eq(memcmp(&message.parts.id, &notes[5].publication.id, sizeof message.parts.id), 0);
    cr_assert(slice_equal(message.parts.body, some_event(5).body));
}

Test(publisher, acks_end_one_or_many_in_any_order)
{
    static const struct {
        uint64_t tag;
        bool multiple;
        const char *ended; /* after it: one character for each of the publishes 1 to 6 */
    } steps[] = {
        {4, false, "...x.."}, {4, false, "...x.."}, /* again: ignored */
        {99, false, "...x.."},                      /* not published yet */
        {2, true, "xx.x.."}, {1, true, "xx.x.."}, {3, false, "xxxx.."},
        {0, true, "xxxxxx"}, /* all */
    };
    publish_many(WINDOW);
    for (unsigned i = 0; i < ARRAY_LENGTH(steps); i++) {
        peer_say_ack(&peer, steps[i].tag, steps[i].multiple);
        manual_host_turn(&host);
        unsigned unconfirmed = 0;
        for (unsigned k = 1; k <= WINDOW; k++) {
            cr_assert_eq(notes[k].ends, steps[i].ended[k - 1] == 'x', "step %u, publish %u", i, k);
            unconfirmed += notes[k].ends == 0;
        }
        cr_assert_eq(publisher_unconfirmed(publisher), unconfirmed);
    }
    cr_assert_eq(metrics_read(METRIC_PUBLISH_ACKED), WINDOW);
}

Test(publisher, nack_ends_only_its_own_messages)
{
    publish_many(4);
    peer_say_nack(&peer, 2, false);
    peer_say_ack(&peer, 3, true);
    peer_say_nack(&peer, 4, true);
    manual_host_turn(&host);
    expect_end(1, PUBLISHED);
    expect_end(2, PUBLISH_NACKED);
    expect_end(3, PUBLISHED);
    expect_end(4, PUBLISH_NACKED);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_NACKED), 2);
}

Test(publisher, returned_message_is_not_published_although_it_is_acked)
{
    publish_many(3);
    manual_host_turn(&host);
    cr_assert(peer_hear_message(&peer, &heard));
    cr_assert(peer_hear_message(&peer, &heard));
    peer_say_return(&peer, &heard.properties, "{\"type\":\"payout\"}");
    peer_say_ack(&peer, 3, true);
    manual_host_turn(&host);
    expect_end(1, PUBLISHED);
    expect_end(2, PUBLISH_RETURNED);
    expect_end(3, PUBLISHED);
}

Test(publisher, returned_refused_message_is_identified_by_its_correlation_id)
{
    notes[1].publication = (struct publication){.id = some_event(1).id, .on_end = on_end};
    cr_assert_eq(
        publisher_publish_refused(publisher, &notes[1].publication, SLICE_LITERAL("{"),
            SLICE_LITERAL("application/json"), SLICE_LITERAL("their-id"), "it is not valid JSON"),
        OK);
    manual_host_turn(&host);
    cr_assert(peer_hear_message(&peer, &heard));
    cr_assert_str_eq(heard.key, BROKER_INTAKE_ERRORS_QUEUE);
    cr_assert_eq(heard.body_len, 1);
    peer_say_return(&peer, &heard.properties, "{");
    peer_say_ack(&peer, 1, false);
    manual_host_turn(&host);
    expect_end(1, PUBLISH_RETURNED);
}

Test(publisher, window_is_a_range_of_tags)
{
    publish_many(WINDOW);
    cr_assert_not(publisher_has_room(publisher));
    cr_assert_eq(publish(WINDOW + 1), ERR_OVERLOADED);
    peer_say_ack(&peer, 2, false);
    manual_host_turn(&host);
    cr_assert_not(publisher_has_room(publisher), "the oldest one holds the window");
    peer_say_ack(&peer, 1, false);
    manual_host_turn(&host);
    cr_assert_eq(publish(7), OK);
    cr_assert_eq(publish(8), OK);
    cr_assert_eq(publish(9), ERR_OVERLOADED);
    peer_say_ack(&peer, 8, true);
    manual_host_turn(&host);
    for (unsigned i = 1; i <= 8; i++)
        expect_end(i, PUBLISHED);
    expect_no_end(9);
}

Test(publisher, forgotten_publication_has_no_end_and_keeps_its_tag)
{
    publish_many(2);
    publisher_forget(publisher, &notes[1].publication);
    cr_assert_eq(notes[1].publication.tag, 0);
    cr_assert_eq(publisher_unconfirmed(publisher), 2);
    peer_say_ack(&peer, 2, true);
    manual_host_turn(&host);
    expect_no_end(1);
    expect_end(2, PUBLISHED);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_LATE), 1);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_ACKED), 1);
    publisher_forget(publisher, &notes[2].publication); /* its slot may be used again by now */
}

Test(publisher, lost_connection_is_reported_and_then_ends_all)
{
    publish_many(3);
    publisher_forget(publisher, &notes[2].publication);
    peer_end(&peer);
    manual_host_turn(&host);
    manual_host_turn(&host);
    cr_assert_not(publisher_is_open(publisher));
    cr_assert_eq(states, 2);
    cr_assert_not(last_state);
    cr_assert_neq(last_why[0], '\0');
    cr_assert_eq(lost_before_state, 0);
    expect_end(1, PUBLISH_LOST);
    expect_no_end(2);
    expect_end(3, PUBLISH_LOST);
    cr_assert_eq(publisher_unconfirmed(publisher), 0);
    cr_assert_eq(publish(4), ERR_UNAVAILABLE);
    cr_assert_str_eq(publisher_peer(publisher), "");
}

Test(publisher, tags_begin_at_one_on_a_new_connection)
{
    publish_many(3);
    peer_end(&peer);
    manual_host_turn(&host);
    manual_host_turn(&host);
    cr_assert_eq(publisher_open(publisher, peer_begin(&peer)), OK);
    memset(notes, 0, sizeof notes);
    publish_many(1);
    peer_say_ack(&peer, 1, false);
    manual_host_turn(&host);
    expect_end(1, PUBLISHED);
}

Test(publisher, closed_channel_or_connection_is_reported_with_the_text_of_the_broker)
{
    publish_many(1);
    peer_say(&peer, 1, AMQP_CHANNEL_CLOSE_METHOD,
        &(amqp_channel_close_t){
            .reply_code = 404, .reply_text = amqp_cstring_bytes("NOT_FOUND - no queue")});
    manual_host_turn(&host);
    cr_assert_not(publisher_is_open(publisher));
    cr_assert_str_eq(last_why, "the broker closed the channel: 404 NOT_FOUND - no queue");
    expect_end(1, PUBLISH_LOST);
    peer_end(&peer);
    cr_assert_eq(publisher_open(publisher, peer_begin(&peer)), OK);
    peer_say(&peer, 0, AMQP_CONNECTION_CLOSE_METHOD,
        &(amqp_connection_close_t){
            .reply_code = 320, .reply_text = amqp_cstring_bytes("CONNECTION_FORCED - bye")});
    manual_host_turn(&host);
    cr_assert_not(publisher_is_open(publisher));
    cr_assert_str_eq(last_why, "the broker closed the connection: 320 CONNECTION_FORCED - bye");
    amqp_frame_t frame;
    cr_assert(peer_hear(&peer, &frame));
    cr_assert_eq(frame.payload.method.id, AMQP_CONNECTION_CLOSE_OK_METHOD);
}

Test(publisher, blocked_broker_gets_no_publishes_and_confirms_earlier_ones)
{
    publish_many(1);
    peer_say_blocked(&peer, "low on memory");
    manual_host_turn(&host);
    cr_assert(publisher_is_open(publisher));
    cr_assert_not(publisher_can_publish(publisher));
    cr_assert_str_eq(last_why, "the broker blocks publishes: low on memory");
    cr_assert_eq(metrics_read(METRIC_PUBLISHERS_OPEN), 0);
    cr_assert_eq(publish(2), ERR_UNAVAILABLE);
    peer_say_ack(&peer, 1, false);
    peer_say_blocked(&peer, NULL);
    manual_host_turn(&host);
    expect_end(1, PUBLISHED);
    cr_assert_eq(publish(2), OK);
    cr_assert_eq(metrics_read(METRIC_PUBLISHERS_OPEN), 1);
}

static void publish_again(struct publication *publication, enum publish_end publish_end)
{
    struct note *note = CONTAINER_OF(publication, struct note, publication);
    on_end(publication, publish_end);
    cr_assert_eq(publish((unsigned)(note - notes) + 10), OK);
}

static void forget_next(struct publication *publication, enum publish_end publish_end)
{
    struct note *note = CONTAINER_OF(publication, struct note, publication);
    on_end(publication, publish_end);
    publisher_forget(publisher, &note[1].publication);
}

Test(publisher, on_end_may_publish_and_forget)
{
    publish_many(WINDOW);
    notes[1].publication.on_end = publish_again;
    notes[2].publication.on_end = forget_next;
    notes[4].publication.on_end = publish_again;
    peer_say_ack(&peer, 4, true);
    manual_host_turn(&host);
    expect_end(1, PUBLISHED);
    expect_end(2, PUBLISHED);
    expect_no_end(3);
    expect_end(4, PUBLISHED);
    expect_no_end(11);
    expect_no_end(14);
    cr_assert_eq(notes[11].publication.tag, 7);
    cr_assert_eq(notes[14].publication.tag, 8);
    cr_assert_eq(publisher_unconfirmed(publisher), 4);
}

Test(publisher, publications_of_a_freed_publisher_end_as_lost)
{
    publish_many(2);
    publisher_free(publisher);
    publisher = NULL;
    expect_end(1, PUBLISH_LOST);
    expect_end(2, PUBLISH_LOST);
    cr_assert_eq(states, 1);
}

/* The record of confirmed ids. */

#define SECOND_US 1000000

static void hear_record(unsigned first, unsigned count)
{
    cr_assert(peer_hear_message(&peer, &heard));
    cr_assert_str_eq(heard.key, "penstock.confirmed");
    cr_assert(heard.mandatory && heard.channel == 3);
    cr_assert_eq(heard.body_len, count * sizeof(struct event_id));
    for (unsigned i = 0; i < count; i++) {
        struct event_parts parts = some_event(first + i);
        cr_assert_eq(memcmp(heard.body + i * sizeof parts.id, &parts.id, sizeof parts.id), 0);
    }
}

static void answer_record(uint64_t tag)
{
    peer_say(&peer, 3, AMQP_BASIC_ACK_METHOD, &(amqp_basic_ack_t){.delivery_tag = tag});
    manual_host_turn(&host);
}

Test(publisher, confirmed_ids_are_recorded_until_the_record_is_confirmed)
{
    publish_many(3);
    manual_host_turn(&host);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(peer_hear_message(&peer, &heard));
    peer_say_ack(&peer, 2, true);
    peer_say_nack(&peer, 3, false);
    manual_host_turn(&host);
    int64_t now_us = its_link->heard_mono_us;
    publisher_tick(publisher, now_us + SECOND_US / 2);
    manual_host_turn(&host);
    cr_assert_not(peer_hear_message(&peer, &heard), "not at once");
    publisher_tick(publisher, now_us + 2 * SECOND_US);
    manual_host_turn(&host);
    amqp_frame_t frame;
    cr_assert(peer_hear(&peer, &frame) && frame.payload.method.id == AMQP_CHANNEL_OPEN_METHOD &&
              frame.channel == 3);
    cr_assert(peer_hear(&peer, &frame) && frame.payload.method.id == AMQP_CONFIRM_SELECT_METHOD);
    hear_record(1, 2);
    peer_say(&peer, 3, AMQP_BASIC_RETURN_METHOD,
        &(amqp_basic_return_t){
            .reply_code = AMQP_NO_ROUTE, .reply_text = amqp_cstring_bytes("NO_ROUTE")});
    answer_record(1);
    publisher_tick(publisher, now_us + 4 * SECOND_US);
    manual_host_turn(&host);
    hear_record(1, 2);
    answer_record(2);
    publisher_tick(publisher, now_us + 6 * SECOND_US);
    manual_host_turn(&host);
    cr_assert_not(peer_hear_message(&peer, &heard), "it is on record");
}
