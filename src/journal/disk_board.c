/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk_board.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#define REMEMBERED_US US_PER_SECOND

void disk_board_set(struct disk_board *board, const struct room *room)
{
    atomic_store(&board->space, room->space);
    atomic_store(&board->reason, room->reason);
    atomic_store(&board->since_us, room->since_us);
    atomic_store(&board->free_bytes, room->free_bytes);
    atomic_store(&board->wanted_bytes, room->wanted_bytes);
}

struct room disk_board_get(const struct disk_board *board)
{
    return (struct room){
        .space = (enum disk_space)atomic_load(&board->space),
        .reason = (enum room_reason)atomic_load(&board->reason),
        .since_us = atomic_load(&board->since_us),
        .free_bytes = atomic_load(&board->free_bytes),
        .wanted_bytes = atomic_load(&board->wanted_bytes),
    };
}

void disk_board_begin(struct disk_board *board, int64_t now_mono_us)
{
    atomic_store_explicit(&board->busy_since_us, now_mono_us, memory_order_relaxed);
}

void disk_board_end(struct disk_board *board, int64_t now_mono_us)
{
    int64_t took_us =
        now_mono_us - atomic_load_explicit(&board->busy_since_us, memory_order_relaxed);
    int64_t longest_us = atomic_load_explicit(&board->took_us, memory_order_relaxed);
    int64_t until_us = atomic_load_explicit(&board->took_until_us, memory_order_relaxed);
    atomic_store_explicit(&board->busy_since_us, 0, memory_order_relaxed);
    if (took_us < longest_us && now_mono_us - until_us < REMEMBERED_US)
        return;
    atomic_store_explicit(&board->took_us, took_us, memory_order_relaxed);
    atomic_store_explicit(&board->took_until_us, now_mono_us, memory_order_relaxed);
}

bool disk_board_is_prompt(const struct disk_board *board, int64_t now_mono_us, int64_t within_us)
{
    int64_t busy_since_us = atomic_load_explicit(&board->busy_since_us, memory_order_relaxed);
    int64_t until_us = atomic_load_explicit(&board->took_until_us, memory_order_relaxed);
    return atomic_load_explicit(&board->reason, memory_order_relaxed) == ROOM_WELL &&
           (atomic_load_explicit(&board->took_us, memory_order_relaxed) <= within_us ||
               now_mono_us - until_us >= REMEMBERED_US) &&
           (busy_since_us == 0 || now_mono_us - busy_since_us <= within_us);
}

const char *room_reason_name(enum room_reason reason)
{
    static const char *const names[] = {"well", "reserve", "full", "read-only", "failing"};
    return (unsigned)reason < ARRAY_LENGTH(names) ? names[reason] : "unknown";
}

const char *room_taken(enum disk_space space)
{
    static const char *const names[] = {
        "all events", "no optional events", "only critical events", "no events"};
    return (unsigned)space < ARRAY_LENGTH(names) ? names[space] : "unknown";
}

void room_count(const struct room *room, int64_t amount)
{
    static const enum metric reasons[] = {[ROOM_RESERVE] = METRIC_JOURNALS_SHORT_RESERVE,
        [ROOM_FULL] = METRIC_JOURNALS_SHORT_FULL,
        [ROOM_READ_ONLY] = METRIC_JOURNALS_SHORT_READ_ONLY,
        [ROOM_FAILING] = METRIC_JOURNALS_SHORT_FAILING};
    if (room->reason == ROOM_WELL)
        return;
    metrics_add(reasons[room->reason], amount);
    metrics_add(METRIC_JOURNALS_REFUSING_OPTIONAL, amount);
    metrics_add(METRIC_JOURNALS_REFUSING_IMPORTANT, room->space >= SPACE_SCARCE ? amount : 0);
    metrics_add(METRIC_JOURNALS_REFUSING_CRITICAL, room->space == SPACE_NONE ? amount : 0);
}

void room_say_space(const struct disk_reserve *reserve, unsigned shard, int64_t *said)
{
    metrics_add(METRIC_JOURNAL_SPACE, (int64_t)reserve->space - *said);
    *said = reserve->space;
    if (reserve->space == SPACE_PLENTY)
        log_info("the disk has room again: everything is accepted shard=%u", shard);
    else
        log_warn("the disk fills up: %s shard=%u space=%s",
            reserve->space == SPACE_LOW      ? "optional events are refused"
            : reserve->space == SPACE_SCARCE ? "only critical events are accepted"
                                             : "no events are accepted, deliveries continue",
            shard, disk_space_name(reserve->space));
}
