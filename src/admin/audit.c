/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/audit: whether the money adds up, and what is lost or damaged (history/audit.h).
 * `accepted` counts each event once. `deliveries` and the states count an event once for each of
 * its endpoints. The answer may be large, so it is written as text, without a tree of objects.
 */
#include "admin/admin_internal.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "history/audit.h"
#include "model/delivery_id.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct journal_audit audit;
    struct admin *admin;
    struct http_exchange *exchange;
};

static const char *const column_names[AUDIT_COLUMNS] = {
    [AUDIT_DELIVERED] = "delivered",
    [AUDIT_IN_PROGRESS] = "in_progress",
    [AUDIT_PARKED] = "parked",
    [AUDIT_DEAD] = "dead",
    [AUDIT_DISCARDED] = "discarded",
};

/* Members. Each begins with its comma, except the first one of an object. */

/* Our texts are ASCII. Other bytes, from a damaged row, become question marks. */
static void add_text(struct buffer *json, const char *comma_and_name, const char *text)
{
    char shown[AUDIT_PLACE_BYTES];
    size_t len = 0;
    for (; text[len] && len < sizeof shown; len++)
        shown[len] = text[len];
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)shown[i] < 0x20 || (unsigned char)shown[i] >= 0x7f)
            shown[i] = '?';
    buffer_add_format(json, "%s:", comma_and_name);
    if (len)
        buffer_add_json_string(json, slice_of(shown, len));
    else
        buffer_add_string(json, "null");
}

static void add_day(struct buffer *json, const char *comma_and_name, int64_t day)
{
    char text[ADMIN_DAY_BYTES] = "";
    if (day >= 0)
        admin_day_text(day, text);
    add_text(json, comma_and_name, text);
}

static void add_number(struct buffer *json, const char *name, const struct audit_number *number)
{
    char sum[MONEY_SUM_TEXT_BYTES];
    money_sum_format(&number->sum, sum);
    buffer_add_format(
        json, ",\"%s\":{\"count\":%lld,\"sum\":\"%s\"}", name, (long long)number->count, sum);
}

/* All deliveries that were accepted, and their states. */
static void add_deliveries(
    struct buffer *json, const struct audit_number *deliveries, const struct audit_number *columns)
{
    add_number(json, "deliveries", deliveries);
    for (int i = 0; i < AUDIT_COLUMNS; i++)
        add_number(json, column_names[i], &columns[i]);
}

static void add_endpoint(
    struct buffer *json, const struct admin *admin, bool has_endpoint, uint64_t id)
{
    char text[ENDPOINT_ID_TEXT_BYTES];
    const struct endpoint *endpoint = NULL;
    buffer_add_string(json, ",\"endpoint\":");
    if (!has_endpoint || id == 0) {
        buffer_add_string(json, "null");
        return;
    }
    endpoint_id_format(id, text);
    if (admin->options.accounts)
        endpoint = directory_endpoint(accounts_directory(admin->options.accounts), id);
    add_text(json, "{\"id\"", text);
    add_text(json, ",\"name\"", endpoint ? endpoint->name : "");
    buffer_add_char(json, '}');
}

static void add_row(struct buffer *json, const struct admin *admin, const struct audit_row *row)
{
    add_day(json, "{\"day\"", row->day);
    add_text(json, ",\"account\"", row->account);
    add_endpoint(json, admin, true, row->endpoint);
    add_text(json, ",\"currency\"", row->currency);
    add_deliveries(json, &row->accepted, row->columns);
    buffer_add_format(json, ",\"adds_up\":%s}", row->adds_up ? "true" : "false");
}

/* The events of a day, account and currency, each counted once. */
static void add_events(struct buffer *json, const struct audit_row *row)
{
    add_day(json, "{\"day\"", row->day);
    add_text(json, ",\"account\"", row->account);
    add_text(json, ",\"currency\"", row->currency);
    add_number(json, "accepted", &row->accepted);
    buffer_add_format(json, ",\"adds_up\":%s}", row->adds_up ? "true" : "false");
}

