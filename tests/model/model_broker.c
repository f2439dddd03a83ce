/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of rabbitmq mode:
 *
 *   P1         a confirmed event is in the broker until it is in the journal
 *   P3         the dedupe store judges an event when it arrives from the broker
 *   acks       a message is acked only after the journal has stored the event durably
 *   ownership  a broker-owned event is sent only while the gateway has a message of it, or when
 *              one of its deliveries had started before
 */
#include "model_internal.h"

#include "base/clock.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "publication.h"
#include "tally.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

static int64_t taken_over_since_us; /* the latest time at which delivery was adopted */

void model_adopted(int64_t since_us)
{
    trace("delivery is adopted by force");
    if (since_us > taken_over_since_us)
        taken_over_since_us = since_us;
}

bool model_may_be_adopted(const struct model_post *post)
{
    /* The other gateway may have delivered until it noticed the loss. So events of one more minute
     * are parked. */
    return post->published && post->guarded && taken_over_since_us &&
           post->accepted_us < taken_over_since_us + 60 * US_PER_SECOND;
}

void model_published(struct model_post *post)
{
    post->published = true;
}

void model_confirmed(struct model_post *post)
{
    char name[NAME_BYTES];
    model_name_post(post, name);
    trace("%s confirmed", name);
    post->promised = true;
    post->awaits_answer = false;
    if (post->state == POST_IN_FLIGHT)
        post->state = POST_QUEUED;
    tally(TALLY_CONFIRMED);
}

void model_gave_up(struct model_post *post)
{
    post->awaits_answer = false;
    if (post->state == POST_IN_FLIGHT)
        post->state = POST_REFUSED;
}

void model_queue_lost(struct model_post *post)
{
    post->queue_lost = true;
}

bool model_is_elsewhere(const struct model_post *post)
{
    return post->state == POST_ALIAS ||
           (post->state == POST_QUEUED &&
               (post->queue_lost || fake_broker_holds(post) || publication_holds(post)));
}

/* Duplicates and conflicts that are found late. */

void model_judge_arrival(struct model_post *post, bool parked_as_conflict)
{
    if (!parked_as_conflict) {
        model_decide_post(post, true);
        return;
    }
    char name[NAME_BYTES];
    model_name_post(post, name);
    const struct model_post *first = model_first_of(post->scope);
    fail_unless(first && first != post && !model_same_money(first, post), "P3",
        "%s is parked as a conflict, but the first of its key is %s", name,
        !first          ? "none"
        : first == post ? "itself"
                        : "one with the same amount");
    trace("%s is a late conflict", name);
    post->state = POST_LATE_CONFLICT;
}

void model_alias_found(const struct event_id *id, const struct event_id *first_id)
{
    struct model_post *post = model_post_of_id(id);
    const struct model_post *first = model_post_of_id(first_id);
    fail_unless(post && first, "P3", "an alias names an event that was never posted");
    if (post->state == POST_ALIAS)
        return;
    char name[NAME_BYTES], first_name[NAME_BYTES];
    model_name_post(post, name);
    model_name_post(first, first_name);
    fail_unless(
        post->published && post->state != POST_ACCEPTED && post->state != POST_LATE_CONFLICT, "P3",
        "%s is an alias of %s, but was judged otherwise before", name, first_name);
    fail_unless(
        first == model_first_of(post->scope) && first != post && model_same_money(first, post),
        "P3", "%s is an alias of %s, which is not the first of its key with this amount", name,
        first_name);
    trace("%s is an alias of %s", name, first_name);
    post->state = POST_ALIAS;
    tally(TALLY_ALIASES);
}

void model_check_promises(void)
{
    for (unsigned i = 0; i < model_posts_count(); i++) {
        const struct model_post *post = model_post(i);
        char name[NAME_BYTES];
        model_name_post(post, name);
        fail_unless(!post->promised || post->on_disk || post->expired || model_is_elsewhere(post),
            "P1", "%s was answered 200, but neither the journal nor the broker has it", name);
    }
}

/* Acks. */

static void check_poison_is_kept(unsigned poison)
{
    char id[24];
    int len = snprintf(id, sizeof id, "poison-%u", poison);
    fail_unless(model_look_durable("SELECT count(*) FROM poison WHERE message_id = CAST(? AS TEXT)",
                    slice_of(id, (size_t)len)) > 0,
        "P1", "poison-%u is acked, but a power loss would lose it", poison);
    tally(TALLY_POISON_KEPT);
}

