/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "unit/config/fixture.h"

TestSuite(value);

/* Sets one option; the complaint, or "" when it was taken. */
static void set_one(
    struct config *config, const char *key, const char *value, struct buffer *ret_complaint)
{
    buffer_clear(ret_complaint);
    buffer_add_string(ret_complaint, "");
    enum err result = config_set(config, key, value, ret_complaint);
    cr_assert_eq(result, ret_complaint->len > 0 ? ERR_CONFIG : OK, "%s=%s", key, value);
}

#define ASSERT_REFUSED(key, values)                                                                \
    do {                                                                                           \
        struct buffer complaint_ = BUFFER_EMPTY;                                                   \
        struct config config_, before_;                                                            \
        config_defaults(&before_);                                                                 \
        memcpy(&config_, &before_, sizeof config_);                                                \
        for (size_t i_ = 0; i_ < ARRAY_LENGTH(values); i_++) {                                     \
            set_one(&config_, key, (values)[i_], &complaint_);                                     \
            cr_expect_gt(complaint_.len, 0, "%s took \"%s\"", key, (values)[i_]);                  \
            cr_expect_arr_eq(                                                                      \
                &config_, &before_, sizeof config_, "%s=%s changed something", key, (values)[i_]); \
        }                                                                                          \
        buffer_done(&complaint_);                                                                  \
    } while (0)

struct number_case {
    const char *key, *text;
    int64_t expected;
};

static int64_t number_of(const struct config *config, const char *key)
{
    if (strcmp(key, "ingress.threads") == 0)
        return config->ingress_threads;
    if (strcmp(key, "data.bytes_in_flight_max") == 0)
        return config->bytes_in_flight_max;
    if (strcmp(key, "shutdown.drain") == 0)
        return config->drain_us;
    cr_assert_str_eq(key, "log.level");
    return config->log_level;
}

Test(value, numbers_are_taken_with_their_units)
{
    static const struct number_case cases[] = {
        {"ingress.threads", "0", 0},
        {"ingress.threads", "1", 1},
        {"ingress.threads", "64", 64},
        {"data.bytes_in_flight_max", "16777216", 16777216},
        {"data.bytes_in_flight_max", "16384KiB", 16777216},
        {"data.bytes_in_flight_max", "64MiB", 64 << 20},
        {"data.bytes_in_flight_max", "1024GiB", INT64_C(1) << 40},
        {"shutdown.drain", "0s", 0},
        {"shutdown.drain", "500ms", 500 * US_PER_MS},
        {"shutdown.drain", "7s", 7 * US_PER_SECOND},
        {"shutdown.drain", "10m", 600 * US_PER_SECOND},
        {"log.level", "error", LOG_ERROR},
        {"log.level", "warn", LOG_WARN},
        {"log.level", "info", LOG_INFO},
        {"log.level", "debug", LOG_DEBUG},
    };
    struct buffer complaint = BUFFER_EMPTY;
    struct config config;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        config_defaults(&config);
        set_one(&config, cases[i].key, cases[i].text, &complaint);
        cr_expect_str_eq(complaint.data, "");
        cr_expect_eq(number_of(&config, cases[i].key), cases[i].expected, "%s=%s", cases[i].key,
            cases[i].text);
    }
    buffer_done(&complaint);
}

Test(value, whole_numbers_are_strict)
{
    static const char *const wrong[] = {"", "80x", "010", "00", "10k", "8 ", " 8", "+8", "-1", "65",
        "8.0", "8e0", "0x8", "9223372036854775808", "99999999999999999999999999", "true", "[8]",
        "eight", "8\n"};
    ASSERT_REFUSED("ingress.threads", wrong);
}

Test(value, bytes_are_strict)
{
    static const char *const wrong[] = {"", "64 MiB", "64MB", "64mib", "64M", "64MiB ", "064MiB",
        "-1", "0", "1048575", "1023KiB", "1025GiB", "9007199254740993GiB", "9223372036854775807KiB",
        "MiB", "1.5MiB", "64MiBx"};
    ASSERT_REFUSED("data.bytes_in_flight_max", wrong);
}

