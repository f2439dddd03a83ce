/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's thread, and group commit.
 *
 * The thread sleeps on its mailbox, takes all requests that are in it, and makes one transaction of
 * them. While that transaction is being committed, the next requests gather. So a commit is as
 * large as the load makes it: a lone request waits for one fsync, and under load one fsync serves
 * up to JOURNAL_BATCH_REQUESTS_MAX requests. At ordinary rates a short rest between commits lets
 * some more gather (commit_pace.h).
 *
 * Outcomes that may wait (journal_record) do not cause a commit of their own. A batch that holds
 * nothing else is worked off JOURNAL_WAIT_US after the first of them, with the next request of any
 * other kind, or at the stop, whatever happens first. So at ordinary rates they share the commit of
 * the next event.
 *
 *   mailbox -> batch -> BEGIN, one function for each request (store.h), COMMIT
 *           -> handover -> answers
 *           -> checkpoint -> between two batches: totals, expiry, room on the disk
 *
 * The handover of new deliveries leaves before the answers. A JOURNAL_LOAD may find a delivery that
 * the same transaction accepted: delivery has it from the handover by then, and recognizes its id.
 *
 * How it fails. A transaction that fails is rolled back as a whole, and all of its requests get its
 * error, since each may have seen what another one wrote.
 *
 *   full disk     passes. The WAL is moved into the file, so that it can start over in its old
 *                 room, and the batch is tried again, at most once a second. When that is not
 *                 enough, the reserve is given up (disk_reserve.h), and the batch is tried again
 *                 without its new events
 *   read-only     passes as well, when the file system takes writes again
 *   in doubt      does not pass: a sync failed, or a COMMIT with an I/O error other than a refused
 *                 write (sql_is_in_doubt). Everything is refused until a restart, and the file is
 *                 closed without another write
 *
 * While a disk fails, the thread tries it about once a second with a write of its own. So others
 * learn that it is well again (disk_board.h) although no request arrives.
 */
#include "journal/journal_sqlite.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "journal/commit_pace.h"
#include "journal/disk_watch.h"
#include "journal/store.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAILPOINT_SLEEP_US 500000 /* beside the rest of a commit: a kill falls into it */
#define KEYS_TRIES 8              /* a batch ends at most a few blocks of the index of keys */
#define EXPIRY_PAUSE_MS 10
#define LOOK_MS 1000      /* at the disk, while something is wrong with it or waits to be written */
#define LOOK_IDLE_MS 5000 /* otherwise */

struct journal_sqlite {
    struct journal journal;

    /* immutable after open */
    struct journal_listener listener;
    struct thread thread;

    struct mailbox mailbox; /* shared */
    struct mail stop;

    /* owned by the journal's thread */
    struct store store;
    bool stopping;
    struct disk_watch disk;
    /* Makes a wall clock of the monotonic one, which does not jump: a wrong hour must not make the
     * dedupe store forget. */
    int64_t wall_offset_us;
    int64_t next_step_us; /* of expiry, monotonic */
    int64_t totals_put_off_us;
    int64_t batch_due_us; /* monotonic: when a batch that may wait is worked off */
    struct commit_pace pace;
    struct request_answers answers; /* of the batch, until all are given */
    unsigned batch_len, urgent;     /* urgent: of the batch, those that may not wait */
    struct request *batch[JOURNAL_BATCH_REQUESTS_MAX];
};

/* What each kind of request does, and how its outputs are taken back when its transaction fails. */
static const struct {
    enum err (*apply)(struct store *store, struct request *request);
    void (*undo)(struct request *request);
} kinds[JOURNAL_KINDS] = {
    [JOURNAL_APPEND] = {store_append, NULL},
    [JOURNAL_START] = {store_start, NULL},
    [JOURNAL_RECORD_OUTCOME] = {store_record_outcome, NULL},
    [JOURNAL_OPERATOR_ACTION] = {store_action, NULL},
    [JOURNAL_LOAD] = {store_load, store_undo_load},
    [JOURNAL_SCAN_BACKLOG] = {store_scan_backlog, store_undo_scan},
    [JOURNAL_RELEASE] = {store_release, store_undo_release},
    [JOURNAL_REDUE] = {store_redue, store_undo_redue},
    [JOURNAL_RECORD_RETRY_RULES] = {store_record_retry_rules, NULL},
    [JOURNAL_LIST_PARKED] = {store_list_parked, store_undo_list_parked},
    [JOURNAL_ROUTE] = {store_route, store_undo_route},
    [JOURNAL_RECEIVE] = {store_receive, store_undo_receive},
    [JOURNAL_ADOPT] = {store_adopt, NULL},
    [JOURNAL_LIST_BROKER_OWNED] = {store_list_broker_owned, store_undo_list_broker_owned},
    [JOURNAL_KEEP_POISON] = {store_keep_poison, NULL},
    [JOURNAL_CHECK_CONFIRMED] = {store_check_confirmed, store_undo_check_confirmed},
    [JOURNAL_LOAD_OUTBOX] = {store_load_outbox, store_undo_load_outbox},
    [JOURNAL_CLEAR_OUTBOX] = {store_clear_outbox, NULL},
    [JOURNAL_REPLAY_CREATE] = {store_replay_create, NULL},
    [JOURNAL_REPLAY_CHANGE] = {store_replay_change, NULL},
    [JOURNAL_REPLAY_LIST] = {store_replay_list, store_undo_replay_list},
    [JOURNAL_REPLAY_FIND] = {store_replay_find, store_undo_replay_find},
    [JOURNAL_REPLAY_LOOK] = {store_replay_look, store_undo_replay_look},
    [JOURNAL_REPLAY_MOVE] = {store_replay_move, store_undo_replay_move},
};

