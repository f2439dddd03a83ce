/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P8: money adds up. The check is made for each day, account, endpoint and currency, and for the
 * events themselves. Counts and exact sums must both be equal:
 *
 *   accepted by the model         = the journal's rows in all states
 *                                   + expired rows, as its totals have them
 *   accepted by the model,        = accepted, as the totals have it
 *     up to the last event that
 *     the totals include
 *
 * It shares no code with model/money.c.
 */
#include "model_internal.h"

#include "base/clock.h"
#include "fake_accounts.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

#define GROUPS_MAX 2048
#define EVENTS UINT64_MAX /* in place of an endpoint: the events themselves, each counted once */

/* Exact decimals. */

model_money model_parse_amount(const char *text)
{
    model_money value = 0;
    bool negative = *text == '-';
    int decimals = -1;
    for (text += negative; *text; text++) {
        if (*text == '.') {
            decimals = 0;
            continue;
        }
        value = value * 10 + (*text - '0');
        decimals += decimals >= 0;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 9; decimals++)
        value *= 10;
    return negative ? -value : value;
}

void model_format_amount(model_money amount, char ret_text[48])
{
    char digits[48];
    int at = sizeof digits - 1;
    bool negative = amount < 0;
    digits[at] = '\0';
    for (int i = 0; i < 10 || amount != 0; i++) {
        if (i == 9)
            digits[--at] = '.';
        int digit = (int)(amount % 10);
        digits[--at] = (char)('0' + (digit < 0 ? -digit : digit));
        amount /= 10;
    }
    snprintf(ret_text, 48, "%s%s", negative ? "-" : "", digits + at);
}

bool model_same_money(const struct model_post *a, const struct model_post *b)
{
    return a->has_amount == b->has_amount && a->amount == b->amount &&
           strcmp(a->currency, b->currency) == 0;
}

/* Sums. */

struct sum {
    int64_t count;
    model_money money;
};

struct group {
    int64_t day;
    char account[NAME_BYTES_MAX + 1], currency[CURRENCY_BYTES + 1];
    uint64_t endpoint;
    struct sum accepted, accepted_through; /* by the model: all; those that the totals include */
    struct sum rows[DELIVERY_STATES];      /* the journal's rows, by state */
    struct sum counted, counted_delivered, counted_discarded;
};

static struct group groups[GROUPS_MAX];
static unsigned groups_count;

static struct group *group_of(
    int64_t day, const char *account, uint64_t endpoint, const char *currency)
{
    for (unsigned i = 0; i < groups_count; i++) {
        struct group *group = &groups[i];
        if (group->day == day && group->endpoint == endpoint &&
            strcmp(group->account, account) == 0 && strcmp(group->currency, currency) == 0)
            return group;
    }
    fail_unless(groups_count < GROUPS_MAX, BROKEN_SIM, "too many groups: raise GROUPS_MAX");
    struct group *group = &groups[groups_count++];
    *group = (struct group){.day = day, .endpoint = endpoint};
    snprintf(group->account, sizeof group->account, "%s", account);
    snprintf(group->currency, sizeof group->currency, "%s", currency);
    return group;
}

static void add(struct sum *sum, model_money money)
{
    sum->count++;
    sum->money += money;
}

static void add_event(const struct model_post *post, int64_t totals_through)
{
    struct group *group = group_of(
        post->accepted_us / US_PER_DAY, fake_account_names[post->account], EVENTS, post->currency);
    add(&group->accepted, post->amount);
    if (post->seq <= totals_through)
        add(&group->accepted_through, post->amount);
    if (!post->expired)
        add(&group->rows[0], post->amount);
}

static void add_post(const struct model_post *post, int64_t totals_through)
{
    add_event(post, totals_through);
    for (unsigned i = 0; i < post->deliveries_count; i++) {
        const struct model_delivery *delivery = &post->deliveries[i];
        struct group *group = group_of(post->accepted_us / US_PER_DAY,
            fake_account_names[post->account], delivery->endpoint, post->currency);
        add(&group->accepted, post->amount);
        if (post->seq <= totals_through)
            add(&group->accepted_through, post->amount);
        if (!post->expired)
            add(&group->rows[delivery->state], post->amount);
    }
}

