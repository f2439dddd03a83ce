/* SPDX-License-Identifier: Apache-2.0 */
#include "http/forwarded.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* The longest node is an IPv6 address in brackets with a port. Names that hide it may be longer. */
#define NODE_BYTES_MAX 128

/* What an element says about the client. */
struct hop {
    enum forwarded kind; /* not FORWARDED_NONE */
    struct in6_addr address;
    uint16_t port;
};

/* The last hops of a field. */
struct hops {
    struct hop last[FORWARDED_HOPS_MAX];
    unsigned count; /* of all */
};

struct cursor {
    const char *at, *end;
};

static bool is_alnum(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_token(char byte)
{
    return is_alnum(byte) || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
        cursor->at++;
}

static bool take(struct cursor *cursor, char byte)
{
    if (cursor->at == cursor->end || *cursor->at != byte)
        return false;
    cursor->at++;
    return true;
}

static struct slice take_token(struct cursor *cursor)
{
    const char *begin = cursor->at;
    while (cursor->at < cursor->end && is_token(*cursor->at))
        cursor->at++;
    return slice_of(begin, (size_t)(cursor->at - begin));
}

/* Nodes */

/* "_hidden", for a node or a port. */
static bool is_obfuscated(struct slice text)
{
    if (text.len < 2 || text.data[0] != '_')
        return false;
    for (size_t i = 1; i < text.len; i++)
        if (!is_alnum(text.data[i]) && !memchr("._-", text.data[i], 3))
            return false;
    return true;
}

static bool read_port(struct slice text, uint16_t *ret_port)
{
    unsigned port = 0;
    if (is_obfuscated(text)) {
        *ret_port = 0;
        return true;
    }
    if (text.len < 1 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    *ret_port = (uint16_t)port;
    return port <= UINT16_MAX;
}

static bool read_address(int family, struct slice text, struct in6_addr *ret_address)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char ipv4[4];
    if (text.len >= sizeof copy || (text.len > 0 && memchr(text.data, '\0', text.len)))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (family == AF_INET6)
        return inet_pton(AF_INET6, copy, ret_address) == 1;
    if (inet_pton(AF_INET, copy, ipv4) != 1)
        return false;
    *ret_address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(ret_address->s6_addr + 12, ipv4, sizeof ipv4);
    return true;
}

/* Divides "name:port" and "[name]:port". Returns false if a bracket is missing. */
static bool divide_node(struct slice node, struct slice *ret_name, struct slice *ret_port)
{
    bool is_ipv6 = node.len > 0 && node.data[0] == '[';
    const char *end = node.data + node.len;
    const char *after = node.len ? memchr(node.data, is_ipv6 ? ']' : ':', node.len) : NULL;
    *ret_port = slice_of(end, 0);
    *ret_name = node;
    if (!after)
        return !is_ipv6;
    after += is_ipv6;
    *ret_name = slice_of(node.data, (size_t)(after - node.data));
    if (after == end)
        return true;
    *ret_port = slice_of(after, (size_t)(end - after)); /* with its colon */
    return *after == ':';
}

/* RFC 7239, section 6. */
static bool read_node(struct slice node, struct hop *hop)
{
    static const char unknown[] = "unknown";
    struct slice name, port;
    if (!divide_node(node, &name, &port))
        return false;
    hop->port = 0;
    if (port.len > 0 && !read_port(slice_of(port.data + 1, port.len - 1), &hop->port))
        return false;
    hop->kind = FORWARDED_HIDDEN;
    if (is_obfuscated(name) ||
        (name.len == sizeof unknown - 1 && strncasecmp(name.data, unknown, name.len) == 0))
        return true;
    hop->kind = FORWARDED_ADDRESS;
    if (name.len > 2 && name.data[0] == '[')
        return read_address(AF_INET6, slice_of(name.data + 1, name.len - 2), &hop->address);
    return read_address(AF_INET, name, &hop->address);
}

/* Elements */

/* Takes a quoted string without its quotes. A text that is longer than `room` is cut. */
static bool take_quoted(struct cursor *cursor, char *ret_text, size_t room, size_t *ret_len)
{
    size_t len = 0;
    while (cursor->at < cursor->end) {
        char byte = *cursor->at++;
        if (byte == '"') {
            *ret_len = len;
            return true;
        }
        if (byte == '\\') {
            if (cursor->at == cursor->end)
                return false;
            byte = *cursor->at++;
        }
        if ((unsigned char)byte < ' ' ? byte != '\t' : byte == 0x7f)
            return false;
        if (len < room)
            ret_text[len++] = byte;
    }
    return false;
}

/* Takes "name=value". *seen: which parameters of the element were seen. */
static bool take_pair(struct cursor *cursor, unsigned *seen, struct hop *hop)
{
    static const char *const names[] = {"for", "by", "host", "proto"};
    char text[NODE_BYTES_MAX];
    struct slice name = take_token(cursor), value;
    if (name.len == 0 || !take(cursor, '='))
        return false;
    if (take(cursor, '"')) {
        size_t len = 0;
        if (!take_quoted(cursor, text, sizeof text, &len))
            return false;
        value = slice_of(text, len);
    } else {
        value = take_token(cursor);
        if (value.len == 0)
            return false;
    }
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strlen(names[i]) != name.len || strncasecmp(names[i], name.data, name.len) != 0)
            continue;
        if (*seen & 1U << i) /* each only once, section 4 */
            return false;
        *seen |= 1U << i;
        return i > 0 || read_node(value, hop);
    }
    return true;
}

/* Takes pairs until the comma or the end. *ret_empty: there was none. */
static bool take_element(struct cursor *cursor, struct hop *hop, bool *ret_empty)
{
    unsigned seen = 0;
    *hop = (struct hop){.kind = FORWARDED_HIDDEN};
    *ret_empty = true;
    for (;;) {
        skip_blanks(cursor);
        if (cursor->at < cursor->end && *cursor->at != ';' && *cursor->at != ',') {
            if (!take_pair(cursor, &seen, hop))
                return false;
            *ret_empty = false;
            skip_blanks(cursor);
        }
        if (!take(cursor, ';'))
            return cursor->at == cursor->end || *cursor->at == ',';
    }
}

/* Returns false for a malformed field. */
static bool read_field(struct slice value, struct hops *hops)
{
    struct cursor cursor = {value.data, value.data + value.len};
    hops->count = 0;
    do {
        struct hop hop;
        bool is_empty;
        if (!take_element(&cursor, &hop, &is_empty))
            return false;
        if (!is_empty) /* RFC 9110, 5.6.1: an element of a list may be empty */
            hops->last[hops->count++ % FORWARDED_HOPS_MAX] = hop;
    } while (take(&cursor, ','));
    return true;
}

enum forwarded forwarded_read(const struct slice *values, size_t count,
    bool (*is_proxy)(const struct in6_addr *address, void *context), void *context,
    struct in6_addr *ret_address, uint16_t *ret_port)
{
    struct hops hops;
    while (count-- > 0) {
        if (!read_field(values[count], &hops))
            return FORWARDED_MALFORMED;
        for (unsigned i = 1; i <= hops.count; i++) {
            if (i > FORWARDED_HOPS_MAX)
                return FORWARDED_MALFORMED;
            const struct hop *hop = &hops.last[(hops.count - i) % FORWARDED_HOPS_MAX];
            if (hop->kind == FORWARDED_HIDDEN)
                return FORWARDED_HIDDEN;
            if (is_proxy(&hop->address, context))
                continue;
            *ret_address = hop->address;
            *ret_port = hop->port;
            return FORWARDED_ADDRESS;
        }
    }
    return FORWARDED_NONE;
}
