/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/report.h"

#include "model/event_id.h"
#include "verdict/checks.h"
#include "verdict/usage.h"

#include <inttypes.h>

#define LABEL "  %-26s"
#define MIB (1024.0 * 1024.0)
#define SECOND_US 1e6

const char *report_kind_name(enum load_kind kind)
{
    static const char *const names[LOAD_KINDS] = {[LOAD_FRESH] = "fresh",
        [LOAD_DUPLICATE] = "duplicate",
        [LOAD_CONFLICT] = "conflict",
        [LOAD_INVALID] = "invalid"};
    return names[kind];
}

const char *report_end_name(enum load_end end)
{
    static const char *const names[LOAD_ENDS] = {[LOAD_ANSWERED] = "answered",
        [LOAD_TIMED_OUT] = "timed_out",
        [LOAD_BROKEN] = "broken",
        [LOAD_UNFINISHED] = "unfinished"};
    return names[end];
}

const char *report_deed_name(enum sink_deed deed)
{
    static const char *const names[SINK_DEEDS] = {[SINK_ANSWERED] = "answered",
        [SINK_DROPPED] = "dropped",
        [SINK_CUT_SHORT] = "cut_short",
        [SINK_NEVER_ENDED] = "never_ended"};
    return names[deed];
}

static void print_count(FILE *out, const char *label, uint64_t count)
{
    fprintf(out, LABEL "%14" PRIu64 "\n", label, count);
}

static void print_share(FILE *out, const char *label, double share)
{
    fprintf(out, LABEL "%14.4f %%\n", label, share * 100);
}

static void print_times(FILE *out, const char *label, const struct histogram *times)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};
    char text[LEVEL_TEXT_BYTES];
    fprintf(out, LABEL, label);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        levels_format_duration((double)histogram_percentile(times, points[i].percent), text);
        fprintf(out, "%s %-10s", points[i].name, text);
    }
    levels_format_duration((double)times->max_us, text);
    fprintf(out, "max %s\n", text);
}

static void print_row(FILE *out, const char *label, const uint64_t counts[LOAD_KINDS])
{
    fprintf(out, LABEL, label);
    for (unsigned kind = 0; kind < LOAD_KINDS; kind++)
        fprintf(out, "%12" PRIu64, counts[kind]);
    fputc('\n', out);
}

/* Prints a row for each status and each other end that occurred, and a column for each kind. */
static void print_statuses(FILE *out, const struct answers *answers)
{
    fprintf(out, LABEL, "status");
    for (unsigned kind = 0; kind < LOAD_KINDS; kind++)
        fprintf(out, "%12s", report_kind_name((enum load_kind)kind));
    fputc('\n', out);
    for (unsigned status = 0; status < STATUSES_MAX; status++) {
        char label[16];
        uint64_t counts[LOAD_KINDS], sum = 0;
        for (unsigned kind = 0; kind < LOAD_KINDS; kind++)
            sum += counts[kind] = answers->statuses[kind][status];
        snprintf(label, sizeof label, "  %u", status);
        if (sum)
            print_row(out, label, counts);
    }
    for (unsigned end = LOAD_TIMED_OUT; end < LOAD_ENDS; end++) {
        char label[32];
        uint64_t counts[LOAD_KINDS], sum = 0;
        for (unsigned kind = 0; kind < LOAD_KINDS; kind++)
            sum += counts[kind] = answers->ends[kind][end];
        snprintf(label, sizeof label, "  %s", report_end_name((enum load_end)end));
        if (sum)
            print_row(out, label, counts);
    }
}

static void print_answers(FILE *out, const struct figures *figures)
{
    const struct answers *answers = &figures->answers;
    const struct acceptance *acceptance = &figures->acceptance;
    fputs("Answers\n", out);
    print_count(out, "sendings", answers->sendings);
    print_count(out, "of which re-sends", answers->again);
    print_statuses(out, answers);
    print_times(out, "first answers", &answers->times);
    print_share(out, "errors", figures_error_share(figures));
    print_share(out, "availability", figures_availability(figures));
    fprintf(out, LABEL "%14.1f /s\n", "200s", figures_in_per_second(figures));
    fputs("Acceptance\n", out);
    print_count(out, "two ids for one key", acceptance->two_ids);
    print_count(out, "one id for two keys", acceptance->shared_ids);
    print_count(out, "two amounts for one key", acceptance->two_amounts);
    print_count(out, "invalid accepted", acceptance->invalid_accepted);
    print_count(out, "valid rejected", acceptance->refused);
    print_count(out, "unclear 200s", acceptance->odd_answers);
    if (acceptance->late_aliases + acceptance->late_conflicts > 0) {
        print_count(out, "late duplicates, aliases", acceptance->late_aliases);
        print_count(out, "late conflicts, parked", acceptance->late_conflicts);
    }
}