static struct sum read_sum(sqlite3_stmt *row, int column)
{
    const char *money = (const char *)sqlite3_column_text(row, column + 1);
    return (struct sum){sqlite3_column_int64(row, column), model_parse_amount(money ? money : "0")};
}

static void read_totals(sqlite3 *db)
{
    sqlite3_stmt *row;
    int code = sqlite3_prepare_v2(db,
        "SELECT day, account, endpoint, currency, accepted, accepted_sum, delivered, "
        "delivered_sum, discarded,"
        " discarded_sum FROM totals",
        -1, &row, NULL);
    fail_unless(code == SQLITE_OK, BROKEN_SIM, "totals: %s", sqlite3_errmsg(db));
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        struct group *group =
            group_of(sqlite3_column_int64(row, 0), (const char *)sqlite3_column_text(row, 1),
                (uint64_t)sqlite3_column_int64(row, 2), (const char *)sqlite3_column_text(row, 3));
        group->counted = read_sum(row, 4);
        group->counted_delivered = read_sum(row, 6);
        group->counted_discarded = read_sum(row, 8);
    }
    sqlite3_finalize(row);
    fail_unless(
        code == SQLITE_DONE, BROKEN_REOPEN, "totals cannot be read: %s", sqlite3_errmsg(db));
}

static int64_t read_through(sqlite3 *db)
{
    sqlite3_stmt *row;
    int code = sqlite3_prepare_v2(
        db, "SELECT value FROM meta WHERE key = 'totals_through'", -1, &row, NULL);
    fail_unless(code == SQLITE_OK, BROKEN_SIM, "meta: %s", sqlite3_errmsg(db));
    int64_t through = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_finalize(row);
    return through;
}

static void must_equal(
    const struct group *group, const char *what, struct sum expected, struct sum found)
{
    char expected_text[48], found_text[48];
    model_format_amount(expected.money, expected_text);
    model_format_amount(found.money, found_text);
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(group->endpoint);
    fail_unless(expected.count == found.count && expected.money == found.money, "P8",
        "day %lld, %s, %s, \"%s\": %lld accepted, sum %s; %s %lld, sum %s", (long long)group->day,
        group->account,
        endpoint                    ? endpoint->name
        : group->endpoint == EVENTS ? "events"
                                    : "unrouted",
        group->currency, (long long)expected.count, expected_text, what, (long long)found.count,
        found_text);
}

static void check_group(const struct group *group)
{
    struct sum found = {group->counted_delivered.count + group->counted_discarded.count,
        group->counted_delivered.money + group->counted_discarded.money};
    for (unsigned state = 0; state < DELIVERY_STATES; state++) {
        found.count += group->rows[state].count;
        found.money += group->rows[state].money;
    }
    must_equal(group, "the journal's rows have", group->accepted, found);
    must_equal(group, "the totals have", group->accepted_through, group->counted);
}

void model_check_totals(sqlite3 *db)
{
    groups_count = 0;
    int64_t through = read_through(db);
    for (unsigned i = 0; i < model_posts_count(); i++)
        if (model_post(i)->on_disk || model_post(i)->expired)
            add_post(model_post(i), through);
    read_totals(db);
    for (unsigned i = 0; i < groups_count; i++)
        check_group(&groups[i]);
}

void model_check_totals_are_written(sqlite3 *db)
{
    int64_t through = read_through(db);
    for (unsigned i = 0; i < model_posts_count(); i++) {
        char name[NAME_BYTES];
        model_name_post(model_post(i), name);
        fail_unless(!model_post(i)->on_disk || model_post(i)->seq <= through, "P8",
            "an orderly stop has not written %s into the totals", name);
    }
}
