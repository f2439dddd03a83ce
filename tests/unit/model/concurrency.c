/* SPDX-License-Identifier: Apache-2.0 */
#include "model/concurrency.h"

#include "base/cleanup.h"
#include "unit/model/random.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND
#define MS US_PER_MS
#define IN_FLIGHT_MAX 2048

/* A client in virtual time. Its latency grows in proportion to what is in flight beyond `capacity`,
 * and it fails beyond twice of it. The gateway sends as much as the limit permits. */
struct client {
    int64_t latency_us;
    unsigned capacity, noise_percent;
    bool hangs;
};

struct simulation {
    struct concurrency concurrency;
    struct client client;
    unsigned cap;
    uint64_t random;
    int64_t now_us, late_seen_us; /* late_seen_us: when an attempt was last reported as late */
    unsigned in_flight;
    struct {
        int64_t sent_us, ends_us;
        bool fails;
    } attempts[IN_FLIGHT_MAX];
    uint64_t succeeded, failed;
};

static unsigned limit_of(const struct simulation *simulation)
{
    return concurrency_limit(&simulation->concurrency, simulation->cap);
}

static void send_attempts(struct simulation *simulation)
{
    const struct client *client = &simulation->client;
    while (simulation->in_flight < limit_of(simulation)) {
        unsigned in_flight = ++simulation->in_flight;
        cr_assert_leq(in_flight, IN_FLIGHT_MAX);
        double latency_us = (double)client->latency_us;
        bool fails = client->capacity > 0 && in_flight > 2 * client->capacity;
        if (client->capacity > 0 && in_flight > client->capacity)
            latency_us *= (double)in_flight / client->capacity;
        int64_t noise = client->noise_percent;
        latency_us += latency_us * (double)random_between(&simulation->random, -noise, noise) / 100;
        int64_t ends_us = simulation->now_us + (client->hangs ? 30 * S : (int64_t)latency_us);
        simulation->attempts[in_flight - 1].sent_us = simulation->now_us;
        simulation->attempts[in_flight - 1].ends_us = ends_us;
        simulation->attempts[in_flight - 1].fails = fails || client->hangs;
    }
}

static void end_attempt(struct simulation *simulation, unsigned i)
{
    int64_t latency_us = simulation->now_us - simulation->attempts[i].sent_us;
    if (simulation->attempts[i].fails) {
        concurrency_on_failure(&simulation->concurrency, latency_us, simulation->now_us);
        simulation->failed++;
    } else {
        concurrency_on_success(&simulation->concurrency, simulation->in_flight, simulation->cap,
            latency_us, simulation->now_us);
        simulation->succeeded++;
    }
    simulation->attempts[i] = simulation->attempts[--simulation->in_flight];
}

/* Continues until the next thing happens: an attempt ends or becomes late. */
static void step(struct simulation *simulation)
{
    send_attempts(simulation);
    unsigned first = 0;
    int64_t oldest_us = INT64_MAX;
    for (unsigned i = 0; i < simulation->in_flight; i++) {
        if (simulation->attempts[i].ends_us < simulation->attempts[first].ends_us)
            first = i;
        if (simulation->attempts[i].sent_us < oldest_us)
            oldest_us = simulation->attempts[i].sent_us;
    }
    int64_t late_us = oldest_us + concurrency_late_us(&simulation->concurrency);
    if (late_us <= simulation->now_us) /* it is late, and looked at once a second */
        late_us = simulation->late_seen_us + S;
    if (late_us < simulation->attempts[first].ends_us) {
        if (late_us > simulation->now_us)
            simulation->now_us = late_us;
        simulation->late_seen_us = simulation->now_us;
        concurrency_on_late(&simulation->concurrency, simulation->in_flight, simulation->now_us);
    } else {
        simulation->now_us = simulation->attempts[first].ends_us;
        end_attempt(simulation, first);
    }
    cr_assert(simulation->concurrency.limit >= 1);
    cr_assert(limit_of(simulation) >= 1 && limit_of(simulation) <= simulation->cap);
}

static void run_until(struct simulation *simulation, int64_t until_us)
{
    while (simulation->now_us < until_us)
        step(simulation);
}

static struct simulation *new_simulation(unsigned cap, struct client client)
{
    static struct simulation simulation; /* each test is a process */
    simulation = (struct simulation){.cap = cap, .client = client, .random = 1};
    concurrency_init(&simulation.concurrency);
    return &simulation;
}

