/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/why.h"

#include "accounts/switches.h"
#include "admin/admin_internal.h"
#include "base/clock.h"
#include "journal/backlog_board.h"
#include "model/delivery_id.h"
#include "model/placement.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES 512

struct answer {
    char text[TEXT_BYTES], remedy[TEXT_BYTES];
    int64_t next_us; /* 0: none is planned */
};

static bool say(struct answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool say(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->text, sizeof answer->text, format, args);
    va_end(args);
    return true;
}

static bool advise(struct answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool advise(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->remedy, sizeof answer->remedy, format, args);
    va_end(args);
    return true;
}

static const struct endpoint *endpoint_of(const struct why_question *question)
{
    const struct admin *admin = question->admin;
    uint64_t id = question->delivery->delivery.endpoint;
    return id && admin->options.accounts
               ? directory_endpoint(accounts_directory(admin->options.accounts), id)
               : NULL;
}

static const struct account *account_of(const struct admin *admin, struct slice id)
{
    return admin->options.accounts
               ? directory_account(accounts_directory(admin->options.accounts), id)
               : NULL;
}

static const char *delivery_id(const struct why_question *question, char ret_id[])
{
    delivery_id_format(
        &question->event->parts.id, placement_index(question->delivery->delivery.id), ret_id);
    return ret_id;
}

/* What holds back a delivery that is to be sent, in the order in which it does. */

static const struct operator_switch *switch_of(const struct why_question *question)
{
    const struct admin_options *options = &question->admin->options;
    const struct delivery *delivery = &question->delivery->delivery;
    const struct event_parts *parts = &question->event->parts;
    return options->accounts
               ? switches_holding(accounts_directory(options->accounts), parts->account,
                     delivery->endpoint, parts->class, delivery->state)
               : NULL;
}

static bool explain_switch(const struct operator_switch *off, struct answer *answer)
{
    char since[CLOCK_TEXT_BYTES], endpoint[ENDPOINT_ID_TEXT_BYTES] = "";
    clock_format_rfc3339(off->since_us, since);
    if (off->endpoint)
        endpoint_id_format(off->endpoint, endpoint);
    advise(answer, "\"penstock switch %s on%s%s%s%s --reason TEXT\"", switch_name(off->kind),
        *off->account ? " --account " : "", off->account, *endpoint ? " --endpoint " : "",
        endpoint);
    return say(answer, "%s are switched off%s%s since %s: %s",
        off->kind == SWITCH_OPTIONAL ? "optional events" : switch_name(off->kind),
        off->endpoint   ? " for this endpoint"
        : *off->account ? " for account "
                        : "",
        off->endpoint ? "" : off->account, since, off->reason);
}

static bool is_stopped(const struct why_question *question, struct answer *answer)
{
    const struct operator_switch *off = switch_of(question);
    if (off)
        return explain_switch(off, answer);
    if (question->journal_refuses)
        return say(answer, "nothing is sent, since the journal cannot record outcomes") &&
               advise(answer, "Check the disk: \"penstock status\" says what is wrong with it");
    return false;
}

static bool is_without_endpoint(const struct why_question *question, struct answer *answer)
{
    const struct endpoint *endpoint = endpoint_of(question);
    char since[CLOCK_TEXT_BYTES] = "", id[ENDPOINT_ID_TEXT_BYTES];
    if (!question->admin->options.accounts)
        return false;
    if (!endpoint)
        return say(answer, "its endpoint was removed: it is about to be parked");
    if (endpoint->enabled)
        return false;
    if (endpoint->disabled_us)
        clock_format_rfc3339(endpoint->disabled_us, since);
    endpoint_id_format(endpoint->id, id);
    return say(answer, "the endpoint is disabled%s%s%s%s", *since ? " since " : "", since,
               *endpoint->disabled_reason ? ": " : "", endpoint->disabled_reason) &&
           advise(answer, "\"penstock endpoint change %s %s --enabled true\"", endpoint->account,
               endpoint->name);
}

