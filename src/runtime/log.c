/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring has one producer and one consumer: its thread moves `written`, the log thread moves
 * `read`. The log thread polls every LOG_POLL_MS, because a wake-up per line would cost the sender
 * a system call. When a thread ends, the log thread owns its ring.
 *
 * The log thread does not wait for the readers of stderr and stdout. A line that stderr does not
 * take stays in its ring, and the rings fill up. Output of libraries is read from log_output.h. A
 * few of its lines per second are logged; the rest is counted.
 */
#include "runtime/log.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "runtime/log_output.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_POLL_MS 20
#define FLUSH_MS_MAX 1000  /* at the end, if stderr's reader has stopped reading */
#define DIRECT_MS_MAX 1000 /* for one line of a process without a log thread */
#define LIBRARY_LINES_PER_SECOND 10

struct line {
    int64_t wall_us;
    enum log_level level;
    char text[LOG_LINE_BYTES];
};

struct ring {
    struct ring *next; /* guarded by `rings_lock` */
    char thread_name[16];
    _Atomic bool abandoned; /* the owner has ended */
    _Atomic size_t written; /* by the owner */
    _Atomic size_t read;    /* by the log thread */
    _Atomic uint64_t dropped;
    uint64_t dropped_reported; /* owned by the log thread */
    struct line lines[LOG_RING_LINES];
};

static struct ring *rings;
static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct ring *my_ring;
static _Atomic enum log_level threshold = LOG_INFO;
static _Atomic bool running;
static _Atomic bool has_ended; /* the log thread */
static _Atomic bool stuck;     /* the log thread did not end: nothing is written any more */
static pthread_t writer;

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "live"};
    return names[level];
}

/* Returns false if the stream does not take the whole line. *done is the number of bytes taken:
 * call again with the same line. */
static bool print_line(const struct line *line, const char *thread_name, size_t *done, int wait_ms)
{
    char out[LOG_LINE_BYTES + 128];
    int len;
    if (line->level == LOG_LIVE) {
        len = snprintf(out, sizeof out, "%s\n", line->text);
        return log_output_put(LOG_STDOUT, out, (size_t)len, done, wait_ms);
    }
    char when[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(line->wall_us, when);
    len = snprintf(
        out, sizeof out, "%s %-5s %s %s\n", when, level_name(line->level), thread_name, line->text);
    return log_output_put(LOG_STDERR, out, (size_t)len, done, wait_ms);
}

/* Logs how many lines were dropped since the last report. Returns false if stderr takes nothing. */
static bool report_dropped(
    const char *thread_name, const char *why, uint64_t dropped, uint64_t *reported)
{
    if (dropped == *reported)
        return true;
    struct line line = {.wall_us = clock_wall_us(), .level = LOG_WARN};
    snprintf(line.text, sizeof line.text, "log lines dropped: %s count=%llu", why,
        (unsigned long long)(dropped - *reported));
    size_t done = 0;
    if (!print_line(&line, thread_name, &done, 0) && done == 0)
        return false;
    *reported = dropped;
    return true;
}

/* The line at the head of a ring that a stream has taken in part. Only one thread drains at a
 * time. */
static size_t part_done;
static const struct ring *part_of;

/* Returns false if a stream takes no more. Lines of the live channel are dropped then: a stopped
 * terminal must not stop the log. */
static bool drain(struct ring *ring)
{
    size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    size_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    for (; read != written; read++) {
        const struct line *line = &ring->lines[read % LOG_RING_LINES];
        bool taken = print_line(line, ring->thread_name, &part_done, 0);
        if (!taken && line->level == LOG_LIVE && part_done == 0) {
            metrics_add(METRIC_LOG_DROPPED, 1);
        } else if (!taken) {
            part_of = part_done > 0 ? ring : NULL;
            return false;
        }
        part_done = 0;
        part_of = NULL;
        atomic_store_explicit(&ring->read, read + 1, memory_order_release);
    }
    return report_dropped(ring->thread_name, "the ring of the thread is full",
        atomic_load_explicit(&ring->dropped, memory_order_relaxed), &ring->dropped_reported);
}

static struct ring *first_ring(void)
{
    pthread_mutex_lock(&rings_lock);
    struct ring *first = rings;
    pthread_mutex_unlock(&rings_lock);
    return first;
}

/* Threads add rings at the front, and only the drainer removes them. So it may walk the list
 * without the lock, and a thread that enters never waits for a write. */
static void take_out(struct ring *ring)
{
    pthread_mutex_lock(&rings_lock);
    struct ring **link = &rings;
    while (*link != ring)
        link = &(*link)->next;
    *link = ring->next;
    pthread_mutex_unlock(&rings_lock);
    free(ring);
}

/* Output of libraries in the current second. Owned by the log thread. */
static struct {
    int64_t second;
    unsigned lines;
    uint64_t dropped, dropped_reported;
} library;

static void log_library_line(const char *text, size_t len)
{
    struct line line = {.wall_us = clock_wall_us(), .level = LOG_WARN};
    snprintf(line.text, sizeof line.text, "a library printed: %.*s", (int)len, text);
    for (char *at = line.text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    size_t done = 0;
    if (part_of || library.lines >= LIBRARY_LINES_PER_SECOND ||
        (!print_line(&line, "stderr", &done, 0) && done == 0)) {
        library.dropped++;
        metrics_add(METRIC_LOG_DROPPED, 1);
        return;
    }
    library.lines++;
}

/* A line without its end stays in `text` until the rest arrives or `text` is full. */
static void drain_libraries(void)
{
    static char text[LOG_LINE_BYTES];
    static size_t held;
    int64_t second = clock_mono_us() / US_PER_SECOND;
    if (second != library.second && !part_of) {
        library.second = second;
        library.lines = 0;
        report_dropped("stderr", "a library printed too many lines", library.dropped,
            &library.dropped_reported);
    }
    for (size_t got; (got = log_output_captured(text + held, sizeof text - held)) > 0;) {
        held += got;
        for (const char *end; (end = memchr(text, '\n', held)) || held == sizeof text;) {
            size_t len = end ? (size_t)(end - text) : held, used = end ? len + 1 : held;
            log_library_line(text, len);
            held -= used;
            memmove(text, text + used, held);
        }
    }
}

/* Without a log thread, several ending threads may drain at once: the lock lets one at a time. */
static pthread_mutex_t drain_lock = PTHREAD_MUTEX_INITIALIZER;

static bool drain_each(void)
{
    drain_libraries();
    if (part_of && !drain((struct ring *)part_of))
        return false;
    struct ring *following;
    for (struct ring *ring = first_ring(); ring; ring = following) {
        following = ring->next;
        /* Read before the last drain, so that no line written before the end is missed. */
        bool ended = atomic_load_explicit(&ring->abandoned, memory_order_acquire);
        if (!drain(ring))
            return false;
        if (ended)
            take_out(ring);
    }
    return true;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOG_POLL_MS * 1000000}, NULL);
}

