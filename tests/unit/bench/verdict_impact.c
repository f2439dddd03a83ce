/* SPDX-License-Identifier: Apache-2.0 */
/* What a run means for the business, the list of all levels, and what happened over time. */
#include "unit/bench/verdict_fixture.h"

#include "base/cleanup.h"
#include "verdict/checks.h"
#include "verdict/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void expect_impact(const struct figures *figures, enum impact impact, uint64_t events,
    int64_t micros, const char *sentence)
{
    const struct impact_row *row = &figures->impacts.rows[impact];
    micros_sum sum = 0;
    char text[IMPACT_SENTENCE_BYTES];
    for (unsigned i = 0; i < figures->money_count; i++)
        sum += row->money[i];
    impact_sentence(figures, impact, text);
    cr_expect_eq(row->events, events, "%s: %s", impact_name(impact), text);
    cr_expect(sum == micros, "%s: %s", impact_name(impact), text);
    cr_expect_str_eq(text, sentence);
}

static const struct check *find(const struct check *checks, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(checks[i].name, name) == 0)
            return &checks[i];
    cr_assert(false, "%s", name);
    return NULL;
}

Test(verdict_impact, a_clean_run_has_none)
{
    static const char *const sentences[IMPACTS] = {"No event was lost.", "No event arrived twice.",
        "No event arrived later than 15 s.", "No event is parked or dead.",
        "Every event was accepted in the end.", "No event was waiting at the end."};
    struct run *run = run_new();
    const struct figures *figures = run_judge(run);
    for (unsigned i = 0; i < IMPACTS; i++)
        expect_impact(figures, (enum impact)i, 0, 0, sentences[i]);
    run_free(run);
}

Test(verdict_impact, lost_events_have_the_money_that_was_accepted)
{
    struct run *run = run_new();
    run->sink_count -= 2; /* 38 and 39 */
    expect_impact(run_judge(run), IMPACT_LOST, 2, 78 * UNIT,
        "2 events with 78.00 EUR were lost: accepted from the partners, never delivered.");
    run_free(run);
}

Test(verdict_impact, money_of_each_further_arrival_counts_as_duplicated)
{
    struct run *run = run_new();
    run_add_request_again(run, 3, 100 * MS);
    run_add_request_again(run, 3, 200 * MS)->attempt = 3;
    run_add_request_again(run, 4, 100 * MS);
    const struct figures *figures = run_judge(run);
    expect_impact(figures, IMPACT_DUPLICATED, 2, 7 * UNIT + 4 * UNIT + UNIT / 2,
        "2 events arrived more than once: 3 requests too many with 11.50 EUR.");
    cr_expect_eq(figures->impacts.rows[IMPACT_DUPLICATED].arrivals, figures->arrivals.duplicated);
    run_free(run);
}

Test(verdict_impact, late_events_are_those_above_the_level_also_when_it_is_off)
{
    for (unsigned off = 0; off < 2; off++) {
        struct run *run = run_new();
        const char *problem;
        run->sink[10].received_us += 41 * UNIT;          /* a second is a million microseconds */
        run->sink[11].received_us += 15 * UNIT - 4 * MS; /* exactly the level */
        cr_assert(!off || levels_set(&run->options.levels, "freshness_p99_max=none", &problem));
        expect_impact(run_judge(run), IMPACT_LATE, 1, 10 * UNIT + UNIT / 2,
            "1 event with 10.50 EUR arrived later than 15 s; the one after 41 s.");
        run_free(run);
    }
}

Test(verdict_impact, parked_dead_and_waiting_events_are_not_lost)
{
    struct run *run = run_new();
    run->sink_count -= 3;
    run->rows[37].states[0] = DELIVERY_PARKED;
    run->rows[38].states[0] = DELIVERY_DEAD;
    run->rows[39].states[0] = DELIVERY_WAITING;
    run->rows[36].states[0] = DELIVERY_SENDING; /* the client has it */
    const struct figures *figures = run_judge(run);
    expect_impact(figures, IMPACT_LOST, 0, 0, "No event was lost.");
    expect_impact(figures, IMPACT_PARKED, 2, 76 * UNIT,
        "2 events with 76.00 EUR are parked or dead: stored, and an operator must decide.");
    expect_impact(figures, IMPACT_WAITING, 1, 39 * UNIT + UNIT / 2,
        "1 event with 39.50 EUR was waiting at the end: stored, and not delivered yet.");
    run_free(run);
}

