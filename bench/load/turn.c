/* SPDX-License-Identifier: Apache-2.0 */
/* A sender's turns: preparing requests, choosing connections, sending, and sending again. */
#include "load/answer.h"
#include "load/sender_internal.h"

#include "base/clock.h"

#include <sys/epoll.h>
#include <time.h>

#define READY_MAX 64
#define PREPARED_MAX 64 /* requests that are made before they are due */
#define RETRY_AFTER_DEFAULT_US US_PER_SECOND
#define TICK_US (US_PER_SECOND / 4)

/* --- requests --- */

static struct sending *take_sending(struct sender *sender)
{
    struct sending *sending = LIST_TAKE_FIRST(&sender->spare, struct sending, link);
    if (sending) {
        sending->records_count = 0;
        buffer_clear(&sending->body);
        return sending;
    }
    sending = calloc(1, sizeof *sending);
    if (sending)
        sending->records = calloc(sender->options->batch, sizeof *sending->records);
    if (!sending || !sending->records)
        abort(); /* without memory for requests in flight there is nothing to measure */
    list_init(&sending->link);
    list_init(&sending->in_patience);
    return sending;
}

/* Adds an event to the request. `due_us` is for the {due_us} of a post. */
static void make_record(
    struct sender *sender, struct sending *sending, uint64_t number, int64_t due_us)
{
    static _Thread_local char buffer[MIX_BODY_BYTES_MAX];
    const struct load_options *options = sender->options;
    struct mix_event event;
    mix_event(&options->mix, number, &event);
    struct slice body;
    if (options->post) { /* one event a request */
        post_make(options->post, &options->mix, &event, due_us, &sending->head, &sending->body);
        body = buffer_slice(&sending->body);
    } else {
        body = slice_of(buffer, mix_body(&options->mix, &event, buffer));
    }
    struct load_record *record = &sending->records[sending->records_count++];
    *record = (struct load_record){.number = number,
        .original = event.original,
        .body_hash = sender->log ? run_log_hash(body) : 0,
        .amount_micros = event.amount_micros,
        .account = (uint16_t)event.account,
        .kind = (uint8_t)event.kind,
        .guarded = event.guarded && !options->post};
    memcpy(record->currency, event.currency, strlen(event.currency));
    if (options->post)
        return;
    if (sending->records_count > 1)
        buffer_add_char(&sending->body, '\n');
    buffer_add_slice(&sending->body, body);
}

static bool counts(const struct sender *sender, const struct load_record *record)
{
    return record->intended_us >= sender->run->started_us + sender->options->warm_up_us;
}

static void record_all(
    struct sender *sender, struct sending *sending, enum load_end how, int64_t now_us)
{
    for (unsigned i = 0; i < sending->records_count; i++) {
        struct load_record *record = &sending->records[i];
        record->end = (uint8_t)how;
        record->ended_us = now_us;
        tally_record(&sender->tally, record, counts(sender, record));
        if (record->sending == 0)
            histogram_add(&sender->recent, now_us - record->intended_us);
        if (sender->log)
            run_log_write(sender->log, record);
    }
}

/* --- choosing a connection --- */

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

static void send_on(
    struct sender *sender, struct connection *connection, struct sending *sending, int64_t now_us)
{
    sending->patience_until_us = now_us + sender->options->patience_us;
    list_add_tail(&sender->patience, &sending->in_patience);
    sender->in_flight++;
    connection_send(connection, sending);
    list_remove(&connection->in_dirty);
    list_add_tail(&sender->dirty, &connection->in_dirty);
}

/* Inserts from the tail: nearly all pauses have the same length, so its place is near the end. */
static void add_resend(struct sender *sender, struct sending *sending, int64_t due_us)
{
    struct list *before = sender->resends.prev;
    while (
        before != &sender->resends && CONTAINER_OF(before, struct sending, link)->due_us > due_us)
        before = before->prev;
    sending->due_us = due_us;
    list_add_tail(before->next, &sending->link);
    sender->to_resend++;
}

static bool should_resend(
    const struct sender *sender, const struct sending *sending, enum load_end how)
{
    if (how == LOAD_UNFINISHED || sending->records[0].sending >= sender->options->resends_max ||
        atomic_load(&sender->run->stopping))
        return false;
    bool refused = false; /* a batch is sent again whole; its accepted items are then duplicates */
    for (unsigned i = 0; i < sending->records_count; i++)
        refused |= sending->records[i].status == 503 || sending->records[i].status == 429;
    return how != LOAD_ANSWERED || refused;
}

