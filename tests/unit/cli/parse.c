/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cli/fixture.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sysexits.h>

static struct run run;

Test(parse, flags_are_given_to_the_command_in_every_form)
{
    RUN(&run, "serve", "-c", "a.yaml", "--take-over");
    cr_assert_str_eq(run.ran, "serve", "%s", run.err);
    cr_expect_eq(run.code, 7, "the exit code is the command's");
    cr_expect_str_eq(run.call.flags[FLAG_CONFIG], "a.yaml");
    cr_expect_str_eq(run.call.flags[FLAG_TAKE_OVER], "");
    cr_expect_null(run.call.flags[FLAG_DATA]);

    RUN(&run, "serve", "--config", "b.yaml");
    cr_expect_str_eq(run.call.flags[FLAG_CONFIG], "b.yaml");

    RUN(&run, "serve", "--config=c=d.yaml");
    cr_expect_str_eq(
        run.call.flags[FLAG_CONFIG], "c=d.yaml", "the value begins behind the first =");

    RUN(&run, "dev", "--data=");
    cr_expect_str_eq(run.call.flags[FLAG_DATA], "", "an empty value is a value");

    RUN(&run, "dev", "--data", "--ingress");
    cr_expect_str_eq(run.call.flags[FLAG_DATA], "--ingress", "what follows a flag is its value");
}

Test(parse, arguments_and_flags_may_be_mixed)
{
    RUN(&run, "data", "accept-loss", "--reason", "disk gone", "journal-0.db", "--data", "d");
    cr_assert_str_eq(run.ran, "data accept-loss", "%s", run.err);
    cr_expect_eq(run.call.words_count, 1);
    cr_expect_str_eq(run.call.words[0], "journal-0.db");
    cr_expect_str_eq(run.call.flags[FLAG_REASON], "disk gone");
    cr_expect_str_eq(run.call.flags[FLAG_DATA], "d");
}

/* Each is EX_USAGE, prints nothing to stdout, runs nothing, and says both texts. */
static const struct {
    const char *title;
    const char *arguments[ARGUMENTS_MAX];
    const char *names, *remedy;
} mistakes[] = {
    {"unknown flag", {"serve", "-c", "f", "--fast"}, "there is no flag --fast",
        "penstock serve --help"},
    {"unknown flag with a value", {"serve", "-c", "f", "--fast=1"},
        "there is no flag --fast:", "penstock serve --help"},
    {"unknown short flag", {"serve", "-c", "f", "-x"}, "there is no flag -x",
        "penstock serve --help"},
    {"a hyphen by itself", {"serve", "-"}, "there is no flag -:", "penstock serve --help"},
    {"the beginning of a flag", {"serve", "--conf", "f"},
        "there is no flag --conf:", "penstock serve --help"},
    {"flag of another command", {"dev", "--url", "http://x"}, "--url is not a flag of this command",
        "penstock endpoint add"},
    {"flag of another command with a value", {"dev", "--limit=3"}, "--limit is not a flag",
        "penstock event list"},
    {"value is missing", {"dev", "--ingress"}, "--ingress has no value", "--ingress ADDR"},
    {"value of a short flag is missing", {"check", "-c"}, "--config has no value", "--config FILE"},
    {"value for a switch", {"check", "--sample=yes"}, "--sample takes no value",
        "without \"=yes\""},
    {"flag given twice", {"dev", "--data", "a", "--data", "b"}, "--data is given more than once",
        "give it once"},
    {"flag given twice in two forms", {"serve", "-c", "a", "--config=b"},
        "--config is given more than once", "give it once"},
    {"switch given twice", {"check", "--sample", "--sample"}, "--sample is given more than once",
        "give it once"},
    {"required flag is missing", {"serve"}, "--config FILE is missing", "penstock serve --help"},
    {"argument is missing", {"event", "show"}, "the argument EVENT|KEY is missing",
        "penstock event show --help"},
    {"second argument is missing", {"partner", "grant", "shop"}, "the argument ACCOUNT is missing",
        "penstock partner grant --help"},
    {"argument too many", {"status", "now"}, "unexpected argument \"now\"",
        "penstock status --help"},
    {"optional argument given twice", {"event", "conflicts", "evt_1", "evt_2"},
        "unexpected argument \"evt_2\"", "--help"},
    {"no boolean", {"partner", "change", "shop", "--enabled", "maybe"},
        "\"maybe\" is not a value of --enabled", "true or false"},
    {"empty boolean", {"partner", "change", "shop", "--enabled="},
        "\"\" is not a value of --enabled", "true or false"},
    {"no time", {"partner", "key", "shop", "--expires-at", "tomorrow"},
        "\"tomorrow\" is not a value of --expires-at", "2027-01-31T12:00:00Z, or never"},
    {"negative count", {"partner", "change", "shop", "--events-per-second", "-1"},
        "\"-1\" is not a value of --events-per-second", "0 or more"},
    {"no number", {"delivery", "list", "--limit", "many"}, "\"many\" is not a value of --limit",
        "a number of at least 1"},
    {"number zero", {"delivery", "list", "--limit", "0"}, "\"0\" is not a value of --limit",
        "a number of at least 1"},
    {"negative number", {"delivery", "list", "--limit", "-1"}, "\"-1\" is not a value of --limit",
        "a number of at least 1"},
    {"number with a tail", {"delivery", "list", "--limit", "10x"},
        "\"10x\" is not a value of --limit", "a number of at least 1"},
    {"huge number", {"delivery", "list", "--limit", "99999999999999999999"},
        "is not a value of --limit", "a number of at least 1"},
    {"no day", {"audit", "--from", "yesterday"}, "\"yesterday\" is not a value of --from",
        "2026-01-31"},
    {"day that does not exist", {"audit", "--to", "2026-02-31"},
        "\"2026-02-31\" is not a value of --to", "2026-01-31"},
    {"days in the wrong order", {"audit", "--from", "2026-02-02", "--to", "2026-02-01"},
        "--from 2026-02-02 is after --to 2026-02-01", "swap them"},
    {"no UTF-8", {"delivery", "discard", "dlv_1", "--expect", "dead", "--reason", "\xff"},
        "is not a value of --reason", "UTF-8"},
    {"argument that is no name", {"endpoint", "list", "a/b"}, "\"a/b\" is not a name or id",
        "must have 1 to 64"},
    {"argument of a list that is no name", {"event", "conflicts", "a?b"},
        "\"a?b\" is not a name or id", "must have 1 to 64"},
    {"nothing to change", {"partner", "change", "shop"}, "there is no change",
        "penstock partner change --help"},
};

