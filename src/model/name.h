/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for ids and keys that operators and partners choose. */
#ifndef PENSTOCK_MODEL_NAME_H
#define PENSTOCK_MODEL_NAME_H

#include "base/slice.h"

/* Partner and account ids: 1 to NAME_BYTES_MAX of [A-Za-z0-9_.-], not beginning with a dot or a
 * hyphen. */
bool name_is_valid(struct slice text);
#define NAME_RULE \
    "must have 1 to 64 characters of A-Z a-z 0-9 _ . -, the first one a letter, digit or _"

/* Event types: 1 to EVENT_TYPE_BYTES_MAX of [A-Za-z0-9_.-]. */
bool name_is_valid_type(struct slice text);
#define TYPE_RULE "must have 1 to 64 characters of A-Z a-z 0-9 _ . -"

/* Dedupe keys and event ids of partners: 1 to EVENT_KEY_BYTES_MAX of printable ASCII (0x21 to 0x7e,
 * and space inside). */
bool name_is_valid_key(struct slice text);
#define KEY_RULE \
    "must have 1 to 256 printable ASCII characters, and must not begin or end with a space"

/*
 * A traceparent header (W3C trace context, any version): lower-case hexadecimal and hyphens, 55 to
 * TRACEPARENT_BYTES_MAX bytes. Other text is not copied into Penstock's requests. (h2o rejects line
 * ends in header values, also over HTTP/2: tested.)
 */
bool name_is_valid_traceparent(struct slice text);

#endif
