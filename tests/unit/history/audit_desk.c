/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/history/audit_desk.h"
#include "model/placement.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct audit_question everything(void)
{
    return (struct audit_question){.from_day = INT64_MIN, .to_day = INT64_MAX};
}

struct audit_run *audit_begin(struct shelf *shelf, struct audit_question question)
{
    struct audit_run *run;
    cr_assert(audit_run_new(&question, shelf->directory, 1, &run) == OK);
    return run;
}

bool audit_step(struct audit_run *run, enum err *ret_result, struct audit **ret_audit)
{
    bool more = false;
    int64_t pause_us;
    *ret_result = audit_run_step(run, &more, &pause_us, ret_audit);
    return *ret_result == OK && more;
}

enum err audit_end(struct audit_run *run, struct audit **ret_audit)
{
    enum err result;
    while (audit_step(run, &result, ret_audit))
        ;
    audit_run_free(run);
    return result;
}

struct audit *audit_of(struct shelf *shelf, struct audit_question question)
{
    struct audit *audit = NULL;
    enum err result = audit_end(audit_begin(shelf, question), &audit);
    cr_assert(result == OK, "%s", err_name(result));
    return audit;
}

const struct audit_row *audit_row_of(const struct audit *audit, int64_t day, const char *account,
    uint64_t endpoint, const char *currency)
{
    for (size_t i = 0; i < audit->rows_count; i++) {
        const struct audit_row *row = &audit->rows[i];
        if (row->day == day && strcmp(row->account, account) == 0 && row->endpoint == endpoint &&
            strcmp(row->currency, currency) == 0)
            return row;
    }
    cr_assert(false, "no row of day %lld, %s, endpoint %llu, \"%s\"", (long long)day, account,
        (unsigned long long)endpoint, currency);
    return NULL;
}

const struct audit_finding *audit_finding_of_kind(const struct audit *audit, enum audit_kind kind)
{
    for (size_t i = 0; i < audit->findings_count; i++)
        if (audit->findings[i].kind == kind)
            return &audit->findings[i];
    return NULL;
}

void cr_expect_number(struct audit_number number, int64_t count, const char *sum)
{
    char text[MONEY_SUM_TEXT_BYTES];
    money_sum_format(&number.sum, text);
    cr_expect(number.count == count && strcmp(text, sum) == 0, "%lld of %s instead of %lld of %s",
        (long long)number.count, text, (long long)count, sum);
}

void write_totals(struct shelf *shelf)
{
    shelf_begin(shelf);
    totals_demand(&shelf->store.totals);
    shelf_commit(shelf);
}

void shelf_action(
    struct shelf *shelf, int64_t seq, enum delivery_state from, enum delivery_state to)
{
    struct journal_operator_action action = {.request.kind = JOURNAL_OPERATOR_ACTION,
        .event = shelf_id_of(shelf, seq),
        .from = from,
        .to = to,
        .note = "as agreed",
        .expected_endpoint = 1};
    shelf_begin(shelf);
    cr_assert(store_action(&shelf->store, &action.request) == OK && action.request.result == OK);
    shelf_commit(shelf);
}

void shelf_attempt(struct shelf *shelf, int64_t seq, unsigned index, enum delivery_state to)
{
    struct journal_record order = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .from = DELIVERY_PENDING,
        .to = to,
        .failures = 1,
        .has_attempt = true,
        .attempt = {.number = 1,
            .started_us = 7,
            .end = {.http_status = 500},
            .excerpt_len = 2,
            .excerpt = "no"}};
    shelf_begin(shelf);
    cr_assert(
        store_record_outcome(&shelf->store, &order.request) == OK && order.request.result == OK);
    shelf_commit(shelf);
}

void shelf_conflict(struct shelf *shelf, int64_t first_seq)
{
    struct event_id first = shelf_id_of(shelf, first_seq);
    struct event event = {.parts = {.partner = SLICE_LITERAL("p"),
                              .account = SLICE_LITERAL("acc_1"),
                              .type = SLICE_LITERAL("purchase"),
                              .key = SLICE_LITERAL("k1"),
                              .amount = SLICE_LITERAL("9.99"),
                              .currency = SLICE_LITERAL("EUR"),
                              .body = SLICE_LITERAL("{}")}};
    bool is_new;
    shelf_begin(shelf);
    cr_assert(conflict_rows_add(
                  &shelf->store.conflicts, &first, 20500 * US_PER_DAY, &event, &is_new) == OK &&
              is_new);
    shelf_commit(shelf);
}

void shelf_route(struct shelf *shelf, int64_t seq, uint64_t endpoint)
{
    const struct journal_routing way = {placement_first_delivery(seq), endpoint};
    struct journal_route route = {.request.kind = JOURNAL_ROUTE, .count = 1, .routings = &way};
    shelf_begin(shelf);
    cr_assert(store_route(&shelf->store, &route.request) == OK && route.ret_count == 1);
    shelf_commit(shelf);
}
