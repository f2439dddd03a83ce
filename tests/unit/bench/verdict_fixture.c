/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/bench/verdict_fixture.h"
#include "verdict/judge.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Only what the verdict reads. verdict_journal.c has the real one. */
static const char schema[] =
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, accepted_us INTEGER NOT "
    "NULL, key TEXT,"
    " guarded INTEGER NOT NULL, amount TEXT, currency TEXT);"
    "CREATE TABLE deliveries(id INTEGER PRIMARY KEY, state INTEGER NOT NULL, reason INTEGER NOT "
    "NULL);"
    "CREATE TABLE aliases(id BLOB PRIMARY KEY, first BLOB NOT NULL) WITHOUT ROWID;";

void run_set_event(unsigned char event[16], uint64_t number)
{
    memset(event, 0, 16);
    event[0] = 0x01;
    event[6] = 0x70;
    event[8] = 0x80;
    event[14] = (unsigned char)(number >> 8);
    event[15] = (unsigned char)number;
}

void run_add_row(struct run *run, uint64_t number)
{
    struct row *row = &run->rows[run->rows_count++];
    *row = (struct row){
        .accepted_us = START_US + (int64_t)number * MS + MS, .deliveries = 1, .currency = "EUR"};
    run_set_event(row->event, number);
    snprintf(row->key, sizeof row->key, RUN "-%u", (unsigned)number);
    snprintf(row->amount, sizeof row->amount, "%u.50", (unsigned)number);
    row->states[0] = row->states[1] = DELIVERY_DELIVERED;
}

struct load_record *run_add_sending(struct run *run, uint64_t number)
{
    struct load_record *record = &run->load[run->load_count++];
    int64_t intended_us = START_US + (int64_t)number * MS;
    *record = (struct load_record){
        .intended_us = intended_us,
        .sent_us = intended_us,
        .ended_us = intended_us + 2 * MS,
        .number = number,
        .original = number,
        .body_hash = 1000 + number,
        .amount_micros = (int64_t)number * UNIT + UNIT / 2,
        .currency = "EUR",
        .status = 200,
        .answer = LOAD_SAID_ACCEPTED,
    };
    run_set_event(record->event, number);
    return record;
}

struct sink_record *run_add_request(struct run *run, uint64_t number)
{
    struct sink_record *record = &run->sink[run->sink_count++];
    int64_t received_us = START_US + (int64_t)number * MS + 5 * MS;
    *record = (struct sink_record){
        .received_us = received_us,
        .answered_us = received_us + 1,
        .number = number,
        .body_hash = 1000 + number,
        .amount_micros = (int64_t)number * UNIT + UNIT / 2,
        .currency = "EUR",
        .attempt = 1,
        .status = 200,
        .signature = SINK_RIGHT,
    };
    run_set_event(record->event, number);
    return record;
}

struct sink_record *run_add_request_again(struct run *run, uint64_t number, int64_t after_us)
{
    struct sink_record *record = run_add_request(run, number);
    record->received_us += after_us;
    record->answered_us += after_us;
    record->attempt = 2;
    return record;
}

struct load_record *run_add_duplicate(struct run *run, uint64_t original)
{
    struct load_record *record = run_add_sending(run, original);
    record->number = EVENTS + original;
    record->kind = LOAD_DUPLICATE;
    record->answer = LOAD_SAID_DUPLICATE;
    return record;
}

struct load_record *run_add_conflict(struct run *run, uint64_t original)
{
    struct load_record *record = run_add_sending(run, original);
    record->number = EVENTS + original;
    record->kind = LOAD_CONFLICT;
    record->amount_micros += UNIT;
    record->body_hash += 500;
    record->status = 422;
    record->answer = LOAD_SAID_NOTHING;
    memset(record->event, 0, sizeof record->event);
    return record;
}

void run_add_alias(struct run *run, uint64_t id, uint64_t first)
{
    struct alias *alias = &run->aliases[run->aliases_count++];
    run_set_event(alias->id, id);
    run_set_event(alias->first, first);
}

struct run *run_new(void)
{
    struct run *run = calloc(1, sizeof *run);
    cr_assert(run);
    snprintf(run->directory, sizeof run->directory, "/tmp/penstock-verdict-XXXXXX");
    cr_assert(mkdtemp(run->directory));
    levels_init(&run->options.levels);
    for (uint64_t number = 0; number < EVENTS; number++) {
        run_add_sending(run, number);
        run_add_row(run, number);
        run_add_request(run, number);
    }
    return run;
}

static void write_log(
    const char *path, const char *kind, const void *records, size_t record_bytes, size_t count)
{
    struct run_log *log;
    cr_assert(run_log_create(path, kind, RUN, record_bytes, &log) == OK);
    for (size_t i = 0; i < count; i++)
        run_log_write(log, (const char *)records + i * record_bytes);
    cr_assert(run_log_close(log) == OK);
}

