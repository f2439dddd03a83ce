/* SPDX-License-Identifier: Apache-2.0 */
/* The members of a filter are a table: each has its name, and how its text is read and written. */
#include "model/delivery_filter.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "model/endpoint_policy_internal.h"
#include "model/money.h"
#include "model/name.h"
#include "model/object_id.h"
#include "model/type_list.h"

#include <stdio.h>

#define NONE "none"
#define IN_PROGRESS "in_progress"

static bool set_text(char *into, struct slice text, bool is_valid)
{
    if (is_valid) {
        memcpy(into, text.data, text.len);
        into[text.len] = '\0';
    }
    return is_valid;
}

static bool get_text(const char *from, char *ret_text)
{
    snprintf(ret_text, DELIVERY_FILTER_TEXT_BYTES, "%s", from);
    return *from != '\0';
}

/* Reading and writing of each member. The names of the functions are in the table below. */

static bool set_account(struct delivery_filter *filter, struct slice text)
{
    return set_text(filter->account, text, name_is_valid(text));
}

static bool get_account(const struct delivery_filter *filter, char *ret_text)
{
    return get_text(filter->account, ret_text);
}

static bool set_partner(struct delivery_filter *filter, struct slice text)
{
    return set_text(filter->partner, text, name_is_valid(text));
}

static bool get_partner(const struct delivery_filter *filter, char *ret_text)
{
    return get_text(filter->partner, ret_text);
}

static bool set_endpoint(struct delivery_filter *filter, struct slice text)
{
    uint64_t id = 0;
    if (!slice_equals_string(text, NONE) && !endpoint_id_parse(text, &id))
        return false;
    filter->has_endpoint = true;
    filter->endpoint = id;
    return true;
}

static bool get_endpoint(const struct delivery_filter *filter, char *ret_text)
{
    char id[ENDPOINT_ID_TEXT_BYTES] = NONE;
    if (filter->endpoint)
        endpoint_id_format(filter->endpoint, id);
    return filter->has_endpoint && get_text(id, ret_text);
}

static bool set_type(struct delivery_filter *filter, struct slice text)
{
    return set_text(filter->type, text, type_pattern_is_valid(text));
}

static bool get_type(const struct delivery_filter *filter, char *ret_text)
{
    return get_text(filter->type, ret_text);
}

static bool set_key(struct delivery_filter *filter, struct slice text)
{
    return set_text(filter->key, text, name_is_valid_key(text));
}

static bool get_key(const struct delivery_filter *filter, char *ret_text)
{
    return get_text(filter->key, ret_text);
}

static bool set_currency(struct delivery_filter *filter, struct slice text)
{
    if (slice_equals_string(text, NONE))
        text.len = 0;
    else if (!money_check_currency(text))
        return false;
    filter->has_currency = true;
    return set_text(filter->currency, text, true);
}

static bool get_currency(const struct delivery_filter *filter, char *ret_text)
{
    return filter->has_currency && get_text(*filter->currency ? filter->currency : NONE, ret_text);
}

static bool set_amount(struct delivery_filter *filter, struct slice text)
{
    const char *problem;
    if (!money_check_amount(text, &problem))
        return false;
    money_canonical(text, filter->amount);
    return true;
}

static bool get_amount(const struct delivery_filter *filter, char *ret_text)
{
    return get_text(filter->amount, ret_text);
}

static bool set_class(struct delivery_filter *filter, struct slice text)
{
    for (int class = 0; class < EVENT_CLASSES; class ++) {
        if (!slice_equals_string(text, class_name((enum event_class) class)))
            continue;
        filter->has_class = true;
        filter->class = (enum event_class) class;
        return true;
    }
    return false;
}

static bool get_class(const struct delivery_filter *filter, char *ret_text)
{
    return filter->has_class && get_text(class_name(filter->class), ret_text);
}

/* Returns the bits of one name; 0: there is no such state. */
static unsigned states_from_name(struct slice name)
{
    if (slice_equals_string(name, IN_PROGRESS))
        return DELIVERY_STATES_IN_PROGRESS;
    for (int state = 0; state < DELIVERY_STATES; state++)
        if (slice_equals_string(name, delivery_state_name((enum delivery_state)state)))
            return 1u << state;
    return 0;
}

static bool set_state(struct delivery_filter *filter, struct slice text)
{
    unsigned states = 0;
    if (text.data[text.len - 1] == ',')
        return false;
    do {
        unsigned more = states_from_name(slice_take_until(&text, ','));
        if (!more)
            return false;
        states |= more;
    } while (text.len);
    filter->states = states;
    return true;
}