static void print_lost(FILE *out, const struct lost_event *lost)
{
    char id[EVENT_ID_TEXT_BYTES] = "no event id";
    struct event_id event;
    if (!keys_is_zero_id(lost->event)) {
        memcpy(event.bytes, lost->event, sizeof event.bytes);
        event_id_format(&event, id);
    }
    fprintf(
        out, "    %s-%" PRIu64 "  %s  %s\n", lost->run, lost->number, id, lost_why_text(lost->why));
}

static void print_fate(FILE *out, const struct figures *figures)
{
    const struct fate *fate = &figures->fate;
    fputs("Events\n", out);
    print_count(out, "sent", fate->sent);
    print_count(out, "accepted", fate->accepted);
    print_count(out, "accepted without a 200", fate->unanswered);
    print_count(out, "delivered", fate->delivered);
    print_share(out, "delivered share", figures_delivered_share(figures));
    for (unsigned state = 0; figures->has_journal && state < DELIVERY_STATES; state++) {
        char label[32];
        snprintf(
            label, sizeof label, "journal: %s", delivery_state_name((enum delivery_state)state));
        print_count(out, label, fate->states[state]);
    }
    print_count(out, "lost", fate->lost);
    for (size_t i = 0; i < fate->lost_named_count; i++)
        print_lost(out, &fate->lost_named[i]);
    if (fate->lost > fate->lost_named_count)
        fprintf(out, "    and %" PRIu64 " more\n", fate->lost - fate->lost_named_count);
}

static void print_arrivals(FILE *out, const struct figures *figures)
{
    const struct arrivals *arrivals = &figures->arrivals;
    fputs("Arrivals\n", out);
    print_count(out, "requests", arrivals->requests);
    print_count(out, "answered 2xx", arrivals->successes);
    for (unsigned status = 0; status < STATUSES_MAX; status++) {
        char label[16];
        snprintf(label, sizeof label, "  status %u", status);
        if (arrivals->statuses[status])
            print_count(out, label, arrivals->statuses[status]);
    }
    for (unsigned deed = SINK_DROPPED; deed < SINK_DEEDS; deed++)
        print_count(out, report_deed_name((enum sink_deed)deed), arrivals->deeds[deed]);
    print_count(out, "duplicated", arrivals->duplicated);
    print_count(out, "of which guarded", arrivals->guarded_duplicated);
    print_count(out, "re-sent after give-up", arrivals->overlapping);
    print_count(out, "wrong attempt numbers", arrivals->wrong_attempts);
    print_count(out, "wrong bytes", arrivals->wrong_bytes);
    print_count(out, "wrong signatures", arrivals->wrong_signatures);
    print_count(out, "unchecked signatures", arrivals->unchecked_signatures);
    print_count(out, "unknown", arrivals->unknown);
    print_count(out, "unknown in the journal", arrivals->unknown_in_journal);
    print_count(out, "of other runs", arrivals->foreign);
    print_times(out, "freshness", &arrivals->freshness);
    fprintf(out, LABEL "%14.1f /s\n", "2xx", figures_out_per_second(figures));
}

static void print_micros(FILE *out, const char *label, micros_sum micros)
{
    char text[MICROS_TEXT_BYTES];
    micros_format(micros, text);
    fprintf(out, "    %-24s%24s\n", label, text);
}

