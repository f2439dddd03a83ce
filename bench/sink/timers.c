/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/timers.h"

#include "base/clock.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void arm(struct timers *timers, int64_t due_us)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = due_us / US_PER_SECOND, .tv_nsec = due_us % US_PER_SECOND * 1000}};
    if (timerfd_settime(h2o_socket_get_fd(timers->socket), TFD_TIMER_ABSTIME, &when, NULL) != 0)
        abort(); /* only a wrong argument can do that */
    timers->armed_us = due_us;
}

static void put(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

/* Moves the hole to the timer's place in the heap, first upward and then downward. */
static void sift(struct timers *timers, size_t hole, struct timer *timer)
{
    for (; hole > 1 && timers->heap[hole / 2]->due_us > timer->due_us; hole /= 2)
        put(timers, hole, timers->heap[hole / 2]);
    for (size_t child; (child = 2 * hole) <= timers->count; hole = child) {
        if (child < timers->count && timers->heap[child + 1]->due_us < timers->heap[child]->due_us)
            child++;
        if (timers->heap[child]->due_us >= timer->due_us)
            break;
        put(timers, hole, timers->heap[child]);
    }
    put(timers, hole, timer);
}

void timers_set(struct timers *timers, struct timer *timer, int64_t due_us)
{
    timers_unset(timers, timer);
    if (++timers->count >= timers->room) {
        timers->room = timers->room ? 2 * timers->room : 64;
        timers->heap = h2o_mem_realloc(timers->heap, timers->room * sizeof *timers->heap);
    }
    timer->due_us = due_us > 0 ? due_us : 1; /* 0 would disarm the timerfd */
    sift(timers, timers->count, timer);
    if (timer->due_us < timers->armed_us)
        arm(timers, timer->due_us);
}

void timers_unset(struct timers *timers, struct timer *timer)
{
    size_t hole = timer->place;
    if (hole == 0)
        return;
    timer->place = 0;
    struct timer *last = timers->heap[timers->count--];
    if (last != timer)
        sift(timers, hole, last);
}

static void on_expired(h2o_socket_t *socket, const char *error)
{
    struct timers *timers = socket->data;
    uint64_t expirations;
    if (read(h2o_socket_get_fd(socket), &expirations, sizeof expirations) < 0)
        return;
    timers->armed_us = INT64_MAX;
    int64_t now_us = clock_mono_us();
    while (timers->count > 0 && timers->heap[1]->due_us <= now_us) {
        struct timer *timer = timers->heap[1];
        timers_unset(timers, timer);
        timer->on_due(timer);
    }
    if (timers->count > 0 && timers->heap[1]->due_us < timers->armed_us)
        arm(timers, timers->heap[1]->due_us);
}

enum err timers_init(struct timers *timers, h2o_evloop_t *loop)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return ERR_SYSTEM;
    *timers = (struct timers){.armed_us = INT64_MAX};
    timers->socket = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    timers->socket->data = timers;
    h2o_socket_read_start(timers->socket, on_expired);
    return OK;
}

void timers_done(struct timers *timers)
{
    free(timers->heap);
    timers->heap = NULL;
    timers->count = timers->room = 0;
}
