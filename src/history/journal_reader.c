/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's thread. It works off one query after the other, with one connection for each
 * journal, opened at its first use. After an error other than "busy" or "not found" a connection is
 * closed, and the next query opens a new one.
 *
 * An audit takes many steps, on connections of its own. After each step it is posted to the mailbox
 * again, behind the queries that arrived meanwhile, or it rests for a while first.
 */
#include "history/journal_reader.h"

#include "base/clock.h"
#include "base/memory.h"
#include "history/audit_internal.h"
#include "history/due.h"
#include "history/event_search.h"
#include "history/listing.h"
#include "history/reading.h"
#include "history/timeline.h"
#include "model/placement.h"
#include "runtime/thread.h"

#include <stdlib.h>
#include <string.h>

struct journal_reader {
    /* immutable after open */
    struct thread thread;
    char *directory;
    unsigned shards;
    const struct audit_loss *losses;
    size_t losses_count;

    struct mailbox mailbox; /* shared */
    struct mail stop;

    /* owned by the reader's thread */
    bool stopping;
    unsigned due_first[SHARDS_MAX]; /* where the next question about due times begins (due.h) */
    unsigned audits_count;
    struct journal_audit *resting[AUDIT_RUNS_MAX]; /* NULL: a free place */
    struct timeline_source sources[];              /* by shard */
};

static enum err reader_source(
    struct journal_reader *reader, unsigned shard, struct timeline_source **ret_source)
{
    struct timeline_source *source = &reader->sources[shard];
    if (!source->db) {
        enum err result = timeline_source_open(source, reader->directory, shard);
        if (result)
            return result;
    }
    *ret_source = source;
    return OK;
}

static enum err reader_judge(struct timeline_source *source, enum err result)
{
    if (result && result != ERR_UNAVAILABLE && result != ERR_NOT_FOUND && result != ERR_INVALID)
        timeline_source_close(source);
    return result;
}

static void receive_find(struct mail *mail, void *receiver)
{
    struct journal_reader *reader = receiver;
    ASSERT_ON_THREAD(&reader->thread);
    struct journal_find *find = CONTAINER_OF(mail, struct journal_find, request.mail);
    struct timeline_source *source;
    enum err result = reader_source(
        reader, placement_shard(event_id_partition(&find->id), reader->shards), &source);
    if (!result)
        result = reader_judge(source, timeline_source_find(source, &find->id, &find->ret_timeline));
    request_answer(&find->request, result);
}

static void receive_due(struct mail *mail, void *receiver)
{
    struct journal_reader *reader = receiver;
    struct journal_due *due = CONTAINER_OF(mail, struct journal_due, request.mail);
    int64_t began_us = clock_mono_us();
    due->ret_unreadable = 0;
    for (unsigned i = 0; i < due->count; i++) {
        due->entries[i].ret_due_us = INT64_MAX;
        due->entries[i].ret_known = due->entries[i].ret_waits = false;
    }
    for (unsigned shard = 0; shard < reader->shards && due->count > 0; shard++) {
        struct timeline_source *source;
        int64_t deadline_us = began_us + READING_US_MAX * (shard + 1) / reader->shards;
        enum err result = reader_source(reader, shard, &source);
        if (!result)
            result = reader_judge(
                source, due_read(source, due, shard, deadline_us, &reader->due_first[shard]));
        if (!result)
            continue;
        if (due->ret_unreadable++ == 0) {
            due->ret_unreadable_shard = shard;
            due->ret_unreadable_error = result;
        }
    }
    due->ret_complete = true;
    for (unsigned i = 0; i < due->count; i++)
        due->ret_complete &= due->entries[i].ret_known;
    due_measure(due, reader->directory, reader->shards);
    request_answer(&due->request, OK);
}

/* Lists. */

/* Shard after shard, until the page is full or the time is up. */
static enum err read_page(struct journal_reader *reader, struct journal_page *page,
    enum err (*read)(struct timeline_source *source, struct journal_page *page, int64_t deadline_us,
        bool *ret_over))
{
    struct listing_cursor *cursor = &page->cursor;
    int64_t deadline_us = clock_mono_us() + READING_US_MAX;
    if (page->has_shard && cursor->place == 0)
        cursor->shard = page->shard;
    enum err result = cursor->shard < reader->shards ? OK : ERR_INVALID;
    unsigned end = page->has_shard && !result ? cursor->shard + 1 : reader->shards;
    bool over = true;
    while (!result && over && cursor->shard < end) {
        struct timeline_source *source;
        result = reader_source(reader, cursor->shard, &source);
        if (!result)
            result = reader_judge(source, read(source, page, deadline_us, &over));
        if (!result && over)
            *cursor = (struct listing_cursor){.shard = cursor->shard + 1};
    }
    page->ret_more = cursor->shard < end;
    return result;
}

