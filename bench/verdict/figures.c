/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/figures.h"

#define SECOND_US 1e6

const char *lost_why_text(enum lost_why why)
{
    static const char *const texts[LOST_WHYS] = {
        [LOST_NOT_IN_JOURNAL] = "not in the journal",
        [LOST_WITHOUT_DELIVERY] = "in the journal without a delivery",
        [LOST_NOT_AT_SINK] = "delivered in the journal, but the sink answered no request 2xx",
        [LOST_NEVER_DELIVERED] = "the sink answered no request 2xx",
    };
    return texts[why];
}

static bool is_lost(const struct figures *figures, const struct key *key, enum lost_why *ret_why)
{
    if (!figures->has_journal) {
        *ret_why = LOST_NEVER_DELIVERED;
        return key->sink_delivered == 0;
    }
    if (!(key->flags & KEY_IN_JOURNAL)) {
        *ret_why = LOST_NOT_IN_JOURNAL;
        return true;
    }
    if (key->journal_deliveries == 0) {
        *ret_why = LOST_WITHOUT_DELIVERY;
        return true;
    }
    *ret_why = LOST_NOT_AT_SINK;
    return key->journal_delivered > key->sink_delivered;
}

static void count_lost(
    struct fate *fate, const struct keys *keys, const struct key *key, enum lost_why why)
{
    fate->lost++;
    fate->lost_by[why]++;
    if (fate->lost_named_count == LOST_NAMED_MAX)
        return;
    struct lost_event *lost = &fate->lost_named[fate->lost_named_count++];
    *lost = (struct lost_event){.number = key->number, .why = why};
    memcpy(lost->run, keys->runs[key->run], sizeof lost->run);
    if (key->id != PLACE_NONE)
        memcpy(lost->event, keys->ids[key->id].bytes, sizeof lost->event);
}

/* A conflict of the same key may have been accepted first. */
static bool may_have_lost(const struct key *key)
{
    return (key->flags & KEY_CONFLICT_POSSIBLE) || key->accepted_as != PLACE_NONE;
}

static void count_fate(struct figures *figures, const struct keys *keys, const struct key *key)
{
    struct fate *fate = &figures->fate;
    if (key->flags & KEY_SENT_FRESH) {
        /* An original that came after its conflict is correctly answered 422. */
        bool answered = (key->flags & KEY_FRESH_ANSWERED) || (key->refused && may_have_lost(key));
        fate->sent++;
        fate->answered += answered;
    }
    if (!(key->flags & KEY_ACCEPTED)) {
        fate->unanswered +=
            keys_is_valid(key) && ((key->flags & KEY_IN_JOURNAL) || key->sink_delivered);
        return;
    }
    fate->accepted++;
    enum lost_why why;
    bool lost = is_lost(figures, key, &why);
    if (lost)
        count_lost(fate, keys, key, why);
    if (key->flags & KEY_IN_JOURNAL && key->journal_deliveries)
        fate->states[key->journal_state]++;
    bool delivered =
        figures->has_journal ? key->journal_state == DELIVERY_DELIVERED : key->sink_delivered > 0;
    fate->delivered += delivered && !lost;
}

static void count_acceptance(struct acceptance *acceptance, const struct key *key)
{
    acceptance->two_ids += keys_has_two_ids(key);
    acceptance->shared_ids += (key->flags & KEY_ID_SHARED) != 0;
    acceptance->two_amounts += (key->flags & KEY_TWO_AMOUNTS) != 0;
    acceptance->invalid_accepted += (key->flags & KEY_INVALID_ACCEPTED) != 0;
    if (!may_have_lost(key))
        acceptance->refused += key->refused;
}

static void count_money(struct figures *figures, const struct keys *keys, const struct key *key)
{
    int64_t micros;
    uint8_t currency;
    if (!(key->flags & KEY_ACCEPTED)) {
        if (figures->has_journal ? (key->flags & KEY_IN_JOURNAL) != 0 : key->sink_delivered > 0)
            figures->money[figures->has_journal ? key->journal_currency : key->sink_currency]
                .unanswered += figures->has_journal ? key->journal_micros : key->sink_micros;
        return;
    }
    keys_accepted_money(keys, key, &micros, &currency);
    figures->money[currency].accepted += micros;
    bool wrong = false;
    if (key->sink_delivered) {
        figures->money[key->sink_currency].delivered += key->sink_micros;
        wrong = key->sink_micros != micros || key->sink_currency != currency;
    }
    if ((key->flags & KEY_IN_JOURNAL) && key->journal_deliveries) {
        struct money *money = &figures->money[key->journal_currency];
        money->journal[key->journal_state] += key->journal_micros;
        if (!key->sink_delivered && key->journal_state != DELIVERY_DELIVERED)
            money->held += key->journal_micros;
        wrong = wrong || key->journal_micros != micros || key->journal_currency != currency;
    }
    figures->wrong_amounts += wrong;
}

/* The money of an event, by the most that is known: the answer, the journal, the sink. */
static void money_of(
    const struct keys *keys, const struct key *key, int64_t *ret_micros, uint8_t *ret_currency)
{
    keys_accepted_money(keys, key, ret_micros, ret_currency);
    if (key->flags & KEY_ACCEPTED)
        return;
    if (key->flags & KEY_IN_JOURNAL) {
        *ret_micros = key->journal_micros;
        *ret_currency = key->journal_currency;
    } else if (key->sink_delivered) {
        *ret_micros = key->sink_micros;
        *ret_currency = key->sink_currency;
    }
}

