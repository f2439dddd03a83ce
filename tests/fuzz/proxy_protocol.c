/* SPDX-License-Identifier: Apache-2.0 */
/* The walker of the PROXY protocol gives the same result for bytes at once, byte by byte, and split
 * in two. It takes no byte after the header, and what it accepts has the length that it says. */
#include "http/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    enum proxy_protocol_step step;
    const char *fault;
    size_t used;
    bool has_source;
    struct in6_addr address;
    uint16_t port;
};

/* Walks in pieces of this size; the first one may be shorter. */
static struct result walk(const char *bytes, size_t len, size_t first, size_t piece)
{
    struct proxy_protocol proxy = {0};
    struct result result = {.step = PROXY_PROTOCOL_MORE};
    for (size_t at = 0, next = first; at < len && result.step == PROXY_PROTOCOL_MORE;) {
        size_t used, here = len - at < next ? len - at : next;
        result.step = proxy_protocol_walk(&proxy, bytes + at, here, &used, &result.fault);
        if (used > here || (result.step == PROXY_PROTOCOL_MORE && used < here) ||
            (result.step == PROXY_PROTOCOL_FAULT) != (result.fault != NULL))
            abort();
        result.used += used;
        at += here;
        next = piece;
    }
    if (result.step == PROXY_PROTOCOL_DONE)
        result.has_source = proxy_protocol_source(&proxy, &result.address, &result.port);
    return result;
}

static void compare(const struct result *a, const struct result *b)
{
    if (a->step != b->step || a->fault != b->fault || a->used != b->used ||
        a->has_source != b->has_source || a->port != b->port ||
        memcmp(&a->address, &b->address, sizeof a->address) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, cut = 1 + data[0] % len;
    struct result whole = walk(bytes, len, len, len), single = walk(bytes, len, 1, 1),
                  halves = walk(bytes, len, cut, len);
    compare(&whole, &single);
    compare(&whole, &halves);
    if (whole.used > PROXY_PROTOCOL_BYTES_MAX)
        abort();
    if (whole.step == PROXY_PROTOCOL_DONE &&
        whole.used != 16U + ((unsigned)(uint8_t)bytes[14] << 8 | (uint8_t)bytes[15]))
        abort();
    return 0;
}
