/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the members of a policy out of its JSON tree. Each object has a table of its members, and
 * each member a function that checks and stores one value. What is wrong is added to the problems
 * with its JSON pointer, and reading continues, so that an operator sees all of it at once. The
 * members that say how a request is sent are in endpoint_policy_send.c.
 */
#include "model/endpoint_policy_internal.h"

#include "base/cleanup.h"
#include "base/measure.h"
#include "model/key_pointer.h"

#include <stddef.h>
#include <stdio.h>

#define CONNECT_TIMEOUT_US_MAX (60 * US_PER_SECOND) /* as in the configuration */
#define ANSWER_TIMEOUT_US_MIN (10 * US_PER_MS)
#define ANSWER_TIMEOUT_US_MAX (600 * US_PER_SECOND)
#define HORIZON_US_MAX (365 * US_PER_DAY)
#define IN_FLIGHT_MAX 1024
#define RATE_MIN 0.01
#define RATE_MAX 100000.0
#define STATUS_RANGES_MAX 64
#define PROBE_ID_BYTES 40 /* evt_ and a UUID */

/* Pointers and problems. */

void policy_complain(struct policy_reading *reading, const char *detail)
{
    field_problems_add(reading->problems, reading->pointer, detail);
}

static void add_to_pointer(struct policy_reading *reading, const char *text)
{
    size_t len = strlen(text), room = sizeof reading->pointer - 1 - reading->pointer_len;
    if (len > room)
        len = room;
    memcpy(reading->pointer + reading->pointer_len, text, len);
    reading->pointer_len += len;
    reading->pointer[reading->pointer_len] = '\0';
}

size_t policy_enter(struct policy_reading *reading, const char *name)
{
    size_t before = reading->pointer_len;
    for (const char *at = name; *at; at++)
        if (*at < 0x20 || *at > 0x7e)
            return before;
    add_to_pointer(reading, "/");
    for (const char *at = name; *at; at++)
        add_to_pointer(reading, *at == '~' ? "~0" : *at == '/' ? "~1" : (const char[]){*at, '\0'});
    return before;
}

size_t policy_enter_item(struct policy_reading *reading, size_t index)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", index);
    return policy_enter(reading, text);
}

void policy_leave(struct policy_reading *reading, size_t before)
{
    reading->pointer_len = before;
    reading->pointer[before] = '\0';
}

void policy_read_members(struct policy_reading *reading, yajl_val value,
    const struct policy_member *members, unsigned count, void *into)
{
    uint32_t seen = 0;
    if (!YAJL_IS_OBJECT(value)) {
        policy_complain(reading, "must be an object");
        return;
    }
    for (size_t i = 0; i < value->u.object.len; i++) {
        size_t before = policy_enter(reading, value->u.object.keys[i]);
        unsigned at = 0;
        while (at < count && strcmp(members[at].name, value->u.object.keys[i]) != 0)
            at++;
        if (at == count)
            policy_complain(
                reading, "is not a member of this object: remove it, or correct its name");
        else if (seen & UINT32_C(1) << at)
            policy_complain(reading, "occurs twice: remove one of them");
        else if (members[at].takes_null || !YAJL_IS_NULL(value->u.object.values[i]))
            members[at].read(reading, value->u.object.values[i], (char *)into + members[at].offset);
        if (at < count)
            seen |= UINT32_C(1) << at;
        policy_leave(reading, before);
    }
}

bool policy_has(yajl_val object, const char *name)
{
    yajl_val *value = policy_find(object, name);
    return value && !YAJL_IS_NULL(*value);
}

void policy_complain_of(struct policy_reading *reading, const char *name, const char *detail)
{
    size_t before = policy_enter(reading, name);
    policy_complain(reading, detail);
    policy_leave(reading, before);
}

bool policy_is_list(
    struct policy_reading *reading, yajl_val value, size_t min, size_t max, const char *rule)
{
    bool good = YAJL_IS_ARRAY(value) && value->u.array.len >= min && value->u.array.len <= max;
    if (!good)
        policy_complain(reading, rule);
    return good;
}

/* Single values. */

static void read_duration(
    struct policy_reading *reading, yajl_val value, int64_t min_us, int64_t max_us, int64_t *into)
{
    if (YAJL_IS_STRING(value) &&
        measure_parse(MEASURE_DURATION, slice_from_string(value->u.string), min_us, max_us, into))
        return;
    struct buffer rule = BUFFER_EMPTY;
    buffer_add_string(&rule, "must be a whole number with ms, s, m, h or d after it, from ");
    measure_add_range(&rule, MEASURE_DURATION, min_us, max_us);
    policy_complain(reading, buffer_status(&rule) ? "must be a duration such as 30s" : rule.data);
    buffer_done(&rule);
}

