/* SPDX-License-Identifier: Apache-2.0 */
#include "model/key_scope.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(key_scope, an_empty_list_has_everything)
{
    struct key_scope scope = {0};
    cr_expect(key_scope_has_account(&scope, SLICE_LITERAL("acc_1")));
    cr_expect(key_scope_has_type(&scope, SLICE_LITERAL("lead")));
}

Test(key_scope, a_list_has_its_items_only)
{
    struct key_scope scope = {0};
    cr_assert(key_scope_add_account(&scope, SLICE_LITERAL("acc_1")));
    cr_expect(key_scope_has_account(&scope, SLICE_LITERAL("acc_1")));
    cr_expect_not(key_scope_has_account(&scope, SLICE_LITERAL("acc_10")));
    cr_expect_not(key_scope_has_account(&scope, SLICE_LITERAL("acc_")));
    cr_expect(key_scope_has_type(&scope, SLICE_LITERAL("payout")), "the types are not limited");
    cr_assert(type_list_add(&scope.types, SLICE_LITERAL("lead.*")));
    cr_expect(key_scope_has_type(&scope, SLICE_LITERAL("lead.new")));
    cr_expect_not(key_scope_has_type(&scope, SLICE_LITERAL("payout")));
}

Test(key_scope, invalid_names_and_too_many_are_refused)
{
    struct key_scope scope = {0};
    cr_expect_not(key_scope_add_account(&scope, SLICE_LITERAL("")));
    cr_expect_not(key_scope_add_account(&scope, SLICE_LITERAL("a b")));
    for (unsigned i = 0; i < KEY_SCOPE_ACCOUNTS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "acc_%u", i);
        cr_expect(key_scope_add_account(&scope, slice_from_string(name)));
    }
    cr_expect_not(key_scope_add_account(&scope, SLICE_LITERAL("acc_more")));
}
