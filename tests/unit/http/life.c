/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/cleanup.h"
#include "runtime/metrics.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static int try_connect(const struct fixture *fixture)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (const struct sockaddr *)&fixture->address, fixture->address_len) ? errno
                                                                                         : 0;
}

Test(life, server_that_never_ran_can_be_freed)
{
    struct http_options options = {
        .routes = &(struct http_route){0}, .body_bytes_max = 10, .connections_max = 1};
    struct sockaddr_storage address;
    socklen_t len;
    const char *problem;
    cr_assert(http_parse_address("127.0.0.1:0", &address, &len, &problem));
    cr_assert_eq(http_listen(&address, len, &options.listen_fd), OK);
    struct http_server *server;
    cr_assert_eq(http_server_new(&options, &server), OK);
    cr_assert(http_server_is_idle(server));
    http_server_free(server);
    http_server_free(NULL);
}

Test(life, tick_is_called_ten_times_a_second_and_the_thread_waits_between)
{
    static struct fixture fixture;
    fixture_start(&fixture);
    WAIT_UNTIL(fixture.ticks >= 1);
    unsigned before = fixture.ticks;
    int64_t begin_us = clock_mono_us();
    WAIT_UNTIL(fixture.ticks >= before + 3);
    unsigned ticks = fixture.ticks - before;
    cr_assert_leq(ticks, 1 + (clock_mono_us() - begin_us) / (80 * US_PER_MS));
    cr_assert_not(fixture.was_offline_in_handler);
    fixture_stop(&fixture);
}

static void take_long(struct fixture *fixture)
{
    usleep(60 * (useconds_t)US_PER_MS);
}

/* Reads two buckets: turns of at most 50 ms, and all turns. */
static void read_turns(long *ret_short, long *ret_all)
{
    struct buffer text = {0};
    metrics_print(&text);
    buffer_add_char(&text, '\0');
    const char *up_to = strstr(text.data, "penstock_ingress_turn_seconds_bucket{le=\"0.05\"} ");
    const char *all = strstr(text.data, "penstock_ingress_turn_seconds_bucket{le=\"+Inf\"} ");
    cr_assert(up_to && all);
    *ret_short = strtol(strchr(up_to, ' '), NULL, 10);
    *ret_all = strtol(strchr(all, ' '), NULL, 10);
    buffer_done(&text);
}

Test(life, long_turn_is_counted_in_the_metrics)
{
    static struct fixture fixture;
    fixture_start(&fixture);
    long up_to_50_ms, all;
    fixture_call(&fixture, fixture_do_nothing);
    read_turns(&up_to_50_ms, &all);
    long before = all - up_to_50_ms;
    fixture_call(&fixture, take_long);
    fixture_call(&fixture, fixture_do_nothing); /* then the previous turn has ended */
    read_turns(&up_to_50_ms, &all);
    cr_assert_geq(all - up_to_50_ms, before + 1);
    fixture_stop(&fixture);
}

Test(life, two_servers_share_a_port)
{
    static struct fixture first, second;
    fixture_start(&first);
    second.address = first.address;
    second.address_len = first.address_len;
    fixture_start(&second);
    for (int i = 0; i < 1000 && (first.requests == 0 || second.requests == 0); i++) {
        AUTO_CLOSE int fd = client_connect(&first);
        struct answer answer;
        client_ask(fd, GET("/now"), &answer);
        cr_assert_eq(answer.status, 200);
    }
    cr_assert_gt(first.requests, 0);
    cr_assert_gt(second.requests, 0);
    fixture_stop(&first);
    fixture_stop(&second);
}

Test(life, drain_of_http_1_finishes_requests_and_ends_idle)
{
    static struct fixture fixture;
    fixture_start(&fixture);
    AUTO_CLOSE int held = client_connect(&fixture), kept_alive = client_connect(&fixture),
                   silent = client_connect(&fixture);
    struct answer answer;
    client_ask(kept_alive, GET("/now"), &answer);
    cr_assert(strstr(answer.head, "\r\nConnection: keep-alive\r\n"));
    client_send(held, GET("/hold"));
    WAIT_UNTIL(fixture.held_seen == 1);
    WAIT_UNTIL(metrics_read(METRIC_HTTP_CONNECTIONS) == 3);

    fixture_call(&fixture, fixture_drain);
    cr_assert(client_is_at_end(kept_alive));
    cr_assert(client_is_at_end(silent));
    cr_assert_eq(try_connect(&fixture), ECONNREFUSED);
    cr_assert_not(fixture_is_idle(&fixture));

    fixture_call(&fixture, fixture_answer_broker_owned);
    client_read_answer(held, &answer);
    cr_assert_str_eq(answer.body, "held");
    cr_assert(strstr(answer.head, "\r\nConnection: close\r\n"));
    cr_assert(client_is_at_end(held));
    WAIT_UNTIL(fixture_is_idle(&fixture));
    cr_assert_eq(metrics_read(METRIC_HTTP_CONNECTIONS), 0);
    fixture_stop(&fixture);
}

Test(life, answer_half_written_at_the_drain_is_sent_whole)
{
    static struct fixture fixture;
    fixture_start(&fixture);
    AUTO_CLOSE int fd = client_connect(&fixture);
    client_send(fd, GET("/big"));
    WAIT_UNTIL(fixture.requests == 1);
    fixture_call(&fixture, fixture_drain);
    fixture_call(&fixture, fixture_do_nothing);
    cr_assert_not(fixture_is_idle(&fixture));
    size_t len = 0;
    static char bytes[65536];
    for (ssize_t got; (got = recv(fd, bytes, sizeof bytes, 0)) > 0;)
        len += (size_t)got;
    cr_assert_gt(len, FIXTURE_BIG_BYTES);
    WAIT_UNTIL(fixture_is_idle(&fixture));
    fixture_stop(&fixture);
}

