/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/cleanup.h"
#include "runtime/log.h"
#include "runtime/rcu.h"
#include "runtime/thread.h"
#include "support/at_end.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_MAX 65536
#define CONNECTIONS_MAX 256

struct delivery_policy policy;
struct delivery_shard *shard;
uint64_t endpoint, other_endpoint;
size_t body_bytes;
int64_t accepted_before_us;
struct journal_retry_rules journal_retry_rules;

static struct accounts *accounts;
static struct byte_budget budget;
static struct journal_listener listener;
static char directory[64];
static bool started;
static char large_body[EVENT_BYTES_MAX];
static const struct hash_seed seed = {{7}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* --- the journal --- */

static struct request *received[JOURNAL_KINDS][REQUESTS_MAX], *received_in_order[REQUESTS_MAX];
static unsigned received_count[JOURNAL_KINDS], received_in_all, taken;
static struct request *unanswered[REQUESTS_MAX];
static unsigned unanswered_count;
static bool at_once[JOURNAL_KINDS];
/* A request is gone when it has been answered, so what tests read later is a copy. */
static struct journal_record outcomes[REQUESTS_MAX];

void journal_answer(struct request *request, enum err result)
{
    pthread_mutex_lock(&lock);
    unsigned i = 0;
    while (i < unanswered_count && unanswered[i] != request)
        i++;
    cr_assert_lt(i, unanswered_count, "answered twice");
    unanswered[i] = unanswered[--unanswered_count];
    pthread_mutex_unlock(&lock);
    request_answer(request, result);
}

/* As a journal that ends: no request stays without an answer. */
static void answer_the_rest(void)
{
    while (unanswered_count > 0)
        journal_answer(unanswered[0], ERR_SHUTTING_DOWN);
}

static void submit(struct journal *journal, struct request *request)
{
    pthread_mutex_lock(&lock);
    assert(received_in_all < REQUESTS_MAX);
    bool answer = at_once[request->kind];
    if (request->kind == JOURNAL_RECORD_OUTCOME)
        outcomes[received_count[request->kind]] =
            *CONTAINER_OF(request, struct journal_record, request);
    received[request->kind][received_count[request->kind]++] = request;
    if (!answer)
        received_in_order[received_in_all++] = request;
    unanswered[unanswered_count++] = request;
    pthread_mutex_unlock(&lock);
    if (answer && request->kind == JOURNAL_LOAD)
        journal_answer_load(
            CONTAINER_OF(request, struct journal_load, request), 0, -1, DELIVERY_PENDING, false);
    else if (answer)
        journal_answer(request, OK);
}

static struct journal fake = {.ops = &(const struct journal_ops){.submit = submit}};

unsigned journal_count(enum journal_kind kind)
{
    pthread_mutex_lock(&lock);
    unsigned count = received_count[kind];
    pthread_mutex_unlock(&lock);
    return count;
}

struct request *journal_request(enum journal_kind kind, unsigned index)
{
    WAIT_UNTIL(journal_count(kind) > index);
    return received[kind][index];
}

struct request *journal_take(void)
{
    pthread_mutex_lock(&lock);
    struct request *request = taken < received_in_all ? received_in_order[taken++] : NULL;
    pthread_mutex_unlock(&lock);
    return request;
}

struct journal_record *journal_record_at(enum journal_kind kind, unsigned index)
{
    return CONTAINER_OF(journal_request(kind, index), struct journal_record, request);
}

const struct journal_record *journal_outcome_at(unsigned index)
{
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) > index);
    return &outcomes[index];
}

struct journal_load *journal_load_at(unsigned index)
{
    return CONTAINER_OF(journal_request(JOURNAL_LOAD, index), struct journal_load, request);
}

void journal_answer_at_once(enum journal_kind kind)
{
    pthread_mutex_lock(&lock);
    at_once[kind] = true;
    pthread_mutex_unlock(&lock);
}

void journal_answer_by_hand(enum journal_kind kind)
{
    pthread_mutex_lock(&lock);
    at_once[kind] = false;
    pthread_mutex_unlock(&lock);
}

