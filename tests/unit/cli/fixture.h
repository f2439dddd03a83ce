/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the command line in this process, with functions of the test in place of main's. */
#ifndef PENSTOCK_UNIT_CLI_FIXTURE_H
#define PENSTOCK_UNIT_CLI_FIXTURE_H

#include "cli/command.h"

#define ARGUMENTS_MAX 12

struct run {
    int code;
    char out[20000], err[20000];
    /* what main's function got: NULL when none ran */
    const char *ran;
    struct invocation call;
};

/* Runs `penstock` with the arguments, which end with NULL. */
void run_cli(struct run *ret_run, const char *const *arguments);

#define RUN(run, ...) run_cli((run), (const char *const[ARGUMENTS_MAX]){__VA_ARGS__})

#endif