/* A thread that gets the handover gets it before its answers. */
static void post_answers(struct journal_sqlite *self)
{
    for (unsigned i = 0; i < self->batch_len; i++)
        request_answers_add(&self->answers, self->batch[i], self->batch[i]->result);
    self->batch_len = 0;
    request_answers_give(&self->answers);
}

/* Room for every delivery that the appends may bring; what is adopted makes more (acceptance.c), so
 * that nothing can fail between the commit and the handover. */
static enum err prepare_handover(struct journal_sqlite *self)
{
    unsigned room = 0;
    for (unsigned i = 0; i < self->batch_len; i++)
        if (self->batch[i]->kind == JOURNAL_APPEND)
            room +=
                CONTAINER_OF(self->batch[i], struct journal_append, request)->endpoints_count + 1;
    self->store.handover = NULL;
    if (room == 0)
        return OK;
    struct journal_handover *handover =
        malloc(sizeof *handover + room * sizeof handover->deliveries[0]);
    if (!handover)
        return ERR_NO_MEMORY;
    handover->count = 0;
    self->store.handover = handover;
    self->store.handover_room = room;
    return OK;
}

static void add_handover(struct journal_sqlite *self)
{
    struct journal_handover *handover = TAKE(self->store.handover);
    if (!handover || handover->count == 0) {
        free(handover);
        return;
    }
    handover->mail.on_receive = self->listener.on_handover;
    request_answers_add_mail(&self->answers, self->listener.delivery, &handover->mail);
}

static void drop_handover(struct journal_sqlite *self)
{
    struct journal_handover *handover = TAKE(self->store.handover);
    for (unsigned i = 0; handover && i < handover->count; i++)
        event_unref(handover->deliveries[i].event);
    free(handover);
}

static bool has_taken_event(const struct journal_sqlite *self)
{
    for (unsigned i = 0; i < self->batch_len; i++)
        if (self->batch[i]->result == OK &&
            (self->batch[i]->kind == JOURNAL_APPEND || self->batch[i]->kind == JOURNAL_RECEIVE))
            return true;
    return false;
}

static enum err commit(struct journal_sqlite *self)
{
    int64_t started_us = clock_mono_us();
    enum err result = store_commit(&self->store);
    if (result || !self->store.checkpointer.wrote)
        return result;
    metrics_add(METRIC_JOURNAL_COMMITS, 1);
    metrics_observe(HISTOGRAM_COMMIT, clock_mono_us() - started_us);
    if (self->disk.trouble)
        disk_watch_note_success(&self->disk, has_taken_event(self));
    return OK;
}

/* See base/failpoint.h. What is answered leaves the batch, since its requester frees it. */
static void fail_by_early_answers(struct journal_sqlite *self)
{
    unsigned kept = 0, answered = 0;
    for (unsigned i = 0; i < self->batch_len; i++) {
        struct request *request = self->batch[i];
        if (request->kind != JOURNAL_APPEND) {
            self->batch[kept++] = request;
            continue;
        }
        request_answer(request, request->result);
        answered++;
    }
    self->batch_len = kept;
    if (answered > 0)
        usleep(FAILPOINT_SLEEP_US);
}

/* See base/failpoint.h: one if the batch has a request of that kind. */
static void crash_with(
    const struct journal_sqlite *self, enum journal_kind kind, enum failpoint_crash point)
{
    for (unsigned i = 0; i < self->batch_len; i++)
        if (self->batch[i]->kind == kind)
            failpoint_crash(point);
}

