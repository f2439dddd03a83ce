/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input are the values of Forwarded, one a line. What is read does not depend on fields that a
 * client sent before: with one more field in front, an address stays what it was. With a last
 * element that a proxy adds as a field of its own, that one counts.
 */
#include "http/forwarded.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 10.0.0.0/8 */
static bool is_proxy(const struct in6_addr *address, void *context)
{
    return IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 10;
}

static enum forwarded read_fields(
    const struct slice *values, size_t count, struct in6_addr *ret_address, uint16_t *ret_port)
{
    memset(ret_address, 0xaa, sizeof *ret_address);
    *ret_port = 0xaaaa;
    enum forwarded result = forwarded_read(values, count, is_proxy, NULL, ret_address, ret_port);
    bool unchanged =
        ret_address->s6_addr[0] == 0xaa && ret_address->s6_addr[15] == 0xaa && *ret_port == 0xaaaa;
    if (result != FORWARDED_ADDRESS && !unchanged)
        abort();
    if (result == FORWARDED_ADDRESS && is_proxy(ret_address, NULL))
        abort();
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice values[1 + FIELDS_MAX + 1] = {SLICE_LITERAL("for=\"")};
    struct in6_addr address, again;
    uint16_t port, port_again;
    size_t count = 0;
    for (const char *at = (const char *)data, *end = at + size; at < end && count < FIELDS_MAX;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end)
            line_end = end;
        values[1 + count++] = slice_of(at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    enum forwarded result = read_fields(values + 1, count, &address, &port);
    enum forwarded longer = read_fields(values, count + 1, &again, &port_again);
    if (result == FORWARDED_NONE ? longer != FORWARDED_MALFORMED : longer != result)
        abort();
    if (memcmp(&address, &again, sizeof address) != 0 || port != port_again)
        abort();
    values[1 + count] = SLICE_LITERAL("for=\"[2001:db8::7]:4711\";proto=https");
    if (read_fields(values, count + 2, &again, &port_again) != FORWARDED_ADDRESS ||
        again.s6_addr[15] != 7 || port_again != 4711)
        abort();
    return 0;
}
