/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "runtime/metrics.h"
#include "unit/queue/fake_broker.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static void dial_and_wait(void);

static void begin(void)
{
    fixture_begin_broker("shop");
    dial_and_wait();
}

/* The connector is stopped first: open requests are answered. */
static void end_dials(void)
{
    for (int task = CONNECTOR_OPEN_PUBLISHER; task <= CONNECTOR_OPEN_INTAKE; task++)
        if (fake_is_dialled((enum connector_task)task))
            fake_answer_dial((enum connector_task)task, ERR_SHUTTING_DOWN);
}

static void end(void)
{
    ingress_call(end_dials);
    fixture_end();
}

TestSuite(intake, .init = begin, .fini = end);

static struct fake_broker seen; /* the fake, as the ingress thread left it */
static bool is_dialled, is_unconfirmed;

static void look(void)
{
    seen = fake;
    is_dialled = fake_is_dialled(CONNECTOR_OPEN_INTAKE);
    is_unconfirmed = fake_unconfirmed() > 0;
}

#define WAIT_UNTIL_SEEN(condition) \
    do {                           \
        WAIT_UNTIL(({              \
            ingress_call(look);    \
            (condition);           \
        }));                       \
    } while (0)

static void answer_publisher(void)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, OK);
}

static void answer_intake(void)
{
    fake_answer_dial(CONNECTOR_OPEN_INTAKE, OK);
}

static void dial_and_wait(void)
{
    ingress_call(answer_publisher);
    WAIT_UNTIL_SEEN(is_dialled);
    ingress_call(answer_intake);
    WAIT_UNTIL_SEEN(seen.subscriber_open);
    ingress_call(fake_open_channel);
}

/* The message that the next deliver_it gives to the intake. */
static const char *body, *content_type = "", *message_id = "";

static void deliver_it(void)
{
    static uint64_t number;
    fake_deliver(++number, body, content_type, message_id);
}

static void deliver(const char *text)
{
    body = text;
    ingress_call(deliver_it);
}

static enum publish_end next_end;

static void end_last(void)
{
    fake_end(fake.published_count - 1, next_end);
}

static void end_publish(enum publish_end how)
{
    next_end = how;
    ingress_call(end_last);
    ingress_call(look);
}

Test(intake, valid_message_is_enqueued_and_acked_when_it_is_durable)
{
    deliver(PURCHASE("o-1"));
    ingress_call(look);
    cr_assert_eq(seen.published_count, 1);
    cr_assert_str_empty(seen.published[0].reason);
    cr_assert_eq(seen.acked, 0);
    end_publish(PUBLISHED);
    cr_assert_eq(seen.acked, 1);
    deliver(PURCHASE("o-1")); /* a duplicate is acked as well */
    ingress_call(look);
    cr_assert_eq(seen.acked, 2);
    cr_assert_eq(metrics_read(METRIC_INTAKE_ACCEPTED), 2);
}

Test(intake, rejected_message_is_published_to_the_errors_and_then_acked)
{
    static const struct {
        const char *body, *content_type, *reason;
    } cases[] = {
        {"{", "", "malformed-json: "},
        {"{\"id\":\"1\",\"type\":\"purchase\",\"account\":\"acc_2\"}", "", "forbidden: "},
        {"{\"id\":\"1\",\"type\":\"purchase\",\"account\":\"acc_2\"}", "",
            "/account is not an account"},
        {"{\"type\":\"purchase\",\"account\":\"acc_1\"}", "application/json; charset=utf-8",
            "/id is required"},
        {PURCHASE("o-9"), "text/plain", "media-type: "},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        content_type = cases[i].content_type;
        deliver(cases[i].body);
        ingress_call(look);
        cr_assert_eq(seen.published_count, i + 1);
        cr_assert(
            strstr(seen.published[i].reason, cases[i].reason), "%s", seen.published[i].reason);
        cr_assert_eq(seen.acked, i);
        end_publish(PUBLISHED);
        cr_assert_eq(seen.acked, i + 1);
    }
    cr_assert_eq(metrics_read(METRIC_INTAKE_REFUSED), (int64_t)ARRAY_LENGTH(cases));
    cr_assert_eq(journal_count(), 0);
}

Test(intake, conflict_is_rejected)
{
    deliver(PURCHASE("o-1"));
    end_publish(PUBLISHED);
    deliver("{\"id\":\"o-1\",\"type\":\"purchase\",\"account\":\"acc_1\",\"amount\":\"2\","
            "\"currency\":\"EUR\"}");
    ingress_call(look);
    cr_assert_eq(seen.published_count, 2);
    cr_assert(strstr(seen.published[1].reason, "conflict: evt_"), "%s", seen.published[1].reason);
    end_publish(PUBLISHED);
    cr_assert_eq(seen.acked, 2);
}

