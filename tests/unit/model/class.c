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
        cr_expect_eq(
            class_of_type(&class_rules_default, slice_from_string(cases[i].type)), cases[i].class, "%s", cases[i].type);
        cr_expect_eq(class_type_is_guarded(&class_rules_default, slice_from_string(cases[i].type)), cases[i].guarded,
            "%s", cases[i].type);
    }
}

Test(class, numbers_on_disk_have_names)
{
    cr_assert_str_eq(class_name((enum event_class)0), "critical");
    cr_assert_str_eq(class_name((enum event_class)1), "important");
    cr_assert_str_eq(class_name((enum event_class)2), "optional");
    cr_assert_str_eq(class_name((enum event_class)3), "unknown");
}
