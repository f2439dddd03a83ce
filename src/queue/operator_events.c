/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/operator_events.h"

#include "accounts/routing.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "model/placement.h"
#include "model/token_bucket.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"
#include "runtime/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_SAMPLE_US \
    (OPERATOR_LEVELS_WINDOW * US_PER_SECOND) /* an older one is of another time */
#define NOT_STORED_SAID_EVERY_US (60 * US_PER_SECOND)

struct operator_events {
    /* immutable after init */
    struct operator_events_options options;
    struct thread thread;

    struct mailbox mailbox;   /* shared */
    _Atomic unsigned waiting; /* shared: posted, and not handled yet */
    _Atomic int64_t freshness_us_max, backlog_max, past_due_us_max;

    pthread_mutex_t lock; /* of the list */
    struct operator_event listed[OPERATOR_EVENTS_LISTED_MAX];
    unsigned listed_at, listed_count;

    /* the thread's */
    struct event_id_generator ids;
    struct token_bucket buckets[SEVERITIES];
    int64_t not_stored, not_stored_said_us; /* since it was logged; monotonic */
    struct operator_levels levels;
    struct operator_event late_sample; /* the last one; without a delivery: none */
    unsigned outstanding;              /* requests to the journals */
    bool stopping;
};

struct posted {
    struct mail mail;
    struct operator_event event;
};

struct stored {
    struct journal_append append;
};

/* The metrics are in the order of the kinds. */
#define METRIC_OF(kind) ((enum metric)(METRIC_OPERATOR_ENDPOINT_FAILING + (kind)))
_Static_assert(METRIC_OPERATOR_REPLAY_ENDED - METRIC_OPERATOR_ENDPOINT_FAILING ==
                   OPERATOR_REPLAY_ENDED - OPERATOR_ENDPOINT_FAILING,
    "each kind has a metric");

/* The line in the log. */

static void add_text(struct buffer *line, const char *name, const char *text)
{
    if (*text)
        buffer_add_format(line, " %s=%s", name, text);
}

static void write_line(const struct operator_event *event)
{
    static const enum log_level levels[] = {
        [SEVERITY_INFO] = LOG_INFO, [SEVERITY_WARNING] = LOG_WARN, [SEVERITY_ERROR] = LOG_ERROR};
    struct buffer line = BUFFER_EMPTY;
    add_text(&line, "kind", operator_event_kind_name(event->kind));
    if (event->percent)
        buffer_add_format(&line, " percent=%u", event->percent);
    add_text(&line, "subject", event->subject);
    add_text(&line, "partner", event->partner);
    add_text(&line, "account", event->account);
    add_text(&line, "endpoint", event->endpoint);
    add_text(&line, "cause", event->cause);
    add_text(&line, "delivery", event->delivery);
    add_text(&line, "event", event->event);
    if (event->count)
        buffer_add_format(&line, " count=%lld", (long long)event->count);
    log_write(levels[operator_event_severity(event->kind)], "%s%s%.160s%.*s",
        operator_event_what(event->kind), *event->detail ? ": " : "", event->detail,
        SLICE_ARGS(buffer_slice(&line)));
    buffer_done(&line);
}

/* The list. */

static void add_to_list(struct operator_events *events, const struct operator_event *event)
{
    pthread_mutex_lock(&events->lock);
    events->listed[events->listed_at] = *event;
    events->listed_at = (events->listed_at + 1) % OPERATOR_EVENTS_LISTED_MAX;
    events->listed_count += events->listed_count < OPERATOR_EVENTS_LISTED_MAX;
    pthread_mutex_unlock(&events->lock);
}

unsigned operator_events_list(
    struct operator_events *events, struct operator_event ret_events[OPERATOR_EVENTS_LISTED_MAX])
{
    pthread_mutex_lock(&events->lock);
    unsigned count = events->listed_count;
    for (unsigned i = 0; i < count; i++)
        ret_events[i] = events->listed[(events->listed_at + OPERATOR_EVENTS_LISTED_MAX - 1 - i) %
                                       OPERATOR_EVENTS_LISTED_MAX];
    pthread_mutex_unlock(&events->lock);
    return count;
}

/* The event of the account "penstock". */

static void on_stored(struct request *request, void *receiver)
{
    struct stored *stored = CONTAINER_OF(request, struct stored, append.request);
    metrics_add(
        request->result == OK ? METRIC_OPERATOR_EVENTS_STORED : METRIC_OPERATOR_EVENTS_NOT_STORED,
        1);
    if (request->result != OK)
        log_warn("an operator event could not be stored, and its endpoints do not get it kind=%.*s "
                 "error=%s",
            SLICE_ARGS(stored->append.event->parts.type), err_name(request->result));
    event_unref(stored->append.event);
    free(stored);
}

