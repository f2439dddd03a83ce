/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that are one request to the admin API. The row of the command table says which: method,
 * path, and how the answer is printed. The flags that have a member in the flag table make the
 * body.
 */
#ifndef PENSTOCK_CLI_REQUEST_H
#define PENSTOCK_CLI_REQUEST_H

#include "cli/command.h"

/* Runs the request of the command's row. */
int request_run(const struct invocation *call);

/* `partner add`: adds the partner, then makes its first API key and shows that. */
int request_add_partner(const struct invocation *call);

/* False after a complaint: an argument is to become part of a path, and is no name. */
bool request_arguments_are_names(const struct invocation *call);

/* Makes the body of a request: a member for each given flag that has one. On failure the complaint
 * about a file has been printed. */
enum err request_body(const struct invocation *call, json_t **ret_body) MUST_CHECK;
/* Adds the given flags that have a member to a path, as parameters. */
void request_add_parameters(const struct invocation *call, struct buffer *path);

#endif
