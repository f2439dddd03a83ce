/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of event types. */
#include "base/cleanup.h"
#include "model/class.h"
#include "unit/config/fixture.h"

TestSuite(types);

Test(types, the_table_says_what_the_model_takes_for_the_default)
{
    struct config config;
    config_defaults(&config);
    cr_assert_arr_eq(
        &config.critical_types, &class_rules_default.critical, sizeof config.critical_types);
    cr_assert_arr_eq(
        &config.optional_types, &class_rules_default.optional, sizeof config.optional_types);
    cr_assert_arr_eq(
        &config.guarded_types, &class_rules_default.guarded, sizeof config.guarded_types);
}

Test(types, a_list_takes_types_and_beginnings_of_types)
{
    struct loaded loaded = load_text("events:\n  critical_types: [order.paid, \"lead*\"]\n  "
                                     "optional_types: [\"*\"]\n  guarded_types: []\n");
    cr_assert_eq(loaded.result, OK, "%s", loaded.complaints.data);
    const struct config *config = &loaded.config;
    cr_expect_eq(config->critical_types.count, 2);
    cr_expect_str_eq(config->critical_types.patterns[0], "order.paid");
    cr_expect_str_eq(config->critical_types.patterns[1], "lead*");
    cr_expect(type_list_matches(&config->optional_types, SLICE_LITERAL("anything")));
    cr_expect_eq(config->guarded_types.count, 0);
    loaded_done(&loaded);
}

Test(types, complaints_about_wrong_types_name_their_place)
{
    struct loaded loaded = load_text("events:\n"
                                     "  critical_types: [lead, pay out]\n"
                                     "  optional_types: note\n"
                                     "  guarded_types: [\"a*b\", \"\"]\n");
    ASSERT_COMPLAINTS(loaded,
        "2:26: events.critical_types: must be a list of 0 to 32 event types such as purchase, or "
        "prefixes with *, such as order.*, but is \"pay out\"\n"
        "3:19: events.optional_types: must be a list of 0 to 32 event types such as purchase, or "
        "prefixes with *, such as order.*, but is \"note\"\n"
        "4:19: events.guarded_types: must be a list of 0 to 32 event types such as purchase, or "
        "prefixes with *, such as order.*, but is \"a*b\"\n"
        "4:26: events.guarded_types: must be a list of 0 to 32 event types such as purchase, or "
        "prefixes with *, such as order.*, but is \"\"\n",
        "%s", loaded.complaints.data);
    loaded_done(&loaded);
}

Test(types, a_list_is_bounded_and_the_environment_has_commas)
{
    struct config config, defaults;
    struct buffer complaints = BUFFER_EMPTY, many = BUFFER_EMPTY;
    config_defaults(&config);
    config_defaults(&defaults);
    cr_assert_eq(config_set(&config, "events.guarded_types", "payout, refund", &complaints), OK);
    cr_assert_eq(config.guarded_types.count, 2);
    cr_assert_str_eq(config.guarded_types.patterns[1], "refund");
    for (int i = 0; i < TYPE_LIST_MAX; i++)
        buffer_add_format(&many, "%st%d", i ? "," : "", i);
    cr_assert_eq(config_set(&config, "events.optional_types", many.data, &complaints), OK);
    cr_assert_eq(config.optional_types.count, TYPE_LIST_MAX);
    buffer_add_string(&many, ",x");
    cr_assert_eq(config_set(&config, "events.optional_types", many.data, &complaints), ERR_CONFIG);
    cr_assert(strstr(complaints.data, "but is a list of 33"), "%s", complaints.data);
    buffer_done(&complaints);
    buffer_done(&many);
}

Test(types, a_reload_applies_type_lists)
{
    struct config config, fresh;
    struct buffer complaints = BUFFER_EMPTY, needs_restart = BUFFER_EMPTY;
    config_defaults(&config);
    config_defaults(&fresh);
    cr_assert_eq(config_set(&fresh, "events.critical_types", "signup", &complaints), OK);
    config_reload(&config, &fresh, &needs_restart);
    cr_assert_eq(needs_restart.len, 0);
    cr_assert_eq(config.critical_types.count, 1);
    cr_assert_str_eq(config.critical_types.patterns[0], "signup");
    buffer_done(&complaints);
    buffer_done(&needs_restart);
}

Test(types, an_optional_type_that_is_critical_or_guarded_is_refused)
{
    static const struct {
        const char *yaml, *complaint; /* NULL: fine */
    } cases[] = {
        {"events:\n  optional_types: [purchase]\n",
            "2:19: events.optional_types: \"purchase\" is critical as well "
            "(\"purchase\" in events.critical_types): "
            "remove it from one of the lists\n"},
        {"events:\n  critical_types: []\n  optional_types: [payout]\n",
            "3:19: events.optional_types: \"payout\" is guarded as well (\"payout\" in "
            "events.guarded_types): remove it from one of the lists\n"},
        {"events:\n  critical_types: [\"lead.*\"]\n  optional_types: [\"lead.x*\"]\n",
            "3:19: events.optional_types: \"lead.x*\" is critical as well (\"lead.*\" in "
            "events.critical_types): remove it from one of the lists\n"},
        {"events:\n  optional_types: [\"purchase*\"]\n", NULL},
        {"events:\n  optional_types: [purchases]\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_text(cases[i].yaml);
        cr_expect_eq(loaded.result, cases[i].complaint ? ERR_CONFIG : OK, "%zu", i);
        if (cases[i].complaint)
            cr_expect_str_eq(loaded.complaints.data, cases[i].complaint);
        loaded_done(&loaded);
    }
}