static bool is_refused(const struct key *key)
{
    return (key->flags & KEY_SENT_FRESH) && !(key->flags & (KEY_ACCEPTED | KEY_IN_JOURNAL)) &&
           !key->sink_delivered && !(key->refused && may_have_lost(key));
}

static int64_t accepted_us(const struct figures *figures, const struct key *key)
{
    return figures->has_journal ? key->journal_accepted_us : key->accepted_us;
}

static void count_impact(struct figures *figures, const struct keys *keys, const struct key *key)
{
    struct impacts *impacts = &figures->impacts;
    int64_t micros, from_us = accepted_us(figures, key);
    uint8_t currency;
    enum lost_why why;
    money_of(keys, key, &micros, &currency);
    if ((key->flags & KEY_ACCEPTED) && is_lost(figures, key, &why))
        impact_add(impacts, IMPACT_LOST, micros, currency);
    else if (key->journal_deliveries > key->sink_delivered)
        switch ((enum delivery_state)key->journal_state) {
        case DELIVERY_PENDING:
        case DELIVERY_SENDING:
        case DELIVERY_WAITING:
            impact_add(impacts, IMPACT_WAITING, micros, currency);
            break;
        case DELIVERY_PARKED:
        case DELIVERY_DEAD:
            impact_add(impacts, IMPACT_PARKED, micros, currency);
            break;
        case DELIVERY_DELIVERED:
        case DELIVERY_DISCARDED: /* by an operator */
        case DELIVERY_STATES:
            break;
        }
    if (is_refused(key))
        impact_add(impacts, IMPACT_REFUSED, micros, currency);
    if (key->sink_again)
        impact_add_duplicated(impacts, key->sink_again, micros, currency);
    if (from_us && key->sink_us)
        impact_add_late(impacts, key->sink_us - from_us, micros, currency);
}

static void count_series(struct figures *figures, const struct key *key)
{
    int64_t from_us = accepted_us(figures, key);
    if (key->flags & KEY_ACCEPTED)
        series_count(&figures->series, SERIES_ACCEPTED, key->accepted_us);
    if (key->sink_us)
        series_count(&figures->series, SERIES_DELIVERED, key->sink_us);
    if (from_us && key->sink_us)
        series_time(&figures->series, SERIES_FRESHNESS, from_us, key->sink_us - from_us);
}

static void count_freshness(struct figures *figures, const struct key *key)
{
    int64_t from_us = accepted_us(figures, key);
    int64_t start_us = figures->answers.first_intended_us;
    if (key->due_us)
        from_us = key->due_us;
    if (!from_us)
        return;
    if (key->sink_us)
        histogram_add(&figures->arrivals.freshness, key->sink_us - from_us);
    for (unsigned i = 0; i < figures->subsets_count; i++)
        subset_take(&figures->subsets[i], key->account, from_us - start_us,
            key->sink_us ? key->sink_us - start_us : SUBSET_NEVER);
}

void figures_collect(struct figures *figures, const struct keys *keys)
{
    figures->money_count = keys->currencies_count;
    for (unsigned i = 0; i < keys->currencies_count; i++)
        memcpy(figures->money[i].currency, keys->currencies[i], CURRENCY_TEXT_BYTES);
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct key *key = &keys->keys[i];
        count_fate(figures, keys, key);
        count_acceptance(&figures->acceptance, key);
        count_money(figures, keys, key);
        count_freshness(figures, key);
        count_impact(figures, keys, key);
        count_series(figures, key);
    }
}

static double share(uint64_t part, uint64_t whole, double of_nothing)
{
    return whole ? (double)part / (double)whole : of_nothing;
}

double figures_availability(const struct figures *figures)
{
    return share(figures->fate.answered, figures->fate.sent, 1);
}

double figures_delivered_share(const struct figures *figures)
{
    return share(figures->fate.delivered, figures->fate.accepted, 1);
}

double figures_error_share(const struct figures *figures)
{
    return share(figures->answers.errors, figures->answers.valid_sendings, 0);
}

static double per_second(uint64_t count, int64_t from_us, int64_t to_us)
{
    return to_us > from_us ? (double)count * SECOND_US / (double)(to_us - from_us) : 0;
}

double figures_in_per_second(const struct figures *figures)
{
    const struct answers *answers = &figures->answers;
    return per_second(answers->said_yes, answers->first_intended_us, answers->last_answered_us);
}

double figures_out_per_second(const struct figures *figures)
{
    const struct arrivals *arrivals = &figures->arrivals;
    return per_second(arrivals->successes, arrivals->first_success_us, arrivals->last_success_us);
}

double figures_cpu_per_million(const struct figures *figures, enum usage_process process)
{
    double accepted = (double)figures->fate.accepted;
    return accepted > 0 ? figures->usage.processes[process].cpu_seconds * 1e6 / accepted : 0;
}

micros_sum figures_journal_sum(const struct money *money)
{
    micros_sum sum = 0;
    for (unsigned state = 0; state < DELIVERY_STATES; state++)
        sum += money->journal[state];
    return sum;
}

bool figures_money_adds_up(const struct figures *figures, const struct money *money)
{
    return money->accepted == money->delivered + money->held &&
           (!figures->has_journal || money->accepted == figures_journal_sum(money));
}
