/* SPDX-License-Identifier: Apache-2.0 */
/* What a server answers an address that exceeds its limits. */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct fixture fixture;

static void begin_with(struct address_limits limits)
{
    signal(SIGPIPE, SIG_IGN);
    fixture.addresses = address_table_new(&limits);
    fixture_start(&fixture);
}

static void end(void)
{
    fixture_stop(&fixture);
    address_table_free(fixture.addresses);
}

TestSuite(admission, .fini = end);

#define WITH_KEY(key) "GET /key HTTP/1.1\r\nHost: x\r\nAuthorization: " key "\r\n\r\n"
#define NO_PATH "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"

static int status_of(int fd, const char *request)
{
    struct answer answer;
    client_ask(fd, request, &answer);
    return answer.status;
}

Test(admission, wrong_keys_are_delayed_then_429_then_cut)
{
    struct answer answer;
    begin_with((struct address_limits){.failures_max = 20});
    int fd = client_connect(&fixture);
    for (unsigned i = 0; i < 2; i++)
        cr_expect_eq(status_of(fd, WITH_KEY("bad")), 401);
    int64_t began_us = clock_mono_us();
    client_ask(fd, WITH_KEY("bad"), &answer);
    cr_expect(answer.status == 401 && strstr(answer.body, "Send the key."), "%s", answer.body);
    cr_expect_geq(clock_mono_us() - began_us, ADDRESS_DELAY_US);
    int h2 = h2_connect(&fixture);
    for (unsigned i = 0; i < 8; i++)
        h2_send_request(h2, 1 + 2 * i, "GET", "/key", false);
    WAIT_UNTIL(fixture.requests == 11); /* ten of twenty have failed */
    client_ask(fd, WITH_KEY("bad"), &answer);
    cr_expect(answer.status == 429 && strstr(answer.head, "etry-after: "), "%s", answer.head);
    cr_expect(strstr(answer.body, "wrong credentials"), "%s", answer.body);
    unsigned busy = 0;
    do {
        client_ask(fd, WITH_KEY("bad"), &answer);
        busy++;
    } while (!strstr(answer.head, "onnection: close") && busy < 100);
    cr_expect(answer.status == 429 && client_is_at_end(fd), "%s", answer.head);
    cr_expect(busy >= 9 && busy <= 12, "%u", busy);
    close(fd);
    close(h2);
    fd = client_connect(&fixture); /* one in this second is tried */
    client_ask(fd, WITH_KEY("bad"), &answer);
    cr_expect_eq(answer.status, 429);
    close(fd);
    fd = client_connect(&fixture);
    cr_expect(client_is_at_end(fd), "refused");
    close(fd);
}

Test(admission, right_key_is_answered_whatever_others_of_the_address_do)
{
    begin_with((struct address_limits){.failures_max = 2, .requests_per_s = 1});
    int good = client_connect(&fixture);
    cr_expect_eq(status_of(good, WITH_KEY("good")), 200);
    for (unsigned i = 0; i < 200; i++) {
        int bad = client_connect(&fixture);
        cr_assert_neq(status_of(bad, NO_PATH), 0);
        close(bad);
    }
    cr_expect_eq(status_of(good, WITH_KEY("good")), 200);
    int late = client_connect(&fixture);
    cr_expect_eq(status_of(late, WITH_KEY("good")), 200);
    close(late);
    close(good);
}

Test(admission, connection_of_a_proxy_is_cut_only_if_it_sends_nothing_good)
{
    struct answer answer;
    begin_with((struct address_limits){.failures_max = 1});
    int fd = client_connect(&fixture);
    for (unsigned i = 0; i < 3 * ADDRESS_REFUSED_IN_A_ROW_MAX; i++)
        if (i % 10 == 0)
            cr_assert_eq(status_of(fd, WITH_KEY("good")), 200);
        else
            cr_assert_neq(status_of(fd, WITH_KEY("bad")), 0);
    unsigned refused = 0;
    do {
        client_ask(fd, WITH_KEY("bad"), &answer);
        refused++;
    } while (!strstr(answer.head, "onnection: close") && refused < 1000);
    cr_expect(
        refused >= ADDRESS_REFUSED_IN_A_ROW_MAX - 10 && refused <= ADDRESS_REFUSED_IN_A_ROW_MAX,
        "%u", refused);
    cr_expect(client_is_at_end(fd));
    close(fd);
}

