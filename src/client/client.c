/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects the multi handle with the loop, and passes each request through resolver, guard and
 * libcurl.
 *
 * libcurl says which sockets and which timer to watch. Their events call curl_multi_socket_action,
 * and then the ended transfers are collected. So on_done runs from the loop's callbacks, outside of
 * libcurl, and may send again. A failure within client_send waits in a list for the next turn.
 *
 * A request over HTTP/2 may have to wait for a connection (multiplex.h), between the guard and
 * libcurl. Those that need not wait any more are launched when the others have been collected, or
 * by a timer.
 */
#include "client/client.h"

#include "base/memory.h"
#include "client/explain.h"
#include "client/inflow.h"
#include "client/sockets.h"
#include "client/stream_window.h"
#include "client/transfer.h"
#include "client/unprocessed.h"
#include "runtime/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Handles kept for later requests, about 10 KB each. */
#define TRANSFERS_IDLE_MAX 256

struct client {
    /* immutable after client_new */
    struct loop *loop;
    struct client_options options; /* its texts are copies */
    char *ca_file;
    struct resolver *resolver;
    CURLM *multi;

    struct sockets sockets;
    struct multiplex multiplex;
    struct inflow inflow;
    struct timer multi_timer;    /* the timer that libcurl asks for */
    struct timer launch_timer;   /* launches those that waited for a connection in the next turn */
    struct timer failures_timer; /* reports the failures list in the next turn */
    struct client_request *failures_first, **failures_end;
    struct list under_way, idle;       /* of transfers */
    struct list to_nudge;              /* of transfers in flight, by nudge_link */
    struct list to_repeat;             /* of transfers that the peer refused, by repeat_link */
    struct client_transfer *sent_last; /* in flight; NULL: unknown */
    unsigned idle_count;
    bool closing;
};

/* Failures within client_send */

static void fail_later(struct client *client, struct client_request *request, enum err error)
{
    if (error == ERR_NO_MEMORY) {
        error = ERR_SHORTAGE;
        request->shortage = "memory";
    }
    request->end = (struct attempt_end){.error = error};
    request->next = NULL;
    *client->failures_end = request;
    client->failures_end = &request->next;
    timer_arm(client->loop, &client->failures_timer, 0);
}

static void tell_failures(struct client *client)
{
    struct client_request *request = client->failures_first;
    client->failures_first = NULL;
    client->failures_end = &client->failures_first;
    while (request) {
        struct client_request *next = request->next;
        request->on_done(request);
        request = next;
    }
}

static void on_failures_timer(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, failures_timer);
    tell_failures(client);
}

/* The steps of a request */

static enum multiplex_end end_of_stream(const struct client_transfer *transfer, enum err error)
{
    if (transfer->answered || transfer->stream_failed || error == ERR_CANCELLED)
        return MULTIPLEX_ENDED;
    return error == ERR_ANSWER_TIMEOUT ? MULTIPLEX_SILENT : MULTIPLEX_LOST;
}

/* Takes it out of libcurl, which may close its connection and call on_socket_wish. */
static void take_out(struct client_transfer *transfer)
{
    struct client *client = transfer->client;
    inflow_enter(&client->inflow);
    curl_multi_remove_handle(client->multi, transfer->easy);
    inflow_leave();
}

static void leave_connection(struct client_transfer *transfer, enum multiplex_end end)
{
    struct client *client = transfer->client;
    if (!transfer->stream.origin && !transfer->stream.connection)
        return;
    if (multiplex_leave(&client->multiplex, &transfer->stream, end))
        curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    if (multiplex_is_ready(&client->multiplex) && !client->closing)
        timer_arm(client->loop, &client->launch_timer, 0);
}

