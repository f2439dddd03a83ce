/* SPDX-License-Identifier: Apache-2.0 */
#include "load/sender.h"

#include "base/clock.h"
#include "load/answer.h"
#include "load/connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#define READY_MAX 64
#define CONNECT_WITHIN_US (5 * US_PER_SECOND)
#define RETRY_AFTER_DEFAULT_US US_PER_SECOND
#define TICK_US (US_PER_SECOND / 4)

struct sender {
    struct sender_run *run;
    const struct load_options *options;
    unsigned number;
    pthread_t thread;
    _Atomic bool ended;

    /* owned by the thread */
    int epoll_fd;
    SSL_CTX *tls;
    unsigned connections_count, connections_next;
    struct connection *connections;
    struct list dirty;    /* connections with something to flush */
    struct list patience; /* sendings under way */
    struct list resends;  /* in order of due_us */
    struct list spare;
    struct timetable_walk walk;
    bool no_room; /* due events wait for a stream */
    unsigned under_way, to_resend;
    int64_t next_tick_us;
    struct run_log *log;
    struct tally tally;
    struct histogram recent;

    pthread_mutex_t lock; /* for `shown` */
    struct sender_progress shown;
};

/* --- sendings --- */

static struct sending *take_sending(struct sender *sender)
{
    struct sending *sending = LIST_TAKE_FIRST(&sender->spare, struct sending, link);
    if (sending)
        return sending;
    sending = calloc(1, sizeof *sending);
    if (sending)
        sending->records = calloc(sender->options->batch, sizeof *sending->records);
    if (!sending || !sending->records)
        abort(); /* a generator that can't hold what is under way measures nothing */
    list_init(&sending->link);
    list_init(&sending->in_patience);
    return sending;
}

static void make_record(struct sender *sender, struct sending *sending, uint64_t number, int64_t intended_us)
{
    static _Thread_local char body[MIX_BODY_BYTES_MAX];
    struct mix_event event;
    mix_event(&sender->options->mix, number, &event);
    size_t len = mix_body(&sender->options->mix, &event, body);
    struct load_record *record = &sending->records[sending->records_count++];
    *record = (struct load_record){.intended_us = intended_us,
        .number = number,
        .original = event.original,
        .body_hash = run_log_hash(slice_of(body, len)),
        .amount_micros = event.amount_micros,
        .account = (uint16_t)event.account,
        .kind = (uint8_t)event.kind,
        .guarded = event.guarded};
    memcpy(record->currency, event.currency, strlen(event.currency));
    if (sending->records_count > 1)
        buffer_add_char(&sending->body, '\n');
    buffer_add(&sending->body, body, len);
}

static bool counts(const struct sender *sender, const struct load_record *record)
{
    return record->intended_us >= sender->run->started_us + sender->options->warm_up_us;
}

static void record_all(struct sender *sender, struct sending *sending, enum load_end how, int64_t now_us)
{
    for (unsigned i = 0; i < sending->records_count; i++) {
        struct load_record *record = &sending->records[i];
        record->end = (uint8_t)how;
        record->answered_us = how == LOAD_ANSWERED ? now_us : 0;
        tally_record(&sender->tally, record, counts(sender, record));
        if (how == LOAD_ANSWERED && record->sending == 0)
            histogram_add(&sender->recent, now_us - record->intended_us);
        if (sender->log)
            run_log_write(sender->log, record);
    }
}

/* --- where a sending goes --- */

static struct connection *find_room(struct sender *sender)
{
    struct connection *best = NULL;
    for (unsigned i = 0; i < sender->connections_count; i++) {
        struct connection *connection =
            &sender->connections[(sender->connections_next + i) % sender->connections_count];
        if (connection_has_room(connection) && (!best || connection->streams < best->streams))
            best = connection;
    }
    sender->connections_next++;
    return best;
}

static void send_on(struct sender *sender, struct connection *connection, struct sending *sending, int64_t now_us)
{
    sending->patience_until_us = now_us + sender->options->patience_us;
    list_add_tail(&sender->patience, &sending->in_patience);
    sender->under_way++;
    connection_send(connection, sending, now_us);
    list_remove(&connection->in_dirty);
    list_add_tail(&sender->dirty, &connection->in_dirty);
}

/* Sorted from the tail: nearly all pauses are the same. */
static void add_resend(struct sender *sender, struct sending *sending, int64_t due_us)
{
    struct list *before = sender->resends.prev;
    while (before != &sender->resends && CONTAINER_OF(before, struct sending, link)->due_us > due_us)
        before = before->prev;
    sending->due_us = due_us;
    list_add_tail(before->next, &sending->link);
    sender->to_resend++;
}