struct delivery make_delivery(int64_t id, const char *type, enum delivery_state state)
{
    static struct event_id_generator ids;
    struct event_parts parts = {.accepted_us = clock_wall_us() - accepted_before_us,
        .partner = SLICE_LITERAL("shop"),
        .account = SLICE_LITERAL("acc_1"),
        .type = slice_from_string(type),
        .traceparent = SLICE_LITERAL("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        .body = body_bytes ? slice_of(large_body, body_bytes) : SLICE_LITERAL(BODY)};
    parts.class = class_of_type(&class_rules_default, parts.type);
    parts.guarded = class_type_is_guarded(&class_rules_default, parts.type);
    unsigned char random[8];
    crypto_random(random, sizeof random);
    event_id_make(&ids, parts.accepted_us, 0, random, &parts.id);
    struct delivery delivery = {
        .id = id, .endpoint = endpoint, .state = state, .due_us = clock_wall_us()};
    if (state == DELIVERY_WAITING) {
        delivery.attempts = delivery.failures = 1;
        delivery.wait_us = 50 * US_PER_MS;
    }
    cr_assert_eq(event_new(&parts, &budget, 100, &delivery.event), OK);
    return delivery;
}

void journal_answer_load(
    struct journal_load *load, int64_t first, int64_t last, enum delivery_state state, bool more)
{
    load->ret_count = 0;
    for (int64_t id = first; id <= last && load->ret_count < load->count_max; id++) {
        struct delivery *delivery = &load->ret_deliveries[load->ret_count++];
        *delivery = make_delivery(id, "note", state);
        if (state == DELIVERY_WAITING)
            delivery->due_us = load->due_by_us; /* due when the load was sent */
    }
    load->ret_more = more;
    load->ret_next_due_us = load->ret_after_probe_id = INT64_MAX;
    journal_answer(&load->request, OK);
}

void hand_over(int64_t first, int64_t last, const char *type)
{
    struct journal_handover *handover =
        malloc(sizeof *handover + (size_t)(last - first + 1) * sizeof handover->deliveries[0]);
    handover->count = 0;
    for (int64_t id = first; id <= last; id++)
        handover->deliveries[handover->count++] = make_delivery(id, type, DELIVERY_PENDING);
    handover->mail.on_receive = listener.on_handover;
    mailbox_post(listener.delivery, &handover->mail);
}

int64_t taken_bytes(void)
{
    return atomic_load(&budget.taken_bytes);
}

/* --- operator events --- */

static struct operator_event reported[64];
static unsigned reported_so_far;

static void report(void *context, const struct operator_event *event)
{
    cr_assert_null(context);
    pthread_mutex_lock(&lock);
    assert(reported_so_far < ARRAY_LENGTH(reported));
    reported[reported_so_far++] = *event;
    pthread_mutex_unlock(&lock);
}

unsigned reported_count(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = reported_so_far;
    pthread_mutex_unlock(&lock);
    return count;
}

const struct operator_event *reported_event(unsigned index)
{
    WAIT_UNTIL(reported_count() > index);
    return &reported[index];
}

/* --- the client deployment: a thread per connection --- */

static int listen_fd;
unsigned fail_each;
static unsigned port, requests, connections, concurrent, concurrent_max, releases;
static struct sink_request log_of_requests[REQUESTS_MAX];
static enum sink_mode mode;
static char held_path[64]; /* empty: all of them */
static int status;
static pthread_t acceptor, servers[CONNECTIONS_MAX];
static int server_fds[CONNECTIONS_MAX];

/* Reads one request; false at the end of the connection. */
static bool read_request(int fd, struct sink_request *ret_request)
{
    size_t len = 0;
    *ret_request = (struct sink_request){0};
    while (len < 4 || memcmp(ret_request->head + len - 4, "\r\n\r\n", 4) != 0)
        if (len + 1 >= sizeof ret_request->head || recv(fd, ret_request->head + len++, 1, 0) != 1)
            return false;
    const char *length = strcasestr(ret_request->head, "content-length: ");
    size_t body = length ? (size_t)atoi(length + 16) : 0, kept = sizeof ret_request->body - 1;
    if (body <= kept)
        return recv(fd, ret_request->body, body, MSG_WAITALL) == (ssize_t)body;
    /* Of a large body only the beginning is looked at. */
    char rest[EVENT_BYTES_MAX];
    return recv(fd, ret_request->body, kept, MSG_WAITALL) == (ssize_t)kept &&
           body - kept <= sizeof rest &&
           recv(fd, rest, body - kept, MSG_WAITALL) == (ssize_t)(body - kept);
}

static bool is_held(const struct sink_request *request)
{
    char line[96];
    snprintf(line, sizeof line, "POST %s ", held_path);
    return mode == SINK_HOLD && (!held_path[0] || strncmp(request->head, line, strlen(line)) == 0);
}

/* Logs it and waits as long as the script says; false: the connection is to be dropped. */
static bool take_request(const struct sink_request *request, unsigned connection, int *ret_status)
{
    pthread_mutex_lock(&lock);
    log_of_requests[requests] = *request;
    log_of_requests[requests++].connection = connection;
    if (++concurrent > concurrent_max)
        concurrent_max = concurrent;
    unsigned release = releases;
    while (is_held(request) && releases == release)
        pthread_cond_wait(&changed, &lock);
    concurrent--;
    bool answer = mode != SINK_DROP;
    *ret_status = fail_each && requests % fail_each == 0 ? 500 : status;
    pthread_mutex_unlock(&lock);
    return answer;
}

static void *serve(void *argument)
{
    unsigned connection = (unsigned)(uintptr_t)argument;
    int fd = server_fds[connection], code;
    struct sink_request request;
    while (read_request(fd, &request) && take_request(&request, connection, &code)) {
        char text[128];
        int len = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nhi", code);
        if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
            break;
    }
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *accept_connections(void *unused)
{
    int fd;
    while (connections < CONNECTIONS_MAX && (fd = accept(listen_fd, NULL, NULL)) >= 0) {
        server_fds[connections] = fd;
        pthread_create(&servers[connections], NULL, serve, (void *)(uintptr_t)connections);
        connections++;
    }
    return NULL;
}

static void start_sink(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    status = 200;
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listen_fd, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(listen_fd, 128), 0);
    cr_assert_eq(getsockname(listen_fd, (struct sockaddr *)&address, &len), 0);
    port = ntohs(address.sin_port);
    pthread_create(&acceptor, NULL, accept_connections, NULL);
}

static void stop_sink(void)
{
    sink_release();
    shutdown(listen_fd, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    for (unsigned i = 0; i < connections; i++)
        shutdown(server_fds[i], SHUT_RDWR);
    for (unsigned i = 0; i < connections; i++) {
        pthread_join(servers[i], NULL);
        close(server_fds[i]);
    }
    close(listen_fd);
}

unsigned sink_count(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = requests;
    pthread_mutex_unlock(&lock);
    return count;
}

const struct sink_request *sink_request(unsigned index)
{
    WAIT_UNTIL(sink_count() > index);
    return &log_of_requests[index];
}

unsigned sink_concurrent_max(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = concurrent_max;
    pthread_mutex_unlock(&lock);
    return count;
}

void sink_set(enum sink_mode wanted, int code)
{
    pthread_mutex_lock(&lock);
    mode = wanted;
    status = code;
    pthread_mutex_unlock(&lock);
}

void sink_hold_path(const char *path)
{
    pthread_mutex_lock(&lock);
    mode = SINK_HOLD;
    snprintf(held_path, sizeof held_path, "%s", path);
    pthread_mutex_unlock(&lock);
}

void sink_release(void)
{
    pthread_mutex_lock(&lock);
    mode = SINK_ANSWER;
    releases++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* --- the shard --- */

static void change(struct accounts_request *request)
{
    snprintf(request->account, sizeof request->account, "acc_1");
    cr_assert_eq(accounts_call(accounts, request), OK, "%s", request->detail);
}

void change_endpoint(unsigned changes, bool value)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_CHANGE_ENDPOINT, .endpoint_id = endpoint, .changes = changes};
    request.endpoint.enabled = request.endpoint.idempotent = request.endpoint.final_4xx = value;
    change(&request);
}

void set_switch(enum switch_kind kind, enum switch_scope scope, bool off)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_SET_SWITCH,
        .endpoint_id = scope == SWITCH_ENDPOINT ? endpoint : 0,
        .switch_wanted = {.kind = kind, .is_off = off, .reason = "a test"}};
    snprintf(request.account, sizeof request.account, scope == SWITCH_ALL ? "" : "acc_1");
    cr_assert_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
    if (started)
        delivery_shard_switch_changed(shard);
}