/* Detaches the transfer from its request and from libcurl, and keeps or frees it. */
static struct client_request *retire(struct client_transfer *transfer, enum err error)
{
    struct client *client = transfer->client;
    resolver_leave(&transfer->waiter);
    leave_connection(transfer, end_of_stream(transfer, error));
    if (transfer->in_multi)
        take_out(transfer);
    struct client_request *request = transfer_report(transfer, error);
    if (request->sends > 0 && request->evidence.connect_us > 0 && transfer->turns == 0)
        resolver_note_connect_time(
            client->resolver, transfer->target.host, request->evidence.connect_us);
    if (client->sent_last == transfer)
        client->sent_last = NULL;
    list_remove(&transfer->nudge_link);
    list_remove(&transfer->link);
    if (client->idle_count < TRANSFERS_IDLE_MAX && !client->closing) {
        list_add_head(&client->idle, &transfer->link); /* the CPU's caches still hold it */
        client->idle_count++;
    } else {
        transfer_free(transfer);
    }
    return request;
}

static void finish(struct client_transfer *transfer, enum err error)
{
    struct client_request *request = retire(transfer, error);
    request->on_done(request);
}

/* Sets the reason for a shortage before libcurl was used: then it is the name servers. */
static enum err name_shortage(struct client_transfer *transfer, enum err error)
{
    if (error == ERR_SHORTAGE && !transfer->in_multi)
        transfer->shortage = "name servers that answer";
    return error;
}

static void on_deadline(struct timer *timer)
{
    struct client_transfer *transfer = CONTAINER_OF(timer, struct client_transfer, deadline);
    enum err error = explain_deadline(transfer);
    if (!transfer->in_multi && transfer->stream.origin && multiplex_is_full(&transfer->stream)) {
        transfer->shortage = "free HTTP/2 stream to a client that is slow";
        finish(transfer, ERR_SHORTAGE);
        return;
    }
    if (error == ERR_NAME_LOOKUP &&
        resolver_is_silent(transfer->client->resolver, transfer->target.host))
        error = ERR_SHORTAGE;
    finish(transfer, name_shortage(transfer, error));
}

/* Gives the request to libcurl. */
static enum err launch(struct client_transfer *transfer)
{
    enum err e = transfer_load(transfer);
    if (e != OK)
        return e;
    if (curl_multi_add_handle(transfer->client->multi, transfer->easy) != CURLM_OK)
        return ERR_NO_MEMORY;
    transfer->in_multi = true;
    return OK;
}

/* Chooses an HTTP/2 connection. Also returns OK if the request waits for one. */
static enum err enter(struct client_transfer *transfer)
{
    char origin[ORIGIN_NAME_BYTES];
    route_print_origin(transfer, origin);
    enum multiplex_way way =
        multiplex_enter(&transfer->client->multiplex, origin, &transfer->stream, clock_mono_us());
    if (way == MULTIPLEX_WAIT)
        return OK;
    route_write(transfer);
    return launch(transfer);
}

static enum err start(struct client_transfer *transfer, const struct address_set *addresses)
{
    if (addresses->error != OK) {
        transfer->request->evidence.cause = addresses->cause;
        return addresses->error;
    }
    if (addresses->count > 1)
        transfer->address_us =
            resolver_address_us(transfer->client->resolver, transfer->target.host);
    if (transfer->request->once && route_wants_http_2(transfer))
        transfer->own_connection = multiplex_take_number(&transfer->client->multiplex);
    enum err e = route_pin(transfer, addresses);
    if (e != OK)
        return e;
    return route_multiplexes(transfer) ? enter(transfer) : launch(transfer);
}

/* Takes the request back from libcurl, to enter again. */
static void take_back(struct client_transfer *transfer, enum multiplex_end end)
{
    struct client *client = transfer->client;
    take_out(transfer);
    if (client->sent_last == transfer)
        client->sent_last = NULL;
    list_remove(&transfer->nudge_link);
    transfer_unload(transfer);
    leave_connection(transfer, end);
}

static void enter_again(struct client_transfer *transfer)
{
    enum err e = enter(transfer);
    if (e != OK)
        finish(transfer, e);
}

