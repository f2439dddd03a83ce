/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson's *_set_new functions take ownership of the new value, also when they fail, and accept
 * NULL. So the writers do not check each step. The end checks that the required members are there.
 */
#include "model/event_id.h"
#include "verdict/report.h"
#include "verdict/report_lists.h"
#include "verdict/usage.h"

#include <stdlib.h>

#define REAL_DIGITS 6

static void set_count(json_t *object, const char *name, uint64_t count)
{
    json_object_set_new(object, name, json_integer((json_int_t)count));
}

static void set_real(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, json_real(value));
}

static void set_micros(json_t *object, const char *name, micros_sum micros)
{
    char text[MICROS_TEXT_BYTES];
    micros_format(micros, text);
    json_object_set_new(object, name, json_string(text));
}

static json_t *times_json(const struct histogram *times)
{
    json_t *object = json_object();
    set_count(object, "count", times->count);
    set_count(object, "p50_us", (uint64_t)histogram_percentile(times, 50));
    set_count(object, "p90_us", (uint64_t)histogram_percentile(times, 90));
    set_count(object, "p99_us", (uint64_t)histogram_percentile(times, 99));
    set_count(object, "p99_9_us", (uint64_t)histogram_percentile(times, 99.9));
    set_count(object, "max_us", (uint64_t)times->max_us);
    set_real(object, "mean_us", histogram_mean_us(times));
    return object;
}

/* {"200": 17, ...}: the statuses that occurred. */
static json_t *statuses_json(const uint64_t statuses[STATUSES_MAX])
{
    json_t *object = json_object();
    for (unsigned status = 0; status < STATUSES_MAX; status++) {
        char name[16];
        snprintf(name, sizeof name, "%u", status);
        if (statuses[status])
            set_count(object, name, statuses[status]);
    }
    return object;
}

static json_t *lost_json(const struct lost_event *lost)
{
    char key[RUN_NAME_BYTES + 24], id[EVENT_ID_TEXT_BYTES];
    json_t *object = json_object();
    snprintf(key, sizeof key, "%s-%llu", lost->run, (unsigned long long)lost->number);
    json_object_set_new(object, "key", json_string(key));
    if (!keys_is_zero_id(lost->event)) {
        struct event_id event;
        memcpy(event.bytes, lost->event, sizeof event.bytes);
        event_id_format(&event, id);
        json_object_set_new(object, "event", json_string(id));
    }
    json_object_set_new(object, "why", json_string(lost_why_text(lost->why)));
    return object;
}

static json_t *events_json(const struct figures *figures)
{
    const struct fate *fate = &figures->fate;
    json_t *object = json_object(), *states = json_object(), *named = json_array();
    set_count(object, "sent", fate->sent);
    set_count(object, "answered", fate->answered);
    set_count(object, "accepted", fate->accepted);
    set_count(object, "taken_without_200", fate->unanswered);
    set_count(object, "delivered", fate->delivered);
    set_real(object, "delivered_share", figures_delivered_share(figures));
    for (unsigned state = 0; state < DELIVERY_STATES; state++)
        set_count(states, delivery_state_name((enum delivery_state)state), fate->states[state]);
    json_object_set_new(object, "states", figures->has_journal ? states : json_null());
    if (!figures->has_journal)
        json_decref(states);
    set_count(object, "lost", fate->lost);
    set_count(object, "lost_not_in_journal", fate->lost_by[LOST_NOT_IN_JOURNAL]);
    set_count(object, "lost_without_delivery", fate->lost_by[LOST_WITHOUT_DELIVERY]);
    set_count(object, "lost_not_at_sink", fate->lost_by[LOST_NOT_AT_SINK]);
    set_count(object, "lost_never_delivered", fate->lost_by[LOST_NEVER_DELIVERED]);
    for (size_t i = 0; i < fate->lost_named_count; i++)
        json_array_append_new(named, lost_json(&fate->lost_named[i]));
    json_object_set_new(object, "lost_named", named);
    return object;
}

