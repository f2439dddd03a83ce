/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/partners/{p}/rejections. */
#include "http/rejections.h"
#include "base/clock.h"
#include "unit/admin/fixture.h"

#include <stdio.h>

#define READONLY "rt_0123456789abcdef"
#define PATH "/api/v1/partners/shop/rejections"

static struct rejections *rejections;

static void begin(void)
{
    static const struct hash_seed seed = {{5}};
    rejections = rejections_new(&seed, NULL);
    fixture_options =
        (struct admin_options){.readonly_token = SLICE_LITERAL(READONLY), .rejections = rejections};
    fixture_begin();
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"shop\"}"), 201, "%s", answer_body);
}

static void end(void)
{
    fixture_end();
    rejections_free(rejections);
}

TestSuite(rejections, .init = begin, .fini = end);

static void reject(int64_t at_us, enum err error)
{
    struct rejection rejection = {.at_us = at_us,
        .error = error,
        .request_id = "req_1",
        .address = "192.0.2.1",
        .account = "acc_1",
        .type = "purchase",
        .detail = "Correct it."};
    rejection_add_problem(&rejection, "/amount", "is missing");
    rejection_set_body(&rejection, SLICE_LITERAL("{\"a\":1}"));
    cr_assert(rejections_take(rejections, "shop", refusal_of_error(error), at_us));
    rejections_add(rejections, "shop", refusal_of_error(error), &rejection);
}

#define FIRST(body)                                                                            \
    "{\"at\":\"2001-09-09T01:46:40.000000Z\",\"request\":\"req_1\",\"address\":\"192.0.2.1\"," \
    "\"status\":422,\"code\":\"invalid\",\"detail\":\"Correct it.\",\"errors\":[{\"pointer\":" \
    "\"/amount\",\"detail\":\"is missing\"}],\"account\":\"acc_1\",\"type\":\"purchase\","     \
    "\"body_bytes\":7," body "\"similar\":1}"

Test(rejections, the_newest_is_first_and_only_the_full_token_gets_bodies)
{
    int64_t at_us = 1000000000 * US_PER_SECOND;
    cr_assert_eq(operate("GET", PATH, ""), 200);
    cr_assert(answer_is("{\"rejections\":[]}"), "%s", answer_body);
    reject(at_us, ERR_INVALID);
    while (rejections_take(rejections, "shop", REFUSAL_INVALID, at_us)) /* one is left out */
        continue;
    cr_assert_eq(operate("GET", PATH, ""), 200);
    cr_assert(answer_is("{\"rejections\":[" FIRST("\"body\":\"{\\\"a\\\":1}\",") "]}"), "%s",
        answer_body);
    cr_assert_eq(ask("GET", PATH, READONLY, ""), 200);
    cr_assert(answer_is("{\"rejections\":[" FIRST("") "]}"), "%s", answer_body);
    reject(at_us, ERR_TOO_LARGE);
    cr_assert_eq(operate("GET", PATH, ""), 200);
    const char *newest = strstr(answer_body, "\"code\":\"too-large\""),
               *oldest = strstr(answer_body, "\"code\":\"invalid\"");
    cr_assert(newest && oldest && newest < oldest, "%s", answer_body);
}

Test(rejections, who_may_not_and_a_partner_that_does_not_exist_is_refused)
{
    cr_expect_eq(ask("GET", PATH, NULL, ""), 401);
    cr_expect_eq(operate("GET", "/api/v1/partners/nobody/rejections", ""), 404);
    cr_expect_eq(operate("POST", PATH, "{}"), 405);
}
