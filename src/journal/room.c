/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/room.h"

#include "base/cleanup.h"

void room_board_set(struct room_board *board, const struct room *room)
{
    atomic_store(&board->space, room->space);
    atomic_store(&board->reason, room->reason);
    atomic_store(&board->since_us, room->since_us);
    atomic_store(&board->free_bytes, room->free_bytes);
    atomic_store(&board->wanted_bytes, room->wanted_bytes);
}

struct room room_board_get(const struct room_board *board)
{
    return (struct room){
        .space = (enum disk_space)atomic_load(&board->space),
        .reason = (enum room_reason)atomic_load(&board->reason),
        .since_us = atomic_load(&board->since_us),
        .free_bytes = atomic_load(&board->free_bytes),
        .wanted_bytes = atomic_load(&board->wanted_bytes),
    };
}

const char *room_reason_name(enum room_reason reason)
{
    static const char *const names[] = {"well", "reserve", "full", "read-only", "failing"};
    return (unsigned)reason < ARRAY_LENGTH(names) ? names[reason] : "unknown";
}

const char *room_taken(enum disk_space space)
{
    static const char *const names[] = {"all events", "no optional events", "only critical events", "no events"};
    return (unsigned)space < ARRAY_LENGTH(names) ? names[space] : "unknown";
}
