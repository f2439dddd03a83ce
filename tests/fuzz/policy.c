/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a policy, a NUL, and an answer. A policy that is accepted gives texts that are
 * accepted again: the stored one as it is, the masked one beside the policy itself. An answer that
 * is judged always has a printable reason.
 */
#include "model/endpoint_policy.h"
#include "model/refusal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct endpoint_policy *policy, struct slice answer)
{
    char why[SUCCESS_WHY_BYTES];
    for (int cut = 0; cut < 2; cut++) {
        (void)success_rule_judge(endpoint_policy_success(policy), 200, answer, cut, why);
        for (const char *c = why; *c; c++)
            if (*c < 0x20 || *c > 0x7e)
                abort();
        if (endpoint_policy_probe(policy))
            (void)status_probe_judge(endpoint_policy_probe(policy), 200, answer, cut, why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct slice json = slice_of(data, nul ? (size_t)(nul - data) : size);
    struct slice answer = nul ? slice_of(nul + 1, size - json.len - 1) : slice_of(NULL, 0);
    const struct endpoint_policy *policy = NULL, *again = NULL, *unmasked = NULL;
    struct refusal refusal = {0};
    if (endpoint_policy_parse(json, NULL, &policy, &refusal) != OK)
        return 0;
    check_answer(policy, answer);
    if (endpoint_policy_parse(endpoint_policy_text(policy), NULL, &again, &refusal) != OK ||
        endpoint_policy_parse(endpoint_policy_masked(policy), policy, &unmasked, &refusal) != OK ||
        !slice_equal(endpoint_policy_text(again), endpoint_policy_text(policy)) ||
        !slice_equal(endpoint_policy_text(unmasked), endpoint_policy_text(policy)))
        abort();
    endpoint_policy_unref(policy);
    endpoint_policy_unref(again);
    endpoint_policy_unref(unmasked);
    return 0;
}
