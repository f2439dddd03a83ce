/* SPDX-License-Identifier: Apache-2.0 */
#include "model/verdict.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

enum {
    D = VERDICT_DELIVERED,
    R = VERDICT_RETRY,
    X = VERDICT_DEAD,
    P = VERDICT_PARK_AMBIGUOUS,
    G = VERDICT_DISABLE_ENDPOINT
};

static const struct {
    struct attempt_end end;
    int plain, final_4xx, guarded, guarded_idempotent;
} cases[] = {
    {{200, OK, true}, D, D, D, D},
    {{201, OK, true}, D, D, D, D},
    {{204, OK, true}, D, D, D, D},
    {{299, OK, true}, D, D, D, D},
    {{200, ERR_ANSWER_LOST, true}, R, R, P, R}, /* the body decides, and it was lost */
    {{200, ERR_ANSWER_TIMEOUT, true}, R, R, P, R},
    {{500, ERR_ANSWER_LOST, true}, R, R, R, R},
    {{300, OK, true}, R, R, R, R},
    {{302, OK, true}, R, R, R, R},
    {{308, OK, true}, R, R, R, R},
    {{400, OK, true}, R, X, R, R},
    {{401, OK, true}, R, X, R, R},
    {{404, OK, true}, R, X, R, R},
    {{408, OK, true}, R, R, R, R},
    {{410, OK, true}, G, G, G, G},
    {{422, OK, true}, R, X, R, R},
    {{425, OK, true}, R, R, R, R},
    {{429, OK, true}, R, R, R, R},
    {{499, OK, true}, R, X, R, R},
    {{500, OK, true}, R, R, R, R},
    {{501, OK, true}, R, R, R, R},
    {{502, OK, true}, R, R, P, R}, /* a proxy that lost its upstream connection */
    {{503, OK, true}, R, R, R, R},
    {{504, OK, true}, R, R, P, R},
    {{599, OK, true}, R, R, R, R},
    {{0, ERR_URL, false}, R, R, R, R},
    {{0, ERR_ADDRESS_REFUSED, false}, R, R, R, R},
    {{0, ERR_NAME_LOOKUP, false}, R, R, R, R},
    {{0, ERR_CONNECT, false}, R, R, R, R},
    {{0, ERR_CONNECT_TIMEOUT, false}, R, R, R, R},
    {{0, ERR_TLS, false}, R, R, R, R},
    {{0, ERR_SEND, true}, R, R, P, R},
    {{0, ERR_ANSWER_LOST, true}, R, R, P, R},
    {{0, ERR_ANSWER_MALFORMED, true}, R, R, P, R},
    {{0, ERR_ANSWER_TIMEOUT, true}, R, R, P, R},
    {{0, ERR_ANSWER_TIMEOUT, false}, R, R, R, R}, /* timed out before a byte was sent */
    {{0, ERR_CANCELLED, true}, R, R, P, R},
    {{0, ERR_CANCELLED, false}, R, R, R, R},
};

static enum verdict verdict_by(
    const struct attempt_end *end, bool guarded, bool idempotent, bool final_4xx)
{
    int status = end->http_status;
    const struct verdict_terms terms = {.guarded = guarded,
        .idempotent = idempotent,
        .is_final = final_4xx && status >= 400 && status < 500 && !status_is_temporary(status),
        .success = status < 200 || status >= 300 ? SUCCESS_NO
                   : end->error                  ? SUCCESS_UNKNOWN
                                                 : SUCCESS_YES};
    return verdict_of(end, &terms);
}

Test(verdict, a_success_that_cannot_be_judged_is_ambiguous)
{
    const struct attempt_end lost = {200, ERR_ANSWER_LOST, true}, whole = {200, OK, true};
    struct verdict_terms terms = {.guarded = true, .success = SUCCESS_UNKNOWN};
    cr_expect_eq(verdict_of(&lost, &terms), VERDICT_PARK_AMBIGUOUS);
    terms.idempotent = true;
    cr_expect_eq(verdict_of(&lost, &terms), VERDICT_RETRY);
    terms = (struct verdict_terms){.success = SUCCESS_NO};
    cr_expect_eq(verdict_of(&whole, &terms), VERDICT_RETRY);
    terms.is_final = true;
    cr_expect_eq(verdict_of(&whole, &terms), VERDICT_DEAD);
    cr_expect_eq(verdict_wait_cause(&whole), WAIT_EVENT);
    cr_expect_eq(verdict_wait_cause(&lost), WAIT_ENDPOINT);
}

Test(verdict, every_end_has_its_verdict_for_every_policy)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct attempt_end *end = &cases[i].end;
        cr_expect_eq((int)verdict_by(end, false, false, false), cases[i].plain, "%d %s",
            end->http_status, err_name(end->error));
        cr_expect_eq((int)verdict_by(end, false, false, true), cases[i].final_4xx, "%d %s, final",
            end->http_status, err_name(end->error));
        cr_expect_eq((int)verdict_by(end, true, false, false), cases[i].guarded, "%d %s, guarded",
            end->http_status, err_name(end->error));
        cr_expect_eq((int)verdict_by(end, true, true, false), cases[i].guarded_idempotent,
            "%d %s, idempotent", end->http_status, err_name(end->error));
    }
}

Test(verdict, ambiguous_ends_are_parked_when_guarded)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(verdict_is_ambiguous(&cases[i].end), cases[i].guarded == P, "%d %s",
            cases[i].end.http_status, err_name(cases[i].end.error));
}