static void read_horizon(struct policy_reading *reading, yajl_val value, void *into)
{
    read_duration(reading, value, US_PER_SECOND, HORIZON_US_MAX, into);
}

static void read_connect_timeout(struct policy_reading *reading, yajl_val value, void *into)
{
    read_duration(reading, value, US_PER_MS, CONNECT_TIMEOUT_US_MAX, into);
}

static void read_answer_timeout(struct policy_reading *reading, yajl_val value, void *into)
{
    read_duration(reading, value, ANSWER_TIMEOUT_US_MIN, ANSWER_TIMEOUT_US_MAX, into);
}

static void read_schedule(struct policy_reading *reading, yajl_val value, void *into)
{
    struct retry_schedule *schedule = into;
    _Static_assert(RETRY_STEPS_MAX == 32, "as the text says");
    if (!policy_is_list(reading, value, 1, RETRY_STEPS_MAX,
            "must be a list of 1 to 32 durations such as [\"1s\", \"5m\"]"))
        return;
    for (size_t i = 0; i < value->u.array.len; i++) {
        size_t before = policy_enter_item(reading, i);
        read_duration(reading, value->u.array.values[i], RETRY_STEP_US_MIN, RETRY_STEP_US_MAX,
            &schedule->steps_us[i]);
        policy_leave(reading, before);
    }
    schedule->steps = (unsigned)value->u.array.len;
}

static void read_in_flight_max(struct policy_reading *reading, yajl_val value, void *into)
{
    if (YAJL_IS_INTEGER(value) && value->u.number.i >= 1 && value->u.number.i <= IN_FLIGHT_MAX)
        *(int64_t *)into = value->u.number.i;
    else
        policy_complain(reading, "must be a whole number from 1 to 1024");
}

static void read_rate_max(struct policy_reading *reading, yajl_val value, void *into)
{
    if (YAJL_IS_DOUBLE(value) && value->u.number.d >= RATE_MIN && value->u.number.d <= RATE_MAX)
        *(double *)into = value->u.number.d;
    else
        policy_complain(reading, "must be a number of attempts per second, from 0.01 to 100000");
}

/* Statuses. */

static bool read_range(yajl_val value, int min, int max, int *ret_first, int *ret_last)
{
    if (YAJL_IS_INTEGER(value) && value->u.number.i >= min && value->u.number.i <= max) {
        *ret_first = *ret_last = (int)value->u.number.i;
        return true;
    }
    return YAJL_IS_STRING(value) &&
           status_range_parse(slice_from_string(value->u.string), ret_first, ret_last) &&
           *ret_first >= min && *ret_last <= max;
}

/* 410 disables the endpoint, and the temporary ones are retried: a range leaves them out. */
static void read_final_statuses(struct policy_reading *reading, yajl_val value, void *into)
{
    struct final_statuses *statuses = into;
    statuses->given = true;
    if (!policy_is_list(reading, value, 0, STATUS_RANGES_MAX,
            "must be a list of at most 64 statuses such as [\"400-499\", 301]"))
        return;
    for (size_t i = 0; i < value->u.array.len; i++) {
        int first, last;
        size_t before = policy_enter_item(reading, i);
        if (!read_range(value->u.array.values[i], 300, 499, &first, &last))
            policy_complain(
                reading, "must be a status from 300 to 499, or a range such as \"400-499\"");
        else if (first == last && (status_is_temporary(first) || first == 410))
            policy_complain(reading, first == 410
                                         ? "must not be 410: it always disables the endpoint"
                                         : "must not be 408, 425 or 429: they are always retried");
        else
            status_set_add(&statuses->set, first, last);
        policy_leave(reading, before);
    }
    for (int status = 300; status <= 499; status++)
        if (status_is_temporary(status) || status == 410)
            status_set_remove(&statuses->set, status);
}

static void read_success_statuses(struct policy_reading *reading, yajl_val value, void *into)
{
    if (!policy_is_list(reading, value, 1, STATUS_RANGES_MAX,
            "must be a list of 1 to 64 statuses such as [\"200-299\", 409]"))
        return;
    for (size_t i = 0; i < value->u.array.len; i++) {
        int first, last;
        size_t before = policy_enter_item(reading, i);
        if (read_range(value->u.array.values[i], 200, 599, &first, &last))
            status_set_add(into, first, last);
        else
            policy_complain(
                reading, "must be a status from 200 to 599, or a range such as \"200-299\"");
        policy_leave(reading, before);
    }
}

