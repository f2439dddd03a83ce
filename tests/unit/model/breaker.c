/* SPDX-License-Identifier: Apache-2.0 */
#include "model/breaker.h"

#include "base/cleanup.h"
#include "unit/model/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define S US_PER_SECOND
#define FAILS_10 "ffffffffff"

static const struct breaker_policy *const policy = &breaker_policy_default;

static enum breaker_edge report(
    struct breaker *breaker, bool failed, bool was_probe, int64_t sent_us, int64_t now_us)
{
    return breaker_on_result(breaker, policy,
        &(struct breaker_result){.failed = failed, .was_probe = was_probe, .sent_us = sent_us},
        now_us);
}

/*
 * Plays a script from 100 s on, and returns the edges: `-` none, `!` opened, `^` recovered.
 *
 *   space   a second passes
 *   s f     an attempt that is sent and ends now succeeds, fails
 *   S F     the same for an attempt that was sent at 50 s, before everything
 *   p       a probe is sent; it must be allowed
 *   y n l   the oldest probe succeeds, fails, is lost
 *   r       an operator resets the breaker
 */
static const char *play(struct breaker *breaker, const char *script)
{
    static char edges[200];
    size_t count = 0, sent = 0, ended = 0;
    int64_t now_us = 100 * S, sent_us[20];
    memset(edges, 0, sizeof(edges));
    breaker_init(breaker);
    for (; *script; script++) {
        if (*script == ' ') {
            now_us += S;
        } else if (*script == 'r') {
            breaker_reset(breaker, now_us);
        } else if (*script == 'p') {
            cr_assert(breaker_allows(breaker, now_us), "no probe is due: %s", script);
            breaker_on_probe_sent(breaker, policy, now_us);
            sent_us[sent++] = now_us;
        } else if (*script == 'l') {
            breaker_on_probe_lost(breaker, sent_us[ended++]);
        } else {
            bool was_probe = *script == 'y' || *script == 'n';
            bool failed = *script == 'f' || *script == 'F' || *script == 'n';
            int64_t from_us = *script == 'S' || *script == 'F' ? 50 * S : now_us;
            edges[count++] = "-!^"[report(
                breaker, failed, was_probe, was_probe ? sent_us[ended++] : from_us, now_us)];
        }
    }
    return edges;
}

