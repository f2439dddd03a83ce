/* SPDX-License-Identifier: Apache-2.0 */
#include "model/replay.h"

#include <criterion/criterion.h>

#define BIT(state) (1u << (state))

Test(replay, an_id_is_written_and_read_with_its_prefix)
{
    struct event_id id, again;
    char text[REPLAY_ID_TEXT_BYTES];
    event_id_make(&(struct event_id_generator){0}, INT64_C(1764590400000000), 7,
        (const unsigned char *)"12345678", &id);
    replay_id_format(&id, text);
    cr_assert_eq(strncmp(text, "rpl_", 4), 0, "%s", text);
    cr_assert(replay_id_parse(slice_from_string(text), &again));
    cr_expect_eq(memcmp(&id, &again, sizeof id), 0);
    memcpy(text, "evt_", 4);
    cr_expect_not(replay_id_parse(slice_from_string(text), &again), "an event's id is another id");
    memcpy(text, "rpl_", 4);
    cr_expect_not(replay_id_parse(slice_of(text, strlen(text) - 1), &again), "it is too short");
}

Test(replay, each_name_names_its_number)
{
    for (int i = 0; i < REPLAY_ACTIONS; i++) {
        enum replay_action action;
        cr_assert(replay_action_from_name(replay_action_name((enum replay_action)i), &action));
        cr_expect_eq(action, i);
    }
    for (int i = 0; i < REPLAY_STATES; i++) {
        enum replay_state state;
        cr_assert(replay_state_from_name(replay_state_name((enum replay_state)i), &state));
        cr_expect_eq(state, i);
    }
    for (int i = 0; i < REPLAY_REFUSALS; i++)
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(replay_refusal_name((enum replay_refusal)i),
                replay_refusal_name((enum replay_refusal)j));
    enum replay_action action;
    enum replay_state state;
    cr_expect_not(replay_action_from_name("resend", &action));
    cr_expect_not(replay_state_from_name("stopped", &state));
}

Test(replay, an_ended_one_never_changes_and_only_a_running_one_is_done)
{
    static const bool may[REPLAY_STATES][REPLAY_STATES] = {
        [REPLAY_RUNNING] = {true, true, true, true},
        [REPLAY_PAUSED] = {true, true, true, false},
    };
    for (int from = 0; from < REPLAY_STATES; from++)
        for (int to = 0; to < REPLAY_STATES; to++)
            cr_expect_eq(replay_state_may_change((enum replay_state)from, (enum replay_state)to),
                may[from][to], "from %s to %s", replay_state_name((enum replay_state)from),
                replay_state_name((enum replay_state)to));
}

