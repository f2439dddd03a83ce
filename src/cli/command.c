/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include "base/cleanup.h"
#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sysexits.h>

static_assert(FLAGS <= 64, "the flags of a command are bits of a uint64_t");

/* Help. */

static void print_command(FILE *out, const struct command *command)
{
    fprintf(out, "  %-22s %-24s %s\n", command->name, command->words, command->summary);
}

static void print_commands(FILE *out)
{
    fputs("Commands:\n", out);
    for (size_t i = 0; i < command_count; i++)
        print_command(out, &command_rows[i]);
}

/* Prints the commands whose name begins with the word `group`, such as "event". Returns false if
 * there are none. */
static bool print_group(FILE *out, const char *group)
{
    size_t len = strlen(group);
    bool found = false;
    for (size_t i = 0; i < command_count; i++) {
        if (strncmp(command_rows[i].name, group, len) != 0 || command_rows[i].name[len] != ' ')
            continue;
        if (!found)
            fprintf(out, "Usage: penstock %s COMMAND ...\n\nCommands:\n", group);
        print_command(out, &command_rows[i]);
        found = true;
    }
    if (found)
        fprintf(out, "\npenstock %s COMMAND --help shows the flags of a command.\n", group);
    return found;
}

static void print_help(FILE *out)
{
    struct buffer options = BUFFER_EMPTY;
    fputs("Penstock, a gateway for events that are worth money.\n\n"
          "Usage: penstock COMMAND ...\n\n",
        out);
    print_commands(out);
    fputs("\npenstock COMMAND --help shows the flags of a command. penstock --version shows the "
          "version.\n\n"
          "Options of the configuration file, or of the environment as PENSTOCK_SECTION__NAME:\n",
        out);
    config_print_help(&options);
    if (options.len)
        fwrite(options.data, 1, options.len, out);
    buffer_done(&options);
}

static void print_usage(FILE *out, const struct command *command)
{
    fprintf(out, "Usage: penstock %s%s%s [flags]\n%s.\n", command->name, *command->words ? " " : "",
        command->words, command->summary);
    for (unsigned i = 0; i < FLAGS; i++) {
        const struct flag *row = &flag_rows[i];
        char left[64];
        if (!(command->flags & FLAG_BIT(i)))
            continue;
        snprintf(left, sizeof left, "%s%s%s%s%s", row->short_name ? row->short_name : "",
            row->short_name ? ", " : "", row->name, row->value ? " " : "",
            row->value ? row->value : "");
        fprintf(out, "  %-24s %s%s\n", left, row->summary,
            command->required & FLAG_BIT(i) ? " (required)" : "");
    }
}

/* Parsing. */

const struct command *command_find(int argc, char *const *argv, int *ret_used)
{
    for (size_t i = 0; i < command_count; i++) {
        const char *name = command_rows[i].name, *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (argc < (space ? 2 : 1) || strlen(argv[0]) != first ||
            strncmp(argv[0], name, first) != 0 || (space && strcmp(argv[1], space + 1) != 0))
            continue;
        *ret_used = space ? 2 : 1;
        return &command_rows[i];
    }
    return NULL;
}

