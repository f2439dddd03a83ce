/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread is offline for RCU and waits in its mailbox. During a request it blocks in the
 * library. A stop ends that by shutting the socket down, through its own descriptor (`work_fd`).
 * The library may close the socket's descriptor at any time, and its number may then belong to
 * another file.
 */
#include "broker/connector.h"

#include "base/clock.h"
#include "base/memory.h"
#include "broker/login.h"
#include "broker/ownership.h"
#include "broker/reply.h"
#include "broker/topology.h"
#include "runtime/thread.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CALL_S_MAX 60
/* For a publisher's and a tap's link as well: it is closed and opened again in between. */
#define WORK_CHANNEL 1

struct broker_connector {
    /* immutable after init */
    struct broker_options options;
    bool has_ownership;
    struct broker_ownership ownership;

    /* owned by the connector's thread */
    struct thread thread;
    unsigned address; /* the one that is tried first */

    /* shared */
    struct mailbox mailbox;
    struct mail stop_mail;
    atomic_bool doubt, deposed;
    pthread_mutex_t lock; /* guards the fields below */
    bool stopping;
    int work_fd;
};

/* Work, and its stop */

static bool is_stopping(struct broker_connector *connector)
{
    pthread_mutex_lock(&connector->lock);
    bool stopping = connector->stopping;
    pthread_mutex_unlock(&connector->lock);
    return stopping;
}

static void on_socket(void *owner, int fd)
{
    struct broker_connector *connector = owner;
    int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    pthread_mutex_lock(&connector->lock);
    connector->work_fd = own_fd;
    if (connector->stopping)
        shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&connector->lock);
}

static void let_go_of_socket(struct broker_connector *connector)
{
    pthread_mutex_lock(&connector->lock);
    if (connector->work_fd >= 0)
        close(connector->work_fd);
    connector->work_fd = -1;
    pthread_mutex_unlock(&connector->lock);
}

/* One connection */

struct task {
    const char *purpose; /* part of the connection's name */
    bool needs_ownership, takes_over, declares, keeps_channel, confirms, keeps_link;
    /* A listening connection negotiates half of the heartbeat. A broker may be silent for a whole
     * heartbeat before it sends (it checks twice in one). A subscriber must not take that for the
     * end, so it uses a limit of its own. */
    bool listens;
};

static const struct task tasks[] = {
    [CONNECTOR_OPEN_PUBLISHER] = {"publisher", .declares = true, .keeps_channel = true,
        .confirms = true, .keeps_link = true},
    [CONNECTOR_OPEN_SUBSCRIBER] = {"subscriber", .needs_ownership = true, .declares = true,
        .keeps_link = true, .listens = true},
    [CONNECTOR_OPEN_TAP] = {"tap", .declares = true, .keeps_channel = true, .keeps_link = true},
    [CONNECTOR_OPEN_INTAKE] = {"intake", .declares = true, .keeps_link = true},
    [CONNECTOR_CHECK_OWNERSHIP] = {"ownership", .needs_ownership = true, .declares = true},
    [CONNECTOR_TAKE_OVER] = {"take-over", .needs_ownership = true, .takes_over = true},
};

static enum err check_ownership(struct broker_connector *connector, const struct task *task,
    struct broker_link *link, struct connector_request *request,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    if (task->takes_over)
        return broker_ownership_take_over(
            link, WORK_CHANNEL, &connector->ownership, &request->ret_owner, ret_detail);
    return broker_ownership_check(
        link, WORK_CHANNEL, &connector->ownership, &request->ret_owner, ret_detail);
}

static enum err declare(struct broker_connector *connector, struct broker_link *link,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    if (!atomic_exchange(&connector->doubt, false))
        return OK;
    enum err failed = broker_topology_declare(link, WORK_CHANNEL, &connector->options, ret_detail);
    if (failed)
        atomic_store(&connector->doubt, true);
    return failed;
}

static enum err confirm(struct broker_link *link, char ret_detail[BROKER_DETAIL_BYTES])
{
    amqp_confirm_select(link->connection, WORK_CHANNEL);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    return broker_reply_judge(&reply, "asking for confirms", ret_detail);
}

