/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per type: a parser of one scalar (of a list: of one item), and the rule in words. Nothing
 * is taken that a person could have meant otherwise: no blanks, no leading zeros or signs, no
 * missing units, no silent cut.
 */
#include "config/value.h"

#include "base/cleanup.h"
#include "base/measure.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>

_Static_assert(VALUE_ITEMS_MAX >= CONFIG_NETWORKS_MAX && VALUE_ITEMS_MAX >= RETRY_STEPS_MAX &&
                   VALUE_ITEMS_MAX >= TYPE_LIST_MAX && VALUE_ITEMS_MAX >= CONFIG_ADDRESSES_MAX,
    "every list fits");

/* The words of a choice, in the order of its enum. */
struct words {
    unsigned count;
    const char *texts[4];
};

static const struct words levels = {
    4, {[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"}};
static const struct words queue_kinds = {
    2, {[CONFIG_QUEUE_DIRECT] = "direct", [CONFIG_QUEUE_RABBITMQ] = "rabbitmq"}};

static struct slice slice_after(struct slice text, size_t at)
{
    return slice_of(text.data + at, text.len - at);
}

static bool parse_whole(struct slice text, int64_t min, int64_t max, int64_t *ret_number)
{
    return measure_parse(MEASURE_NUMBER, text, min, max, ret_number);
}

static bool parse_integer(const struct option *option, struct slice text, void *field)
{
    return parse_whole(text, option->min, option->max, field);
}

static bool parse_bytes(const struct option *option, struct slice text, void *field)
{
    return measure_parse(MEASURE_BYTES, text, option->min, option->max, field);
}

static bool parse_duration(const struct option *option, struct slice text, void *field)
{
    return measure_parse(MEASURE_DURATION, text, option->min, option->max, field);
}

static bool parse_boolean(const struct option *option, struct slice text, void *field)
{
    bool is_true = slice_equals_string(text, "true");
    if (!is_true && !slice_equals_string(text, "false"))
        return false;
    *(bool *)field = is_true;
    return true;
}

static bool parse_word(const struct words *words, struct slice text, int64_t *ret_number)
{
    for (unsigned i = 0; i < words->count; i++) {
        if (slice_equals_string(text, words->texts[i])) {
            *ret_number = i;
            return true;
        }
    }
    return false;
}

static bool parse_level(const struct option *option, struct slice text, void *field)
{
    return parse_word(&levels, text, field);
}

static bool parse_queue_kind(const struct option *option, struct slice text, void *field)
{
    return parse_word(&queue_kinds, text, field);
}

static void store_text(const struct option *option, struct slice text, char *field)
{
    memset(field, 0, option->size);
    if (text.len)
        memcpy(field, text.data, text.len);
}

static bool parse_text(const struct option *option, struct slice text, void *field)
{
    if (text.len < (size_t)option->min || text.len > (size_t)option->max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    store_text(option, text, field);
    return true;
}

static bool only_of(struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || !strchr(allowed, text.data[i]))
            return false;
    return true;
}

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* `*`, an IPv6 address in brackets, an IPv4 address, or a name: whether it exists is the listener's
 * to find out. */
static bool is_host(struct slice host)
{
    char copy[INET6_ADDRSTRLEN + 2];
    struct in6_addr address;
    if (slice_equals_string(host, "*"))
        return true;
    bool bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    bool numeric = only_of(host, DIGITS ".");
    if (bracketed)
        host = slice_of(host.data + 1, host.len - 2);
    if (!bracketed && !numeric)
        return host.len > 0 && only_of(host, LETTERS DIGITS ".-_") && host.data[0] != '-' &&
               host.data[0] != '.';
    if (host.len >= sizeof copy || memchr(host.data, '\0', host.len))
        return false;
    snprintf(copy, sizeof copy, "%.*s", SLICE_ARGS(host));
    return inet_pton(bracketed ? AF_INET6 : AF_INET, copy, &address) == 1;
}

static bool parse_address(const struct option *option, struct slice text, void *field)
{
    const char *colon = text.len ? memrchr(text.data, ':', text.len) : NULL;
    int64_t port;
    if (text.len == 0 && option->min == 0) {
        store_text(option, text, field);
        return true;
    }
    if (!colon || text.len > (size_t)option->max)
        return false;
    size_t host_len = (size_t)(colon - text.data);
    if (!is_host(slice_of(text.data, host_len)) ||
        !parse_whole(slice_after(text, host_len + 1), 0, 65535, &port))
        return false;
    store_text(option, text, field);
    return true;
}

static bool parse_step(const struct option *option, struct slice text, void *field)
{
    struct retry_schedule *schedule = field;
    return measure_parse(MEASURE_DURATION, text, RETRY_STEP_US_MIN, RETRY_STEP_US_MAX,
               &schedule->steps_us[schedule->steps]) &&
           ++schedule->steps;
}

static bool parse_network(const struct option *option, struct slice text, void *field)
{
    struct config_networks *networks = field;
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    int64_t bits;
    if (!slash || slash == text.data || text.len >= CONFIG_NETWORK_TEXT_BYTES)
        return false;
    size_t address_len = (size_t)(slash - text.data);
    if (!only_of(slice_of(text.data, address_len), DIGITS "abcdefABCDEF.:") ||
        !parse_whole(slice_after(text, address_len + 1), 0, 128, &bits))
        return false;
    /* The list was zeroed before. */
    memcpy(networks->texts[networks->count++], text.data, text.len);
    return true;
}

static bool parse_type(const struct option *option, struct slice text, void *field)
{
    return type_list_add(field, text); /* the list was zeroed before */
}

/* Parses host:port or host. Rejects `*`, since a client cannot connect to it. */
static bool parse_broker(const struct option *option, struct slice text, void *field)
{
    struct config_addresses *addresses = field;
    if (text.len == 0 || text.len >= CONFIG_ADDRESS_BYTES || text.data[0] == '*')
        return false;
    bool bracketed = text.data[0] == '[';
    const char *behind = bracketed ? memchr(text.data, ']', text.len) : text.data;
    const char *colon =
        behind ? memchr(behind, ':', text.len - (size_t)(behind - text.data)) : NULL;
    size_t host_len = colon ? (size_t)(colon - text.data) : text.len;
    int64_t port;
    if (!is_host(slice_of(text.data, host_len)) ||
        (colon && !parse_whole(slice_after(text, host_len + 1), 1, 65535, &port)))
        return false;
    /* The list was zeroed before. */
    memcpy(addresses->texts[addresses->count++], text.data, text.len);
    return true;
}

static bool parse_role(const struct option *option, struct slice text, void *field)
{
    struct config_roles *roles = field;
    bool *role = slice_equals_string(text, "ingress")    ? &roles->ingress
                 : slice_equals_string(text, "delivery") ? &roles->delivery
                                                         : NULL;
    if (!role || *role)
        return false;
    *role = true;
    return true;
}

/* The rules. */

static void rule_integer(const struct option *option, struct buffer *text)
{
    buffer_add_format(
        text, "a whole number from %lld to %lld", (long long)option->min, (long long)option->max);
}

static void rule_bytes(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "a whole number of bytes, or with KiB, MiB or GiB after it, from ");
    measure_add_range(text, MEASURE_BYTES, option->min, option->max);
}

static void rule_duration(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "a whole number with ms, s, m, h or d after it, from ");
    measure_add_range(text, MEASURE_DURATION, option->min, option->max);
}

static void rule_boolean(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "true or false");
}