Test(breaker, results_and_probes_move_it_as_documented)
{
    static const struct {
        const char *script, *edges;
        enum breaker_state state;
    } cases[] = {
        {"", "", BREAKER_CLOSED},
        {"fffffffff", "---------", BREAKER_CLOSED}, /* nine */
        {FAILS_10, "---------!", BREAKER_OPEN},
        {"sfsfsfsfsf", "---------!", BREAKER_OPEN},   /* half of ten */
        {"fsfsfsfsfs", "----------", BREAKER_CLOSED}, /* a success does not open */
        {"fsfsfsfsfsf", "----------!", BREAKER_OPEN},
        {"ssssssffffff", "-----------!", BREAKER_OPEN},
        {"ssssss          ffffff", "------------", BREAKER_CLOSED}, /* the window has passed */
        {"sssssss      ffffff", "-------------", BREAKER_CLOSED},   /* it has not: 6 of 13 */
        {"f      f      f      f      f      f      f      f      f      f", "---------!",
            BREAKER_OPEN}, /* a run, slower than the window */
        {"f      f      f      f      f      s      f      f      f      f", "-----^----",
            BREAKER_CLOSED},
        {"ffs", "---", BREAKER_CLOSED}, /* two failures are chance */
        {"fffs", "---^", BREAKER_CLOSED},
        {"fffss", "---^-", BREAKER_CLOSED}, /* once for each run */
        {"fffsfffs", "---^---^", BREAKER_CLOSED},
        {FAILS_10 " p", "---------!", BREAKER_HALF_OPEN},
        {FAILS_10 " py", "---------!^", BREAKER_CLOSED},
        {FAILS_10 " pn", "---------!-", BREAKER_OPEN},
        {FAILS_10 " pl", "---------!", BREAKER_OPEN},
        {FAILS_10 " pn  py", "---------!-^", BREAKER_CLOSED},
        {FAILS_10 " p  pn", "---------!-", BREAKER_HALF_OPEN}, /* the other one is in flight */
        {FAILS_10 " p  pnn", "---------!--", BREAKER_OPEN},
        {FAILS_10 " p  py", "---------!^", BREAKER_CLOSED},
        {FAILS_10 " p  pyn", "---------!^-", BREAKER_CLOSED}, /* it hung before the recovery */
        {FAILS_10 " p  pyy", "---------!^-", BREAKER_CLOSED},
        {FAILS_10 "fff", "---------!---", BREAKER_OPEN}, /* sent before, failed after */
        {FAILS_10 "S", "---------!^", BREAKER_CLOSED},   /* sent before, succeeded after */
        {FAILS_10 " pyFFFFFFFFFFF", "---------!^-----------", BREAKER_CLOSED},
        {FAILS_10 " pyFFFs", "---------!^----", BREAKER_CLOSED},
        {FAILS_10 " py" FAILS_10, "---------!^---------!", BREAKER_OPEN},
        {FAILS_10 " p  py " FAILS_10 " pl", "---------!^---------!", BREAKER_HALF_OPEN},
        {FAILS_10 "r", "---------!", BREAKER_CLOSED},
        {FAILS_10 " pr", "---------!", BREAKER_CLOSED},
        {FAILS_10 " prn", "---------!-", BREAKER_CLOSED},
        {"fffffffffrf", "----------", BREAKER_CLOSED},
        {"rFFFFFFFFFFFs", "------------", BREAKER_CLOSED},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct breaker breaker;
        cr_expect_str_eq(
            play(&breaker, cases[i].script), cases[i].edges, "\"%s\"", cases[i].script);
        cr_expect_eq(breaker.state, cases[i].state, "\"%s\"", cases[i].script);
    }
}

Test(breaker, only_due_probes_are_sent_while_it_is_open)
{
    struct breaker breaker;
    play(&breaker, "f");
    cr_expect(breaker_allows(&breaker, 100 * S));
    cr_expect_eq(breaker_next_probe_us(&breaker), INT64_MAX);
    play(&breaker, FAILS_10);
    static const int64_t due_s[] = {101, 103, 107, 115, 125};
    for (size_t i = 0; i < ARRAY_LENGTH(due_s); i++) {
        cr_expect_eq(breaker_next_probe_us(&breaker), due_s[i] * S);
        cr_expect_not(breaker_allows(&breaker, due_s[i] * S - 1));
        cr_expect(breaker_allows(&breaker, due_s[i] * S));
        breaker_on_probe_sent(&breaker, policy, due_s[i] * S);
        cr_expect_eq(breaker.state, BREAKER_HALF_OPEN);
    }
    cr_expect_eq(breaker_next_probe_us(&breaker), INT64_MAX, "five are in flight");
    cr_expect_not(breaker_allows(&breaker, 1000 * S));
    cr_expect_eq(report(&breaker, true, true, 101 * S, 131 * S), BREAKER_STAYS);
    cr_expect_eq(breaker_next_probe_us(&breaker), 135 * S);
    breaker_on_probe_lost(&breaker, 103 * S);
    cr_expect_eq(breaker_next_probe_us(&breaker), 135 * S);
}

/* What each result did is computed again from the list of all of them. */
static bool must_open(const int64_t *halves, const bool *failed, size_t count)
{
    size_t in_window = 0, failures = 0, run = 0;
    for (size_t i = count; i-- > 0 && halves[i] >= halves[count - 1] - 1;) {
        in_window++;
        failures += failed[i];
    }
    while (run < count && failed[count - 1 - run])
        run++;
    return failed[count - 1] && (run >= policy->count_min ||
                                    (in_window >= policy->count_min &&
                                        failures * 100 >= policy->failures_percent * in_window));
}