static json_t *answers_json(const struct figures *figures)
{
    const struct answers *answers = &figures->answers;
    json_t *object = json_object(), *kinds = json_object();
    set_count(object, "sendings", answers->sendings);
    set_count(object, "again", answers->again);
    set_count(object, "said_yes", answers->said_yes);
    for (unsigned kind = 0; kind < LOAD_KINDS; kind++) {
        json_t *row = json_object();
        for (unsigned end = 0; end < LOAD_ENDS; end++)
            set_count(row, report_end_name((enum load_end)end), answers->ends[kind][end]);
        json_object_set_new(row, "statuses", statuses_json(answers->statuses[kind]));
        json_object_set_new(kinds, report_kind_name((enum load_kind)kind), row);
    }
    json_object_set_new(object, "kinds", kinds);
    json_object_set_new(object, "first_answers", times_json(&answers->times));
    set_count(object, "errors", answers->errors);
    set_real(object, "error_share", figures_error_share(figures));
    set_real(object, "availability", figures_availability(figures));
    set_real(object, "per_second", figures_in_per_second(figures));
    return object;
}

static json_t *acceptance_json(const struct acceptance *acceptance)
{
    json_t *object = json_object();
    set_count(object, "two_ids", acceptance->two_ids);
    set_count(object, "shared_ids", acceptance->shared_ids);
    set_count(object, "two_amounts", acceptance->two_amounts);
    set_count(object, "invalid_accepted", acceptance->invalid_accepted);
    set_count(object, "refused", acceptance->refused);
    set_count(object, "odd_answers", acceptance->odd_answers);
    set_count(object, "late_aliases", acceptance->late_aliases);
    set_count(object, "late_conflicts", acceptance->late_conflicts);
    return object;
}

static json_t *arrivals_json(const struct figures *figures)
{
    const struct arrivals *arrivals = &figures->arrivals;
    json_t *object = json_object(), *deeds = json_object();
    set_count(object, "requests", arrivals->requests);
    set_count(object, "answered_2xx", arrivals->successes);
    json_object_set_new(object, "statuses", statuses_json(arrivals->statuses));
    for (unsigned deed = 0; deed < SINK_DEEDS; deed++)
        set_count(deeds, report_deed_name((enum sink_deed)deed), arrivals->deeds[deed]);
    json_object_set_new(object, "deeds", deeds);
    set_count(object, "duplicated", arrivals->duplicated);
    set_count(object, "guarded_duplicated", arrivals->guarded_duplicated);
    set_count(object, "given_up_then_done", arrivals->overlapping);
    set_count(object, "wrong_attempts", arrivals->wrong_attempts);
    set_count(object, "wrong_bytes", arrivals->wrong_bytes);
    set_count(object, "wrong_signatures", arrivals->wrong_signatures);
    set_count(object, "unchecked_signatures", arrivals->unchecked_signatures);
    set_count(object, "unknown", arrivals->unknown);
    set_count(object, "unknown_in_journal", arrivals->unknown_in_journal);
    set_count(object, "of_other_runs", arrivals->foreign);
    json_object_set_new(object, "freshness", times_json(&arrivals->freshness));
    set_real(object, "per_second", figures_out_per_second(figures));
    return object;
}

static json_t *money_json(const struct figures *figures)
{
    json_t *object = json_object(), *currencies = json_object();
    set_count(object, "wrong_amounts", figures->wrong_amounts);
    for (unsigned i = 0; i < figures->money_count; i++) {
        const struct money *money = &figures->money[i];
        json_t *row = json_object(), *states = json_object();
        set_micros(row, "accepted", money->accepted);
        set_micros(row, "delivered", money->delivered);
        set_micros(row, "held", money->held);
        set_micros(row, "taken_without_200", money->unanswered);
        for (unsigned state = 0; state < DELIVERY_STATES; state++)
            set_micros(
                states, delivery_state_name((enum delivery_state)state), money->journal[state]);
        json_object_set_new(row, "journal", states);
        json_object_set_new(row, "adds_up", json_boolean(figures_money_adds_up(figures, money)));
        json_object_set_new(currencies, *money->currency ? money->currency : "none", row);
    }
    json_object_set_new(object, "currencies", currencies);
    return object;
}

static json_t *usage_json(const struct figures *figures)
{
    if (!figures->usage.is_given)
        return json_null();
    json_t *object = json_object();
    for (unsigned i = 0; i < USAGE_PROCESSES; i++) {
        const struct usage_row *usage = &figures->usage.processes[i];
        json_t *row = json_object();
        if (usage->has_cpu) {
            set_real(row, "cpu_seconds", usage->cpu_seconds);
            set_real(row, "cpu_seconds_per_million",
                figures_cpu_per_million(figures, (enum usage_process)i));
        }
        if (usage->has_rss)
            set_count(row, "peak_rss_bytes", (uint64_t)usage->peak_rss_bytes);
        if (usage->has_syncs) {
            set_count(row, "syncs", (uint64_t)usage->syncs);
            if (figures->fate.accepted)
                set_real(
                    row, "syncs_per_event", (double)usage->syncs / (double)figures->fate.accepted);
        }
        json_object_set_new(object, usage_process_name((enum usage_process)i), row);
    }
    if (figures->usage.started_us && figures->usage.ended_us)
        set_real(
            object, "seconds", (double)(figures->usage.ended_us - figures->usage.started_us) / 1e6);
    return object;
}

