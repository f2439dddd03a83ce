/* SPDX-License-Identifier: Apache-2.0 */
#include "model_internal.h"
#include "model_replays.h"

#include "base/clock.h"
#include "disk.h"
#include "fake_accounts.h"
#include "fake_disk_reserve.h"
#include "model_flow.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct model_rules rules;
static struct model_post *posts[MODEL_POSTS_MAX];
static unsigned posts_count, conflicts_answered;
static struct model_post *accepted[MODEL_SCOPES_MAX]; /* the first of each key, once it is known */
static bool journal_failed;
/* The journal's clock, and its value in the runs whose last actions no look has covered yet. */
static int64_t journal_wall_offset_us, journal_us_before;
static bool sends; /* this run has sent a request: the journal's waiting deliveries were read */

void model_init(const struct model_rules *new_rules)
{
    rules = *new_rules;
}

const struct model_rules *model_rules(void)
{
    return &rules;
}

/* Posts. */

unsigned model_posts_count(void)
{
    return posts_count;
}

struct model_post *model_post(unsigned number)
{
    return posts[number];
}

struct model_post *model_post_of_id(const struct event_id *id)
{
    for (unsigned i = posts_count; i > 0; i--)
        if (memcmp(&posts[i - 1]->id, id, sizeof *id) == 0)
            return posts[i - 1];
    return NULL;
}

void model_name_post(const struct model_post *post, char ret_name[NAME_BYTES])
{
    snprintf(ret_name, NAME_BYTES, "p%u", post->number);
}

void model_name(const struct model_delivery *delivery, char ret_name[NAME_BYTES])
{
    snprintf(ret_name, NAME_BYTES, "p%u/%u", delivery->post->number, delivery->index);
}

struct model_delivery *model_any_delivery(uint64_t random)
{
    for (unsigned i = 0; i < posts_count; i++) {
        struct model_post *post = posts[(random + i) % posts_count];
        struct model_delivery *delivery =
            &post->deliveries[random / posts_count % post->deliveries_count];
        if (post->on_disk && delivery->on_disk)
            return delivery;
    }
    return NULL;
}

struct model_post *model_first_of(uint32_t scope)
{
    return scope == MODEL_NO_SCOPE ? NULL : accepted[scope];
}

static struct slice copy_of(struct slice bytes)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    assert(copy);
    memcpy(copy, bytes.data, bytes.len);
    return slice_of(copy, bytes.len);
}

struct model_post *model_posted(const struct model_post_parts *parts)
{
    fail_unless(posts_count < MODEL_POSTS_MAX, BROKEN_SIM, "too many posts: raise MODEL_POSTS_MAX");
    struct model_post *post = calloc(1, sizeof *post);
    assert(post);
    post->number = posts_count;
    post->id = parts->id;
    post->accepted_us = parts->accepted_us;
    post->scope = parts->scope;
    post->account = parts->account;
    post->class = parts->class;
    post->guarded = parts->guarded;
    post->misrouted = parts->misrouted;
    post->awaits_answer = true;
    post->has_amount = parts->amount != NULL;
    post->amount = parts->amount ? model_parse_amount(parts->amount) : 0;
    snprintf(post->currency, sizeof post->currency, "%s", parts->currency ? parts->currency : "");
    post->body = copy_of(parts->body);
    post->disk_errors = disk_errors() + fake_reserve_refusals();
    post->was_low = fake_reserve_is_low();
    post->deliveries_count = parts->endpoints_count ? parts->endpoints_count : 1;
    post->deliveries = calloc(ACCOUNT_ENDPOINTS_MAX, sizeof *post->deliveries);
    assert(post->deliveries);
    for (unsigned i = 0; i < ACCOUNT_ENDPOINTS_MAX; i++)
        post->deliveries[i] = (struct model_delivery){.post = post,
            .index = i,
            .endpoint = i < parts->endpoints_count ? parts->endpoints[i] : 0};
    posts[posts_count++] = post;
    return post;
}

void model_disk_is_short(struct model_post *post)
{
    post->was_low = true;
}

