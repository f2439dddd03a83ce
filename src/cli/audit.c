/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/audit.h"

#include "base/cleanup.h"
#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "cli/table.h"

#include <string.h>
#include <sysexits.h>

static const char *const numbers[] = {
    "deliveries", "delivered", "in_progress", "parked", "dead", "discarded"};

static const struct table_column event_columns[] = {
    {"day"}, {"account"}, {"currency"}, {"events accepted", true}, {"sum", true}, {""}};

static const struct table_column delivery_columns[] = {{"day"}, {"account"}, {"endpoint"},
    {"currency"}, {"deliveries", true}, {"sum", true}, {"delivered", true}, {"sum", true},
    {"in progress", true}, {"sum", true}, {"parked", true}, {"sum", true}, {"dead", true},
    {"sum", true}, {"discarded", true}, {"sum", true}, {""}};

static void add_number(struct table *table, const json_t *row, const char *name)
{
    const json_t *number = json_object_get(row, name);
    char count[32];
    snprintf(count, sizeof count, "%lld", show_number(number, "count"));
    table_add(table, count);
    table_add(
        table, json_is_string(json_object_get(row, "currency")) ? show_text(number, "sum") : "-");
}

static void add_numbers(struct table *table, const json_t *row)
{
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        add_number(table, row, numbers[i]);
}

static void add_verdict(struct table *table, const json_t *row)
{
    table_add(table, json_is_true(json_object_get(row, "adds_up")) ? "" : "DOES NOT ADD UP");
}

/* Begins a row of totals: of an account, or of all accounts. */
static void begin_total(struct table *table, const json_t *total)
{
    const char *account = json_string_value(json_object_get(total, "account"));
    table_add(table, "total");
    table_add(table, account ? account : "");
}

/* Events, each counted once, with any number of endpoints. */
static void print_events(const json_t *audit)
{
    struct table table;
    size_t i;
    json_t *row;
    const json_t *accounts = json_object_get(audit, "accounts"),
                 *totals = json_object_get(audit, "totals");
    table_init(&table, event_columns, ARRAY_LENGTH(event_columns));
    json_array_foreach(json_object_get(audit, "events"), i, row)
    {
        table_add(&table, show_text(row, "day"));
        table_add(&table, show_text(row, "account"));
        table_add(&table, show_text(row, "currency"));
        add_number(&table, row, "accepted");
        add_verdict(&table, row);
    }
    table_add_line(&table);
    for (int all = json_array_size(accounts) > json_array_size(totals) ? 0 : 1; all < 2; all++) {
        json_array_foreach(all ? totals : accounts, i, row)
        {
            begin_total(&table, row);
            table_add(&table, show_text(row, "currency"));
            add_number(&table, row, "accepted");
            table_add(&table, "");
        }
    }
    table_print(&table, stdout);
    table_done(&table);
}

/* Deliveries: one for each event and endpoint. */
static void print_deliveries(const json_t *audit)
{
    struct table table;
    size_t i;
    json_t *row;
    table_init(&table, delivery_columns, ARRAY_LENGTH(delivery_columns));
    json_array_foreach(json_object_get(audit, "rows"), i, row)
    {
        table_add(&table, show_text(row, "day"));
        table_add(&table, show_text(row, "account"));
        table_add(&table, show_endpoint(row));
        table_add(&table, show_text(row, "currency"));
        add_numbers(&table, row);
        add_verdict(&table, row);
    }
    table_add_line(&table);
    json_array_foreach(json_object_get(audit, "totals"), i, row)
    {
        begin_total(&table, row);
        table_add(&table, "");
        table_add(&table, show_text(row, "currency"));
        add_numbers(&table, row);
        table_add(&table, "");
    }
    table_print(&table, stdout);
    table_done(&table);
}

static bool is_empty(const json_t *audit)
{
    return json_array_size(json_object_get(audit, "rows")) == 0 &&
           json_array_size(json_object_get(audit, "events")) == 0;
}

static void print_tables(const json_t *audit)
{
    if (is_empty(audit))
        return;
    puts("Events, each counted once:\n");
    print_events(audit);
    puts("\nDeliveries, one for each event and endpoint:\n");
    print_deliveries(audit);
}

