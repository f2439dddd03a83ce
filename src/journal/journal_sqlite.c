/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's thread. It sleeps on its mailbox, takes everything that has gathered there, and
 * makes one transaction of it: while that one is being committed the next gathers. So a commit is
 * as large as the load makes it, without a timer.
 *
 *   mailbox -> batch -> BEGIN, one function for each request (store.h), COMMIT -> handover -> answers
 *           -> checkpoint -> the house: totals, expiry, room on the disk
 *
 * The handover leaves before the answers. A JOURNAL_LOAD may find a delivery that the same
 * transaction accepted; delivery has it from the handover by then, and knows it again by its id.
 *
 * Failure: a transaction that fails is rolled back as a whole and all of its requests get its
 * error, since each may have seen what another one did. A full disk passes: the WAL is brought back
 * into the file, so that it can start over in its old room; the reserve (reserve.h) is given up,
 * and the transaction is tried again without its appends. So does one that takes no writes
 * (read-only). A failed sync does not, nor an I/O error from COMMIT that is anything but a refused
 * write: the kernel may have thrown the pages away, and another try would be answered from memory.
 * From then on everything is refused, and the file is closed without another write.
 *
 * While something is wrong the disk is tried about once a second, by a write of our own: what
 * room.h says becomes true again without anybody's traffic.
 */
#include "journal/journal_sqlite.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "journal/store.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"
#include "sqlite/sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAILPOINT_SLEEP_US 50000 /* long enough for a kill to fall into it */
#define EXPIRY_PAUSE_MS 10
#define LOOK_MS 1000      /* at the disk, while something is wrong with it, or waits for it */
#define LOOK_IDLE_MS 5000 /* otherwise */
#define RETRY_US US_PER_SECOND
/* Free, before a disk that was full is tried by ourselves: our page finds its place where an event
 * does not. */
#define ROOM_TO_TRY_BYTES (1024 * 1024)
#define PAGE_BYTES 4096

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
    bool failed;              /* the file is in doubt */
    enum room_reason trouble; /* of the last transactions: a full disk is said once */
    int64_t next_try_us;      /* monotonic; while something is wrong */
    int64_t next_relief_us;
    struct room room; /* as it is on the board */
    int64_t
        /* of a wall clock that does not jump: a wrong hour must not make the dedupe store forget */
        wall_offset_us;
    int64_t next_step_us; /* of expiry, monotonic */
    int64_t totals_put_off_us;
    int64_t space_said; /* enum disk_space, as the metric has it */
    unsigned batch_len;
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
    [JOURNAL_LIST_UNROUTED] = {store_list_unrouted, store_undo_list_unrouted},
    [JOURNAL_ROUTE] = {store_route, store_undo_route},
    [JOURNAL_RECEIVE] = {store_receive, store_undo_receive},
    [JOURNAL_ADOPT] = {store_adopt, NULL},
    [JOURNAL_LIST_BROKER_OWNED] = {store_list_broker_owned, store_undo_list_broker_owned},
    [JOURNAL_KEEP_POISON] = {store_keep_poison, NULL},
    [JOURNAL_CHECK_CONFIRMED] = {store_check_confirmed, store_undo_check_confirmed},
    [JOURNAL_LOAD_OUTBOX] = {store_load_outbox, store_undo_load_outbox},
    [JOURNAL_CLEAR_OUTBOX] = {store_clear_outbox, NULL},
};

