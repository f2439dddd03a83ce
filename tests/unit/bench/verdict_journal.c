/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict's statements on a journal that the gateway's own code has written (bench/writer):
 * they depend on its tables, columns and numbers. The other tests of the verdict make files with
 * only what it reads, since no real journal has most of their errors.
 */
#include "base/cleanup.h"
#include "model/placement.h"
#include "unit/bench/verdict_fixture.h"
#include "verdict/join.h"
#include "writer/writer.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct event_parts parts_of(const struct row *row)
{
    struct event_parts parts = {
        .accepted_us = row->accepted_us,
        .class = CLASS_CRITICAL,
        .guarded = row->guarded,
        .partner = SLICE_LITERAL("partner"),
        .account = SLICE_LITERAL("account"),
        .type = SLICE_LITERAL("purchase"),
        .key = slice_from_string(row->key),
        .amount = slice_from_string(row->amount),
        .currency = slice_from_string(row->currency),
        .body = SLICE_LITERAL("{}"),
    };
    memcpy(parts.id.bytes, row->event, sizeof row->event);
    return parts;
}

/* The events of odd numbers are in the second shard. The deliveries of a row are delivered, or
 * parked for its reason. */
static void write_journals(const struct run *run)
{
    for (unsigned shard = 0; shard < 2; shard++) {
        struct writer *writer = writer_open(run->directory, shard);
        writer_begin(writer, RECORDS_MAX);
        for (size_t i = shard; i < run->rows_count; i += 2) {
            const struct row *row = &run->rows[i];
            struct event_parts parts = parts_of(row);
            int64_t seq = writer_append(writer, &parts, row->deliveries);
            for (unsigned index = 0; index < row->deliveries; index++)
                if (row->states[index] == DELIVERY_DELIVERED)
                    writer_deliver(writer, seq, index);
                else if (row->states[index] == DELIVERY_PARKED)
                    writer_park(writer, seq, index, row->reason);
        }
        for (size_t i = 0; i < run->aliases_count; i++) {
            struct event_id id, first;
            memcpy(id.bytes, run->aliases[i].id, sizeof id.bytes);
            memcpy(first.bytes, run->aliases[i].first, sizeof first.bytes);
            if (first.bytes[15] % 2 == shard)
                writer_add_alias(writer, &id, &first, START_US);
        }
        writer_commit(writer);
        writer_close(writer);
    }
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    cr_assert(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char file[400];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        unlink(file);
    }
    closedir(directory);
    rmdir(path);
}

Test(verdict_journal, what_the_gateway_has_written_is_read)
{
    struct run *run = run_new();
    run->rows[3].guarded = true;
    run->rows[5].deliveries = 2;
    run->rows[5].states[1] = DELIVERY_PARKED;
    run->rows[5].reason = PARK_AMBIGUOUS;
    run->rows[7].states[0] = DELIVERY_PENDING;
    run->rows[9].states[0] = DELIVERY_PARKED;
    run->rows[9].reason = PARK_CONFLICT;
    run_set_event(run_add_duplicate(run, 6)->event, 60);
    run->load[run->load_count - 1].answer = LOAD_SAID_ACCEPTED;
    run_add_alias(run, 60, 6);
    write_journals(run);
    const struct figures *figures = run_judge_written(run);
    cr_expect_eq(figures->fate.states[DELIVERY_DELIVERED], EVENTS - 3);
    cr_expect_eq(figures->fate.states[DELIVERY_PARKED], 1);
    cr_expect_eq(figures->fate.states[DELIVERY_PENDING], 1);
    cr_expect_eq(figures->arrivals.unknown_in_journal, 0);
    cr_expect_eq(figures->wrong_amounts, 0);
    cr_expect_eq(figures->acceptance.late_aliases, 1);
    cr_expect_eq(figures->acceptance.late_conflicts, 1);
    remove_directory(run->directory);
    run_free(run);
}
