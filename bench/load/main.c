/* SPDX-License-Identifier: Apache-2.0 */
/* penstock-load: starts and ends the senders, and prints a line of progress each second. */
#include "base/clock.h"
#include "load/sender.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define START_AFTER_US (100 * US_PER_MS)

static struct sender_run run;

static void on_signal(int number)
{
    atomic_store(&run.stopping, true);
}

static void write_progress(struct sender **senders, FILE *file)
{
    static struct sender_progress progress, before;
    before = progress;
    progress.events = progress.answers = progress.ok = 0;
    histogram_init(&progress.latency);
    for (unsigned i = 0; i < run.options->threads; i++)
        sender_look(senders[i], &progress);
    fprintf(file,
        "{\"seconds\":%.1f,\"of\":%.1f,\"events\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"rate\":%" PRIu64
        ",\"p50_us\":%" PRId64 ",\"p99_us\":%" PRId64 "}\n",
        (double)(run_log_now_us() - run.started_us) / 1e6,
        (double)run.options->timetable.duration_us / 1e6, progress.events, progress.ok,
        progress.answers - before.answers, histogram_percentile(&progress.latency, 50),
        histogram_percentile(&progress.latency, 99));
    fflush(file);
}

static bool all_have_ended(struct sender **senders)
{
    for (unsigned i = 0; i < run.options->threads; i++)
        if (!sender_has_ended(senders[i]))
            return false;
    return true;
}

static void watch(struct sender **senders, FILE *file)
{
    for (unsigned tenths = 1; !all_have_ended(senders); tenths++) {
        usleep(100000);
        if (file && tenths % 10 == 0)
            write_progress(senders, file);
    }
}

static int complain(enum err error, const char *what)
{
    fprintf(stderr, "penstock-load: %s: %s\n", what, err_title(error));
    return err_exit_code(error);
}

static int run_senders(struct sender **senders, FILE *progress)
{
    const struct load_options *options = run.options;
    enum err result = OK;
    for (unsigned i = 0; i < options->threads; i++)
        if ((result = sender_new(&run, i, &senders[i])) != OK)
            return complain(result, "cannot start");
    for (unsigned i = 0; i < options->threads; i++)
        if ((result = sender_connect(senders[i])) != OK)
            return complain(result, options->authority);
    run.started_us = run_log_now_us() + START_AFTER_US;
    unsigned started = 0;
    for (; started < options->threads && !result; started++)
        result = sender_start(senders[started]);
    if (result)
        return complain(result, "cannot start"); /* ends the process, with all running threads */
    watch(senders, progress);
    static struct tally tally;
    for (unsigned i = 0; i < options->threads; i++) {
        sender_join(senders[i]);
        tally_merge(&tally, sender_tally(senders[i]));
    }
    bool closed =
        options->timetable.parts[options->timetable.parts_count - 1].kind == TIMETABLE_CLOSED;
    tally_print(&tally, options->mix.run, options->threads, closed, options->json, stdout);
    return EX_OK;
}

int main(int argc, char **argv)
{
    static struct load_options options;
    static struct sender *senders[LOAD_THREADS_MAX];
    enum err result = load_options_parse(argc, argv, &options);
    if (result)
        return err_exit_code(result);
    FILE *progress = NULL;
    if (options.progress_file && !(progress = fopen(options.progress_file, "a")))
        return complain(ERR_DISK, options.progress_file);
    run.options = &options;
    atomic_store(&run.closed_next, -1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    int code = run_senders(senders, progress);
    for (unsigned i = 0; code == EX_OK && i < options.threads; i++)
        if (sender_free(senders[i]) != OK)
            code = complain(ERR_DISK, options.log_file);
    if (progress)
        fclose(progress);
    load_options_done(&options);
    return code;
}