/* Rules of success. */

static void read_texts(
    struct policy_reading *reading, yajl_val value, struct slice *into, unsigned *ret_count)
{
    if (!policy_is_list(reading, value, 1, SUCCESS_TEXTS_MAX,
            "must be a list of 1 to 8 texts such as [\"ok\"]"))
        return;
    for (size_t i = 0; i < value->u.array.len; i++) {
        size_t before = policy_enter_item(reading, i);
        into[i] = slice_from_string(YAJL_GET_STRING(value->u.array.values[i]));
        if (into[i].len == 0 || into[i].len > SUCCESS_TEXT_BYTES_MAX)
            policy_complain(reading, "must be a text of 1 to 256 bytes");
        policy_leave(reading, before);
    }
    *ret_count = (unsigned)value->u.array.len;
}

static void read_contains(struct policy_reading *reading, yajl_val value, void *into)
{
    struct success_rule *rule = into;
    read_texts(reading, value, rule->contains, &rule->contains_count);
}

static void read_contains_not(struct policy_reading *reading, yajl_val value, void *into)
{
    struct success_rule *rule = into;
    read_texts(reading, value, rule->contains_not, &rule->contains_not_count);
}

static void read_pointer(struct policy_reading *reading, yajl_val value, void *into)
{
    struct slice pointer = slice_from_string(YAJL_GET_STRING(value));
    if (YAJL_IS_STRING(value) && key_pointer_is_valid(pointer))
        *(struct slice *)into = pointer;
    else
        policy_complain(reading, KEY_POINTER_RULE);
}

static void read_equals(struct policy_reading *reading, yajl_val value, void *into)
{
    struct success_rule *rule = into;
    rule->equals = YAJL_IS_STRING(value)   ? JSON_VALUE_STRING
                   : YAJL_IS_NUMBER(value) ? JSON_VALUE_NUMBER
                   : YAJL_IS_TRUE(value)   ? JSON_VALUE_TRUE
                   : YAJL_IS_FALSE(value)  ? JSON_VALUE_FALSE
                                           : JSON_VALUE_NULL;
    if (YAJL_IS_STRING(value))
        rule->equals_text = slice_from_string(value->u.string);
    else if (YAJL_IS_NUMBER(value))
        rule->equals_text = slice_from_string(value->u.number.r);
    if (YAJL_IS_OBJECT(value) || YAJL_IS_ARRAY(value) ||
        rule->equals_text.len > SUCCESS_TEXT_BYTES_MAX)
        policy_complain(
            reading, "must be a text of at most 256 bytes, a number, true, false or null");
}

static void read_rule(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {
        {"statuses", read_success_statuses, offsetof(struct success_rule, statuses), false},
        {"contains", read_contains, 0, false}, {"contains_not", read_contains_not, 0, false},
        {"pointer", read_pointer, offsetof(struct success_rule, pointer), false},
        {"equals", read_equals, 0, true}};
    struct success_rule *rule = into;
    policy_read_members(reading, value, members, ARRAY_LENGTH(members), rule);
    if (!policy_has(value, "statuses"))
        rule->statuses = success_rule_default.statuses;
    bool has_equals = policy_find(value, "equals") != NULL;
    if (policy_has(value, "pointer") && !has_equals)
        policy_complain_of(
            reading, "equals", "is missing: add the value that must be at the pointer");
    if (has_equals && !policy_has(value, "pointer"))
        policy_complain_of(
            reading, "pointer", "is missing: add the JSON pointer of the value, such as /success");
}

static void read_success(struct policy_reading *reading, yajl_val value, void *into)
{
    reading->policy->has_success = true;
    read_rule(reading, value, into);
}

/* The status probe. */

static const char *find_authority_end(const char *url)
{
    const char *begin = strstr(url, "://");
    return begin ? begin + 3 + strcspn(begin + 3, "/?#") : url;
}

