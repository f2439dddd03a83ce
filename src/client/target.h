/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a URL leads: libcurl's own parser reads it, and the very handle that was checked here is
 * used for the transfer, so that the check and the connection can't understand it differently
 * (127.1, 0x7f000001 and %31 in a host come out as what they are).
 *
 * What is taken is narrower than what libcurl takes: ASCII host names of letters, digits, '-', '_'
 * and '.', no trailing dot, or an address; no user name, no password, no zone.
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
    union address address; /* of an address in the URL */
};

static inline bool target_is_address(const struct target *target)
{
    return target->host[0] == '\0';
}

/* Fills `url` and *ret_target; ERR_URL with a sentence for people ("must ..."), or ERR_NO_MEMORY.
 * */
enum err target_parse(CURLU *url, const char *text, bool allow_http, struct target *ret_target,
    const char **ret_problem) MUST_CHECK;

#endif
