/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

Test(err, each_error_has_a_unique_name_that_maps_back_to_it)
{
    for (int e = 0; e < ERR_COUNT; e++) {
        cr_expect_eq(
            err_from_name(err_name((enum err)e)), (enum err)e, "%s", err_name((enum err)e));
        for (int other = 0; other < e; other++)
            cr_expect_str_neq(err_name((enum err)e), err_name((enum err)other));
    }
}

Test(err, names_are_valid_in_a_urn_and_titles_are_text)
{
    for (int e = 0; e < ERR_COUNT; e++) {
        for (const char *c = err_name((enum err)e); *c; c++)
            cr_expect(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-', "%s",
                err_name((enum err)e));
        cr_expect(isupper((unsigned char)err_title((enum err)e)[0]), "%s", err_title((enum err)e));
        cr_expect_neq(err_title((enum err)e)[strlen(err_title((enum err)e)) - 1], '.');
    }
}

Test(err, statuses_exit_codes_and_kinds_are_consistent)
{
    cr_assert_eq(err_http_status(OK), 200);
    cr_assert_eq(err_exit_code(OK), 0);
    cr_assert_eq(err_kind(OK), ERR_KIND_NONE);
    for (int i = OK + 1; i < ERR_COUNT; i++) {
        enum err e = (enum err)i;
        cr_expect(err_http_status(e) >= 400 && err_http_status(e) < 600, "%s", err_name(e));
        cr_expect(err_exit_code(e) >= 64 && err_exit_code(e) <= 78, "%s", err_name(e));
        cr_expect_neq(err_kind(e), ERR_KIND_NONE, "%s", err_name(e));
        if (err_http_status(e) == 503)
            cr_expect_eq(err_kind(e), ERR_KIND_TEMPORARY, "%s", err_name(e));
        if (err_http_status(e) == 429)
            cr_expect_eq(err_kind(e), ERR_KIND_TEMPORARY, "%s", err_name(e));
        else if (err_http_status(e) < 500)
            cr_expect_eq(err_kind(e), ERR_KIND_PERMANENT, "%s", err_name(e));
    }
}

Test(err, value_outside_the_catalogue_reads_as_a_bug)
{
    cr_assert_str_eq(err_name((enum err)9999), "bug");
    cr_assert_str_eq(err_title((enum err) - 1), err_title(ERR_BUG));
    cr_assert_eq(err_kind(ERR_COUNT), ERR_KIND_BUG);
    cr_assert_eq(err_http_status((enum err)9999), 500);
    cr_assert_eq(err_exit_code((enum err)9999), 70);
    cr_assert_eq(err_from_name("from-the-future"), ERR_BUG);
    cr_assert_eq(err_from_name(""), ERR_BUG);
}