static const char *problem_of_probe_url(const char *url)
{
    size_t ids = 0, len = strlen(url);
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return "must begin with https://";
    for (const char *at = url; *at; at++)
        if (*at <= 0x20 || *at > 0x7e)
            return "must have printable ASCII characters only, and no spaces";
    const char *behind_host = find_authority_end(url);
    for (const char *at = url; (at = strpbrk(at, "{}")); at += strlen(STATUS_PROBE_ID), ids++)
        if (strncmp(at, STATUS_PROBE_ID, strlen(STATUS_PROBE_ID)) != 0 || at < behind_host)
            return "must have {id} in its path or query, and no other braces";
    if (ids == 0)
        return "must have {id} where the id of the event is to be";
    return len + ids * PROBE_ID_BYTES > URL_BYTES_MAX
               ? "is too long: at most 2048 bytes with the id"
               : NULL;
}

static void read_probe_url(struct policy_reading *reading, yajl_val value, void *into)
{
    const char *problem =
        YAJL_IS_STRING(value) ? problem_of_probe_url(value->u.string) : "must be a URL";
    if (problem)
        policy_complain(reading, problem);
    else
        *(const char **)into = value->u.string;
}

static void read_probe_no(struct policy_reading *reading, yajl_val value, void *into)
{
    reading->policy->probe.has_no = true;
    if (YAJL_IS_OBJECT(value) && value->u.object.len == 0)
        policy_complain(reading, "must have at least one member, such as statuses");
    else
        read_rule(reading, value, into);
}

static void read_probe(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {
        {"url", read_probe_url, offsetof(struct status_probe, url), false},
        {"yes", read_rule, offsetof(struct status_probe, yes), false},
        {"no", read_probe_no, offsetof(struct status_probe, no), false}};
    reading->policy->has_probe = true;
    policy_read_members(reading, value, members, ARRAY_LENGTH(members), into);
    if (!YAJL_IS_OBJECT(value))
        return;
    if (!policy_has(value, "url"))
        policy_complain_of(
            reading, "url", "is missing: add one such as https://client.example/status/{id}");
    if (!policy_has(value, "yes"))
        policy_complain_of(reading, "yes",
            "is missing: add the rule of an answer that says the event was processed");
}

/* The whole. */

#define RULES(at)                                                                                 \
    {"retry_schedule", read_schedule, (at) + offsetof(struct policy_rules, schedule), false},     \
        {"horizon", read_horizon, (at) + offsetof(struct policy_rules, horizon_us), false},       \
        {"connect_timeout", read_connect_timeout,                                                 \
            (at) + offsetof(struct policy_rules, connect_timeout_us), false},                     \
        {"answer_timeout", read_answer_timeout,                                                   \
            (at) + offsetof(struct policy_rules, answer_timeout_us), false},                      \
        {"guarded_answer_timeout", read_answer_timeout,                                           \
            (at) + offsetof(struct policy_rules, guarded_answer_timeout_us), false},              \
        {"final_statuses", read_final_statuses,                                                   \
            (at) + offsetof(struct policy_rules, final_statuses), false},                         \
    {                                                                                             \
        "in_flight_max", read_in_flight_max, (at) + offsetof(struct policy_rules, in_flight_max), \
            false                                                                                 \
    }

static void read_class(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {RULES(0)};
    policy_read_members(reading, value, members, ARRAY_LENGTH(members), into);
}

static void read_classes(struct policy_reading *reading, yajl_val value, void *into)
{
    static const struct policy_member members[] = {
        {"critical", read_class, CLASS_CRITICAL * sizeof(struct policy_rules), false},
        {"important", read_class, CLASS_IMPORTANT * sizeof(struct policy_rules), false},
        {"optional", read_class, CLASS_OPTIONAL * sizeof(struct policy_rules), false}};
    policy_read_members(reading, value, members, ARRAY_LENGTH(members), into);
}

void endpoint_policy_read(struct endpoint_policy *policy, struct field_problems *problems)
{
    static const struct policy_member members[] = {RULES(offsetof(struct endpoint_policy, own)),
        {"rate_max", read_rate_max, offsetof(struct endpoint_policy, rate_max), false},
        {"classes", read_classes, offsetof(struct endpoint_policy, classes), false},
        {"success", read_success, offsetof(struct endpoint_policy, success), false},
        {"status_probe", read_probe, offsetof(struct endpoint_policy, probe), false},
        {"headers", policy_read_headers, 0, false},
        {"authorization", policy_read_authorization, 0, false},
        {"tls", policy_read_tls, offsetof(struct endpoint_policy, tls), false},
        {"http", policy_read_http, offsetof(struct endpoint_policy, http), false}};
    struct policy_reading reading = {.policy = policy, .problems = problems};
    policy_read_members(&reading, policy->tree, members, ARRAY_LENGTH(members), policy);
}
