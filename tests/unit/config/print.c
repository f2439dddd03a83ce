/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "config/option_table.h"
#include "unit/config/fixture.h"

#include <stdio.h>

TestSuite(print);

/* The sample with every option taken out of its comment: "  #name" becomes "   name", "#name"
 * "name"; what has a space behind its # stays. */
static struct buffer uncommented(const struct buffer *sample)
{
    struct buffer text = BUFFER_EMPTY;
    for (size_t i = 0; i < sample->len; i++) {
        bool is_word = sample->data[i] == '#' && i > 2 && sample->data[i + 1] > ' ';
        if (is_word && sample->data[i - 1] == '\n')
            continue;
        bool is_option = is_word && memcmp(sample->data + i - 3, "\n  ", 3) == 0;
        buffer_add_char(&text, is_option ? ' ' : sample->data[i]);
    }
    return text;
}

Test(print, the_sample_loads_as_it_is_and_with_every_option_set)
{
    struct config defaults;
    config_defaults(&defaults);
    struct buffer sample = BUFFER_EMPTY;
    config_print_sample(&sample);
    struct loaded loaded = load_text(sample.data);
    cr_expect_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect_arr_eq(&loaded.config, &defaults, sizeof defaults);
    loaded_done(&loaded);

    struct buffer text = uncommented(&sample);
#define X(key, ...) \
    cr_expect(strstr(text.data, strchr(key, '.') ? strchr(key, '.') + 1 : "\n" key ": "), key);
    OPTION_TABLE(X)
#undef X
    loaded = load_text(text.data);
    cr_expect_eq(loaded.result, OK, "%s", loaded.complaints.data);
    cr_expect_arr_eq(&loaded.config, &defaults, sizeof defaults);
    loaded_done(&loaded);

    char *threads = strstr(text.data, "threads: 0\n");
    cr_assert(threads);
    threads[strlen("threads: ")] = '9';
    loaded = load_text(text.data);
    cr_expect_eq(loaded.config.ingress_threads, 9, "the options are still comments");
    loaded_done(&loaded);
    buffer_done(&text);
    buffer_done(&sample);
}

Test(print, the_sample_in_the_tree_is_the_printed_one)
{
    struct buffer sample = BUFFER_EMPTY;
    config_print_sample(&sample);
    FILE *file = fopen(PENSTOCK_SOURCE_DIR "/etc/penstock.yaml", "r");
    cr_assert(file, "etc/penstock.yaml is missing");
    char *committed = calloc(1, sample.len + 2);
    size_t len = fread(committed, 1, sample.len + 1, file);
    fclose(file);
    cr_expect(len == sample.len && memcmp(committed, sample.data, len) == 0,
        "etc/penstock.yaml has to be printed anew");
    free(committed);
    buffer_done(&sample);
}

Test(print, the_sample_has_no_overlong_lines)
{
    struct buffer sample = BUFFER_EMPTY;
    config_print_sample(&sample);
    for (char *line = strtok(sample.data, "\n"); line; line = strtok(NULL, "\n"))
        cr_expect_leq(strlen(line), 100, "%s", line);
    buffer_done(&sample);
}

Test(print, the_help_names_every_option_with_its_default)
{
    struct buffer help = BUFFER_EMPTY;
    config_print_help(&help);
#define X(key, ...) cr_expect(strstr(help.data, "  " key ": "), key);
    OPTION_TABLE(X)
#undef X
    cr_expect(strstr(
        help.data, "  ingress.threads: 0 (restart)\n      Ingress threads. 0: one per core.\n"));
    cr_expect(strstr(help.data, "  ingress.listen: \"127.0.0.1:8080\" (restart)\n"));
    cr_expect(strstr(help.data, "  shutdown.drain: 15s (reload)\n"));
    cr_expect(strstr(help.data, "  roles: [ingress, delivery] (restart)\n"));
    buffer_done(&help);
}

/* etc/doc/client-guide.md promises it. */
Test(print, the_default_schedule_is_the_documented_one)
{
    static const int64_t promised_s[] = {
        1, 5, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200, 18000, 36000, 50400, 72000, 86400};
    struct config config;
    config_defaults(&config);
    cr_assert_eq(config.retry_schedule.steps, sizeof promised_s / sizeof promised_s[0]);
    for (unsigned i = 0; i < config.retry_schedule.steps; i++)
        cr_expect_eq(config.retry_schedule.steps_us[i], promised_s[i] * US_PER_SECOND);
}