/* The batch's transaction. After an error nothing of it has happened, in the file and in the
 * requests. */
static enum err run_batch(struct journal_sqlite *self)
{
    unsigned applied = 0;
    bool committing = false;
    enum err result = prepare_handover(self);
    if (result)
        return result;
    crash_with(self, JOURNAL_APPEND, CRASH_EVENT_TAKEN);
    result = store_begin(&self->store);
    while (!result && applied < self->batch_len) {
        struct request *request = self->batch[applied++];
        request->result = OK;
        result = kinds[request->kind].apply(&self->store, request);
    }
    if (!result && failpoint_is_on(FAILPOINT_ACK_BEFORE_COMMIT)) {
        fail_by_early_answers(self);
        applied = self->batch_len;
    }
    if (!result) {
        crash_with(self, JOURNAL_APPEND, CRASH_EVENT_WRITTEN);
        crash_with(self, JOURNAL_START, CRASH_START_WRITTEN);
        crash_with(self, JOURNAL_RECORD_OUTCOME, CRASH_OUTCOME_WRITTEN);
        committing = true;
        result = commit(self);
    }
    if (!result) {
        crash_with(self, JOURNAL_APPEND, CRASH_EVENT_COMMITTED);
        crash_with(self, JOURNAL_START, CRASH_START_COMMITTED);
        crash_with(self, JOURNAL_RECORD_OUTCOME, CRASH_OUTCOME_COMMITTED);
        return OK;
    }
    disk_watch_abandon(&self->disk, result, committing);
    for (unsigned i = 0; i < applied; i++)
        if (kinds[self->batch[i]->kind].undo)
            kinds[self->batch[i]->kind].undo(self->batch[i]);
    drop_handover(self);
    return result;
}

/* Damage of the index of keys stops nobody: the batch is tried again without what is damaged. */
static enum err run_batch_with_keys(struct journal_sqlite *self)
{
    enum err result = run_batch(self);
    for (int i = 0; i < KEYS_TRIES && result == ERR_DAMAGED && !self->disk.failed &&
                    event_keys_gave_way(&self->store.keys);
         i++)
        result = run_batch(self);
    return result;
}

static enum err run_batch_in_reserve(struct journal_sqlite *self)
{
    disk_watch_give_reserve_up(&self->disk);
    return run_batch(self);
}

/*
 * The answer to all requests of a failed transaction. Some errors say something of one request (its
 * row is damaged, it has moved on). When one of them met a page that cannot be read, the others
 * must not get such an answer.
 */
static enum err error_of_all(enum err error)
{
    return error == ERR_DISK_FULL || error == ERR_NO_MEMORY || error == ERR_UNAVAILABLE ? error
                                                                                        : ERR_DISK;
}

static void work_off_batch(struct journal_sqlite *self)
{
    if (self->batch_len == 0)
        return;
    metrics_add(METRIC_JOURNAL_REQUESTS, self->batch_len);
    commit_pace_begin(&self->pace, self->batch_len, self->urgent, clock_mono_us());
    self->urgent = 0;
    disk_watch_look(&self->disk, clock_mono_us());
    enum err result = self->disk.failed ? ERR_DISK : run_batch_with_keys(self);
    if (result == ERR_DISK_FULL && !self->disk.failed &&
        clock_mono_us() >= self->disk.next_relief_us) {
        self->disk.next_relief_us = clock_mono_us() + DISK_RETRY_US;
        if (disk_watch_relieve_wal(&self->disk))
            result = run_batch_with_keys(self);
    }
    if (result == ERR_DISK_FULL && !self->disk.failed && self->store.reserve.held)
        result = run_batch_in_reserve(self);
    for (unsigned i = 0; result && i < self->batch_len; i++)
        self->batch[i]->result = error_of_all(result);
    add_handover(self);
    store_report_notices(&self->store, clock_mono_us());
    if (failpoint_crashes(CRASH_EVENT_HANDED_OVER))
        request_answers_give(&self->answers);
    crash_with(self, JOURNAL_APPEND, CRASH_EVENT_HANDED_OVER);
    post_answers(self);
    if (!self->disk.failed)
        disk_watch_keep_wal_small(&self->disk);
}

/* A transaction of our own, between those of the requests. */
static enum err run_aside(struct journal_sqlite *self,
    enum err (*work)(struct store *store, int64_t now_us), int64_t now_us)
{
    bool committing = false;
    enum err result = store_begin(&self->store);
    if (!result)
        result = work(&self->store, now_us);
    if (!result) {
        committing = true;
        result = commit(self);
    }
    if (result)
        disk_watch_abandon(&self->disk, result, committing);
    else
        disk_watch_keep_wal_small(&self->disk);
    return result;
}