static enum err complain_see_help(const struct command *command, struct buffer *complaint,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum err complain_see_help(
    const struct command *command, struct buffer *complaint, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_add_format(
        complaint, "%s: %s: see \"penstock %s --help\"", command->name, text, command->name);
    return ERR_USAGE;
}

/* A flag that is not of this command: another command may have it. */
static enum err complain_of_flag(
    const struct command *command, unsigned flag, const char *argument, struct buffer *complaint)
{
    int len = (int)strcspn(argument, "=");
    if (flag == FLAGS)
        return complain_see_help(command, complaint, "there is no flag %.*s", len, argument);
    for (size_t i = 0; i < command_count; i++)
        if (command_rows[i].flags & FLAG_BIT(flag))
            return complain_see_help(command, complaint,
                "%.*s is not a flag of this command, but of others, such as \"penstock %s\"", len,
                argument, command_rows[i].name);
    return complain_see_help(
        command, complaint, "%.*s is not a flag of this command", len, argument);
}

/* Takes the flag at argv[*at], and its value. */
static enum err take_flag(const struct command *command, int argc, char *const *argv, int *at,
    struct invocation *call, struct buffer *complaint)
{
    const char *argument = argv[*at], *value;
    unsigned flag = flag_find(argument, command->flags, &value);
    if (flag == FLAGS || !(command->flags & FLAG_BIT(flag)))
        return complain_of_flag(command, flag, argument, complaint);
    const struct flag *row = &flag_rows[flag];
    if (row->kind == FLAG_KIND_SWITCH && value)
        return complain_see_help(
            command, complaint, "%s takes no value: write it without \"=%s\"", row->name, value);
    bool is_optional = row->kind == FLAG_KIND_SECONDS;
    if (is_optional && !value)
        value =
            *at + 1 < argc && argv[*at + 1][0] >= '0' && argv[*at + 1][0] <= '9' ? argv[++*at] : "";
    if (row->kind != FLAG_KIND_SWITCH && !value)
        value = ++*at < argc ? argv[*at] : NULL;
    if (row->kind != FLAG_KIND_SWITCH && !value)
        return complain_see_help(
            command, complaint, "%s has no value: write %s %s", row->name, row->name, row->value);
    if (call->flags[flag])
        return complain_see_help(
            command, complaint, "%s is given more than once: give it once", row->name);
    call->flags[flag] = value ? value : "";
    const char *rule = value ? flag_check_value(row, value) : NULL;
    if (!rule)
        return OK;
    buffer_add_format(
        complaint, "%s: \"%s\" is not a value of %s: %s", command->name, value, row->name, rule);
    return ERR_USAGE;
}

static enum err check_required(
    const struct command *command, const struct invocation *call, struct buffer *complaint)
{
    for (unsigned i = 0; i < FLAGS; i++)
        if (command->required & FLAG_BIT(i) && !call->flags[i])
            return complain_see_help(command, complaint, "%s %s is missing (%s)", flag_rows[i].name,
                flag_rows[i].value ? flag_rows[i].value : "", flag_rows[i].summary);
    return OK;
}

/* The argument that is missing: a word of the usage line. */
static enum err complain_of_missing(
    const struct command *command, unsigned count, struct buffer *complaint)
{
    const char *word = command->words;
    while (count-- > 0)
        word += strcspn(word, " ") + 1;
    return complain_see_help(
        command, complaint, "the argument %.*s is missing", (int)strcspn(word, " "), word);
}

enum err command_parse(const struct command *command, int argc, char *const *argv,
    struct invocation *ret_call, struct buffer *complaint)
{
    struct invocation call = {.command = command};
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            call.wants_help = true;
            *ret_call = call;
            return OK;
        }
        enum err err = OK;
        if (argv[i][0] == '-')
            err = take_flag(command, argc, argv, &i, &call, complaint);
        else if (call.words_count == command->words_max)
            err = complain_see_help(command, complaint, "unexpected argument \"%s\"", argv[i]);
        else
            call.words[call.words_count++] = argv[i];
        if (err)
            return err;
    }
    if (call.words_count < command->words_min)
        return complain_of_missing(command, call.words_count, complaint);
    enum err err = check_required(command, &call, complaint);
    if (!err)
        *ret_call = call;
    return err;
}

/* Running. */

static int parse_and_run(const struct command *command, int argc, char **argv,
    const struct cli_gateway_commands *gateway)
{
    struct invocation call = {0};
    struct buffer complaint = BUFFER_EMPTY;
    enum err err = command_parse(command, argc, argv, &call, &complaint);
    if (err)
        command_fail(err, "%s", buffer_status(&complaint) == OK ? complaint.data : command->name);
    buffer_done(&complaint);
    if (err)
        return err_exit_code(err);
    if (call.wants_help) {
        print_usage(stdout, command);
        return EX_OK;
    }
    call.gateway = gateway;
    return command->run(&call);
}

/* An option of the program itself, in one of its spellings. */
static bool is_option(const char *argument, const char *flag, const char *word, const char *letter)
{
    return strcmp(argument, flag) == 0 || strcmp(argument, word) == 0 ||
           (letter && strcmp(argument, letter) == 0);
}

int cli_run(int argc, char **argv, const struct cli_gateway_commands *gateway)
{
    int used = 0;
    if (argc >= 2 && is_option(argv[1], "--version", "version", NULL)) {
        puts("penstock " PENSTOCK_VERSION);
        return EX_OK;
    }
    if (argc >= 2 && is_option(argv[1], "--help", "help", "-h")) {
        print_help(stdout);
        return EX_OK;
    }
    const struct command *command = argc >= 2 ? command_find(argc - 1, argv + 1, &used) : NULL;
    if (command)
        return parse_and_run(command, argc - 1 - used, argv + 1 + used, gateway);
    if (argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0) &&
        print_group(stdout, argv[1]))
        return EX_OK;
    if (argc < 2)
        fputs("penstock: the command is missing. To try Penstock out: penstock dev\n", stderr);
    else
        fprintf(stderr, "penstock: there is no command \"%s%s%s\". Choose one of these:\n", argv[1],
            argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    print_commands(stderr);
    return EX_USAGE;
}

int cli_finish_output(int code)
{
    bool has_failed = ferror(stdout) != 0, has_text = __fpending(stdout) > 0;
    int reason = 0;
    /* A descriptor that was closed from the beginning is no loss while nothing was written. */
    if (fclose(stdout) != 0 && (has_text || errno != EBADF)) {
        has_failed = true;
        reason = errno;
    }
    if (!has_failed)
        return code;
    int failed =
        command_fail(ERR_DISK, "the output cannot be written%s%s: what was printed is not complete",
            reason ? ": " : "", reason ? strerror(reason) : "");
    return code == EX_OK ? failed : code;
}
