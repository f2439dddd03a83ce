/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that list and change partners, accounts and endpoints share. */
#ifndef PENSTOCK_MAIN_MANAGE_H
#define PENSTOCK_MAIN_MANAGE_H

#include "main/remote.h"

/*
 * One request to the path made of `format`, shown by `print`; returns the exit code. The command's
 * words go into the path and must be names, which is checked here. `body` may be NULL; its
 * reference is taken.
 */
int manage_call(const struct invocation *call, const char *method, json_t *body,
    void (*print)(const json_t *answer), const char *format, ...)
    __attribute__((format(printf, 5, 6)));

void manage_print_members(const json_t *object); /* each as `name value` */
void manage_print_list(const json_t *answer);    /* the one list of an answer, a line an item */

/* What a flag says, as a member of `body`; nothing where it wasn't given. Text as it is, or a list
 * between commas. */
void manage_add_text(
    const struct invocation *call, enum command_flag flag, const char *name, json_t *body);
void manage_add_list(
    const struct invocation *call, enum command_flag flag, const char *name, json_t *body);
/* False after a complaint: neither true nor false. */
bool manage_add_boolean(
    const struct invocation *call, enum command_flag flag, const char *name, json_t *body);

#endif
