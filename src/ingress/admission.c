/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends a request, what a partner may post now, and what it is answered if that is too much. */
#include "base/clock.h"
#include "ingress/ingress_internal.h"

#include <stdio.h>

/* Retry-After is spread, so that the clients of a partner do not return together. */
#define SPREAD_S 3

static void show_limits(struct http_exchange *exchange, const struct partner_taking *taking)
{
    char policy[PARTNER_LIMITS_FIELD_BYTES], left[PARTNER_LIMITS_FIELD_BYTES];
    partner_limits_print(taking, policy, left);
    http_set_header(exchange, "ratelimit-policy", policy);
    http_set_header(exchange, "ratelimit", left);
}

/* Takes what the partner posts, and adds the fields of its limits to the answer. */
static void take(struct ingress *ingress, struct http_exchange *exchange,
    const struct partner *partner, unsigned events, size_t bytes, struct partner_taking *ret_taking)
{
    *ret_taking = (struct partner_taking){.events = events};
    if (ingress->options.partner_limits &&
        partner_limits_take(ingress->options.partner_limits, partner->id, &partner->rules, events,
            bytes, clock_mono_us(), ret_taking))
        show_limits(exchange, ret_taking);
}

/* What Content-Length says, so that a request can be refused before its body arrives. Without it,
 * the bytes that have arrived. */
static size_t body_bytes(const struct http_exchange *exchange)
{
    struct slice told = http_header(exchange, "content-length");
    uint64_t bytes = 0;
    if (told.len == 0 || told.len > 18)
        return http_body(exchange).len;
    for (size_t i = 0; i < told.len; i++) {
        if (told.data[i] < '0' || told.data[i] > '9')
            return http_body(exchange).len;
        bytes = bytes * 10 + (uint64_t)(told.data[i] - '0');
    }
    return bytes;
}

static enum err refuse_taking(const struct partner_taking *taking, struct refusal *ret_refusal)
{
    static const char *const names[PARTNER_LIMITS] = {[PARTNER_LIMIT_EVENTS] = "events",
        [PARTNER_LIMIT_BYTES] = "bytes",
        [PARTNER_LIMIT_LOOKUPS] = "look-ups"};
    return refuse(ret_refusal, ERR_RATE_LIMITED,
        "Your limit of %llu %s per second is used up. Send it again in %u s, or ask the operator "
        "for a higher limit.",
        (unsigned long long)taking->rate, names[taking->limit], taking->retry_after_s);
}

static bool answer_if_refused(struct http_exchange *exchange, const struct partner_taking *taking)
{
    struct refusal refusal;
    char seconds[16];
    if (!taking->is_refused)
        return false;
    enum err failed = refuse_taking(taking, &refusal);
    /* Not earlier than `t` of RateLimit (section 6 of the draft). */
    snprintf(seconds, sizeof seconds, "%u",
        taking->retry_after_s + (unsigned)(http_received_mono_us(exchange) % SPREAD_S));
    http_set_header(exchange, "retry-after", seconds);
    if (taking->limit != PARTNER_LIMIT_LOOKUPS)
        result_count_refused(failed);
    http_answer_refusal(exchange, &refusal);
    return true;
}

bool ingress_take_event(
    struct ingress *ingress, struct http_exchange *exchange, const struct partner *partner)
{
    struct partner_taking taking;
    take(ingress, exchange, partner, 1, body_bytes(exchange), &taking);
    return !answer_if_refused(exchange, &taking);
}

/* A batch takes its bytes. Its events are taken when their number is known; one must be left. */
static bool take_batch(
    struct ingress *ingress, struct http_exchange *exchange, const struct partner *partner)
{
    struct partner_taking taking;
    take(ingress, exchange, partner, 0, body_bytes(exchange), &taking);
    return !answer_if_refused(exchange, &taking);
}

/* Each look-up may read a journal. */
static bool take_lookup(
    struct ingress *ingress, struct http_exchange *exchange, const struct partner *partner)
{
    struct partner_taking taking;
    if (!ingress->options.partner_limits ||
        !partner_limits_take_lookup(ingress->options.partner_limits, partner->id, &partner->rules,
            clock_mono_us(), &taking))
        return true;
    show_limits(exchange, &taking);
    return !answer_if_refused(exchange, &taking);
}

static void remember(
    struct ingress *ingress, const struct http_exchange *exchange, const struct caller *caller)
{
    ingress->admitted.exchange = exchange;
    ingress->admitted.turn = http_turn(exchange);
    ingress->admitted.caller = *caller;
}

void ingress_admit_event(struct http_exchange *exchange, void *context)
{
    struct caller caller;
    if (ingress_authenticate(context, exchange, &caller) &&
        ingress_is_switched_on(context, exchange) &&
        ingress_take_event(context, exchange, caller.partner))
        remember(context, exchange, &caller);
}

void ingress_admit_batch(struct http_exchange *exchange, void *context)
{
    struct caller caller;
    if (ingress_authenticate(context, exchange, &caller) &&
        ingress_is_switched_on(context, exchange) && take_batch(context, exchange, caller.partner))
        remember(context, exchange, &caller);
}

void ingress_admit_get(struct http_exchange *exchange, void *context)
{
    struct caller caller;
    if (ingress_authenticate(context, exchange, &caller) &&
        take_lookup(context, exchange, caller.partner))
        remember(context, exchange, &caller);
}

/*
 * The directory's objects are valid in one turn only. A small body usually arrives in the turn of
 * its head, so the caller is still there. Otherwise it is found again.
 */
bool ingress_admitted(
    struct ingress *ingress, struct http_exchange *exchange, struct caller *ret_caller)
{
    if (ingress->admitted.exchange == exchange && ingress->admitted.turn == http_turn(exchange))
        *ret_caller = ingress->admitted.caller;
    else if (!ingress_authenticate(ingress, exchange, ret_caller))
        return false;
    if (ingress->options.partner_limits && !http_header(exchange, "content-length").data)
        partner_limits_owe(ingress->options.partner_limits, ret_caller->partner->id,
            &ret_caller->partner->rules, http_body(exchange).len, clock_mono_us());
    return true;
}

unsigned ingress_take_items(struct ingress *ingress, struct http_exchange *exchange,
    const struct partner *partner, unsigned items, struct refusal *ret_refusal)
{
    struct partner_taking taking;
    take(ingress, exchange, partner, items, 0, &taking);
    if (taking.events < items)
        (void)refuse_taking(&taking, ret_refusal);
    return taking.events;
}
