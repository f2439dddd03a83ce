/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceiling of durability on this disk: a group commit with one row for each request.
 *
 *   loop --mailbox--> writer --mailbox of the loop--> answer 200
 *
 *   writer: BEGIN IMMEDIATE, one row for each request of the batch, COMMIT (fsync)
 *
 * There is one writer thread for each file (--writers), as the gateway has one for each shard. Loop
 * i writes to file i modulo writers. A batch is what arrived during the last commit. When a
 * transaction fails, it is rolled back, and all its requests are answered 503.
 *
 * The body is copied once, into the request's mail: h2o frees its own when the client leaves.
 */
#include "ceiling/ceiling.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATH_BYTES_MAX 4096

struct writer {
    struct mailbox mailbox; /* shared */
    struct mail stop;
    pthread_t thread;

    /* owned by the writer's thread */
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *commit;
    struct held_commit *batch, **batch_end;
    bool stopping, complained;
    uint64_t commits, rows; /* main reads them when the thread has ended */
};

struct commit_loop {
    struct ceiling_loop super;
    struct mailbox mailbox; /* answers */
    h2o_socket_t *socket;   /* watches the mailbox's eventfd */
    struct writer *writer;
};

struct held_commit {
    struct held super; /* owned by the loop, also while the mail is at the writer */
    struct mail mail;
    struct commit_loop *loop;
    struct held_commit *next; /* in the writer's batch */
    bool committed;
    size_t body_len;
    char body[];
};

/* Runs on the loop's thread. */
static void receive_answer(struct mail *mail, void *receiver)
{
    struct held_commit *held = CONTAINER_OF(mail, struct held_commit, mail);
    if (held->committed)
        held_answer(&held->super, 200, ceiling_accepted, CEILING_ACCEPTED_BYTES);
    else
        held_answer(&held->super, 503, NULL, 0);
}

static int step(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);
    return result == SQLITE_DONE ? reset : result;
}