static void write_words(struct buffer *text, const struct words *words)
{
    for (unsigned i = 0; i < words->count; i++)
        buffer_add_format(text, "%s%s", words->texts[i],
            i + 2 < words->count   ? ", "
            : i + 1 < words->count ? " or "
                                   : "");
}

static void rule_level(const struct option *option, struct buffer *text)
{
    write_words(text, &levels);
}

static void rule_queue_kind(const struct option *option, struct buffer *text)
{
    write_words(text, &queue_kinds);
}

static void rule_text(const struct option *option, struct buffer *text)
{
    buffer_add_format(text, "%s of %lld to %lld bytes without control characters",
        option->type == OPTION_PATH ? "a path" : "a text", (long long)option->min,
        (long long)option->max);
}

static void rule_address(const struct option *option, struct buffer *text)
{
    buffer_add_format(text,
        "host:port, \"*:port\" or \"[IPv6]:port\", with a port from 0 to 65535%s",
        option->min == 0 ? ", or empty" : "");
}

static void rule_step(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "whole numbers with ms, s, m, h or d after them, from ");
    measure_add_range(text, MEASURE_DURATION, RETRY_STEP_US_MIN, RETRY_STEP_US_MAX);
}

static void rule_network(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "networks such as 10.0.0.0/8 or fd00::/8");
}

static void rule_type(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "event types such as purchase, or prefixes with *, such as order.*");
}

static void rule_broker(const struct option *option, struct buffer *text)
{
    buffer_add_string(
        text, "addresses: host, host:port or \"[IPv6]:port\", with a port from 1 to 65535");
}

static void rule_role(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "of the roles ingress and delivery, each at most once");
}