static void write_row(sqlite3 *db, int64_t seq, const struct row *row)
{
    sqlite3_stmt *insert;
    cr_assert(sqlite3_prepare_v2(
                  db, "INSERT INTO events VALUES(?,?,?,?,?,?,?)", -1, &insert, NULL) == SQLITE_OK);
    sqlite3_bind_int64(insert, 1, seq);
    sqlite3_bind_blob(insert, 2, row->event, sizeof row->event, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 3, row->accepted_us);
    sqlite3_bind_text(insert, 4, row->key, -1, SQLITE_STATIC);
    sqlite3_bind_int(insert, 5, row->guarded);
    sqlite3_bind_text(insert, 6, row->amount, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 7, row->currency, -1, SQLITE_STATIC);
    cr_assert(sqlite3_step(insert) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(insert);
    for (unsigned i = 0; i < row->deliveries; i++) {
        char text[128];
        snprintf(text, sizeof text, "INSERT INTO deliveries VALUES(%lld, %d, %d)",
            (long long)(seq * 16 + i), row->states[i], row->reason);
        cr_assert(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
    }
}

static void write_alias(sqlite3 *db, const struct alias *alias)
{
    sqlite3_stmt *insert;
    cr_assert(
        sqlite3_prepare_v2(db, "INSERT INTO aliases VALUES(?,?)", -1, &insert, NULL) == SQLITE_OK);
    sqlite3_bind_blob(insert, 1, alias->id, sizeof alias->id, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 2, alias->first, sizeof alias->first, SQLITE_STATIC);
    cr_assert(sqlite3_step(insert) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(insert);
}

/* Events of an odd number in the second shard. An alias is in the shard of its first one. */
static void write_journals(const struct run *run)
{
    for (unsigned shard = 0; shard < 2; shard++) {
        char path[96];
        sqlite3 *db;
        snprintf(path, sizeof path, "%s/journal-%u.db", run->directory, shard);
        cr_assert(sqlite3_open(path, &db) == SQLITE_OK);
        cr_assert(
            sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL) == SQLITE_OK);
        cr_assert(sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK);
        for (size_t i = shard; i < run->rows_count; i += 2)
            write_row(db, (int64_t)i + 1, &run->rows[i]);
        for (size_t i = 0; i < run->aliases_count; i++)
            if (run->aliases[i].first[15] % 2 == shard)
                write_alias(db, &run->aliases[i]);
        cr_assert(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
        sqlite3_close(db);
    }
}

static void remove_files(const struct run *run)
{
    static const char *const names[] = {
        "load", "sink", "usage.json", "journal-0.db", "journal-1.db", ""};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", run->directory, names[i]);
        remove(path);
    }
}

static const struct figures *judge(struct run *run)
{
    char load[96], sink[96], problem[VERDICT_PROBLEM_BYTES] = "";
    snprintf(load, sizeof load, "%s/load", run->directory);
    snprintf(sink, sizeof sink, "%s/sink", run->directory);
    write_log(load, LOAD_LOG, run->load, sizeof run->load[0], run->load_count);
    write_log(sink, SINK_LOG, run->sink, sizeof run->sink[0], run->sink_count);
    run->options.load_files[0] = load;
    run->options.sink_files[0] = sink;
    run->options.load_files_count = run->options.sink_files_count = 1;
    run->options.data = run->without_journal ? NULL : run->directory;
    enum err result = verdict_run(&run->options, &run->figures, problem);
    remove_files(run);
    cr_assert(result == OK, "%s", problem);
    return run->figures;
}

const struct figures *run_judge(struct run *run)
{
    write_journals(run);
    return judge(run);
}

const struct figures *run_judge_written(struct run *run)
{
    return judge(run);
}

void run_free(struct run *run)
{
    free(run->figures);
    free(run);
}

bool run_has_reason(const struct figures *figures, const char *text)
{
    for (size_t i = 0; i < figures->reasons_count; i++)
        if (strstr(figures->reasons[i], text))
            return true;
    return false;
}

void run_expect_pass(struct run *run)
{
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures), "%s", figures->reasons_count ? figures->reasons[0] : "");
    for (enum promise promise = PROMISE_LOST; promise <= PROMISE_ACCEPTANCE; promise++)
        cr_expect_eq(judge_broken(figures, promise), 0, "the list of levels says otherwise");
    run_free(run);
}

void run_expect_fail(struct run *run, const char *text, bool alone)
{
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, text), "not found: %s; but: %s", text,
        figures->reasons_count ? figures->reasons[0] : "nothing");
    cr_expect(!alone || figures->reasons_count == 1, "%s: %zu reasons, the first: %s", text,
        figures->reasons_count, figures->reasons[0]);
    run_free(run);
}
