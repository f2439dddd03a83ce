/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that an operator hands to a command: in a file, or on stdin. */
#ifndef PENSTOCK_CLI_JSON_FILE_H
#define PENSTOCK_CLI_JSON_FILE_H

#include "base/err.h"

#include <jansson.h>

#define JSON_FILE_BYTES_MAX (1024 * 1024)

/* Reads one JSON value of any type; "-" is stdin. The caller owns *ret_json. On failure (not found,
 * malformed, too large) the complaint has been printed, with line and column. */
enum err json_file_read(const char *command, const char *path, json_t **ret_json) MUST_CHECK;

#endif
