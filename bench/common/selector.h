/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a text is in the answer of a target, or in a request at the sink:
 *
 *   header:NAME      the value of a header
 *   json:/POINTER    a scalar in the body, by its JSON pointer (RFC 6901)
 *   body             anywhere in the body; only for our own key
 *   none
 *
 * A selector is parsed once. Numbers are found as their text. A text that is longer than
 * SELECTOR_TEXT_BYTES, and a value that is no scalar, count as missing. Never fails otherwise: what
 * targets send is not trusted.
 */
#ifndef PENSTOCK_BENCH_COMMON_SELECTOR_H
#define PENSTOCK_BENCH_COMMON_SELECTOR_H

#include "base/slice.h"

#include <jansson.h>

#define SELECTOR_NAME_BYTES 256  /* of a header, or a pointer; with the NUL */
#define SELECTOR_TEXT_BYTES 1024 /* of a found text; with the NUL */
#define SELECTOR_FORM "header:NAME, json:/POINTER"

enum selector_kind { SELECTOR_NONE, SELECTOR_HEADER, SELECTOR_JSON, SELECTOR_BODY };

struct selector {
    enum selector_kind kind;
    char name[SELECTOR_NAME_BYTES]; /* the header in lower case, or the pointer */
};

/* Returns false when the text is malformed or too long. `ret_selector` is then unchanged. */
bool selector_parse(const char *text, struct selector *ret_selector);

/* Parses a body for selector_find_json. NULL: not JSON. The caller owns the result. */
json_t *selector_read_json(struct slice body);
/* Finds the scalar of a pointer. Returns false, and an empty text, when there is none. `root` may
 * be NULL. */
bool selector_find_json(
    const json_t *root, const char *pointer, char ret_text[SELECTOR_TEXT_BYTES]);

#endif
