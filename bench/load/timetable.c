/* SPDX-License-Identifier: Apache-2.0 */
#include "load/timetable.h"

#include "common/quantity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 5
#define US 1e6
#define EVENTS_MAX 1e10

static enum err add_steady(struct timetable *timetable, double from, double to, int64_t duration_us)
{
    if (timetable->parts_count == TIMETABLE_PARTS_MAX)
        return ERR_USAGE;
    double count = (from + to) / 2 * (double)duration_us / US;
    if (count > EVENTS_MAX || duration_us <= 0)
        return ERR_USAGE;
    timetable->parts[timetable->parts_count++] = (struct timetable_part){.kind = TIMETABLE_STEADY,
        .duration_us = duration_us,
        .rate_from = from,
        .rate_to = to,
        .count = llround(count)};
    return OK;
}

static enum err add_part(struct timetable *timetable, const struct timetable_part *part)
{
    if (timetable->parts_count == TIMETABLE_PARTS_MAX || part->duration_us <= 0)
        return ERR_USAGE;
    timetable->parts[timetable->parts_count++] = *part;
    return OK;
}

/* One parser for each kind of part. It gets the part's words, without the kind itself. */

static enum err parse_constant(struct timetable *timetable, char *const words[])
{
    int64_t rate, duration_us;
    if (!quantity_parse_count(words[0], &rate) || !quantity_parse_duration(words[1], &duration_us))
        return ERR_USAGE;
    return add_steady(timetable, (double)rate, (double)rate, duration_us);
}

static enum err parse_ramp(struct timetable *timetable, char *const words[])
{
    int64_t from, to, duration_us;
    if (!quantity_parse_count(words[0], &from) || !quantity_parse_count(words[1], &to) ||
        !quantity_parse_duration(words[2], &duration_us))
        return ERR_USAGE;
    return add_steady(timetable, (double)from, (double)to, duration_us);
}

static enum err parse_step(struct timetable *timetable, char *const words[])
{
    int64_t from, to, by, duration_us;
    if (!quantity_parse_count(words[0], &from) || !quantity_parse_count(words[1], &to) ||
        !quantity_parse_count(words[2], &by) || by == 0 ||
        !quantity_parse_duration(words[3], &duration_us))
        return ERR_USAGE;
    enum err result = OK;
    int64_t direction = to >= from ? by : -by;
    for (int64_t rate = from; !result && (direction > 0 ? rate <= to : rate >= to);
         rate += direction)
        result = add_steady(timetable, (double)rate, (double)rate, duration_us);
    return result;
}

static enum err parse_burst(struct timetable *timetable, char *const words[])
{
    struct timetable_part part = {.kind = TIMETABLE_BURST};
    if (!quantity_parse_count(words[0], &part.count) ||
        !quantity_parse_duration(words[1], &part.every_us) || part.every_us == 0 ||
        !quantity_parse_duration(words[2], &part.duration_us))
        return ERR_USAGE;
    return add_part(timetable, &part);
}

static enum err parse_pause(struct timetable *timetable, char *const words[])
{
    struct timetable_part part = {.kind = TIMETABLE_PAUSE};
    if (!quantity_parse_duration(words[0], &part.duration_us))
        return ERR_USAGE;
    return add_part(timetable, &part);
}

static enum err parse_closed(struct timetable *timetable, char *const words[])
{
    struct timetable_part part = {.kind = TIMETABLE_CLOSED};
    if (!quantity_parse_count(words[0], &part.count) || part.count == 0 ||
        !quantity_parse_duration(words[1], &part.duration_us))
        return ERR_USAGE;
    return add_part(timetable, &part);
}

static enum err parse_import(struct timetable *timetable, char *const words[])
{
    struct timetable_part part = {.kind = TIMETABLE_CLOSED};
    if (!quantity_parse_count(words[0], &part.events_max) || part.events_max == 0 ||
        !quantity_parse_count(words[1], &part.count) || part.count == 0 ||
        !quantity_parse_duration(words[2], &part.duration_us))
        return ERR_USAGE;
    return add_part(timetable, &part);
}

static enum err read_times(FILE *file, struct timetable_part *part)
{
    size_t capacity = 0;
    long long time_us;
    int found;
    while ((found = fscanf(file, "%lld", &time_us)) == 1) {
        if (time_us < 0 || (part->count > 0 && time_us < part->times_us[part->count - 1]))
            return ERR_USAGE;
        if ((size_t)part->count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            int64_t *larger = realloc(part->times_us, capacity * sizeof *larger);
            if (!larger)
                return ERR_NO_MEMORY;
            part->times_us = larger;
        }
        part->times_us[part->count++] = time_us;
    }
    return found == EOF && part->count > 0 ? OK : ERR_USAGE;
}

static enum err parse_replay(struct timetable *timetable, char *const words[])
{
    struct timetable_part part = {.kind = TIMETABLE_REPLAY};
    FILE *file = fopen(words[0], "r");
    if (!file)
        return ERR_NOT_FOUND;
    enum err result = read_times(file, &part);
    fclose(file);
    if (!result) {
        part.duration_us = part.times_us[part.count - 1] + 1;
        result = add_part(timetable, &part);
    }
    if (result)
        free(part.times_us);
    return result;
}

