/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cli/fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAIN_CODE 7 /* an exit code that no command has */

static struct run *current;

static int record(const struct invocation *call, const char *name)
{
    current->ran = name;
    current->call = *call;
    return MAIN_CODE;
}

static int fake_dev(const struct invocation *call)
{
    return record(call, "dev");
}

static int fake_serve(const struct invocation *call)
{
    return record(call, "serve");
}

static int fake_check(const struct invocation *call)
{
    return record(call, "check");
}

static int fake_accept_loss(const struct invocation *call)
{
    return record(call, "data accept-loss");
}

/* Puts a temporary file in the place of a stream; returns the descriptor of before. */
static int redirect(FILE *stream, int *ret_file)
{
    char path[] = "/tmp/penstock-cli-XXXXXX";
    fflush(stream);
    int before = dup(fileno(stream));
    *ret_file = mkstemp(path);
    cr_assert(before >= 0 && *ret_file >= 0);
    unlink(path);
    dup2(*ret_file, fileno(stream));
    return before;
}

static void restore(FILE *stream, int before, int file, char *ret_text, size_t size)
{
    fflush(stream);
    dup2(before, fileno(stream));
    close(before);
    ssize_t len = pread(file, ret_text, size - 1, 0);
    cr_assert(len >= 0);
    ret_text[len] = '\0';
    close(file);
}

void run_cli(struct run *ret_run, const char *const *arguments)
{
    static const struct cli_gateway_commands gateway = {
        fake_dev, fake_serve, fake_check, fake_accept_loss};
    const char *argv[ARGUMENTS_MAX + 2] = {"penstock"};
    int argc = 1, out, err;
    for (; arguments[argc - 1]; argc++)
        argv[argc] = arguments[argc - 1];
    *ret_run = (struct run){0};
    current = ret_run;
    int out_before = redirect(stdout, &out), err_before = redirect(stderr, &err);
    ret_run->code = cli_run(argc, (char **)argv, &gateway);
    restore(stdout, out_before, out, ret_run->out, sizeof ret_run->out);
    restore(stderr, err_before, err, ret_run->err, sizeof ret_run->err);
}