static enum err make_event(
    struct operator_events *events, const struct operator_event *event, struct event **ret_event)
{
    struct buffer json = BUFFER_EMPTY;
    unsigned char random[8];
    bool is_of_disk = event->kind == OPERATOR_DISK_LOW || event->kind == OPERATOR_DISK_WELL;
    operator_event_print(event, &json);
    struct event_parts parts = {.accepted_us = clock_wall_us(),
        .has_occurred_at = true,
        .occurred_us = event->at_us,
        /* While the disk is scarce, only critical events are accepted. */
        .class = is_of_disk ? CLASS_CRITICAL : CLASS_IMPORTANT,
        .partner = SLICE_LITERAL(OPERATOR_ACCOUNT),
        .account = SLICE_LITERAL(OPERATOR_ACCOUNT),
        .type = slice_from_string(operator_event_kind_name(event->kind)),
        .body = buffer_slice(&json)};
    crypto_random(random, sizeof random);
    event_id_make(&events->ids, parts.accepted_us,
        placement_partition(&events->options.seed, parts.account, events->options.partitions),
        random, &parts.id);
    enum err err = buffer_status(&json);
    if (!err)
        err = event_new(&parts, NULL, 100, ret_event);
    buffer_done(&json);
    return err;
}

static unsigned choose_endpoints(struct operator_events *events, const struct operator_event *event,
    uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX])
{
    const struct directory *directory = accounts_directory(events->options.accounts);
    uint64_t chosen[ACCOUNT_ENDPOINTS_MAX];
    unsigned enabled = 0;
    rcu_go_online();
    unsigned count =
        routing_choose(directory, directory_account(directory, SLICE_LITERAL(OPERATOR_ACCOUNT)),
            slice_from_string(operator_event_kind_name(event->kind)), chosen);
    for (unsigned i = 0; i < count; i++) {
        const struct endpoint *endpoint = directory_endpoint(directory, chosen[i]);
        if (endpoint && endpoint->enabled) /* else it would be parked */
            ret_endpoints[enabled++] = chosen[i];
    }
    rcu_go_offline();
    return enabled;
}

/* A payout in doubt needs a decision, like an error. */
static enum operator_severity bucket_of(const struct operator_event *event)
{
    return strcmp(event->subject, park_reason_name(PARK_AMBIGUOUS)) == 0
               ? SEVERITY_ERROR
               : operator_event_severity(event->kind);
}

/* Returns whether one more may be stored. When half is used up, the early levels of endpoints that
 * fail are left out first. */
static bool take_token(struct operator_events *events, const struct operator_event *event)
{
    int64_t now_us = clock_mono_us();
    struct token_bucket *bucket = &events->buckets[bucket_of(event)];
    bool is_early = event->kind == OPERATOR_ENDPOINT_FAILING && event->percent < 100;
    if (token_bucket_wait_us(bucket, now_us) > 0 ||
        (is_early && token_bucket_count(bucket, now_us) < OPERATOR_EVENTS_STORED_BURST / 2.0))
        return false;
    token_bucket_take(bucket, now_us);
    return true;
}

static void note_not_stored(struct operator_events *events)
{
    int64_t now_us = clock_mono_us();
    metrics_add(METRIC_OPERATOR_EVENTS_NOT_STORED, 1);
    events->not_stored++;
    if (events->not_stored_said_us != 0 &&
        now_us - events->not_stored_said_us < NOT_STORED_SAID_EVERY_US)
        return;
    log_warn("operator events are not stored, since there are too many: their endpoints do not "
             "get them, \"penstock operator-event list\" shows the last ones count=%lld",
        (long long)events->not_stored);
    events->not_stored = 0;
    events->not_stored_said_us = now_us;
}

static void store(struct operator_events *events, const struct operator_event *event)
{
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
    unsigned count = events->options.stores ? choose_endpoints(events, event, endpoints) : 0;
    if (count == 0)
        return;
    struct event *made = NULL;
    if (!take_token(events, event) || make_event(events, event, &made) != OK) {
        note_not_stored(events);
        return;
    }
    struct stored *stored;
    MEMORY_NEW(stored);
    stored->append.event = made;
    stored->append.endpoints_count = count;
    memcpy(stored->append.endpoints, endpoints, sizeof endpoints);
    stored->append.request = (struct request){.kind = JOURNAL_APPEND,
        .reply_to = &events->mailbox,
        .on_done = on_stored,
        .outstanding = &events->outstanding};
    events->outstanding++;
    unsigned shard = placement_shard(event_id_partition(&made->parts.id), events->options.shards);
    journal_submit(events->options.journals[shard], &stored->append.request);
}