/* All refused requests have left their connections, so the table has the new limits of streams. */
static void repeat_refused(struct client *client)
{
    struct client_transfer *transfer;
    while ((transfer = LIST_TAKE_FIRST(&client->to_repeat, struct client_transfer, repeat_link)))
        enter_again(transfer);
}

static void launch_waiting(struct client *client)
{
    struct multiplex_stream *stream;
    while (!client->closing && (stream = multiplex_next(&client->multiplex, clock_mono_us()))) {
        struct client_transfer *transfer = CONTAINER_OF(stream, struct client_transfer, stream);
        route_write(transfer);
        enum err e = launch(transfer);
        if (e != OK)
            finish(transfer, e);
    }
}

static void on_launch_timer(struct timer *timer)
{
    launch_waiting(CONTAINER_OF(timer, struct client, launch_timer));
}

/* The address that is being tried does not answer. Tries the next one, and makes the resolver
 * return that one first. */
static void on_turn(struct timer *timer)
{
    struct client_transfer *transfer = CONTAINER_OF(timer, struct client_transfer, turn);
    struct client *client = transfer->client;
    if (!route_may_turn(transfer))
        return;
    resolver_put_last(client->resolver, transfer->target.host, &transfer->tried);
    take_out(transfer);
    transfer->in_multi = false;
    list_remove(&transfer->nudge_link);
    route_turn(transfer);
    enum err e = launch(transfer);
    if (e != OK)
        finish(transfer, e);
}

static void on_name_answer(struct resolver_waiter *waiter, const struct address_set *answer)
{
    struct client_transfer *transfer = CONTAINER_OF(waiter, struct client_transfer, waiter);
    transfer->evidence.dns_us = clock_mono_us() - transfer->started_mono_us;
    enum err e = start(transfer, answer);
    if (e != OK)
        finish(transfer, name_shortage(transfer, e));
}

/*
 * A kept connection outlives the transfer that opened it, so the client watches for its close. When
 * a transfer has sent on a kept connection that is dead, this close is the only sign before libcurl
 * sends again.
 */
static int on_close_socket(void *context, curl_socket_t fd)
{
    struct client *client = context;
    if (client->sent_last)
        evidence_note_loss(&client->sent_last->evidence, client->sent_last->easy);
    sockets_forget(&client->sockets, fd);
    inflow_close(&client->inflow, fd);
    return close(fd);
}

static struct client_transfer *make_transfer(struct client *client)
{
    struct client_transfer *transfer = transfer_new(client, client->loop, &client->options);
    if (!transfer)
        return NULL;
    if (curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) !=
            CURLE_OK ||
        curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETDATA, client) != CURLE_OK) {
        transfer_free(transfer);
        return NULL;
    }
    transfer->sent_last = &client->sent_last;
    transfer->multiplex = &client->multiplex;
    transfer->inflow = &client->inflow;
    timer_init(&transfer->deadline, on_deadline);
    timer_init(&transfer->turn, on_turn);
    resolver_waiter_init(&transfer->waiter, on_name_answer);
    return transfer;
}

static struct client_transfer *take_transfer(struct client *client)
{
    struct client_transfer *transfer = LIST_TAKE_FIRST(&client->idle, struct client_transfer, link);
    if (transfer) {
        client->idle_count--;
    } else {
        transfer = make_transfer(client);
        if (!transfer)
            return NULL;
    }
    list_add_tail(&client->under_way, &transfer->link);
    return transfer;
}

/* Also returns OK if the request waits for the addresses of its name. */
static enum err begin(struct client_transfer *transfer)
{
    const struct target *target = &transfer->target;
    if (target_is_address(target))
        return start(transfer, &(struct address_set){.count = 1, .items = {target->address}});
    const struct address_set *known =
        resolver_look_up(transfer->client->resolver, target->host, &transfer->waiter);
    return known ? start(transfer, known) : OK;
}

