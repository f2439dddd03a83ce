/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/impact.h"

#include "verdict/figures.h"
#include "verdict/levels.h"

#include <inttypes.h>
#include <stdio.h>

#define CURRENCIES_NAMED_MAX 3
#define COUNT_TEXT_BYTES 32
#define MONEY_TEXT_BYTES 256
#define SECOND_US 1000000
#define MINUTE_US (60 * SECOND_US)

const char *impact_name(enum impact impact)
{
    static const char *const names[IMPACTS] = {[IMPACT_LOST] = "lost",
        [IMPACT_DUPLICATED] = "duplicated",
        [IMPACT_LATE] = "late",
        [IMPACT_PARKED] = "parked",
        [IMPACT_REFUSED] = "refused",
        [IMPACT_WAITING] = "waiting"};
    return names[impact];
}

bool impact_is_known(enum impact impact, bool has_journal)
{
    return has_journal || (impact != IMPACT_PARKED && impact != IMPACT_WAITING);
}

void impact_add(struct impacts *impacts, enum impact impact, int64_t micros, uint8_t currency)
{
    impacts->rows[impact].events++;
    impacts->rows[impact].money[currency] += micros;
}

void impact_add_duplicated(
    struct impacts *impacts, unsigned arrivals, int64_t micros, uint8_t currency)
{
    struct impact_row *row = &impacts->rows[IMPACT_DUPLICATED];
    row->events++;
    row->arrivals += arrivals;
    row->money[currency] += (micros_sum)micros * arrivals;
}

void impact_add_late(
    struct impacts *impacts, int64_t freshness_us, int64_t micros, uint8_t currency)
{
    if (freshness_us <= impacts->late_after_us)
        return;
    impact_add(impacts, IMPACT_LATE, micros, currency);
    small_histogram_add(&impacts->late, freshness_us);
}

/* --- the sentence --- */

/* 250 ms, 41 s, 12.5 min */
static void format_time(int64_t us, char ret_text[LEVEL_TEXT_BYTES])
{
    if (us < SECOND_US)
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.3g ms", (double)us / 1e3);
    else if (us < 10 * MINUTE_US)
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.3g s", (double)us / SECOND_US);
    else
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.3g min", (double)us / MINUTE_US);
}

/* 1,234,567 */
static void format_count(uint64_t count, char ret_text[COUNT_TEXT_BYTES])
{
    char digits[COUNT_TEXT_BYTES];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count), used = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            ret_text[used++] = ',';
        ret_text[used++] = digits[i];
    }
    ret_text[used] = '\0';
}

/* " with 340.00 EUR and 12.50 USD"; nothing when there is no money. */
static void format_money(
    const struct figures *figures, const struct impact_row *row, char ret_text[MONEY_TEXT_BYTES])
{
    unsigned named = 0, found = 0;
    size_t used = 0;
    *ret_text = '\0';
    for (unsigned i = 0; i < figures->money_count; i++)
        found += row->money[i] != 0 && *figures->money[i].currency;
    for (unsigned i = 0; i < figures->money_count && named < CURRENCIES_NAMED_MAX; i++) {
        char amount[MICROS_TEXT_BYTES];
        if (row->money[i] == 0 || !*figures->money[i].currency)
            continue;
        micros_format(row->money[i], amount);
        const char *before = named == 0 ? " with " : named + 1 == found ? " and " : ", ";
        used += (size_t)snprintf(ret_text + used, MONEY_TEXT_BYTES - used, "%s%s %s", before,
            amount, figures->money[i].currency);
        named++;
    }
    if (found > named)
        snprintf(
            ret_text + used, MONEY_TEXT_BYTES - used, " and %u more currencies", found - named);
}

static void sentence_of_none(
    const struct figures *figures, enum impact impact, char ret_text[IMPACT_SENTENCE_BYTES])
{
    static const char *const sentences[IMPACTS] = {[IMPACT_LOST] = "No event was lost.",
        [IMPACT_DUPLICATED] = "No event arrived twice.",
        [IMPACT_PARKED] = "No event is parked or dead.",
        [IMPACT_REFUSED] = "Every event was accepted in the end.",
        [IMPACT_WAITING] = "No event was waiting at the end."};
    char level[LEVEL_TEXT_BYTES];
    if (impact != IMPACT_LATE) {
        snprintf(ret_text, IMPACT_SENTENCE_BYTES, "%s", sentences[impact]);
        return;
    }
    format_time(figures->impacts.late_after_us, level);
    snprintf(ret_text, IMPACT_SENTENCE_BYTES, "No event arrived later than %s.", level);
}

void impact_sentence(
    const struct figures *figures, enum impact impact, char ret_text[IMPACT_SENTENCE_BYTES])
{
    const struct impact_row *row = &figures->impacts.rows[impact];
    char count[COUNT_TEXT_BYTES], money[MONEY_TEXT_BYTES], more[COUNT_TEXT_BYTES],
        level[LEVEL_TEXT_BYTES], worst[LEVEL_TEXT_BYTES];
    if (!impact_is_known(impact, figures->has_journal)) {
        snprintf(ret_text, IMPACT_SENTENCE_BYTES,
            "How many events are %s is not known: the target has no journal.", impact_name(impact));
        return;
    }
    if (row->events == 0) {
        sentence_of_none(figures, impact, ret_text);
        return;
    }
    bool one = row->events == 1;
    const char *events = one ? "event" : "events", *were = one ? "was" : "were",
               *are = one ? "is" : "are";
    format_count(row->events, count);
    format_money(figures, row, money);
    format_count(row->arrivals, more);
    format_time(figures->impacts.late_after_us, level);
    format_time(figures->impacts.late.max_us, worst);
    switch (impact) {
    case IMPACT_LOST:
        snprintf(ret_text, IMPACT_SENTENCE_BYTES,
            "%s %s%s %s lost: accepted from the partners, never delivered.", count, events, money,
            were);
        break;
    case IMPACT_DUPLICATED:
        snprintf(ret_text, IMPACT_SENTENCE_BYTES, "%s %s arrived more than once: %s %s too many%s.",
            count, events, more, row->arrivals == 1 ? "request" : "requests", money);
        break;
    case IMPACT_LATE:
        snprintf(ret_text, IMPACT_SENTENCE_BYTES, "%s %s%s arrived later than %s; the %s after %s.",
            count, events, money, level, one ? "one" : "latest", worst);
        break;
    case IMPACT_PARKED:
        snprintf(ret_text, IMPACT_SENTENCE_BYTES,
            "%s %s%s %s parked or dead: stored, and an operator must decide.", count, events, money,
            are);
        break;
    case IMPACT_REFUSED:
        snprintf(ret_text, IMPACT_SENTENCE_BYTES,
            "%s %s%s %s never accepted: the partners still have %s.", count, events, money, were,
            one ? "it" : "them");
        break;
    case IMPACT_WAITING:
        snprintf(ret_text, IMPACT_SENTENCE_BYTES,
            "%s %s%s %s waiting at the end: stored, and not delivered yet.", count, events, money,
            were);
        break;
    case IMPACTS:
        break;
    }
}
