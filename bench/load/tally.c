/* SPDX-License-Identifier: Apache-2.0 */
#include "load/tally.h"

#include <inttypes.h>
#include <string.h>

#define LATE_P99_MAX_US 2000 /* beyond this an open loop measures its own delay */
#define BUSY_SHARE_MAX 0.95  /* of a closed loop's threads */

void tally_record(struct tally *tally, const struct load_record *record, bool counts)
{
    tally->ends[record->end]++;
    if (record->sending == 0)
        tally->events++;
    else
        tally->resends++;
    if (counts && record->sending == 0) /* without an answer: the time until it was given up */
        histogram_add(&tally->answers, record->ended_us - record->intended_us);
    if (record->end != LOAD_ANSWERED)
        return;
    tally->statuses[record->status < TALLY_STATUS_MAX ? record->status : 0]++;
    tally->accepted += record->answer == LOAD_SAID_ACCEPTED;
    tally->duplicates += record->answer == LOAD_SAID_DUPLICATE;
    bool ok = record->answer != LOAD_SAID_NOTHING;
    tally->ok += ok;
    if (!counts || !ok)
        return;
    if (tally->counted_ok++ == 0 || record->intended_us < tally->counted_from_us)
        tally->counted_from_us = record->intended_us;
    if (record->ended_us > tally->counted_to_us)
        tally->counted_to_us = record->ended_us;
}

void tally_merge(struct tally *into, const struct tally *from)
{
    histogram_merge(&into->answers, &from->answers);
    histogram_merge(&into->late, &from->late);
    into->events += from->events;
    into->resends += from->resends;
    for (unsigned i = 0; i <= LOAD_UNFINISHED; i++)
        into->ends[i] += from->ends[i];
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        into->statuses[i] += from->statuses[i];
    into->accepted += from->accepted;
    into->duplicates += from->duplicates;
    into->ok += from->ok;
    into->waited_for_stream += from->waited_for_stream;
    into->reconnects += from->reconnects;
    if (from->counted_ok > 0) {
        if (into->counted_ok == 0 || from->counted_from_us < into->counted_from_us)
            into->counted_from_us = from->counted_from_us;
        if (from->counted_to_us > into->counted_to_us)
            into->counted_to_us = from->counted_to_us;
    }
    into->counted_ok += from->counted_ok;
    into->cpu_seconds += from->cpu_seconds;
    if (from->wall_seconds > into->wall_seconds)
        into->wall_seconds = from->wall_seconds;
}

const char *tally_bottleneck(const struct tally *tally, unsigned threads, bool closed)
{
    if (tally->wall_seconds > 0 &&
        tally->cpu_seconds / (tally->wall_seconds * threads) > BUSY_SHARE_MAX)
        return "its threads were busy all the time: use more of them, or a separate machine";
    if (!closed && histogram_percentile(&tally->late, 99) > LATE_P99_MAX_US)
        return "it sent more than 1 % of the events over 2 ms late: use more threads, or a "
               "separate "
               "machine";
    return NULL;
}

static double rate_of(const struct tally *tally)
{
    double seconds = (double)(tally->counted_to_us - tally->counted_from_us) / 1e6;
    return seconds > 0 ? (double)tally->counted_ok / seconds : 0;
}

static void print_histogram_json(FILE *file, const char *name, const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double percent;
    } rows[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}, {"max", 100}};
    fprintf(file, "\"%s\":{\"count\":%" PRIu64 ",\"mean_us\":%.1f", name, histogram->count,
        histogram_mean_us(histogram));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fprintf(file, ",\"%s_us\":%" PRId64, rows[i].name,
            histogram_percentile(histogram, rows[i].percent));
    fputc('}', file);
}

static void print_json(
    const struct tally *tally, const char *run, unsigned threads, bool closed, FILE *file)
{
    const char *bottleneck = tally_bottleneck(tally, threads, closed);
    fprintf(file,
        "{\"run\":\"%s\",\"events\":%" PRIu64 ",\"resends\":%" PRIu64 ",\"accepted\":%" PRIu64
        ",\"duplicates\":%" PRIu64 ",\"rate_ok\":%.1f,\"waited_for_stream\":%" PRIu64
        ",\"reconnects\":%" PRIu64
        ",\"cpu_seconds\":%.3f,\"wall_seconds\":%.3f,\"bottleneck\":%s%s%s,",
        run, tally->events, tally->resends, tally->accepted, tally->duplicates, rate_of(tally),
        tally->waited_for_stream, tally->reconnects, tally->cpu_seconds, tally->wall_seconds,
        bottleneck ? "\"" : "", bottleneck ? bottleneck : "null", bottleneck ? "\"" : "");
    fprintf(file,
        "\"ends\":{\"answered\":%" PRIu64 ",\"timed_out\":%" PRIu64 ",\"broken\":%" PRIu64
        ",\"unfinished\":%" PRIu64 "},\"statuses\":{",
        tally->ends[LOAD_ANSWERED], tally->ends[LOAD_TIMED_OUT], tally->ends[LOAD_BROKEN],
        tally->ends[LOAD_UNFINISHED]);
    const char *comma = "";
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        if (tally->statuses[i] > 0) {
            fprintf(file, "%s\"%u\":%" PRIu64, comma, i, tally->statuses[i]);
            comma = ",";
        }
    }
    fputs("},", file);
    print_histogram_json(file, "answers", &tally->answers);
    fputc(',', file);
    print_histogram_json(file, "late", &tally->late);
    fputs("}\n", file);
}

static void print_text(
    const struct tally *tally, const char *run, unsigned threads, bool closed, FILE *file)
{
    const struct histogram *answers = &tally->answers, *late = &tally->late;
    const char *bottleneck = tally_bottleneck(tally, threads, closed);
    fprintf(file, "run       %s: %" PRIu64 " events and %" PRIu64 " re-sends in %.1f s\n", run,
        tally->events, tally->resends, tally->wall_seconds);
    fprintf(file, "answers  ");
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        if (tally->statuses[i] > 0)
            fprintf(file, " %u: %" PRIu64, i, tally->statuses[i]);
    fprintf(file, "; none: %" PRIu64 " timed out, %" PRIu64 " broken, %" PRIu64 " unfinished\n",
        tally->ends[LOAD_TIMED_OUT], tally->ends[LOAD_BROKEN], tally->ends[LOAD_UNFINISHED]);
    fprintf(file, "          %" PRIu64 " accepted, %" PRIu64 " duplicates, %.1f 200s per second\n",
        tally->accepted, tally->duplicates, rate_of(tally));
    fprintf(file, "latency   p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, max %.3f ms%s\n",
        (double)histogram_percentile(answers, 50) / 1e3,
        (double)histogram_percentile(answers, 90) / 1e3,
        (double)histogram_percentile(answers, 99) / 1e3,
        (double)histogram_percentile(answers, 99.9) / 1e3, (double)answers->max_us / 1e3,
        closed ? " (closed loop: counted from sending, without a timetable)" : "");
    fprintf(file,
        "generator p99 %.3f ms late, max %.3f ms; %" PRIu64
        " events waited for a free stream; %.1f CPU s\n",
        (double)histogram_percentile(late, 99) / 1e3, (double)late->max_us / 1e3,
        tally->waited_for_stream, tally->cpu_seconds);
    if (bottleneck)
        fprintf(file, "WARNING: the generator was the bottleneck: %s\n", bottleneck);
}

void tally_print(const struct tally *tally, const char *run, unsigned threads, bool closed,
    bool json, FILE *file)
{
    (json ? print_json : print_text)(tally, run, threads, closed, file);
}
