/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts librabbitmq's answers to an error of the catalogue and words for an operator. Internal
 * to broker/.
 *
 * A broker refuses with a code (AMQP 0-9-1, and RabbitMQ's own) and a text, in a channel.close or a
 * connection.close. All other failures are of the connection or the library.
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

/* Returns the code and the text of a refusal, or false if the answer is none. The text is valid as
 * long as the answer. */
bool broker_reply_refusal(
    const amqp_rpc_reply_t *reply, uint16_t *ret_code, struct slice *ret_text);

/* The error of a refusal. */
enum err broker_err_from_code(uint16_t code, struct slice text);
/* The error of a status of the library. */
enum err broker_err_from_status(int status);

/* OK for a normal answer. Otherwise `ret_detail` is "<doing>: <why>". */
enum err broker_reply_judge(const amqp_rpc_reply_t *reply, const char *doing,
    char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

#endif
