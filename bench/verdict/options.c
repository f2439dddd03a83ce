/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/options.h"

#include "base/cleanup.h"
#include "common/options.h"

static const char *add_file(const char **files, size_t *count, const char *file)
{
    if (*count == OPTIONS_FILES_MAX)
        return "left out: the limit of files is reached";
    const char *should_be = option_set_text(file, &files[*count]);
    if (!should_be)
        (*count)++;
    return should_be;
}

static const char *add_load(void *of, const char *value)
{
    struct options *options = of;
    return add_file(options->load_files, &options->load_files_count, value);
}

static const char *add_sink(void *of, const char *value)
{
    struct options *options = of;
    return add_file(options->sink_files, &options->sink_files_count, value);
}

static const char *set_data(void *of, const char *value)
{
    struct options *options = of;
    return option_set_text(value, &options->data);
}

static const char *set_usage(void *of, const char *value)
{
    struct options *options = of;
    return option_set_text(value, &options->usage_file);
}

static const char *set_target(void *of, const char *value)
{
    struct options *options = of;
    if (strcmp(value, "same") != 0 && strcmp(value, "changed") != 0)
        return "same or changed";
    options->target = strcmp(value, "same") == 0 ? TARGET_SAME_BODY : TARGET_OTHER_BODY;
    return NULL;
}

static const char *set_level(void *of, const char *value)
{
    static char should_be[128];
    struct options *options = of;
    const char *problem;
    if (levels_set(&options->levels, value, &problem))
        return NULL;
    snprintf(should_be, sizeof should_be, "a level and its value: %s", problem);
    return should_be;
}

static const char *add_subset(void *of, const char *value)
{
    static char should_be[128];
    struct options *options = of;
    const char *problem = "the limit of 16 subsets is reached";
    if (options->subsets_count < SUBSETS_MAX &&
        subset_parse(value, &options->subsets[options->subsets_count], &problem)) {
        options->subsets_count++;
        return NULL;
    }
    snprintf(should_be, sizeof should_be, "a subset: %s", problem);
    return should_be;
}

static const char *set_json(void *of, const char *value)
{
    struct options *options = of;
    options->json = true;
    return NULL;
}

static const char *set_details(void *of, const char *value)
{
    struct options *options = of;
    options->details = true;
    return NULL;
}

static const struct option_row rows[] = {
    {"--load", "FILE", add_load, "a log of the load generator (can be given several times)"},
    {"--sink", "FILE", add_sink, "a log of the sink (can be given several times)"},
    {"--data", "DIR", set_data, "the gateway's data directory: its journal-N.db are read"},
    {"--target", "BODY", set_target,
        "it was not Penstock; its requests have the post's body (same) or their own (changed)"},
    {"--usage", "FILE", set_usage, "resources that the processes used: JSON of the bench runner"},
    {"--level", "NAME=VALUE", set_level, "changes a service level; \"none\" switches it off"},
    {"--subset", "'NAME WORDS...'", add_subset,
        "also report on a part of the events, see below (can be given several times)"},
    {"--details", "", set_details, "print the figures only, not the levels and the verdict"},
    {"--json", "", set_json, "print one JSON object, not the text"},
};

static void print_levels_and_subsets(FILE *file)
{
    fputs("Exit status: 0 PASS, 1 FAIL, 64 wrong usage, 66 an input cannot be read.\n\nLevels:\n",
        file);
    for (unsigned i = 0; i < LEVELS_COUNT; i++)
        fprintf(file, "  %-22s  %s %-7s  %s\n", level_name((enum level)i),
            level_is_minimum((enum level)i) ? "at least" : "at most ", level_default((enum level)i),
            level_doc((enum level)i));
    fputs("\nWords of a subset (times since the first event was due; either end may be missing):\n"
          "  accounts=FIRST-LAST   places in the generator's --accounts, from 0\n"
          "  accepted=FROM..TO     accepted within that time\n"
          "  delivered=FROM..TO    the first 2xx within that time, or no 2xx at all\n"
          "  p99=DURATION          a level: p99 of freshness, and every event delivered\n",
        file);
}

static const struct option_table table = {.program = "penstock-verdict",
    .usage = "--load FILE... --sink FILE... [OPTIONS]",
    .before = "Compares what a run's generator sent, what its sink received and what the gateway "
              "recorded.\nEnds with PASS or FAIL.\n",
    .rows = rows,
    .rows_count = ARRAY_LENGTH(rows),
    .print_after = print_levels_and_subsets};

enum err verdict_options_parse(int argc, char **argv, struct options *ret_options)
{
    struct options options = {0};
    levels_init(&options.levels);
    enum err result = options_parse(&table, argc, argv, &options);
    if (!result && options.load_files_count == 0)
        result = options_refuse(&table, "--load", "is missing");
    if (!result && options.sink_files_count == 0)
        result = options_refuse(&table, "--sink", "is missing");
    if (!result && options.data && options.target != TARGET_PENSTOCK)
        result = options_refuse(&table, "--target", "has no journal: leave out --data");
    if (!result)
        *ret_options = options;
    return result;
}
