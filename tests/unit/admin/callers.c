/* SPDX-License-Identifier: Apache-2.0 */
/* What the listener spends on a caller over HTTP/2: much for the holder of a token, little for a
 * stranger (http/patience.h). */
#include "base/cleanup.h"
#include "unit/admin/fixture.h"
#include "unit/http/fixture.h"

#include <netinet/tcp.h>

#define READONLY "rt_0123456789abcdef"
#define ROUNDS 1000

static void begin(void)
{
    fixture_options = (struct admin_options){.readonly_token = SLICE_LITERAL(READONLY)};
    fixture_begin();
}

TestSuite(callers, .init = begin, .fini = fixture_end);

static int connect_h2(void)
{
    struct fixture server = {0};
    server.address = *fixture_address(&server.address_len);
    int fd = h2_connect(&server);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static const struct h2_field operator_fields[] = {{"authorization", "Bearer " TOKEN}, {0}},
                             reader_fields[] = {{"authorization", "Bearer " READONLY}, {0}},
                             wrong_fields[] = {{"authorization", "Bearer at_wrong"}, {0}};

/* Requests with as many useless frames as an answer to a known caller gives back. Returns how many
 * are answered before the connection is cut. */
static unsigned ask_often(const char *path, const struct h2_field *fields, int status)
{
    AUTO_CLOSE int fd = connect_h2();
    h2_send_frame(fd, H2_WINDOW_UPDATE, 0, 0, "\x7f\0\0\0", 4); /* for all answers */
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned stream = 2 * i + 1;
        for (unsigned frame = 0; frame < 8; frame++)
            h2_send_frame(fd, H2_PRIORITY, 0, stream, "\0\0\0\0\20", 5);
        h2_send_request_with(fd, stream, "GET", path, false, fields);
        int answered = h2_read_status(fd, stream);
        if (answered == 0)
            return i;
        cr_assert_eq(answered, status);
    }
    return ROUNDS;
}

Test(callers, holders_of_a_token_have_credit_for_their_requests)
{
    cr_expect_eq(ask_often("/api/v1/accounts", operator_fields, 200), ROUNDS);
    cr_expect_eq(ask_often("/api/v1/accounts", reader_fields, 200), ROUNDS);
    cr_expect_eq(ask_often("/api/v1/changes?after=0&wait=0", operator_fields, 200), ROUNDS);
}

Test(callers, strangers_have_none)
{
    cr_expect_lt(ask_often("/api/v1/accounts", wrong_fields, 401), ROUNDS);
    cr_expect_lt(ask_often("/livez", NULL, 200), ROUNDS);
}

Test(callers, token_is_judged_before_the_body)
{
    static const char account[] = "{\"id\":\"acc_1\"}";
    AUTO_CLOSE int fd = connect_h2();
    h2_send_request_with(fd, 1, "POST", "/api/v1/accounts", true, wrong_fields);
    cr_expect_eq(h2_read_status(fd, 1), 401);
    h2_send_request_with(fd, 3, "POST", "/api/v1/accounts", true, reader_fields);
    cr_expect_eq(h2_read_status(fd, 3), 403);
    h2_send_request_with(fd, 5, "POST", "/api/v1/accounts", true, operator_fields);
    h2_send_data(fd, 5, account, sizeof account - 1, true);
    cr_expect_eq(h2_read_status(fd, 5), 201);
}
