/* SPDX-License-Identifier: Apache-2.0 */
#include "common/run_log.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];

static void begin(void)
{
    strcpy(path, "/tmp/run-log-XXXXXX");
    close(mkstemp(path));
}

static void end(void)
{
    unlink(path);
}

TestSuite(run_log, .init = begin, .fini = end);

static void write_two(void)
{
    struct run_log *log;
    cr_assert_eq(run_log_create(path, LOAD_LOG, "r7", sizeof(struct load_record), &log), OK);
    run_log_write(log, &(struct load_record){.number = 1, .status = 200});
    run_log_write(log, &(struct load_record){.number = 2, .status = 503});
    cr_assert_eq(run_log_close(log), OK);
}

Test(run_log, what_was_written_is_read)
{
    struct run_log_view view;
    write_two();
    cr_assert_eq(run_log_open(path, LOAD_LOG, sizeof(struct load_record), &view), OK);
    const struct load_record *records = view.records;
    cr_assert_eq(view.count, 2);
    cr_assert_str_eq(view.run, "r7");
    cr_assert_eq(records[1].number, 2);
    cr_assert_eq(records[1].status, 503);
    run_log_view_done(&view);
}

Test(run_log, a_record_that_was_cut_off_does_not_count)
{
    struct run_log_view view;
    write_two();
    cr_assert_eq(truncate(path, (off_t)(40 + 2 * sizeof(struct load_record) - 1)), 0);
    cr_assert_eq(run_log_open(path, LOAD_LOG, sizeof(struct load_record), &view), OK);
    cr_assert_eq(view.count, 1);
    run_log_view_done(&view);
}

Test(run_log, what_is_no_log_of_this_kind_is_refused)
{
    struct run_log_view view;
    write_two();
    cr_assert_eq(run_log_open(path, SINK_LOG, sizeof(struct load_record), &view), ERR_DAMAGED);
    cr_assert_eq(run_log_open(path, LOAD_LOG, sizeof(struct load_record) + 8, &view), ERR_DAMAGED);
    cr_assert_eq(run_log_open("/nowhere/at/all", LOAD_LOG, 1, &view), ERR_NOT_FOUND);
    cr_assert_eq(truncate(path, 8), 0);
    cr_assert_eq(run_log_open(path, LOAD_LOG, sizeof(struct load_record), &view), ERR_DAMAGED);
}

Test(run_log, money_and_number_are_read_as_the_generator_writes_them)
{
    static const struct {
        const char *body;
        bool found;
        int64_t micros;
    } cases[] = {{"{\"amount\":\"12.34\",\"currency\":\"EUR\"}", true, 12340000},
        {"{\"amount\":\"-0.5\",\"currency\":\"EUR\"}", true, -500000},
        {"{\"amount\":\"7\",\"currency\":\"EUR\"}", true, 7000000},
        {"{\"amount\":\"0.000001\",\"currency\":\"EUR\"}", true, 1},
        {"{\"amount\":\"1e3\",\"currency\":\"EUR\"}", false, 0},
        {"{\"amount\":\"12.34\"}", false, 0}, {"", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t micros;
        char currency[CURRENCY_TEXT_BYTES];
        struct slice body = slice_from_string(cases[i].body);
        cr_expect_eq(run_log_money(body, &micros, currency), cases[i].found, "%s", cases[i].body);
        cr_expect_eq(micros, cases[i].micros, "%s", cases[i].body);
    }
    cr_expect_eq(run_log_number(SLICE_LITERAL("{\"id\":\"r7-42\"}"), "r7"), 42);
    cr_expect_eq(run_log_number(SLICE_LITERAL("{\"id\":\"r7\"}"), "r7"), RUN_NO_NUMBER);
    cr_expect_eq(run_log_number(SLICE_LITERAL("{\"id\":\"r7-\"}"), "r7"), RUN_NO_NUMBER);
    cr_expect_eq(run_log_number(SLICE_LITERAL("{}"), ""), RUN_NO_NUMBER);
}
