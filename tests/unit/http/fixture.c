/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/cleanup.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct call {
    struct mail mail;
    void (*run)(struct fixture *fixture);
    sem_t done;
};

struct late_answer {
    struct mail mail;
    struct http_exchange *exchange;
};

static void count_request(struct fixture *fixture)
{
    atomic_fetch_add(&fixture->requests, 1);
    if (!rcu_read_ongoing())
        atomic_store(&fixture->was_offline_in_handler, true);
}

static void answer_text(struct http_exchange *exchange, struct slice body)
{
    struct http_reply reply = {.status = 200, .content_type = "text/plain", .body = body};
    http_answer(exchange, &reply);
}

static void handle_now(struct http_exchange *exchange, void *context)
{
    count_request(context);
    answer_text(exchange, SLICE_LITERAL("now"));
}

static void handle_echo(struct http_exchange *exchange, void *context)
{
    count_request(context);
    char length[32];
    snprintf(length, sizeof length, "%zu", http_body(exchange).len);
    struct http_reply reply = {.status = 201,
        .content_type = "application/octet-stream",
        .body = http_body(exchange),
        .headers = {{"x-length", length}},
        .headers_count = 1};
    http_answer(exchange, &reply);
}

static void handle_parts(struct http_exchange *exchange, void *context)
{
    count_request(context);
    struct buffer text = BUFFER_EMPTY;
    const struct slice parts[] = {http_method(exchange), http_path(exchange), http_query(exchange),
        http_path_part(exchange, 0), http_path_part(exchange, 1), http_path_part(exchange, 2),
        http_header(exchange, "x-one"), http_header(exchange, "host")};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        buffer_add_slice(&text, parts[i]);
        buffer_add_char(&text, '|');
    }
    answer_text(exchange, buffer_slice(&text));
    buffer_done(&text);
}

static void on_late_answer(struct mail *mail, void *receiver)
{
    struct late_answer *late = CONTAINER_OF(mail, struct late_answer, mail);
    answer_text(late->exchange, SLICE_LITERAL("later"));
    free(late);
}

static void handle_later(struct http_exchange *exchange, void *context)
{
    struct fixture *fixture = context;
    count_request(fixture);
    struct late_answer *late = malloc(sizeof *late);
    *late = (struct late_answer){.mail.on_receive = on_late_answer, .exchange = exchange};
    mailbox_post(&fixture->mailbox, &late->mail);
}

static void handle_hold(struct http_exchange *exchange, void *context)
{
    struct fixture *fixture = context;
    count_request(fixture);
    fixture->held[fixture->held_count++] = exchange;
    atomic_fetch_add(&fixture->held_seen, 1);
}

static void handle_big(struct http_exchange *exchange, void *context)
{
    count_request(context);
    char *body = calloc(1, FIXTURE_BIG_BYTES);
    answer_text(exchange, slice_of(body, FIXTURE_BIG_BYTES));
    free(body);
}

static void handle_empty(struct http_exchange *exchange, void *context)
{
    count_request(context);
    http_answer(exchange, &(struct http_reply){.status = 204});
}

static void handle_problem(struct http_exchange *exchange, void *context)
{
    count_request(context);
    struct field_problems problems = {
        .count = 2, .list = {{"/amount", "must be a \"decimal\""}, {"/currency", "is required"}}};
    struct slice name = http_path_part(exchange, 0);
    char text[32];
    snprintf(text, sizeof text, "%.*s", SLICE_ARGS(name));
    enum err error = err_from_name(text);
    http_answer_problem(exchange, error, "Do better.", error == ERR_INVALID ? &problems : NULL);
}

/* The key is "good". */
static void handle_key(struct http_exchange *exchange, void *context)
{
    count_request(context);
    if (!slice_equals_string(http_header(exchange, "authorization"), "good")) {
        http_answer_problem(exchange, ERR_UNAUTHENTICATED, "Send the key.", NULL);
        return;
    }
    http_set_caller(exchange, "shop");
    if (slice_equals_string(http_query(exchange), "wrong"))
        http_answer_problem(exchange, ERR_INVALID, "Do better.", NULL);
    else
        answer_text(exchange, SLICE_LITERAL("key"));
}

static void on_tick(void *context)
{
    struct fixture *fixture = context;
    unsigned refused = (unsigned)metrics_read(METRIC_REFUSED_NOT_FOUND);
    if (refused - fixture->refused_before > fixture->refused_most)
        fixture->refused_most = refused - fixture->refused_before;
    fixture->refused_before = refused;
    atomic_fetch_add(&fixture->ticks, 1);
    if (!rcu_read_ongoing())
        atomic_store(&fixture->was_offline_in_handler, true);
}

static void note_friend(struct http_exchange *exchange)
{
    struct slice name = http_header(exchange, "x-name");
    char text[16] = "friend";
    if (name.len && name.len < sizeof text)
        snprintf(text, sizeof text, "%.*s", SLICE_ARGS(name));
    http_set_caller(exchange, text);
}

