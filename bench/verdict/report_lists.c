/* SPDX-License-Identifier: Apache-2.0 */
/* As in report_json.c, jansson's functions take NULL, so that the end checks for memory. */
#include "verdict/report_lists.h"

#define SECOND_US 1e6

static json_t *number(enum level_unit unit, double value)
{
    return unit == LEVEL_SHARE ? json_real(value) : json_integer((json_int_t)value);
}

static json_t *check_json(const struct check *check)
{
    static const char *const units[] = {
        [LEVEL_COUNT] = "events", [LEVEL_SHARE] = "share", [LEVEL_DURATION] = "us"};
    bool is_judged = check->has_target && (check->is_known || !check->is_passed);
    json_t *row = json_object();
    json_object_set_new(row, "name", json_string(check->name));
    json_object_set_new(row, "title", json_string(check->title));
    json_object_set_new(row, "unit", json_string(units[check->unit]));
    json_object_set_new(row, "sense", json_string(check_sense_name(check->sense)));
    json_object_set_new(
        row, "target", check->has_target ? number(check->unit, check->target) : json_null());
    json_object_set_new(
        row, "value", check->is_known ? number(check->unit, check->value) : json_null());
    json_object_set_new(row, "passed", is_judged ? json_boolean(check->is_passed) : json_null());
    json_object_set_new(row, "level", check->level ? json_string(check->level) : json_null());
    return row;
}

json_t *report_levels_json(const struct figures *figures, const struct levels *levels)
{
    struct check checks[CHECKS_MAX];
    size_t count = checks_list(figures, levels, checks);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, check_json(&checks[i]));
    return list;
}

static json_t *impact_money_json(const struct figures *figures, const struct impact_row *row)
{
    json_t *money = json_object();
    for (unsigned i = 0; i < figures->money_count; i++) {
        char amount[MICROS_TEXT_BYTES];
        if (row->money[i] == 0 || !*figures->money[i].currency)
            continue;
        micros_format(row->money[i], amount);
        json_object_set_new(money, figures->money[i].currency, json_string(amount));
    }
    return money;
}

static json_t *impact_json(const struct figures *figures, enum impact impact)
{
    const struct impact_row *row = &figures->impacts.rows[impact];
    const struct small_histogram *late = &figures->impacts.late;
    bool is_known = impact_is_known(impact, figures->has_journal);
    char sentence[IMPACT_SENTENCE_BYTES];
    json_t *object = json_object();
    json_object_set_new(object, "what", json_string(impact_name(impact)));
    json_object_set_new(
        object, "events", is_known ? json_integer((json_int_t)row->events) : json_null());
    json_object_set_new(object, "money", is_known ? impact_money_json(figures, row) : json_null());
    impact_sentence(figures, impact, sentence);
    json_object_set_new(object, "text", json_string(sentence));
    if (impact == IMPACT_DUPLICATED)
        json_object_set_new(object, "arrivals", json_integer((json_int_t)row->arrivals));
    if (impact != IMPACT_LATE)
        return object;
    double p99_s = (double)small_histogram_percentile(late, 99) / SECOND_US;
    json_object_set_new(
        object, "later_than_s", json_real((double)figures->impacts.late_after_us / SECOND_US));
    json_object_set_new(object, "late_p99_s", late->count ? json_real(p99_s) : json_null());
    json_object_set_new(
        object, "worst_s", late->count ? json_real((double)late->max_us / SECOND_US) : json_null());
    return object;
}

json_t *report_impact_json(const struct figures *figures)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < IMPACTS; i++)
        json_array_append_new(list, impact_json(figures, (enum impact)i));
    return list;
}

/* --- plots --- */

static json_t *rates_json(const struct series *series, enum series_count what)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < series->count; i++)
        json_array_append_new(list, json_real(series_per_second(series, i, what)));
    return list;
}

/* `percent` 100: the maximum. */
static json_t *times_json(const struct series *series, enum series_times what, double percent)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < series->count; i++) {
        const struct small_histogram *times = &series->points[i].times[what];
        json_array_append_new(list,
            times->count ? json_integer(small_histogram_percentile(times, percent)) : json_null());
    }
    return list;
}

json_t *report_series_json(const struct series *series)
{
    static const char *const counts[SERIES_COUNTS] = {[SERIES_POSTED] = "posted_per_s",
        [SERIES_ACCEPTED] = "accepted_per_s",
        [SERIES_REFUSED] = "refused_per_s",
        [SERIES_DELIVERED] = "delivered_per_s"};
    static const struct {
        const char *name;
        enum series_times what;
        double percent;
    } times[] = {{"answer_p50_us", SERIES_ANSWERS, 50}, {"answer_p99_us", SERIES_ANSWERS, 99},
        {"answer_max_us", SERIES_ANSWERS, 100}, {"freshness_p50_us", SERIES_FRESHNESS, 50},
        {"freshness_p99_us", SERIES_FRESHNESS, 99}, {"freshness_max_us", SERIES_FRESHNESS, 100}};
    json_t *object = json_object(), *moments = json_array(), *rows = json_object();
    json_int_t step_s = (json_int_t)((double)series->step_us / SECOND_US);
    for (unsigned i = 0; i < series->count; i++)
        json_array_append_new(moments, json_integer(step_s * i));
    for (unsigned i = 0; i < SERIES_COUNTS; i++)
        json_object_set_new(rows, counts[i], rates_json(series, (enum series_count)i));
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        json_object_set_new(
            rows, times[i].name, times_json(series, times[i].what, times[i].percent));
    json_object_set_new(object, "step_s", json_integer(step_s));
    json_object_set_new(object, "t_s", moments);
    json_object_set_new(object, "rows", rows);
    return object;
}

static json_t *distribution_json(const struct histogram *histogram)
{
    json_t *list = json_array();
    int64_t top_us = 0;
    uint64_t count;
    for (unsigned next = histogram_next(histogram, 0, &top_us, &count); count > 0;
         next = histogram_next(histogram, next, &top_us, &count))
        json_array_append_new(list, json_pack("[I, I]", (json_int_t)top_us, (json_int_t)count));
    return list;
}

json_t *report_distributions_json(const struct figures *figures)
{
    json_t *object = json_object();
    json_object_set_new(object, "answer", distribution_json(&figures->answers.times));
    json_object_set_new(object, "freshness", distribution_json(&figures->arrivals.freshness));
    return object;
}
