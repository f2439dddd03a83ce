/* SPDX-License-Identifier: Apache-2.0 */
/* Parked deliveries that a replay takes only when its filter names their reason. */
#include "model/replay.h"

#include <criterion/criterion.h>

static enum replay_refusal judge(
    enum replay_action action, enum park_reason named, enum park_reason reason)
{
    const struct replay_order order = {.action = action, .filter.park_reason = named};
    const struct replay_candidate candidate = {
        .state = DELIVERY_PARKED, .reason = reason, .routed = true, .has_body = true};
    return replay_judge(&order, &candidate);
}

Test(replay_reasons, a_conflict_is_sent_only_when_it_is_named)
{
    static const enum park_reason looked_at[] = {PARK_CONFLICT, PARK_MISMATCH};
    for (size_t i = 0; i < sizeof looked_at / sizeof looked_at[0]; i++) {
        enum park_reason reason = looked_at[i];
        cr_expect_eq(judge(REPLAY_ACTION_RETRY, PARK_NONE, reason), REPLAY_REASON_NEEDED);
        cr_expect_eq(judge(REPLAY_ACTION_RETRY, reason, reason), REPLAY_NOT_REFUSED);
        cr_expect_eq(judge(REPLAY_ACTION_DISCARD, PARK_NONE, reason), REPLAY_NOT_REFUSED);
    }
    cr_expect_eq(judge(REPLAY_ACTION_RETRY, PARK_NONE, PARK_DISABLED), REPLAY_NOT_REFUSED);
}

Test(replay_reasons, only_what_is_in_doubt_is_resolved_unless_another_reason_is_named)
{
    for (int reason = PARK_UNROUTED; reason < PARK_REASONS; reason++) {
        bool in_doubt = park_reason_is_doubt((enum park_reason)reason);
        cr_expect_eq(judge(REPLAY_ACTION_RESOLVE, PARK_NONE, (enum park_reason)reason),
            in_doubt ? REPLAY_NOT_REFUSED : REPLAY_REASON_NEEDED, "%d", reason);
        cr_expect_eq(
            judge(REPLAY_ACTION_RESOLVE, (enum park_reason)reason, (enum park_reason)reason),
            REPLAY_NOT_REFUSED, "%d", reason);
    }
}
