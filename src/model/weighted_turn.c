/* SPDX-License-Identifier: Apache-2.0 */
#include "model/weighted_turn.h"

#include <assert.h>

void weighted_turn_init(struct weighted_turn *turn)
{
    *turn = (struct weighted_turn){0};
}

unsigned weighted_turn_next(
    struct weighted_turn *turn, const unsigned *weights, unsigned count, unsigned mask)
{
    assert(count <= WEIGHTED_TURN_MEMBERS_MAX && (mask & ((1U << count) - 1)) != 0);
    int gained = 0;
    unsigned chosen = count;
    for (unsigned i = 0; i < count; i++) {
        if (!(mask >> i & 1))
            continue;
        turn->balances[i] += (int)weights[i];
        gained += (int)weights[i];
        if (chosen == count || turn->balances[i] > turn->balances[chosen])
            chosen = i;
    }
    assert(chosen < count);
    turn->balances[chosen] -= gained;
    return chosen;
}
