/* SPDX-License-Identifier: Apache-2.0 */
#include "model/attempt_cause.h"

#include "base/clock.h"
#include "model/verdict.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *code;
    enum cause_detail detail;
    const char *what, *remedy;
} rows[ATTEMPT_CAUSES] = {
#define X(symbol, code, detail, what, remedy) [symbol] = {code, detail, what, remedy},
    ATTEMPT_CAUSE_TABLE(X)
#undef X
};

enum attempt_cause attempt_cause_of_error(enum err error)
{
    switch (error) {
    case OK:
        return CAUSE_NONE;
    case ERR_URL:
        return CAUSE_URL;
    case ERR_ADDRESS_REFUSED:
        return CAUSE_ADDRESS_REFUSED;
    case ERR_NAME_LOOKUP:
        return CAUSE_DNS_NO_ANSWER;
    case ERR_CONNECT:
        return CAUSE_CONNECT_FAILED;
    case ERR_CONNECT_TIMEOUT:
        return CAUSE_CONNECT_TIMEOUT;
    case ERR_TLS:
        return CAUSE_TLS_FAILED;
    case ERR_SEND:
        return CAUSE_SEND;
    case ERR_ANSWER_LOST:
        return CAUSE_ANSWER_LOST;
    case ERR_ANSWER_TIMEOUT:
        return CAUSE_ANSWER_TIMEOUT;
    case ERR_ANSWER_MALFORMED:
        return CAUSE_ANSWER_MALFORMED;
    case ERR_ANSWER_TOO_LARGE:
        return CAUSE_ANSWER_TOO_LARGE;
    case ERR_SHORTAGE:
        return CAUSE_SHORTAGE;
    case ERR_INTERRUPTED:
        return CAUSE_INTERRUPTED;
    case ERR_CANCELLED:
        return CAUSE_CANCELLED;
    default:
        return CAUSE_OTHER;
    }
}

static enum attempt_cause cause_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return CAUSE_UNAUTHORIZED;
    case 404:
    case 405:
        return CAUSE_NOT_FOUND;
    case 410:
        return CAUSE_GONE;
    case 429:
        return CAUSE_TOO_MANY;
    case 408:
    case 425:
    case 502:
    case 503:
    case 504:
        return CAUSE_BUSY;
    default:
        return status >= 500 && status <= 599   ? CAUSE_FAILED
               : status >= 400 && status <= 499 ? CAUSE_REJECTED
               : status >= 300 && status <= 399 ? CAUSE_REDIRECT
                                                : CAUSE_UNEXPECTED;
    }
}

enum attempt_cause attempt_cause_of(const struct attempt_said *said)
{
    const struct attempt_end *end = said->end;
    bool is_success = end->http_status >= 200 && end->http_status <= 299;
    if (is_success && *said->rule)
        return CAUSE_RULE;
    if (end->http_status == 0 || end->error != OK)
        return said->evidence->cause != CAUSE_NONE ? said->evidence->cause
                                                   : attempt_cause_of_error(end->error);
    if (is_success)
        return CAUSE_NONE;
    return cause_of_status(end->http_status);
}

const char *attempt_cause_code(enum attempt_cause cause)
{
    return rows[cause < ATTEMPT_CAUSES ? cause : CAUSE_OTHER].code;
}

const char *attempt_cause_remedy(enum attempt_cause cause)
{
    return rows[cause < ATTEMPT_CAUSES ? cause : CAUSE_OTHER].remedy;
}

enum attempt_cause attempt_cause_from_code(const char *code)
{
    for (unsigned cause = 0; cause < ATTEMPT_CAUSES; cause++)
        if (strcmp(rows[cause].code, code) == 0)
            return (enum attempt_cause)cause;
    return CAUSE_OTHER;
}

/* Without a detail, the words end before the last one: "connection refused by". */
static void describe_with(const char *what, const char *detail, char ret_text[CAUSE_TEXT_BYTES])
{
    const char *last = strrchr(what, ' ');
    if (*detail)
        snprintf(ret_text, CAUSE_TEXT_BYTES, "%s %s", what, detail);
    else
        snprintf(ret_text, CAUSE_TEXT_BYTES, "%.*s", last ? (int)(last - what) : 0, what);
}

void attempt_cause_describe(const struct attempt_said *said, char ret_text[CAUSE_TEXT_BYTES])
{
    enum attempt_cause cause = attempt_cause_of(said);
    const char *what = rows[cause].what;
    char number[32];
    switch (rows[cause].detail) {
    case DETAIL_PEER:
        describe_with(what, said->evidence->peer, ret_text);
        return;
    case DETAIL_TLS:
        snprintf(ret_text, CAUSE_TEXT_BYTES, "TLS: %s",
            *said->evidence->tls_problem ? said->evidence->tls_problem : what);
        return;
    case DETAIL_SECONDS:
        snprintf(
            number, sizeof number, "%.1f s", (double)said->duration_us / (double)US_PER_SECOND);
        describe_with(what, number, ret_text);
        return;
    case DETAIL_STATUS:
        snprintf(number, sizeof number, "%d", said->end->http_status);
        describe_with(what, number, ret_text);
        return;
    case DETAIL_LOCATION:
        describe_with(what, said->evidence->location, ret_text);
        return;
    case DETAIL_RULE:
        describe_with(what, said->rule, ret_text);
        return;
    case DETAIL_NONE:
        break;
    }
    snprintf(ret_text, CAUSE_TEXT_BYTES, "%s", what);
}