static void print_money(FILE *out, const struct figures *figures)
{
    fputs("Money\n", out);
    print_count(out, "events, wrong amount", figures->wrong_amounts);
    for (unsigned i = 0; i < figures->money_count; i++) {
        const struct money *money = &figures->money[i];
        if (!*money->currency && !money->accepted && !money->delivered &&
            !figures_journal_sum(money))
            continue;
        fprintf(out, "  %s%s\n", *money->currency ? money->currency : "no currency",
            figures_money_adds_up(figures, money) ? "" : "  does not add up");
        print_micros(out, "accepted", money->accepted);
        print_micros(out, "delivered", money->delivered);
        print_micros(out, "held", money->held);
        for (unsigned state = 0; figures->has_journal && state < DELIVERY_STATES; state++) {
            char label[32];
            snprintf(label, sizeof label, "journal: %s",
                delivery_state_name((enum delivery_state)state));
            if (money->journal[state])
                print_micros(out, label, money->journal[state]);
        }
        if (money->unanswered)
            print_micros(out, "accepted without a 200", money->unanswered);
    }
}

static void print_usage(FILE *out, const struct figures *figures)
{
    if (!figures->usage.is_given)
        return;
    fputs("Usage\n", out);
    for (unsigned i = 0; i < USAGE_PROCESSES; i++) {
        const struct usage_row *row = &figures->usage.processes[i];
        if (!row->has_cpu && !row->has_rss && !row->has_syncs)
            continue;
        fprintf(out, LABEL, usage_process_name((enum usage_process)i));
        if (row->has_cpu)
            fprintf(out, "%10.2f CPU s  %10.2f CPU s per million", row->cpu_seconds,
                figures_cpu_per_million(figures, (enum usage_process)i));
        if (row->has_rss)
            fprintf(out, "  %10.1f MiB", (double)row->peak_rss_bytes / MIB);
        if (row->has_syncs)
            fprintf(out, "  %10.4f fsyncs per event",
                figures->fate.accepted ? (double)row->syncs / (double)figures->fate.accepted : 0.0);
        fputc('\n', out);
    }
}

static void print_subsets(FILE *out, const struct figures *figures)
{
    if (figures->subsets_count > 0)
        fputs("Subsets\n", out);
    for (unsigned i = 0; i < figures->subsets_count; i++) {
        const struct subset *subset = &figures->subsets[i];
        fprintf(out, LABEL "%14" PRIu64 " events, %" PRIu64 " not delivered%s\n", subset->spec.name,
            subset->events, subset->events - subset->delivered,
            subset_is_met(subset) ? "" : "  missed");
        print_times(out, "  answers", &subset->answers);
        print_times(out, "  freshness", &subset->freshness);
        if (subset->delivered == 0)
            continue;
        fprintf(out, LABEL "%.3f s to %.3f s after the first event was due\n", "  delivered",
            (double)subset->first_us / SECOND_US, (double)subset->last_us / SECOND_US);
    }
}

static void print_check(FILE *out, const struct check *check)
{
    char value[LEVEL_TEXT_BYTES], target[CHECK_TARGET_BYTES];
    const char *result = !check->has_target ? "" : check->is_passed ? "PASS" : "FAIL";
    check_format_value(check, value);
    check_format_target(check, target);
    fprintf(out, "  %-4s  %-36s %14s  %s\n", result, check->title, value, target);
}

static void print_summary(FILE *out, const struct figures *figures, const struct levels *levels)
{
    struct check checks[CHECKS_MAX];
    size_t count = checks_list(figures, levels, checks);
    fputs("Service levels\n", out);
    for (size_t i = 0; i < count; i++)
        print_check(out, &checks[i]);
    fprintf(out, "\n%s\n", figures->reasons_count ? "FAIL" : "PASS");
    for (size_t i = 0; i < figures->reasons_count; i++)
        fprintf(out, "%s\n", figures->reasons[i]);
    fputs("\nImpact\n", out);
    for (unsigned i = 0; i < IMPACTS; i++) {
        char sentence[IMPACT_SENTENCE_BYTES];
        impact_sentence(figures, (enum impact)i, sentence);
        fprintf(out, "  %s\n", sentence);
    }
}

enum err report_text(
    FILE *out, const struct figures *figures, const struct levels *levels, bool with_summary)
{
    print_fate(out, figures);
    print_answers(out, figures);
    print_arrivals(out, figures);
    print_money(out, figures);
    print_usage(out, figures);
    print_subsets(out, figures);
    if (with_summary)
        print_summary(out, figures, levels);
    return fflush(out) == 0 && !ferror(out) ? OK : ERR_DISK;
}