static void add_totals(struct buffer *json, const char *name, bool by_account,
    const struct audit_total *totals, size_t count)
{
    buffer_add_format(json, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(json, i ? ",{" : "{");
        if (by_account)
            add_text(json, "\"account\"", totals[i].account);
        add_text(json, by_account ? ",\"currency\"" : "\"currency\"", totals[i].currency);
        add_number(json, "accepted", &totals[i].events);
        add_deliveries(json, &totals[i].deliveries, totals[i].columns);
        buffer_add_char(json, '}');
    }
    buffer_add_char(json, ']');
}

static void add_finding(
    struct buffer *json, const struct admin *admin, const struct audit_finding *finding)
{
    char event[EVENT_ID_TEXT_BYTES] = "", delivery[DELIVERY_ID_TEXT_BYTES] = "",
         at[CLOCK_TEXT_BYTES] = "";
    if (finding->has_event)
        event_id_format(&finding->event, event);
    if (finding->has_event && finding->index >= 0)
        delivery_id_format(&finding->event, (unsigned)finding->index, delivery);
    if (finding->accepted_us)
        clock_format_rfc3339(finding->accepted_us, at);
    add_text(json, "{\"kind\"", audit_kind_name(finding->kind));
    add_text(json, ",\"detail\"", audit_kind_meaning(finding->kind));
    add_text(json, ",\"event\"", event);
    add_text(json, ",\"delivery\"", delivery);
    add_text(json, ",\"account\"", finding->account);
    add_day(json, ",\"day\"", finding->day);
    add_text(json, ",\"accepted_at\"", at);
    add_endpoint(json, admin, finding->has_endpoint, finding->endpoint);
    add_text(json, ",\"amount\"", finding->amount);
    add_text(json, ",\"currency\"", finding->currency);
    if (finding->kind == AUDIT_TOTALS || finding->kind == AUDIT_DAMAGED_TOTAL)
        add_text(json, ",\"counts\"", finding->of_events ? "events" : "deliveries");
    if (finding->kind == AUDIT_TOTALS) {
        add_number(json, "totals", &finding->totals);
        add_number(json, "rows", &finding->found);
    }
    add_text(json, ",\"place\"", finding->place);
    buffer_add_char(json, '}');
}

static void print_audit(struct buffer *json, const struct asked *asked)
{
    const struct audit_question *question = &asked->audit.question;
    const struct audit *audit = asked->audit.ret_audit;
    add_day(json, "{\"from\"", question->from_day);
    add_day(json, ",\"to\"", question->to_day == INT64_MAX ? -1 : question->to_day);
    add_text(json, ",\"account\"", question->account);
    /* Events that only the broker holds may be of any day and account. */
    int64_t waiting;
    bool knows = admin_knows_broker(asked->admin, &waiting);
    const char *verdict = !audit_is_complete(audit) ? "incomplete"
                          : knows && waiting == 0   ? "complete"
                                                    : "unfinished";
    add_text(json, ",\"verdict\"", verdict);
    buffer_add_format(
        json, knows ? ",\"in_broker\":%lld" : ",\"in_broker\":null", (long long)waiting);
    add_totals(json, "totals", false, audit->totals, audit->totals_count);
    add_totals(json, "accounts", true, audit->accounts, audit->accounts_count);
    buffer_add_string(json, ",\"events\":[");
    for (size_t i = 0; i < audit->events_count; i++) {
        buffer_add_string(json, i ? "," : "");
        add_events(json, &audit->events[i]);
    }
    buffer_add_string(json, "],\"rows\":[");
    for (size_t i = 0; i < audit->rows_count; i++) {
        buffer_add_string(json, i ? "," : "");
        add_row(json, asked->admin, &audit->rows[i]);
    }
    buffer_add_string(json, "],\"findings\":[");
    for (size_t i = 0; i < audit->findings_count; i++) {
        buffer_add_string(json, i ? "," : "");
        add_finding(json, asked->admin, &audit->findings[i]);
    }
    buffer_add_format(json, "],\"findings_more\":%lld}", (long long)audit->findings_more);
}

