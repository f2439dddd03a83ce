/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk_watch.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

/* Free, before a disk that was full is tried with a write of our own: one page finds its place
 * where an event does not. */
#define ROOM_TO_TRY_BYTES (1024 * 1024)
#define PAGE_BYTES 4096

/* Puts what holds now on the board. */
static void tell_room(struct disk_watch *watch)
{
    const struct disk_reserve *reserve = &watch->store->reserve;
    bool is_full = watch->trouble == ROOM_FULL || watch->store->checkpointer.starved ||
                   reserve->space == SPACE_NONE;
    struct room room = {
        .space = watch->failed || watch->trouble || is_full ? SPACE_NONE : reserve->space,
        .reason = watch->failed                    ? ROOM_FAILING
                  : watch->trouble                 ? watch->trouble
                  : is_full                        ? ROOM_FULL
                  : reserve->space != SPACE_PLENTY ? ROOM_RESERVE
                                                   : ROOM_WELL,
        .since_us = watch->room.since_us,
        .free_bytes = reserve->free_bytes,
        .wanted_bytes = disk_reserve_wants(reserve)};
    if (is_full && room.wanted_bytes < ROOM_TO_TRY_BYTES)
        room.wanted_bytes = ROOM_TO_TRY_BYTES;
    if (watch->store->checkpointer.starved &&
        room.wanted_bytes < watch->store->checkpointer.wal_pages * (int64_t)PAGE_BYTES)
        room.wanted_bytes = watch->store->checkpointer.wal_pages * (int64_t)PAGE_BYTES;
    if (room.space != watch->room.space || room.reason != watch->room.reason) {
        room.since_us = clock_wall_us();
        room_count(&watch->room, -1);
        room_count(&room, 1);
    }
    watch->room = room;
    disk_board_set(watch->board, &room);
}

static void declare_failed(struct disk_watch *watch)
{
    watch->failed = true;
    metrics_add(METRIC_JOURNAL_FAILED, 1);
    tell_room(watch);
    log_error("the journal's disk failed: nothing is accepted or recorded until a restart shard=%u",
        watch->store->shard);
    if (watch->on_failed)
        watch->on_failed(watch->context, ERR_DISK);
}

static void note_failure(struct disk_watch *watch, enum err error)
{
    if (error == ERR_DISK_FULL)
        watch->trouble = ROOM_FULL;
    else if (error == ERR_DISK)
        watch->trouble = sql_found_read_only_disk(watch->store->db) ||
                                 disk_reserve_is_read_only(&watch->store->reserve)
                             ? ROOM_READ_ONLY
                             : ROOM_FAILING;
    watch->next_try_us = clock_mono_us() + DISK_RETRY_US;
}

/* On a disk that was full, a write of our own or an outcome finds its place where no event does. */
void disk_watch_note_success(struct disk_watch *watch, bool took_event)
{
    if (watch->trouble == ROOM_WELL)
        return;
    const struct disk_reserve *reserve = &watch->store->reserve;
    if (watch->trouble == ROOM_FULL && !took_event && reserve->free_bytes >= 0 &&
        reserve->free_bytes < ROOM_TO_TRY_BYTES)
        return;
    log_info("the journal commits again shard=%u", watch->store->shard);
    watch->trouble = ROOM_WELL;
    tell_room(watch);
}

void disk_watch_abandon(struct disk_watch *watch, enum err error, bool while_committing)
{
    bool in_doubt = sql_is_in_doubt(watch->store->db, while_committing);
    if (!watch->trouble || in_doubt)
        log_error("the journal could not commit shard=%u error=%s reason=%s", watch->store->shard,
            err_name(error), sql_reason(watch->store->db));
    note_failure(watch, error);
    metrics_add(METRIC_JOURNAL_COMMIT_FAILURES, 1);
    if (store_roll_back(watch->store))
        in_doubt = true;
    if (in_doubt)
        declare_failed(watch);
    tell_room(watch);
}

static void judge_checkpoint(struct disk_watch *watch, bool was_starved, enum err result)
{
    if (result && !(was_starved && result == ERR_DISK_FULL))
        log_warn("the journal could not be checkpointed shard=%u error=%s reason=%s",
            watch->store->shard, err_name(result), sql_reason(watch->store->db));
    if (result && sql_is_in_doubt(watch->store->db, false))
        declare_failed(watch);
    if (result || was_starved)
        tell_room(watch);
}

void disk_watch_keep_wal_small(struct disk_watch *watch)
{
    bool was_starved = watch->store->checkpointer.starved;
    if (!was_starved) /* else about once a second: disk_watch_next_try */
        judge_checkpoint(watch, false, checkpointer_work(&watch->store->checkpointer));
}

bool disk_watch_relieve_wal(struct disk_watch *watch)
{
    bool was_starved = watch->store->checkpointer.starved, all = false;
    judge_checkpoint(watch, was_starved, checkpointer_relieve(&watch->store->checkpointer, &all));
    return all && !watch->failed;
}

void disk_watch_look(struct disk_watch *watch, int64_t now_us)
{
    if (disk_reserve_look(&watch->store->reserve, now_us))
        room_say_space(&watch->store->reserve, watch->store->shard, &watch->space_said);
    if (watch->store->reserve.free_bytes != watch->room.free_bytes ||
        watch->store->reserve.space != watch->room.space)
        tell_room(watch);
}

void disk_watch_give_reserve_up(struct disk_watch *watch)
{
    disk_reserve_give_up(&watch->store->reserve, clock_mono_us());
    room_say_space(&watch->store->reserve, watch->store->shard, &watch->space_said);
}

enum disk_try disk_watch_next_try(struct disk_watch *watch, int64_t now_us)
{
    bool starved = watch->store->checkpointer.starved;
    if (now_us < watch->next_try_us || (!watch->trouble && !starved))
        return DISK_TRY_NOTHING;
    watch->next_try_us = now_us + DISK_RETRY_US;
    if (starved)
        return DISK_TRY_CHECKPOINT;
    int64_t free_bytes = watch->store->reserve.free_bytes;
    bool may_write =
        watch->trouble != ROOM_FULL || free_bytes < 0 || free_bytes >= ROOM_TO_TRY_BYTES;
    return may_write ? DISK_TRY_WRITE : DISK_TRY_NOTHING;
}

void disk_watch_begin(struct disk_watch *watch)
{
    if (watch->store->reserve.space != SPACE_PLENTY)
        room_say_space(&watch->store->reserve, watch->store->shard, &watch->space_said);
    tell_room(watch);
}

void disk_watch_end(struct disk_watch *watch)
{
    room_count(&watch->room, -1);
    if (watch->failed)
        metrics_add(METRIC_JOURNAL_FAILED, -1);
}
