/* SPDX-License-Identifier: Apache-2.0 */
#include "model/operator_event.h"

#include "base/clock.h"

static const struct {
    const char *kind;
    enum operator_severity severity;
    const char *what;
} rows[OPERATOR_EVENT_KINDS] = {
#define X(symbol, kind, severity, what) [symbol] = {kind, severity, what},
    OPERATOR_EVENT_TABLE(X)
#undef X
};

const char *operator_event_kind_name(enum operator_event_kind kind)
{
    return rows[kind].kind;
}

enum operator_severity operator_event_severity(enum operator_event_kind kind)
{
    return rows[kind].severity;
}

const char *operator_severity_name(enum operator_severity severity)
{
    static const char *const names[] = {
        [SEVERITY_INFO] = "info", [SEVERITY_WARNING] = "warning", [SEVERITY_ERROR] = "error"};
    return names[severity];
}

const char *operator_event_what(enum operator_event_kind kind)
{
    return rows[kind].what;
}

/* Returns the length of the character that begins here; 0 when it is not valid UTF-8 (RFC 3629). */
static size_t character_length(const unsigned char *text)
{
    static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    size_t len = first < 0x80           ? 1
                 : (first >> 5) == 0x06 ? 2
                 : (first >> 4) == 0x0e ? 3
                 : (first >> 3) == 0x1e ? 4
                                        : 0;
    if (len <= 1)
        return len;
    unsigned code = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) /* also the NUL at the end */
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < smallest[len] || code > 0x10ffff || is_surrogate ? 0 : len;
}

void operator_event_set_detail(struct operator_event *event, const char *text)
{
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t len = character_length(at);
        bool is_good = len > 1 || (len == 1 && *at >= 0x20 && *at != 0x7f);
        if (used + (is_good ? len : 1) >= sizeof event->detail)
            break;
        if (is_good)
            memcpy(event->detail + used, at, len);
        else
            event->detail[used] = '?';
        used += is_good ? len : 1;
        at += len > 1 ? len : 1;
    }
    event->detail[used] = '\0';
}

/* The body. */

static void add_text(struct buffer *json, const char *name, const char *text)
{
    if (!*text)
        return;
    buffer_add_format(json, ",\"%s\":", name);
    buffer_add_json_string(json, slice_from_string(text));
}

static void add_number(struct buffer *json, const char *name, int64_t number)
{
    if (number != 0)
        buffer_add_format(json, ",\"%s\":%lld", name, (long long)number);
}

void operator_event_print_data(const struct operator_event *event, struct buffer *json)
{
    buffer_add_format(
        json, "{\"severity\":\"%s\"", operator_severity_name(operator_event_severity(event->kind)));
    add_text(json, "what", operator_event_what(event->kind));
    add_text(json, "detail", event->detail);
    add_text(json, "cause", event->cause);
    add_text(json, "subject", event->subject);
    add_text(json, "partner", event->partner);
    add_text(json, "account", event->account);
    add_text(json, "endpoint", event->endpoint);
    add_text(json, "endpoint_name", event->endpoint_name);
    add_number(json, "percent", event->percent);
    add_number(json, "count", event->count);
    add_text(json, "delivery", event->delivery);
    add_text(json, "event", event->event);
    add_text(json, "first_event", event->first_event);
    buffer_add_char(json, '}');
}

void operator_event_print(const struct operator_event *event, struct buffer *json)
{
    char at[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(event->at_us, at);
    buffer_add_format(json,
        "{\"type\":\"%s\",\"account\":\"" OPERATOR_ACCOUNT "\",\"occurred_at\":\"%s\",\"data\":",
        operator_event_kind_name(event->kind), at);
    operator_event_print_data(event, json);
    buffer_add_char(json, '}');
}

/* Posting. */

bool operator_event_is_account(struct slice account)
{
    return slice_equals_string(account, OPERATOR_ACCOUNT);
}

bool operator_event_is_own(struct slice partner, struct slice account)
{
    return slice_equals_string(partner, OPERATOR_ACCOUNT) && operator_event_is_account(account);
}

void operator_event_post(const struct operator_event_sink *sink, const struct operator_event *event)
{
    if (sink->post)
        sink->post(sink->context, event);
}
