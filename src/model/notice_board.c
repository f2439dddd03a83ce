/* SPDX-License-Identifier: Apache-2.0 */
#include "model/notice_board.h"

#include <string.h>

#define GAP_FACTOR 4

void notice_board_init(struct notice_board *board, int64_t gap_us_min, int64_t gap_us_max)
{
    board->gap_us_min = gap_us_min;
    board->gap_us_max = gap_us_max;
    board->count = 0;
}

static bool are_alike(const struct operator_event *a, const struct operator_event *b)
{
    return a->kind == b->kind && strcmp(a->subject, b->subject) == 0 &&
           strcmp(a->partner, b->partner) == 0 && strcmp(a->account, b->account) == 0 &&
           strcmp(a->endpoint, b->endpoint) == 0;
}

static struct notice *find(struct notice_board *board, const struct operator_event *event)
{
    for (unsigned i = 0; i < board->count; i++)
        if (are_alike(&board->notices[i].latest, event))
            return &board->notices[i];
    return NULL;
}

static bool is_quiet(const struct notice_board *board, const struct notice *notice, int64_t now_us)
{
    return notice->left_out == 0 && now_us - notice->told_us >= board->gap_us_max;
}

/* One of the first `room`, or NULL. */
static struct notice *find_room(struct notice_board *board, unsigned room, int64_t now_us)
{
    struct notice *found = NULL;
    if (board->count < room)
        found = &board->notices[board->count++];
    for (unsigned i = 0; !found && i < room; i++)
        if (is_quiet(board, &board->notices[i], now_us))
            found = &board->notices[i];
    if (found)
        *found = (struct notice){0};
    return found;
}

void notice_board_add(
    struct notice_board *board, const struct operator_event *event, int64_t now_us)
{
    struct operator_event added = *event;
    struct notice *notice = find(board, &added);
    if (!notice)
        notice = find_room(board, NOTICE_BOARD_ROOM, now_us);
    if (!notice) {
        added.partner[0] = added.account[0] = '\0';
        added.endpoint[0] = added.endpoint_name[0] = '\0';
        notice = find(board, &added);
    }
    if (!notice)
        notice = find_room(board, NOTICE_BOARD_ROOM + NOTICE_BOARD_OTHERS, now_us);
    if (!notice) /* there are fewer kinds and subjects than room for them */
        notice = &board->notices[NOTICE_BOARD_ROOM + NOTICE_BOARD_OTHERS - 1];
    notice->latest = added;
    notice->left_out += event->count;
}

void notice_board_move(struct notice_board *board, struct notice_board *from, int64_t now_us)
{
    struct operator_event event;
    while (notice_board_take_rest(from, now_us, &event))
        notice_board_add(board, &event, now_us);
    notice_board_clear(from);
}

void notice_board_clear(struct notice_board *board)
{
    board->count = 0;
}

static int64_t due_us(const struct notice *notice)
{
    return notice->left_out == 0 ? INT64_MAX
           : notice->was_told    ? notice->told_us + notice->gap_us
                                 : INT64_MIN;
}

static void take(struct notice_board *board, struct notice *notice, int64_t now_us,
    struct operator_event *ret_event)
{
    bool begins =
        !notice->was_told || now_us - notice->told_us >= board->gap_us_max + notice->gap_us;
    int64_t longer_us = notice->gap_us * GAP_FACTOR;
    notice->gap_us = begins                          ? board->gap_us_min
                     : longer_us < board->gap_us_max ? longer_us
                                                     : board->gap_us_max;
    *ret_event = notice->latest;
    ret_event->count = notice->left_out;
    notice->was_told = true;
    notice->told_us = now_us;
    notice->left_out = 0;
}

static bool take_due_by(
    struct notice_board *board, int64_t by_us, int64_t now_us, struct operator_event *ret_event)
{
    for (unsigned i = 0; i < board->count; i++) {
        if (board->notices[i].left_out == 0 || due_us(&board->notices[i]) > by_us)
            continue;
        take(board, &board->notices[i], now_us, ret_event);
        return true;
    }
    return false;
}

bool notice_board_take(struct notice_board *board, int64_t now_us, struct operator_event *ret_event)
{
    return take_due_by(board, now_us, now_us, ret_event);
}

bool notice_board_take_rest(
    struct notice_board *board, int64_t now_us, struct operator_event *ret_event)
{
    return take_due_by(board, INT64_MAX, now_us, ret_event);
}

int64_t notice_board_due_us(const struct notice_board *board)
{
    int64_t earliest_us = INT64_MAX;
    for (unsigned i = 0; i < board->count; i++)
        if (due_us(&board->notices[i]) < earliest_us)
            earliest_us = due_us(&board->notices[i]);
    return earliest_us;
}
