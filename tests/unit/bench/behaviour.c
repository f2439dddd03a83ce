/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/behaviour.h"

#include "base/cleanup.h"
#include "sink/worker_table.h"

#include <criterion/criterion.h>
#include <math.h>

#define DRAWS 100000
#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static struct behaviour parse(const char *words)
{
    struct behaviour behaviour;
    char complaint[BEHAVIOUR_COMPLAINT_BYTES] = "";
    cr_assert(behaviour_parse(words, &behaviour, complaint), "%s: %s", words, complaint);
    return behaviour;
}

static struct behaviour_draw draw_at(const char *words, int64_t since_start_us)
{
    struct behaviour behaviour = parse(words);
    uint64_t random = behaviour_seed(1, 0);
    struct behaviour_draw draw;
    behaviour_draw(&behaviour, false, since_start_us, NULL, &random, &draw);
    return draw;
}

Test(behaviour, without_words_answers_200_and_an_empty_object_at_once)
{
    struct behaviour behaviour = parse(" \n");
    cr_expect_str_eq(behaviour.body, "{}");
    cr_expect_eq(behaviour.body_len, 2);
    cr_expect_eq(behaviour.retry_after_s, -1);
    cr_expect_eq(behaviour.slow_read_bytes, 0);
    cr_expect_eq(behaviour.secrets_count, 0);
    struct behaviour_draw draw = draw_at("", 5 * SECOND);
    cr_expect_eq(draw.deed, SINK_ANSWERED);
    cr_expect_eq(draw.status, 200);
    cr_expect_eq(draw.after_us, 0);
}

Test(behaviour, takes_its_words_in_any_order_and_number)
{
    struct behaviour behaviour =
        parse("secret=" SECRET " retry-after=30  body={\"success\":false}\tfail=2%:503\n"
              "status=410 slow-read=4k secret=" SECRET);
    cr_expect_eq(behaviour.secrets_count, 2);
    cr_expect_eq(behaviour.secrets[1].len, 24);
    cr_expect_eq(behaviour.retry_after_s, 30);
    cr_expect_str_eq(behaviour.body, "{\"success\":false}");
    cr_expect_eq(behaviour.fail, 0.02);
    cr_expect_eq(behaviour.fail_status, 503);
    cr_expect_eq(behaviour.status, 410);
    cr_expect_eq(behaviour.slow_read_bytes, 4000);
}

Test(behaviour, reads_every_form_of_a_delay)
{
    static const struct {
        const char *words;
        enum delay_kind kind;
        int64_t delay_us, upper_us;
        double sigma;
    } cases[] = {{"delay=0", DELAY_FIXED, 0, 0, 0}, {"delay=20ms", DELAY_FIXED, 20 * MS, 0, 0},
        {"delay=exp:1.5s", DELAY_EXPONENTIAL, 1500 * MS, 0, 0},
        {"delay=uniform:10ms:50ms", DELAY_UNIFORM, 10 * MS, 50 * MS, 0},
        {"delay=lognormal:30ms:0.5", DELAY_LOGNORMAL, 30 * MS, 0, 0.5}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct behaviour behaviour = parse(cases[i].words);
        cr_expect_eq(behaviour.delay_kind, cases[i].kind, "%s", cases[i].words);
        cr_expect_eq(behaviour.delay_us, cases[i].delay_us, "%s", cases[i].words);
        cr_expect_eq(behaviour.delay_upper_us, cases[i].upper_us, "%s", cases[i].words);
        cr_expect_eq(behaviour.delay_sigma, cases[i].sigma, "%s", cases[i].words);
    }
}