Test(intake, message_id_is_the_key_if_there_is_no_other_key)
{
    message_id = "m-1";
    deliver("{\"type\":\"purchase\",\"account\":\"acc_1\"}");
    end_publish(PUBLISHED);
    deliver("{\"type\":\"purchase\",\"account\":\"acc_1\"}");
    ingress_call(look);
    cr_assert_eq(seen.published_count, 1);
    cr_assert_eq(seen.acked, 2);
}

Test(intake, unconfirmed_publish_to_the_errors_is_repeated)
{
    deliver("{");
    end_publish(PUBLISH_NACKED);
    cr_assert_eq(seen.acked, 0);
    WAIT_UNTIL_SEEN(seen.published_count == 2);
    end_publish(PUBLISH_RETURNED);
    cr_assert_eq(seen.acked, 0);
    cr_assert_eq(seen.doubts, 1);
}

Test(intake, message_that_did_not_become_durable_is_retried)
{
    deliver(PURCHASE("o-1"));
    end_publish(PUBLISH_NACKED);
    journal_answer(0, ERR_DISK_FULL, NULL);
    WAIT_UNTIL(journal_count() == 2);
    ingress_call(look);
    cr_assert_eq(seen.acked, 0);
    journal_answer(1, OK, NULL);
    WAIT_UNTIL_SEEN(seen.acked == 1);
}

Test(intake, lost_channel_drops_waiting_messages_and_its_tags_are_not_acked)
{
    deliver(PURCHASE("o-1"));
    ingress_call(fake_lose_channel);
    end_publish(PUBLISHED);
    cr_assert_eq(seen.acked, 0);
    deliver("{");
    ingress_call(fake_lose_channel);
    end_publish(PUBLISH_NACKED);
    cr_assert_eq(seen.published_count, 2);
}

Test(intake, nothing_is_consumed_for_a_disabled_partner)
{
    shop_set_enabled(false);
    WAIT_UNTIL_SEEN(!seen.subscriber_open);
    shop_set_enabled(true);
    WAIT_UNTIL_SEEN(is_dialled);
}

#define NOTE(id) "{\"id\":\"" id "\",\"type\":\"notification\",\"account\":\"acc_1\"}"

Test(intake, what_a_switch_holds_does_not_keep_other_events_from_being_read)
{
    enum { HELD_MAX = 128, COUNT = HELD_MAX + 3 };
    set_switch(SWITCH_OPTIONAL, true);
    for (unsigned i = 0; i < COUNT; i++)
        deliver(NOTE("n-1"));
    ingress_call(look);
    cr_assert_eq(seen.published_count, COUNT - HELD_MAX, "%u", seen.published_count);
    for (unsigned i = 0; i < seen.published_count; i++)
        cr_expect_str_eq(seen.published[i].reason, FAKE_BACK_TO_THE_INTAKE);
    cr_expect_eq(seen.acked, 0, "only when the copy is durable");
    end_publish(PUBLISHED);
    cr_expect_eq(seen.acked, 1);
    cr_expect_eq(metrics_read(METRIC_INTAKE_REFUSED), 0, "it is still to be accepted");
    deliver(PURCHASE("o-1"));
    end_publish(PUBLISHED);
    cr_expect_eq(metrics_read(METRIC_INTAKE_ACCEPTED), 1);
    set_switch(SWITCH_OPTIONAL, false);
    WAIT_UNTIL_SEEN(seen.published_count == COUNT - HELD_MAX + 2);
    end_publish(PUBLISHED);
    WAIT_UNTIL(metrics_read(METRIC_INTAKE_ACCEPTED) == 1 + HELD_MAX);
}

Test(intake, what_a_switch_holds_is_kept_when_its_copy_is_not_durable)
{
    enum { HELD_MAX = 128 };
    set_switch(SWITCH_OPTIONAL, true);
    for (unsigned i = 0; i <= HELD_MAX; i++)
        deliver(NOTE("n-1"));
    end_publish(PUBLISH_NACKED);
    cr_expect_eq(seen.acked, 0);
    set_switch(SWITCH_OPTIONAL, false);
    WAIT_UNTIL_SEEN(seen.published_count >= 2 && !*seen.published[seen.published_count - 1].reason);
    end_publish(PUBLISHED);
    WAIT_UNTIL(metrics_read(METRIC_INTAKE_ACCEPTED) == 1 + HELD_MAX);
}

Test(intake, nothing_is_consumed_while_ingress_is_off_for_all)
{
    set_switch(SWITCH_INGRESS, true);
    WAIT_UNTIL_SEEN(!seen.subscriber_open);
    set_switch(SWITCH_INGRESS, false);
    WAIT_UNTIL_SEEN(is_dialled);
}