static enum err write_totals(struct store *store, int64_t now_us)
{
    totals_demand(&store->totals);
    return OK;
}

static enum err write_try(struct store *store, int64_t now_us)
{
    char text[96];
    snprintf(text, sizeof text, "INSERT OR REPLACE INTO meta(key, value) VALUES('tried_us', %lld)",
        (long long)now_us);
    return sql_run(store->db, text);
}

static void try_disk(struct journal_sqlite *self, int64_t now_us)
{
    enum disk_try what = disk_watch_next_try(&self->disk, now_us);
    if (what == DISK_TRY_CHECKPOINT)
        (void)disk_watch_relieve_wal(&self->disk);
    else if (what == DISK_TRY_WRITE)
        (void)!run_aside(self, write_try, clock_wall_us());
}

/* The earlier of two clocks: one that was wrong at the start and has been set right since counts,
 * and one that was set forward does not. */
static int64_t expiry_clock_us(const struct journal_sqlite *self, int64_t now_mono_us)
{
    int64_t steady_us = now_mono_us + self->wall_offset_us, wall_us = clock_wall_us();
    return wall_us < steady_us ? wall_us : steady_us;
}

/* One step, then a pause: a request waits for one step at most. */
static void expire(struct journal_sqlite *self, int64_t now_mono_us)
{
    int64_t now_us = expiry_clock_us(self, now_mono_us);
    if (now_mono_us < self->next_step_us || !expiry_is_due(&self->store.expiry, now_us))
        return;
    enum err result = run_aside(self, expiry_step, now_us);
    if (result && result != ERR_DAMAGED)
        expiry_put_off(&self->store.expiry, now_us);
    self->next_step_us = clock_mono_us() + (EXPIRY_PAUSE_MS * US_PER_MS);
}

static void keep_house(struct journal_sqlite *self)
{
    int64_t now_us = clock_mono_us();
    disk_watch_look(&self->disk, now_us);
    store_report_notices(&self->store, now_us);
    if (!self->disk.failed)
        try_disk(self, now_us);
    if (self->disk.failed)
        return;
    if (totals_are_due(&self->store.totals, now_us) && now_us >= self->totals_put_off_us &&
        run_aside(self, write_totals, now_us) != OK)
        /* They stay in memory until the next commit. */
        self->totals_put_off_us = now_us + TOTALS_HELD_US;
    if (!self->disk.failed)
        expire(self, now_us);
}

static bool batch_is_due(const struct journal_sqlite *self)
{
    return self->stopping || self->batch_due_us <= clock_mono_us();
}

/* How long the thread may wait for mail. */
static int idle_ms(const struct journal_sqlite *self)
{
    const struct store *store = &self->store;
    int64_t now_us = clock_mono_us();
    if (self->batch_len > 0)
        return self->batch_due_us > now_us
                   ? (int)((self->batch_due_us - now_us + US_PER_MS - 1) / US_PER_MS)
                   : 0;
    if (self->disk.failed)
        return -1;
    bool watches = store->totals.since_us || notice_board_due_us(&store->notices) != INT64_MAX ||
                   !disk_watch_is_well(&self->disk);
    int64_t idle_us = (watches ? LOOK_MS : LOOK_IDLE_MS) * US_PER_MS,
            step_us = self->next_step_us - now_us;
    if (expiry_is_due(&store->expiry, expiry_clock_us(self, now_us)) && step_us < idle_us)
        idle_us = step_us > 0 ? step_us : 0;
    return (int)((idle_us + US_PER_MS - 1) / US_PER_MS);
}

static bool may_wait(const struct request *request)
{
    return request->kind == JOURNAL_RECORD_OUTCOME &&
           CONTAINER_OF(request, struct journal_record, request)->may_wait;
}

static void receive_request(struct mail *mail, void *receiver)
{
    struct journal_sqlite *self = receiver;
    ASSERT_ON_THREAD(&self->thread);
    struct request *request = CONTAINER_OF(mail, struct request, mail);
    if (!may_wait(request)) {
        self->batch_due_us = INT64_MIN;
        self->urgent++;
    } else if (self->batch_len == 0) {
        self->batch_due_us = clock_mono_us() + JOURNAL_WAIT_US;
    }
    self->batch[self->batch_len++] = request;
    if (self->batch_len == JOURNAL_BATCH_REQUESTS_MAX)
        work_off_batch(self);
}

