/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tap.h"

#include "base/buffer.h"
#include "broker/broker.h"
#include "runtime/metrics.h"
#include "unit/broker/peer.h"

#include <sys/socket.h>

static struct manual_host host;
static struct peer peer;
static struct tap *tap;
static struct heard heard;
static unsigned losses;
static char loss[256];

static void on_lost(void *context, const char *why)
{
    losses++;
    cr_assert_not(tap_is_open(tap));
    snprintf(loss, sizeof loss, "%s", why);
}

static void begin(void)
{
    metrics_thread_enter();
    manual_host_init(&host);
    tap = tap_new(&host.host, on_lost, NULL);
}

static void end(void)
{
    tap_free(tap);
    peer_end(&peer);
    metrics_thread_leave();
}

TestSuite(tap, .init = begin, .fini = end);

static void tap_events(unsigned count)
{
    static char body[EVENT_BYTES_MAX];
    for (unsigned i = 0; i < count; i++) {
        struct event_parts parts = some_event(i);
        parts.body = slice_of(body, sizeof body);
        tap_publish(tap, &parts);
    }
}

Test(tap, copy_is_published_to_the_topic_exchange_by_type_and_account)
{
    cr_assert_eq(tap_open(tap, peer_begin(&peer)), OK);
    cr_assert(tap_is_open(tap));
    struct event_parts parts = some_event(1);
    tap_publish(tap, &parts);
    manual_host_turn(&host);
    cr_assert(peer_hear_message(&peer, &heard));
    cr_assert_str_eq(heard.exchange, "penstock.events");
    cr_assert_str_eq(heard.key, "payout.acc_42");
    cr_assert_not(heard.mandatory);
    cr_assert(slice_equal(slice_of(heard.body, heard.body_len), parts.body));
    cr_assert_eq(metrics_read(METRIC_TAPS_SENT), 1);
}

Test(tap, copies_are_dropped_without_a_connection)
{
    tap_events(3);
    cr_assert_eq(metrics_read(METRIC_TAPS_DROPPED), 3);
}

Test(tap, blocked_broker_gets_no_copies)
{
    cr_assert_eq(tap_open(tap, peer_begin(&peer)), OK);
    peer_say_blocked(&peer, "low on disk");
    manual_host_turn(&host);
    tap_events(2);
    cr_assert_eq(metrics_read(METRIC_TAPS_DROPPED), 2);
    peer_say_blocked(&peer, NULL);
    manual_host_turn(&host);
    tap_events(1);
    cr_assert_eq(metrics_read(METRIC_TAPS_SENT), 1);
}

Test(tap, unsent_bytes_are_bounded)
{
    cr_assert_eq(tap_open(tap, peer_begin(&peer)), OK);
    tap_events(100);
    cr_assert_eq(metrics_read(METRIC_TAPS_SENT), TAP_UNSENT_BYTES_MAX / EVENT_BYTES_MAX);
    cr_assert_eq(metrics_read(METRIC_TAPS_SENT) + metrics_read(METRIC_TAPS_DROPPED), 100);
}

Test(tap, lost_connection_or_channel_is_reported_once)
{
    cr_assert_eq(tap_open(tap, peer_begin(&peer)), OK);
    peer_end(&peer);
    manual_host_turn(&host);
    cr_assert_eq(losses, 1);
    cr_assert_eq(tap_open(tap, peer_begin(&peer)), OK);
    peer_say(&peer, 1, AMQP_CHANNEL_CLOSE_METHOD,
        &(amqp_channel_close_t){
            .reply_code = 404, .reply_text = amqp_cstring_bytes("NOT_FOUND - no exchange")});
    manual_host_turn(&host);
    cr_assert_eq(losses, 2);
    cr_assert_str_eq(loss, "the broker closed the channel: 404 NOT_FOUND - no exchange");
}