void endpoint_secret(struct secret *ret_secret)
{
    rcu_go_online();
    *ret_secret = directory_endpoint(accounts_directory(accounts), endpoint)->secrets[0];
    rcu_go_offline();
}

bool endpoint_is_enabled(void)
{
    rcu_go_online();
    bool enabled = directory_endpoint(accounts_directory(accounts), endpoint)->enabled;
    rcu_go_offline();
    return enabled;
}

static uint64_t add_endpoint(const char *name, const char *path)
{
    struct accounts_request add = {.base.kind = ACCOUNTS_ADD_ENDPOINT, .endpoint.enabled = true};
    snprintf(add.endpoint.name, sizeof add.endpoint.name, "%s", name);
    snprintf(add.endpoint.url, sizeof add.endpoint.url, "http://127.0.0.1:%u%s", port, path);
    change(&add);
    return add.ret_endpoint;
}

void fixture_begin(void)
{
    char detail[256];
    signal(SIGPIPE, SIG_IGN);
    thread_adopt_main();
    log_set_level(LOG_ERROR);
    snprintf(directory, sizeof directory, "/tmp/penstock-delivery-XXXXXX");
    cr_assert(mkdtemp(directory));
    budget.bytes_max = 16 << 20;
    memset(large_body, 'x', sizeof large_body);
    policy = (struct delivery_policy){
        .rules = {.schedule = {.steps_us = {50 * US_PER_MS, 100 * US_PER_MS}, .steps = 2},
            .connect_timeout_us = 2 * US_PER_SECOND,
            .answer_timeout_us = 10 * US_PER_SECOND,
            .guarded_answer_timeout_us = 10 * US_PER_SECOND,
            .in_flight_max = 4},
        .in_flight_per_shard = 100,
        .active_per_endpoint = 8};
    journal_answer_at_once(JOURNAL_RECORD_RETRY_RULES);
    start_sink();
    cr_assert_eq(accounts_open(directory, &seed, &accounts, detail), OK, "%s", detail);
    change(&(struct accounts_request){.base.kind = ACCOUNTS_ADD_ACCOUNT});
    endpoint = add_endpoint("main", "/in");
    other_endpoint = add_endpoint("other", "/other");
}