Test(value, durations_are_strict)
{
    static const char *const wrong[] = {"", "5", "0", "5 s", "5s ", "05s", "5sec", "5S", "1.5s",
        "-5s", "11m", "601s", "1d", "9223372036854775807s", "s", "5ms1s", "5us"};
    ASSERT_REFUSED("shutdown.drain", wrong);
}

Test(value, booleans_are_true_or_false)
{
    static const char *const wrong[] = {
        "", "True", "TRUE", "yes", "on", "1", "0", "true ", "falsey"};
    ASSERT_REFUSED("delivery.allow_http", wrong);
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    cr_assert_not(config.allow_http);
    set_one(&config, "delivery.allow_http", "true", &complaint);
    cr_expect(config.allow_http);
    set_one(&config, "delivery.allow_http", "false", &complaint);
    cr_expect_not(config.allow_http);
    buffer_done(&complaint);
}

Test(value, levels_are_named)
{
    static const char *const wrong[] = {"", "Info", "warning", "live", "2", "info "};
    ASSERT_REFUSED("log.level", wrong);
}

Test(value, addresses_that_can_be_listened_on_are_taken)
{
    static const char *const right[] = {"*:8080", "127.0.0.1:0", "0.0.0.0:65535", "[::]:80",
        "[fe80::1]:8080", "[::ffff:10.0.0.1]:1", "localhost:9640", "gw-1.example.org:8080",
        "under_score:1"};
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    for (size_t i = 0; i < ARRAY_LENGTH(right); i++) {
        set_one(&config, "ingress.listen", right[i], &complaint);
        cr_expect_str_eq(complaint.data, "");
        cr_expect_str_eq(config.ingress_listen, right[i]);
    }
    buffer_done(&complaint);
}

Test(value, addresses_are_checked_for_their_form)
{
    static const char *const wrong[] = {"", ":", ":80", "8080", "localhost",
        "localhost:", "localhost:65536", "localhost:080", "localhost:-1", "localhost:80 ",
        " localhost:80", "::1:80", "[::1]", "[::1]80", "[::g]:80", "[]:80", "256.0.0.1:80",
        "1.2.3:80", "a b:80", "http://host:80", "host/path:80", "-host:80", "**:80",
        "[00000000000000000000000000000000000000000000000000000000000001]:80"};
    ASSERT_REFUSED("admin.listen", wrong);
}

Test(value, an_address_may_be_empty_where_a_listener_is_optional)
{
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    set_one(&config, "ingress.listen", "", &complaint);
    cr_expect_str_eq(complaint.data, "");
    cr_expect_str_eq(config.ingress_listen, "");
    buffer_done(&complaint);
}

Test(value, texts_are_bounded_and_printable)
{
    char too_long[4002];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const char *wrong[] = {"", "a\nb", "a\tb", "\x7f", too_long};
    ASSERT_REFUSED("data.directory", wrong);
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    set_one(&config, "data.directory", too_long + 1, &complaint);
    cr_expect_str_eq(complaint.data, "");
    cr_expect_str_eq(config.data_directory, too_long + 1);
    set_one(&config, "delivery.ca_file", "", &complaint);
    cr_expect_str_eq(complaint.data, "");
    buffer_done(&complaint);
}

Test(value, retry_schedules_are_lists_of_durations)
{
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    static const char *const right[] = {"1s,250ms,30d", "[1s, 250ms, 30d]", "[ 1s,250ms , 30d ]"};
    for (size_t i = 0; i < ARRAY_LENGTH(right); i++) {
        set_one(&config, "delivery.retry_schedule", "9s", &complaint);
        set_one(&config, "delivery.retry_schedule", right[i], &complaint);
        cr_expect_str_eq(complaint.data, "");
        cr_expect_eq(config.retry_schedule.steps, 3, "%s", right[i]);
        cr_expect_eq(config.retry_schedule.steps_us[0], US_PER_SECOND);
        cr_expect_eq(config.retry_schedule.steps_us[1], 250 * US_PER_MS);
        cr_expect_eq(config.retry_schedule.steps_us[2], 30 * US_PER_DAY);
        cr_expect_eq(config.retry_schedule.steps_us[3], 0);
    }
    static const char *const wrong[] = {"", "[]", "1s,", ",1s", "1s,,2s", "1s;2s", "[1s", "1s]",
        "1s,2", "1s,0s", "31d",
        "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,"
        "1s,1s,1s"};
    ASSERT_REFUSED("delivery.retry_schedule", wrong);
    buffer_done(&complaint);
}

