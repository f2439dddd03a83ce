/* SPDX-License-Identifier: Apache-2.0 */
/* Counts and logs refusals (refusals.h), with the address and the partner. */
#include "http/http_internal.h"

void http_note_cut(const struct http_connection *connection, enum refusal_reason reason, int status)
{
    struct refusals *refusals = connection->server->options.refusals;
    uint64_t left_out;
    if (refusals && refusals_count(refusals, reason, clock_mono_us(), &left_out))
        refusals_log(
            &(struct refused){.reason = reason, .status = status, .address = connection->peer.text},
            left_out);
}

/* The server is gone when a handler answers after it. */
void http_note_refusal(struct http_exchange *exchange, const struct http_refused *refused)
{
    if (!exchange->server)
        return;
    const struct http_options *options = &exchange->server->options;
    struct refusals *refusals = options->refusals;
    enum refusal_reason reason = exchange->over_limit;
    uint64_t left_out;
    if (reason == REFUSAL_OTHER)
        reason = refusal_of_error(refused->error);
    if (refusals && refusals_count(refusals, reason, clock_mono_us(), &left_out))
        refusals_log(&(struct refused){.reason = reason,
                         .status = err_http_status(refused->error),
                         .partner = exchange->caller,
                         .address = exchange->peer.text,
                         .request_id = http_request_id(exchange),
                         .pointer = refused->problems && refused->problems->count > 0
                                        ? refused->problems->list[0].pointer
                                        : NULL},
            left_out);
    if (options->on_refused)
        options->on_refused(exchange, refused, options->context);
}