/* One operator event. */

static void look_up_name(struct operator_events *events, struct operator_event *event)
{
    uint64_t id;
    if (*event->endpoint_name || !endpoint_id_parse(slice_from_string(event->endpoint), &id))
        return;
    rcu_go_online();
    const struct endpoint *endpoint =
        directory_endpoint(accounts_directory(events->options.accounts), id);
    if (endpoint)
        snprintf(event->endpoint_name, sizeof event->endpoint_name, "%s", endpoint->name);
    rcu_go_offline();
}

static void handle(struct operator_events *events, const struct operator_event *posted)
{
    struct operator_event event = *posted;
    if (event.at_us == 0)
        event.at_us = clock_wall_us();
    if (operator_event_is_account(slice_from_string(event.account))) {
        if (!event.is_logged)
            write_line(&event); /* and nothing that could cause more of them */
        return;
    }
    look_up_name(events, &event);
    metrics_add(METRIC_OF(event.kind), 1);
    if (!event.is_logged)
        write_line(&event);
    add_to_list(events, &event);
    store(events, &event);
}

/* What the levels post: with a sample of what was late. */
static void on_level(void *context, const struct operator_event *event)
{
    struct operator_events *events = context;
    bool is_recent = clock_wall_us() - events->late_sample.at_us < LATE_SAMPLE_US;
    if (event->kind != OPERATOR_FRESHNESS_LATE || !*events->late_sample.delivery || !is_recent) {
        handle(events, event);
        return;
    }
    struct operator_event with_sample = events->late_sample;
    char detail[OPERATOR_DETAIL_BYTES];
    snprintf(detail, sizeof detail, "%.150s. One of them was %.150s", event->detail,
        events->late_sample.detail);
    operator_event_set_detail(&with_sample, detail);
    memcpy(with_sample.subject, event->subject, sizeof with_sample.subject);
    with_sample.count = event->count;
    with_sample.at_us = 0;
    handle(events, &with_sample);
}

/* Levels. */

/* Returns how bad the worst journal is, with words about it. */
static unsigned read_shortage(const struct operator_events *events, char *ret_text, size_t size)
{
    unsigned worst = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < events->options.shards; i++) {
        struct room room = disk_board_get(&events->options.journals[i]->room);
        unsigned shortage = room.reason == ROOM_WELL     ? 0
                            : room.space == SPACE_PLENTY ? 1
                                                         : (unsigned)room.space;
        if (shortage <= worst)
            continue;
        worst = shortage;
        int used = snprintf(ret_text, size, "journal %u accepts %s (%s)", i, room_taken(room.space),
            room_reason_name(room.reason));
        if (room.free_bytes >= 0 && used > 0 && (size_t)used < size)
            snprintf(ret_text + used, size - (size_t)used, ", %lld MiB free",
                (long long)(room.free_bytes >> 20));
    }
    return worst;
}

/* What waits of all accounts but the operators'. How long the oldest is past due is known to the
 * admin thread (admin/lag.h), which shows it as a metric. */
static void read_backlog(struct operator_events *events, struct operator_readings *readings)
{
    const struct directory *directory = accounts_directory(events->options.accounts);
    uint64_t endpoints[ACCOUNT_ENDPOINTS_MAX];
    struct backlog_counts counts = {0};
    rcu_go_online();
    unsigned count = directory_endpoints_of(directory, SLICE_LITERAL(OPERATOR_ACCOUNT), endpoints);
    rcu_go_offline();
    for (unsigned i = 0; i < events->options.shards; i++)
        if (events->options.journals[i]->backlog)
            backlog_board_add_all_but(
                events->options.journals[i]->backlog, endpoints, count, &counts);
    readings->knows_backlog = true;
    readings->backlog = backlog_in_progress(&counts);
    readings->past_due_us = metrics_read(METRIC_OLDEST_PAST_DUE) * US_PER_SECOND;
}

