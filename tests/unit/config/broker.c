/* SPDX-License-Identifier: Apache-2.0 */
/* Roles, the options of the broker, and options that contradict each other. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "unit/config/fixture.h"

#include <stdio.h>

TestSuite(broker);

Test(broker, an_option_without_a_section_is_at_the_top_level)
{
    struct loaded loaded = load_text("roles: [delivery, ingress]\nlog:\n  level: warn\n");
    cr_assert_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect(loaded.config.roles.ingress && loaded.config.roles.delivery);
    cr_expect_eq(loaded.config.log_level, LOG_WARN);
    loaded_done(&loaded);

    static const char *const variables[] = {"PENSTOCK_ROLES=ingress",
        "PENSTOCK_QUEUE__KIND=rabbitmq", "PENSTOCK_LEADER__URL=http://127.0.0.1:9640",
        "PENSTOCK_LEADER__TOKEN_FILE=/token", NULL};
    loaded = load_environment(variables);
    cr_assert_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect(loaded.config.roles.ingress && !loaded.config.roles.delivery);
    cr_expect_eq(loaded.config.queue_kind, CONFIG_QUEUE_RABBITMQ);
    cr_expect_str_eq(loaded.config.leader_url, "http://127.0.0.1:9640");
    loaded_done(&loaded);
}

#define ROLES_RULE "must be a list of 1 to 2 of the roles ingress and delivery, each at most once"
#define ADDRESSES_RULE                                                                             \
    "must be a list of 1 to 16 addresses: host, host:port or \"[IPv6]:port\", with a port from 1 " \
    "to 65535"

Test(broker, complaints_about_wrong_values_name_their_place)
{
    static const struct {
        const char *text, *complaints;
    } cases[] = {
        {"roles: ingress\n", "1:8: roles: " ROLES_RULE ", but is \"ingress\"\n"},
        {"roles: []\n", "1:8: roles: " ROLES_RULE ", but is a list of 0\n"},
        {"roles: [ingress, ingress]\n", "1:18: roles: " ROLES_RULE ", but is \"ingress\"\n"},
        {"roles: [ingress, sink]\n", "1:18: roles: " ROLES_RULE ", but is \"sink\"\n"},
        {"roles:\n  ingress: true\n", "2:3: roles: " ROLES_RULE ", but is a mapping\n"},
        {"roles:\n", "1:7: roles: has no value: remove the line for the default, or write \"\" "
                     "for an empty text\n"},
        {"roles: [ingress, delivery]\nroles: [ingress, delivery]\n",
            "2:1: roles: is set twice: remove one\n"},
        {"rolse: [ingress]\n", "1:1: \"rolse\" is not a section: did you mean roles?\n"},
        {"queue:\n  kind: kafka\n",
            "2:9: queue.kind: must be direct or rabbitmq, but is \"kafka\"\n"},
        {"broker:\n  addresses: [a:5672, \"*:5672\", \"b:0\"]\n",
            "2:23: broker.addresses: " ADDRESSES_RULE ", but is \"*:5672\"\n"
            "2:33: broker.addresses: " ADDRESSES_RULE ", but is \"b:0\"\n"},
        {"broker:\n  addresses: []\n",
            "2:14: broker.addresses: " ADDRESSES_RULE ", but is a list of 0\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_text(cases[i].text);
        ASSERT_COMPLAINTS(loaded, cases[i].complaints, "%s", loaded.complaints.data);
        loaded_done(&loaded);
    }
}

Test(broker, addresses_may_leave_the_port_out)
{
    struct loaded loaded = load_text("broker:\n  addresses: [one.example, \"two.example:5671\", "
                                     "\"[::1]\", \"[fd00::2]:5672\", 10.0.0.1]\n");
    cr_assert_eq(loaded.result, OK, "%s", loaded.complaints.data);
    static const char *const expected[] = {
        "one.example", "two.example:5671", "[::1]", "[fd00::2]:5672", "10.0.0.1"};
    cr_assert_eq(loaded.config.broker_addresses.count, ARRAY_LENGTH(expected));
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
        cr_expect_str_eq(loaded.config.broker_addresses.texts[i], expected[i]);
    loaded_done(&loaded);
}

Test(broker, the_defaults_are_those_of_one_machine)
{
    struct config config;
    config_defaults(&config);
    cr_expect(config.roles.ingress && config.roles.delivery);
    cr_expect_eq(config.queue_kind, CONFIG_QUEUE_DIRECT);
    cr_expect_eq(config.broker_addresses.count, 1);
    cr_expect_str_eq(config.broker_addresses.texts[0], "127.0.0.1:5672");
    cr_expect_str_eq(config.broker_vhost, "/");
    cr_expect_eq(config.broker_heartbeat_us, 10 * US_PER_SECOND);
    cr_expect_eq(config.broker_confirm_timeout_us, US_PER_SECOND);
    cr_expect_eq(config.broker_window, 4096);
    cr_expect_eq(config.broker_prefetch, 512);
    cr_expect_eq(config.broker_prefetch_bytes, 32 << 20);
    cr_expect(config.broker_taps);
    cr_expect_not(config.broker_tls);
}

/* A follower whose configuration is correct. */
#define FOLLOWER                                               \
    "PENSTOCK_ROLES=ingress", "PENSTOCK_QUEUE__KIND=rabbitmq", \
        "PENSTOCK_LEADER__URL=https://leader:9640", "PENSTOCK_LEADER__TOKEN_FILE=/token"