static bool should_resend(const struct sender *sender, const struct sending *sending, enum load_end how)
{
    if (how == LOAD_UNFINISHED || sending->records[0].sending >= sender->options->resends_max ||
        atomic_load(&sender->run->stopping))
        return false;
    bool refused = false; /* a batch is sent again whole: what was taken is a duplicate then */
    for (unsigned i = 0; i < sending->records_count; i++)
        refused |= sending->records[i].status == 503 || sending->records[i].status == 429;
    return how != LOAD_ANSWERED || refused;
}

static void settle(struct sender *sender, struct sending *sending, enum load_end how)
{
    int64_t now_us = run_log_now_us();
    list_remove(&sending->in_patience);
    sender->under_way--;
    if (how == LOAD_ANSWERED)
        answer_read(sending);
    record_all(sender, sending, how, now_us);
    if (!should_resend(sender, sending, how)) {
        list_add_tail(&sender->spare, &sending->link);
        return;
    }
    int64_t pause_us = how == LOAD_TIMED_OUT         ? 0
                       : how == LOAD_BROKEN          ? sender->options->resend_pause_us
                       : sending->retry_after_us > 0 ? sending->retry_after_us
                                                     : RETRY_AFTER_DEFAULT_US;
    add_resend(sender, sending, now_us + pause_us);
}

static void on_end(struct sending *sending, enum load_end how, void *context)
{
    settle(context, sending, how);
}

/* --- one turn's work --- */

static void send_again(struct sender *sender, int64_t now_us)
{
    while (!list_is_empty(&sender->resends)) {
        struct sending *sending = CONTAINER_OF(sender->resends.next, struct sending, link);
        struct connection *connection = sending->due_us <= now_us ? find_room(sender) : NULL;
        if (!connection)
            return;
        list_remove(&sending->link);
        sender->to_resend--;
        for (unsigned i = 0; i < sending->records_count; i++) {
            struct load_record *record = &sending->records[i];
            record->sending++;
            record->intended_us = sending->due_us;
            record->status = record->answer = record->end = 0;
            memset(record->event, 0, sizeof record->event);
        }
        send_on(sender, connection, sending, now_us);
    }
}

/* The next event that is due and our own goes to `connection`; with a batch, as many as that. */
static void send_next(struct sender *sender, struct connection *connection, int64_t now_us)
{
    struct sending *sending = take_sending(sender);
    sending->records_count = 0;
    buffer_clear(&sending->body);
    int64_t due_us;
    for (unsigned i = 0; i < sender->options->batch; i++) {
        if (timetable_walk_peek(&sender->walk, &due_us) != TIMETABLE_EVENT ||
            (i > 0 && sender->run->started_us + due_us > now_us))
            break;
        make_record(sender, sending, (uint64_t)sender->walk.number, sender->run->started_us + due_us);
        if (!sender->no_room && counts(sender, &sending->records[i]))
            histogram_add(&sender->tally.late, now_us - sending->records[i].intended_us);
        sender->tally.waited_for_stream += sender->no_room;
        timetable_walk_step(&sender->walk);
    }
    send_on(sender, connection, sending, now_us);
}

/* Whose the next event is: each thread takes runs of a batch's length in turn. */
static bool is_ours(const struct sender *sender)
{
    return (uint64_t)sender->walk.number / sender->options->batch % sender->options->threads == sender->number;
}

static void send_due(struct sender *sender, int64_t now_us)
{
    int64_t due_us;
    while (timetable_walk_peek(&sender->walk, &due_us) == TIMETABLE_EVENT &&
           sender->run->started_us + due_us <= now_us && !atomic_load(&sender->run->stopping)) {
        if (!is_ours(sender)) {
            timetable_walk_step(&sender->walk);
            continue;
        }
        struct connection *connection = find_room(sender);
        if (!connection) {
            sender->no_room = true;
            return;
        }
        send_next(sender, connection, now_us);
    }
    sender->no_room = false;
}

static void fill_closed(struct sender *sender, int64_t now_us)
{
    const struct timetable_part *part = timetable_walk_closed(&sender->walk);
    int64_t start_us = sender->run->started_us + part->start_us, not_yet = -1;
    if (now_us < start_us)
        return;
    if (now_us >= start_us + part->duration_us || atomic_load(&sender->run->stopping)) {
        sender->walk.part++;
        return;
    }
    atomic_compare_exchange_strong(&sender->run->closed_next, &not_yet, sender->walk.number);
    unsigned threads = sender->options->threads;
    unsigned share = (unsigned)((part->count + sender->number) / threads);
    struct connection *connection;
    while (sender->under_way + sender->to_resend < share && (connection = find_room(sender))) {
        struct sending *sending = take_sending(sender);
        sending->records_count = 0;
        buffer_clear(&sending->body);
        int64_t number = atomic_fetch_add(&sender->run->closed_next, sender->options->batch);
        for (unsigned i = 0; i < sender->options->batch; i++)
            make_record(sender, sending, (uint64_t)(number + i), now_us);
        send_on(sender, connection, sending, now_us);
    }
}

