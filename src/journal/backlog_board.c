/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/backlog_board.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <stdlib.h>

#define NOTES_AT_FIRST 256

void backlog_board_init(struct backlog_board *board)
{
    *board = (struct backlog_board){.is_complete = true};
}

void backlog_board_done(struct backlog_board *board)
{
    struct backlog_node *node = atomic_exchange(&board->first, NULL);
    while (node) {
        struct backlog_node *next = node->next;
        free(node);
        node = next;
    }
    id_map_done(&board->nodes);
    free(TAKE(board->notes));
    board->notes_count = board->notes_room = 0;
}

static struct backlog_node *node_of(struct backlog_board *board, uint64_t endpoint)
{
    struct id_map_node *found = id_map_find(&board->nodes, endpoint);
    if (found)
        return CONTAINER_OF(found, struct backlog_node, by_endpoint);
    struct backlog_node *node;
    MEMORY_NEW(node);
    node->endpoint = endpoint;
    node->next = atomic_load_explicit(&board->first, memory_order_relaxed);
    id_map_add(&board->nodes, &node->by_endpoint, endpoint);
    atomic_store_explicit(&board->first, node, memory_order_release);
    return node;
}

struct backlog_place backlog_place_of(uint64_t endpoint, enum delivery_state state,
    enum park_reason reason, enum delivery_lane lane, enum event_class class)
{
    static const enum backlog_kind kinds[DELIVERY_STATES] = {
        [DELIVERY_PENDING] = BACKLOG_PENDING,
        [DELIVERY_SENDING] = BACKLOG_SENDING,
        [DELIVERY_WAITING] = BACKLOG_WAITING,
        [DELIVERY_PARKED] = BACKLOG_PARKED,
        [DELIVERY_DEAD] = BACKLOG_DEAD,
    };
    if ((unsigned)state >= DELIVERY_STATES || delivery_state_is_final(state) ||
        (unsigned)class >= EVENT_CLASSES)
        return (struct backlog_place){0};
    enum backlog_kind kind = kinds[state];
    if (state == DELIVERY_PENDING && lane == LANE_REPLAY)
        kind = BACKLOG_REPLAYS;
    if (state == DELIVERY_PARKED) {
        if ((unsigned)reason >= PARK_REASONS)
            return (struct backlog_place){0};
        kind += reason;
    }
    return (struct backlog_place){.endpoint = endpoint, .cell = kind * EVENT_CLASSES + class + 1};
}

static void note(struct backlog_board *board, const struct backlog_place *place, int64_t by)
{
    if (place->cell == 0)
        return;
    if (board->notes_count == board->notes_room) {
        board->notes_room = board->notes_room ? board->notes_room * 2 : NOTES_AT_FIRST;
        board->notes = memory_resize(board->notes, board->notes_room * sizeof board->notes[0]);
    }
    board->notes[board->notes_count++] = (struct backlog_note){
        .node = node_of(board, place->endpoint), .cell = place->cell - 1, .by = by};
}

void backlog_board_move(
    struct backlog_board *board, const struct backlog_place *from, const struct backlog_place *to)
{
    if (from->cell == to->cell && from->endpoint == to->endpoint)
        return;
    note(board, from, -1);
    note(board, to, 1);
}

/* There is one writer: a load and a store are enough. */
static void add(_Atomic int64_t *count, int64_t by)
{
    atomic_store_explicit(
        count, atomic_load_explicit(count, memory_order_relaxed) + by, memory_order_relaxed);
}

void backlog_board_committed(struct backlog_board *board)
{
    for (size_t i = 0; i < board->notes_count; i++) {
        const struct backlog_note *note = &board->notes[i];
        add(&note->node->counts[note->cell], note->by);
        add(&board->all.counts[note->cell], note->by);
    }
    board->notes_count = 0;
}

void backlog_board_rolled_back(struct backlog_board *board)
{
    board->notes_count = 0;
}

void backlog_board_add(
    struct backlog_board *board, const struct backlog_place *place, int64_t count)
{
    if (place->cell == 0 || count == 0)
        return;
    add(&node_of(board, place->endpoint)->counts[place->cell - 1], count);
    add(&board->all.counts[place->cell - 1], count);
}

/* Readers. */

const struct backlog_node *backlog_board_first(const struct backlog_board *board)
{
    return atomic_load_explicit(&board->first, memory_order_acquire);
}

static void add_counts(const struct backlog_node *node, struct backlog_counts *counts)
{
    for (unsigned cell = 0; cell < BACKLOG_KINDS * EVENT_CLASSES; cell++) {
        int64_t count = atomic_load_explicit(&node->counts[cell], memory_order_relaxed);
        if (count > 0)
            counts->of[cell / EVENT_CLASSES][cell % EVENT_CLASSES] += count;
    }
}

void backlog_node_read(const struct backlog_node *node, struct backlog_counts *ret_counts)
{
    *ret_counts = (struct backlog_counts){0};
    add_counts(node, ret_counts);
}

void backlog_board_read(
    const struct backlog_board *board, uint64_t endpoint, struct backlog_counts *ret_counts)
{
    const struct backlog_node *node = backlog_board_first(board);
    while (node && node->endpoint != endpoint)
        node = node->next;
    *ret_counts = (struct backlog_counts){0};
    if (node)
        add_counts(node, ret_counts);
}

void backlog_board_add_all(const struct backlog_board *board, struct backlog_counts *counts)
{
    add_counts(&board->all, counts);
}

static bool is_among(uint64_t endpoint, const uint64_t *endpoints, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (endpoints[i] == endpoint)
            return true;
    return false;
}

void backlog_board_add_all_but(const struct backlog_board *board, const uint64_t *endpoints,
    unsigned endpoints_count, struct backlog_counts *counts)
{
    backlog_board_add_all(board, counts);
    for (const struct backlog_node *node = backlog_board_first(board); node && endpoints_count > 0;
         node = node->next) {
        struct backlog_counts of_node;
        if (!is_among(node->endpoint, endpoints, endpoints_count))
            continue;
        backlog_node_read(node, &of_node);
        for (unsigned kind = 0; kind < BACKLOG_KINDS; kind++)
            for (unsigned class = 0; class < EVENT_CLASSES; class ++)
                counts->of[kind][class] -= of_node.of[kind][class];
    }
}

int64_t backlog_sum(const struct backlog_counts *counts, enum backlog_kind kind)
{
    int64_t sum = 0;
    for (unsigned class = 0; class < EVENT_CLASSES; class ++)
        sum += counts->of[kind][class];
    return sum;
}

int64_t backlog_in_progress(const struct backlog_counts *counts)
{
    return backlog_sum(counts, BACKLOG_PENDING) + backlog_sum(counts, BACKLOG_REPLAYS) +
           backlog_sum(counts, BACKLOG_SENDING) + backlog_sum(counts, BACKLOG_WAITING);
}

int64_t backlog_parked(const struct backlog_counts *counts)
{
    int64_t sum = 0;
    for (unsigned reason = 0; reason < PARK_REASONS; reason++)
        sum += backlog_sum(counts, (enum backlog_kind)(BACKLOG_PARKED + reason));
    return sum;
}