Test(breaker, it_opens_at_the_share_of_the_window_or_after_a_run_and_never_otherwise)
{
    enum { RESULTS = 400 };
    static int64_t halves[RESULTS];
    static bool failed[RESULTS];
    uint64_t random = 3;
    unsigned opened = 0;
    for (int round = 0; round < 3000; round++) {
        struct breaker breaker;
        breaker_init(&breaker);
        int64_t now_us = random_between(&random, 0, 100 * S);
        int64_t fails_percent = random_between(&random, 0, 100);
        int64_t pause_us = random_between(&random, 1, round % 3 ? S : 20 * S);
        unsigned run = 0;
        for (size_t i = 0; i < RESULTS; i++) {
            now_us += random_between(&random, 0, pause_us);
            halves[i] = now_us / (policy->window_us / 2);
            failed[i] = random_between(&random, 1, 100) <= fails_percent;
            enum breaker_edge edge = report(&breaker, failed[i], false, now_us - S, now_us);
            cr_assert_eq(edge == BREAKER_OPENED, must_open(halves, failed, i + 1));
            cr_assert_eq(edge == BREAKER_RECOVERED, !failed[i] && run >= BREAKER_RUN_MIN);
            run = failed[i] ? run + 1 : 0;
            if (edge == BREAKER_OPENED) {
                opened++;
                break;
            }
        }
    }
    cr_expect(opened > 500 && opened < 2500, "%u", opened);
}

/* A client is away for some time, and what is sent meanwhile hangs until `timeout_us`. */
static int64_t longest_gap_us(int64_t away_us, int64_t timeout_us, int64_t *ret_recovered_us)
{
    struct breaker breaker;
    play(&breaker, FAILS_10);
    int64_t now_us = 100 * S, back_us = now_us + away_us, before_us = now_us, gap_us = 0;
    int64_t sent_us[BREAKER_PROBES_MAX + 1];
    unsigned in_flight = 0;
    for (;;) {
        int64_t ends_us = in_flight ? sent_us[0] + timeout_us : INT64_MAX;
        int64_t due_us = breaker_next_probe_us(&breaker);
        if (ends_us <= due_us || ends_us <= now_us) {
            now_us = ends_us;
            cr_assert_eq(report(&breaker, true, true, sent_us[0], now_us), BREAKER_STAYS);
            memmove(sent_us, sent_us + 1, --in_flight * sizeof(sent_us[0]));
            continue;
        }
        now_us = due_us > now_us ? due_us : now_us;
        cr_assert(breaker_allows(&breaker, now_us));
        breaker_on_probe_sent(&breaker, policy, now_us);
        if (now_us - before_us > gap_us)
            gap_us = now_us - before_us;
        before_us = now_us;
        if (now_us >= back_us)
            break;
        cr_assert_leq(in_flight + 1, BREAKER_PROBES_MAX);
        sent_us[in_flight++] = now_us;
    }
    cr_assert_eq(report(&breaker, false, true, now_us, now_us), BREAKER_RECOVERED);
    *ret_recovered_us = now_us - back_us;
    while (in_flight > 0) /* they time out after the recovery */
        cr_assert_eq(
            report(&breaker, true, true, sent_us[--in_flight], now_us + 30 * S), BREAKER_STAYS);
    cr_assert_eq(breaker.state, BREAKER_CLOSED);
    return gap_us;
}