Test(broker, options_that_do_not_fit_together_are_refused)
{
    static const struct {
        const char *variables[7], *complaint; /* NULL: fine */
    } cases[] = {
        {{FOLLOWER}, NULL},
        {{FOLLOWER, "PENSTOCK_INTAKE__PARTNER=crm"}, NULL},
        {{"PENSTOCK_ROLES=delivery"}, "PENSTOCK_ROLES: delivery alone is not supported"},
        {{FOLLOWER, "PENSTOCK_QUEUE__KIND=direct"},
            "PENSTOCK_ROLES: ingress alone needs queue.kind: rabbitmq"},
        {{"PENSTOCK_ROLES=ingress", "PENSTOCK_QUEUE__KIND=rabbitmq"},
            "leader.url: is missing: a gateway without"},
        {{FOLLOWER, "PENSTOCK_LEADER__TOKEN_FILE="}, "PENSTOCK_LEADER__TOKEN_FILE: is missing"},
        {{FOLLOWER, "PENSTOCK_ROLES=ingress,delivery"},
            "PENSTOCK_LEADER__URL: must be empty for a gateway with delivery"},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=leader:9640"},
            "PENSTOCK_LEADER__URL: must begin with http:// or https://"},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://"}, "PENSTOCK_LEADER__URL: must begin with"},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://leader/?a"},
            "PENSTOCK_LEADER__URL: must begin with"},
        {{"PENSTOCK_BROKER__KEY_FILE=/key", "PENSTOCK_BROKER__TLS=true"},
            "broker.certificate_file: is missing"},
        {{"PENSTOCK_BROKER__CERTIFICATE_FILE=/c", "PENSTOCK_BROKER__TLS=true"},
            "broker.key_file: is missing"},
        {{"PENSTOCK_BROKER__CA_FILE=/ca"}, "broker.tls: must be true when broker.ca_file"},
        {{"PENSTOCK_INTAKE__PARTNER=crm"}, "PENSTOCK_INTAKE__PARTNER: needs queue.kind: rabbitmq"},
        {{FOLLOWER, "PENSTOCK_INTAKE__PARTNER=a b"}, "PENSTOCK_INTAKE__PARTNER: must have 1 to 64"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_environment(cases[i].variables);
        if (cases[i].complaint) {
            cr_assert_eq(loaded.result, ERR_CONFIG, "%zu", i);
            cr_expect(strncmp(loaded.complaints.data, cases[i].complaint,
                          strlen(cases[i].complaint)) == 0,
                "%zu: %s", i, loaded.complaints.data);
            cr_expect_eq(strchr(loaded.complaints.data, '\n')[1], '\0', "more than one: %s",
                loaded.complaints.data);
        } else {
            cr_expect_eq(loaded.result, OK, "%zu: %s", i, loaded.complaints.data);
        }
        loaded_done(&loaded);
    }
}
