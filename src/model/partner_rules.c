/* SPDX-License-Identifier: Apache-2.0 */
#include "model/partner_rules.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/measure.h"
#include "model/endpoint_policy_internal.h"

#include <stdio.h>

#define EVENTS_PER_S_MAX 1000000
#define EVENTS_BURST_MAX 10000000
#define BYTES_PER_S_MIN 1024
#define BYTES_PER_S_MAX (INT64_C(10) << 30)
/* A bucket that is smaller than the largest batch would never let it pass. */
#define BYTES_BURST_MIN BATCH_BYTES_MAX
#define BYTES_BURST_MAX (INT64_C(100) << 30)

/* Reading. Each function gets null as well, which resets. */

static void read_count(
    struct policy_reading *reading, yajl_val value, int64_t max, unsigned *into, const char *rule)
{
    if (YAJL_IS_NULL(value))
        *into = 0;
    else if (YAJL_IS_INTEGER(value) && value->u.number.i >= 0 && value->u.number.i <= max)
        *into = (unsigned)value->u.number.i;
    else
        policy_complain(reading, rule);
}

static void read_events_per_s(struct policy_reading *reading, yajl_val value, void *into)
{
    read_count(reading, value, EVENTS_PER_S_MAX, into,
        "must be a whole number of events from 1 to 1000000, or 0 for the default");
}

static void read_events_burst(struct policy_reading *reading, yajl_val value, void *into)
{
    read_count(reading, value, EVENTS_BURST_MAX, into,
        "must be a whole number of events from 1 to 10000000, or 0 for the default");
}

static void read_bytes(struct policy_reading *reading, yajl_val value, int64_t min, int64_t max,
    uint64_t *into, const char *rule)
{
    int64_t bytes = -1;
    if (YAJL_IS_NULL(value))
        bytes = 0;
    else if (YAJL_IS_INTEGER(value))
        bytes = value->u.number.i;
    else if (YAJL_IS_STRING(value))
        (void)measure_parse(
            MEASURE_BYTES, slice_from_string(value->u.string), 0, INT64_MAX, &bytes);
    if (bytes == 0 || (bytes >= min && bytes <= max))
        *into = (uint64_t)bytes;
    else
        policy_complain(reading, rule);
}

static void read_bytes_per_s(struct policy_reading *reading, yajl_val value, void *into)
{
    read_bytes(reading, value, BYTES_PER_S_MIN, BYTES_PER_S_MAX, into,
        "must be a number of bytes such as 1048576 or \"1MiB\", from 1KiB to 10GiB, or 0 for the "
        "default");
}

static void read_bytes_burst(struct policy_reading *reading, yajl_val value, void *into)
{
    read_bytes(reading, value, BYTES_BURST_MIN, BYTES_BURST_MAX, into,
        "must be a number of bytes such as 4194304 or \"4MiB\", from 1MiB (a batch) to 100GiB, or "
        "0 for the default");
}

static void read_allow(struct policy_reading *reading, yajl_val value, void *into)
{
    struct partner_rules *rules = into;
    _Static_assert(PARTNER_NETWORKS_MAX == 16, "as the text says");
    if (!YAJL_IS_NULL(value) && !policy_is_list(reading, value, 0, PARTNER_NETWORKS_MAX,
                                    "must be a list of at most 16 networks"))
        return;
    rules->allow_count = 0;
    for (size_t i = 0; YAJL_IS_ARRAY(value) && i < value->u.array.len; i++) {
        size_t before = policy_enter_item(reading, i);
        yajl_val item = value->u.array.values[i];
        if (!YAJL_IS_STRING(item) ||
            !network_parse(slice_from_string(item->u.string), &rules->allow[rules->allow_count++]))
            policy_complain(reading, NETWORK_RULE);
        policy_leave(reading, before);
    }
}

static void read_certificates(struct policy_reading *reading, yajl_val value, void *into)
{
    struct partner_rules *rules = into;
    _Static_assert(PARTNER_CERTIFICATES_MAX == 8, "as the text says");
    if (!YAJL_IS_NULL(value) && !policy_is_list(reading, value, 0, PARTNER_CERTIFICATES_MAX,
                                    "must be a list of at most 8 certificates"))
        return;
    rules->certificates_count = 0;
    for (size_t i = 0; YAJL_IS_ARRAY(value) && i < value->u.array.len; i++) {
        size_t before = policy_enter_item(reading, i);
        yajl_val item = value->u.array.values[i];
        if (!YAJL_IS_STRING(item) || !certificate_name_parse(slice_from_string(item->u.string),
                                         &rules->certificates[rules->certificates_count++]))
            policy_complain(reading, CERTIFICATE_NAME_RULE);
        policy_leave(reading, before);
    }
}

