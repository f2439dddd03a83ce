/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's thread: works off one query after the other, each with the connections that it needs, opened when they
 * are first asked for. A connection that has said anything but "busy" or "not found" is closed, so that the next query
 * begins with a new one.
 */
#include "journal/journal_reader.h"

#include "journal/story.h"
#include "runtime/thread.h"

#include <stdlib.h>
#include <string.h>

struct journal_reader {
    /* immutable after open */
    struct thread thread;
    char *directory;
    unsigned shards;

    struct mailbox mailbox; /* shared */
    struct mail stop;

    /* owned by the reader's thread */
    bool stopping;
    struct story_source sources[]; /* by shard */
};

/* On the requester's thread. */
static void receive_answer(struct mail *mail, void *receiver)
{
    struct journal_query *query = CONTAINER_OF(mail, struct journal_query, mail);
    query->on_done(query, receiver);
}

static void answer(struct journal_query *query, enum err result)
{
    query->result = result;
    query->mail.on_receive = receive_answer;
    mailbox_post(query->reply_to, &query->mail);
}

static enum err reader_source(struct journal_reader *reader, unsigned shard, struct story_source **ret_source)
{
    struct story_source *source = &reader->sources[shard];
    if (!source->db) {
        enum err result = story_source_open(source, reader->directory, shard);
        if (result)
            return result;
    }
    *ret_source = source;
    return OK;
}

static enum err reader_judge(struct story_source *source, enum err result)
{
    if (result && result != ERR_UNAVAILABLE && result != ERR_NOT_FOUND)
        story_source_close(source);
    return result;
}

static void receive_find(struct mail *mail, void *receiver)
{
    struct journal_reader *reader = receiver;
    ASSERT_ON_THREAD(&reader->thread);
    struct journal_find *find = CONTAINER_OF(mail, struct journal_find, query.mail);
    struct story_source *source;
    enum err result = reader_source(reader, event_id_partition(&find->id) % reader->shards, &source);
    if (!result)
        result = reader_judge(source, story_source_find(source, &find->id, &find->ret_story));
    answer(&find->query, result);
}

static void receive_census(struct mail *mail, void *receiver)
{
    struct journal_reader *reader = receiver;
    struct journal_census *census = CONTAINER_OF(mail, struct journal_census, query.mail);
    int64_t counts[DELIVERY_STATES] = {0};
    enum err result = OK;
    for (unsigned shard = 0; shard < reader->shards && !result; shard++) {
        struct story_source *source;
        result = reader_source(reader, shard, &source);
        if (!result)
            result = reader_judge(source, story_source_count(source, counts));
    }
    if (!result)
        memcpy(census->ret_counts, counts, sizeof counts);
    answer(&census->query, result);
}

static void receive_stop(struct mail *mail, void *receiver)
{
    (void)mail;
    ((struct journal_reader *)receiver)->stopping = true;
}

static void run(void *context)
{
    struct journal_reader *reader = context;
    while (!reader->stopping) {
        mailbox_wait(&reader->mailbox, -1);
        mailbox_work(&reader->mailbox);
    }
    for (unsigned shard = 0; shard < reader->shards; shard++)
        story_source_close(&reader->sources[shard]);
}

static void reader_free(struct journal_reader *reader)
{
    mailbox_done(&reader->mailbox);
    free(reader->directory);
    free(reader);
}

enum err journal_reader_open(const char *directory, unsigned shards, struct journal_reader **ret_reader)
{
    struct journal_reader *reader = calloc(1, sizeof *reader + shards * sizeof reader->sources[0]);
    if (!reader)
        return ERR_NO_MEMORY;
    reader->shards = shards;
    reader->mailbox.event_fd = -1;
    reader->directory = strdup(directory);
    enum err result = reader->directory ? mailbox_init(&reader->mailbox, reader) : ERR_NO_MEMORY;
    if (!result)
        result = thread_start(&reader->thread, "reader", run, reader);
    if (result) {
        reader_free(reader);
        return result;
    }
    *ret_reader = reader;
    return OK;
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
    find->query.mail.on_receive = receive_find;
    mailbox_post(&reader->mailbox, &find->query.mail);
}

void journal_reader_census(struct journal_reader *reader, struct journal_census *census)
{
    census->query.mail.on_receive = receive_census;
    mailbox_post(&reader->mailbox, &census->query.mail);
}