Test(concurrency, new_endpoint_starts_with_four_in_flight_or_its_cap)
{
    struct concurrency concurrency;
    concurrency_init(&concurrency);
    static const unsigned caps[][2] = {{1, 1}, {2, 2}, {4, 4}, {5, 4}, {1000, 4}};
    for (size_t i = 0; i < ARRAY_LENGTH(caps); i++)
        cr_expect_eq(concurrency_limit(&concurrency, caps[i][0]), caps[i][1]);
}

Test(concurrency, late_time_follows_the_usual_latency_within_its_bounds)
{
    static const int64_t cases[][2] = {{0, S}, {1, S}, {250 * MS, S}, {500 * MS, 2 * S},
        {15 * S, 60 * S}, {20 * S, 60 * S}, {3600 * S, 60 * S}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct concurrency concurrency = {.usual_us = cases[i][0]};
        cr_expect_eq(concurrency_late_us(&concurrency), cases[i][1], "case %zu", i);
    }
}

/* One thing happens to an endpoint whose limit is 32 and whose usual latency is 200 ms. */
Test(concurrency, each_kind_of_result_moves_the_limit_as_documented)
{
    static const struct {
        const char *what;
        char kind; /* + success, - failure, L late */
        unsigned in_flight;
        int64_t latency_us;
        bool slow_start;
        double limit;
        bool slow_start_after;
    } cases[] = {
        {"slow start adds one", '+', 32, 200 * MS, true, 33, true},
        {"otherwise one for each round", '+', 32, 200 * MS, false, 32 + 1.0 / 32, false},
        {"the limit is no bottleneck", '+', 16, 200 * MS, true, 32, true},
        {"more than half of it is in use", '+', 17, 200 * MS, true, 33, true},
        {"three times the usual is not late", '+', 32, 600 * MS, true, 33, true},
        {"much longer is", '+', 32, 701 * MS, true, 28.8, false},
        {"a late answer does not grow", '+', 1, 701 * MS, true, 28.8, false},
        {"a failure cuts by half", '-', 32, 0, true, 16, false},
        {"a late attempt cuts by half", 'L', 32, 0, true, 16, false},
        {"or to half of what is in flight", 'L', 8, 0, true, 4, false},
        {"but never below one", 'L', 1, 0, true, 1, false},
        {"more in flight than the limit", 'L', 100, 0, false, 16, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct concurrency concurrency;
        concurrency_init(&concurrency);
        concurrency.limit = 32;
        concurrency.usual_us = 200 * MS;
        concurrency.slow_start = cases[i].slow_start;
        if (cases[i].kind == '+')
            concurrency_on_success(
                &concurrency, cases[i].in_flight, 1000, cases[i].latency_us, 100 * S);
        else if (cases[i].kind == '-')
            concurrency_on_failure(&concurrency, MS, 100 * S);
        else
            concurrency_on_late(&concurrency, cases[i].in_flight, 100 * S);
        cr_expect_float_eq(
            concurrency.limit, cases[i].limit, 1e-9, "%s: %f", cases[i].what, concurrency.limit);
        cr_expect_eq(concurrency.slow_start, cases[i].slow_start_after, "%s", cases[i].what);
    }
}

Test(concurrency, failures_of_one_moment_cut_once)
{
    struct concurrency concurrency;
    concurrency_init(&concurrency);
    concurrency.limit = 64;
    for (int i = 0; i < 64; i++)
        concurrency_on_failure(&concurrency, 20 * MS, S + i * 100);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 32);
    concurrency_on_failure(&concurrency, 20 * MS, S + 20 * MS - 1);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 32);
    concurrency_on_failure(&concurrency, 20 * MS, S + 20 * MS);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 16, "this one was sent after the cut");
    concurrency_on_failure(&concurrency, 30 * S, 20 * S);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 16, "a timeout of before");
}

Test(concurrency, late_attempts_cut_once_in_each_late_time)
{
    struct concurrency concurrency;
    concurrency_init(&concurrency);
    concurrency.limit = 64;
    concurrency.usual_us = 500 * MS;
    static const struct {
        int64_t after_us;
        unsigned limit;
    } cases[] = {{0, 32}, {1, 32}, {2 * S - 1, 32}, {2 * S, 16}, {3 * S, 16}, {4 * S, 8}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        concurrency_on_late(&concurrency, 64, 100 * S + cases[i].after_us);
        cr_expect_eq(concurrency_limit(&concurrency, 100), cases[i].limit, "case %zu", i);
    }
}

