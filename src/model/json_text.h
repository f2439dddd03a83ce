/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict look at the bytes of a JSON text, before the parser sees them: yajl takes some that RFC
 * 8259 and RFC 3629 don't allow, decodes lone surrogates to `?`, so that two different keys would
 * become one, and does not mind a string behind the value that has no end. Structure is left to the
 * parser.
 */
#ifndef PENSTOCK_MODEL_JSON_TEXT_H
#define PENSTOCK_MODEL_JSON_TEXT_H

#include "base/slice.h"

/*
 * False for an empty text and a byte order mark; for bytes in strings that are not UTF-8 (overlong
 * forms, encoded surrogates and what lies beyond U+10FFFF included), escapes that JSON doesn't
 * know, \u escapes of half a surrogate pair or of U+0000, and strings without an end; for anything
 * but ASCII outside of strings, and for control characters that are not JSON's white space there.
 * *ret_at says where, *ret_problem why (static).
 */
bool json_text_check(struct slice text, size_t *ret_at, const char **ret_problem);

#endif
