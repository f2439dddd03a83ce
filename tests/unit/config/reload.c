/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "unit/config/fixture.h"

TestSuite(reload);

Test(reload, a_reload_applies_what_it_may_and_names_the_other_options)
{
    struct config config, fresh;
    struct buffer complaints = BUFFER_EMPTY, needs_restart = BUFFER_EMPTY;
    config_defaults(&config);
    config_defaults(&fresh);
    cr_assert_eq(config_set(&fresh, "ingress.listen", "*:1", &complaints), OK);
    cr_assert_eq(config_set(&fresh, "delivery.answer_timeout", "10s", &complaints), OK);
    cr_assert_eq(config_set(&fresh, "delivery.retry_schedule", "3s", &complaints), OK);
    cr_assert_eq(config_set(&fresh, "delivery.allow_http", "true", &complaints), OK);
    cr_assert_eq(config_set(&fresh, "log.level", "debug", &complaints), OK);
    config_reload(&config, &fresh, &needs_restart);
    cr_expect_str_eq(needs_restart.data, "ingress.listen delivery.allow_http");
    cr_expect_eq(config.answer_timeout_us, 10 * US_PER_SECOND);
    cr_expect_eq(config.retry_schedule.steps, 1);
    cr_expect_eq(config.log_level, LOG_DEBUG);
    cr_expect_str_eq(config.ingress_listen, "127.0.0.1:8080");
    cr_expect_not(config.allow_http);
    buffer_done(&needs_restart);
    buffer_done(&complaints);
}

Test(reload, old_bytes_after_a_text_are_no_difference)
{
    struct config config, fresh;
    struct buffer complaints = BUFFER_EMPTY, needs_restart = BUFFER_EMPTY;
    config_defaults(&config);
    config_defaults(&fresh);
    cr_assert_eq(
        config_set(&fresh, "ingress.listen", "a-much-longer-name.example.org:8080", &complaints),
        OK);
    cr_assert_eq(config_set(&fresh, "ingress.listen", "127.0.0.1:8080", &complaints), OK);
    cr_assert_eq(config_set(&fresh, "delivery.allow_networks", "10.0.0.0/8", &complaints), OK);
    cr_assert_eq(config_set(&fresh, "delivery.allow_networks", "[]", &complaints), OK);
    config_reload(&config, &fresh, &needs_restart);
    cr_expect_eq(needs_restart.len, 0);
    buffer_done(&needs_restart);
    buffer_done(&complaints);
}
