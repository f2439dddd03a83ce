/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the reports, and other input and output. */
#include "unit/bench/verdict_fixture.h"

#include "base/cleanup.h"
#include "verdict/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

Test(verdict_output, levels_are_set_by_name_and_refused_with_what_is_expected)
{
    static const struct {
        const char *text, *problem;
        enum level level;
        double value;
    } cases[] = {
        {"duplicates_max=12", NULL, LEVEL_DUPLICATES_MAX, 12},
        {"delivered_share=99%", NULL, LEVEL_DELIVERED_SHARE, 0.99},
        {"delivered_share=0.5", NULL, LEVEL_DELIVERED_SHARE, 0.5},
        {"answer_max=250ms", NULL, LEVEL_ANSWER_MAX, 250000},
        {"answer_max=none", NULL, LEVEL_ANSWER_MAX, -1},
        {"answer_max=250", "a duration is expected", 0, 0},
        {"delivered_share=1.5", "a share is expected", 0, 0},
        {"delivered_share=nan", "a share is expected", 0, 0},
        {"duplicates_max=-1", "a count is expected", 0, 0},
        {"duplicates_max", "NAME=VALUE", 0, 0},
        {"duplicates=1", "the level does not exist", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct levels levels;
        const char *problem = NULL;
        levels_init(&levels);
        bool set = levels_set(&levels, cases[i].text, &problem);
        cr_expect_eq(set, cases[i].problem == NULL, "%s", cases[i].text);
        if (!set)
            cr_expect(strstr(problem, cases[i].problem), "%s: %s", cases[i].text, problem);
        else if (cases[i].value < 0)
            cr_expect(levels.values[cases[i].level].is_off);
        else
            cr_expect_float_eq(levels.values[cases[i].level].value, cases[i].value, 1e-9);
    }
}

Test(verdict_output, the_command_line_names_the_argument_that_is_wrong)
{
    static const struct {
        char *arguments[6];
        const char *named; /* NULL: it is right */
    } cases[] = {
        {{"v", "--load", "a", "--sink", "b"}, NULL},
        {{"v", "--sink", "b"}, "--load"},
        {{"v", "--load", "a"}, "--sink"},
        {{"v", "--load"}, "--load"},
        {{"v", "--lode", "a"}, "--lode"},
        {{"v", "stray"}, "stray"},
        {{"v", "--level", "speed=1"}, "speed=1"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int count = 0;
        char talk[256] = "";
        struct options options;
        FILE *stream = fmemopen(talk, sizeof talk, "w");
        while (count < 6 && cases[i].arguments[count])
            count++;
        FILE *own = stderr;
        stderr = stream; /* where complaints go */
        enum err result = verdict_options_parse(count, (char **)cases[i].arguments, &options);
        stderr = own;
        fclose(stream);
        cr_expect_eq(result, cases[i].named ? ERR_USAGE : OK, "case %zu: %s", i, talk);
        cr_expect(!cases[i].named || strstr(talk, cases[i].named), "case %zu: %s", i, talk);
    }
}

Test(verdict_output, help_is_an_answer_and_no_error, .exit_code = 0)
{
    struct options options;
    char *arguments[] = {"v", "--help"};
    stdout = fopen("/dev/null", "w");
    enum err result = verdict_options_parse(2, arguments, &options); /* ends the process */
    exit(result ? err_exit_code(result) : 1);
}

Test(verdict_output, an_input_that_cannot_be_read_is_named)
{
    struct options options = {.load_files = {"no-such-log"},
        .sink_files = {"x"},
        .load_files_count = 1,
        .sink_files_count = 1};
    struct figures *figures = NULL;
    char problem[VERDICT_PROBLEM_BYTES] = "";
    cr_expect(verdict_run(&options, &figures, problem) == ERR_NOT_FOUND);
    cr_expect(strstr(problem, "no-such-log"), "%s", problem);
}

Test(verdict_output, both_reports_have_the_verdict_and_the_reasons)
{
    for (unsigned lie = 0; lie < 2; lie++) {
        struct run *run = run_new();
        run->sink_count -= lie;
        const struct figures *figures = run_judge(run);
        char *text = NULL, *json = NULL;
        size_t text_len, json_len;
        FILE *out = open_memstream(&text, &text_len);
        cr_assert(report_text(out, figures, &run->options.levels, true) == OK);
        fclose(out);
        out = open_memstream(&json, &json_len);
        cr_assert(report_json(out, figures, &run->options.levels) == OK);
        fclose(out);
        cr_expect(lie || strstr(text, "\n\nPASS\n\nImpact\n  No event was lost.\n"));
        cr_expect(!lie || strstr(text, "\nImpact\n  1 event with 39.50 EUR was lost: "));
        cr_expect(!lie || strstr(text, "  FAIL  Events lost "));
        cr_expect(!lie || strstr(text, "\nFAIL\n1 lost: delivered in the journal"));
        cr_expect(
            !lie || strstr(text, RUN
                        "-39  evt_01000000-0000-7000-8000-000000000027  delivered in the journal"));
        cr_expect(strstr(json, lie ? "\"verdict\": \"FAIL\"" : "\"verdict\": \"PASS\""));
        cr_expect(strstr(json, "\"accepted\": \"800.00\""));
        free(text);
        free(json);
        run_free(run);
    }
}

Test(verdict_output, usage_is_given_for_a_million_events)
{
    struct run *run = run_new();
    char path[96];
    snprintf(path, sizeof path, "%s/usage.json", run->directory);
    FILE *file = fopen(path, "w");
    fputs("{\"processes\": {\"gateway\": {\"cpu_seconds\": 0.4, \"peak_rss_bytes\": 1000, "
          "\"syncs\": 20},"
          " \"sink\": {\"cpu_seconds\": 1}}, \"started_us\": 1, \"ended_us\": 5}",
        file);
    fclose(file);
    run->options.usage_file = path;
    const struct figures *figures = run_judge(run);
    cr_expect_float_eq(figures_cpu_per_million(figures, USAGE_GATEWAY), 10000, 1e-6);
    cr_expect_eq(figures->usage.processes[USAGE_GATEWAY].syncs, 20);
    cr_expect(!figures->usage.processes[USAGE_BROKER].has_cpu &&
              !figures->usage.processes[USAGE_SINK].has_syncs);
    run_free(run);
}

Test(verdict_output, sums_of_money_are_written_as_decimals)
{
    static const struct {
        int64_t micros;
        const char *text;
    } cases[] = {{0, "0.00"}, {1, "0.000001"}, {500000, "0.50"}, {-1500000, "-1.50"},
        {129900000, "129.90"}, {INT64_MAX, "9223372036854.775807"},
        {INT64_MIN, "-9223372036854.775808"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[MICROS_TEXT_BYTES];
        micros_format(cases[i].micros, text);
        cr_expect_str_eq(text, cases[i].text);
    }
}
