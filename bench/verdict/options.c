/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/options.h"

static const char help[] =
    "penstock-verdict --load FILE... --sink FILE... [--data DIR] [--usage FILE] [--level NAME=VALUE]... [--json]\n"
    "\n"
    "Joins what a run's generator sent, what its sink got and what the gateway says, and ends in PASS or FAIL.\n"
    "\n"
    "  --load FILE         a log of the generator (may be given again)\n"
    "  --sink FILE         a log of the sink (may be given again)\n"
    "  --data DIR          the gateway's data directory: its journal-N.db are read\n"
    "  --usage FILE        what the processes used, JSON of the runner\n"
    "  --level NAME=VALUE  another service level; \"none\" switches it off\n"
    "  --json              one JSON object instead of the text\n"
    "  --help              this\n"
    "\n"
    "Exit status: 0 PASS, 1 FAIL, 64 wrong usage, 66 an input that can't be read.\n"
    "\n"
    "Levels:\n";

void options_print_help(FILE *out)
{
    fputs(help, out);
    for (unsigned i = 0; i < LEVELS_COUNT; i++)
        fprintf(out, "  %-22s  %s %-7s  %s\n", level_name((enum level)i),
            level_is_minimum((enum level)i) ? "at least" : "at most ", level_default((enum level)i),
            level_doc((enum level)i));
}

static enum err refuse(FILE *talk, const char *argument, const char *problem)
{
    fprintf(talk, "penstock-verdict: %s: %s\n", argument, problem);
    return ERR_USAGE;
}

static enum err add_file(const char **files, size_t *count, const char *file, FILE *talk)
{
    if (*count == OPTIONS_FILES_MAX)
        return refuse(talk, file, "too many files");
    files[(*count)++] = file;
    return OK;
}

/* One option with its value. */
static enum err take_value(struct options *options, const char *name, const char *value, FILE *talk)
{
    const char *problem;
    if (strcmp(name, "--load") == 0)
        return add_file(options->load_files, &options->load_files_count, value, talk);
    if (strcmp(name, "--sink") == 0)
        return add_file(options->sink_files, &options->sink_files_count, value, talk);
    if (strcmp(name, "--data") == 0)
        options->data = value;
    else if (strcmp(name, "--usage") == 0)
        options->usage_file = value;
    else if (!levels_set(&options->levels, value, &problem))
        return refuse(talk, value, problem);
    return OK;
}

static bool takes_value(const char *name)
{
    static const char *const names[] = {"--load", "--sink", "--data", "--usage", "--level"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

enum err options_parse(int argc, char **argv, FILE *talk, struct options *ret_options)
{
    struct options options = {0};
    enum err result = OK;
    levels_init(&options.levels);
    for (int i = 1; i < argc && !result; i++) {
        if (strcmp(argv[i], "--json") == 0)
            options.json = true;
        else if (strcmp(argv[i], "--help") == 0)
            options.help = true;
        else if (!takes_value(argv[i]))
            result = refuse(talk, argv[i], "there is no such option; --help lists them");
        else if (i + 1 == argc)
            result = refuse(talk, argv[i], "its value is missing");
        else {
            result = take_value(&options, argv[i], argv[i + 1], talk);
            i++;
        }
    }
    if (!result && !options.help && options.load_files_count == 0)
        result = refuse(talk, "--load", "it is missing: the log of the generator");
    if (!result && !options.help && options.sink_files_count == 0)
        result = refuse(talk, "--sink", "it is missing: the log of the sink");
    if (!result)
        *ret_options = options;
    return result;
}