static void receive_list(struct mail *mail, void *receiver)
{
    struct journal_list *list = CONTAINER_OF(mail, struct journal_list, page.request.mail);
    list->ret_deliveries = calloc(list->page.count_max, sizeof list->ret_deliveries[0]);
    enum err result =
        list->ret_deliveries ? read_page(receiver, &list->page, listing_read) : ERR_NO_MEMORY;
    if (result)
        journal_list_done(list);
    request_answer(&list->page.request, result);
}

static void receive_list_conflicts(struct mail *mail, void *receiver)
{
    struct journal_list_conflicts *list =
        CONTAINER_OF(mail, struct journal_list_conflicts, page.request.mail);
    list->ret_conflicts = calloc(list->page.count_max, sizeof list->ret_conflicts[0]);
    enum err result = list->ret_conflicts ? read_page(receiver, &list->page, listing_read_conflicts)
                                          : ERR_NO_MEMORY;
    if (result)
        journal_list_conflicts_done(list);
    request_answer(&list->page.request, result);
}

static void receive_list_poison(struct mail *mail, void *receiver)
{
    struct journal_list_poison *list =
        CONTAINER_OF(mail, struct journal_list_poison, page.request.mail);
    list->ret_poison = calloc(list->page.count_max, sizeof list->ret_poison[0]);
    enum err result =
        list->ret_poison ? read_page(receiver, &list->page, listing_read_poison) : ERR_NO_MEMORY;
    if (result)
        journal_list_poison_done(list);
    request_answer(&list->page.request, result);
}

static enum err open_all(struct journal_reader *reader)
{
    enum err result = OK;
    for (unsigned shard = 0; shard < reader->shards && !result; shard++) {
        struct timeline_source *source;
        result = reader_source(reader, shard, &source);
    }
    return result;
}

static void receive_search(struct mail *mail, void *receiver)
{
    struct journal_reader *reader = receiver;
    struct journal_search *search = CONTAINER_OF(mail, struct journal_search, request.mail);
    int64_t deadline_us = clock_mono_us() + READING_US_MAX;
    unsigned shard = 0;
    search->ret_count = 0;
    search->ret_events = calloc(search->count_max, sizeof search->ret_events[0]);
    enum err result = search->ret_events ? open_all(reader) : ERR_NO_MEMORY;
    if (!result)
        result = event_search_read(reader->sources, reader->shards, search, deadline_us, &shard);
    if (result) {
        result = reader_judge(&reader->sources[shard], result);
        journal_search_done(search);
    }
    request_answer(&search->request, result);
}

/* Audits. */

static void end_audit(struct journal_reader *reader, struct journal_audit *audit, enum err result)
{
    if (audit->run) {
        audit->ret_restless_day = audit->run->restless_day;
        reader->audits_count--;
    }
    audit_run_free(TAKE(audit->run));
    request_answer(&audit->request, result);
}

static void lay_to_rest(
    struct journal_reader *reader, struct journal_audit *audit, int64_t pause_us)
{
    audit->rests_until_us = clock_mono_us() + pause_us;
    for (unsigned i = 0; i < AUDIT_RUNS_MAX; i++) { /* one is free, since no more run */
        if (!reader->resting[i]) {
            reader->resting[i] = audit;
            return;
        }
    }
}

static void receive_audit(struct mail *mail, void *receiver)
{
    struct journal_reader *reader = receiver;
    struct journal_audit *audit = CONTAINER_OF(mail, struct journal_audit, request.mail);
    enum err result = reader->stopping ? ERR_SHUTTING_DOWN : OK;
    if (!result && !audit->run && reader->audits_count == AUDIT_RUNS_MAX)
        result = ERR_OVERLOADED;
    if (!result && !audit->run) {
        result = audit_run_new(&audit->question, reader->directory, reader->shards, &audit->run);
        reader->audits_count += !result;
        if (!result)
            audit_note_losses(audit->run, reader->losses, reader->losses_count);
    }
    bool more = false;
    int64_t pause_us = 0;
    if (!result)
        result = audit_run_step(audit->run, &more, &pause_us, &audit->ret_audit);
    if (result || !more)
        end_audit(reader, audit, result);
    else if (pause_us)
        lay_to_rest(reader, audit, pause_us);
    else
        mailbox_post(&reader->mailbox, mail);
}

