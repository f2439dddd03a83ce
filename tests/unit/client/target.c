/* SPDX-License-Identifier: Apache-2.0 */
#include "client/target.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "client/client.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

static enum err parse(
    const char *text, bool allow_http, struct target *ret_target, const char **ret_problem)
{
    CURLU *url = curl_url();
    enum err e = target_parse(url, text, allow_http, ret_target, ret_problem);
    curl_url_cleanup(url);
    return e;
}

/* Prints "host port" or "address port". */
static void print(const struct target *target, char *ret_text, size_t room)
{
    char address[INET6_ADDRSTRLEN] = "";
    if (target->address.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &target->address.ipv4.sin_addr, address, sizeof address);
    if (target->address.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &target->address.ipv6.sin6_addr, address, sizeof address);
    snprintf(ret_text, room, "%s%s %u", target->host, address, target->port);
}

Test(target, hosts_ports_and_addresses_are_read_in_any_spelling)
{
    static const struct {
        const char *url, *expected;
    } cases[] = {
        {"https://example.com", "example.com 443"},
        {"https://EXAMPLE.com/Hook?x=%20y#z", "example.com 443"},
        {"http://a-b_c.example.com:8080/", "a-b_c.example.com 8080"},
        {"http://localhost", "localhost 80"},
        {"https://192.0.2.7:65535/", "192.0.2.7 65535"},
        {"https://127.1/", "127.0.0.1 443"},
        {"https://2130706433/", "127.0.0.1 443"},
        {"https://0x7f.0.0.1/", "127.0.0.1 443"},
        {"https://0177.0.0.1/", "127.0.0.1 443"},
        {"https://%31%32%37.0.0.1/", "127.0.0.1 443"},
        {"https://ex%61mple.com/", "example.com 443"},
        {"https://[::1]:8443/", "::1 8443"},
        {"https://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1 443"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct target target;
        const char *problem = "";
        char text[400] = "";
        cr_expect_eq(
            parse(cases[i].url, true, &target, &problem), OK, "%s: %s", cases[i].url, problem);
        print(&target, text, sizeof text);
        cr_expect_str_eq(text, cases[i].expected, "%s", cases[i].url);
    }
}

Test(target, other_urls_are_rejected_with_a_reason)
{
    static const struct {
        const char *url, *problem;
    } cases[] = {
        {NULL, "must be at most"},
        {"", "must be"},
        {"example.com", "must begin with https://"},
        {"/hook", "must begin with https://"},
        {"ftp://example.com/", "must begin with https://"},
        {"file:///etc/passwd", "must begin with https://"},
        {"gopher://example.com/", "must begin with https://"},
        {"nonsense://example.com/", "must begin with https://"},
        {"https://user@example.com/", "must not contain a user name"},
        {"https://user:secret@example.com/", "must not contain a user name"},
        {"https://example.com:0/", "must have a port"},
        {"https://example.com:65536/", "must be a valid URL"},
        {"https://example.com:x/", "must be a valid URL"},
        {"https:///hook", "must begin with https:// and a host"},
        {"https:/example.com", "must begin with https:// and a host"},
        {" https://example.com", "must begin with https:// and a host"},
        {"https://", "must be a valid URL"},
        {"https://?x", "must be a valid URL"},
        {"https://example.com/a b", "must be a valid URL"},
        {"https://example.com/a\r\nx: y", "must be a valid URL"},
        {"https://example.com./", "must have a host"},
        {"https://-example.com/", "must have a host"},
        {"https://b\303\274cher.example/", "must have a host"},
        {"https://ex%2dample%00.com/", "must be a valid URL"},
        {"https://[fe80::1%25eth0]/", "must not have a zone"},
        {"https://[::1/", "must be a valid URL"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct target target;
        const char *problem = "";
        cr_expect_eq(parse(cases[i].url, true, &target, &problem), ERR_URL, "%s", cases[i].url);
        cr_expect(strncmp(problem, cases[i].problem, strlen(cases[i].problem)) == 0, "%s: %s",
            cases[i].url, problem);
    }
}

Test(target, length_of_hosts_and_urls_is_limited)
{
    char url[URL_BYTES_MAX + 20];
    struct target target;
    const char *problem = "";
    size_t scheme = (size_t)sprintf(url, "https://");
    memset(url + scheme, 'a', HOST_BYTES_MAX + 1);
    url[scheme + HOST_BYTES_MAX] = '\0';
    cr_expect_eq(parse(url, false, &target, &problem), OK, "%s", problem);
    url[scheme + HOST_BYTES_MAX] = 'a';
    url[scheme + HOST_BYTES_MAX + 1] = '\0';
    cr_expect_eq(parse(url, false, &target, &problem), ERR_URL);
    scheme = (size_t)sprintf(url, "https://example.com/");
    memset(url + scheme, 'a', sizeof url - scheme);
    url[URL_BYTES_MAX] = '\0';
    cr_expect_eq(parse(url, false, &target, &problem), OK, "%s", problem);
    url[URL_BYTES_MAX] = 'a';
    url[URL_BYTES_MAX + 1] = '\0';
    cr_expect_eq(parse(url, false, &target, &problem), ERR_URL);
}

Test(client_check_url, agrees_with_client_send)
{
    static const struct {
        const char *url;
        bool allow_http;
        enum err expected;
    } cases[] = {
        {"https://example.com/", false, OK},
        {"http://example.com/", false, ERR_URL},
        {"http://example.com/", true, OK},
        {"https://8.8.8.8/", false, OK},
        {"https://127.0.0.1/", false, OK}, /* allowed below */
        {"https://10.0.0.1/", false, ERR_URL},
        {"https://2852039166/", false, ERR_URL}, /* 169.254.169.254 */
        {"https://[::ffff:10.0.0.1]/", false, ERR_URL},
        {"https://[::1]/", false, ERR_URL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct client_options options = {
            .allow_http = cases[i].allow_http, .guard.allowed_count = 1};
        cr_assert(network_parse(SLICE_LITERAL("127.0.0.0/8"), &options.guard.allowed[0]));
        const char *problem = NULL;
        cr_expect_eq(client_check_url(&options, cases[i].url, &problem), cases[i].expected, "%s",
            cases[i].url);
        cr_expect_eq(problem != NULL, cases[i].expected != OK, "%s", cases[i].url);
    }
}