void client_send(struct client *client, struct client_request *request)
{
    request->end = (struct attempt_end){0};
    request->evidence = (struct attempt_evidence){0};
    request->sends = request->unprocessed_sends = 0;
    request->shortage = NULL;
    request->duration_us = request->retry_after_us = 0;
    request->answer_len = 0;
    request->answer_cut = false;
    request->excerpt_len = 0;
    request->transfer = NULL;
    if (client->closing) {
        fail_later(client, request, ERR_CANCELLED);
        return;
    }
    struct client_transfer *transfer = take_transfer(client);
    if (!transfer) {
        fail_later(client, request, ERR_NO_MEMORY);
        return;
    }
    enum err e = transfer_aim(transfer, request);
    if (e == OK)
        e = begin(transfer);
    if (e != OK) {
        e = name_shortage(transfer, e);
        fail_later(client, retire(transfer, e), e);
    }
}

/* libcurl on the loop */

/*
 * Works around libcurl 7.88. When one of several addresses refuses the connection, libcurl closes
 * the socket and does nothing until some timer is due, possibly half of the connect timeout later.
 * Then it tries the next address. Pausing and unpausing makes it handle the request at once.
 */
static void nudge(struct client *client)
{
    struct list nudged;
    list_init(&nudged);
    struct client_transfer *transfer;
    while ((transfer = LIST_TAKE_FIRST(&client->to_nudge, struct client_transfer, nudge_link)))
        list_add_tail(&nudged, &transfer->nudge_link);
    inflow_enter(&client->inflow);
    while ((transfer = LIST_TAKE_FIRST(&nudged, struct client_transfer, nudge_link))) {
        curl_easy_pause(transfer->easy, CURLPAUSE_RECV);
        curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    }
    inflow_leave();
}

static void collect(struct client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct client_transfer *transfer = transfer_of(message->easy_handle);
        if (transfer->join_refused && transfer->request->sends == 0) {
            transfer->join_refused = false; /* the connection takes no more */
            take_back(transfer, MULTIPLEX_REFUSED);
            enter_again(transfer);
        } else if (unprocessed_may_repeat(transfer)) {
            take_back(transfer, MULTIPLEX_UNPROCESSED);
            transfer_begin_again(transfer);
            list_add_tail(&client->to_repeat, &transfer->repeat_link);
        } else {
            finish(transfer, explain_result(transfer, message->data.result));
        }
    }
    repeat_refused(client);
    launch_waiting(client);
    nudge(client);
}

/* Lets libcurl do what is due on a socket, or what its timer is for. */
static void act(struct client *client, curl_socket_t fd, int action)
{
    int running;
    inflow_enter(&client->inflow);
    curl_multi_socket_action(client->multi, fd, action, &running);
    inflow_leave();
    collect(client);
}

