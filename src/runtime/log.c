/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring is single-producer, single-consumer: `written` is moved by its thread, `read` by the log thread. The log
 * thread polls every LOG_POLL_MS: a wake-up per line would cost the sender a system call. A thread that ends leaves its
 * ring to the log thread.
 */
#include "runtime/log.h"

#include "base/clock.h"
#include "base/limits.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_POLL_MS 20

struct line {
    int64_t wall_us;
    enum log_level level;
    char text[LOG_LINE_BYTES];
};

struct ring {
    struct ring *next; /* guarded by `rings_lock` */
    char thread_name[16];
    _Atomic bool abandoned; /* its thread has ended */
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
static pthread_t writer;

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "live"};
    return names[level];
}

/* A reader that has gone away (closed pipe) must not end the gateway, and there is nobody left to tell. */
static void write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        len -= (size_t)written;
    }
}

static void print_line(const struct line *line, const char *thread_name)
{
    char out[LOG_LINE_BYTES + 128];
    int len;
    if (line->level == LOG_LIVE) {
        len = snprintf(out, sizeof out, "%s\n", line->text);
        write_all(STDOUT_FILENO, out, (size_t)len);
        return;
    }
    char when[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(line->wall_us, when);
    len = snprintf(out, sizeof out, "%s %-5s %s %s\n", when, level_name(line->level), thread_name, line->text);
    write_all(STDERR_FILENO, out, (size_t)len);
}

static bool drain(struct ring *ring)
{
    size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    size_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    for (; read != written; read++) {
        print_line(&ring->lines[read % LOG_RING_LINES], ring->thread_name);
        atomic_store_explicit(&ring->read, read + 1, memory_order_release);
    }
    uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    if (dropped != ring->dropped_reported) {
        struct line line = {.wall_us = clock_wall_us(), .level = LOG_WARN};
        snprintf(line.text, sizeof line.text, "log lines dropped: the thread said more than its ring holds count=%llu",
            (unsigned long long)(dropped - ring->dropped_reported));
        ring->dropped_reported = dropped;
        print_line(&line, ring->thread_name);
    }
    return atomic_load_explicit(&ring->abandoned, memory_order_acquire);
}

/* Writes out every ring and frees those whose thread has ended. */
static void drain_all(void)
{
    pthread_mutex_lock(&rings_lock);
    struct ring **link = &rings;
    while (*link) {
        struct ring *ring = *link;
        /* Abandoned is read before the last drain, so that nothing written before the end is missed. */
        bool ended = atomic_load_explicit(&ring->abandoned, memory_order_acquire);
        drain(ring);
        if (ended) {
            *link = ring->next;
            free(ring);
        } else {
            link = &ring->next;
        }
    }
    pthread_mutex_unlock(&rings_lock);
}

static void *write_out(void *unused)
{
    pthread_setname_np(pthread_self(), "log");
    while (atomic_load(&running)) {
        drain_all();
        nanosleep(&(struct timespec){.tv_nsec = LOG_POLL_MS * 1000000}, NULL);
    }
    return NULL;
}

enum err log_start(void)
{
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
    pthread_join(writer, NULL);
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
    struct ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return; /* its lines are written directly */
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
    if (!atomic_load(&running))
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
    if (ring)
        atomic_store_explicit(&ring->written, written + 1, memory_order_release);
    else
        print_line(line, "-");
}