static void receive_stop(struct mail *mail, void *receiver)
{
    ((struct journal_sqlite *)receiver)->stopping = true;
}

/* Waits for mail, and then for some more. The thread is not woken by what arrives meanwhile. */
static void wait_for_mail(struct journal_sqlite *self)
{
    if (mailbox_wait(&self->mailbox, idle_ms(self))) {
        int64_t rest_us = commit_pace_rest_us(&self->pace, clock_mono_us());
        if (rest_us > 0)
            mailbox_rest(&self->mailbox, rest_us);
    }
}

static void run(void *context)
{
    struct journal_sqlite *self = context;
    while (!self->stopping) {
        wait_for_mail(self);
        disk_board_begin(&self->journal.room, clock_mono_us());
        mailbox_work(&self->mailbox);
        if (batch_is_due(self))
            work_off_batch(self);
        keep_house(self);
        disk_board_end(&self->journal.room, clock_mono_us());
    }
    store_close(&self->store, self->disk.failed);
    disk_watch_end(&self->disk);
}

/* While it is not committed, a crash would leave a guarded delivery in doubt. */
static bool must_not_wait(const struct request *request)
{
    return request->kind == JOURNAL_START ||
           (request->kind == JOURNAL_RECORD_OUTCOME && !may_wait(request));
}

static void submit(struct journal *journal, struct request *request)
{
    struct journal_sqlite *self = CONTAINER_OF(journal, struct journal_sqlite, journal);
    assert((unsigned)request->kind < JOURNAL_KINDS && request->reply_to && request->on_done);
    bool hurries = must_not_wait(request);
    request_submit(request, &self->mailbox, receive_request);
    if (hurries)
        mailbox_hurry(&self->mailbox);
}

static void stop(struct journal *journal)
{
    struct journal_sqlite *self = CONTAINER_OF(journal, struct journal_sqlite, journal);
    self->stop.on_receive = receive_stop;
    mailbox_post(&self->mailbox, &self->stop);
    thread_join(&self->thread);
    mailbox_done(&self->mailbox);
    free(self);
}

static const struct journal_ops sqlite_ops = {.submit = submit, .stop = stop};

/* A clock that was set wrong while the gateway was down would make the dedupe store forget, and
 * looks the same as a long rest. So expiry waits for a day, and the log says so. */
static void put_doubtful_expiry_off(struct journal_sqlite *self)
{
    int64_t now_us = clock_wall_us();
    if (!expiry_is_doubtful(self->store.newest_us, now_us))
        return;
    log_warn("the newest event is more than a week old: if the clock is wrong, correct it within a "
             "day, because old events expire then shard=%u",
        self->store.shard);
    self->next_step_us = clock_mono_us() + US_PER_DAY;
}

enum err journal_sqlite_open(
    const struct journal_sqlite_options *options, struct journal **ret_journal, char *ret_detail)
{
    struct journal_sqlite *self;
    MEMORY_NEW(self);
    self->journal.ops = &sqlite_ops;
    self->listener = options->listener;
    self->disk = (struct disk_watch){.store = &self->store,
        .board = &self->journal.room,
        .on_failed = options->listener.on_failed,
        .context = options->listener.context};
    self->wall_offset_us = clock_wall_us() - clock_mono_us();
    enum err result = mailbox_init(&self->mailbox, self);
    if (result) {
        snprintf(ret_detail, 256, "the system gives no more file descriptors");
        free(self);
        return result;
    }
    result = store_open(&self->store,
        &(struct store_options){.directory = options->directory,
            .shard = options->shard,
            .expiry = options->expiry,
            .reserve_bytes = options->reserve_bytes,
            .reserve_all_bytes = options->reserve_all_bytes,
            .operator_events = options->listener.operator_events},
        ret_detail);
    memcpy(self->journal.id, self->store.journal_id, sizeof self->journal.id);
    self->journal.found = self->store.found;
    self->journal.backlog = &self->store.backlog;
    if (!result)
        put_doubtful_expiry_off(self);
    if (!result) {
        disk_watch_begin(&self->disk);
        char name[THREAD_NAME_BYTES];
        snprintf(name, sizeof name, "journal-%u", options->shard % 1000);
        result = thread_start(&self->thread, name, run, self);
        if (result)
            snprintf(ret_detail, 256, "the system gives no more threads");
    }
    if (result) {
        store_close(&self->store, false);
        mailbox_done(&self->mailbox);
        free(self);
        return result;
    }
    *ret_journal = &self->journal;
    return OK;
}
