/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P5: what clients have really done, and status probes, which ask them about it. A client knows
 * what it has processed. So a payout is never processed twice, unless an operator has ordered it,
 * and no status probe resolves a delivery against what its client did.
 *
 * An answer counts only if the delivery was not sent since the client was asked: an older answer
 * says nothing about the new attempt.
 */
#include "model_internal.h"

#include "fake_accounts.h"
#include "fake_switches.h"
#include "tally.h"
#include "trace.h"

#include <limits.h>
#include <string.h>

/* The status probe in flight of each endpoint, and what it asks about; NULL: has been moved. */
static bool is_asked[FAKE_ENDPOINTS];
static struct model_delivery *asked[FAKE_ENDPOINTS];

static unsigned char *processed_of(const struct model_post *post, uint64_t endpoint)
{
    return (unsigned char *)&post->processed[fake_endpoint_of_id(endpoint) - fake_endpoints];
}

void model_client_processed(struct model_delivery *delivery)
{
    unsigned char *times = processed_of(delivery->post, delivery->endpoint);
    char name[NAME_BYTES];
    model_name(delivery, name);
    fail_unless(*times == 0 || !model_is_guarded(delivery) || delivery->sent_by_order, "P5",
        "%s is guarded, and its client has processed it a second time", name);
    if (*times > 0 && model_is_guarded(delivery))
        tally(TALLY_PROCESSED_AGAIN);
    if (*times < UCHAR_MAX)
        ++*times;
    delivery->sent_by_order = false;
}

struct model_question model_asked(struct slice id, const struct fake_endpoint *endpoint)
{
    struct event_id event;
    fail_unless(
        event_id_parse(id, &event), "P5", "a status probe asks about \"%.*s\"", SLICE_ARGS(id));
    model_look(); /* the commit that parked it may be newer than the last look */
    struct model_question question = {.post = model_post_of_id(&event), .endpoint = endpoint->id};
    fail_unless(question.post, "P5", "a status probe asks about %.*s, which was never posted",
        SLICE_ARGS(id));
    char name[NAME_BYTES];
    model_name_post(question.post, name);
    fail_unless(question.post->guarded && !endpoint->idempotent, "P5",
        "a status probe asks %s about %s, which is not guarded", endpoint->name, name);
    fail_unless(!is_asked[endpoint - fake_endpoints], "P6",
        "%s is asked about %s while another status probe of it is in flight", endpoint->name, name);
    for (unsigned i = 0; i < question.post->deliveries_count; i++)
        if (question.post->deliveries[i].endpoint == endpoint->id)
            question.delivery = &question.post->deliveries[i];
    fail_unless(!fake_switches_are_off(SWITCH_DELIVERIES, endpoint), "switches",
        "%s is asked about %s, but deliveries are off", endpoint->name, name);
    question.processed = *processed_of(question.post, endpoint->id) > 0;
    is_asked[endpoint - fake_endpoints] = true;
    asked[endpoint - fake_endpoints] = question.delivery;
    if (question.delivery)
        question.sends = question.delivery->in_flight ? UINT_MAX : question.delivery->sends;
    trace("%s is asked about %s", endpoint->name, name);
    tally(TALLY_QUESTIONS);
    return question;
}

bool model_has_processed(const struct model_question *question)
{
    return *processed_of(question->post, question->endpoint) > 0;
}

void model_question_ended(const struct model_question *question, enum probe_answer answer)
{
    static const char *const words[] = {
        [PROBE_UNKNOWN] = "nothing", [PROBE_YES] = "yes", [PROBE_NO] = "no"};
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(question->endpoint);
    struct model_delivery *delivery = question->delivery;
    char name[NAME_BYTES];
    model_name_post(question->post, name);
    trace("%s says %s about %s", endpoint->name, words[answer], name);
    is_asked[endpoint - fake_endpoints] = false;
    asked[endpoint - fake_endpoints] = NULL;
    tally(answer == PROBE_YES  ? TALLY_QUESTIONS_YES
          : answer == PROBE_NO ? TALLY_QUESTIONS_NO
                               : TALLY_QUESTIONS_UNKNOWN);
    if (answer == PROBE_UNKNOWN)
        return;
    if (delivery && question->sends == delivery->sends &&
        delivery->endpoint == question->endpoint) {
        delivery->probe_answer = answer;
        delivery->probe_endpoint = question->endpoint;
    } else {
        tally(TALLY_QUESTIONS_LATE);
    }
}