static void answer_refusal(const struct asked *asked)
{
    char detail[160], day[ADMIN_DAY_BYTES];
    const char *text = ADMIN_JOURNALS_UNREADABLE;
    enum err result = asked->audit.request.result;
    if (result == ERR_TOO_LARGE)
        text = "The answer has too many rows: ask for fewer days, or for one account.";
    if (result == ERR_OVERLOADED)
        text = "Other audits are running: ask again when they are done.";
    if (result == ERR_UNAVAILABLE && asked->audit.ret_restless_day >= 0) {
        admin_day_text(asked->audit.ret_restless_day, day);
        snprintf(detail, sizeof detail,
            "The events of %s are changing: some expire, or are assigned to an endpoint. Ask "
            "again in a few minutes, or for other days.",
            day);
        text = detail;
    }
    http_answer_problem(asked->exchange, result, text, NULL);
}

/* A mistyped name must not look like an account that is complete. */
static bool is_unknown(const struct asked *asked)
{
    const struct audit *audit = asked->audit.ret_audit;
    return !admin_knows_account(asked->admin, asked->audit.question.account) &&
           audit->rows_count == 0 && audit->events_count == 0 && audit->findings_count == 0;
}

static void on_audited(struct request *request, void *receiver)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, audit.request);
    struct buffer json = BUFFER_EMPTY;
    bool unknown = request->result == OK && is_unknown(asked);
    if (request->result == OK)
        print_audit(&json, asked);
    if (unknown)
        admin_answer_unknown(asked->exchange, "account", asked->audit.question.account);
    else if (request->result)
        answer_refusal(asked);
    else if (buffer_status(&json) != OK)
        http_answer_problem(asked->exchange, ERR_NO_MEMORY, ADMIN_ASK_LATER, NULL);
    else
        http_answer(asked->exchange,
            &(struct http_reply){
                .status = 200, .content_type = "application/json", .body = buffer_slice(&json)});
    buffer_done(&json);
    audit_free(asked->audit.ret_audit);
    free(asked);
}

static bool take_question(struct http_exchange *exchange, struct audit_question *question)
{
    enum { FROM, TO, ACCOUNT, BODIES, PARAMETERS };
    struct admin_parameter parameters[PARAMETERS] = {{"from"}, {"to"}, {"account"}, {"bodies"}};
    if (!admin_take_parameters(exchange, parameters, PARAMETERS) ||
        !admin_take_day(exchange, &parameters[FROM], &question->from_day) ||
        !admin_take_day(exchange, &parameters[TO], &question->to_day) ||
        !admin_take_name(exchange, &parameters[ACCOUNT], question->account))
        return false;
    question->bodies = strcmp(parameters[BODIES].value, "true") == 0;
    if (parameters[BODIES].given && !question->bodies &&
        strcmp(parameters[BODIES].value, "false") != 0)
        admin_refuse_member(exchange, "bodies", "must be true or false");
    else if (question->from_day > question->to_day)
        admin_refuse_member(exchange, "to", "must not be before from");
    else
        return true;
    return false;
}

void admin_get_audit(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct audit_question question = {.from_day = INT64_MIN, .to_day = INT64_MAX};
    if (!admin_authenticate(admin, exchange) || !take_question(exchange, &question))
        return;
    struct asked *asked;
    MEMORY_NEW(asked);
    asked->admin = admin;
    asked->exchange = exchange;
    asked->audit.question = question;
    asked->audit.request.reply_to = &admin->mailbox;
    asked->audit.request.on_done = on_audited;
    journal_reader_audit(admin->options.reader, &asked->audit);
}