static const struct kind {
    const char *name;
    unsigned words;
    enum err (*parse)(struct timetable *timetable, char *const words[]);
    const char *form;
} kinds[] = {
    {"constant", 2, parse_constant, "constant:RATE:DURATION"},
    {"ramp", 3, parse_ramp, "ramp:FROM:TO:DURATION"},
    {"step", 4, parse_step, "step:FROM:TO:BY:DURATION"},
    {"burst", 3, parse_burst, "burst:COUNT:EVERY:DURATION"},
    {"pause", 1, parse_pause, "pause:DURATION"},
    {"replay", 1, parse_replay, "replay:FILE (microseconds, a line for each event, ascending)"},
    {"closed", 2, parse_closed, "closed:COUNT:DURATION"},
    {"import", 3, parse_import, "import:EVENTS:COUNT:DURATION"},
};

static enum err parse_part(struct timetable *timetable, char *text, char *ret_complaint)
{
    char *words[WORDS_MAX + 1] = {0}, *rest = text;
    char whole[128];
    unsigned count = 0;
    snprintf(whole, sizeof whole, "%s", text);
    for (char *word; count <= WORDS_MAX && (word = strsep(&rest, ":"));)
        words[count++] = word;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(words[0], kinds[i].name) != 0)
            continue;
        enum err result =
            count == kinds[i].words + 1 ? kinds[i].parse(timetable, words + 1) : ERR_USAGE;
        if (result == ERR_NOT_FOUND)
            snprintf(ret_complaint, TIMETABLE_COMPLAINT_BYTES, "cannot read %s", words[1]);
        else if (result)
            snprintf(ret_complaint, TIMETABLE_COMPLAINT_BYTES, "\"%s\" should be %s", whole,
                kinds[i].form);
        return result ? ERR_USAGE : OK;
    }
    snprintf(ret_complaint, TIMETABLE_COMPLAINT_BYTES,
        "\"%s\" is none of constant, ramp, step, burst, pause, replay, closed, import", whole);
    return ERR_USAGE;
}

static int64_t events_of(const struct timetable_part *part)
{
    switch (part->kind) {
    case TIMETABLE_STEADY:
    case TIMETABLE_REPLAY:
        return part->count;
    case TIMETABLE_BURST:
        return part->count * ((part->duration_us + part->every_us - 1) / part->every_us);
    default:
        return 0;
    }
}

enum err timetable_parse(const char *text, struct timetable *ret_timetable,
    char ret_complaint[TIMETABLE_COMPLAINT_BYTES])
{
    struct timetable *timetable = ret_timetable;
    *timetable = (struct timetable){0};
    char *copy = strdup(text), *rest = copy;
    if (!copy)
        return ERR_NO_MEMORY;
    enum err result = OK;
    for (char *part; !result && (part = strsep(&rest, ","));)
        result = parse_part(timetable, part, ret_complaint);
    free(copy);
    for (unsigned i = 0; i < timetable->parts_count; i++) {
        struct timetable_part *part = &timetable->parts[i];
        if (part->kind == TIMETABLE_CLOSED && i + 1 < timetable->parts_count && !result) {
            snprintf(
                ret_complaint, TIMETABLE_COMPLAINT_BYTES, "a closed part must be the last one");
            result = ERR_USAGE;
        }
        part->start_us = timetable->duration_us;
        timetable->duration_us += part->duration_us;
        timetable->events += events_of(part);
    }
    return result;
}

void timetable_done(struct timetable *timetable)
{
    for (unsigned i = 0; i < timetable->parts_count; i++)
        free(timetable->parts[i].times_us);
    *timetable = (struct timetable){0};
}

/*
 * Returns when event `index` of a part is due. A ramp from a to b over D has sent a*t +
 * (b-a)*t^2/(2D) events at time t. This is solved for t, in a form that also holds for a = b.
 */
static int64_t time_of(const struct timetable_part *part, int64_t index)
{
    if (part->kind == TIMETABLE_REPLAY)
        return part->start_us + part->times_us[index];
    if (part->kind == TIMETABLE_BURST)
        return part->start_us + index / part->count * part->every_us;
    double from = part->rate_from,
           slope = (part->rate_to - from) / ((double)part->duration_us / US);
    double root = from * from + 2 * slope * (double)index;
    double divisor = from + sqrt(root > 0 ? root : 0);
    double seconds = divisor > 0 ? 2 * (double)index / divisor : 0;
    return part->start_us + llround(seconds * US);
}

void timetable_walk_init(struct timetable_walk *walk, const struct timetable *timetable)
{
    *walk = (struct timetable_walk){.timetable = timetable};
}

enum timetable_next timetable_walk_peek(struct timetable_walk *walk, int64_t *ret_us)
{
    for (; walk->part < walk->timetable->parts_count; walk->part++, walk->index = 0) {
        const struct timetable_part *part = &walk->timetable->parts[walk->part];
        if (part->kind == TIMETABLE_CLOSED) {
            *ret_us = part->start_us;
            return TIMETABLE_IN_FLIGHT;
        }
        if (walk->index < events_of(part)) {
            *ret_us = time_of(part, walk->index);
            return TIMETABLE_EVENT;
        }
    }
    *ret_us = walk->timetable->duration_us;
    return TIMETABLE_END;
}

void timetable_walk_step(struct timetable_walk *walk)
{
    walk->index++;
    walk->number++;
}

const struct timetable_part *timetable_walk_closed(const struct timetable_walk *walk)
{
    return &walk->timetable->parts[walk->part];
}