Test(behaviour, names_the_word_that_it_does_not_understand)
{
    static const struct {
        const char *words, *word;
    } cases[] = {{"drip=1%", "\"drip=1%\""}, {"delay=20ms dely=3ms", "\"dely=3ms\""},
        {"delay", "\"delay\""}, {"delay=", "\"delay=\""}, {"delay=20", "\"delay=20\""},
        {"delay=gauss:1ms", "\"delay=gauss:1ms\""}, {"delay=exp:1ms:2ms", "\"delay=exp:1ms:2ms\""},
        {"delay=uniform:1ms", "\"delay=uniform:1ms\""},
        {"delay=uniform:2ms:1ms", "\"delay=uniform:2ms:1ms\""},
        {"delay=lognormal:1ms", "\"delay=lognormal:1ms\""},
        {"delay=lognormal:1ms:11", "\"delay=lognormal:1ms:11\""}, {"status=199", "\"status=199\""},
        {"status=600", "\"status=600\""}, {"fail=2", "\"fail=2\""}, {"fail=101%", "\"fail=101%\""},
        {"fail=2%:", "\"fail=2%:\""}, {"fail=2%:99", "\"fail=2%:99\""},
        {"retry-after=soon", "\"retry-after=soon\""}, {"drop=1%:old", "\"drop=1%:old\""},
        {"drop=1%:", "\"drop=1%:\""}, {"cut=-1%", "\"cut=-1%\""}, {"hang=x", "\"hang=x\""},
        {"down=1s", "\"down=1s\""}, {"down=2s..1s", "\"down=2s..1s\""},
        {"down=1s..1s", "\"down=1s..1s\""}, {"stall=1s..x", "\"stall=1s..x\""},
        {"slow-read=0", "\"slow-read=0\""}, {"workers=0", "\"workers=0\""},
        {"workers=65", "\"workers=65\""}, {"secret=whsec_short", "\"secret=whsec_short\""},
        {"hang=50% drop=30% cut=30%", "hang, drop and cut"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct behaviour behaviour = {.status = 7};
        char complaint[BEHAVIOUR_COMPLAINT_BYTES] = "";
        cr_expect_not(behaviour_parse(cases[i].words, &behaviour, complaint), "%s", cases[i].words);
        cr_expect_not_null(strstr(complaint, cases[i].word), "%s: %s", cases[i].words, complaint);
        cr_expect_eq(behaviour.status, 7, "%s", cases[i].words);
    }
}

Test(behaviour, keeps_bodies_secrets_and_windows_within_their_bounds)
{
    char words[BEHAVIOUR_BODY_BYTES_MAX + 8], complaint[BEHAVIOUR_COMPLAINT_BYTES], many[1024] = "";
    struct behaviour behaviour;
    snprintf(words, sizeof words, "body=%0*d", BEHAVIOUR_BODY_BYTES_MAX - 1, 0);
    cr_expect(behaviour_parse(words, &behaviour, complaint));
    cr_expect_eq(behaviour.body_len, BEHAVIOUR_BODY_BYTES_MAX - 1);
    snprintf(words, sizeof words, "body=%0*d", BEHAVIOUR_BODY_BYTES_MAX, 0);
    cr_expect_not(behaviour_parse(words, &behaviour, complaint));
    for (int i = 0; i < ENDPOINT_SECRETS_MAX; i++)
        strcat(many, "secret=" SECRET " ");
    cr_expect(behaviour_parse(many, &behaviour, complaint));
    cr_expect_not(behaviour_parse(strcat(many, "secret=" SECRET), &behaviour, complaint));
    many[0] = '\0';
    for (int i = 0; i < BEHAVIOUR_WINDOWS_MAX; i++)
        strcat(many, "down=1s..2s stall=1s..2s ");
    cr_expect(behaviour_parse(many, &behaviour, complaint));
    cr_expect_not(behaviour_parse(strcat(many, "stall=1s..2s"), &behaviour, complaint));
}

Test(behaviour, acts_in_the_shares_that_were_asked_for)
{
    static const struct {
        const char *words;
        bool warm;
        double answered, dropped, cut, hung, failed;
    } cases[] = {{"fail=2%", false, 1, 0, 0, 0, 0.02}, {"fail=100%:503", false, 1, 0, 0, 0, 1},
        {"drop=10%", false, 0.9, 0.1, 0, 0, 0}, {"drop=10%", true, 0.9, 0.1, 0, 0, 0},
        {"drop=100%:new", false, 0, 1, 0, 0, 0}, {"drop=100%:new", true, 1, 0, 0, 0, 0},
        {"drop=100%:warm", true, 0, 1, 0, 0, 0}, {"drop=100%:warm", false, 1, 0, 0, 0, 0},
        {"hang=20% drop=30% cut=50%", false, 0, 0.3, 0.5, 0.2, 0},
        {"hang=5% cut=5% fail=50%", true, 0.9, 0, 0.05, 0.05, 0.5}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct behaviour behaviour = parse(cases[i].words);
        uint64_t random = behaviour_seed(42, 0);
        double deeds[4] = {0}, failed = 0;
        for (int n = 0; n < DRAWS; n++) {
            struct behaviour_draw draw;
            behaviour_draw(&behaviour, cases[i].warm, 0, NULL, &random, &draw);
            deeds[draw.deed] += 1.0 / DRAWS;
            failed += (draw.status >= 500) * (1.0 / DRAWS);
            cr_assert_eq(draw.after_us, 0);
        }
        cr_expect_float_eq(deeds[SINK_ANSWERED], cases[i].answered, 0.01, "%s", cases[i].words);
        cr_expect_float_eq(deeds[SINK_DROPPED], cases[i].dropped, 0.01, "%s", cases[i].words);
        cr_expect_float_eq(deeds[SINK_CUT_SHORT], cases[i].cut, 0.01, "%s", cases[i].words);
        cr_expect_float_eq(deeds[SINK_NEVER_ENDED], cases[i].hung, 0.01, "%s", cases[i].words);
        cr_expect_float_eq(failed, cases[i].failed, 0.01, "%s", cases[i].words);
    }
}

/* Draws a request at each of the times, and expects each answer at the time beside it. */
static void expect_answers_at(
    const char *words, const int64_t arrive_ms[], const int64_t at_ms[], size_t count)
{
    struct behaviour behaviour = parse(words);
    struct workers workers = {0};
    uint64_t random = behaviour_seed(1, 0);
    for (size_t i = 0; i < count; i++) {
        struct behaviour_draw draw;
        behaviour_draw(&behaviour, true, arrive_ms[i] * MS, &workers, &random, &draw);
        cr_expect_eq(arrive_ms[i] * MS + draw.after_us, at_ms[i] * MS, "%s: request %zu at %d",
            words, i, (int)(arrive_ms[i] + draw.after_us / MS));
    }
}

Test(behaviour, workers_take_requests_in_order_and_as_many_as_they_are)
{
    static const int64_t arrive_ms[] = {1000, 1000, 1000, 1001, 1001, 1200};
    static const int64_t by_one[] = {1020, 1040, 1060, 1080, 1100, 1220};
    static const int64_t by_two[] = {1020, 1020, 1040, 1040, 1060, 1220};
    static const int64_t by_many[] = {1020, 1020, 1020, 1021, 1021, 1220};
    expect_answers_at("delay=20ms workers=1", arrive_ms, by_one, ARRAY_LENGTH(arrive_ms));
    expect_answers_at("delay=20ms workers=2", arrive_ms, by_two, ARRAY_LENGTH(arrive_ms));
    expect_answers_at("delay=20ms workers=64", arrive_ms, by_many, ARRAY_LENGTH(arrive_ms));
    expect_answers_at("delay=20ms", arrive_ms, by_many, ARRAY_LENGTH(arrive_ms));
}

Test(behaviour, a_worker_is_held_by_a_stall_and_freed_when_the_deployment_is_down)
{
    static const int64_t arrive_ms[] = {1000, 1000, 1000, 3000};
    static const int64_t stalled[] = {2000, 2020, 2040, 3020};
    static const int64_t down[] = {1010, 1010, 1010, 3020};
    expect_answers_at(
        "delay=20ms workers=1 stall=1010ms..2s", arrive_ms, stalled, ARRAY_LENGTH(arrive_ms));
    expect_answers_at(
        "delay=20ms workers=1 down=1010ms..2s", arrive_ms, down, ARRAY_LENGTH(arrive_ms));
}

Test(behaviour, a_request_that_hangs_needs_no_worker)
{
    struct behaviour hangs = parse("delay=20ms workers=1 hang=100%"), works = hangs;
    struct workers workers = {0};
    uint64_t random = behaviour_seed(1, 0);
    struct behaviour_draw draw;
    works.hang = 0;
    behaviour_draw(&hangs, true, SECOND, &workers, &random, &draw);
    cr_expect_eq(draw.deed, SINK_NEVER_ENDED);
    behaviour_draw(&works, true, SECOND, &workers, &random, &draw);
    cr_expect_eq(draw.after_us, 20 * MS);
}

Test(behaviour, each_path_has_its_own_workers_and_new_ones_with_a_new_behaviour)
{
    struct worker_table table = {0};
    struct behaviour one = parse("workers=2"), other = parse("workers=2"), free = parse("");
    one.path = 1;
    other.path = 700;
    cr_expect_null(worker_table_find(&table, &free));
    worker_table_find(&table, &one)->free_us[1] = 5 * SECOND;
    cr_expect_eq(worker_table_find(&table, &other)->free_us[1], 0);
    cr_expect_eq(worker_table_find(&table, &one)->free_us[1], 5 * SECOND);
    struct behaviour changed = one;
    cr_expect_eq(worker_table_find(&table, &changed)->free_us[1], 0);
    worker_table_done(&table);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

Test(behaviour, delays_follow_the_distribution_that_was_asked_for)
{
    static const struct {
        const char *words;
        double mean_ms, p10_ms, median_ms, p90_ms;
    } cases[] = {{"delay=20ms", 20, 20, 20, 20}, {"delay=exp:20ms", 20, 2.107, 13.863, 46.052},
        {"delay=uniform:10ms:50ms", 30, 14, 30, 46},
        {"delay=lognormal:30ms:0.5", 33.994, 15.806, 30, 56.940}};
    static int64_t delays[DRAWS];
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct behaviour behaviour = parse(cases[i].words);
        uint64_t random = behaviour_seed(3, 1);
        double sum = 0;
        for (int n = 0; n < DRAWS; n++) {
            struct behaviour_draw draw;
            behaviour_draw(&behaviour, false, 0, NULL, &random, &draw);
            delays[n] = draw.after_us;
            sum += (double)draw.after_us / MS;
        }
        qsort(delays, DRAWS, sizeof *delays, compare);
        cr_expect_geq(delays[0], 0);
        cr_expect_float_eq(
            sum / DRAWS, cases[i].mean_ms, cases[i].mean_ms / 50, "%s", cases[i].words);
        cr_expect_float_eq((double)delays[DRAWS / 10] / MS, cases[i].p10_ms, cases[i].p10_ms / 20,
            "%s", cases[i].words);
        cr_expect_float_eq((double)delays[DRAWS / 2] / MS, cases[i].median_ms,
            cases[i].median_ms / 50, "%s", cases[i].words);
        cr_expect_float_eq((double)delays[DRAWS / 10 * 9] / MS, cases[i].p90_ms,
            cases[i].p90_ms / 50, "%s", cases[i].words);
    }
}

Test(behaviour, a_delay_is_never_longer_than_an_hour)
{
    cr_expect_eq(draw_at("delay=5h", 0).after_us, BEHAVIOUR_DELAY_US_MAX);
    struct behaviour behaviour = parse("delay=lognormal:1h:10");
    uint64_t random = behaviour_seed(1, 0);
    for (int n = 0; n < 1000; n++) {
        struct behaviour_draw draw;
        behaviour_draw(&behaviour, false, 0, NULL, &random, &draw);
        cr_assert(draw.after_us >= 0 && draw.after_us <= BEHAVIOUR_DELAY_US_MAX);
    }
}

Test(behaviour, windows_hold_answers_back_and_end_connections)
{
    static const struct {
        const char *words;
        int64_t at_ms;
        enum sink_deed deed;
        unsigned status;
        int64_t after_ms;
    } cases[] = {/* down: from is inside, to is not */
        {"down=1s..2s", 999, SINK_ANSWERED, 200, 0}, {"down=1s..2s", 1000, SINK_DROPPED, 0, 0},
        {"down=1s..2s", 1999, SINK_DROPPED, 0, 0}, {"down=1s..2s", 2000, SINK_ANSWERED, 200, 0},
        {"down=1s..2s down=3s..4s", 3500, SINK_DROPPED, 0, 0},
        /* it takes with it what has not been acted on */
        {"down=1s..2s delay=300ms", 600, SINK_ANSWERED, 200, 300},
        {"down=1s..2s delay=300ms", 800, SINK_DROPPED, 0, 200},
        {"down=1s..2s delay=5s", 800, SINK_DROPPED, 0, 200},
        {"down=3s..4s down=1s..2s delay=5s", 500, SINK_DROPPED, 0, 500},
        {"down=1s..2s hang=100%", 500, SINK_NEVER_ENDED, 200, 0},
        {"down=1s..2s hang=100%", 1500, SINK_DROPPED, 0, 0},
        {"down=1s..2s drop=100%", 1500, SINK_DROPPED, 0, 0},
        {"down=1s..2s drop=100%", 500, SINK_DROPPED, 200, 0},
        /* stall: answered when it ends, however long it was to take */
        {"stall=1s..2s", 999, SINK_ANSWERED, 200, 0},
        {"stall=1s..2s", 1000, SINK_ANSWERED, 200, 1000},
        {"stall=1s..2s", 2000, SINK_ANSWERED, 200, 0},
        {"stall=1s..2s delay=300ms", 500, SINK_ANSWERED, 200, 300},
        {"stall=1s..2s delay=300ms", 900, SINK_ANSWERED, 200, 1100},
        {"stall=1s..2s delay=3s", 900, SINK_ANSWERED, 200, 3000},
        {"stall=2s..3s stall=1s..2s", 1500, SINK_ANSWERED, 200, 1500},
        {"stall=1s..3s stall=2s..5s stall=4s..6s", 1000, SINK_ANSWERED, 200, 5000},
        {"stall=1s..2s drop=100%", 1500, SINK_DROPPED, 200, 500},
        {"stall=1s..2s hang=100%", 1500, SINK_NEVER_ENDED, 200, 0},
        /* both */
        {"stall=1s..3s down=2s..4s", 1000, SINK_DROPPED, 0, 1000}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct behaviour_draw draw = draw_at(cases[i].words, cases[i].at_ms * MS);
        cr_expect_eq(draw.deed, cases[i].deed, "%s at %d", cases[i].words, (int)cases[i].at_ms);
        cr_expect_eq(draw.status, cases[i].status, "%s at %d", cases[i].words, (int)cases[i].at_ms);
        cr_expect_eq(draw.after_us, cases[i].after_ms * MS, "%s at %d: %d", cases[i].words,
            (int)cases[i].at_ms, (int)draw.after_us);
    }
}

Test(behaviour, the_same_seed_draws_the_same_and_threads_draw_differently)
{
    struct behaviour behaviour = parse("delay=exp:20ms fail=50% drop=20%");
    uint64_t one = behaviour_seed(7, 0), same = behaviour_seed(7, 0), other = behaviour_seed(7, 1);
    cr_expect_neq(behaviour_seed(0, 0), 0);
    cr_expect_neq(behaviour_seed(8, 0), one);
    int equal = 0;
    for (int n = 0; n < 1000; n++) {
        struct behaviour_draw first, again, elsewhere;
        behaviour_draw(&behaviour, true, 0, NULL, &one, &first);
        behaviour_draw(&behaviour, true, 0, NULL, &same, &again);
        behaviour_draw(&behaviour, true, 0, NULL, &other, &elsewhere);
        cr_assert_eq(first.deed, again.deed);
        cr_assert_eq(first.status, again.status);
        cr_assert_eq(first.after_us, again.after_us);
        equal += first.after_us == elsewhere.after_us;
    }
    cr_expect_lt(equal, 10);
}
