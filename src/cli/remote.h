/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a command to a running gateway: the data directory says where the admin listener is
 * (admin.json) and holds the token. The directory is the one of --data, else of the configuration
 * file (-c), else PENSTOCK_DATA__DIRECTORY, else the one of `penstock dev` if a gateway runs there,
 * else the default of the option table.
 */
#ifndef PENSTOCK_CLI_REMOTE_H
#define PENSTOCK_CLI_REMOTE_H

#include "cli/command.h"

/* The data directory that the command is about. On failure the complaint has been printed. */
enum err remote_directory(const struct invocation *call, char *ret_path, size_t size) MUST_CHECK;

/*
 * One request to the admin API. `body` may be NULL; its reference is taken. *ret_answer is the JSON
 * of the answer, which the caller owns. On failure the complaint has been printed, and the exit
 * code of the error is the command's.
 */
enum err remote_request(const struct invocation *call, const char *method, const char *path,
    json_t *body, json_t **ret_answer) MUST_CHECK;

/* The same for a request that takes long and has a large answer: an audit. */
enum err remote_request_long(const struct invocation *call, const char *method, const char *path,
    json_t **ret_answer) MUST_CHECK;

/* Adds a parameter to a path, after '?' or '&', percent-encoded. A NULL value adds nothing. */
void remote_add_parameter(struct buffer *path, const char *name, const char *value);

/* Prints an answer: as JSON with --json, else through `print`. */
void remote_print(
    const struct invocation *call, const json_t *answer, void (*print)(const json_t *answer));

#endif