/* Resumes those that have rested. Returns the milliseconds until the next one has, or -1. */
static int wake_audits(struct journal_reader *reader)
{
    int64_t now_us = clock_mono_us(), next_us = INT64_MAX;
    for (unsigned i = 0; i < AUDIT_RUNS_MAX; i++) {
        struct journal_audit *audit = reader->resting[i];
        if (!audit)
            continue;
        if (audit->rests_until_us <= now_us || reader->stopping) {
            reader->resting[i] = NULL;
            mailbox_post(&reader->mailbox, &audit->request.mail);
        } else if (audit->rests_until_us < next_us) {
            next_us = audit->rests_until_us;
        }
    }
    return next_us == INT64_MAX ? -1 : (int)((next_us - now_us) / US_PER_MS) + 1;
}

/* The thread. */

static void receive_stop(struct mail *mail, void *receiver)
{
    (void)mail;
    ((struct journal_reader *)receiver)->stopping = true;
}

static void run(void *context)
{
    struct journal_reader *reader = context;
    while (!reader->stopping) {
        mailbox_wait(&reader->mailbox, wake_audits(reader));
        mailbox_work(&reader->mailbox);
    }
    (void)wake_audits(reader); /* what still runs is answered */
    mailbox_work(&reader->mailbox);
    for (unsigned shard = 0; shard < reader->shards; shard++)
        timeline_source_close(&reader->sources[shard]);
}

static void reader_free(struct journal_reader *reader)
{
    mailbox_done(&reader->mailbox);
    free(reader->directory);
    free(reader);
}

enum err journal_reader_open(
    const char *directory, unsigned shards, struct journal_reader **ret_reader)
{
    struct journal_reader *reader = memory_new(sizeof *reader + shards * sizeof reader->sources[0]);
    reader->shards = shards;
    reader->mailbox.event_fd = -1;
    reader->directory = memory_copy_string(directory);
    enum err result = mailbox_init(&reader->mailbox, reader);
    if (!result)
        result = thread_start(&reader->thread, "reader", run, reader);
    if (result) {
        reader_free(reader);
        return result;
    }
    *ret_reader = reader;
    return OK;
}

void journal_reader_set_losses(
    struct journal_reader *reader, const struct audit_loss *losses, size_t count)
{
    reader->losses = losses;
    reader->losses_count = count;
}

void journal_reader_stop(struct journal_reader *reader)
{
    if (!reader)
        return;
    reader->stop.on_receive = receive_stop;
    mailbox_post(&reader->mailbox, &reader->stop);
    thread_join(&reader->thread);
    reader_free(reader);
}

void journal_reader_find(struct journal_reader *reader, struct journal_find *find)
{
    request_submit(&find->request, &reader->mailbox, receive_find);
}

void journal_reader_due(struct journal_reader *reader, struct journal_due *due)
{
    request_submit(&due->request, &reader->mailbox, receive_due);
}

void journal_reader_audit(struct journal_reader *reader, struct journal_audit *audit)
{
    audit->run = NULL;
    audit->ret_restless_day = -1;
    request_submit(&audit->request, &reader->mailbox, receive_audit);
}

void journal_reader_search(struct journal_reader *reader, struct journal_search *search)
{
    request_submit(&search->request, &reader->mailbox, receive_search);
}

void journal_reader_list(struct journal_reader *reader, struct journal_list *list)
{
    list->page.ret_count = 0;
    list->page.request.mail.on_receive = receive_list;
    mailbox_post(&reader->mailbox, &list->page.request.mail);
}

void journal_reader_list_conflicts(
    struct journal_reader *reader, struct journal_list_conflicts *list)
{
    list->page.ret_count = 0;
    list->page.request.mail.on_receive = receive_list_conflicts;
    mailbox_post(&reader->mailbox, &list->page.request.mail);
}

void journal_reader_list_poison(struct journal_reader *reader, struct journal_list_poison *list)
{
    list->page.ret_count = 0;
    list->page.request.mail.on_receive = receive_list_poison;
    mailbox_post(&reader->mailbox, &list->page.request.mail);
}