Test(verdict_impact, an_event_that_the_gateway_has_without_an_answer_is_not_refused)
{
    struct run *run = run_new();
    for (unsigned number = 37; number < 40; number++) {
        run->load[number].status = 503;
        run->load[number].answer = LOAD_SAID_NOTHING;
        memset(run->load[number].event, 0, sizeof run->load[number].event);
    }
    run->rows_count--; /* 39 never reached the gateway; 37 and 38 did, and 37 was delivered */
    run->rows[38].states[0] = DELIVERY_WAITING;
    run->sink_count -= 2;
    expect_impact(run_judge(run), IMPACT_REFUSED, 1, 39 * UNIT + UNIT / 2,
        "1 event with 39.50 EUR was never accepted: the partners still have it.");
    run_free(run);
}

Test(verdict_impact, without_a_journal_it_is_not_known_what_is_parked_or_waiting)
{
    struct run *run = run_new();
    run->without_journal = true;
    const struct figures *figures = run_judge(run);
    expect_impact(figures, IMPACT_PARKED, 0, 0,
        "How many events are parked is not known: the target has no journal.");
    expect_impact(figures, IMPACT_LOST, 0, 0, "No event was lost.");
    run_free(run);
}

Test(verdict_impact, currencies_are_named_and_many_are_counted)
{
    static const char *const names[] = {"EUR", "USD", "GBP", "SEK", "NOK"};
    struct run *run = run_new();
    for (unsigned i = 0; i < 5; i++) {
        unsigned number = 35 + i;
        memcpy(run->load[number].currency, names[i], CURRENCY_TEXT_BYTES);
        memcpy(run->rows[number].currency, names[i], CURRENCY_TEXT_BYTES);
    }
    run->sink_count -= 5;
    expect_impact(run_judge(run), IMPACT_LOST, 5, 187 * UNIT + UNIT / 2,
        "5 events with 35.50 EUR, 36.50 USD, 37.50 GBP and 2 more currencies were lost: accepted "
        "from the partners, never delivered.");
    run_free(run);
}

/* --- the list of levels --- */

Test(verdict_impact, the_list_is_all_passed_exactly_when_the_run_has_passed)
{
    for (unsigned lie = 0; lie < 9; lie++) {
        struct run *run = run_new();
        const char *problem;
        struct check checks[CHECKS_MAX];
        switch (lie) {
        case 1:
            run->sink_count--;
            break;
        case 2:
            run->sink[3].body_hash++;
            break;
        case 3:
            run->sink[3].amount_micros++;
            break;
        case 4:
            run->load[3].status = 413;
            run->load[3].answer = LOAD_SAID_NOTHING;
            break;
        case 5:
            run->sink[3].signature = SINK_UNCHECKED;
            break;
        case 6:
            cr_assert(levels_set(&run->options.levels, "answer_p99_max=1ms", &problem));
            break;
        case 7:
            cr_assert(subset_parse("some p99=1ms", &run->options.subsets[0], &problem));
            run->options.subsets_count = 1;
            break;
        case 8:
            cr_assert(subset_parse("none accounts=9 p99=1s", &run->options.subsets[0], &problem));
            run->options.subsets_count = 1;
            break;
        default:
            break;
        }
        const struct figures *figures = run_judge(run);
        size_t count = checks_list(figures, &run->options.levels, checks);
        bool all = true;
        for (size_t i = 0; i < count; i++)
            all = all && (!checks[i].has_target || checks[i].is_passed);
        cr_expect_eq(verdict_is_pass(figures), lie == 0, "lie %u", lie);
        cr_expect_eq(all, lie == 0, "lie %u: the list says something else", lie);
        run_free(run);
    }
}

