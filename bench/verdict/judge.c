/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/judge.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Faults that must not happen at all. */
static const struct never {
    size_t count; /* offset of a uint64_t */
    enum promise promise;
    const char *text;
    bool is_of_penstock; /* another product may give an id to each post, also to the same again */
} nevers[] = {
#define X(field, promise, ...)                                \
    {                                                         \
        offsetof(struct figures, field), promise, __VA_ARGS__ \
    }
    X(fate.lost_by[LOST_NOT_IN_JOURNAL], PROMISE_LOST,
        "lost: answered 200, but not in the journal"),
    X(fate.lost_by[LOST_WITHOUT_DELIVERY], PROMISE_LOST,
        "lost: answered 200, but in the journal without a delivery"),
    X(fate.lost_by[LOST_NOT_AT_SINK], PROMISE_LOST,
        "lost: delivered in the journal, but the sink answered no request 2xx"),
    X(fate.lost_by[LOST_NEVER_DELIVERED], PROMISE_LOST,
        "lost: accepted, but the sink answered no request 2xx"),
    X(arrivals.wrong_bytes, PROMISE_CONTENT,
        "wrong bytes: requests whose body is not the sent one"),
    X(arrivals.unknown, PROMISE_CONTENT,
        "unknown: requests at the sink for an event that was never sent"),
    X(arrivals.unknown_in_journal, PROMISE_CONTENT,
        "unknown: events of this run in the journal that were never sent"),
    X(arrivals.wrong_signatures, PROMISE_CONTENT, "wrong signatures"),
    X(acceptance.two_ids, PROMISE_ACCEPTANCE, "acceptance: keys with two event ids", true),
    X(acceptance.shared_ids, PROMISE_ACCEPTANCE,
        "acceptance: keys with the event id of another key"),
    X(acceptance.two_amounts, PROMISE_ACCEPTANCE,
        "acceptance: keys with two amounts that were answered 200"),
    X(acceptance.invalid_accepted, PROMISE_ACCEPTANCE,
        "acceptance: invalid events that were accepted"),
    X(acceptance.refused, PROMISE_ACCEPTANCE,
        "acceptance: valid events that were answered with a 4xx"),
    X(acceptance.odd_answers, PROMISE_ACCEPTANCE,
        "acceptance: 200s without accepted or duplicate, or without an event id"),
    X(wrong_amounts, PROMISE_MONEY, "money: events whose amount is not the accepted one"),
#undef X
};

static uint64_t count_of(const struct figures *figures, const struct never *never)
{
    uint64_t count;
    if (never->is_of_penstock && figures->target != TARGET_PENSTOCK)
        return 0;
    memcpy(&count, (const char *)figures + never->count, sizeof count);
    return count;
}

static bool has_unchecked_signatures(const struct arrivals *arrivals)
{
    return arrivals->unchecked_signatures > 0 &&
           arrivals->unchecked_signatures < arrivals->requests;
}

uint64_t judge_broken(const struct figures *figures, enum promise promise)
{
    uint64_t count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(nevers); i++)
        if (nevers[i].promise == promise)
            count += count_of(figures, &nevers[i]);
    if (promise == PROMISE_CONTENT && has_unchecked_signatures(&figures->arrivals))
        count += figures->arrivals.unchecked_signatures;
    for (unsigned i = 0; promise == PROMISE_MONEY && i < figures->money_count; i++)
        count += !figures_money_adds_up(figures, &figures->money[i]);
    return count;
}

static void add_reason(struct figures *figures, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_reason(struct figures *figures, const char *format, ...)
{
    if (figures->reasons_count == REASONS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(figures->reasons[figures->reasons_count++], REASON_BYTES, format, arguments);
    va_end(arguments);
}

static void judge_money(struct figures *figures, const struct money *money)
{
    char accepted[MICROS_TEXT_BYTES], delivered[MICROS_TEXT_BYTES], held[MICROS_TEXT_BYTES],
        sum[MICROS_TEXT_BYTES];
    if (figures_money_adds_up(figures, money))
        return;
    micros_format(money->accepted, accepted);
    micros_format(money->delivered, delivered);
    micros_format(money->held, held);
    micros_format(figures_journal_sum(money), sum);
    const char *currency = *money->currency ? money->currency : "no currency";
    if (figures->has_journal)
        add_reason(figures,
            "money: %s: accepted %s, but delivered %s + held %s, and %s in the journal", currency,
            accepted, delivered, held, sum);
    else
        add_reason(
            figures, "money: %s: accepted %s, but delivered %s", currency, accepted, delivered);
}

static void judge_level(struct figures *figures, const struct levels *levels, enum level level)
{
    char measured[LEVEL_TEXT_BYTES], wanted[LEVEL_TEXT_BYTES];
    if (level_is_met(level, levels, figures))
        return;
    level_format(level, level_measured(level, figures), measured);
    level_format(level, levels->values[level].value, wanted);
    add_reason(figures, "level %s: %s is %s %s (%s)", level_name(level), measured,
        level_is_minimum(level) ? "below" : "above", wanted, level_doc(level));
}

static void judge_subset_answers(struct figures *figures, const struct subset *subset)
{
    char measured[LEVEL_TEXT_BYTES], wanted[LEVEL_TEXT_BYTES];
    if (subset_is_answered(subset))
        return;
    if (subset->answers.count == 0) {
        add_reason(figures, "subset %s: nothing was posted", subset->spec.name);
        return;
    }
    levels_format_duration((double)subset_answers_p99_us(subset), measured);
    levels_format_duration((double)subset->spec.answers_p99_max_us, wanted);
    add_reason(
        figures, "subset %s: %s is above %s (p99 of answers)", subset->spec.name, measured, wanted);
}

static void judge_subset(struct figures *figures, const struct subset *subset)
{
    char measured[LEVEL_TEXT_BYTES], wanted[LEVEL_TEXT_BYTES];
    const char *name = subset->spec.name;
    judge_subset_answers(figures, subset);
    if (subset_is_fresh(subset))
        return;
    if (subset->events == 0)
        add_reason(figures, "subset %s: no event is in it", name);
    if (subset->delivered < subset->events)
        add_reason(figures, "subset %s: %" PRIu64 " of %" PRIu64 " events are not delivered", name,
            subset->events - subset->delivered, subset->events);
    if (subset_p99_us(subset) > subset->spec.p99_max_us) {
        levels_format_duration((double)subset_p99_us(subset), measured);
        levels_format_duration((double)subset->spec.p99_max_us, wanted);
        add_reason(figures, "subset %s: %s is above %s (p99 of freshness)", name, measured, wanted);
    }
}

void judge_figures(struct figures *figures, const struct levels *levels)
{
    figures->reasons_count = 0;
    if (figures->fate.accepted == 0)
        add_reason(figures, "no event was accepted: the run proves nothing");
    for (size_t i = 0; i < ARRAY_LENGTH(nevers); i++) {
        uint64_t count = count_of(figures, &nevers[i]);
        if (count)
            add_reason(figures, "%" PRIu64 " %s", count, nevers[i].text);
    }
    if (has_unchecked_signatures(&figures->arrivals))
        add_reason(figures, "%" PRIu64 " signatures were not checked, while others were",
            figures->arrivals.unchecked_signatures);
    for (unsigned i = 0; i < figures->money_count; i++)
        judge_money(figures, &figures->money[i]);
    for (unsigned i = 0; i < LEVELS_COUNT; i++)
        judge_level(figures, levels, (enum level)i);
    for (unsigned i = 0; i < figures->subsets_count; i++)
        judge_subset(figures, &figures->subsets[i]);
}