void model_questions_forgotten(void)
{
    memset(is_asked, 0, sizeof is_asked);
    memset(asked, 0, sizeof asked);
}

static bool is_in_doubt(const struct model_delivery *delivery)
{
    return delivery && delivery->post->on_disk && delivery->on_disk &&
           delivery->state == DELIVERY_PARKED && delivery->reason == PARK_AMBIGUOUS;
}

struct model_delivery *model_in_doubt(uint64_t random)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        struct model_delivery *delivery = asked[(random + i) % FAKE_ENDPOINTS];
        if (is_in_doubt(delivery))
            return delivery;
    }
    unsigned count = model_posts_count();
    for (unsigned i = 0; i < count; i++) {
        const struct model_post *post = model_post((unsigned)((random + i) % count));
        for (unsigned j = 0; j < post->deliveries_count; j++)
            if (is_in_doubt(&post->deliveries[j]))
                return &post->deliveries[j];
    }
    return NULL;
}

static bool is_answered(const struct model_delivery *delivery, enum delivery_state to)
{
    enum probe_answer needed = to == DELIVERY_DELIVERED ? PROBE_YES : PROBE_NO;
    return delivery->probe_answer == needed && delivery->probe_endpoint == delivery->endpoint;
}

/* Rows come in their order, and vanish only together. */
void model_resolution_found(struct model_delivery *delivery, const struct model_action_row *row)
{
    if (delivery->resolutions_looked_at != row->look) {
        delivery->resolutions_looked_at = row->look;
        delivery->resolutions_in_look = 0;
    }
    if (++delivery->resolutions_in_look <= delivery->resolutions)
        return;
    delivery->resolutions++;
    char name[NAME_BYTES];
    model_name(delivery, name);
    bool is_yes = row->to == DELIVERY_DELIVERED;
    trace("a status probe moved %s from %s to %s", name, delivery_state_name(row->from),
        delivery_state_name(row->to));
    fail_unless(row->from == DELIVERY_PARKED && row->from_endpoint == row->to_endpoint &&
                    (is_yes || row->to == DELIVERY_PENDING),
        "P5", "a status probe moved %s from %s to %s", name, delivery_state_name(row->from),
        delivery_state_name(row->to));
    bool processed = *processed_of(delivery->post, row->from_endpoint) > 0;
    fail_unless(processed == is_yes, "P5",
        "a status probe made %s %s, but its client has%s processed it", name,
        delivery_state_name(row->to), processed ? "" : " not");
    fail_unless(is_answered(delivery, row->to), "P5",
        "a status probe made %s %s, but its client has not said so since it was sent", name,
        delivery_state_name(row->to));
    delivery->ordered[row->from][row->to]++;
    delivery->probe_answer = PROBE_UNKNOWN;
    delivery->spent = is_yes; /* no: one more send */
    delivery->seen_success = is_yes;
    tally(is_yes ? TALLY_RESOLVED_YES : TALLY_RESOLVED_NO);
}

bool model_resolution_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to)
{
    return from == DELIVERY_PARKED && (to == DELIVERY_DELIVERED || to == DELIVERY_PENDING) &&
           is_answered(delivery, to);
}

bool model_should_be_resolved(const struct model_delivery *delivery)
{
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(delivery->endpoint);
    return endpoint && fake_endpoint_is_open(endpoint) &&
           fake_rules_can_resolve(
               endpoint->policy.rules, *processed_of(delivery->post, delivery->endpoint) > 0);
}
