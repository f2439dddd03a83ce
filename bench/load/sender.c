/* SPDX-License-Identifier: Apache-2.0 */
#include "load/sender_internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#define CONNECT_WITHIN_US (5 * US_PER_SECOND)

static void *run_thread(void *argument)
{
    struct sender *sender = argument;
    struct timespec cpu;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* the default adds up to 50 us to each wait */
    while (sender_turn(sender)) {
    }
    sender->tally.wall_seconds = (double)(run_log_now_us() - sender->run->started_us) / 1e6;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    sender->tally.cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
    for (unsigned i = 0; i < sender->connections_count; i++)
        connection_done(&sender->connections[i]);
    if (!atomic_load(&sender->run->stopping))
        sender_give_up_rest(sender);
    sender_show(sender);
    atomic_store(&sender->ended, true);
    return NULL;
}

static enum err make_tls(struct sender *sender)
{
    const struct load_options *options = sender->options;
    if (!options->tls)
        return OK;
    static const unsigned char http2[] = "\x02h2", http1[] = "\x08http/1.1";
    bool is_http1 = options->post && options->post->is_http1;
    sender->tls = SSL_CTX_new(TLS_client_method());
    if (!sender->tls || SSL_CTX_set_alpn_protos(sender->tls, is_http1 ? http1 : http2,
                            is_http1 ? sizeof http1 - 1 : sizeof http2 - 1) != 0)
        return ERR_TLS;
    SSL_CTX_set_mode(
        sender->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
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
    int len = sender->number == 0
                  ? snprintf(path, sizeof path, "%s", options->log_file)
                  : snprintf(path, sizeof path, "%s.%u", options->log_file, sender->number);
    if (len < 0 || len >= (int)sizeof path)
        return ERR_DISK;
    return run_log_create(
        path, LOAD_LOG, options->mix.run, sizeof(struct load_record), &sender->log);
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
    list_init(&sender->prepared);
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
        connection->on_end = sender_on_end;
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
        sender_reopen(sender, now_us);
        sender_wait_until(sender, now_us + 10 * US_PER_MS);
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
    progress->answers += sender->shown.answers;
    progress->ok += sender->shown.ok;
    histogram_merge(&progress->latency, &sender->shown.latency);
    histogram_init(&sender->shown.latency);
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
        buffer_done(&sending->head.text);
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
    free_sendings(&sender->prepared);
    free(sender->connections);
    SSL_CTX_free(sender->tls);
    if (sender->epoll_fd >= 0)
        close(sender->epoll_fd);
    pthread_mutex_destroy(&sender->lock);
    enum err result = run_log_close(sender->log);
    free(sender);
    return result;
}
