/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulation of one shard. Random actions drive it, and a simple model checks it (after
 * TigerBeetle's simulator).
 *
 * The real code of delivery/, journal/, model/ and base/ runs in one OS thread:
 *
 *   threads   are coroutines, and time is virtual (sim.h)
 *   clients   are replaced by the driver's answers (fake_client.h)
 *   the disk  is in memory and can lose power (disk.h)
 *   a broker  is in memory (fake_broker.h); every second seed has one (rabbitmq mode)
 *
 * The seed determines posts, answers, crashes between any two steps, clock changes, disk faults
 * and operator actions (driver.h). After each step the model checks the promises P1 to P5, P7 and
 * P8 (model.h). At the end of a seed it checks that everything arrives. A failure prints its seed,
 * the broken promise and the last steps. Two runs of one seed are the same, byte for byte.
 *
 *   model                      seeds 1 to 100
 *   model --seeds 1..5000      these seeds; --jobs 2 runs two at a time
 *   model --seed 17            one seed; --trace prints all its steps
 *   model --steps 2000         longer runs (default 300)
 *   model --queue rabbitmq     a broker in all seeds; direct: in none; both (default): in every
 *                              second one
 *   model --outages            an outage in all seeds (outage.h)
 *   model --doubts             a time of doubt in all seeds (doubt.h)
 *   model --quiet              without the table of counts
 *
 * planted.py shows that the simulation finds bugs: it builds copies of this program with one bug
 * each.
 */
#include "disk.h"
#include "driver.h"
#include "runtime/thread.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define JOBS_MAX 16
#define SECONDS_PER_SEED_MAX 120 /* of real time: a run that takes longer counts as hanging */
#define SEEDS_THAT_TRY_ALL 200
#define EXIT_USAGE 64

#ifdef __SANITIZE_ADDRESS__
/* A crash leaks all memory of the run by design, and coroutines have their own stacks. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:detect_stack_use_after_return=0";
}

/* AddressSanitizer warns about swapcontext once per process. Doing it here, before the forks, keeps
 * the warning out of the children. sim.c announces each switch to the sanitizer. */
static void hear_warning(void)
{
    static ucontext_t here, unused;
    static volatile bool is_back;
    getcontext(&here);
    if (!is_back) {
        is_back = true;
        swapcontext(&unused, &here);
    }
}
#else
static void hear_warning(void)
{
}
#endif

static struct {
    unsigned long first, last;
    unsigned steps, jobs;
    bool loud, quiet;
    bool direct, rabbitmq, outages, doubts, replays;
} options = {.first = 1, .last = 100, .steps = 300, .jobs = 1, .direct = true, .rabbitmq = true};

static uint64_t *hashes; /* of the first seed, which runs twice; shared with the children */

static void run_seed(unsigned long seed, uint64_t *ret_hash)
{
    alarm(SECONDS_PER_SEED_MAX);
    trace_begin(seed, options.loud);
    bool with_broker = options.rabbitmq && (!options.direct || seed % 2 == 0);
    driver_run(seed, options.steps, with_broker, options.outages, options.doubts, options.replays);
    if (ret_hash)
        *ret_hash = trace_hash();
}

/* Runs a seed in a process of its own: what its crashes leak ends with the process. */
static pid_t begin_seed(unsigned long seed, uint64_t *ret_hash)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(71);
    }
    if (child == 0) {
        trace_catch_crashes();
        run_seed(seed, ret_hash);
        _exit(0);
    }
    return child;
}

