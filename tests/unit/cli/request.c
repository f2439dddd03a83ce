/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"
#include "cli/remote.h"
#include "cli/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct invocation parse(int argc, char *const *argv)
{
    int used = 0;
    struct invocation call = {0};
    struct buffer complaint = BUFFER_EMPTY;
    const struct command *command = command_find(argc, argv, &used);
    cr_assert_not_null(command);
    cr_assert_eq(command_parse(command, argc - used, argv + used, &call, &complaint), OK, "%s",
        complaint.data);
    buffer_done(&complaint);
    return call;
}

static void expect_body(int argc, char *const *argv, const char *wanted)
{
    struct invocation call = parse(argc, argv);
    json_t *body = NULL;
    cr_assert_eq(request_body(&call, &body), OK);
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    cr_expect_str_eq(text, wanted);
    free(text);
    json_decref(body);
}

#define EXPECT_BODY(wanted, ...) \
    expect_body(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__}, (wanted))

Test(request, body_has_a_member_for_each_flag_that_is_given)
{
    EXPECT_BODY("{}", "partner", "secret", "shop", "--json", "--data", "d");
    EXPECT_BODY("{\"secret\":\"whsec_x\"}", "partner", "secret", "shop", "--secret", "whsec_x");
    EXPECT_BODY("{\"id\":\"acc_1\"}", "account", "add", "acc_1");
    EXPECT_BODY("{\"account\":\"acc_1\"}", "partner", "grant", "shop", "acc_1");
    EXPECT_BODY("{\"enabled\":false,\"final_4xx\":true,\"types\":[\"purchase\",\"lead.*\"]}",
        "endpoint", "change", "acc_1", "ep_1", "--types", "purchase,lead.*", "--enabled=false",
        "--final-4xx", "true");
    EXPECT_BODY("{\"types\":[]}", "endpoint", "change", "acc_1", "ep_1", "--types", "");
    EXPECT_BODY(
        "{\"accounts\":[\"acc_1\"],\"expires_at\":\"2027-01-31T12:00:00Z\",\"label\":\"till "
        "7\",\"types\":[\"lead.*\"]}",
        "partner", "key", "shop", "--label", "till 7", "--types=lead.*", "--accounts", "acc_1",
        "--expires-at", "2027-01-31T12:00:00Z");
    EXPECT_BODY(
        "{\"expires_at\":null}", "partner", "key-change", "shop", "key_1", "--expires-at", "never");
    EXPECT_BODY("{\"enabled\":true,\"rules\":{\"allow_networks\":[],\"bytes_per_second\":\"1MiB\","
                "\"certificate_required\":true,\"certificates\":[\"dns:a.example\"],"
                "\"events_per_second\":0}}",
        "partner", "change", "shop", "--events-per-second", "0", "--bytes-per-second", "1MiB",
        "--allow-networks", "", "--certificates", "dns:a.example", "--certificate-required", "true",
        "--enabled", "true");
    EXPECT_BODY("{\"as\":\"delivered\",\"expect\":\"parked\",\"reason\":\"by phone\"}", "delivery",
        "resolve", "dlv_1", "--as", "delivered", "--expect", "parked", "--reason", "by phone");
    EXPECT_BODY("{\"expect\":\"dead\",\"force\":true}", "delivery", "retry", "dlv_1", "--expect",
        "dead", "--force");
    EXPECT_BODY("{\"account\":\"acc_1\",\"park_reason\":\"ambiguous\",\"rate\":5,\"reason\":\"x\","
                "\"since\":\"2026-01-31T12:00:00.000000Z\",\"type\":\"lead.*\"}",
        "replay", "create", "--account", "acc_1", "--park-reason", "ambiguous", "--rate", "5",
        "--reason", "x", "--since", "2026-01-31T12:00:00Z", "--type", "lead.*");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

Test(request, policy_is_read_from_a_file)
{
    static const struct {
        const char *text, *wanted; /* NULL: refused */
    } cases[] = {
        {"{\"policy\": 1}\n", "{\"policy\":{\"policy\":1}}"},
        {" null ", "{\"policy\":null}"},
        {"{\"rate_max\": 0.5}", "{\"policy\":{\"rate_max\":0.5}}"},
        {"", NULL},
        {"{", NULL},
        {"{\"a\":1,\"a\":2}", NULL},
        {"{} {}", NULL},
    };
    char path[] = "/tmp/penstock-policy-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(path, cases[i].text);
        if (cases[i].wanted) {
            EXPECT_BODY(cases[i].wanted, "endpoint", "change", "acc_1", "ep_1", "--policy", path);
            continue;
        }
        struct invocation call =
            parse(6, (char *[]){"endpoint", "change", "acc_1", "ep_1", "--policy", path});
        json_t *body = NULL;
        cr_expect_eq(request_body(&call, &body), ERR_MALFORMED_JSON, "%s", cases[i].text);
        cr_expect_null(body);
    }
    unlink(path);
    struct invocation call =
        parse(6, (char *[]){"endpoint", "change", "acc_1", "ep_1", "--policy", path});
    json_t *body = NULL;
    cr_expect_eq(request_body(&call, &body), ERR_NOT_FOUND);
}

Test(request, filters_become_parameters)
{
    struct buffer path = BUFFER_EMPTY;
    struct invocation call =
        parse(10, (char *[]){"delivery", "list", "--state", "dead", "--account", "a b&c", "--limit",
                      "5", "--day", "2026-01-31"});
    buffer_add_string(&path, "/x");
    request_add_parameters(&call, &path);
    cr_expect_str_eq(path.data, "/x?day=2026-01-31&account=a%20b%26c&state=dead", "%s", path.data);
    buffer_done(&path);
    call = parse(4, (char *[]){"audit", "--bodies", "--to", "2026-01-31"});
    buffer_add_string(&path, "/x");
    request_add_parameters(&call, &path);
    cr_expect_str_eq(path.data, "/x?to=2026-01-31&bodies=true", "%s", path.data);
    buffer_done(&path);
}

Test(table, columns_are_as_wide_as_their_widest_cell)
{
    static const struct table_column columns[] = {{"name"}, {"n", true}, {"last"}};
    struct table table;
    char text[200];
    FILE *out = fmemopen(text, sizeof text, "w");
    table_init(&table, columns, 3);
    static const char *const cells[] = {"a", "1", "x", "longer", "1000", "y z"};
    for (size_t i = 0; i < 6; i++)
        table_add(&table, cells[i]);
    table_add_line(&table);
    table_print(&table, out);
    fclose(out);
    table_done(&table);
    cr_expect_str_eq(text, "name       n  last\n"
                           "a          1  x\n"
                           "longer  1000  y z\n"
                           "------  ----  ----\n");
}
