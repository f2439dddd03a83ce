/* SPDX-License-Identifier: Apache-2.0 */
/* The connector without a broker: addresses that are closed or silent. */
#include "broker/connector.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static const struct broker_ownership ownership = {
    .journal = "0123456789abcdef0123456789abcdef", .since_s = 1};
static struct broker_options options;
static struct broker_connector *connector;

/* Returns the socket; a connection to it is accepted by the kernel and never answered. */
static int add_silent_address(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    struct broker_address *added = &options.addresses[options.addresses_count++];
    snprintf(added->host, sizeof added->host, "127.0.0.1");
    added->port = ntohs(address.sin_port);
    return fd;
}

static void add_closed_address(void)
{
    int fd = add_silent_address();
    close(fd);
}

static void set_up(void)
{
    options = (struct broker_options){.vhost = "/", .heartbeat_s = 10, .partitions = 1};
}

static void start(void)
{
    cr_assert_eq(broker_connector_new(&options, &ownership, &connector), OK);
}

TestSuite(connector, .init = set_up);

Test(connector, detail_has_the_error_of_each_address)
{
    char expected[BROKER_DETAIL_BYTES];
    struct connector_request request = {.base.kind = CONNECTOR_CHECK_OWNERSHIP};
    add_closed_address();
    add_closed_address();
    start();
    cr_expect_eq(broker_connector_call(connector, &request), ERR_CONNECT);
    snprintf(expected, sizeof expected,
        "127.0.0.1:%u: connecting: it refuses connections, or there is no route to it; "
        "127.0.0.1:%u: connecting: it refuses connections, or there is no route to it",
        options.addresses[0].port, options.addresses[1].port);
    cr_expect_str_eq(request.ret_detail, expected);
    cr_expect_null(request.ret_link);
    broker_connector_stop(connector);
}

Test(connector, unreadable_credentials_are_named)
{
    struct connector_request request = {.base.kind = CONNECTOR_OPEN_PUBLISHER};
    int fd = add_silent_address();
    snprintf(options.credentials_file, sizeof options.credentials_file, "/nonexistent/credentials");
    start();
    cr_expect_eq(broker_connector_call(connector, &request), ERR_CONFIG);
    cr_expect(strstr(request.ret_detail, "/nonexistent/credentials: No such file"), "%s",
        request.ret_detail);
    broker_connector_stop(connector);
    close(fd);
}

static unsigned answers;
static enum err last_result;

static void on_done(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    answers++;
    last_result = request->base.result;
}

Test(connector, stop_ends_a_login_at_once)
{
    struct connector_request requests[2] = {
        {.base.kind = CONNECTOR_OPEN_PUBLISHER, .base.on_done = on_done},
        {.base.kind = CONNECTOR_CHECK_OWNERSHIP, .base.on_done = on_done}};
    int fd = add_silent_address();
    start();
    for (unsigned i = 0; i < 2; i++)
        broker_connector_submit(connector, &requests[i]);
    int accepted = accept(fd, NULL, NULL);
    char header[8];
    cr_assert_eq(
        recv(accepted, header, sizeof header, MSG_WAITALL), sizeof header, "the login has begun");
    int64_t began_us = clock_mono_us();
    broker_connector_stop(connector);
    cr_expect_lt(clock_mono_us() - began_us, US_PER_SECOND);
    cr_expect_eq(answers, 2);
    cr_expect_eq(last_result, ERR_SHUTTING_DOWN);
    close(accepted);
    close(fd);
}