/* Does what the request is for, on a connection that is logged in. */
static enum err work(struct broker_connector *connector, const struct task *task,
    struct broker_link *link, struct connector_request *request,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    enum err failed = broker_open_channel(link, WORK_CHANNEL, ret_detail);
    if (!failed && task->needs_ownership && connector->has_ownership)
        failed = check_ownership(connector, task, link, request, ret_detail);
    if (!failed && task->declares)
        failed = declare(connector, link, ret_detail);
    if (!failed && task->confirms)
        failed = confirm(link, ret_detail);
    if (!failed && !task->keeps_channel)
        failed = broker_close_channel(link, WORK_CHANNEL, ret_detail);
    if (!failed && task->keeps_link)
        failed = broker_login_finish(link);
    return failed;
}

static unsigned heartbeat_of(const struct broker_connector *connector, const struct task *task)
{
    unsigned heartbeat_s = connector->options.heartbeat_s;
    return task->listens && heartbeat_s > 1 ? heartbeat_s / 2 : heartbeat_s;
}

/* Returns whether another node of the cluster would fail in the same way. */
static bool is_final(enum err failed)
{
    return failed == OK || failed == ERR_PERMISSION || failed == ERR_CONFIG ||
           failed == ERR_NOT_OWNER;
}

static enum err try_address(struct broker_connector *connector,
    const struct broker_address *address, struct connector_request *request,
    char ret_detail[BROKER_DETAIL_BYTES])
{
    const struct task *task = &tasks[request->base.kind];
    struct broker_login login = {.options = &connector->options,
        .address = address,
        .purpose = task->purpose,
        .heartbeat_s = heartbeat_of(connector, task),
        .on_socket = on_socket,
        .owner = connector};
    struct broker_link *link = NULL;
    enum err failed = broker_log_in(&login, &link, ret_detail);
    if (!failed) {
        failed = work(connector, task, link, request, ret_detail);
        if (!failed && task->keeps_link)
            request->ret_link = TAKE(link);
        else if (is_final(failed))
            broker_log_out(link);
    }
    let_go_of_socket(connector);
    broker_link_free(link);
    return failed;
}

/* All addresses */

static void add_detail(struct connector_request *request, const struct broker_address *address,
    enum err failed, const char *detail)
{
    size_t len = strlen(request->ret_detail);
    snprintf(request->ret_detail + len, BROKER_DETAIL_BYTES - len, "%s%s:%u: %s", len ? "; " : "",
        address->host, address->port, detail[0] ? detail : err_title(failed));
}

static enum err try_addresses(struct broker_connector *connector, struct connector_request *request)
{
    unsigned count = connector->options.addresses_count;
    enum err failed = ERR_CONNECT;
    for (unsigned i = 0; i < count && !is_stopping(connector); i++) {
        unsigned number = (connector->address + i) % count;
        const struct broker_address *address = &connector->options.addresses[number];
        char detail[BROKER_DETAIL_BYTES] = "";
        failed = try_address(connector, address, request, detail);
        if (failed)
            add_detail(request, address, failed, detail);
        if (is_final(failed)) {
            connector->address = number;
            return failed;
        }
    }
    return is_stopping(connector) ? ERR_SHUTTING_DOWN : failed;
}

/* Requests */

static void on_request(struct mail *mail, void *receiver)
{
    struct broker_connector *connector = receiver;
    struct connector_request *request = CONTAINER_OF(mail, struct connector_request, base.mail);
    request->ret_link = NULL;
    request->ret_owner = (struct broker_ownership){.since_s = 0};
    request->ret_detail[0] = '\0';
    request->base.result = try_addresses(connector, request);
    if (request->base.result == ERR_NOT_OWNER)
        atomic_store(&connector->deposed, true);
    else if (request->base.result == OK && connector->has_ownership &&
             tasks[request->base.kind].needs_ownership)
        atomic_store(&connector->deposed, false);
    request_answer(&request->base, request->base.result);
}

void broker_connector_submit(struct broker_connector *connector, struct connector_request *request)
{
    assert((request->base.kind != CONNECTOR_OPEN_SUBSCRIBER &&
               request->base.kind != CONNECTOR_TAKE_OVER) ||
           connector->has_ownership);
    request_submit(&request->base, &connector->mailbox, on_request);
}

bool broker_connector_is_deposed(const struct broker_connector *connector)
{
    return connector && atomic_load(&connector->deposed);
}

