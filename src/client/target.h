/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a URL. libcurl's own parser reads it, and the transfer uses the same handle. So the
 * check and the connection always agree (127.1, 0x7f000001 and %31 in a host are decoded first).
 *
 * Fewer URLs are accepted than libcurl accepts. The host is an ASCII name of letters, digits, '-',
 * '_' and '.' without a trailing dot, or an address. A user name, a password and a zone are
 * rejected.
 */
#ifndef PENSTOCK_CLIENT_TARGET_H
#define PENSTOCK_CLIENT_TARGET_H

#include "base/err.h"
#include "client/address_set.h"

#include <curl/curl.h>
#include <stdbool.h>

#define HOST_BYTES_MAX 253

struct target {
    char host[HOST_BYTES_MAX + 1]; /* lower case; "" for an address */
    unsigned port;
    union address address; /* if the URL has an address */
};

static inline bool target_is_address(const struct target *target)
{
    return target->host[0] == '\0';
}

/* Fills `url` and *ret_target. ERR_URL with a sentence for people ("must ..."), or
 * ERR_NO_MEMORY. */
enum err target_parse(CURLU *url, const char *text, bool allow_http, struct target *ret_target,
    const char **ret_problem) MUST_CHECK;

#endif