static void end_sending(struct sender *sender, struct sending *sending, enum load_end how)
{
    int64_t now_us = run_log_now_us();
    list_remove(&sending->in_patience);
    sender->in_flight--;
    if (how == LOAD_ANSWERED)
        answer_read(sending, sender->options->post, sender->options->batch > 1);
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

void sender_on_end(struct sending *sending, enum load_end how, void *context)
{
    end_sending(context, sending, how);
}

/* --- one turn's work --- */

static void send_again(struct sender *sender, int64_t now_us)
{
    while (!list_is_empty(&sender->resends)) {
        struct sending *sending = CONTAINER_OF(sender->resends.next, struct sending, link);
        bool is_due = sending->due_us <= now_us;
        struct connection *connection = is_due ? find_room(sender) : NULL;
        sender->no_room_again = is_due && !connection;
        if (!connection)
            return;
        list_remove(&sending->link);
        sender->to_resend--;
        for (unsigned i = 0; i < sending->records_count; i++) {
            struct load_record *record = &sending->records[i];
            record->sending++;
            record->intended_us = sending->due_us;
            record->sent_us = 0;
            record->status = record->answer = record->end = 0;
            memset(record->event, 0, sizeof record->event);
        }
        send_on(sender, connection, sending, now_us);
    }
}

/* Returns whether the next event belongs to this thread. Threads take turns of one batch each. */
static bool is_ours(const struct sender *sender)
{
    return (uint64_t)sender->walk.number / sender->options->batch % sender->options->threads ==
           sender->number;
}

/* Makes this thread's next request, or returns NULL at the end of the timetable. A batch is due
 * with its last event. */
static struct sending *prepare(struct sender *sender)
{
    struct sending *sending = NULL;
    int64_t due_us;
    while (timetable_walk_peek(&sender->walk, &due_us) == TIMETABLE_EVENT) {
        bool ours = is_ours(sender);
        if (!ours && sending)
            break;
        if (ours && !sending)
            sending = take_sending(sender);
        if (ours) {
            sending->due_us = sender->run->started_us + due_us;
            make_record(sender, sending, (uint64_t)sender->walk.number, sending->due_us);
        }
        timetable_walk_step(&sender->walk);
        if (ours && sending->records_count == sender->options->batch)
            break;
    }
    for (unsigned i = 0; sending && i < sending->records_count; i++)
        sending->records[i].intended_us = sending->due_us;
    return sending;
}

static struct sending *next_prepared(struct sender *sender)
{
    if (list_is_empty(&sender->prepared)) {
        struct sending *sending = prepare(sender);
        if (!sending)
            return NULL;
        list_add_tail(&sender->prepared, &sending->link);
        sender->prepared_count++;
    }
    return CONTAINER_OF(sender->prepared.next, struct sending, link);
}

/* Called while nothing is in flight, so that it delays neither answers nor events. */
static void prepare_more(struct sender *sender)
{
    while (sender->in_flight == 0 && sender->prepared_count < PREPARED_MAX) {
        struct sending *sending = prepare(sender);
        if (!sending)
            return;
        list_add_tail(&sender->prepared, &sending->link);
        sender->prepared_count++;
    }
}

static void flush_dirty(struct sender *sender)
{
    while (!list_is_empty(&sender->dirty)) {
        struct connection *connection =
            CONTAINER_OF(sender->dirty.next, struct connection, in_dirty);
        list_remove(&connection->in_dirty);
        connection_flush(connection);
    }
}

static void count_late(struct sender *sender, const struct sending *sending, int64_t now_us)
{
    for (unsigned i = 0; i < sending->records_count; i++) {
        if (sender->no_room)
            sender->tally.waited_for_stream++;
        else if (counts(sender, &sending->records[i]))
            histogram_add(&sender->tally.late, now_us - sending->due_us);
    }
}

static void send_due(struct sender *sender, int64_t now_us)
{
    struct sending *sending;
    while ((sending = next_prepared(sender)) && sending->due_us <= now_us &&
           !atomic_load(&sender->run->stopping)) {
        struct connection *connection = find_room(sender);
        if (!connection) {
            sender->no_room = true;
            return;
        }
        list_remove(&sending->link);
        sender->prepared_count--;
        count_late(sender, sending, now_us);
        send_on(sender, connection, sending, now_us);
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
    while (sender->in_flight + sender->to_resend < share && (connection = find_room(sender))) {
        int64_t number = atomic_fetch_add(&sender->run->closed_next, sender->options->batch);
        if (part->events_max && number - sender->walk.number >= part->events_max) {
            sender->walk.part++;
            return;
        }
        struct sending *sending = take_sending(sender);
        for (unsigned i = 0; i < sender->options->batch; i++) {
            make_record(sender, sending, (uint64_t)(number + i), now_us);
            sending->records[i].intended_us = now_us;
        }
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
        end_sending(sender, sending, LOAD_TIMED_OUT);
    }
}

void sender_reopen(struct sender *sender, int64_t now_us)
{
    for (unsigned i = 0; i < sender->connections_count; i++) {
        struct connection *connection = &sender->connections[i];
        if (connection->stage != CONNECTION_CLOSED || connection->reopen_at_us > now_us)
            continue;
        sender->tally.reconnects += connection->reopen_at_us > 0;
        connection_open(connection);
    }
}

/* At the end of the run: records events that were due and never sent. */
void sender_give_up_rest(struct sender *sender)
{
    struct sending *sending;
    while ((sending = next_prepared(sender))) {
        list_remove(&sending->link);
        sender->prepared_count--;
        record_all(sender, sending, LOAD_UNFINISHED, run_log_now_us());
        list_add_tail(&sender->spare, &sending->link);
    }
}

void sender_show(struct sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    sender->shown.events = sender->tally.events;
    sender->shown.answers = sender->tally.ends[LOAD_ANSWERED];
    sender->shown.ok = sender->tally.ok;
    histogram_merge(&sender->shown.latency, &sender->recent);
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
    sender_show(sender);
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Returns when the sender has work to do even if no socket is ready. */
static int64_t next_wake_us(struct sender *sender)
{
    int64_t wake_us = sender->next_tick_us, due_us;
    for (unsigned i = 0; i < sender->connections_count; i++)
        if (sender->connections[i].stage == CONNECTION_CLOSED)
            wake_us = min_of(wake_us, sender->connections[i].reopen_at_us);
    if (!list_is_empty(&sender->prepared) && !sender->no_room)
        wake_us =
            min_of(wake_us, CONTAINER_OF(sender->prepared.next, struct sending, link)->due_us -
                                sender->options->spin_us);
    else if (list_is_empty(&sender->prepared) && sender->in_flight == 0 &&
             timetable_walk_peek(&sender->walk, &due_us) == TIMETABLE_IN_FLIGHT)
        wake_us = min_of(wake_us, sender->run->started_us + due_us);
    if (!list_is_empty(&sender->resends) && !sender->no_room_again)
        wake_us = min_of(wake_us, CONTAINER_OF(sender->resends.next, struct sending, link)->due_us);
    if (!list_is_empty(&sender->patience))
        wake_us = min_of(wake_us,
            CONTAINER_OF(sender->patience.next, struct sending, in_patience)->patience_until_us);
    return wake_us;
}

void sender_wait_until(struct sender *sender, int64_t wake_us)
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

/* Returns whether the timetable has ended. Fills the closed part, if there is one. */
static bool has_no_more(struct sender *sender, int64_t now_us)
{
    int64_t due_us;
    if (!list_is_empty(&sender->prepared))
        return false;
    if (timetable_walk_peek(&sender->walk, &due_us) == TIMETABLE_IN_FLIGHT)
        fill_closed(sender, now_us);
    return timetable_walk_peek(&sender->walk, &due_us) == TIMETABLE_END;
}

bool sender_turn(struct sender *sender)
{
    int64_t now_us = run_log_now_us();
    bool stopping = atomic_load(&sender->run->stopping);
    sender_reopen(sender, now_us);
    lose_patience(sender, now_us);
    send_again(sender, now_us);
    send_due(sender, now_us);
    bool has_more = !has_no_more(sender, now_us);
    flush_dirty(sender);
    tick(sender, now_us);
    prepare_more(sender);
    int64_t end_us = sender->run->started_us + sender->options->timetable.duration_us +
                     sender->options->linger_us;
    bool is_done = !has_more && sender->in_flight + sender->to_resend == 0;
    if (stopping || is_done || now_us >= end_us)
        return false;
    sender_wait_until(sender, next_wake_us(sender));
    return true;
}