Test(breaker, an_endpoint_that_is_back_is_found_within_fifteen_seconds)
{
    static const struct {
        int64_t timeout_s, gap_s_max;
    } cases[] = {{0, 10}, {1, 10}, {5, 10}, {30, 10}, {35, 11}, {90, 66}};
    uint64_t random = 5;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (int round = 0; round < 500; round++) {
            int64_t recovered_us = 0, away_us = random_between(&random, 0, 600 * S);
            int64_t gap_us = longest_gap_us(away_us, cases[i].timeout_s * S, &recovered_us);
            cr_expect(gap_us <= cases[i].gap_s_max * S && recovered_us <= gap_us,
                "timeout %lld s, away %lld us: a gap of %lld us, recovered after %lld us",
                (long long)cases[i].timeout_s, (long long)away_us, (long long)gap_us,
                (long long)recovered_us);
        }
}

/* Any order of calls that the contract permits. */
Test(breaker, probes_in_flight_stay_bounded_and_each_outage_recovers_once)
{
    uint64_t random = 11;
    struct breaker breaker;
    breaker_init(&breaker);
    struct {
        int64_t sent_us;
        bool was_probe;
    } attempts[64];
    unsigned in_flight = 0, opened = 0, recovered_from_open = 0, resets = 0;
    int64_t now_us = 1;
    for (int i = 0; i < 400000; i++) {
        now_us += random_between(&random, 0, S);
        bool is_closed = breaker.state == BREAKER_CLOSED;
        if (in_flight < ARRAY_LENGTH(attempts) && breaker_allows(&breaker, now_us) &&
            random_between(&random, 0, 2)) {
            if (!is_closed)
                breaker_on_probe_sent(&breaker, policy, now_us);
            attempts[in_flight].sent_us = now_us;
            attempts[in_flight++].was_probe = !is_closed;
        } else if (in_flight > 0) {
            unsigned which = (unsigned)random_between(&random, 0, in_flight - 1);
            bool failed = random_between(&random, 0, 99) < (i / 1000 % 2 ? 97 : 30);
            if (attempts[which].was_probe && random_between(&random, 0, 9) == 0) {
                breaker_on_probe_lost(&breaker, attempts[which].sent_us);
            } else {
                enum breaker_edge edge = report(
                    &breaker, failed, attempts[which].was_probe, attempts[which].sent_us, now_us);
                opened += edge == BREAKER_OPENED;
                recovered_from_open += edge == BREAKER_RECOVERED && !is_closed;
                cr_assert(is_closed ? edge != BREAKER_OPENED || failed
                                    : edge == (failed ? BREAKER_STAYS : BREAKER_RECOVERED));
            }
            attempts[which] = attempts[--in_flight];
        }
        if (random_between(&random, 0, 9999) == 0) {
            resets += breaker.state != BREAKER_CLOSED;
            breaker_reset(&breaker, now_us);
        }
        cr_assert_leq(breaker.probes_in_flight, BREAKER_PROBES_MAX);
        cr_assert_eq(breaker.state == BREAKER_HALF_OPEN, breaker.probes_in_flight > 0);
    }
    cr_expect_gt(opened, 100);
    cr_expect_eq(opened, recovered_from_open + resets + (breaker.state != BREAKER_CLOSED));
}

Test(breaker, percent_is_how_near_the_opening_is)
{
    static const struct {
        const char *script;
        unsigned percent;
    } cases[] = {{"", 0}, {"s", 0}, {"f", 10}, {"fffff", 50}, {"fffffffff", 90}, {FAILS_10, 100},
        {FAILS_10 " p", 100}, {FAILS_10 "s", 0}, {"fffffs", 60}, {"fffff s", 60},
        {"ffff"
         "ssssss",
            80},
        {"sssssssssf", 20}, {"sfsfs", 50}, {"ssssssssff", 40}, {"ssssffff", 80},
        {"fffff          ", 50}, {"fffff               s", 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct breaker breaker;
        play(&breaker, cases[i].script);
        int64_t now_us = 100 * S;
        for (const char *at = cases[i].script; *at; at++)
            now_us += *at == ' ' ? S : 0;
        cr_expect_eq(breaker_percent(&breaker, policy, now_us), cases[i].percent, "%zu: %u", i,
            breaker_percent(&breaker, policy, now_us));
    }
}