static bool write_batch(struct writer *writer)
{
    uint64_t rows = 0;
    int result = step(writer->begin);
    for (struct held_commit *held = writer->batch; held && result == SQLITE_OK;
         held = held->next, rows++) {
        result =
            sqlite3_bind_blob(writer->insert, 1, held->body, (int)held->body_len, SQLITE_STATIC);
        if (result == SQLITE_OK)
            result = step(writer->insert);
    }
    if (result == SQLITE_OK)
        result = step(writer->commit);
    if (result == SQLITE_OK) {
        writer->commits++;
        writer->rows += rows;
        return true;
    }
    if (!writer->complained)
        ceiling_complain("the commit failed: %s", sqlite3_errmsg(writer->db));
    writer->complained = true;
    if (!sqlite3_get_autocommit(writer->db))
        sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static void receive_request(struct mail *mail, void *receiver)
{
    struct writer *writer = receiver;
    struct held_commit *held = CONTAINER_OF(mail, struct held_commit, mail);
    held->next = NULL;
    *writer->batch_end = held;
    writer->batch_end = &held->next;
}

static void receive_stop(struct mail *mail, void *receiver)
{
    ((struct writer *)receiver)->stopping = true;
}

static void work_off_batch(struct writer *writer)
{
    if (!writer->batch)
        return;
    bool committed = write_batch(writer);
    for (struct held_commit *held = writer->batch, *next; held; held = next) {
        next = held->next; /* once the mail is posted it belongs to the loop */
        held->committed = committed;
        held->mail.on_receive = receive_answer;
        mailbox_post(&held->loop->mailbox, &held->mail);
    }
    writer->batch = NULL;
    writer->batch_end = &writer->batch;
}

static void *run(void *argument)
{
    struct writer *writer = argument;
    while (!writer->stopping) {
        mailbox_wait(&writer->mailbox, -1);
        mailbox_work(&writer->mailbox);
        work_off_batch(writer);
    }
    return NULL;
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct commit_loop *loop = server_loop_of(req)->data;
    loop->super.counts.requests++;
    if (!ceiling_is_post(req)) {
        ceiling_answer(&loop->super, req, 405, NULL, 0);
        return 0;
    }
    struct held_commit *held = malloc(sizeof *held + req->entity.len);
    if (!held)
        abort();
    held_init(&held->super, &loop->super, req);
    held->loop = loop;
    held->body_len = req->entity.len;
    if (held->body_len > 0)
        memcpy(held->body, req->entity.base, held->body_len);
    held->mail.on_receive = receive_request;
    mailbox_post(&loop->writer->mailbox, &held->mail);
    return 0;
}

static void on_mailbox_ready(h2o_socket_t *socket, const char *error)
{
    mailbox_work(&((struct commit_loop *)socket->data)->mailbox);
}

static enum err on_start(struct server_loop *loop, void *context)
{
    struct ceiling *ceiling = context;
    struct writer *writers = ceiling->data;
    struct commit_loop *commit = calloc(1, sizeof *commit);
    if (!commit)
        return ERR_NO_MEMORY;
    enum err result = mailbox_init(&commit->mailbox, commit);
    if (result) {
        free(commit);
        return result;
    }
    commit->super.server_loop = loop;
    commit->writer = &writers[loop->number % ceiling->options.writers];
    loop->data = commit;
    commit->socket =
        h2o_evloop_socket_create(loop->loop, commit->mailbox.event_fd, H2O_SOCKET_FLAG_DONT_READ);
    commit->socket->data = commit;
    h2o_socket_read_start(commit->socket, on_mailbox_ready);
    return OK;
}

static enum err open_file(struct writer *writer, const char *directory, unsigned number)
{
    static const char schema[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);";
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s/ceiling-%u.db", directory, number);
    int result = sqlite3_open(path, &writer->db);
    if (result == SQLITE_OK)
        result = sqlite3_exec(writer->db, schema, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(writer->db, "BEGIN IMMEDIATE", -1, &writer->begin, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(
            writer->db, "INSERT INTO events(body) VALUES(?)", -1, &writer->insert, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(writer->db, "COMMIT", -1, &writer->commit, NULL);
    if (result == SQLITE_OK)
        return OK;
    ceiling_complain("%s: %s", path, sqlite3_errmsg(writer->db));
    return ERR_DISK;
}

/* Creates the directory of `--data` and its missing parents. */
static enum err make_directory(const char *directory)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s", directory);
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0755);
        *at = '/';
    }
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return OK;
    ceiling_complain("%s: %s", directory, strerror(errno));
    return ERR_DISK;
}

static enum err open_writers(struct ceiling *ceiling)
{
    unsigned count = ceiling->options.writers;
    struct writer *writers = calloc(count, sizeof *writers);
    if (!writers)
        return ERR_NO_MEMORY;
    ceiling->data = writers;
    enum err result = make_directory(ceiling->options.data);
    for (unsigned i = 0; i < count && !result; i++) {
        writers[i].batch_end = &writers[i].batch;
        result = mailbox_init(&writers[i].mailbox, &writers[i]);
        if (!result)
            result = open_file(&writers[i], ceiling->options.data, i);
        if (!result && pthread_create(&writers[i].thread, NULL, run, &writers[i]) != 0)
            result = ERR_SYSTEM;
    }
    return result;
}

/* The loops have ended, so main owns their mailboxes. Mails in them have no client any more. */
static void close_writers(struct ceiling *ceiling, struct server *server)
{
    struct writer *writers = ceiling->data;
    uint64_t commits = 0, rows = 0;
    for (unsigned i = 0; i < ceiling->options.writers; i++) {
        struct writer *writer = &writers[i];
        writer->stop.on_receive = receive_stop;
        mailbox_post(&writer->mailbox, &writer->stop);
        pthread_join(writer->thread, NULL);
        sqlite3_finalize(writer->begin);
        sqlite3_finalize(writer->insert);
        sqlite3_finalize(writer->commit);
        sqlite3_close(writer->db);
        mailbox_done(&writer->mailbox);
        commits += writer->commits;
        rows += writer->rows;
    }
    for (unsigned i = 0; i < ceiling->options.threads; i++) {
        struct commit_loop *loop = server_loop_at(server, i)->data;
        struct mail_batch batch;
        if (!mailbox_take(&loop->mailbox, &batch))
            continue;
        for (struct mail *mail = mail_batch_next(&batch); mail; mail = mail_batch_next(&batch))
            held_drop(&CONTAINER_OF(mail, struct held_commit, mail)->super);
    }
    free(writers);
    fprintf(
        stderr, " commits=%llu rows=%llu", (unsigned long long)commits, (unsigned long long)rows);
}

const struct ceiling_kind ceiling_commit = {.name = "commit",
    .doc = "writes every POST as one row of a SQLite group commit with fsync",
    .needs_data = true,
    .open = open_writers,
    .on_start = on_start,
    .on_request = on_request,
    .close = close_writers};
