/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: how an argument list is read against the command table, and what a command gets.
 *
 *   penstock NAME [NAME] ARGUMENT... [--flag VALUE | --flag=VALUE | --switch]...
 *
 * A command writes data to stdout and talk to stderr, and returns an exit code of sysexits.h. Wrong
 * use is EX_USAGE: the message names the argument or flag and says what to do. Nothing has been
 * done then.
 *
 * Commands that need a whole gateway (dev, serve, check, data accept-loss) are main's: it hands
 * their functions to cli_run, so that this folder includes nothing of main/.
 */
#ifndef PENSTOCK_CLI_COMMAND_H
#define PENSTOCK_CLI_COMMAND_H

#include "base/buffer.h"
#include "cli/flag.h"

#include <jansson.h>

#define COMMAND_WORDS_MAX 64

struct invocation;

struct command {
    const char *name;  /* one or two words */
    const char *words; /* the arguments, for the usage line */
    unsigned words_min, words_max;
    uint64_t flags;    /* bits of enum command_flag */
    uint64_t required; /* those that must be given */
    const char *summary;
    int (*run)(const struct invocation *call);
    /* For commands that are one request to the admin API (request.h). */
    const char *method, *path; /* %1 to %4 in the path are the arguments */
    const char *member;        /* of the body, with the last argument as its value; NULL: none */
    void (*print)(const json_t *answer);
    int (*judge)(const json_t *answer); /* returns the exit code; NULL: EX_OK */
    long timeout_s;                     /* of the answer; 0: the default of client/call.h */
};

/* Commands that main runs. */
struct cli_gateway_commands {
    int (*dev)(const struct invocation *call);
    int (*serve)(const struct invocation *call);
    int (*check)(const struct invocation *call);
    int (*accept_loss)(const struct invocation *call);
};

/* A command with its arguments. The texts are argv's. */
struct invocation {
    const struct command *command;
    const struct cli_gateway_commands *gateway;
    const char *words[COMMAND_WORDS_MAX];
    unsigned words_count;
    const char *flags[FLAGS]; /* NULL: not given; "" for a switch */
    bool wants_help;          /* --help: nothing else has been checked */
};

/* The table (command_table.c). */
extern const struct command command_rows[];
extern const size_t command_count;

/* Finds the command that the arguments begin with; NULL when there is none. `ret_used` gets how
 * many arguments its name takes. */
const struct command *command_find(int argc, char *const *argv, int *ret_used);

/* Reads the arguments after a command's name. ERR_USAGE: `complaint` says which one is wrong and
 * what to do. */
enum err command_parse(const struct command *command, int argc, char *const *argv,
    struct invocation *ret_call, struct buffer *complaint) MUST_CHECK;

/* Prints "penstock: " and the message to stderr, and returns the exit code that belongs to
 * `err`. */
int command_fail(enum err err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs what the arguments say (argv[0] is the program) and returns the exit code. */
int cli_run(int argc, char **argv, const struct cli_gateway_commands *gateway);

/*
 * Closes stdout and returns the exit code of the process: `code`, or EX_IOERR when a success could
 * not be written in full. An empty file must not pass for an empty answer. For main, as the last
 * call.
 */
int cli_finish_output(int code);

#endif