static void look_at_levels(struct operator_events *events)
{
    char shortage_text[128];
    struct operator_readings readings = {.in_time = metrics_read(METRIC_FRESH_IN_TIME),
        .late = metrics_read(METRIC_FRESH_LATE),
        .shortage = read_shortage(events, shortage_text, sizeof shortage_text),
        .shortage_text = shortage_text};
    read_backlog(events, &readings);
    const struct operator_limits limits = {
        .freshness_us_max = atomic_load(&events->freshness_us_max),
        .backlog_max = atomic_load(&events->backlog_max),
        .past_due_us_max = atomic_load(&events->past_due_us_max)};
    operator_levels_look(&events->levels, &limits, &readings,
        &(struct operator_event_sink){.post = on_level, .context = events});
}

/* The thread. */

static void on_posted(struct mail *mail, void *receiver)
{
    struct operator_events *events = receiver;
    struct posted *posted = CONTAINER_OF(mail, struct posted, mail);
    atomic_fetch_sub(&events->waiting, 1);
    if (events->stopping)
        metrics_add(METRIC_OPERATOR_EVENTS_DROPPED, 1);
    else if (posted->event.kind == OPERATOR_FRESHNESS_LATE)
        events->late_sample = posted->event; /* of delivery; the levels decide */
    else
        handle(events, &posted->event);
    free(posted);
}

static void post(void *context, const struct operator_event *event)
{
    struct operator_events *events = context;
    if (atomic_fetch_add(&events->waiting, 1) >= OPERATOR_EVENTS_WAITING_MAX) {
        atomic_fetch_sub(&events->waiting, 1);
        metrics_add(METRIC_OPERATOR_EVENTS_DROPPED, 1);
        return;
    }
    struct posted *posted = memory_new_raw(sizeof *posted);
    posted->event = *event;
    if (posted->event.at_us == 0)
        posted->event.at_us = clock_wall_us();
    posted->mail.on_receive = on_posted;
    mailbox_post(&events->mailbox, &posted->mail);
}

static void on_stop(struct mail *mail, void *receiver)
{
    ((struct operator_events *)receiver)->stopping = true;
    free(mail);
}

static void run(void *context)
{
    struct operator_events *events = context;
    int64_t next_look_us = clock_mono_us();
    while (!events->stopping || events->outstanding > 0) {
        int64_t left_us = next_look_us - clock_mono_us();
        mailbox_wait(&events->mailbox, events->stopping ? -1
                                       : left_us > 0    ? (int)(left_us / US_PER_MS) + 1
                                                        : 0);
        mailbox_work(&events->mailbox);
        if (events->stopping || clock_mono_us() < next_look_us)
            continue;
        next_look_us = clock_mono_us() + US_PER_SECOND;
        look_at_levels(events);
    }
}

enum err operator_events_new(
    const struct operator_events_options *options, struct operator_events **ret_events)
{
    struct operator_events *events;
    MEMORY_NEW(events);
    events->options = *options;
    pthread_mutex_init(&events->lock, NULL);
    operator_events_set_limits(events, &options->limits);
    for (unsigned i = 0; i < SEVERITIES; i++) {
        token_bucket_init(&events->buckets[i]);
        token_bucket_set(&events->buckets[i], 1.0 / OPERATOR_EVENTS_STORED_EVERY_S,
            OPERATOR_EVENTS_STORED_BURST, clock_mono_us());
    }
    enum err err = mailbox_init(&events->mailbox, events);
    if (err) {
        pthread_mutex_destroy(&events->lock);
        free(events);
        return err;
    }
    *ret_events = events;
    return OK;
}

enum err operator_events_start(struct operator_events *events)
{
    return thread_start(&events->thread, "operator", run, events);
}

struct operator_event_sink operator_events_sink(struct operator_events *events)
{
    return (struct operator_event_sink){.post = post, .context = events};
}

void operator_events_set_limits(
    struct operator_events *events, const struct operator_limits *limits)
{
    atomic_store(&events->freshness_us_max, limits->freshness_us_max);
    atomic_store(&events->backlog_max, limits->backlog_max);
    atomic_store(&events->past_due_us_max, limits->past_due_us_max);
}

void operator_events_stop(struct operator_events *events)
{
    if (!events)
        return;
    struct mail *mail;
    MEMORY_NEW(mail);
    mail->on_receive = on_stop;
    mailbox_post(&events->mailbox, mail);
    thread_join(&events->thread);
}

void operator_events_free(struct operator_events *events)
{
    if (!events)
        return;
    events->stopping = true;
    mailbox_work(&events->mailbox);
    mailbox_done(&events->mailbox);
    pthread_mutex_destroy(&events->lock);
    free(events);
}