Test(parse, wrong_use_is_64_and_names_the_argument_and_the_remedy)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        run_cli(&run, mistakes[i].arguments);
        cr_expect_eq(run.code, EX_USAGE, "%s: %d", mistakes[i].title, run.code);
        cr_expect_str_empty(run.out, "%s", mistakes[i].title);
        cr_expect_null(run.ran, "%s", mistakes[i].title);
        cr_expect(strncmp(run.err, "penstock: ", 10) == 0, "%s: %s", mistakes[i].title, run.err);
        cr_expect(strstr(run.err, mistakes[i].names), "%s: %s", mistakes[i].title, run.err);
        cr_expect(strstr(run.err, mistakes[i].remedy), "%s: %s", mistakes[i].title, run.err);
    }
}

Test(parse, help_of_a_group_lists_its_commands)
{
    static const char *const groups[] = {
        "event", "delivery", "partner", "account", "endpoint", "data"};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        RUN(&run, groups[i], "--help");
        cr_expect_eq(run.code, EX_OK, "%s: %d", groups[i], run.code);
        cr_expect_str_empty(run.err, "%s", groups[i]);
        for (size_t n = 0; n < command_count; n++) {
            const char *name = command_rows[n].name;
            size_t len = strlen(groups[i]);
            char row[64];
            bool is_of_group = strncmp(name, groups[i], len) == 0 && name[len] == ' ';
            snprintf(row, sizeof row, "\n  %s ", name);
            cr_expect_eq(is_of_group, strstr(run.out, row) != NULL, "%s: %s", groups[i], name);
        }
    }
    RUN(&run, "fly", "--help");
    cr_expect_eq(run.code, EX_USAGE);
    RUN(&run, "even", "--help");
    cr_expect_eq(run.code, EX_USAGE);
}

Test(parse, unknown_and_missing_commands_are_64_and_show_the_commands)
{
    static const char *const calls[][ARGUMENTS_MAX] = {{NULL}, {"fly"}, {"event"}, {"event", "fly"},
        {"event", "--json"}, {"serv"}, {""}, {"--json"}};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        run_cli(&run, calls[i]);
        cr_expect_eq(run.code, EX_USAGE, "call %zu", i);
        cr_expect(strstr(run.err, "Commands:\n  dev "), "call %zu: %s", i, run.err);
        cr_expect_str_empty(run.out, "call %zu", i);
    }
    RUN(&run, "event", "fly");
    cr_expect(strstr(run.err, "there is no command \"event fly\""), "%s", run.err);
}

