/* SPDX-License-Identifier: Apache-2.0 */
/* P4 and P5: whether a request to a client may be sent now. */
#include "model_internal.h"

#include "fake_accounts.h"
#include "fake_switches.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct model_delivery *find(const struct model_send *send)
{
    struct event_id id;
    fail_unless(event_id_parse(send->id, &id), "P4", "webhook-id \"%.*s\" is not an event id",
        SLICE_ARGS(send->id));
    struct model_post *post = model_post_of_id(&id);
    fail_unless(post, "P4", "webhook-id %.*s was never posted", SLICE_ARGS(send->id));
    const struct fake_endpoint *endpoint = fake_endpoint_of_url(send->url);
    for (unsigned i = 0; endpoint && i < post->deliveries_count; i++)
        if (post->deliveries[i].endpoint == endpoint->id)
            return &post->deliveries[i];
    fail("P4", "webhook-id %.*s is sent to %s, but has no delivery for it", SLICE_ARGS(send->id),
        send->url);
}

static void check_row(
    const struct model_delivery *delivery, const struct model_send *send, const char *name)
{
    struct model_delivery row;
    bool guarded = model_is_guarded(delivery);
    fail_unless(
        model_look_at(delivery, false, &row), "P2", "%s is sent, but is not in the journal", name);
    bool may = guarded ? row.state == DELIVERY_SENDING
                       : row.state == DELIVERY_PENDING || row.state == DELIVERY_WAITING;
    fail_unless(may, guarded && row.state != DELIVERY_DELIVERED ? "P5" : "P4",
        "%s is sent, but the journal says: %s", name, delivery_state_name(row.state));
    char number[24];
    model_check_send_of_broker_owned(delivery, &row);
    snprintf(number, sizeof number, "%lld", (long long)row.attempts + 1);
    fail_unless(slice_equals_string(send->attempt, number), "P4",
        "%s is sent as attempt %.*s, but the journal has %lld earlier ones", name,
        SLICE_ARGS(send->attempt), (long long)row.attempts);
    if (!guarded)
        return;
    fail_unless(model_look_at(delivery, true, &row), "P5",
        "%s is sent, but a power loss would lose it", name);
    fail_unless(row.state == DELIVERY_SENDING, "P5", "%s is sent, but the durable journal says: %s",
        name, delivery_state_name(row.state));
}

/* Nothing is sent that an operator has switched off. */
static void check_switches(
    const struct model_delivery *delivery, const struct fake_endpoint *endpoint, const char *name)
{
    fail_unless(!fake_switches_are_off(SWITCH_DELIVERIES, endpoint), "switches",
        "%s is sent, but deliveries are off", name);
    fail_unless(
        delivery->state != DELIVERY_WAITING || !fake_switches_are_off(SWITCH_RETRIES, endpoint),
        "switches", "%s is sent again, but retries are off", name);
    fail_unless(delivery->post->class != CLASS_OPTIONAL ||
                    !fake_switches_are_off(SWITCH_OPTIONAL, endpoint),
        "switches", "%s is sent, but optional events are off", name);
}

