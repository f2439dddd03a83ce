/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the headers of a request say: what its body is, and the key of its event. Who sends it is in
 * caller.c.
 *
 * Idempotency-Key. The quoted form is a string of structured fields (RFC 8941 section 3.3.3), as in
 * draft-ietf-httpapi-idempotency-key-header. Parameters have no meaning here. They are rejected, so
 * that they never become part of a key.
 */
#include "ingress/ingress_internal.h"
#include "model/name.h"

#include <strings.h>

bool media_is_plain(const struct http_exchange *exchange)
{
    static const char identity[] = "identity"; /* means no encoding (RFC 9110 section 8.4.1) */
    struct slice encoding = http_header(exchange, "content-encoding");
    return encoding.len == 0 || (encoding.len == sizeof identity - 1 &&
                                    strncasecmp(encoding.data, identity, encoding.len) == 0);
}

bool media_type_is(struct slice content_type, const char *media_type)
{
    size_t len = strlen(media_type);
    if (content_type.len < len || strncasecmp(content_type.data, media_type, len) != 0)
        return false;
    return content_type.len == len || content_type.data[len] == ';' ||
           content_type.data[len] == ' ';
}

bool media_is(const struct http_exchange *exchange, const char *media_type)
{
    return media_type_is(http_header(exchange, "content-type"), media_type);
}

/* Returns false if the string is not closed, if text follows it, or if it escapes anything but `"`
 * and `\`. */
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
                "The Idempotency-Key header begins with a quote but is not a quoted string: send "
                "\"key\" or key.");
        key = slice_of(storage, len);
    }
    if (!name_is_valid_key(key))
        return refuse(ret_refusal, ERR_INVALID, "The Idempotency-Key header " KEY_RULE ".");
    *ret_key = key;
    return OK;
}
