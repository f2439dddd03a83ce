/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "unit/config/fixture.h"

TestSuite(file);

Test(file, options_of_the_file_are_set_and_others_have_their_defaults)
{
    struct loaded loaded = load_text("# a comment\n"
                                     "ingress:\n"
                                     "  listen: \"*:9999\"\n"
                                     "  threads: 3\n"
                                     "delivery:\n"
                                     "  retry_schedule: [1s, 2s]\n"
                                     "  allow_networks:\n"
                                     "    - 10.0.0.0/8\n"
                                     "    - 192.168.0.0/16\n"
                                     "  allow_http: true\n"
                                     "  ca_file: ''\n"
                                     "log: {level: debug}\n");
    cr_assert_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect_str_eq(loaded.config.ingress_listen, "*:9999");
    cr_expect_eq(loaded.config.ingress_threads, 3);
    cr_expect_eq(loaded.config.retry_schedule.steps, 2);
    cr_expect_eq(loaded.config.retry_schedule.steps_us[1], 2 * US_PER_SECOND);
    cr_expect_eq(loaded.config.allow_networks.count, 2);
    cr_expect_str_eq(loaded.config.allow_networks.texts[1], "192.168.0.0/16");
    cr_expect(loaded.config.allow_http);
    cr_expect_eq(loaded.config.log_level, LOG_DEBUG);
    cr_expect_str_eq(loaded.config.admin_listen, "127.0.0.1:9640");
    loaded_done(&loaded);
}

Test(file, a_file_without_options_is_fine)
{
    static const char *const texts[] = {
        "", "\n\n", "# nothing\n", "---\n", "{}\n", "ingress:\nadmin:\n", "ingress: {}\n"};
    struct config defaults;
    config_defaults(&defaults);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct loaded loaded = load_text(texts[i]);
        cr_expect_eq(loaded.result, OK, "%s: %s", texts[i], loaded.complaints.data);
        cr_expect_arr_eq(&loaded.config, &defaults, sizeof defaults);
        loaded_done(&loaded);
    }
}

Test(file, a_missing_file_is_an_error)
{
    struct config config;
    struct buffer complaints = BUFFER_EMPTY;
    config_defaults(&config);
    cr_expect_eq(config_load("/nonexistent/penstock.yaml", NULL, &config, &complaints), ERR_CONFIG);
    cr_expect_str_eq(complaints.data,
        "/nonexistent/penstock.yaml: cannot be opened: No such file or directory\n");
    buffer_clear(&complaints);
    cr_expect_eq(config_load("/", NULL, &config, &complaints), ERR_CONFIG);
    cr_expect_str_eq(complaints.data, "/: cannot be read: Is a directory\n");
    buffer_done(&complaints);
}

#define THREADS_RULE "must be a whole number from 0 to 64"
#define STEPS_RULE \
    "must be a list of 1 to 32 whole numbers with ms, s, m, h or d after them, from 1ms to 30d"