static const struct {
    bool is_list, is_text;
    bool (*parse)(const struct option *option, struct slice text, void *field);
    void (*write_rule)(const struct option *option, struct buffer *text);
} types[OPTION_TYPE_COUNT] = {
    [OPTION_TEXT] = {.is_text = true, .parse = parse_text, .write_rule = rule_text},
    [OPTION_PATH] = {.is_text = true, .parse = parse_text, .write_rule = rule_text},
    [OPTION_ADDRESS] = {.is_text = true, .parse = parse_address, .write_rule = rule_address},
    [OPTION_INTEGER] = {.parse = parse_integer, .write_rule = rule_integer},
    [OPTION_BYTES] = {.parse = parse_bytes, .write_rule = rule_bytes},
    [OPTION_DURATION] = {.parse = parse_duration, .write_rule = rule_duration},
    [OPTION_BOOLEAN] = {.parse = parse_boolean, .write_rule = rule_boolean},
    [OPTION_LEVEL] = {.parse = parse_level, .write_rule = rule_level},
    [OPTION_QUEUE_KIND] = {.parse = parse_queue_kind, .write_rule = rule_queue_kind},
    [OPTION_DURATIONS] = {.is_list = true, .parse = parse_step, .write_rule = rule_step},
    [OPTION_NETWORKS] = {.is_list = true, .parse = parse_network, .write_rule = rule_network},
    [OPTION_TYPES] = {.is_list = true, .parse = parse_type, .write_rule = rule_type},
    [OPTION_ADDRESSES] = {.is_list = true, .parse = parse_broker, .write_rule = rule_broker},
    [OPTION_ROLES] = {.is_list = true, .parse = parse_role, .write_rule = rule_role},
};

bool value_is_list(const struct option *option)
{
    return types[option->type].is_list;
}

bool value_is_text(const struct option *option)
{
    return types[option->type].is_text;
}

void value_write_rule(const struct option *option, struct buffer *text)
{
    buffer_add_string(text, "must be ");
    if (value_is_list(option))
        buffer_add_format(
            text, "a list of %lld to %lld ", (long long)option->min, (long long)option->max);
    types[option->type].write_rule(option, text);
}

static void complain(const struct option *option, struct slice value,
    const struct complaint_place *place, struct complaints *complaints)
{
    struct buffer message = BUFFER_EMPTY;
    value_write_rule(option, &message);
    buffer_add_string(&message, ", but is ");
    complaint_quote(&message, value);
    complaint_add(complaints, place, "%s", message.data ? message.data : "is wrong");
    buffer_done(&message);
}

void value_set(const struct option *option, struct slice text, struct config *config,
    const struct complaint_place *place, struct complaints *complaints)
{
    if (value_is_list(option) ||
        !types[option->type].parse(option, text, option_field(option, config)))
        complain(option, text, place, complaints);
}

void value_set_list(const struct option *option, const struct value_item *items, size_t count,
    struct config *config, const struct complaint_place *place, struct complaints *complaints)
{
    if (!value_is_list(option) || count < (size_t)option->min || count > (size_t)option->max) {
        struct buffer rule = BUFFER_EMPTY;
        value_write_rule(option, &rule);
        complaint_add(complaints, place, "%s, but is a list of %zu",
            rule.data ? rule.data : "is wrong", count);
        buffer_done(&rule);
        return;
    }
    union {
        struct retry_schedule schedule;
        struct config_networks networks;
        struct type_list types;
        struct config_addresses addresses;
        struct config_roles roles;
    } field;
    assert(option->size <= sizeof field);
    memset(&field, 0, sizeof field);
    size_t complaints_before = complaints->count;
    for (size_t i = 0; i < count; i++) {
        struct complaint_place item_place = *place;
        if (items[i].line > 0) {
            item_place.line = items[i].line;
            item_place.column = items[i].column;
        }
        if (!types[option->type].parse(option, items[i].text, &field))
            complain(option, items[i].text, &item_place, complaints);
    }
    if (complaints->count == complaints_before)
        memcpy(option_field(option, config), &field, option->size);
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && text.data[0] == ' ')
        text = slice_after(text, 1);
    while (text.len > 0 && text.data[text.len - 1] == ' ')
        text.len--;
    return text;
}

void value_set_flat(const struct option *option, struct slice text, struct config *config,
    const struct complaint_place *place, struct complaints *complaints)
{
    if (!value_is_list(option)) {
        value_set(option, text, config, place, complaints);
        return;
    }
    struct slice rest = trim(text);
    if (rest.len >= 2 && rest.data[0] == '[' && rest.data[rest.len - 1] == ']')
        rest = trim(slice_of(rest.data + 1, rest.len - 2));
    struct value_item items[VALUE_ITEMS_MAX] = {0};
    size_t count = 0;
    for (bool more = rest.len > 0; more; count++) {
        const char *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma ? (size_t)(comma - rest.data) : rest.len;
        if (count < VALUE_ITEMS_MAX)
            items[count].text = trim(slice_of(rest.data, len));
        more = comma != NULL;
        rest = slice_after(rest, more ? len + 1 : len);
    }
    value_set_list(option, items, count, config, place, complaints);
}
