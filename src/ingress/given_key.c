/* SPDX-License-Identifier: Apache-2.0 */
/* The quoted form is a string of structured fields (RFC 8941 section 3.3.3), as
 * draft-ietf-httpapi-idempotency-key-header has it. Its parameters have no meaning for us, and are
 * refused rather than made part of a key. */
#include "ingress/ingress_internal.h"
#include "model/name.h"

/* False when the string has no end, something behind it, or an escape of anything but `"` and `\`.
 * */
static bool unquote(struct slice quoted, char *ret_text, size_t *ret_len)
{
    size_t len = 0, i = 1;
    while (i < quoted.len && quoted.data[i] != '"') {
        char c = quoted.data[i++];
        if (c == '\\') {
            if (i == quoted.len || (quoted.data[i] != '"' && quoted.data[i] != '\\'))
                return false;
            c = quoted.data[i++];
        }
        ret_text[len++] = c;
    }
    *ret_len = len;
    return i + 1 == quoted.len;
}

enum err given_key_parse(struct slice header, char storage[GIVEN_KEY_BYTES_MAX],
    struct slice *ret_key, struct refusal *ret_refusal)
{
    struct slice key = header;
    if (!header.data)
        return OK; /* there is no such header */
    if (header.len > GIVEN_KEY_BYTES_MAX)
        return refuse(ret_refusal, ERR_INVALID, "The Idempotency-Key header " KEY_RULE ".");
    if (header.len && header.data[0] == '"') {
        size_t len;
        if (!unquote(header, storage, &len))
            return refuse(ret_refusal, ERR_INVALID,
                "The Idempotency-Key header begins with a quote, and is not a quoted string: send "
                "\"key\" or key.");
        key = slice_of(storage, len);
    }
    if (!name_is_valid_key(key))
        return refuse(ret_refusal, ERR_INVALID, "The Idempotency-Key header " KEY_RULE ".");
    *ret_key = key;
    return OK;
}