void model_message_acked(struct model_post *post, unsigned poison)
{
    if (!post) {
        check_poison_is_kept(poison);
        return;
    }
    char name[NAME_BYTES];
    model_name_post(post, name);
    trace("the gateway acks a message of %s", name);
    model_look();
    struct slice id = slice_of(post->id.bytes, sizeof post->id.bytes);
    /* 2: journal-owned or final; 1: broker-owned; 0: not found. */
    int64_t found = model_look_durable(
        "SELECT max(CASE WHEN EXISTS(SELECT 1 FROM deliveries d WHERE d.broker_owned = 1 AND"
        " d.id BETWEEN e.seq * 16 AND e.seq * 16 + 15) THEN 1 ELSE 2 END)"
        " FROM (SELECT seq, id FROM events UNION ALL SELECT -1, id FROM aliases) e"
        " WHERE e.id = ?",
        id);
    /* An expiry may be durable before a look can see it. Aliases expire as well. */
    bool may_be_over = post->expired || model_may_have_expired(post) ||
                       (post->state == POST_ALIAS && model_rules()->history_us != 0);
    fail_unless(found != 0 || may_be_over, "P1",
        "a message of %s is acked, but the event is not durable in the journal", name);
    fail_unless(found != 1 || fake_broker_copies(post) > 0 || fake_broker_has_given(post), "P1",
        "the last message of %s is acked, but the durable journal says: broker-owned", name);
    tally(TALLY_READY_TO_ACK);
}

/* Ownership. */

void model_check_ownership(const struct model_post *post, bool first_after_start)
{
    bool any_broker_owned = false, any_own = false, any_started = false;
    for (unsigned i = 0; i < post->deliveries_count; i++) {
        const struct model_delivery *delivery = &post->deliveries[i];
        any_broker_owned |= delivery->broker_owned;
        any_own |= delivery->state == DELIVERY_WAITING || delivery->state == DELIVERY_PARKED ||
                   delivery->state == DELIVERY_DEAD || delivery->state == DELIVERY_DISCARDED;
        any_started |= delivery->state != DELIVERY_PENDING;
    }
    char name[NAME_BYTES];
    model_name_post(post, name);
    fail_unless(!any_broker_owned || post->published, "P2",
        "%s is broker-owned, but was never published to the broker", name);
    fail_unless(!any_broker_owned || !any_own, "P2",
        "one delivery of %s is journal-owned, and another one is broker-owned", name);
    fail_unless(!any_broker_owned || !any_started || !first_after_start, "P2",
        "%s had started when the last run ended, but is broker-owned", name);
}

unsigned model_broker_owned(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < model_posts_count(); i++) {
        const struct model_post *post = model_post(i);
        bool held = false;
        for (unsigned j = 0; post->on_disk && j < post->deliveries_count; j++)
            held |= post->deliveries[j].broker_owned;
        count += held;
    }
    return count;
}

/*
 * Returns whether a delivery of the event has started in this run. The row that makes the event
 * journal-owned may not be written yet, while the other deliveries continue. Such a row is the
 * `sending` of a guarded delivery, or a parking because its endpoint is disabled or gone.
 */
static bool has_started(const struct model_post *post)
{
    for (unsigned i = 0; i < post->deliveries_count; i++) {
        const struct fake_endpoint *endpoint = fake_endpoint_of_id(post->deliveries[i].endpoint);
        if (post->deliveries[i].sends_in_run > 0 || (endpoint && !fake_endpoint_is_open(endpoint)))
            return true;
    }
    return post->guarded && post->deliveries_count > 1;
}

void model_check_send_of_broker_owned(
    const struct model_delivery *delivery, const struct model_delivery *row)
{
    if (!row->broker_owned)
        return;
    char name[NAME_BYTES];
    model_name(delivery, name);
    fail_unless(row->state == DELIVERY_SENDING || has_started(delivery->post) ||
                    fake_broker_has_given(delivery->post),
        "ownership", "%s is broker-owned and is sent, but the gateway has no message of it", name);
    tally(TALLY_SENDS_BROKER_OWNED);
}
