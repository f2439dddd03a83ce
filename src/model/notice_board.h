/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices to operators that one cause may bring in masses: conflicts, parked deliveries. Those that
 * are alike (kind, subject, partner, account, endpoint) are reported together. The first is
 * reported at once, and later ones with their number, and with the latest of them as a sample. So a
 * partner that floods hides nobody else's notice.
 *
 *   first --at once--> told --more of them, after the gap--> told: the next gap is 4 times as long,
 *                                                            up to the longest one
 *
 * A notice that was quiet for the longest gap begins again.
 *
 * Bounds: NOTICE_BOARD_ROOM that are not alike. What finds no room is reported without its partner,
 * account and endpoint. Nothing is left out of the numbers.
 *
 * No clock, no allocation. Times are monotonic. The caller posts what it takes, and looks again
 * when notice_board_due_us says.
 */
#ifndef PENSTOCK_MODEL_NOTICE_BOARD_H
#define PENSTOCK_MODEL_NOTICE_BOARD_H

#include "model/operator_event.h"

#define NOTICE_BOARD_ROOM 16
#define NOTICE_BOARD_OTHERS 8 /* room for those that have found none */

struct notice {
    struct operator_event latest;
    int64_t left_out; /* since the last report */
    bool was_told;
    int64_t told_us, gap_us; /* the last report, and the time until the next one */
};

struct notice_board {
    int64_t gap_us_min, gap_us_max;
    unsigned count;
    struct notice notices[NOTICE_BOARD_ROOM + NOTICE_BOARD_OTHERS];
};

void notice_board_init(struct notice_board *board, int64_t gap_us_min, int64_t gap_us_max);

/* `event->count`: how many it reports. */
void notice_board_add(
    struct notice_board *board, const struct operator_event *event, int64_t now_us);

/* Moves what `from` has into `board`, and leaves it empty. */
void notice_board_move(struct notice_board *board, struct notice_board *from, int64_t now_us);
void notice_board_clear(struct notice_board *board);

/* Returns whether a report is due. `ret_event` is the sample with the number. */
bool notice_board_take(
    struct notice_board *board, int64_t now_us, struct operator_event *ret_event);
/* The same for all that was left out, whether it is due or not. */
bool notice_board_take_rest(
    struct notice_board *board, int64_t now_us, struct operator_event *ret_event);

/* When the next report is due; INT64_MAX: nothing was left out. */
int64_t notice_board_due_us(const struct notice_board *board);

#endif