/* Null for SUBSET_NEVER. */
static void set_moment(json_t *object, const char *name, int64_t us)
{
    json_object_set_new(object, name, us == SUBSET_NEVER ? json_null() : json_integer(us));
}

static json_t *subset_json(const struct subset *subset)
{
    json_t *object = json_object(), *per_second = json_array();
    set_count(object, "events", subset->events);
    set_count(object, "delivered", subset->delivered);
    set_count(object, "not_delivered", subset->events - subset->delivered);
    json_object_set_new(object, "freshness", times_json(&subset->freshness));
    json_object_set_new(object, "answers", times_json(&subset->answers));
    set_moment(object, "first_delivered_us", subset->first_us);
    set_moment(object, "last_delivered_us", subset->last_us);
    set_moment(object, "slowest_account_starts_us", subset_slowest_start_us(subset));
    for (int64_t second = 0; subset->delivered > 0 && second <= subset->last_us / 1000000 &&
                             second < SUBSET_SECONDS_MAX;
         second++)
        json_array_append_new(per_second, json_integer(subset->per_second[second]));
    json_object_set_new(object, "delivered_per_second", per_second);
    json_object_set_new(object, "met", json_boolean(subset_is_met(subset)));
    return object;
}

static json_t *subsets_json(const struct figures *figures)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < figures->subsets_count; i++)
        json_object_set_new(
            object, figures->subsets[i].spec.name, subset_json(&figures->subsets[i]));
    return object;
}

static const char *const parts[] = {"verdict", "reasons", "events", "answers", "acceptance",
    "arrivals", "money", "usage", "subsets", "levels", "impact", "series", "distributions"};

/* The members for plots have thousands of numbers, so they are in one line. */
static enum err write_parts(FILE *out, json_t *root)
{
    json_t *plots = json_pack("{s:O, s:O}", "series", json_object_get(root, "series"),
        "distributions", json_object_get(root, "distributions"));
    json_object_del(root, "series");
    json_object_del(root, "distributions");
    char *head = json_dumps(root, JSON_INDENT(2));
    char *tail = json_dumps(plots, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    enum err result = ERR_NO_MEMORY;
    if (head && tail) {
        head[strlen(head) - 2] = '\0'; /* without the "\n}" */
        result =
            fprintf(out, "%s,\n  %s\n", head, tail + 1) > 0 && fflush(out) == 0 ? OK : ERR_DISK;
    }
    free(head);
    free(tail);
    json_decref(plots);
    return result;
}

enum err report_json(FILE *out, const struct figures *figures, const struct levels *levels)
{
    json_t *root = json_object(), *reasons = json_array();
    json_object_set_new(root, "verdict", json_string(figures->reasons_count ? "FAIL" : "PASS"));
    for (size_t i = 0; i < figures->reasons_count; i++)
        json_array_append_new(reasons, json_string(figures->reasons[i]));
    json_object_set_new(root, "reasons", reasons);
    json_object_set_new(root, "has_journal", json_boolean(figures->has_journal));
    json_object_set_new(root, "events", events_json(figures));
    json_object_set_new(root, "answers", answers_json(figures));
    json_object_set_new(root, "acceptance", acceptance_json(&figures->acceptance));
    json_object_set_new(root, "arrivals", arrivals_json(figures));
    json_object_set_new(root, "money", money_json(figures));
    json_object_set_new(root, "usage", usage_json(figures));
    json_object_set_new(root, "subsets", subsets_json(figures));
    json_object_set_new(root, "levels", report_levels_json(figures, levels));
    json_object_set_new(root, "impact", report_impact_json(figures));
    json_object_set_new(root, "series", report_series_json(&figures->series));
    json_object_set_new(root, "distributions", report_distributions_json(figures));
    enum err result = OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!json_object_get(root, parts[i]))
            result = ERR_NO_MEMORY;
    if (!result)
        result = write_parts(out, root);
    json_decref(root);
    return result;
}