void begin_shard_unscanned(void)
{
    struct delivery_options options = {.policy = policy,
        .accounts = accounts,
        .budget = &budget,
        .operator_events = {.post = report}};
    options.client = (struct client_options){.allow_http = true, .connections_max = 200};
    cr_assert(network_parse(SLICE_LITERAL("127.0.0.0/8"), &options.client.guard.allowed[0]));
    options.client.guard.allowed_count = 1;
    cr_assert_eq(delivery_shard_new(&options, &shard), OK);
    delivery_shard_listen_to_journal(shard, &listener);
    fake.found.rules = journal_retry_rules;
    cr_assert_eq(delivery_shard_start(shard, &fake, NULL), OK);
    started = true;
}

void journal_answer_scan(unsigned index, const struct journal_backlog *backlog)
{
    struct journal_backlog_scan *scan = CONTAINER_OF(
        journal_request(JOURNAL_SCAN_BACKLOG, index), struct journal_backlog_scan, request);
    if (backlog) {
        scan->ret_backlogs = malloc(sizeof *backlog);
        scan->ret_backlogs[0] = *backlog;
        scan->ret_count = 1;
    }
    journal_answer(&scan->request, OK);
}

void begin_shard(const struct journal_backlog *backlog)
{
    begin_shard_unscanned();
    journal_answer_scan(0, backlog);
}

void end_shard(int64_t drain_us)
{
    delivery_shard_stop(shard, drain_us);
    delivery_shard_join(shard);
    started = false;
}

void free_shard(void)
{
    answer_the_rest();
    delivery_shard_free(TAKE(shard));
}

void fixture_end(void)
{
    if (started)
        end_shard(100 * US_PER_MS);
    stop_sink();
    accounts_stop(accounts);
    free_shard();
    assert_at_end(atomic_load(&budget.taken_bytes) == 0); /* bytes were given back */
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_at_end(system(command) == 0);
    thread_leave_main();
}
