/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "unit/config/fixture.h"

#include <fcntl.h>
#include <stdio.h>

TestSuite(environment);

Test(environment, variables_set_options)
{
    static const char *const variables[] = {"PENSTOCK_INGRESS__LISTEN=127.0.0.1:0",
        "PENSTOCK_DATA__BYTES_IN_FLIGHT_MAX=32MiB",
        "PENSTOCK_DELIVERY__ALLOW_NETWORKS=10.0.0.0/8,127.0.0.0/8", "PENSTOCK_DATA__DIRECTORY=/x=y",
        NULL};
    struct loaded loaded = load_environment(variables);
    cr_assert_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect_str_eq(loaded.config.ingress_listen, "127.0.0.1:0");
    cr_expect_eq(loaded.config.bytes_in_flight_max, 32 << 20);
    cr_expect_eq(loaded.config.allow_networks.count, 2);
    cr_expect_str_eq(loaded.config.data_directory, "/x=y");
    loaded_done(&loaded);
}

Test(environment, other_variables_are_ignored)
{
    static const char *const variables[] = {"PATH=/bin", "PENSTOCK_HOME=/x", "PENSTOCK_ROLE=x",
        "PENSTOCK_A_B=1", "PENSTOCK=1", "PENSTOCK_=1", "OTHER__THING=1",
        "XPENSTOCK_INGRESS__THREADS=x", "penstock_ingress__threads=x", "PENSTOCK_NO_EQUALS__SIGN",
        "PENSTOCK_X=a__b", NULL};
    struct config defaults;
    config_defaults(&defaults);
    struct loaded loaded = load_environment(variables);
    cr_expect_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect_arr_eq(&loaded.config, &defaults, sizeof defaults);
    loaded_done(&loaded);
}

Test(environment, typos_and_wrong_values_are_complained_about)
{
    static const char *const variables[] = {"PENSTOCK_INGRESS__TREADS=1",
        "PENSTOCK_INGRESS__THREADS=80x", "PENSTOCK_ABC__XYZW=1", "PENSTOCK__INGRESS_THREADS=1",
        "PENSTOCK_ingress__threads=1", "PENSTOCK_LOG__LEVEL=", NULL};
    struct loaded loaded = load_environment(variables);
    ASSERT_COMPLAINTS(loaded,
        "\"PENSTOCK_INGRESS__TREADS\" is not a variable of Penstock: did you mean "
        "PENSTOCK_INGRESS__THREADS?\n"
        "PENSTOCK_INGRESS__THREADS: must be a whole number from 0 to 64, but is \"80x\"\n"
        "\"PENSTOCK_ABC__XYZW\" is not a variable of Penstock\n"
        "\"PENSTOCK__INGRESS_THREADS\" is not a variable of Penstock: did you mean "
        "PENSTOCK_INGRESS__THREADS?\n"
        "\"PENSTOCK_ingress__threads\" is not a variable of Penstock\n"
        "PENSTOCK_LOG__LEVEL: must be error, warn, info or debug, but is \"\"\n",
        "%s", loaded.complaints.data);
    loaded_done(&loaded);
}

Test(environment, the_environment_overrides_the_file)
{
    char file[] = "/tmp/penstock-test-XXXXXX";
    int fd = mkstemp(file);
    dprintf(fd, "ingress:\n  threads: 3\n  connections_max: 5\n");
    close(fd);
    char variable[] = "PENSTOCK_INGRESS__THREADS=7";
    char *environment[] = {variable, NULL};
    struct buffer complaints = BUFFER_EMPTY;
    struct config config;
    cr_expect_eq(config_load(file, environment, &config, &complaints), OK, "%s", complaints.data);
    cr_expect_eq(config.ingress_threads, 7);
    cr_expect_eq(config.ingress_connections_max, 5);

    /* Both are read to the end. */
    char wrong[] = "PENSTOCK_LOG__LEVEL=loud";
    environment[0] = wrong;
    fd = open(file, O_WRONLY | O_TRUNC);
    dprintf(fd, "x:\n");
    close(fd);
    cr_expect_eq(config_load(file, environment, &config, &complaints), ERR_CONFIG);
    cr_expect(strstr(complaints.data, ":1:1: \"x\" is not a section\n"), "%s", complaints.data);
    cr_expect(strstr(complaints.data, "\nPENSTOCK_LOG__LEVEL: must be "), "%s", complaints.data);
    unlink(file);
    buffer_done(&complaints);
}