/* The kind of the finding, then whose event it is, then where it was found. */
static void print_finding(const json_t *finding)
{
    const json_t *totals = json_object_get(finding, "totals"),
                 *rows = json_object_get(finding, "rows");
    const char *id = json_is_string(json_object_get(finding, "delivery"))
                         ? show_text(finding, "delivery")
                         : show_text(finding, "event");
    printf("%-16s  %s  %s", show_text(finding, "kind"), id, show_text(finding, "account"));
    if (json_is_string(json_object_get(finding, "amount")))
        printf("  %s %s", show_text(finding, "amount"), show_text(finding, "currency"));
    if (json_is_object(json_object_get(finding, "endpoint")))
        printf("  to %s (%s)", show_endpoint(finding),
            show_text(json_object_get(finding, "endpoint"), "id"));
    if (json_is_string(json_object_get(finding, "accepted_at")))
        printf("  accepted %s", show_text(finding, "accepted_at"));
    else if (json_is_string(json_object_get(finding, "day")))
        printf("  of %s", show_text(finding, "day"));
    if (totals)
        printf("  %s: the totals have %lld %s with the sum %s, the rows have %lld with the sum %s",
            show_text(finding, "currency"), show_number(totals, "count"),
            show_text(finding, "counts"), show_text(totals, "sum"), show_number(rows, "count"),
            show_text(rows, "sum"));
    printf(
        "\n                  %s (%s)\n", show_text(finding, "detail"), show_text(finding, "place"));
}

/* A sentence, so that an empty table does not look like a failure. */
static void print_nothing(const json_t *audit)
{
    static const char *const filters[] = {"account", "from", "to"};
    static const char *const words[] = {"for", "from", "to"};
    printf("complete: nothing was accepted");
    for (size_t i = 0; i < ARRAY_LENGTH(filters); i++)
        if (json_is_string(json_object_get(audit, filters[i])))
            printf(" %s %s", words[i], show_text(audit, filters[i]));
    puts(", and nothing is damaged");
}

static void print_verdict(const json_t *audit)
{
    const json_t *findings = json_object_get(audit, "findings"),
                 *in_broker = json_object_get(audit, "in_broker");
    size_t i;
    json_t *finding;
    bool complete = strcmp(show_text(audit, "verdict"), "complete") == 0;
    if (complete && is_empty(audit)) {
        print_nothing(audit);
        return;
    }
    if (complete) {
        puts("\ncomplete: no accepted event is missing, all sums agree, and nothing is damaged");
        return;
    }
    if (json_is_null(in_broker))
        puts("\nit is unknown how many events are only in the broker: see \"penstock status\"");
    else if (json_integer_value(in_broker) > 0)
        printf("\n%lld accepted events are only in the broker; they are counted here after the "
               "gateway has consumed them\n",
            (long long)json_integer_value(in_broker));
    if (strcmp(show_text(audit, "verdict"), "unfinished") == 0) {
        puts("UNFINISHED: nothing in the journals is missing or damaged; ask again later");
        return;
    }
    long long more = show_number(audit, "findings_more");
    printf("\nINCOMPLETE: %lld findings\n\n", (long long)json_array_size(findings) + more);
    json_array_foreach(findings, i, finding) print_finding(finding);
    if (more > 0)
        printf("and %lld more\n", more);
}

static void print_audit(const json_t *audit)
{
    print_tables(audit);
    print_verdict(audit);
}

int command_audit(const struct invocation *call)
{
    struct buffer path = BUFFER_EMPTY;
    json_t *audit = NULL;
    const char *from = call->flags[FLAG_FROM], *to = call->flags[FLAG_TO];
    if (from && to && strcmp(from, to) > 0) /* days as text are in the order of time */
        return command_fail(ERR_USAGE,
            "audit: --from %s is after --to %s: swap them, or correct one of them", from, to);
    buffer_add_string(&path, "/api/v1/audit");
    request_add_parameters(call, &path);
    enum err err = buffer_status(&path);
    if (!err)
        err = remote_request_long(call, "GET", path.data, &audit);
    buffer_done(&path);
    if (err)
        return err_exit_code(err);
    remote_print(call, audit, print_audit);
    bool complete = strcmp(show_text(audit, "verdict"), "complete") == 0;
    bool unfinished = strcmp(show_text(audit, "verdict"), "unfinished") == 0;
    json_decref(audit);
    return complete ? EX_OK : unfinished ? EX_TEMPFAIL : EX_DATAERR;
}
