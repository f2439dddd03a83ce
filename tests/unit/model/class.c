/* SPDX-License-Identifier: Apache-2.0 */
#include "model/class.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

Test(class, follows_from_the_type)
{
    static const struct {
        const char *type;
        enum event_class class;
        bool guarded;
    } cases[] = {
        {"lead", CLASS_CRITICAL, false},
        {"purchase", CLASS_CRITICAL, false},
        {"payout", CLASS_CRITICAL, true},
        {"notification", CLASS_OPTIONAL, false},
        {"status_update", CLASS_OPTIONAL, false},
        {"signup", CLASS_IMPORTANT, false},
        {"Payout", CLASS_IMPORTANT, false},
        {"payouts", CLASS_IMPORTANT, false},
        {"pay", CLASS_IMPORTANT, false},
        {"", CLASS_IMPORTANT, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(class_of_type(&class_rules_default, slice_from_string(cases[i].type)),
            cases[i].class, "%s", cases[i].type);
        cr_expect_eq(class_type_is_guarded(&class_rules_default, slice_from_string(cases[i].type)),
            cases[i].guarded, "%s", cases[i].type);
    }
}

Test(class, numbers_on_disk_have_names)
{
    cr_assert_str_eq(class_name((enum event_class)0), "critical");
    cr_assert_str_eq(class_name((enum event_class)1), "important");
    cr_assert_str_eq(class_name((enum event_class)2), "optional");
    cr_assert_str_eq(class_name((enum event_class)3), "unknown");
}

Test(class, type_that_differs_only_by_case_means_the_listed_one)
{
    static const struct {
        const char *type, *meant;
    } cases[] = {
        {"PAYOUT", "payout"},
        {"Payout", "payout"},
        {"Purchase", "purchase"},
        {"Status_Update", "status_update"},
        {"LEAD.eu", "lead.*"},
        {"payout", NULL},
        {"lead.EU", NULL},
        {"Lead", NULL}, /* a list names it exactly */
        {"payouts", NULL},
        {"pay", NULL},
        {"signup", NULL},
        {"", NULL},
    };
    struct class_rules rules = class_rules_default;
    rules.critical = (struct type_list){.count = 3, .patterns = {"purchase", "lead.*", "lead"}};
    rules.allowed = (struct type_list){.count = 2, .patterns = {"*", "Lead"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *meant = class_type_meant(&rules, slice_from_string(cases[i].type));
        cr_expect_str_eq(
            meant ? meant : "none", cases[i].meant ? cases[i].meant : "none", "%s", cases[i].type);
    }
}

Test(class, wider_list_does_not_hide_a_narrower_one)
{
    struct class_rules rules = class_rules_default;
    rules.optional = (struct type_list){.count = 1, .patterns = {"*"}};
    cr_assert_str_eq(class_type_meant(&rules, slice_from_string("PAYOUT")), "payout");
}

Test(class, empty_list_allows_every_type)
{
    struct class_rules rules = class_rules_default;
    cr_assert(class_type_is_allowed(&rules, slice_from_string("anything")));
    rules.allowed = (struct type_list){.count = 1, .patterns = {"order.*"}};
    cr_expect(class_type_is_allowed(&rules, slice_from_string("order.paid")));
    cr_expect_not(class_type_is_allowed(&rules, slice_from_string("anything")));
}
