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

Test(verdict, every_end_has_its_verdict_for_every_policy)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct attempt_end *end = &cases[i].end;
        cr_expect_eq((int)verdict_of(end, false, false, false), cases[i].plain, "%d %s",
            end->http_status, err_name(end->error));
        cr_expect_eq((int)verdict_of(end, false, false, true), cases[i].final_4xx, "%d %s, final",
            end->http_status, err_name(end->error));
        cr_expect_eq((int)verdict_of(end, true, false, false), cases[i].guarded, "%d %s, guarded",
            end->http_status, err_name(end->error));
        cr_expect_eq((int)verdict_of(end, true, true, false), cases[i].guarded_idempotent,
            "%d %s, idempotent", end->http_status, err_name(end->error));
    }
}

Test(verdict, ambiguous_ends_are_parked_when_guarded)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(verdict_is_ambiguous(&cases[i].end), cases[i].guarded == P, "%d %s",
            cases[i].end.http_status, err_name(cases[i].end.error));
}