static void read_required(struct policy_reading *reading, yajl_val value, void *into)
{
    if (YAJL_IS_TRUE(value) || YAJL_IS_FALSE(value) || YAJL_IS_NULL(value))
        *(bool *)into = YAJL_IS_TRUE(value);
    else
        policy_complain(reading, "must be true or false");
}

static const struct policy_member members[] = {
    {"events_per_second", read_events_per_s, offsetof(struct partner_rules, events_per_s), true},
    {"events_burst", read_events_burst, offsetof(struct partner_rules, events_burst), true},
    {"bytes_per_second", read_bytes_per_s, offsetof(struct partner_rules, bytes_per_s), true},
    {"bytes_burst", read_bytes_burst, offsetof(struct partner_rules, bytes_burst), true},
    {"allow_networks", read_allow, 0, true}, {"certificates", read_certificates, 0, true},
    {"certificate_required", read_required, offsetof(struct partner_rules, certificate_required),
        true}};

enum err partner_rules_change(
    struct partner_rules *rules, struct slice json, struct refusal *ret_refusal)
{
    yajl_val tree = NULL;
    struct field_problems problems = {0};
    struct policy_reading reading = {.problems = &problems};
    struct partner_rules wanted = *rules;
    enum err err = policy_parse_tree(json, &tree, ret_refusal);
    if (err)
        return err;
    policy_read_members(&reading, tree, members, ARRAY_LENGTH(members), &wanted);
    yajl_tree_free(tree);
    /* Any certificate would do otherwise, that of another partner as well. */
    if (problems.count == 0 && wanted.certificate_required && wanted.certificates_count == 0)
        policy_complain_of(&reading, "certificates",
            "must have the certificates of this partner while certificate_required is true");
    if (problems.count == 0) {
        *rules = wanted;
        return OK;
    }
    refuse(ret_refusal, ERR_INVALID, "Correct the fields under errors.");
    ret_refusal->problems = problems;
    return ERR_INVALID;
}

/* Printing. */

static void begin_member(struct buffer *json, const char *name)
{
    buffer_add_format(json, "%s\"%s\":", json->data[json->len - 1] == '{' ? "" : ",", name);
}

static void print_number(struct buffer *json, const char *name, uint64_t value)
{
    if (value == 0)
        return;
    begin_member(json, name);
    buffer_add_format(json, "%llu", (unsigned long long)value);
}

static void print_item(struct buffer *json, unsigned index, const char *text)
{
    buffer_add_char(json, index ? ',' : '[');
    buffer_add_json_string(json, slice_from_string(text));
}

static void print_lists(const struct partner_rules *rules, struct buffer *json)
{
    if (rules->allow_count)
        begin_member(json, "allow_networks");
    for (unsigned i = 0; i < rules->allow_count; i++) {
        char text[NETWORK_TEXT_BYTES];
        network_format(&rules->allow[i], text);
        print_item(json, i, text);
    }
    if (rules->allow_count)
        buffer_add_char(json, ']');
    if (rules->certificates_count)
        begin_member(json, "certificates");
    for (unsigned i = 0; i < rules->certificates_count; i++) {
        char text[CERTIFICATE_NAME_TEXT_BYTES];
        certificate_name_format(&rules->certificates[i], text);
        print_item(json, i, text);
    }
    if (rules->certificates_count)
        buffer_add_char(json, ']');
}

void partner_rules_print(const struct partner_rules *rules, struct buffer *json)
{
    struct buffer object = BUFFER_EMPTY;
    buffer_add_char(&object, '{');
    if (buffer_status(&object) == OK) {
        print_number(&object, "events_per_second", rules->events_per_s);
        print_number(&object, "events_burst", rules->events_burst);
        print_number(&object, "bytes_per_second", rules->bytes_per_s);
        print_number(&object, "bytes_burst", rules->bytes_burst);
        print_lists(rules, &object);
        if (rules->certificate_required) {
            begin_member(&object, "certificate_required");
            buffer_add_string(&object, "true");
        }
        buffer_add_char(&object, '}');
    }
    if (buffer_status(&object) == OK)
        buffer_add_slice(json, buffer_slice(&object));
    else
        json->failed = true;
    buffer_done(&object);
}

/* Judging a caller. */

bool partner_rules_allow(const struct partner_rules *rules, const struct in6_addr *address)
{
    for (unsigned i = 0; i < rules->allow_count; i++)
        if (network_contains(&rules->allow[i], address->s6_addr))
            return true;
    return rules->allow_count == 0;
}

bool partner_rules_fit_certificate(
    const struct partner_rules *rules, const struct tls_identity *identity)
{
    if (!rules->certificate_required)
        return true;
    for (unsigned i = 0; identity && i < rules->certificates_count; i++)
        if (tls_identity_has(identity, &rules->certificates[i]))
            return true;
    return false;
}
