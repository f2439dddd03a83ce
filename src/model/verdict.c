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

static bool is_temporary_status(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

enum verdict verdict_of(
    const struct attempt_end *end, bool guarded, bool idempotent, bool final_4xx)
{
    int status = end->http_status;
    if (is_success(status) && end->error == OK)
        return VERDICT_DELIVERED;
    if (guarded && !idempotent && verdict_is_ambiguous(end))
        return VERDICT_PARK_AMBIGUOUS;
    if (status == 410)
        return VERDICT_DISABLE_ENDPOINT;
    if (status >= 400 && final_4xx && !is_temporary_status(status))
        return VERDICT_DEAD;
    return VERDICT_RETRY;
}