void broker_connector_doubt(struct broker_connector *connector)
{
    atomic_store(&connector->doubt, true);
}

/* A call. If its caller has timed out, on_call_done frees it. */
struct call {
    struct connector_request request;
    pthread_mutex_t lock;
    pthread_cond_t done_or_not;
    bool is_done, is_abandoned;
};

static void free_call(struct call *call)
{
    pthread_mutex_destroy(&call->lock);
    pthread_cond_destroy(&call->done_or_not);
    free(call);
}

static void on_call_done(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct call *call = CONTAINER_OF(request, struct call, request);
    pthread_mutex_lock(&call->lock);
    call->is_done = true;
    bool is_abandoned = call->is_abandoned;
    pthread_cond_signal(&call->done_or_not);
    pthread_mutex_unlock(&call->lock);
    if (is_abandoned) {
        broker_link_free(call->request.ret_link);
        free_call(call);
    }
}

static bool wait_for_call(struct call *call)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CALL_S_MAX;
    pthread_mutex_lock(&call->lock);
    while (!call->is_done &&
           pthread_cond_clockwait(&call->done_or_not, &call->lock, CLOCK_MONOTONIC, &until) == 0)
        continue;
    bool is_done = call->is_done;
    call->is_abandoned = !is_done;
    pthread_mutex_unlock(&call->lock);
    return is_done;
}

enum err broker_connector_call(
    struct broker_connector *connector, struct connector_request *request)
{
    struct call *call = memory_new(sizeof *call);
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->done_or_not, NULL);
    call->request.base.kind = request->base.kind;
    call->request.base.on_done = on_call_done;
    broker_connector_submit(connector, &call->request);
    if (!wait_for_call(call)) {
        snprintf(request->ret_detail, BROKER_DETAIL_BYTES, "no answer from the broker in %d s",
            CALL_S_MAX);
        return request->base.result = ERR_CONNECT_TIMEOUT;
    }
    request->base.result = call->request.base.result;
    request->ret_link = call->request.ret_link;
    request->ret_owner = call->request.ret_owner;
    memcpy(request->ret_detail, call->request.ret_detail, BROKER_DETAIL_BYTES);
    free_call(call);
    return request->base.result;
}

/* The thread */

static void on_stop(struct mail *mail, void *receiver)
{
    /* Only wakes the thread, which then sees `stopping`. */
}

static void run(void *context)
{
    struct broker_connector *connector = context;
    broker_login_limit_lookups();
    while (!is_stopping(connector)) {
        mailbox_wait(&connector->mailbox, -1);
        mailbox_work(&connector->mailbox);
    }
}

static void free_connector(struct broker_connector *connector)
{
    mailbox_done(&connector->mailbox);
    pthread_mutex_destroy(&connector->lock);
    free(connector);
}

enum err broker_connector_new(const struct broker_options *options,
    const struct broker_ownership *ownership, struct broker_connector **ret_connector)
{
    assert(options->addresses_count > 0 && options->addresses_count <= BROKER_ADDRESSES_MAX);
    struct broker_connector *connector = memory_new(sizeof *connector);
    connector->options = *options;
    connector->has_ownership = ownership != NULL;
    if (ownership)
        connector->ownership = *ownership;
    connector->doubt = true;
    connector->work_fd = -1;
    connector->stop_mail.on_receive = on_stop;
    connector->mailbox.event_fd = -1;
    pthread_mutex_init(&connector->lock, NULL);
    enum err failed = mailbox_init(&connector->mailbox, connector);
    if (!failed)
        failed = thread_start(&connector->thread, "broker", run, connector);
    if (failed) {
        free_connector(connector);
        return failed;
    }
    *ret_connector = connector;
    return OK;
}

void broker_connector_stop(struct broker_connector *connector)
{
    if (!connector)
        return;
    pthread_mutex_lock(&connector->lock);
    connector->stopping = true;
    if (connector->work_fd >= 0)
        shutdown(connector->work_fd, SHUT_RDWR);
    pthread_mutex_unlock(&connector->lock);
    mailbox_post(&connector->mailbox, &connector->stop_mail);
    thread_join(&connector->thread);
    mailbox_work(&connector->mailbox); /* requests that arrived after the thread's last look */
    free_connector(connector);
}