void model_decide_post(struct model_post *post, bool happened)
{
    char name[NAME_BYTES];
    model_name_post(post, name);
    if (happened && post->state == POST_ACCEPTED)
        return;
    trace("%s %s", name, happened ? "is accepted" : "was not accepted");
    fail_unless(post->state != POST_ALIAS && post->state != POST_LATE_CONFLICT, "P3",
        "%s is accepted, but an answer called it a duplicate or a conflict", name);
    post->state = happened ? POST_ACCEPTED : POST_REFUSED;
    if (!happened || post->scope == MODEL_NO_SCOPE)
        return;
    fail_unless(
        !accepted[post->scope], "P3", "%s is accepted, but its key was accepted before", name);
    accepted[post->scope] = post;
    /* One of a key: the others that are in doubt were not accepted. */
    for (unsigned i = 0; i < posts_count; i++)
        if (posts[i]->scope == post->scope && posts[i]->state == POST_IN_DOUBT)
            posts[i]->state = POST_REFUSED;
}

/* Checks the answers "duplicate" and "conflict" against the first event, whose id they carry. */
static void judge_second(
    struct model_post *post, enum err result, const struct event_id *id, const char *name)
{
    struct model_post *first = model_post_of_id(id);
    fail_unless(post->scope != MODEL_NO_SCOPE, "P3", "%s has no key, but is answered %s", name,
        err_name(result));
    fail_unless(
        first, "P3", "%s is answered %s with an id that was never posted", name, err_name(result));
    char first_name[NAME_BYTES];
    model_name_post(first, first_name);
    fail_unless(first != post && first->scope == post->scope, "P3",
        "%s is answered %s with the id of %s, which has another key", name, err_name(result),
        first_name);
    if (first->state == POST_IN_DOUBT || first->published) /* no look has found it yet */
        model_decide_post(first, true);
    fail_unless(accepted[post->scope] == first, "P3",
        "%s is answered %s with the id of %s, which was not accepted", name, err_name(result),
        first_name);
    bool same = model_same_money(first, post);
    fail_unless(same == (result == ERR_EXISTS), "P3",
        "%s is answered %s, but the amount of %s is %s", name, err_name(result), first_name,
        same ? "the same" : "different");
    first->promised |= result == ERR_EXISTS;
    conflicts_answered += result == ERR_CONFLICT;
    fail_unless(post->state != POST_ACCEPTED, "P3", "%s is answered %s, but was accepted", name,
        err_name(result));
    if (post->state == POST_IN_FLIGHT)
        post->state = POST_REFUSED;
    tally(result == ERR_EXISTS ? TALLY_DUPLICATES : TALLY_CONFLICTS);
}

void model_answered(struct model_post *post, enum err result, const struct event_id *id)
{
    char name[NAME_BYTES];
    model_name_post(post, name);
    trace("%s answered %s", name, err_name(result));
    fail_unless(post->awaits_answer, "P3", "%s is answered twice", name);
    post->awaits_answer = false;
    switch (result) {
    case OK:
        fail_unless(
            memcmp(&post->id, id, sizeof *id) == 0, "P3", "%s is accepted under another id", name);
        model_decide_post(post, true);
        post->promised = true;
        tally(TALLY_ACCEPTED);
        break;
    case ERR_EXISTS:
    case ERR_CONFLICT:
        judge_second(post, result, id, name);
        break;
    case ERR_DISK:
    case ERR_DISK_FULL:
        fail_unless(journal_failed || post->was_low ||
                        disk_errors() + fake_reserve_refusals() > post->disk_errors,
            "P1", "%s is refused with %s, but the disk has not refused anything", name,
            err_name(result));
        if (post->state == POST_IN_FLIGHT)
            post->state = journal_failed ? POST_IN_DOUBT : POST_REFUSED;
        tally(TALLY_REFUSED);
        break;
    default:
        fail("P1", "%s is answered %s", name, err_name(result));
    }
}

unsigned model_in_flight(void)
{
    unsigned count = model_actions_in_flight() + model_replay_orders();
    for (unsigned i = 0; i < posts_count; i++)
        count += posts[i]->awaits_answer;
    return count;
}