/* Waits for one child. Returns false when its seed failed. */
static bool wait_for_one(void)
{
    int status;
    if (wait(&status) < 0) {
        perror("wait");
        exit(71);
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "a child was ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_seeds(void)
{
    unsigned in_flight = 0;
    bool well = true;
    for (unsigned long seed = options.first; seed <= options.last && well; seed++) {
        if (in_flight == options.jobs) {
            well = wait_for_one();
            in_flight--;
        }
        if (well) {
            begin_seed(seed, seed == options.first ? &hashes[0] : NULL);
            in_flight++;
        }
    }
    for (; in_flight > 0; in_flight--)
        well &= wait_for_one();
    return well;
}

static bool is_the_same_again(void)
{
    begin_seed(options.first, &hashes[1]);
    bool same = wait_for_one() && hashes[0] == hashes[1];
    if (!same)
        fprintf(stderr, "FAILED seed=%lu broken=%s: two runs of it differ\n", options.first,
            BROKEN_SIM);
    return same;
}

/* Prints the counts. Returns false when a long series of seeds left one of them at zero. */
static bool print_tally(void)
{
    unsigned long seeds = options.last - options.first + 1;
    bool complete = true;
    for (unsigned i = 0; i < TALLY_COUNT; i++) {
        unsigned long count = tally_read((enum tally)i);
        if (!options.quiet)
            printf("%10lu  %s\n", count, tally_title((enum tally)i));
        if (count == 0 && seeds >= SEEDS_THAT_TRY_ALL && options.direct && options.rabbitmq) {
            fprintf(
                stderr, "FAILED: %lu seeds never tried: %s\n", seeds, tally_title((enum tally)i));
            complete = false;
        }
    }
    printf("%lu seeds from %lu, %u steps each: no promise was broken\n", seeds, options.first,
        options.steps);
    return complete;
}

static bool read_queue(const char *text, int *ret_used)
{
    bool both = strcmp(text, "both") == 0;
    options.direct = both || strcmp(text, "direct") == 0;
    options.rabbitmq = both || strcmp(text, "rabbitmq") == 0;
    *ret_used = (int)strlen(text);
    return options.direct || options.rabbitmq;
}

static bool read_options(int argc, char **argv)
{
    static const struct option names[] = {{"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'r'}, {"steps", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'}, {"queue", required_argument, NULL, 'k'},
        {"trace", no_argument, NULL, 't'}, {"quiet", no_argument, NULL, 'q'},
        {"outages", no_argument, NULL, 'o'}, {"replays", no_argument, NULL, 'p'},
        {"doubts", no_argument, NULL, 'd'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        int used = 0;
        bool good = true;
        if (c == 's') {
            good = sscanf(optarg, "%lu%n", &options.first, &used) == 1;
            options.last = options.first;
        } else if (c == 'r') {
            good = sscanf(optarg, "%lu..%lu%n", &options.first, &options.last, &used) == 2;
        } else if (c == 'n') {
            good = sscanf(optarg, "%u%n", &options.steps, &used) == 1;
        } else if (c == 'j') {
            good = sscanf(optarg, "%u%n", &options.jobs, &used) == 1 && options.jobs > 0 &&
                   options.jobs <= JOBS_MAX;
        } else if (c == 'k') {
            good = read_queue(optarg, &used);
        } else if (c == 't') {
            options.loud = true;
        } else if (c == 'o') {
            options.outages = true;
        } else if (c == 'p') {
            options.replays = true;
        } else if (c == 'd') {
            options.doubts = true;
        } else if (c == 'q') {
            options.quiet = true;
        } else {
            return false;
        }
        if (optarg && (!good || optarg[used]))
            return false;
    }
    return optind == argc && options.first <= options.last;
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: model [--seed N | --seeds A..B] [--steps N] [--jobs N] [--queue "
                        "direct|rabbitmq|both] "
                        "[--outages] [--doubts] [--replays] [--trace] [--quiet]\n");
        return EXIT_USAGE;
    }
    hear_warning();
    tally_init();
    disk_register();
    thread_adopt_main();
    hashes =
        mmap(NULL, 2 * sizeof *hashes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (hashes == MAP_FAILED)
        return 71;
    bool well = run_seeds() && (options.loud || is_the_same_again()) && print_tally();
    return well ? 0 : 1;
}
