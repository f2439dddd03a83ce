/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy_protocol.h"

#include <string.h>

/* Where the parts of the header are. */
#define SIGNATURE_BYTES 12
#define AT_COMMAND 12
#define AT_FAMILY 13
#define AT_LENGTH 14
#define AT_ADDRESSES 16

#define COMMAND_LOCAL 0x20 /* version 2 in the high bits */
#define COMMAND_PROXY 0x21

#define FAMILY_UNKNOWN 0x00
#define FAMILY_TCP_4 0x11
#define FAMILY_TCP_6 0x21
#define ADDRESS_BYTES_4 12
#define ADDRESS_BYTES_6 36

#define TLV_HEAD_BYTES 3 /* type and length */

static const char signature[SIGNATURE_BYTES + 1] = "\r\n\r\n\0\r\nQUIT\n";
static const char version_1[] = "PROXY ";

static const char missing[] = "The connection does not begin with a PROXY protocol header.";
static const char too_old[] =
    "The proxy uses version 1 of the PROXY protocol. Configure it to send version 2.";
static const char bad_version[] = "The version of the PROXY protocol is not 2.";
static const char bad_command[] = "The command of the PROXY protocol header is not known.";
static const char bad_family[] = "The PROXY protocol header is not about TCP over IPv4 or IPv6.";
static const char too_short[] = "The PROXY protocol header is too short for its addresses.";
static const char too_long[] = "The PROXY protocol header has more than 2048 bytes.";
static const char bad_tlv[] = "A TLV of the PROXY protocol header is longer than the header.";

static unsigned address_bytes(const struct proxy_protocol *proxy)
{
    if (proxy->bytes[AT_COMMAND] == COMMAND_LOCAL)
        return 0;
    return proxy->bytes[AT_FAMILY] == FAMILY_TCP_4   ? ADDRESS_BYTES_4
           : proxy->bytes[AT_FAMILY] == FAMILY_TCP_6 ? ADDRESS_BYTES_6
                                                     : 0;
}

/* LOCAL has a family that does not count, and its rest is skipped. */
static bool skips_rest(const struct proxy_protocol *proxy)
{
    return proxy->bytes[AT_COMMAND] == COMMAND_LOCAL || proxy->bytes[AT_FAMILY] == FAMILY_UNKNOWN;
}

static const char *walk_signature(struct proxy_protocol *proxy, unsigned at, char byte)
{
    if (at == 0)
        proxy->is_version_1 = byte == version_1[0];
    if (!proxy->is_version_1)
        return byte == signature[at] ? NULL : missing;
    if (byte != version_1[at])
        return missing;
    return at + 1 == sizeof version_1 - 1 ? too_old : NULL;
}

static const char *end_fixed_part(struct proxy_protocol *proxy)
{
    unsigned rest = (unsigned)proxy->bytes[AT_LENGTH] << 8 | proxy->bytes[AT_LENGTH + 1];
    if (rest > PROXY_PROTOCOL_BYTES_MAX - AT_ADDRESSES)
        return too_long;
    if (rest < address_bytes(proxy))
        return too_short;
    proxy->whole = (uint16_t)(AT_ADDRESSES + rest);
    return NULL;
}

static const char *walk_fixed_part(struct proxy_protocol *proxy, unsigned at, uint8_t byte)
{
    switch (at) {
    case AT_COMMAND:
        if (byte >> 4 != 2)
            return bad_version;
        return byte == COMMAND_LOCAL || byte == COMMAND_PROXY ? NULL : bad_command;
    case AT_FAMILY:
        if (skips_rest(proxy) || byte == FAMILY_TCP_4 || byte == FAMILY_TCP_6)
            return NULL;
        return bad_family;
    case AT_LENGTH + 1:
        return end_fixed_part(proxy);
    default:
        return NULL;
    }
}

/* `left`: bytes of the header after this one. */
static const char *walk_tlv(struct proxy_protocol *proxy, uint8_t byte, unsigned left)
{
    if (proxy->tlv_head == TLV_HEAD_BYTES) { /* in the value */
        if (--proxy->tlv_left == 0)
            proxy->tlv_head = 0;
        return NULL;
    }
    if (proxy->tlv_head++ == 0)
        proxy->tlv_left = 0;
    else
        proxy->tlv_left = (uint16_t)(proxy->tlv_left << 8 | byte);
    if (proxy->tlv_head < TLV_HEAD_BYTES)
        return left == 0 ? bad_tlv : NULL;
    if (proxy->tlv_left == 0)
        proxy->tlv_head = 0;
    return proxy->tlv_left > left ? bad_tlv : NULL;
}

static const char *step(struct proxy_protocol *proxy, char byte)
{
    unsigned at = proxy->seen++;
    if (at < sizeof proxy->bytes)
        proxy->bytes[at] = (uint8_t)byte;
    if (at < SIGNATURE_BYTES)
        return walk_signature(proxy, at, byte);
    if (at < AT_ADDRESSES)
        return walk_fixed_part(proxy, at, (uint8_t)byte);
    if (skips_rest(proxy) || at < AT_ADDRESSES + address_bytes(proxy))
        return NULL;
    return walk_tlv(proxy, (uint8_t)byte, proxy->whole - at - 1U);
}

enum proxy_protocol_step proxy_protocol_walk(struct proxy_protocol *proxy, const char *bytes,
    size_t len, size_t *ret_used, const char **ret_fault)
{
    size_t at = 0;
    const char *fault = NULL;
    while (at < len && !fault && (proxy->whole == 0 || proxy->seen < proxy->whole))
        fault = step(proxy, bytes[at++]);
    *ret_used = at;
    *ret_fault = fault;
    if (fault)
        return PROXY_PROTOCOL_FAULT;
    return proxy->whole > 0 && proxy->seen == proxy->whole ? PROXY_PROTOCOL_DONE
                                                           : PROXY_PROTOCOL_MORE;
}

bool proxy_protocol_source(
    const struct proxy_protocol *proxy, struct in6_addr *ret_address, uint16_t *ret_port)
{
    unsigned len = address_bytes(proxy);
    const uint8_t *addresses = proxy->bytes + AT_ADDRESSES, *ports;
    if (len == 0)
        return false;
    if (len == ADDRESS_BYTES_4) {
        *ret_address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
        memcpy(ret_address->s6_addr + 12, addresses, 4);
        ports = addresses + 2 * 4;
    } else {
        memcpy(ret_address->s6_addr, addresses, 16);
        ports = addresses + 2 * (size_t)16;
    }
    *ret_port = (uint16_t)(ports[0] << 8 | ports[1]);
    return true;
}