Test(parse, help_is_shown_for_each_command_whatever_else_is_given)
{
    for (size_t i = 0; i < command_count; i++) {
        char first[32], second[32] = "--help";
        const char *space = strchr(command_rows[i].name, ' ');
        snprintf(first, sizeof first, "%.*s", space ? (int)(space - command_rows[i].name) : 31,
            command_rows[i].name);
        if (space)
            snprintf(second, sizeof second, "%s", space + 1);
        RUN(&run, first, second, "a", "--help", "--no-such-flag");
        if (!space || command_rows[i].words_max ==
                          0) /* then "a" is an argument too many, or comes behind --help */
            RUN(&run, first, second, "--help", "a", "--no-such-flag");
        cr_expect_eq(run.code, EX_OK, "%s: %s", command_rows[i].name, run.err);
        cr_expect(
            strstr(run.out, command_rows[i].summary), "%s: %s", command_rows[i].name, run.out);
        cr_expect_str_empty(run.err);
        for (unsigned flag = 0; flag < FLAGS; flag++)
            if (command_rows[i].flags & FLAG_BIT(flag))
                cr_expect(strstr(run.out, flag_rows[flag].summary), "%s: %s", command_rows[i].name,
                    flag_rows[flag].name);
    }
    RUN(&run, "serve", "-h");
    cr_expect(
        strstr(run.out, "Usage: penstock serve [flags]") && strstr(run.out, "-c, --config FILE"),
        "%s", run.out);
    cr_expect(strstr(run.out, "the configuration file (required)"), "%s", run.out);
}

Test(parse, help_and_version_of_the_program_are_no_errors)
{
    static const char *const spellings[] = {"--help", "-h", "help"};
    for (size_t i = 0; i < 3; i++) {
        RUN(&run, spellings[i]);
        cr_expect_eq(run.code, EX_OK);
        cr_expect(strstr(run.out, "Usage: penstock COMMAND") &&
                  strstr(run.out, "delivery.retry_schedule"));
        cr_expect_str_empty(run.err);
    }
    RUN(&run, "--version");
    cr_expect(run.code == EX_OK && strncmp(run.out, "penstock ", 9) == 0);
    RUN(&run, "version");
    cr_expect(run.code == EX_OK && strncmp(run.out, "penstock ", 9) == 0);
}

Test(parse, a_command_without_a_gateway_is_69_and_says_how_to_find_one)
{
    RUN(&run, "status", "--data", "/does/not/exist");
    cr_expect_eq(run.code, EX_UNAVAILABLE);
    cr_expect(strstr(run.err, "/does/not/exist") && strstr(run.err, "--data DIR or -c FILE"), "%s",
        run.err);
    RUN(&run, "status", "-c", "/does/not/exist.yaml");
    cr_expect_eq(run.code, EX_CONFIG);
    cr_expect(strstr(run.err, "/does/not/exist.yaml"), "%s", run.err);
}

Test(parse, the_tables_are_sound)
{
    for (size_t i = 0; i < command_count; i++) {
        const struct command *row = &command_rows[i];
        cr_expect(
            row->run && row->words_min <= row->words_max && row->words_max <= COMMAND_WORDS_MAX,
            "%s", row->name);
        cr_expect_eq(
            row->required & ~row->flags, 0, "%s requires a flag that it does not take", row->name);
        cr_expect(!row->path || (row->method && row->print), "%s", row->name);
        cr_expect_neq(row->summary[strlen(row->summary) - 1], '.', "%s", row->name);
        for (size_t other = 0; other < i; other++)
            cr_expect_str_neq(row->name, command_rows[other].name);
        for (const char *at = row->path; at && (at = strchr(at, '%')); at++)
            cr_expect(at[1] >= '1' && at[1] <= (char)('0' + row->words_min), "%s: %s", row->name,
                row->path);
        /* Two flags of a command may not share a name or a member. */
        for (unsigned a = 0; a < FLAGS; a++)
            for (unsigned b = 0; b < a; b++)
                if (row->flags & FLAG_BIT(a) && row->flags & FLAG_BIT(b)) {
                    cr_expect_str_neq(flag_rows[a].name, flag_rows[b].name, "%s", row->name);
                    cr_expect(!flag_rows[a].member || !flag_rows[b].member ||
                                  strcmp(flag_rows[a].member, flag_rows[b].member) != 0,
                        "%s: %s", row->name, flag_rows[a].name);
                }
    }
    for (unsigned i = 0; i < FLAGS; i++)
        cr_expect((flag_rows[i].kind == FLAG_KIND_SWITCH) == (flag_rows[i].value == NULL), "%s",
            flag_rows[i].name);
}
