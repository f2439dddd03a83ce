/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a run's events, by account and by time. Event n is accepted 1 ms and delivered 5 ms
 * after it was due, which is n ms after the start. */
#include "unit/bench/verdict_fixture.h"

#include "base/cleanup.h"
#include "verdict/checks.h"
#include "verdict/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct run *new_run(const char *const texts[], unsigned count)
{
    struct run *run = run_new();
    for (unsigned i = 0; i < count; i++) {
        const char *problem = "";
        cr_assert(subset_parse(texts[i], &run->options.subsets[i], &problem), "%s: %s", texts[i],
            problem);
    }
    run->options.subsets_count = count;
    for (size_t i = 0; i < EVENTS; i++)
        run->load[i].account = (uint16_t)(i % 4); /* 0, 1, 2, 3, 0, ... */
    return run;
}

Test(verdict_subset, a_text_that_is_wrong_is_refused_with_what_is_expected)
{
    static const struct {
        const char *text, *problem; /* NULL: it is right */
    } cases[] = {{"healthy", NULL}, {"a accounts=3", NULL}, {"a accounts=0-4095", NULL},
        {"a accepted=1s..2s delivered=2s.. p99=1ms", NULL}, {"a accepted=..2s", NULL},
        {"a accepted=..", NULL}, {"", "a name"}, {"accounts=1", "a name"},
        {"a accounts=2-1", "FIRST-LAST"}, {"a accounts=4096", "FIRST-LAST"},
        {"a accounts=", "FIRST-LAST"}, {"a accounts", "FIRST-LAST"}, {"a accepted=1s", "FROM..TO"},
        {"a accepted=2s..1s", "FROM..TO"}, {"a accepted=1s..1s", "FROM..TO"},
        {"a delivered=x..", "FROM..TO"}, {"a p99=fast", "DURATION"}, {"a p99", "DURATION"},
        {"a answers=250ms", NULL}, {"a answers=", "DURATION"},
        {"a size=3", "a word is not one of"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct subset_spec spec = {.name = "unchanged"};
        const char *problem = "";
        bool right = subset_parse(cases[i].text, &spec, &problem);
        cr_expect_eq(right, cases[i].problem == NULL, "%s: %s", cases[i].text, problem);
        if (cases[i].problem) {
            cr_expect(strstr(problem, cases[i].problem), "%s: %s", cases[i].text, problem);
            cr_expect_str_eq(spec.name, "unchanged");
        }
    }
}

Test(verdict_subset, events_are_taken_by_account_and_by_time_of_acceptance_and_delivery)
{
    static const char *const texts[] = {"all", "first accounts=0", "middle accounts=1-2",
        "early accepted=..11ms", "later accepted=11ms..21ms", "arrived delivered=40ms..",
        "both accounts=0-1 accepted=9ms..17ms delivered=..20ms", "nothing accounts=9"};
    static const uint64_t events[] = {EVENTS, 10, 20, 10, 10, 5, 4, 0};
    struct run *run = new_run(texts, ARRAY_LENGTH(texts));
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures));
    for (unsigned i = 0; i < ARRAY_LENGTH(texts); i++) {
        const struct subset *subset = &figures->subsets[i];
        cr_expect_eq(subset->events, events[i], "%s: %d", texts[i], (int)subset->events);
        cr_expect_eq(subset->delivered, events[i], "%s", texts[i]);
        cr_expect_eq(subset->freshness.count, events[i], "%s", texts[i]);
        cr_expect(events[i] == 0 || subset_p99_us(subset) == 4 * MS, "%s", texts[i]);
    }
    cr_expect_eq(figures->subsets[4].first_us, 15 * MS);
    cr_expect_eq(figures->subsets[4].last_us, 24 * MS);
    cr_expect_eq(figures->subsets[0].per_second[0], EVENTS);
    cr_expect_eq(figures->subsets[7].first_us, SUBSET_NEVER);
    run_free(run);
}