static bool is_failing(const struct why_question *question, struct answer *answer)
{
    const struct queue_look_entry *look = question->look;
    char since[CLOCK_TEXT_BYTES];
    if (!look || !look->ret_found || look->ret_breaker == BREAKER_CLOSED)
        return false;
    clock_format_rfc3339(look->ret_failing_since_us, since);
    enum attempt_cause cause = CAUSE_NONE;
    for (unsigned i = 0; i < RECENT_CAUSES && cause == CAUSE_NONE; i++)
        cause = look->ret_causes[i].cause;
    answer->next_us = look->ret_next_probe_us;
    if (cause != CAUSE_NONE)
        advise(answer, "%s", attempt_cause_remedy(cause));
    return say(answer,
        "the endpoint has failed since %s%s%s: its breaker is open, and one delivery at a time "
        "tests whether it is back%s",
        since, cause != CAUSE_NONE ? ", " : "",
        cause != CAUSE_NONE ? attempt_cause_code(cause) : "",
        look->ret_probes_in_flight > 0 ? ". A test is in flight" : "");
}

static bool is_limited(const struct why_question *question, struct answer *answer)
{
    const struct queue_look_entry *look = question->look;
    enum delivery_lane lane = question->delivery->delivery.lane;
    if (!look || !look->ret_found)
        return false;
    if (look->ret_rest_us > 0) {
        answer->next_us = question->now_us + look->ret_rest_us;
        return say(answer, "the client has asked to wait, or this machine lacked a resource");
    }
    if (look->ret_rate_wait_us > 0) {
        answer->next_us = question->now_us + look->ret_rate_wait_us;
        return say(answer,
            "the rate limit of the endpoint holds it back: %.1f attempts per second%s",
            look->ret_rate, look->ret_rate_is_learned ? ", learned from its 429 answers" : "");
    }
    if (look->ret_retries_held && lane == LANE_RETRY)
        return say(answer, "the endpoint fails in part: its retries are held back to a tenth of "
                           "its attempts");
    if (look->ret_in_flight >= look->ret_in_flight_limit)
        return say(answer, "the endpoint has %u attempts in flight, of %u that it may have",
            look->ret_in_flight, look->ret_in_flight_limit);
    return false;
}

/* In the queue of its endpoint, with so many others. */
static bool is_queued(const struct why_question *question, struct answer *answer)
{
    const struct admin_options *options = &question->admin->options;
    const struct delivery *delivery = &question->delivery->delivery;
    int64_t others = 0;
    for (unsigned i = 0; options->journals && i < options->shards; i++) {
        struct backlog_counts counts;
        if (!options->journals[i]->backlog)
            continue;
        backlog_board_read(options->journals[i]->backlog, delivery->endpoint, &counts);
        others +=
            backlog_sum(&counts, delivery->lane == LANE_REPLAY ? BACKLOG_REPLAYS : BACKLOG_PENDING);
    }
    others -= delivery->state == DELIVERY_PENDING && others > 0;
    return say(answer, "it is in the queue of its endpoint, with %lld other %s", (long long)others,
        delivery->lane == LANE_REPLAY ? "replays" : "deliveries");
}

static void explain_unsent(const struct why_question *question, struct answer *answer)
{
    static bool (*const checks[])(const struct why_question *question, struct answer *answer) = {
        is_stopped, is_without_endpoint, is_failing, is_limited, is_queued};
    for (size_t i = 0; i < ARRAY_LENGTH(checks); i++)
        if (checks[i](question, answer))
            return;
}

static void explain_waiting(const struct why_question *question, struct answer *answer)
{
    const struct delivery *delivery = &question->delivery->delivery;
    static const char *const causes[] = {[WAIT_NONE] = "it waits for its next attempt",
        [WAIT_ENDPOINT] = "the endpoint failed: it is sent again when it is due, or as soon as the "
                          "endpoint recovers",
        [WAIT_EVENT] = "the endpoint did not take this event: it is sent again when it is due",
        [WAIT_OURSELVES] = "it could not be sent, which was no attempt of the client: it is sent "
                           "again when it is due"};
    if (delivery->due_us <= question->now_us) {
        explain_unsent(question, answer);
        return;
    }
    if (is_stopped(question, answer) || is_without_endpoint(question, answer))
        return;
    if (delivery->wait_cause == WAIT_ENDPOINT && is_failing(question, answer)) {
        if (answer->next_us == 0 || delivery->due_us < answer->next_us)
            answer->next_us = delivery->due_us;
        return;
    }
    char id[DELIVERY_ID_TEXT_BYTES];
    say(answer, "%s",
        (unsigned)delivery->wait_cause < ARRAY_LENGTH(causes) ? causes[delivery->wait_cause]
                                                              : causes[WAIT_NONE]);
    advise(answer, "To send it now: \"penstock delivery retry %s\"", delivery_id(question, id));
    answer->next_us = delivery->due_us;
}