Test(concurrency, a_small_cut_does_not_delay_a_cut_by_half)
{
    struct concurrency concurrency;
    concurrency_init(&concurrency);
    concurrency.limit = 100;
    concurrency.usual_us = 100 * MS;
    concurrency_on_success(&concurrency, 100, 100, 10 * S, 20 * S);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 90);
    concurrency_on_failure(&concurrency, 10 * S, 20 * S);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 45);
    concurrency.usual_us = 100 * MS;
    concurrency_on_success(&concurrency, 100, 100, 10 * S, 29 * S);
    cr_expect_eq(concurrency_limit(&concurrency, 100), 45, "but the other way round it does");
}

Test(concurrency, the_last_step_to_a_limit_that_failed_is_slow_until_it_is_passed)
{
    struct concurrency concurrency;
    concurrency_init(&concurrency);
    concurrency.limit = 10;
    concurrency_on_failure(&concurrency, MS, S);
    static const struct {
        double limit, step;
    } cases[] = {{5, 1 / 5.0}, {8, 1 / 8.0}, {9.5, 1 / 9.5 / 32}, {10.1, 1 / 10.1},
        {9.5, 1 / 9.5} /* it was passed */};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        concurrency.limit = cases[i].limit;
        concurrency_on_success(&concurrency, 10, 100, MS, 2 * S);
        cr_expect_float_eq(concurrency.limit - cases[i].limit, cases[i].step, 1e-9, "case %zu", i);
    }
}

Test(concurrency, slow_start_reaches_the_cap_in_a_logarithm_of_round_trips)
{
    static const unsigned caps[] = {1, 4, 5, 32, 100, 512, 1024};
    for (size_t i = 0; i < ARRAY_LENGTH(caps); i++) {
        struct simulation *simulation =
            new_simulation(caps[i], (struct client){.latency_us = 10 * MS});
        int64_t rounds = 0;
        for (unsigned limit = 4; limit < caps[i]; limit *= 2)
            rounds++;
        run_until(simulation, (rounds + 1) * 10 * MS);
        cr_expect_eq(limit_of(simulation), caps[i], "cap %u: %u", caps[i], limit_of(simulation));
        cr_expect_eq(simulation->failed, 0);
    }
}

Test(concurrency, limit_finds_the_capacity_of_a_client)
{
    static const unsigned capacities[] = {1, 2, 4, 8, 16, 50, 200};
    static const int64_t latencies_us[] = {1 * MS, 20 * MS, 300 * MS};
    for (size_t c = 0; c < ARRAY_LENGTH(capacities); c++)
        for (size_t l = 0; l < ARRAY_LENGTH(latencies_us); l++) {
            unsigned capacity = capacities[c];
            struct simulation *simulation = new_simulation(1024,
                (struct client){
                    .latency_us = latencies_us[l], .capacity = capacity, .noise_percent = 10});
            run_until(simulation, latencies_us[l] * 400 + 2 * S);
            uint64_t within = 0, samples = 0;
            unsigned least = UINT32_MAX, most = 0;
            for (; samples < 20000; samples++) {
                step(simulation);
                unsigned limit = limit_of(simulation);
                within += 2 * limit >= capacity && limit <= 2 * capacity;
                least = limit < least ? limit : least;
                most = limit > most ? limit : most;
            }
            cr_expect(
                within >= samples * 95 / 100 && 4 * least >= capacity && most <= 2 * capacity + 1,
                "capacity %u, %lld us: %u to %u, %llu samples of %llu within", capacity,
                (long long)latencies_us[l], least, most, (unsigned long long)within,
                (unsigned long long)samples);
            cr_expect(simulation->failed * 16 < simulation->succeeded + 50,
                "capacity %u, %lld us: %llu of %llu failed", capacity, (long long)latencies_us[l],
                (unsigned long long)simulation->failed, (unsigned long long)simulation->succeeded);
        }
}

