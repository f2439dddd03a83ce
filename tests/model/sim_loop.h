/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces runtime/loop.c, with virtual time and without file descriptors: code that would make a
 * descriptor ready rings its watch. Also replaces the functions of runtime/mailbox.c that block.
 */
#ifndef PENSTOCK_TESTS_MODEL_SIM_LOOP_H
#define PENSTOCK_TESTS_MODEL_SIM_LOOP_H

#include "runtime/loop.h"

/* Runs the watch's on_ready once in the loop's next turn, even if it is rung several times. */
void sim_loop_ring(struct loop *loop, struct loop_watch *watch);

#endif
