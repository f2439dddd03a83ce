/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/endpoint_test.h"

#include <criterion/criterion.h>
#include <sysexits.h>

static int exit_code_of(const char *answer)
{
    json_t *test = json_loads(answer, 0, NULL);
    cr_assert_not_null(test);
    int code = endpoint_test_exit_code(test);
    json_decref(test);
    return code;
}

Test(endpoint_test, exit_code_is_the_verdict)
{
    cr_expect_eq(exit_code_of("{\"success\":true}"), EX_OK);
    cr_expect_eq(exit_code_of("{\"success\":false}"), EX_PROTOCOL);
    cr_expect_eq(exit_code_of("{}"), EX_PROTOCOL);
}