static void on_socket_ready(void *context, void *owner, int fd, uint32_t events)
{
    struct client *client = context;
    if (owner && events & EPOLLIN)
        transfer_look_ahead(owner, fd);
    int action = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                 (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                 (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    act(client, fd, action);
}

static void note_lost_socket(struct client *client, struct client_transfer *transfer)
{
    if (!transfer || !transfer->in_multi || transfer->answered)
        return;
    evidence_note_loss(&transfer->evidence, transfer->easy);
    list_remove(&transfer->nudge_link);
    list_add_tail(&client->to_nudge, &transfer->nudge_link);
}

static int on_socket_wish(
    CURL *easy, curl_socket_t fd, int wish, void *context, void *socket_context)
{
    struct client *client = context;
    uint32_t events = (wish & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                      (wish & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    bool over = wish == CURL_POLL_REMOVE;
    struct client_transfer *transfer = transfer_of(easy);
    bool looks_ahead = transfer && !over && transfer_wants_look_ahead(transfer);
    sockets_wish(&client->sockets, fd, over ? 0 : events, looks_ahead ? transfer : NULL);
    if (over)
        note_lost_socket(client, transfer);
    return 0;
}

static int on_timer_wish(CURLM *multi, long delay_ms, void *context)
{
    struct client *client = context;
    if (delay_ms < 0)
        timer_disarm(client->loop, &client->multi_timer);
    else
        timer_arm(client->loop, &client->multi_timer, delay_ms * US_PER_MS);
    return 0;
}

static void on_multi_timer(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, multi_timer);
    act(client, CURL_SOCKET_TIMEOUT, 0);
}

/* Life */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static CURLcode library_status;

static void init_library(void)
{
    library_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum err open_multi(struct client *client)
{
    pthread_once(&library_once, init_library);
    client->multi = library_status == CURLE_OK ? curl_multi_init() : NULL;
    if (!client->multi)
        return ERR_NO_MEMORY;
    long connections =
        client->options.connections_max > 0 ? (long)client->options.connections_max : 1;
    if (curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, connections) != CURLM_OK)
        return ERR_SYSTEM;
    return OK;
}

static enum err set_up(struct client *client, const struct client_options *options)
{
    client->options = *options;
    client->options.ca_file = NULL;
    client->options.dns_servers = NULL; /* only the resolver needs it, once */
    if (options->ca_file) {
        client->ca_file = memory_copy_string(options->ca_file);
        client->options.ca_file = client->ca_file;
    }
    timer_init(&client->multi_timer, on_multi_timer);
    timer_init(&client->launch_timer, on_launch_timer);
    timer_init(&client->failures_timer, on_failures_timer);
    enum err e = resolver_new(client->loop, options->dns_servers, &client->resolver);
    if (e == OK)
        e = open_multi(client);
    return e;
}

enum err client_new(
    struct loop *loop, const struct client_options *options, struct client **ret_client)
{
    if (!inflow_is_seen() || !stream_window_is_seen())
        return ERR_BUG;
    struct client *client = memory_new(sizeof *client);
    client->loop = loop;
    client->failures_end = &client->failures_first;
    multiplex_init(&client->multiplex);
    client->sockets =
        (struct sockets){.loop = loop, .on_ready = on_socket_ready, .context = client};
    list_init(&client->under_way);
    list_init(&client->idle);
    list_init(&client->to_nudge);
    list_init(&client->to_repeat);
    enum err e = set_up(client, options);
    if (e != OK) {
        client_free(client);
        return e;
    }
    *ret_client = client;
    return OK;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    client->closing = true;
    while (!list_is_empty(&client->under_way))
        finish(CONTAINER_OF(client->under_way.next, struct client_transfer, link), ERR_CANCELLED);
    while (client->failures_first)
        tell_failures(client);
    struct client_transfer *transfer;
    while ((transfer = LIST_TAKE_FIRST(&client->idle, struct client_transfer, link)))
        transfer_free(transfer);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    sockets_done(&client->sockets);
    inflow_done(&client->inflow);
    multiplex_done(&client->multiplex);
    resolver_free(client->resolver);
    timer_disarm(client->loop, &client->multi_timer);
    timer_disarm(client->loop, &client->launch_timer);
    timer_disarm(client->loop, &client->failures_timer);
    free(client->ca_file);
    free(client);
}

enum err client_check_url(
    const struct client_options *options, const char *url, const char **ret_problem)
{
    CURLU *parsed = curl_url();
    if (!parsed)
        return ERR_NO_MEMORY;
    struct target target;
    enum err e = target_parse(parsed, url, options->allow_http, &target, ret_problem);
    curl_url_cleanup(parsed);
    if (e == OK && target_is_address(&target) &&
        !address_guard_allows(&options->guard, &target.address.any)) {
        *ret_problem =
            "must have a public address, or one in the networks of delivery.allow_networks";
        e = ERR_URL;
    }
    return e;
}