static bool get_state(const struct delivery_filter *filter, char *ret_text)
{
    size_t len = 0;
    for (int state = 0; state < DELIVERY_STATES; state++)
        if (filter->states & 1u << state)
            len += (size_t)snprintf(ret_text + len, DELIVERY_FILTER_TEXT_BYTES - len, "%s%s",
                len ? "," : "", delivery_state_name((enum delivery_state)state));
    return len > 0;
}

static bool set_park_reason(struct delivery_filter *filter, struct slice text)
{
    for (int reason = PARK_NONE + 1; reason <= PARK_DOUBTFUL; reason++) {
        if (!slice_equals_string(text, park_reason_name((enum park_reason)reason)))
            continue;
        filter->park_reason = (enum park_reason)reason;
        return true;
    }
    return false;
}

static bool get_park_reason(const struct delivery_filter *filter, char *ret_text)
{
    return filter->park_reason && get_text(park_reason_name(filter->park_reason), ret_text);
}

static bool set_cause(struct delivery_filter *filter, struct slice text)
{
    for (int cause = CAUSE_NONE + 1; cause < ATTEMPT_CAUSES; cause++) {
        if (!slice_equals_string(text, attempt_cause_code((enum attempt_cause)cause)))
            continue;
        filter->cause = (enum attempt_cause)cause;
        return true;
    }
    return false;
}

static bool get_cause(const struct delivery_filter *filter, char *ret_text)
{
    return filter->cause && get_text(attempt_cause_code(filter->cause), ret_text);
}

/* Zero means that the end is open, so the first microsecond of 1970 cannot be given. */
static bool set_time(struct slice text, int64_t *into)
{
    int64_t at_us;
    if (!clock_parse_rfc3339(text, &at_us) || at_us == 0)
        return false;
    *into = at_us;
    return true;
}

static bool get_time(int64_t at_us, char *ret_text)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(at_us, text);
    return at_us && get_text(text, ret_text);
}

static bool set_since(struct delivery_filter *filter, struct slice text)
{
    return set_time(text, &filter->since_us);
}

static bool get_since(const struct delivery_filter *filter, char *ret_text)
{
    return get_time(filter->since_us, ret_text);
}

static bool set_until(struct delivery_filter *filter, struct slice text)
{
    return set_time(text, &filter->until_us);
}

static bool get_until(const struct delivery_filter *filter, char *ret_text)
{
    return get_time(filter->until_us, ret_text);
}

#define TIME_RULE "must be a time such as 2026-03-01T12:00:00Z"

/* name, and what its value must be */
#define DELIVERY_FILTER_MEMBERS(X)                                                                 \
    X(account, NAME_RULE)                                                                          \
    X(partner, NAME_RULE)                                                                          \
    X(endpoint, "must be the id of an endpoint such as ep_0123456789abcdef, or the word none for " \
                "unrouted deliveries")                                                             \
    X(type, TYPE_PATTERN_RULE)                                                                     \
    X(key, KEY_RULE)                                                                               \
    X(currency,                                                                                    \
        "must be three capital letters such as EUR, or the word none for events without an "       \
        "amount")                                                                                  \
    X(amount, "must be a decimal number such as 129.90")                                           \
    X(class, "must be critical, important or optional")                                            \
    X(state,                                                                                       \
        "must be in_progress (pending, sending or waiting), pending, sending, waiting, parked, "   \
        "delivered, dead or discarded, or several of them with commas")                            \
    X(park_reason,                                                                                 \
        "must be unrouted, disabled, gone, ambiguous, conflict, damaged, mismatch, taken-over or " \
        "doubtful")                                                                                \
    X(cause, "must be the code of a cause, such as connect-refused: see etc/doc/causes.md")        \
    X(since, TIME_RULE)                                                                            \
    X(until, TIME_RULE)

static const struct member {
    const char *name, *rule;
    bool (*set)(struct delivery_filter *filter, struct slice text);
    bool (*get)(const struct delivery_filter *filter, char *ret_text);
} members[] = {
#define X(name, rule) {#name, rule, set_##name, get_##name},
    DELIVERY_FILTER_MEMBERS(X)
#undef X
};

const char *const delivery_filter_names[] = {
#define X(name, rule) #name,
    DELIVERY_FILTER_MEMBERS(X)
#undef X
        NULL};

static const struct member *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(members); i++)
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    return NULL;
}

bool delivery_filter_set(
    struct delivery_filter *filter, const char *name, struct slice text, const char **ret_problem)
{
    const struct member *member = find(name);
    if (member && text.len > 0 && member->set(filter, text))
        return true;
    *ret_problem = member ? member->rule : "is not a member of a filter";
    return false;
}

