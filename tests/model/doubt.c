/* SPDX-License-Identifier: Apache-2.0 */
#include "doubt.h"

#include "base/clock.h"
#include "disk.h"
#include "driver_internal.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "fake_client.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#define STREAM STREAM_RULES
#define ROUNDS 80
#define ROUNDS_LOST 40
#define POSTS_LOST 10
#define POSTS_MAX 12
#define BROKER_STEPS_MAX 12
#define MOMENT_US_MAX (3 * US_PER_SECOND)
#define LONG_US_MAX (150 * US_PER_SECOND)
#define LOST_US_MAX (12 * US_PER_SECOND)

/* Per mille of the rounds, or of the requests that wait in a round. */
#define POSTS 200
#define DECIDES 250
#define CHANGES_RULES 60
#define DISTURBS 50
#define PASSES_LONG 60
#define EVENT_WAITS 150
#define QUESTION_WAITS 750
#define ENDS_LOST 400 /* of the seeds */

static unsigned posts;
static bool all_fail;

/* The ends of requests that carry an event. Most of those that carry a payout are ambiguous. */
static void draw_end(bool guarded, struct client_answer *ret_answer)
{
    static const struct attempt_end lost[] = {
        {0, ERR_ANSWER_LOST, true}, {0, ERR_ANSWER_TIMEOUT, true}, {502, OK, true}};
    *ret_answer = (struct client_answer){.end = {200, OK, true}};
    if (all_fail)
        ret_answer->end.http_status = 500;
    if (guarded && sim_chance(STREAM, 550))
        ret_answer->end = lost[sim_below(STREAM, 3)];
    else if (!all_fail && sim_chance(STREAM, 300))
        ret_answer->body = (enum fake_body)sim_below(STREAM, FAKE_BODIES);
    else if (sim_chance(STREAM, 60))
        ret_answer->end.http_status = 500;
}

static void draw_end_of_question(struct client_answer *ret_answer)
{
    static const struct attempt_end failures[] = {{0, ERR_ANSWER_LOST, true},
        {0, ERR_ANSWER_TIMEOUT, true}, {0, ERR_CONNECT, false}, {503, OK, true}};
    *ret_answer = (struct client_answer){.end = {200, OK, true}};
    if (!all_fail && sim_chance(STREAM, 250))
        ret_answer->body = BODY_BAD;
    else if (all_fail || sim_chance(STREAM, 250))
        ret_answer->end = failures[sim_below(STREAM, 4)];
}

static void answer_some(void)
{
    for (unsigned i = fake_client_waiting(); i-- > 0;) {
        struct client_answer answer;
        bool is_question = fake_client_is_question(i);
        if (sim_chance(STREAM, is_question ? QUESTION_WAITS : EVENT_WAITS))
            continue;
        if (is_question)
            draw_end_of_question(&answer);
        else
            draw_end(fake_client_is_guarded(i), &answer);
        fake_client_answer(i, &answer);
    }
}

static void disturb(void)
{
    if (world_state() == WORLD_UP && world_must_stop())
        world_stop(0);
    else if (world_state() != WORLD_UP || !disk_is_mended())
        driver_bring_up();
    else if (sim_chance(STREAM, DISTURBS))
        actions_disturb();
    if (fake_broker_has_ghost())
        fake_broker_notice_ghost();
}

static void do_round(void)
{
    driver_run_dry();
    for (unsigned i = 0; i < BROKER_STEPS_MAX && driver_broker_moves(); i++)
        driver_run_dry();
    if (posts < POSTS_MAX && sim_chance(STREAM, POSTS) && partner_can_post()) {
        partner_post();
        posts++;
    }
    if (sim_chance(STREAM, DECIDES) && actions_can_decide_doubt())
        actions_decide_doubt();
    if (sim_chance(STREAM, CHANGES_RULES))
        actions_change_rules();
    driver_run_dry();
    answer_some();
    disturb();
    driver_run_dry();
    int64_t longest_us = sim_chance(STREAM, PASSES_LONG) ? LONG_US_MAX : MOMENT_US_MAX;
    sim_pass((int64_t)(sim_random(STREAM) % (uint64_t)longest_us));
}

/* At the end all clients fail. Breakers open, and when all payouts are parked, nothing is left that
 * could close them. */
static void lose_all(void)
{
    trace("--- all fail");
    driver_bring_up();
    all_fail = true;
    for (unsigned i = 0; i < POSTS_LOST && partner_can_post(); i++)
        partner_post();
    for (unsigned i = 0; i < ROUNDS_LOST; i++) {
        driver_run_dry();
        for (unsigned j = 0; j < BROKER_STEPS_MAX && driver_broker_moves(); j++)
            driver_run_dry();
        answer_some();
        driver_run_dry();
        sim_pass((int64_t)(sim_random(STREAM) % LOST_US_MAX));
    }
    all_fail = false;
}

void doubt_run(void)
{
    trace("--- doubts");
    tally(TALLY_DOUBTS);
    posts = 0;
    fake_client_forget_plans();
    driver_bring_up();
    actions_mend();
    partner_prefer_guarded(true);
    for (unsigned i = 0; i < ROUNDS; i++)
        do_round();
    if (sim_chance(STREAM, ENDS_LOST))
        lose_all();
    partner_prefer_guarded(false);
}