/* Parked and dead. */

static void explain_unrouted(const struct why_question *question, struct answer *answer)
{
    const struct event_parts *parts = &question->event->parts;
    const struct account *account = account_of(question->admin, parts->account);
    if (!account || account->endpoints_count == 0) {
        say(answer, "the account has no endpoint: it is sent as soon as there is one");
        advise(answer, "\"penstock endpoint add %.*s --url URL\"", SLICE_ARGS(parts->account));
        return;
    }
    say(answer,
        "no endpoint of the account takes events of type %.*s (%u endpoints): it is sent as soon "
        "as one does",
        SLICE_ARGS(parts->type), account->endpoints_count);
    advise(answer, "\"penstock endpoint change %.*s ENDPOINT --types LIST\"",
        SLICE_ARGS(parts->account));
}

static void explain_parked(const struct why_question *question, struct answer *answer)
{
    char id[DELIVERY_ID_TEXT_BYTES];
    delivery_id(question, id);
    switch (question->delivery->reason) {
    case PARK_UNROUTED:
        explain_unrouted(question, answer);
        break;
    case PARK_DISABLED:
        if (!is_without_endpoint(question, answer))
            say(answer, "the endpoint was disabled: it is about to be sent again");
        break;
    case PARK_GONE:
        say(answer, "its endpoint was removed");
        advise(answer, "\"penstock delivery retry %s --to ENDPOINT\"", id);
        break;
    case PARK_AMBIGUOUS:
        say(answer, "it is in doubt: the client may have done the work, and its answer was lost");
        advise(answer,
            "Ask the client, then \"penstock delivery resolve %s --as delivered\", or \"penstock "
            "delivery retry %s --guarded --reason TEXT\"",
            id, id);
        break;
    case PARK_TAKEN_OVER:
        say(answer, "another gateway may have sent it before this one took over");
        advise(answer, "Ask the client, then \"penstock delivery resolve %s --as delivered\"", id);
        break;
    case PARK_CONFLICT:
        say(answer, "another event has its key, and another amount or currency");
        advise(answer, "\"penstock event conflicts\" shows both. Ask the partner");
        break;
    case PARK_DOUBTFUL:
        say(answer, "it may be a duplicate: the record of its key is damaged");
        advise(answer,
            "Ask the client, then \"penstock delivery retry %s --guarded --reason TEXT\"", id);
        break;
    case PARK_DAMAGED:
        say(answer, "its record in the journal is damaged: it cannot be sent");
        advise(
            answer, "Ask the partner to post it again, then \"penstock delivery discard %s\"", id);
        break;
    default:
        say(answer, "it is parked: %s", park_reason_name(question->delivery->reason));
        advise(answer, "\"penstock delivery retry %s\", or discard", id);
        break;
    }
}

json_t *why_view(const struct why_question *question)
{
    struct answer answer = {0};
    char id[DELIVERY_ID_TEXT_BYTES];
    switch (question->delivery->delivery.state) {
    case DELIVERY_PENDING:
        explain_unsent(question, &answer);
        break;
    case DELIVERY_SENDING:
        say(&answer, "it is being sent");
        break;
    case DELIVERY_WAITING:
        explain_waiting(question, &answer);
        break;
    case DELIVERY_PARKED:
        explain_parked(question, &answer);
        break;
    case DELIVERY_DEAD:
        say(&answer, "it is dead after %u attempts: it is not sent again",
            question->delivery->delivery.attempts);
        advise(&answer, "\"penstock delivery retry %s\", or discard", delivery_id(question, id));
        break;
    default:
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o}", "text", answer.text, "next_try_at",
        admin_time(answer.next_us), "remedy", admin_text(slice_from_string(answer.remedy)));
}

json_t *why_filtered(const struct admin *admin, const struct event_parts *parts)
{
    json_t *names = json_array();
    const struct account *account = account_of(admin, parts->account);
    for (unsigned i = 0; account && i < account->endpoints_count; i++) {
        const struct endpoint *endpoint =
            directory_endpoint(accounts_directory(admin->options.accounts), account->endpoints[i]);
        if (endpoint && !endpoint_takes(endpoint, parts->type))
            json_array_append_new(names, json_string(endpoint->name));
    }
    return names;
}