Test(replay, an_action_is_possible_in_some_states_only)
{
    static const struct {
        enum replay_action action;
        bool force;
        unsigned states;
    } cases[] = {
        {REPLAY_ACTION_RETRY, false,
            BIT(DELIVERY_WAITING) | BIT(DELIVERY_PARKED) | BIT(DELIVERY_DEAD)},
        {REPLAY_ACTION_RETRY, true,
            BIT(DELIVERY_WAITING) | BIT(DELIVERY_PARKED) | BIT(DELIVERY_DEAD) |
                BIT(DELIVERY_DELIVERED)},
        {REPLAY_ACTION_DISCARD, true,
            BIT(DELIVERY_WAITING) | BIT(DELIVERY_PARKED) | BIT(DELIVERY_DEAD)},
        {REPLAY_ACTION_RESOLVE, true, BIT(DELIVERY_PARKED)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(replay_states(cases[i].action, cases[i].force), cases[i].states,
            "case %zu: %x", i, replay_states(cases[i].action, cases[i].force));
}

Test(replay, refuses_what_may_harm_and_what_is_impossible)
{
    enum { RETRY = REPLAY_ACTION_RETRY, DISCARD = REPLAY_ACTION_DISCARD };
    enum { RESOLVE = REPLAY_ACTION_RESOLVE };
    static const struct {
        const char *what;
        int action;
        bool by_guarded;
        struct replay_candidate candidate;
        enum replay_refusal expected;
    } cases[] = {
        {"a dead one is sent", RETRY, false, {DELIVERY_DEAD, 0, true, false, true, false},
            REPLAY_NOT_REFUSED},
        {"a dead payout is sent", RETRY, false, {DELIVERY_DEAD, 0, true, true, true, false},
            REPLAY_NOT_REFUSED},
        {"a doubt is not sent", RETRY, false,
            {DELIVERY_PARKED, PARK_AMBIGUOUS, true, true, true, false}, REPLAY_IN_DOUBT},
        {"a doubt is sent if that is said", RETRY, true,
            {DELIVERY_PARKED, PARK_AMBIGUOUS, true, true, true, false}, REPLAY_NOT_REFUSED},
        {"the reason of an earlier state is no doubt", RETRY, false,
            {DELIVERY_DEAD, PARK_AMBIGUOUS, true, true, true, false}, REPLAY_NOT_REFUSED},
        {"a disabled one is no doubt", RETRY, false,
            {DELIVERY_PARKED, PARK_DISABLED, true, true, true, false}, REPLAY_NOT_REFUSED},
        {"a doubt is not discarded", DISCARD, false,
            {DELIVERY_PARKED, PARK_TAKEN_OVER, true, true, true, false}, REPLAY_IN_DOUBT},
        {"a doubt is discarded if that is said", DISCARD, true,
            {DELIVERY_PARKED, PARK_TAKEN_OVER, true, true, true, false}, REPLAY_NOT_REFUSED},
        {"a doubt is resolved", RESOLVE, false,
            {DELIVERY_PARKED, PARK_AMBIGUOUS, true, true, true, false}, REPLAY_NOT_REFUSED},
        {"a delivered one is sent", RETRY, false, {DELIVERY_DELIVERED, 0, true, false, true, false},
            REPLAY_NOT_REFUSED},
        {"a delivered payout is not", RETRY, false,
            {DELIVERY_DELIVERED, 0, true, true, true, false}, REPLAY_GUARDED_DELIVERED},
        {"a delivered payout is sent if that is said", RETRY, true,
            {DELIVERY_DELIVERED, 0, true, true, true, false}, REPLAY_NOT_REFUSED},
        {"there is no body", RETRY, true, {DELIVERY_DEAD, 0, true, false, false, false},
            REPLAY_BODY_EXPIRED},
        {"without a body it is discarded", DISCARD, false,
            {DELIVERY_DEAD, 0, true, false, false, false}, REPLAY_NOT_REFUSED},
        {"there is no endpoint", RETRY, true,
            {DELIVERY_PARKED, PARK_UNROUTED, false, false, true, false}, REPLAY_UNROUTED},
        {"without an endpoint it is not resolved by accident", RESOLVE, false,
            {DELIVERY_PARKED, PARK_UNROUTED, false, false, true, false}, REPLAY_REASON_NEEDED},
        {"a damaged one is not sent", RETRY, true,
            {DELIVERY_PARKED, PARK_DAMAGED, true, false, true, true}, REPLAY_DAMAGED},
        {"a damaged one is discarded", DISCARD, false, {DELIVERY_DEAD, 0, true, false, false, true},
            REPLAY_NOT_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct replay_order order = {.action = (enum replay_action)cases[i].action,
            .force = true,
            .guarded = cases[i].by_guarded};
        enum replay_refusal refusal = replay_judge(&order, &cases[i].candidate);
        cr_expect_eq(
            refusal, cases[i].expected, "%s: %s", cases[i].what, replay_refusal_name(refusal));
    }
}

Test(replay, the_progress_of_shards_adds_up)
{
    struct replay_progress sum = {.moved = 1, .refused = {[REPLAY_IN_DOUBT] = 2}};
    const struct replay_progress more = {
        .moved = 10, .refused = {[REPLAY_IN_DOUBT] = 20, [REPLAY_MOVED_ON] = 30}};
    replay_progress_add(&sum, &more);
    cr_expect_eq(sum.moved, 11);
    cr_expect_eq(sum.refused[REPLAY_IN_DOUBT], 22);
    cr_expect_eq(replay_progress_refused(&sum), 52);
}
