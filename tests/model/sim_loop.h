/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of runtime/loop.c: a loop whose time is virtual. There are no file descriptors: who
 * would make one ready rings its watch instead. And in place of the blocking half of
 * runtime/mailbox.c: waiting is the simulator's.
 */
#ifndef PENSTOCK_TESTS_MODEL_SIM_LOOP_H
#define PENSTOCK_TESTS_MODEL_SIM_LOOP_H

#include "runtime/loop.h"

/* The watch's on_ready runs in the loop's next turn, once however often it was rung. */
void sim_loop_ring(struct loop *loop, struct loop_watch *watch);

#endif