Test(file, complaints_name_line_and_column)
{
    static const struct {
        const char *text, *complaints;
    } cases[] = {
        {"ingress:\n  threads: 80x\n", "2:12: ingress.threads: " THREADS_RULE ", but is \"80x\"\n"},
        {"ingress:\n  threads: \"8 \"\n",
            "2:12: ingress.threads: " THREADS_RULE ", but is \"8 \"\n"},
        {"ingress: {threads: 65}\n", "1:20: ingress.threads: " THREADS_RULE ", but is \"65\"\n"},
        {"ingress:\n  threads: [1]\n", "2:12: ingress.threads: " THREADS_RULE ", but is a list\n"},
        {"ingress:\n  threads: {a: 1}\n",
            "2:12: ingress.threads: " THREADS_RULE ", but is a mapping\n"},
        {"ingress:\n  threads:\n",
            "2:11: ingress.threads: has no value: remove the line for the default, or write "
            "\"\" for an empty text\n"},
        {"data:\n  directory: null\n",
            "2:14: data.directory: has no value: remove the line for the default, or "
            "write \"\" for an empty text\n"},
        {"data:\n  directory: \"a\\0b\"\n",
            "2:14: data.directory: must be a path of 1 to 4000 bytes without control characters, "
            "but is \"a\\x00b\"\n"},
        {"delivery:\n  retry_schedule: 1s\n",
            "2:19: delivery.retry_schedule: " STEPS_RULE ", but is \"1s\"\n"},
        {"delivery:\n  retry_schedule: []\n",
            "2:19: delivery.retry_schedule: " STEPS_RULE ", but is a list of 0\n"},
        {"delivery:\n  retry_schedule:\n    - 1s\n    - 2x\n    - 3x\n",
            "4:7: delivery.retry_schedule: " STEPS_RULE ", but is \"2x\"\n"
            "5:7: delivery.retry_schedule: " STEPS_RULE ", but is \"3x\"\n"},
        {"delivery:\n  retry_schedule: [1s, [2s]]\n",
            "2:24: delivery.retry_schedule: must be a plain value, not a list or a mapping\n"},
        {"ingress:\n  treads: 1\n",
            "2:3: \"ingress.treads\" is not an option: did you mean ingress.threads?\n"},
        {"ingres:\n  threads: 1\n", "1:1: \"ingres\" is not a section: did you mean ingress?\n"},
        {"warehouse:\n  shelf: 1\n", "1:1: \"warehouse\" is not a section\n"},
        {"ingress:\n  completely_else: 1\n", "2:3: \"ingress.completely_else\" is not an option\n"},
        {"ingress:\n  \"\": 1\n", "2:3: \"ingress.\" is not an option\n"},
        {"ingress: 8\n", "1:10: ingress: a section must have lines of the form \"name: value\"\n"},
        {"ingress: [threads]\n",
            "1:10: ingress: a section must have lines of the form \"name: value\"\n"},
        {"ingress:\n  threads: 1\n  threads: 2\n",
            "3:3: ingress.threads: is set twice: remove one\n"},
        {"ingress:\n  threads: 1\nlog:\n  level: info\ningress:\n  listen: \"*:1\"\n",
            "5:1: ingress: the section occurs twice: merge the two\n"},
        {"[ingress]: 1\n", "1:1: the name of a section is expected here\n"},
        {"ingress:\n  [a]: 1\n", "2:3: the name of an option is expected here\n"},
        {"- ingress\n", "1:1: sections are expected here, such as \"ingress:\"\n"},
        {"ingress\n", "1:1: sections are expected here, such as \"ingress:\"\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_text(cases[i].text);
        ASSERT_COMPLAINTS(loaded, cases[i].complaints, "%s", loaded.complaints.data);
        loaded_done(&loaded);
    }
}

Test(file, anchors_aliases_tags_and_further_documents_are_refused)
{
    static const struct {
        const char *text, *complaints;
    } cases[] = {
        {"ingress:\n  threads: &n 1\n",
            "2:12: anchors (&name) are not supported: write the value itself\n"},
        {"ingress: &s\n  threads: 1\n",
            "1:10: anchors (&name) are not supported: write the value itself\n"},
        {"ingress:\n  threads: !!int 1\n",
            "2:12: tags (!name) are not supported: remove the tag\n"},
        {"ingress:\n  threads: &n 1\n  connections_max: *n\n",
            "2:12: anchors (&name) are not supported: write the value itself\n"
            "3:20: aliases (*name) are not supported: put a value that begins with * into "
            "quotes\n"},
        {"data:\n  directory: *missing\n",
            "2:14: aliases (*name) are not supported: put a value that begins with * into "
            "quotes\n"},
        {"log:\n  level: info\n---\nlog:\n  level: debug\n",
            "3:1: a second document is not allowed: remove it\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_text(cases[i].text);
        ASSERT_COMPLAINTS(loaded, cases[i].complaints, "%s", cases[i].text);
        loaded_done(&loaded);
    }
}

Test(file, complaints_about_broken_syntax_name_the_place)
{
    static const struct {
        const char *text, *position;
    } cases[] = {
        {"ingress:\n  threads: [1\n", "3:1: not valid YAML: "},
        {"ingress:\n  threads: 1\n threads: 2\n", "3:2: not valid YAML: "},
        {"ingress:\n\tthreads: 1\n", "2:1: not valid YAML: "},
        {"log:\n  level: \xff\n", "2:10: not valid YAML: "},
        {"log: 'x\n", "2:1: not valid YAML: "},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_text(cases[i].text);
        cr_expect_eq(loaded.result, ERR_CONFIG);
        cr_expect(slice_starts_with(buffer_slice(&loaded.complaints), cases[i].position), "%s",
            loaded.complaints.data);
        loaded_done(&loaded);
    }
}

Test(file, an_address_that_begins_with_a_star_gets_a_hint)
{
    struct loaded loaded = load_text("ingress:\n  listen: *:8080\n");
    cr_assert_eq(loaded.result, ERR_CONFIG);
    cr_expect(slice_starts_with(buffer_slice(&loaded.complaints), "2:12: "), "%s",
        loaded.complaints.data);
    cr_expect(strstr(loaded.complaints.data, "into quotes"), "%s", loaded.complaints.data);
    loaded_done(&loaded);
}

Test(file, all_complaints_are_collected_and_nothing_is_changed)
{
    struct config defaults;
    config_defaults(&defaults);
    struct loaded loaded = load_text("ingress:\n"
                                     "  threads: x\n"
                                     "  listen: \"*:1\"\n"
                                     "  listne: \"*:1\"\n"
                                     "nowhere:\n"
                                     "log:\n"
                                     "  level: loud\n");
    ASSERT_COMPLAINTS(loaded,
        "2:12: ingress.threads: " THREADS_RULE ", but is \"x\"\n"
        "4:3: \"ingress.listne\" is not an option: did you mean ingress.listen?\n"
        "5:1: \"nowhere\" is not a section\n"
        "7:10: log.level: must be error, warn, info or debug, but is \"loud\"\n",
        "%s", loaded.complaints.data);
    cr_expect_arr_eq(&loaded.config, &defaults, sizeof defaults);
    loaded_done(&loaded);
}

Test(file, a_huge_file_is_refused)
{
    size_t len = 1024 * 1024 + 1;
    AUTO_FREE char *text = malloc(len);
    memset(text, '\n', len);
    struct loaded loaded = load_bytes(text, len);
    ASSERT_COMPLAINTS(loaded, " is larger than 1048576 bytes: choose a configuration file\n", "%s",
        loaded.complaints.data);
    loaded_done(&loaded);
    loaded = load_bytes(text, len - 1);
    cr_expect_eq(loaded.result, OK);
    loaded_done(&loaded);
}
