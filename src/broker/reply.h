/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What librabbitmq's answers mean: an error of our catalogue, and words for an operator. Internal
 * to broker/.
 *
 * A broker that refuses says so with a number (AMQP 0-9-1, and RabbitMQ's own) and a text, in a
 * channel.close or a connection.close; everything else is the connection's or the library's.
 */
#ifndef PENSTOCK_BROKER_REPLY_H
#define PENSTOCK_BROKER_REPLY_H

#include "base/slice.h"
#include "broker/broker.h"

#include <amqp.h>

#define BROKER_CODE_ACCESS_REFUSED 403
#define BROKER_CODE_NOT_FOUND 404
#define BROKER_CODE_PRECONDITION_FAILED 406
#define BROKER_CODE_NOT_ALLOWED 530

/* The number and the text of a refusal; false when the answer is none. The text is valid as long as
 * the answer. */
bool broker_reply_refusal(
    const amqp_rpc_reply_t *reply, uint16_t *ret_code, struct slice *ret_text);

/* Of a refusal. */
enum err broker_err_from_code(uint16_t code, struct slice text);
/* Of the library. */
enum err broker_err_from_status(int status);

/* OK for a normal answer. Otherwise `ret_detail` says "<doing>: <why>". */
enum err broker_reply_judge(const amqp_rpc_reply_t *reply, const char *doing,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

#endif