static void lose_patience(struct sender *sender, int64_t now_us)
{
    while (!list_is_empty(&sender->patience)) {
        struct sending *sending = CONTAINER_OF(sender->patience.next, struct sending, in_patience);
        if (sending->patience_until_us > now_us)
            return;
        struct connection *connection = sending->connection;
        connection_give_up(sending);
        list_remove(&connection->in_dirty);
        list_add_tail(&sender->dirty, &connection->in_dirty);
        settle(sender, sending, LOAD_TIMED_OUT);
    }
}

static void flush_dirty(struct sender *sender)
{
    while (!list_is_empty(&sender->dirty)) {
        struct connection *connection = CONTAINER_OF(sender->dirty.next, struct connection, in_dirty);
        list_remove(&connection->in_dirty);
        connection_flush(connection);
    }
}

static void reopen(struct sender *sender, int64_t now_us)
{
    for (unsigned i = 0; i < sender->connections_count; i++) {
        struct connection *connection = &sender->connections[i];
        if (connection->stage != CONNECTION_CLOSED || connection->reopen_at_us > now_us)
            continue;
        sender->tally.reconnects += connection->reopen_at_us > 0;
        connection_open(connection);
    }
}

static void show(struct sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    sender->shown.events = sender->tally.events + sender->under_way;
    sender->shown.ends = sender->tally.ends[LOAD_ANSWERED];
    sender->shown.ok = sender->tally.statuses[200];
    histogram_merge(&sender->shown.answers, &sender->recent);
    pthread_mutex_unlock(&sender->lock);
    histogram_init(&sender->recent);
}

