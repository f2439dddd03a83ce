/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/ingress_internal.h"

#include <strings.h>

bool media_is_plain(const struct http_exchange *exchange)
{
    static const char identity[] = "identity"; /* none, written out (RFC 9110 section 8.4.1) */
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