static void post_answers(struct journal_sqlite *self)
{
    for (unsigned i = 0; i < self->batch_len; i++)
        request_answer(self->batch[i], self->batch[i]->result);
    self->batch_len = 0;
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

static void post_handover(struct journal_sqlite *self)
{
    struct journal_handover *handover = TAKE(self->store.handover);
    if (!handover || handover->count == 0) {
        free(handover);
        return;
    }
    handover->mail.on_receive = self->listener.on_handover;
    mailbox_post(self->listener.delivery, &handover->mail);
}

static void drop_handover(struct journal_sqlite *self)
{
    struct journal_handover *handover = TAKE(self->store.handover);
    for (unsigned i = 0; handover && i < handover->count; i++)
        event_unref(handover->deliveries[i].event);
    free(handover);
}

/* What room.h says, if it is anything new. */
static void tell_room(struct journal_sqlite *self)
{
    const struct reserve *reserve = &self->store.reserve;
    bool is_full = self->trouble == ROOM_FULL || self->store.checkpointer.starved ||
                   reserve->space == SPACE_NONE;
    struct room room = {
        .space = self->failed || self->trouble || is_full ? SPACE_NONE : reserve->space,
        .reason = self->failed                     ? ROOM_FAILING
                  : self->trouble                  ? self->trouble
                  : is_full                        ? ROOM_FULL
                  : reserve->space != SPACE_PLENTY ? ROOM_RESERVE
                                                   : ROOM_WELL,
        .since_us = self->room.since_us,
        .free_bytes = reserve->free_bytes,
        .wanted_bytes = reserve_wants(reserve)};
    if (is_full && room.wanted_bytes < ROOM_TO_TRY_BYTES)
        room.wanted_bytes = ROOM_TO_TRY_BYTES;
    if (self->store.checkpointer.starved &&
        room.wanted_bytes < self->store.checkpointer.wal_pages * (int64_t)PAGE_BYTES)
        room.wanted_bytes = self->store.checkpointer.wal_pages * (int64_t)PAGE_BYTES;
    if (room.space != self->room.space || room.reason != self->room.reason) {
        room.since_us = clock_wall_us();
        room_count(&self->room, -1);
        room_count(&room, 1);
    }
    self->room = room;
    room_board_set(&self->journal.room, &room);
}

static void declare_failed(struct journal_sqlite *self)
{
    self->failed = true;
    metrics_add(METRIC_JOURNAL_FAILED, 1);
    tell_room(self);
    log_error("the journal's disk failed: nothing is accepted or recorded until a restart shard=%u",
        self->store.shard);
    if (self->listener.on_failed)
        self->listener.on_failed(self->listener.context, ERR_DISK);
}

static void note_failure(struct journal_sqlite *self, enum err error)
{
    if (error == ERR_DISK_FULL)
        self->trouble = ROOM_FULL;
    else if (error == ERR_DISK)
        self->trouble =
            sql_found_read_only_disk(self->store.db) || reserve_is_read_only(&self->store.reserve)
                ? ROOM_READ_ONLY
                : ROOM_FAILING;
    self->next_try_us = clock_mono_us() + RETRY_US;
}

/* A commit that wrote. On a disk that was full one of ours, or an outcome, finds its place where no
 * event does. */
static void note_success(struct journal_sqlite *self, bool took_event)
{
    if (self->trouble == ROOM_WELL)
        return;
    const struct reserve *reserve = &self->store.reserve;
    if (self->trouble == ROOM_FULL && !took_event && reserve->free_bytes >= 0 &&
        reserve->free_bytes < ROOM_TO_TRY_BYTES)
        return;
    log_info("the journal commits again shard=%u", self->store.shard);
    self->trouble = ROOM_WELL;
    tell_room(self);
}

/* Ends a transaction that could not be committed; right after the failure, while the connection
 * still tells what it was. */
static void abandon_transaction(struct journal_sqlite *self, enum err error, bool while_committing)
{
    bool in_doubt = sql_is_in_doubt(self->store.db, while_committing);
    if (!self->trouble || in_doubt)
        log_error("the journal could not commit shard=%u error=%s reason=%s", self->store.shard,
            err_name(error), sql_reason(self->store.db));
    note_failure(self, error);
    metrics_add(METRIC_JOURNAL_COMMIT_FAILURES, 1);
    if (store_roll_back(&self->store))
        in_doubt = true;
    if (in_doubt)
        declare_failed(self);
    tell_room(self);
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
    if (self->trouble)
        note_success(self, has_taken_event(self));
    return OK;
}

/* See base/failpoint.h. What is answered leaves the batch, since its requester frees it. */
static void fail_by_early_answers(struct journal_sqlite *self)
{
    unsigned kept = 0, told = 0;
    for (unsigned i = 0; i < self->batch_len; i++) {
        struct request *request = self->batch[i];
        if (request->kind != JOURNAL_APPEND) {
            self->batch[kept++] = request;
            continue;
        }
        request_answer(request, request->result);
        told++;
    }
    self->batch_len = kept;
    if (told > 0)
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
    abandon_transaction(self, result, committing);
    for (unsigned i = 0; i < applied; i++)
        if (kinds[self->batch[i]->kind].undo)
            kinds[self->batch[i]->kind].undo(self->batch[i]);
    drop_handover(self);
    return result;
}

static void judge_checkpoint(struct journal_sqlite *self, bool was_starved, enum err result)
{
    if (result && !(was_starved && result == ERR_DISK_FULL))
        log_warn("the journal could not be checkpointed shard=%u error=%s reason=%s",
            self->store.shard, err_name(result), sql_reason(self->store.db));
    if (result && sql_is_in_doubt(self->store.db, false))
        declare_failed(self);
    if (result || was_starved)
        tell_room(self);
}

static void keep_wal_small(struct journal_sqlite *self)
{
    bool was_starved = self->store.checkpointer.starved;
    if (!was_starved) /* else about once a second: try_disk */
        judge_checkpoint(self, false, checkpointer_work(&self->store.checkpointer));
}

/* On a full disk: true when the WAL will start over, in the room that it has. */
static bool relieve_wal(struct journal_sqlite *self)
{
    bool was_starved = self->store.checkpointer.starved, all = false;
    judge_checkpoint(self, was_starved, checkpointer_relieve(&self->store.checkpointer, &all));
    return all && !self->failed;
}

static void look_at_disk(struct journal_sqlite *self, int64_t now_us)
{
    if (reserve_look(&self->store.reserve, now_us))
        room_say_space(&self->store.reserve, self->store.shard, &self->space_said);
    if (self->store.reserve.free_bytes != self->room.free_bytes ||
        self->store.reserve.space != self->room.space)
        tell_room(self);
}

static enum err run_batch_in_reserve(struct journal_sqlite *self)
{
    reserve_give_up(&self->store.reserve, clock_mono_us());
    room_say_space(&self->store.reserve, self->store.shard, &self->space_said);
    return run_batch(self);
}

/*
 * What all requests of a failed transaction are told. Some errors say something of the one request
 * that gets them (its row is damaged, it has moved on): an unreadable page that one of them met
 * must not be taken for that by the others.
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
    look_at_disk(self, clock_mono_us());
    enum err result = self->failed ? ERR_DISK : run_batch(self);
    if (result == ERR_DISK_FULL && !self->failed && clock_mono_us() >= self->next_relief_us) {
        self->next_relief_us = clock_mono_us() + RETRY_US;
        if (relieve_wal(self))
            result = run_batch(self);
    }
    if (result == ERR_DISK_FULL && !self->failed && self->store.reserve.held)
        result = run_batch_in_reserve(self);
    for (unsigned i = 0; result && i < self->batch_len; i++)
        self->batch[i]->result = error_of_all(result);
    post_handover(self);
    crash_with(self, JOURNAL_APPEND, CRASH_EVENT_HANDED_OVER);
    post_answers(self);
    if (!self->failed)
        keep_wal_small(self);
}

/* What is done in a transaction of its own, between those of the requests. */
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
        abandon_transaction(self, result, committing);
    else
        keep_wal_small(self);
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

/* Without traffic nobody else would find out that the disk is well again. */
static void try_disk(struct journal_sqlite *self, int64_t now_us)
{
    if (now_us < self->next_try_us || (!self->trouble && !self->store.checkpointer.starved))
        return;
    self->next_try_us = now_us + RETRY_US;
    int64_t free_bytes = self->store.reserve.free_bytes;
    if (self->store.checkpointer.starved)
        (void)relieve_wal(self);
    else if (self->trouble != ROOM_FULL || free_bytes < 0 || free_bytes >= ROOM_TO_TRY_BYTES)
        (void)!run_aside(self, write_try, clock_wall_us());
}

/* The earlier of two clocks: one that was wrong at the start and has been set right since counts,
 * and one that was set forward does not. */
static int64_t expiry_clock_us(const struct journal_sqlite *self, int64_t now_mono_us)
{
    int64_t steady_us = now_mono_us + self->wall_offset_us, wall_us = clock_wall_us();
    return wall_us < steady_us ? wall_us : steady_us;
}

/* A step now and then, so that requests wait for one of them at most. */
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
    look_at_disk(self, now_us);
    if (!self->failed)
        try_disk(self, now_us);
    if (self->failed)
        return;
    if (totals_are_due(&self->store.totals, now_us) && now_us >= self->totals_put_off_us &&
        run_aside(self, write_totals, now_us) != OK)
        self->totals_put_off_us =
            now_us + TOTALS_HELD_US; /* they stay in memory, and go with the next commit */
    if (!self->failed)
        expire(self, now_us);
}