struct model_delivery *model_request_sent(const struct model_send *send)
{
    /* The commit that permits the send may be newer than the last look: it may have brought or
     * routed the delivery, or recorded an operator action. */
    model_look();
    struct model_delivery *delivery = find(send);
    const struct model_post *post = delivery->post;
    char name[NAME_BYTES];
    model_name(delivery, name);
    bool guarded = model_is_guarded(delivery);
    trace("%s sent, %s attempt %.*s", name, guarded ? "guarded," : "", SLICE_ARGS(send->attempt));
    fail_unless(slice_equal(send->body, post->body), "P4",
        "%s is sent with other bytes than were posted", name);
    fail_unless(!delivery->in_flight, "P4", "%s is sent while it is in flight", name);
    fail_unless(!delivery->seen_success, "P4",
        "%s is sent again after the gateway received a success", name);
    fail_unless(
        !guarded || !delivery->spent, "P5", "%s is guarded and is sent a second time", name);
    fail_unless(send->once == guarded, "P5", "%s is sent %s", name,
        send->once ? "as a guarded delivery" : "in a way that libcurl may repeat");
    fail_unless(fake_endpoint_may_use(fake_endpoint_of_url(send->url), send->rules, guarded), "P4",
        "%s is sent by the rules %u, which have been replaced", name, send->rules->number);
    check_row(delivery, send, name);
    check_switches(delivery, fake_endpoint_of_url(send->url), name);
    tally(TALLY_SENDS);
    if (guarded)
        tally(TALLY_SENDS_GUARDED);
    if (delivery->worked_off)
        tally(TALLY_SENDS_AGAIN);
    model_sending();
    delivery->sent_mono_us = sim_mono_us();
    const struct fake_endpoint *endpoint = fake_endpoint_of_url(send->url);
    delivery->sent_to = endpoint && endpoint->is_there ? endpoint : NULL;
    delivery->sent_changes = endpoint ? endpoint->changes : 0;
    model_flow_sent(delivery, guarded, name);
    delivery->sent_number = strtoll(send->attempt.data, NULL, 10);
    delivery->sends++;
    delivery->sends_in_run++;
    delivery->in_flight = true;
    delivery->spent = true;
    delivery->probe_answer = PROBE_UNKNOWN;
    return delivery;
}

static bool is_2xx(const struct attempt_end *end)
{
    return end->http_status >= 200 && end->http_status < 300;
}

/* Ambiguous: the client may have done the work. */
static bool is_ambiguous(const struct model_end *how)
{
    const struct attempt_end *end = &how->end;
    if (end->http_status == 0)
        return end->request_begun;
    return how->success == SUCCESS_UNKNOWN || (is_2xx(end) && end->error) ||
           end->http_status == 502 || end->http_status == 504;
}

void model_request_answered(struct model_delivery *delivery, const struct model_end *end)
{
    if (end->success == SUCCESS_YES)
        delivery->worked_off = true;
}

static void tally_end(const struct model_end *end)
{
    tally(end->success == SUCCESS_YES   ? TALLY_ANSWERS_SUCCESS
          : is_ambiguous(end)           ? TALLY_ANSWERS_AMBIGUOUS
          : end->end.http_status == 410 ? TALLY_ANSWERS_410
                                        : TALLY_ANSWERS_FAILED);
    if (end->success == SUCCESS_YES && !is_2xx(&end->end))
        tally(TALLY_SUCCESS_NOT_2XX);
    if (end->success == SUCCESS_NO && is_2xx(&end->end))
        tally(TALLY_FAILED_2XX);
    if (end->success == SUCCESS_UNKNOWN)
        tally(TALLY_BODY_UNKNOWN);
}

void model_request_ended(struct model_delivery *delivery, const struct model_end *how)
{
    static const char *const words[] = {[SUCCESS_YES] = "a success",
        [SUCCESS_NO] = "no success",
        [SUCCESS_UNKNOWN] = "cannot be judged"};
    const struct attempt_end *end = &how->end;
    char name[NAME_BYTES];
    model_name(delivery, name);
    trace("%s ends: status %d, %s, %s, %s", name, end->http_status, err_name(end->error),
        end->request_begun ? "begun" : "not begun", words[how->success]);
    fail_unless(delivery->in_flight, BROKEN_SIM, "a request ends that was not sent");
    delivery->in_flight = false;
    delivery->ended_unchanged =
        delivery->sent_to && delivery->sent_to->changes == delivery->sent_changes;
    model_attempt_took(sim_mono_us() - delivery->sent_mono_us);
    model_flow_ended(delivery, how);
    if (how->success == SUCCESS_YES)
        delivery->seen_success = true;
    else if (!is_ambiguous(how))
        delivery->spent = false;
    if (end->error == ERR_CANCELLED) {
        tally(TALLY_CANCELLED);
        return;
    }
    delivery->ends_seen++;
    tally_end(how);
}

void model_sends_ended(void)
{
    model_questions_forgotten();
    for (unsigned i = 0; i < model_posts_count(); i++)
        for (unsigned j = 0; j < model_post(i)->deliveries_count; j++) {
            struct model_delivery *delivery = &model_post(i)->deliveries[j];
            delivery->in_flight = false;
            delivery->seen_success = false;
            delivery->sends_in_run = 0;
        }
}