Test(value, networks_are_an_address_and_a_length)
{
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    cr_assert_eq(config.allow_networks.count, 0);
    set_one(&config, "delivery.allow_networks", "10.0.0.0/8,fd00::/8", &complaint);
    cr_expect_str_eq(complaint.data, "");
    cr_expect_eq(config.allow_networks.count, 2);
    cr_expect_str_eq(config.allow_networks.texts[0], "10.0.0.0/8");
    cr_expect_str_eq(config.allow_networks.texts[1], "fd00::/8");
    set_one(&config, "delivery.allow_networks", "", &complaint);
    cr_expect_eq(config.allow_networks.count, 0);

    static const char *const wrong[] = {"10.0.0.0", "/8", "10.0.0.0/", "10.0.0.0/129",
        "10.0.0.0/08", "localhost/8", "10.0.0.0/8/8", "10.0.0.0/8 x", "10.0.0.0 /8",
        "00000000000000000000000000000000000000000000000000000000000000/8"};
    ASSERT_REFUSED("delivery.allow_networks", wrong);
    struct buffer many = BUFFER_EMPTY;
    for (int i = 0; i < 100; i++)
        buffer_add_string(&many, i ? ",10.0.0.0/8" : "10.0.0.0/8");
    const char *too_many[] = {many.data};
    ASSERT_REFUSED("delivery.allow_networks", too_many);
    buffer_done(&many);
    buffer_done(&complaint);
}

Test(value, a_complaint_has_the_rule_and_the_wrong_value)
{
    static const struct {
        const char *key, *value, *complaint;
    } cases[] = {
        {"ingress.threads", "80x",
            "ingress.threads: must be a whole number from 0 to 64, but is \"80x\"\n"},
        {"data.bytes_in_flight_max", "1",
            "data.bytes_in_flight_max: must be a whole number of bytes, or with KiB, MiB or GiB "
            "after it, from 16MiB to 1024GiB, but is \"1\"\n"},
        {"shutdown.drain", "5",
            "shutdown.drain: must be a whole number with ms, s, m, h or d after it, from 0ms to "
            "10m, but is \"5\"\n"},
        {"delivery.allow_http", "yes",
            "delivery.allow_http: must be true or false, but is \"yes\"\n"},
        {"log.level", "all", "log.level: must be error, warn, info or debug, but is \"all\"\n"},
        {"data.directory", "a\tb",
            "data.directory: must be a path of 1 to 4000 bytes without control characters, but is "
            "\"a\\x09b\"\n"},
        {"ingress.listen", "80",
            "ingress.listen: must be host:port, \"*:port\" or \"[IPv6]:port\", with a port from 0 "
            "to 65535, or empty, but is "
            "\"80\"\n"},
        {"delivery.retry_schedule", "",
            "delivery.retry_schedule: must be a list of 1 to 32 whole numbers with ms, s, m, h or "
            "d after them, from "
            "1ms to "
            "30d, but is a list of 0\n"},
        {"delivery.retry_schedule", "1s,x",
            "delivery.retry_schedule: must be a list of 1 to 32 whole numbers with ms, s, m, h or "
            "d after them, from "
            "1ms to "
            "30d, but is \"x\"\n"},
        {"delivery.allow_networks", "x",
            "delivery.allow_networks: must be a list of 0 to 64 networks such as 10.0.0.0/8 or "
            "fd00::/8, but is "
            "\"x\"\n"},
        {"ingress.treads", "1",
            "\"ingress.treads\" is not an option: did you mean ingress.threads?\n"},
        {"nothing.like.it", "1", "\"nothing.like.it\" is not an option\n"},
    };
    struct config config;
    struct buffer complaint = BUFFER_EMPTY;
    config_defaults(&config);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        set_one(&config, cases[i].key, cases[i].value, &complaint);
        cr_expect_str_eq(complaint.data, cases[i].complaint);
    }
    buffer_done(&complaint);
}