Test(admission, unknown_paths_are_429_and_then_cut)
{
    struct answer answer;
    begin_with((struct address_limits){.requests_per_s = 1});
    int fd = client_connect(&fixture);
    unsigned seen[2] = {0};
    do {
        client_ask(fd, NO_PATH, &answer);
        seen[answer.status == 429]++;
    } while (!strstr(answer.head, "onnection: close") && seen[1] < 100);
    cr_expect(seen[0] >= 5 && seen[0] <= 7, "%u", seen[0]);
    cr_expect(seen[1] >= 5 && seen[1] <= 8, "%u", seen[1]);
    cr_expect(client_is_at_end(fd));
    close(fd);
}

Test(admission, http_2_connection_is_cut_as_well)
{
    begin_with((struct address_limits){.requests_per_s = 1});
    int fd = h2_connect(&fixture);
    struct h2_frame frame;
    for (unsigned i = 0; i < 11; i++) /* 5 are answered, 5 are 429 */
        h2_send_request(fd, 1 + 2 * i, "GET", "/nothing", false);
    while (h2_read_frame(fd, &frame)) {
    }
    close(fd);
}

Test(admission, problems_of_a_caller_who_is_authenticated_do_not_count)
{
    static const char wrong[] = "GET /key?wrong HTTP/1.1\r\nHost: x\r\nAuthorization: good\r\n\r\n";
    begin_with((struct address_limits){.failures_max = 2, .requests_per_s = 1});
    int fd = client_connect(&fixture);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(status_of(fd, wrong), 422);
    close(fd);
}

Test(admission, connections_over_the_limit_are_closed)
{
    begin_with((struct address_limits){.connections_max = 3});
    int fds[4];
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = client_connect(&fixture);
        cr_assert_eq(status_of(fds[i], "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    }
    fds[3] = client_connect(&fixture);
    cr_expect(client_is_at_end(fds[3]));
    close(fds[0]);
    WAIT_UNTIL(address_table_count(fixture.addresses).open == 2);
    int again = client_connect(&fixture);
    cr_expect_eq(status_of(again, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    close(again);
    for (unsigned i = 1; i < 4; i++)
        close(fds[i]);
}

Test(admission, delayed_answers_are_bounded)
{
    enum { REQUESTS = 400 };
    static int fds[REQUESTS];
    unsigned busy = 0;
    fixture.connections_max = REQUESTS;
    begin_with((struct address_limits){.failures_max = 1000}); /* 100 at once, then slow */
    for (unsigned i = 0; i < REQUESTS; i++)
        fds[i] = client_connect(&fixture);
    for (unsigned i = 0; i < REQUESTS; i++)
        client_send(fds[i], WITH_KEY("bad"));
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct answer answer;
        client_read_answer(fds[i], &answer);
        busy += answer.status == 429;
        cr_expect(answer.status == 429 || answer.status == 401, "%d", answer.status);
        close(fds[i]);
    }
    cr_expect(busy > 0 && busy <= REQUESTS - 100 - ADDRESS_DELAYED_MAX, "%u", busy);
}

Test(admission, stop_answers_what_is_delayed)
{
    begin_with((struct address_limits){.failures_max = 5});
    int fd = client_connect(&fixture);
    client_send(fd, WITH_KEY("bad"));
    WAIT_UNTIL(fixture.requests == 1);
    close(fd);
    fd = client_connect(&fixture);
    client_send(fd, WITH_KEY("bad"));
    WAIT_UNTIL(fixture.requests == 2);
    close(fd);
}