bool delivery_filter_get(const struct delivery_filter *filter, const char *name,
    char ret_text[DELIVERY_FILTER_TEXT_BYTES])
{
    const struct member *member = find(name);
    return member && member->get(filter, ret_text);
}

bool delivery_filter_finish(
    struct delivery_filter *filter, const char **ret_name, const char **ret_problem)
{
    if (filter->park_reason && filter->states && filter->states != 1u << DELIVERY_PARKED) {
        *ret_name = "park_reason";
        *ret_problem = "is allowed only with the state parked";
        return false;
    }
    if (filter->since_us && filter->until_us && filter->until_us <= filter->since_us) {
        *ret_name = "until";
        *ret_problem = "must be later than since";
        return false;
    }
    if (filter->park_reason)
        filter->states = 1u << DELIVERY_PARKED;
    return true;
}

/* As JSON. */

void delivery_filter_to_json(const struct delivery_filter *filter, struct buffer *into)
{
    const char *before = "{";
    for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
        char text[DELIVERY_FILTER_TEXT_BYTES];
        if (!members[i].get(filter, text))
            continue;
        buffer_add_format(into, "%s\"%s\":", before, members[i].name);
        buffer_add_json_string(into, slice_from_string(text));
        before = ",";
    }
    buffer_add_string(into, *before == '{' ? "{}" : "}");
}

enum err delivery_filter_from_json(struct slice json, struct delivery_filter *ret_filter)
{
    struct delivery_filter filter = {0};
    struct refusal refusal;
    const char *name, *problem;
    yajl_val tree = NULL;
    if (policy_parse_tree(json, &tree, &refusal) != OK)
        return ERR_INVALID;
    bool is_good = YAJL_IS_OBJECT(tree);
    for (size_t i = 0; is_good && i < tree->u.object.len; i++)
        is_good = YAJL_IS_STRING(tree->u.object.values[i]) &&
                  delivery_filter_set(&filter, tree->u.object.keys[i],
                      slice_from_string(tree->u.object.values[i]->u.string), &problem);
    yajl_tree_free(tree);
    if (!is_good || !delivery_filter_finish(&filter, &name, &problem))
        return ERR_INVALID;
    *ret_filter = filter;
    return OK;
}

/* Matching. */

static bool type_matches(const char *pattern, struct slice type)
{
    size_t len = strlen(pattern);
    if (pattern[len - 1] != '*')
        return slice_equals_string(type, pattern);
    return type.len >= len - 1 && memcmp(type.data, pattern, len - 1) == 0;
}

/* An event without an amount has no currency here: it counts with the events without money. */
static bool money_matches(const struct delivery_filter *filter, const struct event_parts *parts)
{
    struct slice currency = parts->amount.len ? parts->currency : (struct slice){0};
    if (filter->has_currency && !slice_equals_string(currency, filter->currency))
        return false;
    if (!*filter->amount)
        return true;
    struct money_value wanted, value;
    money_value_of(slice_from_string(filter->amount), (struct slice){0}, &wanted);
    money_value_of(parts->amount, (struct slice){0}, &value);
    return money_value_equal(&wanted, &value);
}

bool delivery_filter_asks_for_event(const struct delivery_filter *filter)
{
    return *filter->account || *filter->partner || *filter->type || *filter->key ||
           filter->has_currency || *filter->amount || filter->has_class || filter->since_us ||
           filter->until_us;
}

bool delivery_filter_matches_event(
    const struct delivery_filter *filter, const struct event_parts *parts)
{
    return (!*filter->account || slice_equals_string(parts->account, filter->account)) &&
           (!*filter->partner || slice_equals_string(parts->partner, filter->partner)) &&
           (!*filter->type || type_matches(filter->type, parts->type)) &&
           (!*filter->key || slice_equals_string(parts->key, filter->key)) &&
           (!filter->has_class || parts->class == filter->class) &&
           (!filter->since_us || parts->accepted_us >= filter->since_us) &&
           (!filter->until_us || parts->accepted_us < filter->until_us) &&
           money_matches(filter, parts);
}

bool delivery_filter_matches_row(
    const struct delivery_filter *filter, const struct delivery_filter_row *row)
{
    unsigned states = 1u << row->state | (row->was_delivered ? 1u << DELIVERY_DELIVERED : 0);
    return (!filter->states || filter->states & states) &&
           (!filter->has_endpoint || row->endpoint == filter->endpoint) &&
           (!filter->park_reason ||
               (row->state == DELIVERY_PARKED && row->reason == filter->park_reason));
}
