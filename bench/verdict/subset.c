/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/subset.h"

#include "base/cleanup.h"
#include "common/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHITE_SPACE " \t\r\n"
#define SECOND_US 1000000
#define P99 99

/* Cuts the text at the separator. Returns the text after it, or NULL when there is none. */
static char *split(char *text, const char *separator)
{
    char *found = strstr(text, separator);
    if (!found)
        return NULL;
    *found = '\0';
    return found + strlen(separator);
}

static bool parse_account(const char *text, unsigned *ret_account)
{
    int64_t account;
    if (!quantity_parse_between(text, 0, SUBSET_ACCOUNTS_MAX - 1, &account))
        return false;
    *ret_account = (unsigned)account;
    return true;
}

static bool parse_accounts(char *value, struct subset_spec *spec)
{
    char *last = split(value, "-");
    return parse_account(value, &spec->first_account) &&
           parse_account(last ? last : value, &spec->last_account) &&
           spec->first_account <= spec->last_account;
}

static bool parse_time(char *value, struct subset_time *time)
{
    char *to = split(value, "..");
    return to && (!*value || quantity_parse_duration(value, &time->from_us)) &&
           (!*to || quantity_parse_duration(to, &time->to_us)) && time->from_us < time->to_us;
}

static bool parse_accepted(char *value, struct subset_spec *spec)
{
    return parse_time(value, &spec->accepted);
}

static bool parse_delivered(char *value, struct subset_spec *spec)
{
    return parse_time(value, &spec->delivered);
}

static bool parse_p99(char *value, struct subset_spec *spec)
{
    spec->is_judged = true;
    return quantity_parse_duration(value, &spec->p99_max_us);
}

static bool parse_answers(char *value, struct subset_spec *spec)
{
    spec->has_answers_level = true;
    return quantity_parse_duration(value, &spec->answers_p99_max_us);
}

static const struct word {
    const char *name;
    bool (*parse)(char *value, struct subset_spec *spec); /* may write into `value` */
    const char *should_be;
} words[] = {
    {"accounts", parse_accounts, "accounts=FIRST-LAST is expected, from 0 to 4095"},
    {"accepted", parse_accepted, "accepted=FROM..TO is expected, such as 20s..65s or 20s.."},
    {"delivered", parse_delivered, "delivered=FROM..TO is expected, such as 65s.."},
    {"p99", parse_p99, "p99=DURATION is expected, such as 250ms"},
    {"answers", parse_answers, "answers=DURATION is expected, such as 250ms"},
};

static bool parse_word(char *text, struct subset_spec *spec, const char **ret_problem)
{
    char *value = split(text, "=");
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (strcmp(words[i].name, text) != 0)
            continue;
        *ret_problem = words[i].should_be;
        return value && words[i].parse(value, spec);
    }
    *ret_problem = "a word is not one of accounts, accepted, delivered, p99, answers";
    return false;
}

bool subset_parse(const char *text, struct subset_spec *ret_spec, const char **ret_problem)
{
    struct subset_spec spec = {.last_account = SUBSET_ACCOUNTS_MAX - 1,
        .accepted = {INT64_MIN, INT64_MAX},
        .delivered = {INT64_MIN, INT64_MAX}};
    AUTO_FREE char *copy = strdup(text);
    char *rest = NULL, *name = copy ? strtok_r(copy, WHITE_SPACE, &rest) : NULL;
    if (!name || strlen(name) >= SUBSET_NAME_BYTES || strchr(name, '=')) {
        *ret_problem = "it begins with a name of at most 47 characters without \"=\"";
        return false;
    }
    snprintf(spec.name, sizeof spec.name, "%s", name);
    for (char *word = strtok_r(NULL, WHITE_SPACE, &rest); word;
         word = strtok_r(NULL, WHITE_SPACE, &rest))
        if (!parse_word(word, &spec, ret_problem))
            return false;
    *ret_spec = spec;
    return true;
}

void subset_init(struct subset *subset, const struct subset_spec *spec)
{
    subset->spec = *spec;
    subset->events = subset->delivered = 0;
    histogram_init(&subset->freshness);
    histogram_init(&subset->answers);
    subset->first_us = subset->last_us = SUBSET_NEVER;
    for (size_t i = 0; i < ARRAY_LENGTH(subset->accounts); i++) {
        subset->accounts[i].events = 0;
        subset->accounts[i].first_us = SUBSET_NEVER;
    }
    memset(subset->per_second, 0, sizeof subset->per_second);
}

static bool is_within(const struct subset_time *time, int64_t us)
{
    return us >= time->from_us && us < time->to_us;
}

void subset_take_answer(struct subset *subset, unsigned account, int64_t due_us, int64_t took_us)
{
    const struct subset_spec *spec = &subset->spec;
    if (account >= spec->first_account && account <= spec->last_account &&
        is_within(&spec->accepted, due_us))
        histogram_add(&subset->answers, took_us);
}

void subset_take(struct subset *subset, unsigned account, int64_t accepted_us, int64_t delivered_us)
{
    const struct subset_spec *spec = &subset->spec;
    bool is_delivered = delivered_us != SUBSET_NEVER;
    if (account < spec->first_account || account > spec->last_account ||
        !is_within(&spec->accepted, accepted_us) ||
        (is_delivered && !is_within(&spec->delivered, delivered_us)))
        return;
    __auto_type of_account = &subset->accounts[account];
    subset->events++;
    of_account->events++;
    if (!is_delivered)
        return;
    subset->delivered++;
    histogram_add(&subset->freshness, delivered_us - accepted_us);
    if (delivered_us < subset->first_us)
        subset->first_us = delivered_us;
    if (subset->last_us == SUBSET_NEVER || delivered_us > subset->last_us)
        subset->last_us = delivered_us;
    if (delivered_us < of_account->first_us)
        of_account->first_us = delivered_us;
    if (delivered_us >= 0 && delivered_us / SECOND_US < SUBSET_SECONDS_MAX)
        subset->per_second[delivered_us / SECOND_US]++;
}

int64_t subset_p99_us(const struct subset *subset)
{
    return histogram_percentile(&subset->freshness, P99);
}

int64_t subset_answers_p99_us(const struct subset *subset)
{
    return histogram_percentile(&subset->answers, P99);
}

bool subset_is_answered(const struct subset *subset)
{
    return !subset->spec.has_answers_level ||
           (subset->answers.count > 0 &&
               subset_answers_p99_us(subset) <= subset->spec.answers_p99_max_us);
}

bool subset_is_met(const struct subset *subset)
{
    return subset_is_fresh(subset) && subset_is_answered(subset);
}

bool subset_is_fresh(const struct subset *subset)
{
    return !subset->spec.is_judged || (subset->events > 0 && subset->delivered == subset->events &&
                                          subset_p99_us(subset) <= subset->spec.p99_max_us);
}

int64_t subset_slowest_start_us(const struct subset *subset)
{
    int64_t slowest_us = INT64_MIN;
    for (size_t i = 0; i < ARRAY_LENGTH(subset->accounts); i++)
        if (subset->accounts[i].events > 0 && subset->accounts[i].first_us > slowest_us)
            slowest_us = subset->accounts[i].first_us;
    return subset->events > 0 ? slowest_us : SUBSET_NEVER;
}