Test(verdict_subset, the_account_that_begins_last_is_found)
{
    static const char *const texts[] = {"all", "three accounts=0-2", "fourth accounts=3"};
    struct run *run = new_run(texts, ARRAY_LENGTH(texts));
    for (size_t i = 2; i < EVENTS; i += 4) /* account 2 has nothing before 100 ms */
        run->sink[i].received_us += 100 * MS;
    for (size_t i = 3; i < EVENTS; i += 4) { /* account 3 has nothing at all */
        run->sink[i].status = 500;
        run->rows[i].states[0] = DELIVERY_WAITING;
    }
    const struct figures *figures = run_judge(run);
    cr_expect_eq(subset_slowest_start_us(&figures->subsets[1]), 107 * MS);
    cr_expect_eq(subset_slowest_start_us(&figures->subsets[0]), SUBSET_NEVER);
    cr_expect_eq(subset_slowest_start_us(&figures->subsets[2]), SUBSET_NEVER);
    cr_expect_eq(figures->subsets[2].events, 10);
    cr_expect_eq(figures->subsets[2].delivered, 0);
    run_free(run);
}

Test(verdict_subset, a_level_is_missed_by_slow_events_by_lost_ones_and_by_none)
{
    static const char *const texts[] = {"fast accounts=0 p99=4ms", "slow accounts=1 p99=4ms",
        "stuck accounts=2 p99=4ms", "none accounts=9 p99=4ms", "unjudged accounts=1"};
    struct run *run = new_run(texts, ARRAY_LENGTH(texts));
    run->sink[1].received_us += 30 * MS;
    run->sink[2].status = 500;
    run->rows[2].states[0] = DELIVERY_WAITING;
    const struct figures *figures = run_judge(run);
    cr_expect(subset_is_met(&figures->subsets[0]));
    cr_expect(subset_is_met(&figures->subsets[4]));
    cr_expect(run_has_reason(figures, "subset slow: 34ms is above 4ms"));
    cr_expect(run_has_reason(figures, "subset stuck: 1 of 10 events are not delivered"));
    cr_expect(run_has_reason(figures, "subset none: no event is in it"));
    cr_expect_not(run_has_reason(figures, "subset fast"));
    cr_expect_not(run_has_reason(figures, "subset unjudged"));
    run_free(run);
}

Test(verdict_subset, answers_of_a_subset_have_a_level_of_their_own)
{
    static const char *const texts[] = {"fast accounts=0 answers=2ms",
        "slow accounts=1 answers=2ms", "before accounts=1 accepted=..1ms answers=2ms",
        "behind accepted=2ms.. answers=2ms", "none accounts=9 answers=2ms", "unjudged accounts=1"};
    struct run *run = new_run(texts, ARRAY_LENGTH(texts));
    run->load[1].ended_us += 30 * MS; /* of account 1; it was due after 1 ms */
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "subset slow: 32ms is above 2ms (p99 of answers)"));
    cr_expect(run_has_reason(figures, "subset before: nothing was posted"));
    cr_expect(run_has_reason(figures, "subset none: nothing was posted"));
    cr_expect_not(run_has_reason(figures, "subset fast"));
    cr_expect_not(run_has_reason(figures, "subset behind"));
    cr_expect_not(run_has_reason(figures, "subset unjudged"));
    cr_expect_eq(subset_answers_p99_us(&figures->subsets[0]), 2 * MS);
    cr_expect_eq(figures->subsets[1].answers.count, 10);
    struct check checks[CHECKS_MAX];
    size_t count = checks_list(figures, &run->options.levels, checks);
    cr_expect_str_eq(checks[count - 4].name, "slow.answer_p99");
    cr_expect_not(checks[count - 4].is_passed);
    cr_expect(checks[count - 5].is_passed);
    run_free(run);
}

Test(verdict_subset, the_reports_show_each_subset)
{
    static const char *const texts[] = {"early accepted=..11ms", "nothing accounts=9"};
    struct run *run = new_run(texts, ARRAY_LENGTH(texts));
    const struct figures *figures = run_judge(run);
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    cr_assert(report_text(stream, figures, &run->options.levels, true) == OK);
    fclose(stream);
    cr_expect(strstr(text, "Subsets\n  early "), "%s", text);
    cr_expect(strstr(text, "10 events, 0 not delivered\n"), "%s", text);
    free(text);
    stream = open_memstream(&text, &len);
    cr_assert(report_json(stream, figures, &run->options.levels) == OK);
    fclose(stream);
    static const char *const parts[] = {"\"early\": {", "\"not_delivered\": 0",
        "\"first_delivered_us\": 5000", "\"last_delivered_us\": 14000",
        "\"slowest_account_starts_us\": 8000", "\"first_delivered_us\": null"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        cr_expect(strstr(text, parts[i]), "%s is not in %s", parts[i], text);
    free(text);
    run_free(run);
}