static void tick(struct sender *sender, int64_t now_us)
{
    if (now_us < sender->next_tick_us)
        return;
    sender->next_tick_us = now_us + TICK_US;
    if (sender->log)
        run_log_flush(sender->log);
    show(sender);
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When there is something to do without any socket saying so. */
static int64_t next_wake_us(struct sender *sender, enum timetable_next next, int64_t due_us)
{
    int64_t wake_us = sender->next_tick_us; /* reopening is no more urgent than that */
    if (next != TIMETABLE_END && !sender->no_room && (next == TIMETABLE_EVENT || sender->under_way == 0))
        wake_us = min_of(wake_us, sender->run->started_us + due_us);
    if (!list_is_empty(&sender->resends))
        wake_us = min_of(wake_us, CONTAINER_OF(sender->resends.next, struct sending, link)->due_us);
    if (!list_is_empty(&sender->patience))
        wake_us = min_of(wake_us, CONTAINER_OF(sender->patience.next, struct sending, in_patience)->patience_until_us);
    return wake_us;
}

static void wait_until(struct sender *sender, int64_t wake_us)
{
    struct epoll_event ready[READY_MAX];
    int64_t left_us = wake_us - run_log_now_us();
    if (left_us < 0)
        left_us = 0;
    struct timespec timeout = {left_us / US_PER_SECOND, left_us % US_PER_SECOND * 1000};
    int count = epoll_pwait2(sender->epoll_fd, ready, READY_MAX, &timeout, NULL);
    for (int i = 0; i < count; i++)
        connection_on_ready(ready[i].data.ptr, ready[i].events);
}

/* One turn; false when all is done. */
static bool turn(struct sender *sender)
{
    int64_t now_us = run_log_now_us(), due_us;
    reopen(sender, now_us);
    lose_patience(sender, now_us);
    send_again(sender, now_us);
    send_due(sender, now_us);
    enum timetable_next next = timetable_walk_peek(&sender->walk, &due_us);
    if (next == TIMETABLE_IN_FLIGHT) {
        fill_closed(sender, now_us);
        next = timetable_walk_peek(&sender->walk, &due_us);
    }
    flush_dirty(sender);
    tick(sender, now_us);
    int64_t end_us = sender->run->started_us + sender->options->timetable.duration_us + sender->options->linger_us;
    bool over = next == TIMETABLE_END || atomic_load(&sender->run->stopping);
    if (over && (sender->under_way + sender->to_resend == 0 || now_us >= end_us || atomic_load(&sender->run->stopping)))
        return false;
    wait_until(sender, next_wake_us(sender, next, due_us));
    return true;
}

static void *run_thread(void *argument)
{
    struct sender *sender = argument;
    struct timespec cpu;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* or each wait is up to 50 us too long */
    while (turn(sender)) {
    }
    sender->tally.wall_seconds = (double)(run_log_now_us() - sender->run->started_us) / 1e6;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    sender->tally.cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
    for (unsigned i = 0; i < sender->connections_count; i++)
        connection_done(&sender->connections[i]);
    show(sender);
    atomic_store(&sender->ended, true);
    return NULL;
}

/* --- life --- */

static enum err make_tls(struct sender *sender)
{
    const struct load_options *options = sender->options;
    if (!options->tls)
        return OK;
    static const unsigned char protocols[] = "\x02h2";
    sender->tls = SSL_CTX_new(TLS_client_method());
    if (!sender->tls || SSL_CTX_set_alpn_protos(sender->tls, protocols, sizeof protocols - 1) != 0)
        return ERR_TLS;
    SSL_CTX_set_mode(sender->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!options->ca_file)
        return OK;
    SSL_CTX_set_verify(sender->tls, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_locations(sender->tls, options->ca_file, NULL) == 1 ? OK : ERR_TLS;
}

static enum err make_log(struct sender *sender)
{
    const struct load_options *options = sender->options;
    char path[4096];
    if (!options->log_file)
        return OK;
    int len = sender->number == 0 ? snprintf(path, sizeof path, "%s", options->log_file)
                                  : snprintf(path, sizeof path, "%s.%u", options->log_file, sender->number);
    if (len < 0 || len >= (int)sizeof path)
        return ERR_DISK;
    return run_log_create(path, LOAD_LOG, options->mix.run, sizeof(struct load_record), &sender->log);
}

enum err sender_new(struct sender_run *run, unsigned number, struct sender **ret_sender)
{
    struct sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return ERR_NO_MEMORY;
    sender->run = run;
    sender->options = run->options;
    sender->number = number;
    pthread_mutex_init(&sender->lock, NULL);
    list_init(&sender->dirty);
    list_init(&sender->patience);
    list_init(&sender->resends);
    list_init(&sender->spare);
    timetable_walk_init(&sender->walk, &run->options->timetable);
    sender->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sender->connections_count = (run->options->connections + number) / run->options->threads;
    sender->connections = calloc(sender->connections_count, sizeof *sender->connections);
    enum err result = sender->epoll_fd < 0 || !sender->connections ? ERR_SYSTEM : make_tls(sender);
    if (!result)
        result = make_log(sender);
    for (unsigned i = 0; i < sender->connections_count && !result; i++) {
        struct connection *connection = &sender->connections[i];
        connection_init(connection, run->options, sender->epoll_fd, sender->tls);
        connection->on_end = on_end;
        connection->context = sender;
    }
    *ret_sender = sender;
    return result;
}

enum err sender_connect(struct sender *sender)
{
    int64_t until_us = run_log_now_us() + CONNECT_WITHIN_US;
    for (unsigned open = 0; open < sender->connections_count;) {
        int64_t now_us = run_log_now_us();
        if (now_us > until_us)
            return ERR_CONNECT;
        reopen(sender, now_us);
        wait_until(sender, now_us + 10 * US_PER_MS);
        open = 0;
        for (unsigned i = 0; i < sender->connections_count; i++)
            open += sender->connections[i].stage == CONNECTION_OPEN;
    }
    return OK;
}

enum err sender_start(struct sender *sender)
{
    return pthread_create(&sender->thread, NULL, run_thread, sender) == 0 ? OK : ERR_SYSTEM;
}

bool sender_has_ended(const struct sender *sender)
{
    return atomic_load(&sender->ended);
}

void sender_look(struct sender *sender, struct sender_progress *progress)
{
    pthread_mutex_lock(&sender->lock);
    progress->events += sender->shown.events;
    progress->ends += sender->shown.ends;
    progress->ok += sender->shown.ok;
    histogram_merge(&progress->answers, &sender->shown.answers);
    histogram_init(&sender->shown.answers);
    pthread_mutex_unlock(&sender->lock);
}

void sender_join(struct sender *sender)
{
    pthread_join(sender->thread, NULL);
}

const struct tally *sender_tally(const struct sender *sender)
{
    return &sender->tally;
}

static void free_sendings(struct list *list)
{
    for (struct sending *sending; (sending = LIST_TAKE_FIRST(list, struct sending, link));) {
        buffer_done(&sending->body);
        buffer_done(&sending->answer);
        free(sending->records);
        free(sending);
    }
}

enum err sender_free(struct sender *sender)
{
    if (!sender)
        return OK;
    free_sendings(&sender->resends);
    free_sendings(&sender->spare);
    free(sender->connections);
    SSL_CTX_free(sender->tls);
    if (sender->epoll_fd >= 0)
        close(sender->epoll_fd);
    pthread_mutex_destroy(&sender->lock);
    enum err result = run_log_close(sender->log);
    free(sender);
    return result;
}
