/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/metrics.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *count(void *unused)
{
    metrics_thread_enter();
    for (int i = 0; i < 1000; i++) {
        metrics_add(METRIC_EVENTS_ACCEPTED, 2);
        metrics_add(METRIC_IN_FLIGHT, 3);
        metrics_add(METRIC_IN_FLIGHT, -2);
        metrics_observe(HISTOGRAM_ANSWER, 300);
    }
    metrics_thread_leave();
    return NULL;
}

static void count_on_threads(int threads_count)
{
    pthread_t threads[8];
    for (int i = 0; i < threads_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < threads_count; i++)
        pthread_join(threads[i], NULL);
}

Test(metrics, are_summed_over_threads_and_kept_after_they_end)
{
    count_on_threads(4);
    cr_assert_eq(metrics_read(METRIC_EVENTS_ACCEPTED), 8000);
    cr_assert_eq(metrics_read(METRIC_IN_FLIGHT), 4000);
    cr_assert_eq(metrics_read(METRIC_EVENTS_DUPLICATE), 0);
}

Test(metrics, thread_that_never_entered_counts_nothing)
{
    metrics_add(METRIC_EVENTS_ACCEPTED, 1);
    metrics_observe(HISTOGRAM_COMMIT, 1);
    cr_assert_eq(metrics_read(METRIC_EVENTS_ACCEPTED), 0);
}

static const char *sample_value(const char *text, const char *sample)
{
    size_t len = strlen(sample);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, sample, len) == 0 && line[len] == ' ')
            return line + len + 1;
    return "absent";
}

Test(metrics, histogram_counts_each_value_in_its_bucket)
{
    metrics_thread_enter();
    static const int64_t values_us[] = {0, 100, 101, 1000000, 3600000000, 3600000001};
    for (size_t i = 0; i < ARRAY_LENGTH(values_us); i++)
        metrics_observe(HISTOGRAM_COMMIT, values_us[i]);
    struct buffer text = BUFFER_EMPTY;
    metrics_print(&text);
    cr_assert_eq(buffer_status(&text), OK);
    static const struct {
        const char *sample;
        double value;
    } expected[] = {
        {"penstock_journal_commit_seconds_bucket{le=\"0.0001\"}",
            2}, /* a bucket includes its upper bound */
        {"penstock_journal_commit_seconds_bucket{le=\"0.00025\"}", 3},
        {"penstock_journal_commit_seconds_bucket{le=\"0.5\"}", 3},
        {"penstock_journal_commit_seconds_bucket{le=\"1\"}", 4},
        {"penstock_journal_commit_seconds_bucket{le=\"3600\"}", 5},
        {"penstock_journal_commit_seconds_bucket{le=\"+Inf\"}", 6},
        {"penstock_journal_commit_seconds_count", 6},
        {"penstock_journal_commit_seconds_sum", 7201.000202},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        double value = strtod(sample_value(text.data, expected[i].sample), NULL);
        cr_expect_float_eq(value, expected[i].value, 1e-6, "%s: %f", expected[i].sample, value);
    }
    buffer_done(&text);
    metrics_thread_leave();
}

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_')
            return false;
    return len > strlen("penstock_") && strncmp(text, "penstock_", strlen("penstock_")) == 0;
}

/* The exposition format 0.0.4 requires for each family: HELP, TYPE, then all its samples at
 * once. */
struct family {
    char name[100], type[200];
    int samples;
    long long cumulated;
    bool has_inf;
};

static struct family families[METRIC_COUNT + HISTOGRAM_COUNT];
static int families_len;

static void check_head(char *line)
{
    char word[8], name[100], rest[200];
    cr_assert_eq(sscanf(line, "# %7s %99s %199[^\n]", word, name, rest), 3, "%s", line);
    cr_assert(is_name(name, strlen(name)), "%s", name);
    if (strcmp(word, "HELP") == 0) {
        for (int i = 0; i < families_len; i++)
            cr_assert_str_neq(families[i].name, name, "a family's rows must stand together");
        snprintf(families[families_len++].name, sizeof families[0].name, "%s", name);
    } else {
        cr_assert_str_eq(word, "TYPE");
        cr_assert_str_eq(families[families_len - 1].name, name);
        snprintf(families[families_len - 1].type, sizeof families[0].type, "%s", rest);
    }
}

static void check_histogram_sample(
    struct family *family, const char *line, const char *suffix, long long value)
{
    if (strncmp(suffix, "_bucket{le=\"", 12) == 0) {
        cr_assert_geq(value, family->cumulated, "%s", line);
        cr_assert_not(family->has_inf, "+Inf is the last bucket");
        family->cumulated = value;
        family->has_inf = strstr(line, "+Inf") != NULL;
    } else if (strncmp(suffix, "_count ", 7) == 0) {
        cr_assert(family->has_inf);
        cr_assert_eq(value, family->cumulated, "%s", line);
    } else {
        cr_assert_eq(strncmp(suffix, "_sum ", 5), 0, "%s", line);
    }
}

static void check_sample(char *line)
{
    struct family *family = &families[families_len - 1];
    size_t name_len = strlen(family->name);
    cr_assert_eq(strncmp(line, family->name, name_len), 0, "%s", line);
    const char *value = strrchr(line, ' ');
    cr_assert_not_null(value);
    char *end;
    double number = strtod(value + 1, &end);
    cr_assert(end > value + 1 && *end == '\0', "%s", line);
    family->samples++;
    if (strcmp(family->type, "histogram") == 0) {
        check_histogram_sample(family, line, line + name_len, (long long)number);
        return;
    }
    cr_assert(line[name_len] == ' ' || (line[name_len] == '{' && value[-1] == '}'), "%s", line);
    bool ends_in_total = name_len > 6 && strcmp(family->name + name_len - 6, "_total") == 0;
    cr_assert_eq(strcmp(family->type, ends_in_total ? "counter" : "gauge"), 0, "%s", family->name);
}

Test(metrics, exposition_is_well_formed)
{
    count_on_threads(2);
    struct buffer text = BUFFER_EMPTY;
    metrics_print(&text);
    cr_assert_eq(buffer_status(&text), OK);
    cr_assert_eq(text.data[text.len - 1], '\n');
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == '#')
            check_head(line);
        else
            check_sample(line);
    }
    cr_assert_gt(families_len, HISTOGRAM_COUNT);
    for (int i = 0; i < families_len; i++)
        cr_expect_gt(families[i].samples, 0, "%s", families[i].name);
    buffer_done(&text);
}