/* Writes out every ring and frees those of ended threads. Returns false if a stream takes no more,
 * or if another thread drains for more than a second. (Polls, because a timed lock uses the wall
 * clock and waits longer when that is set back.) */
static bool drain_all(void)
{
    int64_t give_up_us = clock_mono_us() + US_PER_SECOND;
    while (pthread_mutex_trylock(&drain_lock)) {
        if (clock_mono_us() >= give_up_us)
            return false;
        rest();
    }
    bool done = drain_each();
    pthread_mutex_unlock(&drain_lock);
    return done;
}

static void *write_out(void *unused)
{
    pthread_setname_np(pthread_self(), "log");
    metrics_thread_enter();
    while (atomic_load(&running)) {
        drain_all();
        rest();
    }
    int64_t give_up_us = clock_mono_us() + FLUSH_MS_MAX * US_PER_MS;
    while (!drain_all() && clock_mono_us() < give_up_us)
        rest();
    metrics_thread_leave();
    atomic_store(&has_ended, true);
    return NULL;
}

enum err log_start(void)
{
    atomic_store(&has_ended, false);
    atomic_store(&running, true);
    if (pthread_create(&writer, NULL, write_out, NULL)) {
        atomic_store(&running, false);
        return ERR_SYSTEM;
    }
    return OK;
}

void log_stop(void)
{
    if (!atomic_exchange(&running, false))
        return;
    int64_t give_up_us = clock_mono_us() + 2 * FLUSH_MS_MAX * US_PER_MS;
    while (!atomic_load(&has_ended) && clock_mono_us() < give_up_us)
        rest();
    if (!atomic_load(&has_ended)) {
        /* The log thread hangs in a write and still owns the rings. It ends with the process. */
        atomic_store(&stuck, true);
        pthread_detach(writer);
        return;
    }
    pthread_join(writer, NULL);
    log_output_release();
    drain_all();
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_thread_enter(const char *name)
{
    struct ring *ring = memory_new(sizeof *ring);
    snprintf(ring->thread_name, sizeof ring->thread_name, "%s", name);
    pthread_mutex_lock(&rings_lock);
    ring->next = rings;
    rings = ring;
    pthread_mutex_unlock(&rings_lock);
    my_ring = ring;
}

void log_thread_leave(void)
{
    if (my_ring)
        atomic_store_explicit(&my_ring->abandoned, true, memory_order_release);
    my_ring = NULL;
    if (!atomic_load(&running) && !atomic_load(&stuck))
        drain_all();
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level != LOG_LIVE && level > log_level())
        return;
    struct line direct, *line = &direct;
    struct ring *ring = atomic_load_explicit(&running, memory_order_relaxed) ? my_ring : NULL;
    size_t written = 0;
    if (ring) {
        written = atomic_load_explicit(&ring->written, memory_order_relaxed);
        if (written - atomic_load_explicit(&ring->read, memory_order_acquire) >= LOG_RING_LINES) {
            atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
            metrics_add(METRIC_LOG_DROPPED, 1);
            return;
        }
        line = &ring->lines[written % LOG_RING_LINES];
    }
    line->wall_us = clock_wall_us();
    line->level = level;
    va_list args;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
    if (ring) {
        atomic_store_explicit(&ring->written, written + 1, memory_order_release);
    } else if (!atomic_load(&stuck)) {
        size_t done = 0;
        print_line(line, "-", &done, DIRECT_MS_MAX);
    }
}
