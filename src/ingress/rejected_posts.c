/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists what is rejected of the posts of a known partner (http/rejections.h). All refusals pass
 * here: of a head, of a body, of an event, of an item of a batch, and those that the queue gives.
 *
 * A request is of a partner when its caller was identified. Two more are listed: a caller with good
 * credentials who was turned away (address, certificate, expired key, disabled partner), and a body
 * that is too large by its Content-Length, which is refused before the caller is looked for.
 */
#include "base/clock.h"
#include "http/rejections.h"
#include "ingress/ingress_internal.h"
#include "model/event_fields.h"

#include <stdio.h>

/* NULL: nobody knows whose it is. */
static const char *find_partner(struct ingress *ingress, const struct http_exchange *exchange,
    const struct http_refused *refused)
{
    if (*http_caller(exchange))
        return http_caller(exchange);
    bool is_turned_away = ingress->turned_away.exchange == exchange &&
                          ingress->turned_away.turn == http_turn(exchange);
    ingress->turned_away.exchange = NULL; /* another exchange may get its address */
    if (is_turned_away)
        return ingress->turned_away.partner;
    if (refused->error != ERR_TOO_LARGE)
        return NULL;
    const struct partner *partner = caller_of_key(ingress, exchange);
    return partner ? partner->id : NULL;
}

/* An event that is wrong in one field may still say what it is for. */
static void read_event(
    const struct ingress *ingress, struct slice body, struct rejection *rejection)
{
    struct event_fields fields;
    struct refusal ignored;
    if (body.len == 0 || body.len > EVENT_BYTES_MAX)
        return;
    (void)!event_fields_parse(&ingress->options.seed, body, SLICE_LITERAL(""), &fields, &ignored);
    snprintf(rejection->account, sizeof rejection->account, "%.*s",
        SLICE_ARGS(FIELD_SLICE(fields.account)));
    snprintf(rejection->type, sizeof rejection->type, "%.*s", SLICE_ARGS(FIELD_SLICE(fields.type)));
}

static void list(struct ingress *ingress, const struct http_exchange *exchange,
    const struct http_refused *refused, const char *partner, enum refusal_reason reason)
{
    struct slice body = refused->body.data ? refused->body : http_body(exchange);
    const struct field_problems *problems = refused->problems;
    struct rejection rejection;
    memset(&rejection, 0, sizeof rejection);
    rejection.at_us = clock_wall_us();
    rejection.error = refused->error;
    snprintf(rejection.request_id, sizeof rejection.request_id, "%s", http_request_id(exchange));
    snprintf(rejection.address, sizeof rejection.address, "%s", http_peer(exchange)->text);
    rejection_set_detail(&rejection, refused->detail ? refused->detail : err_title(refused->error));
    for (unsigned i = 0; problems && i < problems->count; i++)
        rejection_add_problem(&rejection, problems->list[i].pointer, problems->list[i].detail);
    rejection_set_body(&rejection, body);
    read_event(ingress, body, &rejection);
    rejections_add(ingress->options.rejections, partner, reason, &rejection);
}

void ingress_on_refused(
    struct http_exchange *exchange, const struct http_refused *refused, void *context)
{
    struct ingress *ingress = context;
    enum refusal_reason reason = refusal_of_error(refused->error);
    const char *partner = http_is_post(exchange) ? find_partner(ingress, exchange, refused) : NULL;
    if (partner && rejections_take(ingress->options.rejections, partner, reason, clock_mono_us()))
        list(ingress, exchange, refused, partner, reason);
}