/* Knows the caller who says so. */
static void admit_friend(struct http_exchange *exchange, void *context)
{
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->heads, 1);
    if (slice_equals_string(http_header(exchange, "x-one"), "friend"))
        note_friend(exchange);
    else
        http_answer_problem(exchange, ERR_UNAUTHENTICATED, "Say friend.", NULL);
}

static const struct http_route routes[] = {
    {"POST", "/friend", handle_echo, .admit = admit_friend,
        .body_bytes_max = FIXTURE_LARGE_BODY_BYTES_MAX},
    {"POST", "/friend/huge", handle_now, .admit = admit_friend,
        .body_bytes_max = FIXTURE_HUGE_BODY_BYTES_MAX},
    {"GET", "/now", handle_now},
    {"POST", "/echo", handle_echo},
    {"GET", "/parts/{a}/then/{b}", handle_parts},
    {"POST", "/parts/{a}/then/{b}", handle_parts},
    {"POST", "/later", handle_later},
    {"POST", "/hold", handle_hold},
    {"GET", "/hold", handle_hold},
    {"GET", "/big", handle_big},
    {"GET", "/empty", handle_empty},
    {"GET", "/problem/{name}", handle_problem},
    {"GET", "/key", handle_key},
    {"GET", "/challenge/{name}", handle_problem, .challenge = "Riddle"},
    {"POST", "/large", handle_now, .body_bytes_max = FIXTURE_LARGE_BODY_BYTES_MAX},
    {0},
};

static void run_server(void *context)
{
    struct fixture *fixture = context;
    http_server_run(fixture->server);
    http_server_free(fixture->server);
}

void fixture_start(struct fixture *fixture)
{
    if (!fixture->address.ss_family) {
        const char *problem;
        cr_assert(
            http_parse_address("127.0.0.1:0", &fixture->address, &fixture->address_len, &problem));
    }
    cr_assert_eq(mailbox_init(&fixture->mailbox, fixture), OK);
    struct http_options options = {
        .routes = routes,
        .context = fixture,
        .mailbox = &fixture->mailbox,
        .on_tick = on_tick,
        .body_bytes_max = FIXTURE_BODY_BYTES_MAX,
        .room_bytes = fixture->room_bytes ? fixture->room_bytes : FIXTURE_ROOM_BYTES,
        .connections_max = fixture->connections_max ? fixture->connections_max : 100,
        .closes_idle = fixture->closes_idle,
        .addresses = fixture->addresses,
        .limits = fixture->limits,
        .refusals = fixture->refusals = refusals_new(),
        .is_measured = true,
    };
    options.tls = fixture->tls;
    int *listen_fd = fixture->tls ? &options.tls_listen_fd : &options.listen_fd;
    options.listen_fd = -1;
    cr_assert_eq(http_listen(&fixture->address, fixture->address_len, listen_fd), OK);
    cr_assert_eq(http_server_new(&options, &fixture->server), OK);
    cr_assert_eq(thread_start(&fixture->thread, "server", run_server, fixture), OK);
}

static void on_call(struct mail *mail, void *receiver)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    call->run(receiver);
    sem_post(&call->done);
}

void fixture_call(struct fixture *fixture, void (*run)(struct fixture *fixture))
{
    struct call call = {.mail.on_receive = on_call, .run = run};
    sem_init(&call.done, 0, 0);
    mailbox_post(&fixture->mailbox, &call.mail);
    while (sem_wait(&call.done)) {
    }
    sem_destroy(&call.done);
}

void fixture_answer_broker_owned(struct fixture *fixture)
{
    struct http_reply reply = {
        .status = 200, .content_type = "text/plain", .body = SLICE_LITERAL("held")};
    for (; fixture->held_count > 0; fixture->held_count--) {
        struct http_exchange *exchange = fixture->held[fixture->held_count - 1];
        if (http_answer(exchange, &reply))
            atomic_fetch_add(&fixture->answered_present, 1);
        else
            atomic_fetch_add(&fixture->answered_gone, 1);
    }
}

void fixture_do_nothing(struct fixture *fixture)
{
}

void fixture_drain(struct fixture *fixture)
{
    http_server_drain(fixture->server);
}

static _Atomic bool idle;

static void ask_idle(struct fixture *fixture)
{
    atomic_store(&idle, http_server_is_idle(fixture->server));
}

bool fixture_is_idle(struct fixture *fixture)
{
    fixture_call(fixture, ask_idle);
    return atomic_load(&idle);
}

static void stop(struct fixture *fixture)
{
    http_server_stop(fixture->server);
}

void fixture_stop(struct fixture *fixture)
{
    fixture_call(fixture, stop);
    thread_join(&fixture->thread);
    fixture_answer_broker_owned(fixture);
    mailbox_done(&fixture->mailbox);
    refusals_free(fixture->refusals);
}

/* h2o keeps a few recycled blocks per thread and cannot free them when the thread ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}
