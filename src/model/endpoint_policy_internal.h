/* SPDX-License-Identifier: Apache-2.0 */
/* What endpoint_policy.c (references, rules, texts) and endpoint_policy_read.c (members) share.
 * partner_rules.c reads its object with the same functions. */
#ifndef PENSTOCK_MODEL_ENDPOINT_POLICY_INTERNAL_H
#define PENSTOCK_MODEL_ENDPOINT_POLICY_INTERNAL_H

#include "base/buffer.h"
#include "model/endpoint_policy.h"
#include "model/refusal.h"

#include <stdatomic.h>
#include <yajl/yajl_tree.h>

struct final_statuses {
    bool given; /* an empty list is a value, too */
    struct status_set set;
};

/* The members that a class can have as well. Zero: absent. */
struct policy_rules {
    struct retry_schedule schedule;
    int64_t horizon_us, connect_timeout_us, answer_timeout_us, guarded_answer_timeout_us;
    int64_t in_flight_max;
    struct final_statuses final_statuses;
};

struct endpoint_policy {
    atomic_uint references; /* shared */

    /* immutable after endpoint_policy_parse */
    yajl_val tree; /* owns all texts that are not listed here */
    struct policy_rules own, classes[EVENT_CLASSES];
    double rate_max;
    unsigned headers_count;
    char *headers[POLICY_HEADERS_MAX + 1];
    bool has_tls, has_success, has_probe;
    struct endpoint_tls tls;
    enum endpoint_http http;
    struct success_rule success;
    struct status_probe probe;
    struct buffer text, masked;
};

/* The first member of this name, or NULL: there is none, or it is no object. */
yajl_val *policy_find(yajl_val object, const char *name);
bool policy_has(yajl_val object, const char *name); /* and it is not null */

/* Checks the text and parses it. The caller frees the tree. */
enum err policy_parse_tree(
    struct slice json, yajl_val *ret_tree, struct refusal *ret_refusal) MUST_CHECK;

/* Fills the policy from its tree, and adds what is wrong. */
void endpoint_policy_read(struct endpoint_policy *policy, struct field_problems *problems);

struct policy_reading {
    struct endpoint_policy *policy; /* NULL: another object is read */
    struct field_problems *problems;
    char pointer[KEY_POINTER_BYTES_MAX + 1];
    size_t pointer_len;
};

struct policy_member {
    const char *name;
    void (*read)(struct policy_reading *reading, yajl_val value, void *into);
    size_t offset;   /* of what `read` fills, in the object's struct */
    bool takes_null; /* otherwise null is as if the member were absent */
};

/* Adds a problem of the present value. */
void policy_complain(struct policy_reading *reading, const char *detail);
/* Adds a problem of a member that is missing, or that another one contradicts. */
void policy_complain_of(struct policy_reading *reading, const char *name, const char *detail);
/* Adds a part to the pointer, and returns the length to leave it with. A name that is no plain text
 * is not shown: the pointer remains at the object. */
size_t policy_enter(struct policy_reading *reading, const char *name);
size_t policy_enter_item(struct policy_reading *reading, size_t index);
void policy_leave(struct policy_reading *reading, size_t before);

/* Whether it is an array of `min` to `max` items; else complains with the rule. */
bool policy_is_list(
    struct policy_reading *reading, yajl_val value, size_t min, size_t max, const char *rule);

/* Reads an object. */
void policy_read_members(struct policy_reading *reading, yajl_val value,
    const struct policy_member *members, unsigned count, void *into);

/* endpoint_policy_send.c: each reads one value. */
void policy_read_http(struct policy_reading *reading, yajl_val value, void *into);
void policy_read_headers(struct policy_reading *reading, yajl_val value, void *into);
void policy_read_authorization(struct policy_reading *reading, yajl_val value, void *into);
void policy_read_tls(struct policy_reading *reading, yajl_val value, void *into);

#endif
