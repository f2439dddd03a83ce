/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/reply.h"

#include "base/cleanup.h"

#include <amqp_framing.h>
#include <criterion/criterion.h>
#include <stdio.h>

/* Texts of RabbitMQ 3.10. */
static const struct {
    uint16_t code;
    const char *text;
    enum err err;
} refusals[] = {
    {403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
        ERR_PERMISSION},
    {530, "NOT_ALLOWED - vhost nope not found", ERR_PERMISSION},
    {530,
        "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (10) is "
        "reached",
        ERR_UNAVAILABLE},
    {530, "NOT_ALLOWED - access to vhost '/' refused for user 'guest': vhost is down",
        ERR_UNAVAILABLE},
    {406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/'",
        ERR_CONFIG},
    {404, "NOT_FOUND - home node 'a@b' of durable queue 'q' in vhost '/' is down or inaccessible",
        ERR_UNAVAILABLE},
    {541, "INTERNAL_ERROR", ERR_UNAVAILABLE},
    {320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        ERR_UNAVAILABLE},
};

Test(reply, refusals_map_to_errors)
{
    for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
        amqp_channel_close_t channel_close = {
            .reply_code = refusals[i].code, .reply_text = amqp_cstring_bytes(refusals[i].text)};
        amqp_connection_close_t connection_close = {
            .reply_code = refusals[i].code, .reply_text = amqp_cstring_bytes(refusals[i].text)};
        amqp_rpc_reply_t replies[] = {{.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION,
                                          .reply = {AMQP_CHANNEL_CLOSE_METHOD, &channel_close}},
            {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION,
                .reply = {AMQP_CONNECTION_CLOSE_METHOD, &connection_close}}};
        for (size_t j = 0; j < ARRAY_LENGTH(replies); j++) {
            char detail[BROKER_DETAIL_BYTES] = "", expected[BROKER_DETAIL_BYTES];
            snprintf(expected, sizeof expected, "doing: %s", refusals[i].text);
            cr_expect_eq(broker_reply_judge(&replies[j], "doing", detail), refusals[i].err, "%s",
                refusals[i].text);
            cr_expect_str_eq(detail, expected);
        }
    }
}

Test(reply, statuses_of_the_library_map_to_errors)
{
    static const struct {
        int status;
        enum err err;
    } cases[] = {
        {AMQP_STATUS_NO_MEMORY, ERR_NO_MEMORY},
        {AMQP_STATUS_SOCKET_ERROR, ERR_CONNECT},
        {AMQP_STATUS_CONNECTION_CLOSED, ERR_CONNECT},
        {AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED, ERR_CONNECT},
        {AMQP_STATUS_BAD_AMQP_DATA, ERR_CONNECT},
        {AMQP_STATUS_TIMEOUT, ERR_CONNECT_TIMEOUT},
        {AMQP_STATUS_HEARTBEAT_TIMEOUT, ERR_CONNECT_TIMEOUT},
        {AMQP_STATUS_SSL_PEER_VERIFY_FAILED, ERR_TLS},
        {AMQP_STATUS_SSL_CONNECTION_FAILED, ERR_TLS},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char detail[BROKER_DETAIL_BYTES] = "";
        amqp_rpc_reply_t reply = {
            .reply_type = AMQP_RESPONSE_LIBRARY_EXCEPTION, .library_error = cases[i].status};
        cr_expect_eq(broker_reply_judge(&reply, "doing", detail), cases[i].err, "%s", detail);
        cr_expect(strncmp(detail, "doing: ", 7) == 0);
    }
    char untouched[BROKER_DETAIL_BYTES] = "untouched";
    amqp_rpc_reply_t good = {.reply_type = AMQP_RESPONSE_NORMAL};
    cr_expect_eq(broker_reply_judge(&good, "doing", untouched), OK);
    cr_expect_str_eq(untouched, "untouched");
}
