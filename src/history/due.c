/* SPDX-License-Identifier: Apache-2.0 */
#include "history/due.h"

#include "base/clock.h"
#include "history/reading.h"
#include "history/timeline.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum due_statement { DUE_PENDING, DUE_WAITING, DUE_BROKER_OWNED, DUE_STATEMENTS };

static const char *const texts[DUE_STATEMENTS] = {
    [DUE_PENDING] = "SELECT due_us FROM deliveries INDEXED BY deliveries_pending WHERE state = 0"
                    " AND broker_owned = 0 AND lane <> 2 AND endpoint = ? ORDER BY id LIMIT 1",
    [DUE_WAITING] = "SELECT due_us FROM deliveries INDEXED BY deliveries_waiting WHERE state = 2"
                    " AND endpoint = ? ORDER BY due_us LIMIT 1",
    [DUE_BROKER_OWNED] =
        "SELECT due_us, endpoint FROM deliveries INDEXED BY deliveries_broker_owned"
        " WHERE broker_owned = 1 AND state = 0 ORDER BY id LIMIT ?",
};

static void note(
    struct journal_due *due, struct journal_due_entry *entry, int64_t due_us, bool waits)
{
    if (due_us > due->now_us || due_us >= entry->ret_due_us)
        return;
    entry->ret_due_us = due_us;
    entry->ret_waits = waits;
}

static enum err read_first(struct sqlite3_stmt *statement, struct journal_due *due,
    struct journal_due_entry *entry, bool waits)
{
    struct sql_use use = sql_use(statement);
    int64_t due_us = INT64_MAX;
    sql_bind_int(&use, (int64_t)entry->endpoint);
    enum err result = sql_execute_int(&use, &due_us);
    if (!result)
        note(due, entry, due_us, waits);
    return result == ERR_NOT_FOUND ? OK : result;
}

static enum err read_broker_owned(
    struct sqlite3_stmt *statement, struct journal_due *due, unsigned shard)
{
    struct sql_use use = sql_use(statement);
    bool row = false;
    enum err result;
    sql_bind_int(&use, DUE_BROKER_OWNED_MAX);
    while (!(result = sql_step(&use, &row)) && row)
        for (unsigned i = 0; i < due->count; i++)
            if (due->entries[i].shard == shard &&
                due->entries[i].endpoint == (uint64_t)sql_column_int(&use, 1))
                note(due, &due->entries[i], sql_column_int(&use, 0), false);
    sql_finish(&use);
    return result;
}

static enum err read_entries(struct sqlite3_stmt *const *statements, struct journal_due *due,
    unsigned shard, int64_t deadline_us, unsigned *first)
{
    enum err result = read_broker_owned(statements[DUE_BROKER_OWNED], due, shard);
    unsigned begin = *first;
    for (unsigned i = 0; i < due->count && !result; i++) {
        unsigned at = (begin + i) % due->count;
        struct journal_due_entry *entry = &due->entries[at];
        if (entry->shard != shard)
            continue;
        if (clock_mono_us() > deadline_us) {
            *first = at;
            break;
        }
        result = read_first(statements[DUE_PENDING], due, entry, false);
        if (!result)
            result = read_first(statements[DUE_WAITING], due, entry, true);
        entry->ret_known = !result;
    }
    return result;
}

enum err due_read(struct timeline_source *source, struct journal_due *due, unsigned shard,
    int64_t deadline_us, unsigned *first)
{
    struct sqlite3_stmt *statements[DUE_STATEMENTS] = {0};
    enum err result = sql_prepare_all(source->db, texts, DUE_STATEMENTS, statements);
    if (!result)
        result = reading_begin(source->db);
    if (!result) {
        result = read_entries(statements, due, shard, deadline_us, first);
        reading_end(source->db);
    }
    sql_finalize_all(statements, DUE_STATEMENTS);
    return result;
}

static int64_t bytes_of(const char *directory, unsigned shard, const char *suffix)
{
    char path[4096];
    struct stat file;
    int len = snprintf(path, sizeof path, "%s/journal-%u.db%s", directory, shard, suffix);
    return len > 0 && (size_t)len < sizeof path && stat(path, &file) == 0 ? file.st_size : 0;
}

void due_measure(struct journal_due *due, const char *directory, unsigned shards)
{
    struct statvfs room;
    due->ret_free_bytes =
        statvfs(directory, &room) == 0 ? (int64_t)room.f_bavail * (int64_t)room.f_frsize : -1;
    due->ret_journal_bytes = 0;
    for (unsigned shard = 0; shard < shards; shard++)
        due->ret_journal_bytes +=
            bytes_of(directory, shard, "") + bytes_of(directory, shard, "-wal");
}