unsigned model_conflicts_answered(void)
{
    return conflicts_answered;
}

/* Runs of the gateway. */

void model_journal_opened(int64_t wall_us)
{
    journal_us_before = model_journal_us();
    journal_wall_offset_us = wall_us - sim_mono_us();
    sends = false;
    model_flow_restarted();
    model_look_begin();
}

int64_t model_run_us(void)
{
    return sim_mono_us() + journal_wall_offset_us;
}

int64_t model_journal_us(void)
{
    int64_t us = model_run_us();
    return us > journal_us_before ? us : journal_us_before;
}

void model_sending(void)
{
    sends = true;
}

static int64_t longest_attempt_us; /* of the seed */

void model_attempt_took(int64_t duration_us)
{
    if (duration_us > longest_attempt_us)
        longest_attempt_us = duration_us;
}

unsigned model_schedule_of(uint64_t endpoint, const int64_t **ret_steps_us)
{
    const struct fake_endpoint *fake = fake_endpoint_of_id(endpoint);
    bool own = fake && fake->policy.steps > 0;
    *ret_steps_us = own ? fake->policy.steps_us : rules.steps_us;
    return own ? fake->policy.steps : rules.retry_steps;
}

/* Uses the clock of this run. A wait begins when its attempt is sent, so a journal that has a later
 * clock may count the attempt as a part of it. One second is allowed: delivery starts shortly
 * before the journal. */
void model_check_due(const struct model_delivery *row, const char *name)
{
    if (!sends || row->state != DELIVERY_WAITING)
        return;
    int64_t longest_us = rules.retry_after_us_max;
    const int64_t *steps_us;
    unsigned steps = model_schedule_of(row->endpoint, &steps_us);
    unsigned step = row->failures < steps ? (unsigned)row->failures : steps;
    if (step > 0 && steps_us[step - 1] / 5 * 6 > longest_us)
        longest_us = steps_us[step - 1] / 5 * 6;
    /* The gateway's rules, if the endpoint was removed meanwhile. */
    step = row->failures < rules.retry_steps ? (unsigned)row->failures : rules.retry_steps;
    if (step > 0 && rules.steps_us[step - 1] / 5 * 6 > longest_us)
        longest_us = rules.steps_us[step - 1] / 5 * 6;
    int64_t left_us = row->due_us - model_run_us();
    fail_unless(left_us <= longest_us + longest_attempt_us + US_PER_SECOND, "P7",
        "%s is due in %lld s after %lld failures", name, (long long)(left_us / US_PER_SECOND),
        (long long)row->failures);
}

void model_looked(void)
{
    journal_us_before = 0;
}

void model_journal_failed(void)
{
    journal_failed = true;
}

bool model_journal_is_in_doubt(void)
{
    return journal_failed;
}

void model_crashed(void)
{
    journal_failed = false;
    for (unsigned i = 0; i < posts_count; i++) {
        posts[i]->awaits_answer = false;
        if (posts[i]->state == POST_IN_FLIGHT) {
            posts[i]->state = POST_IN_DOUBT;
            tally(TALLY_IN_DOUBT);
        }
    }
    model_actions_crashed();
    model_replays_crashed();
    model_look_end(true, false);
    model_sends_ended();
    model_flow_restarted();
}

static void check_recorded(const struct model_post *post)
{
    for (unsigned i = 0; i < post->deliveries_count && !post->expired; i++) {
        const struct model_delivery *delivery = &post->deliveries[i];
        char name[NAME_BYTES];
        model_name(delivery, name);
        fail_unless(!delivery->seen_success || delivery->state == DELIVERY_DELIVERED, "P4",
            "%s was answered with a success, but an orderly stop has not recorded it: it is %s",
            name, delivery_state_name(delivery->state));
    }
}

void model_stopped(bool recorded_everything)
{
    for (unsigned i = 0; i < posts_count && recorded_everything; i++)
        check_recorded(posts[i]);
    journal_failed = false;
    model_look_end(false, recorded_everything);
    model_sends_ended();
    model_flow_restarted();
}
