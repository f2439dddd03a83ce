/* SPDX-License-Identifier: Apache-2.0 */
#include "model/delivery_state.h"

#include <criterion/criterion.h>

/* The picture in delivery_state.h as a matrix: a row is the state before, a column the state
 * after. */
static const char *const picture[DELIVERY_STATES] = {
    /*                    pending, sending, waiting, parked, delivered, dead, discarded */
    [DELIVERY_PENDING] = ".xxx...",
    [DELIVERY_SENDING] = "..xxxx.",
    [DELIVERY_WAITING] = "xx.x..x",
    [DELIVERY_PARKED] = "x...x.x",
    [DELIVERY_DELIVERED] = "x......",
    [DELIVERY_DEAD] = "x.....x",
    [DELIVERY_DISCARDED] = ".......",
};

Test(delivery_state, only_the_changes_of_the_picture_are_allowed)
{
    for (int from = 0; from < DELIVERY_STATES; from++)
        for (int to = 0; to < DELIVERY_STATES; to++)
            cr_expect_eq(
                delivery_state_may_move((enum delivery_state)from, (enum delivery_state)to),
                picture[from][to] == 'x', "%s -> %s",
                delivery_state_name((enum delivery_state)from),
                delivery_state_name((enum delivery_state)to));
}

Test(delivery_state, values_outside_the_enum_never_change)
{
    for (int state = 0; state < DELIVERY_STATES; state++) {
        cr_expect_not(delivery_state_may_move((enum delivery_state)state, DELIVERY_STATES));
        cr_expect_not(delivery_state_may_move(DELIVERY_STATES, (enum delivery_state)state));
        cr_expect_not(
            delivery_state_may_move((enum delivery_state) - 1, (enum delivery_state)state));
        cr_expect_not(
            delivery_state_may_move((enum delivery_state)state, (enum delivery_state) - 1));
    }
}

Test(delivery_state, numbers_on_disk_keep_their_names)
{
    static const char *const states[] = {
        "pending", "sending", "waiting", "parked", "delivered", "dead", "discarded", "unknown"};
    for (int i = 0; i < 8; i++)
        cr_expect_str_eq(delivery_state_name((enum delivery_state)i), states[i]);
    static const char *const reasons[] = {"none", "unrouted", "disabled", "gone", "ambiguous",
        "conflict", "damaged", "mismatch", "taken-over", "doubtful", "unknown"};
    for (int i = 0; i < 9; i++)
        cr_expect_str_eq(park_reason_name((enum park_reason)i), reasons[i]);
    static const char *const causes[] = {"none", "endpoint", "event", "ourselves", "unknown"};
    for (int i = 0; i < 5; i++)
        cr_expect_str_eq(wait_cause_name((enum wait_cause)i), causes[i]);
    static const char *const lanes[] = {"fresh", "retry", "replay", "unknown"};
    for (int i = 0; i < 4; i++)
        cr_expect_str_eq(delivery_lane_name((enum delivery_lane)i), lanes[i]);
}

Test(delivery_state, every_reason_except_none_is_found_by_its_name)
{
    for (int i = PARK_NONE; i <= PARK_DOUBTFUL; i++) {
        enum park_reason reason = PARK_NONE;
        cr_expect_eq(
            park_reason_from_name(park_reason_name((enum park_reason)i), &reason), i != PARK_NONE);
        cr_expect_eq((int)reason, i);
    }
    enum park_reason reason = PARK_GONE;
    cr_expect_not(park_reason_from_name("unknown", &reason));
    cr_expect_not(park_reason_from_name("", &reason));
    cr_expect_eq(reason, PARK_GONE);
}