Test(concurrency, a_client_that_hangs_holds_one_attempt_soon)
{
    struct simulation *simulation = new_simulation(32, (struct client){.latency_us = 5 * MS});
    run_until(simulation, S);
    cr_assert_eq(limit_of(simulation), 32);
    simulation->client.hangs = true;
    run_until(simulation, 7 * S);
    cr_expect_eq(limit_of(simulation), 1, "%u", limit_of(simulation));

    simulation = new_simulation(32, (struct client){.hangs = true}); /* a new endpoint */
    run_until(simulation, 3 * S);
    cr_expect_eq(limit_of(simulation), 1, "%u", limit_of(simulation));
    cr_expect_leq(simulation->in_flight, 4);
    run_until(simulation, 600 * S);
    cr_expect_gt(simulation->failed, 20, "it is still tried, once in each timeout");
}

Test(concurrency, a_client_that_comes_back_is_at_its_cap_again)
{
    struct simulation *simulation = new_simulation(32, (struct client){.latency_us = 5 * MS});
    run_until(simulation, S);
    simulation->client.hangs = true;
    run_until(simulation, 120 * S);
    simulation->client.hangs = false;
    uint64_t failed = simulation->failed;
    while (simulation->failed == failed)
        step(simulation); /* the last one that hung */
    struct concurrency before = simulation->concurrency;
    concurrency_restart(&simulation->concurrency);
    cr_expect_eq(limit_of(simulation), 1);
    cr_expect(simulation->concurrency.slow_start);
    cr_expect_eq(simulation->concurrency.usual_us, before.usual_us);
    run_until(simulation, simulation->now_us + 7 * 5 * MS);
    cr_expect_eq(limit_of(simulation), 32, "%u", limit_of(simulation));
}

Test(concurrency, a_slow_but_steady_client_reaches_the_cap)
{
    struct simulation *simulation =
        new_simulation(32, (struct client){.latency_us = 20 * S, .noise_percent = 20});
    run_until(simulation, 200 * S);
    cr_expect_eq(limit_of(simulation), 32, "%u", limit_of(simulation));
    run_until(simulation, 2000 * S);
    cr_expect_eq(limit_of(simulation), 32, "%u", limit_of(simulation));

    /* One that was quick before. */
    simulation = new_simulation(32, (struct client){.latency_us = 1 * MS, .noise_percent = 20});
    run_until(simulation, 10 * S);
    simulation->client.latency_us = 20 * S;
    run_until(simulation, 1200 * S);
    cr_expect_eq(limit_of(simulation), 32, "%u", limit_of(simulation));
}

Test(concurrency, noise_of_a_quick_client_does_not_cut)
{
    struct simulation *simulation =
        new_simulation(32, (struct client){.latency_us = 1 * MS, .noise_percent = 50});
    for (int i = 0; i < 200000; i++)
        step(simulation);
    cr_expect_eq(simulation->concurrency.cut_mono_us, INT64_MIN);
    cr_expect_eq(limit_of(simulation), 32);
}

Test(concurrency, limit_is_within_its_bounds_whatever_happens)
{
    uint64_t random = 7;
    struct concurrency concurrency;
    concurrency_init(&concurrency);
    int64_t now_us = 0;
    for (int i = 0; i < 500000; i++) {
        unsigned cap = 1U << random_between(&random, 0, 10);
        unsigned in_flight = (unsigned)random_between(&random, 0, 2000);
        now_us += random_between(&random, 0, 1) ? 0 : random_between(&random, 0, 10 * MS);
        switch (random_between(&random, 0, 99)) {
        case 0:
            concurrency_on_late(&concurrency, in_flight, now_us);
            break;
        case 1:
        case 2:
            concurrency_on_failure(&concurrency, random_between(&random, 0, S), now_us);
            break;
        case 3:
            if (random_between(&random, 0, 9) == 0)
                concurrency_restart(&concurrency);
            break;
        default:
            concurrency_on_success(&concurrency, in_flight + 1, cap,
                random_between(&random, 0, 2) ? random_between(&random, -5, 5 * MS)
                                              : random_between(&random, 0, 90 * S),
                now_us);
            cr_assert_leq(concurrency.limit, cap);
        }
        cr_assert(concurrency.limit >= 1 && concurrency.usual_us >= 0);
        unsigned limit = concurrency_limit(&concurrency, cap);
        cr_assert(limit >= 1 && limit <= cap);
    }
}
