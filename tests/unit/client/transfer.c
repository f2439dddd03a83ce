/* SPDX-License-Identifier: Apache-2.0 */
/* The two checks behind the pin: what happens if libcurl gets an address that is not allowed, or
 * none. */
#include "client/transfer.h"

#include "client/explain.h"

#include "unit/client/fixture.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

static struct server server;
static struct loop loop;
static struct client_options options;
static struct client_request request;
static struct client_transfer *transfer;
static char url[64];

static const struct reply ok_empty = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", THEN_KEEP};

static void add(struct address_set *set, const char *text)
{
    union address *address = &set->items[set->count++];
    if (inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1) {
        address->any.sa_family = AF_INET;
    } else {
        cr_assert(inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1);
        address->any.sa_family = AF_INET6;
    }
}

/* A transfer for localhost, which libcurl could resolve itself. Only 127.0.0.1 is allowed. */
static void start(void)
{
    server_start(&server, &ok_empty, 1);
    options = (struct client_options){.allow_http = true, .guard.allowed_count = 1};
    cr_assert(network_parse(SLICE_LITERAL("127.0.0.1"), &options.guard.allowed[0]));
    cr_assert(loop_init(&loop) == OK);
    transfer = transfer_new(NULL, &loop, &options);
    snprintf(url, sizeof url, "http://Localhost:%u/", server.port);
    request = (struct client_request){
        .url = url, .connect_timeout_us = 10000000, .answer_timeout_us = 10000000};
    cr_assert(transfer_aim(transfer, &request) == OK);
}

static void stop(void)
{
    transfer_report(transfer, OK);
    transfer_free(transfer);
    loop_done(&loop);
    server_stop(&server);
}

static enum err perform(void)
{
    cr_assert(transfer_load(transfer) == OK);
    CURLcode code = curl_easy_perform(transfer->easy);
    return code == CURLE_OK ? OK : explain_result(transfer, code);
}

Test(transfer, only_allowed_addresses_are_pinned)
{
    start();
    struct address_set addresses = {.route = 7};
    add(&addresses, "10.0.0.1");
    add(&addresses, "169.254.169.254");
    add(&addresses, "::1");
    cr_expect_eq(route_pin(transfer, &addresses), ERR_ADDRESS_REFUSED);
    add(&addresses, "127.0.0.1");
    add(&addresses, "fd00::1");
    add(&addresses, "2a00:1450:4001:aaaa:bbbb:cccc:dddd:eeee");
    cr_expect_eq(route_pin(transfer, &addresses), OK);
    char expected[128];
    snprintf(expected, sizeof expected,
        "7.route.invalid:%u:127.0.0.1,[2a00:1450:4001:aaaa:bbbb:cccc:dddd:eeee]", server.port);
    cr_expect_str_eq(transfer->pin, expected);
    stop();
}

Test(transfer, connects_to_the_pinned_address)
{
    start();
    struct address_set addresses = {.count = 0};
    add(&addresses, "127.0.0.1");
    cr_assert(route_pin(transfer, &addresses) == OK);
    cr_expect_eq(perform(), OK);
    cr_expect(transfer->answered);
    cr_expect_eq(transfer->status, 200);
    stop();
}

Test(transfer, no_socket_is_opened_to_a_rejected_address)
{
    start();
    snprintf(transfer->pin, sizeof transfer->pin, "localhost:%u:127.0.0.2", server.port);
    cr_expect_eq(perform(), ERR_ADDRESS_REFUSED);
    cr_expect(transfer->address_refused);
    stop();
}

Test(transfer, libcurl_resolves_nothing_by_itself)
{
    start();
    transfer->pin[0] = '\0';
    cr_expect_eq(perform(), ERR_NAME_LOOKUP);
    cr_expect_eq(server.connections, 0);
    stop();
}
