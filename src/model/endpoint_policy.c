/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing: check the bytes -> yajl's tree -> put the present secrets in the place of "***" -> read
 * the members (endpoint_policy_read.c) -> write the texts. The policy keeps the tree, which owns
 * the strings.
 */
#include "model/endpoint_policy_internal.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "model/json_text.h"

#include <stdio.h>
#include <strings.h>

#define DEPTH_MAX 8 /* a policy needs four: /classes/critical/retry_schedule/0 */

/* References. */

static struct endpoint_policy *counted(const struct endpoint_policy *policy)
{
    return (struct endpoint_policy *)policy;
}

const struct endpoint_policy *endpoint_policy_ref(const struct endpoint_policy *policy)
{
    if (policy)
        atomic_fetch_add_explicit(&counted(policy)->references, 1, memory_order_relaxed);
    return policy;
}

static void policy_free(struct endpoint_policy *policy)
{
    for (unsigned i = 0; i < policy->headers_count; i++)
        free(policy->headers[i]);
    buffer_done(&policy->text);
    buffer_done(&policy->masked);
    yajl_tree_free(policy->tree);
    free(policy);
}

void endpoint_policy_unref(const struct endpoint_policy *policy)
{
    if (policy &&
        atomic_fetch_sub_explicit(&counted(policy)->references, 1, memory_order_acq_rel) == 1)
        policy_free(counted(policy));
}

/* Secrets. */

yajl_val *policy_find(yajl_val object, const char *name)
{
    for (size_t i = 0; YAJL_IS_OBJECT(object) && i < object->u.object.len; i++)
        if (strcmp(object->u.object.keys[i], name) == 0)
            return &object->u.object.values[i];
    return NULL;
}

struct secrets {
    unsigned count;
    yajl_val list[3 + POLICY_HEADERS_MAX]; /* strings; more headers are an error later */
};

static void add_secret(struct secrets *secrets, const yajl_val *value)
{
    if (value && YAJL_IS_STRING(*value) && secrets->count < ARRAY_LENGTH(secrets->list))
        secrets->list[secrets->count++] = *value;
}

/* Returns the value at /outer/inner, or NULL. */
static yajl_val *inner_member(yajl_val tree, const char *outer, const char *inner)
{
    yajl_val *object = policy_find(tree, outer);
    return object ? policy_find(*object, inner) : NULL;
}

static yajl_val *password_of(yajl_val tree)
{
    yajl_val *basic = inner_member(tree, "authorization", "basic");
    return basic ? policy_find(*basic, "password") : NULL;
}

