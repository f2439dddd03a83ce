/* SPDX-License-Identifier: Apache-2.0 */
#include "model/verdict.h"

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

bool verdict_is_ambiguous(const struct attempt_end *end)
{
    if (is_success(end->http_status) && end->error != OK)
        return true;
    if (end->http_status != 0)
        return end->http_status == 502 || end->http_status == 504;
    return end->request_begun;
}

enum wait_cause verdict_wait_cause(const struct attempt_end *end)
{
    bool failed = end->http_status == 0 || status_is_temporary(end->http_status) ||
                  end->error != OK; /* the body was lost */
    return failed ? WAIT_ENDPOINT : WAIT_EVENT;
}

enum verdict verdict_of(const struct attempt_end *end, const struct verdict_terms *terms)
{
    int status = end->http_status;
    if (status != 0 && terms->success == SUCCESS_YES)
        return VERDICT_DELIVERED;
    bool unknown = status != 0 && terms->success == SUCCESS_UNKNOWN;
    if (terms->guarded && !terms->idempotent && (unknown || verdict_is_ambiguous(end)))
        return VERDICT_PARK_AMBIGUOUS;
    if (status == 410)
        return VERDICT_DISABLE_ENDPOINT;
    return status != 0 && !unknown && terms->is_final ? VERDICT_DEAD : VERDICT_RETRY;
}