/* Until there is something to do that nobody posts. */
static int idle_ms(const struct journal_sqlite *self)
{
    const struct store *store = &self->store;
    int64_t now_us = clock_mono_us();
    if (self->failed)
        return -1;
    bool watches = store->totals.since_us || store->reserve.space != SPACE_PLENTY ||
                   self->trouble || store->checkpointer.starved;
    int64_t idle_us = (watches ? LOOK_MS : LOOK_IDLE_MS) * US_PER_MS,
            step_us = self->next_step_us - now_us;
    if (expiry_is_due(&store->expiry, expiry_clock_us(self, now_us)) && step_us < idle_us)
        idle_us = step_us > 0 ? step_us : 0;
    return (int)((idle_us + US_PER_MS - 1) / US_PER_MS);
}

static void receive_request(struct mail *mail, void *receiver)
{
    struct journal_sqlite *self = receiver;
    ASSERT_ON_THREAD(&self->thread);
    self->batch[self->batch_len++] = CONTAINER_OF(mail, struct request, mail);
    if (self->batch_len == JOURNAL_BATCH_REQUESTS_MAX)
        work_off_batch(self);
}

static void receive_stop(struct mail *mail, void *receiver)
{
    ((struct journal_sqlite *)receiver)->stopping = true;
}

static void run(void *context)
{
    struct journal_sqlite *self = context;
    while (!self->stopping) {
        mailbox_wait(&self->mailbox, idle_ms(self));
        room_board_begin(&self->journal.room, clock_mono_us());
        mailbox_work(&self->mailbox);
        work_off_batch(self);
        keep_house(self);
        room_board_end(&self->journal.room, clock_mono_us());
    }
    store_close(&self->store, self->failed);
    room_count(&self->room, -1);
    if (self->failed)
        metrics_add(METRIC_JOURNAL_FAILED, -1);
}

