/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is among a few members with fixed weights, of which some have nothing to send:
 * lanes of an endpoint (fresh : retry : replay = 4 : 2 : 1), or classes within a lane.
 *
 * Smooth weighted round robin, as nginx does it for its upstreams: in each turn every member that
 * has something gains its weight; the one with the most is chosen and pays the sum of these
 * weights. With weights 4, 2, 1 the turns are A B A C A B A: the shares are exact, and spread
 * evenly.
 *
 * A member that has nothing takes no part in the turn: it gains and pays nothing, and keeps its
 * balance. All balances add up to 0, and each stays below the sum of all weights. So a member that
 * leaves for a moment still owes the turn it had, and one that was away for long has saved up two
 * turns at most. While the same members have something, each waits for at most the sum of their
 * weights; while others come and leave, for at most twice that sum.
 *
 * No allocation; each call takes time in proportion to `count`, which is at most 4. The weights may
 * change between turns.
 */
#ifndef PENSTOCK_MODEL_WEIGHTED_TURN_H
#define PENSTOCK_MODEL_WEIGHTED_TURN_H

#define WEIGHTED_TURN_MEMBERS_MAX 4

struct weighted_turn {
    int balances[WEIGHTED_TURN_MEMBERS_MAX]; /* zeros at the start */
};

void weighted_turn_init(struct weighted_turn *turn);

/* Returns the member whose turn it is. Bit i of `mask`: member i has something. One of the first
 * `count` bits is set, and all weights are above 0. */
unsigned weighted_turn_next(
    struct weighted_turn *turn, const unsigned *weights, unsigned count, unsigned mask);

#endif
