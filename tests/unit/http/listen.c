/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "http/server.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>

Test(listen, addresses_are_parsed_or_rejected_with_a_reason)
{
    static const struct {
        const char *text, *url, *problem;
    } cases[] = {
        {"127.0.0.1:8080", "http://127.0.0.1:8080", NULL},
        {"10.1.2.3:65535", "http://10.1.2.3:65535", NULL},
        {"*:8080", "http://127.0.0.1:8080", NULL},
        {"0.0.0.0:80", "http://127.0.0.1:80", NULL},
        {"[::1]:8080", "http://[::1]:8080", NULL},
        {"[::]:8080", "http://[::1]:8080", NULL},
        {"[2001:db8::5]:0", "http://[2001:db8::5]:0", NULL},
        {"", NULL, "ADDRESS:PORT"},
        {"8080", NULL, "ADDRESS:PORT"},
        {":8080", NULL, "ADDRESS:PORT"},
        {"127.0.0.1", NULL, "ADDRESS:PORT"},
        {"127.0.0.1:", NULL, "port"},
        {"127.0.0.1:65536", NULL, "port"},
        {"127.0.0.1:-1", NULL, "port"},
        {"127.0.0.1:+80", NULL, "port"},
        {"127.0.0.1:80x", NULL, "port"},
        {"127.0.0.1: 80", NULL, "port"},
        {"127.0.0.1:000080", NULL, "port"},
        {"127.0.0:80", NULL, "address"},
        {"localhost:80", NULL, "address"},
        {"::1:80", NULL, "address"},
        {"[::1:80", NULL, "address"},
        {"[::1]x:80", NULL, "address"},
        {"[127.0.0.1]:80", NULL, "address"},
        {"[*]:80", NULL, "address"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80", NULL,
            "ADDRESS:PORT"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct sockaddr_storage address;
        socklen_t len;
        const char *problem = NULL;
        bool good = http_parse_address(cases[i].text, &address, &len, &problem);
        cr_assert_eq(good, cases[i].url != NULL, "%s", cases[i].text);
        if (good) {
            char url[64];
            http_base_url(&address, false, url);
            cr_assert_str_eq(url, cases[i].url);
        } else {
            cr_assert(strstr(problem, cases[i].problem), "%s: %s", cases[i].text, problem);
        }
    }
}

static struct sockaddr_storage parsed(const char *text, socklen_t *ret_len)
{
    struct sockaddr_storage address;
    const char *problem;
    cr_assert(http_parse_address(text, &address, ret_len, &problem));
    return address;
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, option, &value, &len), 0);
    return value;
}

Test(listen, port_0_picks_a_port_that_others_can_share)
{
    socklen_t len;
    struct sockaddr_storage address = parsed("127.0.0.1:0", &len);
    int first = -1, second = -1;
    cr_assert_eq(http_listen(&address, len, &first), OK);
    in_port_t port = ((struct sockaddr_in *)&address)->sin_port;
    cr_assert_neq(port, 0);
    cr_assert_eq(http_listen(&address, len, &second), OK);
    cr_assert_eq(((struct sockaddr_in *)&address)->sin_port, port);
    close(first);
    close(second);
}

Test(listen, socket_has_a_bounded_buffer_and_does_not_block)
{
    socklen_t len;
    struct sockaddr_storage address = parsed("127.0.0.1:0", &len);
    int fd = -1;
    cr_assert_eq(http_listen(&address, len, &fd), OK);
    cr_assert_eq(
        socket_option(fd, SO_RCVBUF), 2 * 32 * 1024); /* Linux doubles it for its own use */
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

Test(listen, used_or_foreign_address_is_an_error)
{
    socklen_t len;
    struct sockaddr_storage address = parsed("127.0.0.1:0", &len);
    AUTO_CLOSE int other = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(other, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(getsockname(other, (struct sockaddr *)&address, &len), 0);
    cr_assert_eq(listen(other, 1), 0);
    int fd = -1;
    cr_assert_eq(http_listen(&address, len, &fd), ERR_ADDRESS_IN_USE);
    struct sockaddr_storage nobodys = parsed("192.0.2.1:0", &len);
    cr_assert_eq(http_listen(&nobodys, len, &fd), ERR_ADDRESS_FOREIGN);
    cr_assert_eq(fd, -1);
}

Test(listen, used_address_can_not_be_reserved)
{
    struct sockaddr_storage address;
    socklen_t len;
    const char *problem;
    int fd;
    cr_assert(http_parse_address("127.0.0.1:0", &address, &len, &problem));
    cr_assert_eq(http_listen(&address, len, &fd), OK);
    cr_assert_eq(http_reserve(&address, len), ERR_ADDRESS_IN_USE);
    close(fd);
    cr_assert_eq(http_reserve(&address, len), OK);
}
