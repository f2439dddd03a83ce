/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several threads append to one journal at once, each with its own mailbox for the answers, while a
 * reader counts. Every request is answered once. Every accepted event is handed over once. A key
 * that all threads use is new for exactly one of them.
 */
#include "base/clock.h"
#include "base/crypto.h"
#include "history/due.h"
#include "journal/journal_sqlite.h"
#include "runtime/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4
#define KEYS 200

struct poster {
    struct thread thread;
    struct mailbox mailbox;
    struct journal *journal;
    unsigned answered, accepted, duplicates;
};

static struct mailbox delivery;
static unsigned handed_over, counted;

static void die(const char *what)
{
    fprintf(stderr, "race_journal_submit: %s\n", what);
    exit(1);
}

static void on_done(struct request *request, void *receiver)
{
    struct poster *poster = receiver;
    struct journal_append *append = CONTAINER_OF(request, struct journal_append, request);
    poster->answered++;
    poster->accepted += request->result == OK;
    poster->duplicates += request->result == ERR_EXISTS;
    event_unref(append->event);
    free(append);
}

static void submit(struct poster *poster, unsigned number, struct event_id_generator *ids)
{
    char key[16];
    int len = snprintf(key, sizeof key, "key-%u", number);
    struct event_parts parts = {
        .accepted_us = clock_wall_us(),
        .partner = SLICE_LITERAL("p"),
        .account = SLICE_LITERAL("a"),
        .type = SLICE_LITERAL("purchase"),
        .key = slice_of(key, (size_t)len),
        .body = SLICE_LITERAL("{}"),
    };
    unsigned char random[8];
    crypto_random(random, sizeof random);
    event_id_make(ids, parts.accepted_us, 0, random, &parts.id);
    struct journal_append *append = calloc(1, sizeof *append);
    if (!append || event_new(&parts, NULL, 100, &append->event) != OK)
        die("no memory");
    append->request =
        (struct request){.kind = JOURNAL_APPEND, .reply_to = &poster->mailbox, .on_done = on_done};
    append->endpoints_count = 1;
    append->endpoints[0] = 1;
    dedupe_key_of(parts.partner, parts.account, parts.type, parts.key, &append->dedupe_key);
    journal_submit(poster->journal, &append->request);
}

static void post(void *context)
{
    struct poster *poster = context;
    struct event_id_generator ids = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        submit(poster, i, &ids);
        mailbox_work(&poster->mailbox);
    }
    while (poster->answered < KEYS) {
        mailbox_wait(&poster->mailbox, 1000);
        mailbox_work(&poster->mailbox);
    }
}

static void on_handover(struct mail *mail, void *receiver)
{
    (void)receiver;
    struct journal_handover *handover = CONTAINER_OF(mail, struct journal_handover, mail);
    handed_over += handover->count;
    for (unsigned i = 0; i < handover->count; i++)
        event_unref(handover->deliveries[i].event);
    free(handover);
}

static void on_counted(struct request *request, void *receiver)
{
    (void)receiver;
    if (request->result != OK)
        die(err_name(request->result));
    counted++;
}

static void count_while_they_post(const struct journal *journal, struct journal_reader *reader)
{
    for (unsigned i = 0; i < 20; i++) {
        struct journal_due_entry entry = {.endpoint = 1};
        struct journal_due due = {.request = {.reply_to = &delivery, .on_done = on_counted},
            .count = 1,
            .entries = &entry};
        struct backlog_counts counts;
        backlog_board_read(journal->backlog, 1, &counts);
        journal_reader_due(reader, &due);
        while (counted == i) {
            mailbox_wait(&delivery, 1000);
            mailbox_work(&delivery);
        }
    }
}

static void remove_directory(const char *directory)
{
    static const char *const names[] = {"journal-0.db", "journal-0.db-wal", "journal-0.db-shm"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

int main(void)
{
    static struct poster posters[THREADS];
    char directory[256], detail[256];
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/penstock-race-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(directory) || mailbox_init(&delivery, NULL) != OK)
        die("no directory or mailbox");
    const struct journal_sqlite_options options = {
        .directory = directory, .listener = {.delivery = &delivery, .on_handover = on_handover}};
    struct journal *journal;
    struct journal_reader *reader;
    if (journal_sqlite_open(&options, &journal, detail) != OK)
        die(detail);
    if (journal_reader_open(directory, 1, &reader) != OK)
        die("no reader");
    for (int i = 0; i < THREADS; i++) {
        posters[i].journal = journal;
        if (mailbox_init(&posters[i].mailbox, &posters[i]) != OK ||
            thread_start(&posters[i].thread, "poster", post, &posters[i]) != OK)
            die("no thread");
    }
    count_while_they_post(journal, reader);
    unsigned accepted = 0, duplicates = 0;
    for (int i = 0; i < THREADS; i++) {
        thread_join(&posters[i].thread);
        mailbox_done(&posters[i].mailbox);
        accepted += posters[i].accepted;
        duplicates += posters[i].duplicates;
    }
    journal_reader_stop(reader);
    journal_stop(journal);
    mailbox_work(&delivery);
    mailbox_done(&delivery);
    remove_directory(directory);
    if (accepted != KEYS || duplicates != (THREADS - 1) * KEYS || handed_over != KEYS)
        die("a key was not accepted exactly once");
    return 0;
}