static bool is_credential(const char *header)
{
    static const char *const parts[] = {
        "key", "token", "secret", "auth", "password", "credential", "cookie", "signature"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        if (strcasestr(header, parts[i]))
            return true;
    return false;
}

static struct secrets find_secrets(yajl_val tree)
{
    struct secrets secrets = {0};
    add_secret(&secrets, password_of(tree));
    add_secret(&secrets, inner_member(tree, "authorization", "bearer"));
    add_secret(&secrets, inner_member(tree, "tls", "key"));
    yajl_val *headers = policy_find(tree, "headers");
    for (size_t i = 0; headers && YAJL_IS_OBJECT(*headers) && i < (*headers)->u.object.len; i++)
        if (is_credential((*headers)->u.object.keys[i]))
            add_secret(&secrets, &(*headers)->u.object.values[i]);
    return secrets;
}

static bool is_secret(const struct secrets *secrets, yajl_val value)
{
    for (unsigned i = 0; i < secrets->count; i++)
        if (secrets->list[i] == value)
            return true;
    return false;
}

/* Without a present secret "***" remains, and reading the member complains about it. */
static void unmask_value(yajl_val *value, yajl_val *present)
{
    if (!value || !YAJL_IS_STRING(*value) || strcmp((*value)->u.string, POLICY_MASK) != 0 ||
        !present || !YAJL_IS_STRING(*present))
        return;
    free((*value)->u.string); /* yajl's own allocator is malloc */
    (*value)->u.string = memory_copy_string((*present)->u.string);
}

static yajl_val *header_of(yajl_val tree, const char *name)
{
    yajl_val *headers = policy_find(tree, "headers");
    for (size_t i = 0; headers && YAJL_IS_OBJECT(*headers) && i < (*headers)->u.object.len; i++)
        if (strcasecmp((*headers)->u.object.keys[i], name) == 0)
            return &(*headers)->u.object.values[i];
    return NULL;
}

/* Puts the present secrets in the place of "***". */
static void unmask(yajl_val tree, yajl_val present)
{
    unmask_value(password_of(tree), password_of(present));
    unmask_value(inner_member(tree, "authorization", "bearer"),
        inner_member(present, "authorization", "bearer"));
    unmask_value(inner_member(tree, "tls", "key"), inner_member(present, "tls", "key"));
    yajl_val *headers = policy_find(tree, "headers");
    for (size_t i = 0; headers && YAJL_IS_OBJECT(*headers) && i < (*headers)->u.object.len; i++)
        if (is_credential((*headers)->u.object.keys[i]))
            unmask_value(
                &(*headers)->u.object.values[i], header_of(present, (*headers)->u.object.keys[i]));
}

/* Texts. */

static void write_value(struct buffer *text, yajl_val value, const struct secrets *masked)
{
    const char *separator = "";
    switch (value->type) {
    case yajl_t_string:
        buffer_add_json_string(
            text, slice_from_string(is_secret(masked, value) ? POLICY_MASK : value->u.string));
        break;
    case yajl_t_number:
        buffer_add_string(text, value->u.number.r);
        break;
    case yajl_t_object:
        for (size_t i = 0; i < value->u.object.len; i++, separator = ",") {
            buffer_add_string(text, *separator ? separator : "{");
            buffer_add_json_string(text, slice_from_string(value->u.object.keys[i]));
            buffer_add_char(text, ':');
            write_value(text, value->u.object.values[i], masked);
        }
        buffer_add_string(text, value->u.object.len ? "}" : "{}");
        break;
    case yajl_t_array:
        for (size_t i = 0; i < value->u.array.len; i++, separator = ",") {
            buffer_add_string(text, *separator ? separator : "[");
            write_value(text, value->u.array.values[i], masked);
        }
        buffer_add_string(text, value->u.array.len ? "]" : "[]");
        break;
    default:
        buffer_add_string(text, YAJL_IS_TRUE(value)    ? "true"
                                : YAJL_IS_FALSE(value) ? "false"
                                                       : "null");
    }
}

struct slice endpoint_policy_text(const struct endpoint_policy *policy)
{
    return buffer_slice(&policy->text);
}

struct slice endpoint_policy_masked(const struct endpoint_policy *policy)
{
    return buffer_slice(&policy->masked);
}

/* Parsing. */

/* The parser recurses when it frees a tree, so the depth is checked first. */
static bool is_too_deep(struct slice json)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.data[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

enum err policy_parse_tree(struct slice json, yajl_val *ret_tree, struct refusal *ret_refusal)
{
    size_t at;
    const char *problem;
    if (json.len > POLICY_BYTES_MAX)
        return refuse_field(ret_refusal, ERR_INVALID, "", "must have at most 65536 bytes");
    if (!json_text_check(json, &at, &problem))
        return refuse_json_at(ret_refusal, at, problem);
    if (is_too_deep(json))
        return refuse(ret_refusal, ERR_MALFORMED_JSON,
            "The object is nested deeper than %d levels, and no member needs that.", DEPTH_MAX);
    AUTO_FREE char *copy = memory_new_raw(json.len + 1);
    memcpy(copy, json.data, json.len);
    copy[json.len] = '\0';
    *ret_tree = yajl_tree_parse(copy, NULL, 0);
    return *ret_tree ? OK
                     : refuse(ret_refusal, ERR_MALFORMED_JSON,
                           "The object is not valid JSON: correct it and send it again.");
}

static enum err write_texts(struct endpoint_policy *policy, struct refusal *ret_refusal)
{
    struct secrets none = {0}, secrets = find_secrets(policy->tree);
    write_value(&policy->text, policy->tree, &none);
    write_value(&policy->masked, policy->tree, &secrets);
    if (buffer_status(&policy->text) || buffer_status(&policy->masked))
        return refuse(ret_refusal, ERR_NO_MEMORY, "There is no memory for the policy.");
    return OK;
}

enum err endpoint_policy_parse(struct slice json, const struct endpoint_policy *present,
    const struct endpoint_policy **ret_policy, struct refusal *ret_refusal)
{
    yajl_val tree = NULL;
    enum err err = policy_parse_tree(json, &tree, ret_refusal);
    if (err)
        return err;
    struct endpoint_policy *policy;
    MEMORY_NEW(policy);
    atomic_init(&policy->references, 1);
    policy->tree = tree;
    struct field_problems problems = {0};
    if (present)
        unmask(tree, present->tree);
    endpoint_policy_read(policy, &problems);
    if (problems.count > 0) {
        err = refuse(ret_refusal, ERR_INVALID, "Correct the fields under errors.");
        ret_refusal->problems = problems;
    } else {
        err = write_texts(policy, ret_refusal);
    }
    if (err)
        policy_free(policy);
    else
        *ret_policy = policy;
    return err;
}

/* Reading a policy. */

static void apply(const struct policy_rules *rules, struct delivery_rules *delivery)
{
    if (rules->schedule.steps > 0)
        delivery->schedule = rules->schedule;
    if (rules->horizon_us > 0)
        delivery->horizon_us = rules->horizon_us;
    if (rules->connect_timeout_us > 0)
        delivery->connect_timeout_us = rules->connect_timeout_us;
    if (rules->answer_timeout_us > 0)
        delivery->answer_timeout_us = rules->answer_timeout_us;
    if (rules->guarded_answer_timeout_us > 0)
        delivery->guarded_answer_timeout_us = rules->guarded_answer_timeout_us;
    if (rules->in_flight_max > 0)
        delivery->in_flight_max = (unsigned)rules->in_flight_max;
    if (rules->final_statuses.given)
        delivery->final_statuses = rules->final_statuses.set;
}

void endpoint_policy_rules(const struct endpoint_policy *policy, enum event_class class,
    const struct delivery_rules *defaults, struct delivery_rules *ret_rules)
{
    *ret_rules = *defaults;
    if (!policy)
        return;
    apply(&policy->own, ret_rules);
    if ((unsigned)class < EVENT_CLASSES)
        apply(&policy->classes[class], ret_rules);
}

double endpoint_policy_rate_max(const struct endpoint_policy *policy)
{
    return policy ? policy->rate_max : 0;
}

unsigned endpoint_policy_headers(
    const struct endpoint_policy *policy, const char *const **ret_headers)
{
    *ret_headers = policy ? (const char *const *)policy->headers : NULL;
    return policy ? policy->headers_count : 0;
}

const struct endpoint_tls *endpoint_policy_tls(const struct endpoint_policy *policy)
{
    return policy && policy->has_tls ? &policy->tls : NULL;
}

enum endpoint_http endpoint_policy_http(const struct endpoint_policy *policy)
{
    return policy ? policy->http : ENDPOINT_HTTP_1;
}

const struct success_rule *endpoint_policy_success(const struct endpoint_policy *policy)
{
    return policy && policy->has_success ? &policy->success : NULL;
}

const struct status_probe *endpoint_policy_probe(const struct endpoint_policy *policy)
{
    return policy && policy->has_probe ? &policy->probe : NULL;
}

bool status_probe_url(
    const struct status_probe *probe, struct slice id, char ret_url[STATUS_PROBE_URL_BYTES])
{
    size_t len = 0;
    for (const char *at = probe->url; *at;) {
        bool is_id = strncmp(at, STATUS_PROBE_ID, strlen(STATUS_PROBE_ID)) == 0;
        struct slice part = is_id ? id : slice_of(at, 1);
        if (len + part.len >= STATUS_PROBE_URL_BYTES)
            return false;
        memcpy(ret_url + len, part.data, part.len);
        len += part.len;
        at += is_id ? strlen(STATUS_PROBE_ID) : 1;
    }
    ret_url[len] = '\0';
    return true;
}

enum probe_answer status_probe_judge(const struct status_probe *probe, int status,
    struct slice body, bool cut, char ret_why[SUCCESS_WHY_BYTES])
{
    char why_yes[SUCCESS_WHY_BYTES], why_no[SUCCESS_WHY_BYTES] = "";
    bool yes = success_rule_judge(&probe->yes, status, body, cut, why_yes) == SUCCESS_YES;
    bool no =
        probe->has_no && success_rule_judge(&probe->no, status, body, cut, why_no) == SUCCESS_YES;
    if (yes != no) {
        snprintf(
            ret_why, SUCCESS_WHY_BYTES, "the answer meets the rule for %s", yes ? "yes" : "no");
        return yes ? PROBE_YES : PROBE_NO;
    }
    if (yes)
        snprintf(ret_why, SUCCESS_WHY_BYTES, "the answer meets both rules");
    else
        snprintf(ret_why, SUCCESS_WHY_BYTES, "%.*s", SUCCESS_WHY_BYTES - 1, why_yes);
    return PROBE_UNKNOWN;
}
