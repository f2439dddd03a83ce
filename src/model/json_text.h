/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict check of the bytes of a JSON text, before the parser reads it. yajl accepts some texts
 * that RFC 8259 and RFC 3629 forbid. It decodes lone surrogates to `?`, so that two different keys
 * would become equal. It ignores an unclosed string behind the value. The parser checks the
 * structure.
 */
#ifndef PENSTOCK_MODEL_JSON_TEXT_H
#define PENSTOCK_MODEL_JSON_TEXT_H

#include "base/slice.h"

/*
 * Returns false for
 *   - an empty text, and a byte order mark;
 *   - in strings: bytes that are not UTF-8 (also overlong forms, encoded surrogates, and code
 *     points beyond U+10FFFF), escapes that JSON does not have, \u escapes of U+0000 or of half a
 *     surrogate pair, and a string that is not closed;
 *   - outside of strings: non-ASCII bytes, and control characters that are not white space.
 * *ret_at is the position, *ret_problem the reason (static).
 */
bool json_text_check(struct slice text, size_t *ret_at, const char **ret_problem);

#endif