Test(verdict_impact, a_row_has_its_value_beside_its_target)
{
    struct run *run = run_new();
    struct check checks[CHECKS_MAX];
    const char *problem;
    char value[LEVEL_TEXT_BYTES], target[CHECK_TARGET_BYTES];
    cr_assert(levels_set(&run->options.levels, "answer_max=none", &problem));
    cr_assert(subset_parse("some p99=250ms", &run->options.subsets[0], &problem));
    run->options.subsets_count = 1;
    const struct figures *figures = run_judge(run);
    size_t count = checks_list(figures, &run->options.levels, checks);
    static const struct {
        const char *name, *value, *target;
    } expected[] = {{"accepted", "40", "at least 1"}, {"lost", "0", "exactly 0"},
        {"answer_p99", "2ms", "at most 1s"}, {"answer_max", "2ms", "no level"},
        {"availability", "1", "at least 0.999"}, {"some.freshness_p99", "4ms", "at most 250ms"},
        {"some.not_delivered", "0", "exactly 0"}};
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        const struct check *check = find(checks, count, expected[i].name);
        check_format_value(check, value);
        check_format_target(check, target);
        cr_expect_str_eq(value, expected[i].value, "%s", expected[i].name);
        cr_expect_str_eq(target, expected[i].target, "%s", expected[i].name);
    }
    cr_expect_str_eq(find(checks, count, "answer_p99")->level, "answer_p99_max");
    run_free(run);
}

Test(verdict_impact, what_was_not_measured_is_unknown_and_not_zero)
{
    struct run *run = run_new();
    struct check checks[CHECKS_MAX];
    char value[LEVEL_TEXT_BYTES];
    run->sink_count = 0;
    size_t count = checks_list(run_judge(run), &run->options.levels, checks);
    const struct check *check = find(checks, count, "freshness_p99");
    check_format_value(check, value);
    cr_expect(!check->is_known);
    cr_expect_str_eq(value, "-");
    run_free(run);
}

/* --- over time --- */

Test(verdict_impact, the_sums_over_time_are_those_of_the_run)
{
    struct run *run = run_new();
    run->load[5].intended_us += 3 * UNIT;
    run->load[5].ended_us += 3 * UNIT;
    run->load[39].end = LOAD_TIMED_OUT;
    run->load[39].status = 0;
    run->load[39].answer = LOAD_SAID_NOTHING;
    memset(run->load[39].event, 0, sizeof run->load[39].event);
    const struct figures *figures = run_judge(run);
    const struct series *series = &figures->series;
    uint64_t sums[SERIES_COUNTS] = {0}, answers = 0, freshness = 0;
    for (unsigned i = 0; i < series->count; i++) {
        for (unsigned what = 0; what < SERIES_COUNTS; what++)
            sums[what] += series->points[i].counts[what];
        answers += series->points[i].times[SERIES_ANSWERS].count;
        freshness += series->points[i].times[SERIES_FRESHNESS].count;
    }
    cr_expect_eq(series->start_us, START_US);
    cr_expect_eq(series->count, 4);
    cr_expect_eq(series->points[3].counts[SERIES_POSTED], 1);
    cr_expect_eq(sums[SERIES_POSTED], EVENTS);
    cr_expect_eq(sums[SERIES_ACCEPTED], figures->fate.accepted);
    cr_expect_eq(sums[SERIES_REFUSED], 1);
    cr_expect_eq(sums[SERIES_DELIVERED], EVENTS);
    cr_expect_eq(answers, figures->answers.times.count);
    cr_expect_eq(freshness, figures->arrivals.freshness.count);
    run_free(run);
}

Test(verdict_impact, the_json_has_the_lists_of_a_result)
{
    struct run *run = run_new();
    run->sink_count--;
    run->load[20].intended_us += 2 * UNIT; /* nothing is due in second 1 */
    run->load[20].ended_us += 2 * UNIT;
    const struct figures *figures = run_judge(run);
    char *json = NULL;
    size_t len;
    FILE *out = open_memstream(&json, &len);
    cr_assert(report_json(out, figures, &run->options.levels) == OK);
    fclose(out);
    static const char *const expected[] = {"\"what\": \"lost\",\n      \"events\": 1",
        "\"EUR\": \"39.50\"", "\"name\": \"answer_p99\"", "\"target\": 1000000",
        "\"level\": \"answer_p99_max\"", "\"late_p99_s\": null",
        "\"series\":{\"step_s\":1,\"t_s\":[0,1,2]", "\"posted_per_s\":[39.0,0.0,1.0]",
        "\"answer_p50_us\":[2000,null,2000]", "\"distributions\":{\"answer\":[[2000,40]]"};
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
        cr_expect(strstr(json, expected[i]), "%s is not in %s", expected[i], json);
    free(json);
    run_free(run);
}
