/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tools' way to a running gateway: its data directory says where the admin listener is
 * (admin.json) and holds the token. The directory comes from --data, else from the configuration
 * (-c), else PENSTOCK_DATA__DIRECTORY, else the one of `penstock dev` if a gateway runs there, else
 * the default of the option table.
 */
#ifndef PENSTOCK_MAIN_REMOTE_H
#define PENSTOCK_MAIN_REMOTE_H

#include "main/command.h"

#include <jansson.h>

/* The data directory that the call is about; a complaint has been printed otherwise. */
enum err remote_directory(const struct invocation *call, char *ret_path, size_t size) MUST_CHECK;

/*
 * One request to the admin API; `body` may be NULL and its reference is taken. OK: *ret_answer is
 * the JSON that came (the caller owns it). Otherwise the complaint has been printed and the
 * result's exit code is the command's.
 */
enum err remote_request(const struct invocation *call, const char *method, const char *path,
    json_t *body, json_t **ret_answer) MUST_CHECK;

/* The same for what takes long and answers much: an audit. */
enum err remote_request_long(const struct invocation *call, const char *method, const char *path,
    json_t **ret_answer) MUST_CHECK;

/* Adds a parameter to a path, behind '?' or '&', percent-encoded; nothing for NULL. */
void remote_add_parameter(struct buffer *path, const char *name, const char *value);

/* Prints an answer as it is, for --json. */
void remote_print_json(const json_t *answer);

/* Prints the answer as it is (--json) or through `print`, frees it, and returns the exit code. */
int remote_show(const struct invocation *call, const char *method, const char *path, json_t *body,
    void (*print)(const json_t *answer));

#endif