static void submit(struct journal *journal, struct request *request)
{
    struct journal_sqlite *self = CONTAINER_OF(journal, struct journal_sqlite, journal);
    assert((unsigned)request->kind < JOURNAL_KINDS && request->reply_to && request->on_done);
    request_submit(request, &self->mailbox, receive_request);
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
 * cannot be told from a long rest: a day is given to those who look at the log. */
static void put_doubtful_expiry_off(struct journal_sqlite *self)
{
    int64_t now_us = clock_wall_us();
    if (!expiry_is_doubtful(self->store.newest_us, now_us))
        return;
    log_warn("the newest event is more than a week old: if the clock is wrong, set it right now; "
             "what is over expires "
             "in a day shard=%u",
        self->store.shard);
    self->next_step_us = clock_mono_us() + US_PER_DAY;
}

enum err journal_sqlite_open(
    const struct journal_sqlite_options *options, struct journal **ret_journal, char *ret_detail)
{
    struct journal_sqlite *self = calloc(1, sizeof *self);
    if (!self) {
        snprintf(ret_detail, 256, "out of memory");
        return ERR_NO_MEMORY;
    }
    self->journal.ops = &sqlite_ops;
    self->listener = options->listener;
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
            .reserve_all_bytes = options->reserve_all_bytes},
        ret_detail);
    memcpy(self->journal.id, self->store.journal_id, sizeof self->journal.id);
    self->journal.found = self->store.found;
    if (!result)
        put_doubtful_expiry_off(self);
    if (!result && self->store.reserve.space != SPACE_PLENTY)
        room_say_space(&self->store.reserve, self->store.shard, &self->space_said);
    if (!result) {
        tell_room(self);
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