Test(life, stop_closes_connections_in_every_state)
{
    static struct fixture fixture;
    fixture_start(&fixture);
    static const char *const http1[] = {"", "P", "PRI * HTTP/2.0\r\n", "GET /now HT", GET("/now"),
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        GET("/hold"), GET("/big")};
    enum { HTTP1 = ARRAY_LENGTH(http1), ALL = HTTP1 + 4 };
    int fds[ALL];
    for (size_t i = 0; i < HTTP1; i++) {
        fds[i] = client_connect(&fixture);
        client_send(fds[i], http1[i]);
    }
    for (size_t i = HTTP1; i < ALL; i++)
        fds[i] = h2_connect(&fixture);
    h2_send_request(fds[HTTP1 + 1], 1, "GET", "/hold", false);
    h2_send_request(fds[HTTP1 + 2], 1, "POST", "/echo", true);
    h2_send_data(fds[HTTP1 + 2], 1, "half", 4, false);
    h2_send_request(fds[HTTP1 + 3], 1, "GET", "/big", false);
    WAIT_UNTIL(fixture.requests == 5 && fixture.held_seen == 2);
    WAIT_UNTIL(metrics_read(METRIC_HTTP_CONNECTIONS) == ALL);

    fixture_stop(&fixture);
    cr_assert_eq(metrics_read(METRIC_HTTP_CONNECTIONS), 0);
    cr_assert_eq(fixture.answered_gone, 2); /* answered after the server was freed */
    struct answer answer;
    client_read_answer(fds[7], &answer);
    cr_assert_eq(answer.status, 503);
    cr_assert_eq(h2_read_status(fds[HTTP1 + 1], 1), 503);
    for (size_t i = 0; i < ALL; i++)
        close(fds[i]);
}

Test(life, accepting_pauses_at_the_limit_of_connections)
{
    static struct fixture fixture = {.connections_max = 2};
    fixture_start(&fixture);
    /* A connection that has sent a request is not replaced. */
    struct answer answer;
    int first = client_connect(&fixture);
    client_ask(first, GET("/now"), &answer);
    AUTO_CLOSE int second = client_connect(&fixture);
    client_ask(second, GET("/now"), &answer);
    AUTO_CLOSE int third = client_connect(&fixture);
    client_send(third, GET("/now"));
    for (int i = 0; i < 10; i++)
        fixture_call(&fixture, fixture_do_nothing);
    cr_assert_eq(metrics_read(METRIC_HTTP_CONNECTIONS), 2);
    cr_assert_eq(poll(&(struct pollfd){.fd = third, .events = POLLIN}, 1, 0), 0);
    cr_assert_eq(fixture.requests, 2);
    close(first);
    client_read_answer(third, &answer);
    cr_assert_eq(answer.status, 200);
    fixture_stop(&fixture);
}

/* Silent in each way: without a byte, within a head, and after the preface of HTTP/2. */
Test(life, connection_without_a_request_is_replaced_by_a_new_one)
{
    static const char *const said[] = {"", "GET /now HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        static struct fixture fixture;
        fixture = (struct fixture){.connections_max = 3};
        fixture_start(&fixture);
        struct answer answer;
        AUTO_CLOSE int partner = client_connect(&fixture);
        client_ask(partner, GET("/now"), &answer);
        int silent[20];
        for (int j = 0; j < 20; j++) {
            silent[j] = client_connect(&fixture);
            if (*said[i])
                client_send(silent[j], said[i]);
        }
        AUTO_CLOSE int late = client_connect(&fixture);
        client_ask(late, GET("/now"), &answer);
        cr_expect_eq(answer.status, 200, "the one that came last");
        client_ask(partner, GET("/now"), &answer);
        cr_expect_eq(answer.status, 200, "the one that was there before");
        for (int j = 0; j < 20; j++)
            close(silent[j]);
        fixture_stop(&fixture);
    }
}

Test(life, closes_idle_lets_new_connections_replace_idle_ones)
{
    static struct fixture fixture = {.connections_max = 2, .closes_idle = true};
    fixture_start(&fixture);
    int fds[10];
    struct answer answer;
    for (int i = 0; i < 10; i++) {
        fds[i] = client_connect(&fixture);
        client_ask(fds[i], GET("/now"), &answer);
        cr_expect_eq(answer.status, 200, "%d", i);
    }
    for (int i = 0; i < 10; i++)
        close(fds[i]);
    fixture_stop(&fixture);
}

static rlim_t lowest_free_fd(void)
{
    int fd = dup(0);
    close(fd);
    return (rlim_t)fd;
}

Test(life, server_without_descriptors_waits_and_recovers)
{
    static struct fixture fixture;
    fixture_start(&fixture);
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit before, none;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = lowest_free_fd(), .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&fixture.address, fixture.address_len), 0);
    client_send(fd, GET("/now"));
    WAIT_UNTIL(metrics_read(METRIC_HTTP_ACCEPT_FAILURES) >= 1);
    int64_t begin_us = clock_mono_us();
    WAIT_UNTIL(metrics_read(METRIC_HTTP_ACCEPT_FAILURES) >= 4);
    int64_t failures = metrics_read(METRIC_HTTP_ACCEPT_FAILURES);
    /* One try per 100 ms, not a busy loop. The first one may be older. */
    cr_assert_leq(failures, 2 + (clock_mono_us() - begin_us) / (80 * US_PER_MS));
    cr_assert_eq(fixture.requests, 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    struct answer answer;
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 200);
    fixture_stop(&fixture);
}
