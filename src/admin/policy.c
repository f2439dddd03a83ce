/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of an endpoint in requests and answers. Answers have no secrets: "***" is in their
 * place, and in a request it keeps the present secret. Each problem has a pointer into the body,
 * such as /policy/retry_schedule/0.
 */
#include "admin/admin_internal.h"

#include "model/refusal.h"

#include <stdio.h>
#include <stdlib.h>

json_t *admin_view_policy(const struct endpoint_policy *policy)
{
    if (!policy)
        return json_null();
    struct slice text = endpoint_policy_masked(policy);
    return json_loadb(text.data, text.len, 0, NULL);
}

void admin_refuse_nested(
    struct http_exchange *exchange, const char *outer, const struct refusal *refusal)
{
    struct field_problems problems = {0};
    for (unsigned i = 0; i < refusal->problems.count; i++) {
        char pointer[sizeof refusal->problems.list[i].pointer + 16];
        snprintf(pointer, sizeof pointer, "%s%s", outer, refusal->problems.list[i].pointer);
        field_problems_add(&problems, pointer, refusal->problems.list[i].detail);
    }
    if (problems.count == 0) /* no member is wrong, but the whole */
        field_problems_add(&problems, outer, refusal->detail);
    http_answer_problem(exchange, refusal->error == ERR_NO_MEMORY ? ERR_NO_MEMORY : ERR_INVALID,
        ADMIN_SEE_ERRORS, &problems);
}

/* Checks the probe's URL with the id of an event in it, as the URL of an endpoint is checked. False
 * after an answer. */
static bool check_probe(
    const struct admin *admin, struct http_exchange *exchange, const struct endpoint_policy *policy)
{
    static const struct slice sample = SLICE_LITERAL("evt_00000000-0000-7000-8000-000000000000");
    const struct status_probe *probe = endpoint_policy_probe(policy);
    char url[STATUS_PROBE_URL_BYTES];
    const char *problem = "is too long";
    if (!probe || (status_probe_url(probe, sample, url) &&
                      admin->options.check_url(url, &problem, admin->options.context) == OK))
        return true;
    admin_refuse_member(exchange, "policy/status_probe/url", problem);
    return false;
}

enum admin_member admin_take_policy(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, const struct endpoint_policy *present,
    const struct endpoint_policy **ret_policy)
{
    const json_t *value = json_object_get(body, "policy");
    if (!value)
        return ADMIN_MEMBER_ABSENT;
    *ret_policy = NULL;
    if (json_is_null(value))
        return ADMIN_MEMBER_TAKEN;
    struct refusal refusal = {.error = ERR_NO_MEMORY};
    const struct endpoint_policy *policy = NULL;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    enum err err = text ? endpoint_policy_parse(slice_from_string(text), present, &policy, &refusal)
                        : ERR_NO_MEMORY;
    free(text);
    if (err) {
        admin_refuse_nested(exchange, "/policy", &refusal);
        return ADMIN_MEMBER_ANSWERED;
    }
    if (!check_probe(admin, exchange, policy)) {
        endpoint_policy_unref(policy);
        return ADMIN_MEMBER_ANSWERED;
    }
    *ret_policy = policy;
    return ADMIN_MEMBER_TAKEN;
}
