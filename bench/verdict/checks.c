/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/checks.h"

#include <stdio.h>

static void set_names(struct check *check, const char *subset, const char *name, const char *title)
{
    if (*subset) {
        snprintf(check->name, sizeof check->name, "%s.%s", subset, name);
        snprintf(check->title, sizeof check->title, "%s: %s", subset, title);
    } else {
        snprintf(check->name, sizeof check->name, "%s", name);
        snprintf(check->title, sizeof check->title, "%s", title);
    }
}

static void set_accepted(struct check *check, const struct figures *figures)
{
    *check = (struct check){.unit = LEVEL_COUNT, .sense = CHECK_MIN, .has_target = true};
    set_names(check, "", "accepted", "Events accepted");
    check->is_known = true;
    check->target = 1;
    check->value = (double)figures->fate.accepted;
    check->is_passed = figures->fate.accepted > 0;
}

static void set_promise(struct check *check, const struct figures *figures, enum promise promise)
{
    static const struct {
        const char *name, *title;
    } names[PROMISES] = {[PROMISE_LOST] = {"lost", "Events lost"},
        [PROMISE_MONEY] = {"wrong_money", "Wrong amounts and sums"},
        [PROMISE_CONTENT] = {"wrong_content", "Wrong bytes or signatures"},
        [PROMISE_ACCEPTANCE] = {"wrong_answers", "Wrong answers to partners"}};
    uint64_t broken = judge_broken(figures, promise);
    *check = (struct check){.unit = LEVEL_COUNT, .sense = CHECK_EQUAL, .has_target = true};
    set_names(check, "", names[promise].name, names[promise].title);
    check->is_known = true;
    check->value = (double)broken;
    check->is_passed = broken == 0;
}

static void set_level(struct check *check, const struct figures *figures,
    const struct levels *levels, enum level level)
{
    *check = (struct check){.level = level_name(level),
        .unit = level_unit(level),
        .sense = level_is_minimum(level) ? CHECK_MIN : CHECK_MAX};
    set_names(check, "", level_figure(level), level_title(level));
    check->has_target = !levels->values[level].is_off;
    check->target = levels->values[level].value;
    check->is_known = level_is_known(level, figures);
    check->value = level_measured(level, figures);
    check->is_passed = level_is_met(level, levels, figures);
}

/* Both together say what subset_is_fresh says. */
static void set_subset(struct check checks[2], const struct subset *subset)
{
    struct check *freshness = &checks[0], *rest = &checks[1];
    *freshness = (struct check){.unit = LEVEL_DURATION, .sense = CHECK_MAX, .has_target = true};
    set_names(freshness, subset->spec.name, "freshness_p99", "delivery time, 99 of 100");
    freshness->target = (double)subset->spec.p99_max_us;
    freshness->is_known = subset->delivered > 0;
    freshness->value = (double)subset_p99_us(subset);
    freshness->is_passed = subset->events > 0 && subset_p99_us(subset) <= subset->spec.p99_max_us;
    *rest = (struct check){.unit = LEVEL_COUNT, .sense = CHECK_EQUAL, .has_target = true};
    set_names(rest, subset->spec.name, "not_delivered", "events not delivered");
    rest->is_known = subset->events > 0;
    rest->value = (double)(subset->events - subset->delivered);
    rest->is_passed = subset->events > 0 && subset->delivered == subset->events;
}

static void set_answers(struct check *check, const struct subset *subset)
{
    *check = (struct check){.unit = LEVEL_DURATION, .sense = CHECK_MAX, .has_target = true};
    set_names(check, subset->spec.name, "answer_p99", "answers, 99 of 100");
    check->target = (double)subset->spec.answers_p99_max_us;
    check->is_known = subset->answers.count > 0;
    check->value = (double)subset_answers_p99_us(subset);
    check->is_passed = subset_is_answered(subset);
}

size_t checks_list(
    const struct figures *figures, const struct levels *levels, struct check ret_checks[CHECKS_MAX])
{
    size_t count = 0;
    set_accepted(&ret_checks[count++], figures);
    for (unsigned i = 0; i < PROMISES; i++)
        set_promise(&ret_checks[count++], figures, (enum promise)i);
    for (unsigned i = 0; i < LEVELS_COUNT; i++)
        set_level(&ret_checks[count++], figures, levels, (enum level)i);
    for (unsigned i = 0; i < figures->subsets_count; i++) {
        const struct subset *subset = &figures->subsets[i];
        if (subset->spec.has_answers_level)
            set_answers(&ret_checks[count++], subset);
        if (!subset->spec.is_judged)
            continue;
        set_subset(&ret_checks[count], subset);
        count += 2;
    }
    return count;
}

const char *check_sense_name(enum check_sense sense)
{
    static const char *const names[] = {
        [CHECK_MAX] = "max", [CHECK_MIN] = "min", [CHECK_EQUAL] = "equal"};
    return names[sense];
}

void check_format_value(const struct check *check, char ret_text[LEVEL_TEXT_BYTES])
{
    if (check->is_known)
        levels_format(check->unit, check->value, ret_text);
    else
        snprintf(ret_text, LEVEL_TEXT_BYTES, "-");
}

void check_format_target(const struct check *check, char ret_text[CHECK_TARGET_BYTES])
{
    static const char *const words[] = {
        [CHECK_MAX] = "at most", [CHECK_MIN] = "at least", [CHECK_EQUAL] = "exactly"};
    char target[LEVEL_TEXT_BYTES];
    if (!check->has_target) {
        snprintf(ret_text, CHECK_TARGET_BYTES, "no level");
        return;
    }
    levels_format(check->unit, check->target, target);
    snprintf(ret_text, CHECK_TARGET_BYTES, "%s %s", words[check->sense], target);
}
