/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>

int command_fail(enum err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("penstock: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return err_exit_code(err);
}
