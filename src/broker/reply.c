/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/reply.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <string.h>

static struct slice slice_from_bytes(amqp_bytes_t bytes)
{
    return slice_of(bytes.bytes, bytes.len);
}

bool broker_reply_refusal(const amqp_rpc_reply_t *reply, uint16_t *ret_code, struct slice *ret_text)
{
    if (reply->reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
        return false;
    if (reply->reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = reply->reply.decoded;
        *ret_code = close->reply_code;
        *ret_text = slice_from_bytes(close->reply_text);
        return true;
    }
    if (reply->reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = reply->reply.decoded;
        *ret_code = close->reply_code;
        *ret_text = slice_from_bytes(close->reply_text);
        return true;
    }
    return false;
}

/* RabbitMQ has no code for "not now": a vhost that is down or has too many connections gives the
 * same code as a forbidden one. */
static bool is_passing(struct slice text)
{
    return memmem(text.data, text.len, " limit ", 7) || memmem(text.data, text.len, " is down", 8);
}

enum err broker_err_from_code(uint16_t code, struct slice text)
{
    switch (code) {
    case BROKER_CODE_ACCESS_REFUSED:
        return ERR_PERMISSION;
    case BROKER_CODE_NOT_ALLOWED:
        return is_passing(text) ? ERR_UNAVAILABLE : ERR_PERMISSION;
    case BROKER_CODE_PRECONDITION_FAILED:
        return ERR_CONFIG;
    default:
        return ERR_UNAVAILABLE;
    }
}

enum err broker_err_from_status(int status)
{
    switch (status) {
    case AMQP_STATUS_NO_MEMORY:
        return ERR_NO_MEMORY;
    case AMQP_STATUS_TIMEOUT:
    case AMQP_STATUS_HEARTBEAT_TIMEOUT:
        return ERR_CONNECT_TIMEOUT;
    case AMQP_STATUS_SSL_ERROR:
    case AMQP_STATUS_SSL_CONNECTION_FAILED:
    case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
    case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
        return ERR_TLS;
    default:
        return ERR_CONNECT;
    }
}

enum err broker_reply_judge(
    const amqp_rpc_reply_t *reply, const char *doing, char ret_detail[BROKER_DETAIL_BYTES])
{
    uint16_t code;
    struct slice text;
    if (reply->reply_type == AMQP_RESPONSE_NORMAL)
        return OK;
    if (broker_reply_refusal(reply, &code, &text)) {
        /* The text begins with the code's name: "ACCESS_REFUSED - Login was refused ..." */
        snprintf(ret_detail, BROKER_DETAIL_BYTES, "%s: %.*s", doing, SLICE_ARGS(text));
        return broker_err_from_code(code, text);
    }
    int status = reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                     ? reply->library_error
                     : AMQP_STATUS_UNEXPECTED_STATE;
    snprintf(ret_detail, BROKER_DETAIL_BYTES, "%s: %s", doing, amqp_error_string2(status));
    return broker_err_from_status(status);
}
