/* SPDX-License-Identifier: Apache-2.0 */
/* What the audit says of a journal at rest: sums, ranges, and each kind of finding. */
#include "unit/history/audit_desk.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DAY 20500
#define AT(day) ((day)*US_PER_DAY + US_PER_DAY / 2)

static int64_t append(
    struct shelf *shelf, int64_t day, const char *amount, const char *currency, unsigned endpoints)
{
    return shelf_append(shelf, (struct shelved){.accepted_us = AT(day),
                                   .amount = amount,
                                   .currency = currency,
                                   .endpoints = endpoints});
}

static void move(struct shelf *shelf, int64_t seq, enum delivery_state from, enum delivery_state to)
{
    cr_assert(shelf_move(shelf, seq, 0, from, to) == OK);
}

Test(audit, of_an_empty_journal_is_complete)
{
    struct shelf *shelf = shelf_new();
    struct audit *audit = audit_of(shelf, everything());
    cr_expect(audit_is_complete(audit) && audit->rows_count == 0 && audit->totals_count == 0);
    audit_free(audit);
    shelf_free(shelf);
}

/* Deliveries in all states, of amounts that binary fractions would get wrong. */
static void fill(struct shelf *shelf)
{
    static const struct {
        const char *amount;
        enum delivery_state to;
    } drafts[] = {{"0.1", DELIVERY_DELIVERED}, {"0.2", DELIVERY_DELIVERED},
        {"-0.05", DELIVERY_DELIVERED}, {"1.000000001", DELIVERY_WAITING}, {"10", DELIVERY_PENDING},
        {"7.50", DELIVERY_PARKED}, {"3", DELIVERY_DEAD}, {"99999999999999999", DELIVERY_SENDING}};
    for (size_t i = 0; i < ARRAY_LENGTH(drafts); i++) {
        int64_t seq = append(shelf, DAY, drafts[i].amount, "EUR", 1);
        if (drafts[i].to != DELIVERY_PENDING)
            move(shelf, seq, DELIVERY_PENDING, drafts[i].to);
    }
    move(shelf, append(shelf, DAY, "5", "EUR", 1), DELIVERY_PENDING, DELIVERY_PARKED);
    shelf_action(shelf, shelf->store.next_seq - 1, DELIVERY_PARKED, DELIVERY_DISCARDED);
    move(shelf, append(shelf, DAY, "0.3", "USD", 2), DELIVERY_PENDING, DELIVERY_DELIVERED);
    append(shelf, DAY, NULL, NULL, 1);
    append(shelf, DAY, "2", "EUR", 0);
    append(shelf, DAY + 1, "4", "EUR", 1);
}

static void check_filled(struct shelf *shelf)
{
    struct audit *audit = audit_of(shelf, everything());
    cr_assert(audit_is_complete(audit), "%s", audit_kind_name(audit->findings[0].kind));
    const struct audit_row *row = audit_row_of(audit, DAY, "acc_1", 1, "EUR");
    cr_assert(row->adds_up);
    cr_expect_number(row->accepted, 9, "100000000000000025.750000001");
    cr_expect_number(row->columns[AUDIT_DELIVERED], 3, "0.25");
    cr_expect_number(row->columns[AUDIT_IN_PROGRESS], 3, "100000000000000010.000000001");
    cr_expect_number(row->columns[AUDIT_PARKED], 1, "7.5");
    cr_expect_number(row->columns[AUDIT_DEAD], 1, "3");
    cr_expect_number(row->columns[AUDIT_DISCARDED], 1, "5");
    cr_expect_number(
        audit_row_of(audit, DAY, "acc_1", 1, "USD")->columns[AUDIT_DELIVERED], 1, "0.3");
    cr_expect_number(
        audit_row_of(audit, DAY, "acc_1", 2, "USD")->columns[AUDIT_IN_PROGRESS], 1, "0.3");
    cr_expect_number(audit_row_of(audit, DAY, "acc_1", 1, "")->accepted, 1, "0");
    cr_expect_number(audit_row_of(audit, DAY, "acc_1", 0, "EUR")->columns[AUDIT_PARKED], 1, "2");
    cr_expect_number(audit_row_of(audit, DAY + 1, "acc_1", 1, "EUR")->accepted, 1, "4");
    cr_expect_eq(audit->rows_count, 6);
    cr_assert_eq(audit->totals_count, 3);
    cr_expect_str_eq(audit->totals[1].currency, "EUR");
    cr_expect_number(audit->totals[1].events, 11, "100000000000000031.750000001");
    cr_expect_number(audit->totals[1].deliveries, 11, "100000000000000031.750000001");
    cr_expect_number(audit->totals[2].events, 1, "0.3");
    cr_expect_number(audit->totals[2].deliveries, 2, "0.6");
    cr_expect_eq(audit->events_count, 4);
    cr_expect(audit->events[2].day == DAY && audit->events[2].adds_up &&
              strcmp(audit->events[2].currency, "USD") == 0);
    cr_expect_number(audit->events[2].accepted, 1, "0.3");
    audit_free(audit);
}

Test(audit, adds_up_to_the_last_digit_in_the_totals_or_not_yet)
{
    struct shelf *shelf = shelf_new();
    fill(shelf);
    cr_assert_eq(shelf_sql_int(shelf, "SELECT count(*) FROM totals"), 0);
    check_filled(shelf);
    write_totals(shelf);
    check_filled(shelf);
    shelf_crash(shelf);
    shelf_free(shelf);
}

Test(audit, counts_what_has_expired_by_the_totals)
{
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < 5; i++)
        move(shelf, append(shelf, DAY, "0.1", "EUR", 1), DELIVERY_PENDING,
            i ? DELIVERY_DELIVERED : DELIVERY_DEAD);
    write_totals(shelf);
    shelf_expire(shelf, AT(DAY + 100));
    cr_assert_eq(shelf_sql_int(shelf, "SELECT count(*) FROM events"), 1);
    struct audit *audit = audit_of(shelf, everything());
    cr_assert(audit_is_complete(audit));
    const struct audit_row *row = audit_row_of(audit, DAY, "acc_1", 1, "EUR");
    cr_expect_number(row->accepted, 5, "0.5");
    cr_expect_number(row->columns[AUDIT_DELIVERED], 4, "0.4");
    cr_expect_number(row->columns[AUDIT_DEAD], 1, "0.1");
    audit_free(audit);
    shelf_free(shelf);
}

/* Events 1 (delivered), 2 (dead at its first endpoint, waiting at the other, an attempt each) and 3
 * (parked, with an action behind it). */
static struct shelf *small(void)
{
    struct shelf *shelf = shelf_new();
    for (int i = 1; i <= 3; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        shelf_append(shelf, (struct shelved){.key = key,
                                .accepted_us = AT(DAY),
                                .amount = "1.5",
                                .currency = "EUR",
                                .endpoints = 2});
    }
    for (unsigned index = 0; index < 2; index++)
        cr_assert(shelf_move(shelf, 1, index, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    for (unsigned index = 0; index < 2; index++)
        shelf_attempt(shelf, 2, index, index ? DELIVERY_WAITING : DELIVERY_DEAD);
    move(shelf, 3, DELIVERY_PENDING, DELIVERY_DEAD);
    shelf_action(shelf, 3, DELIVERY_DEAD, DELIVERY_PENDING);
    shelf_conflict(shelf, 1);
    write_totals(shelf);
    return shelf;
}

/* The findings' kinds, as bits. */
static unsigned kinds_of(const struct audit *audit)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < audit->findings_count; i++)
        kinds |= 1u << audit->findings[i].kind;
    return kinds;
}

#define K(kind) (1u << AUDIT_##kind)

Test(audit, names_each_kind_of_loss_and_damage)
{
    static const struct {
        const char *damage;
        unsigned kinds;
        size_t count;
        int64_t seq; /* of the event that the first one names; 0: it names none */
        int index;
    } cases[] = {
        {"DELETE FROM deliveries WHERE id = 33", K(MISSING_DELIVERY) | K(TOTALS), 2, 2, 1},
        {"DELETE FROM deliveries WHERE id / 16 = 1", K(MISSING_DELIVERY) | K(TOTALS), 4, 1, 0},
        {"DELETE FROM events WHERE seq = 2", K(STRAY_DELIVERY) | K(MISSING_EVENT) | K(TOTALS), 6, 0,
            0},
        {"DELETE FROM events WHERE seq = 2; DELETE FROM deliveries WHERE id / 16 = 2",
            K(MISSING_EVENT) | K(TOTALS), 4, 0, -1},
        {"DELETE FROM bodies", K(MISSING_BODY), 2, 2, -1},
        {"INSERT INTO deliveries SELECT id + 2, endpoint, state, reason, lane, generation, "
         "attempts, failures, due_us,"
         " changed_us, started_us, duration_us, http_status, broker_owned, delivered_us, class, "
         "crc FROM "
         "deliveries WHERE id "
         "= 32",
            K(STRAY_DELIVERY), 1, 2, 2},
        {"UPDATE events SET amount = '15' WHERE seq = 2", K(DAMAGED_EVENT) | K(TOTALS), 4, 2, -1},
        {"UPDATE events SET account = 'acc_2' WHERE seq = 2", K(DAMAGED_EVENT) | K(TOTALS), 4, 2,
            -1},
        {"UPDATE events SET deliveries = 1 WHERE seq = 2", K(DAMAGED_EVENT) | K(TOTALS), 4, 2, -1},
        {"UPDATE deliveries SET state = 4 WHERE id = 33", K(DAMAGED_DELIVERY) | K(TOTALS), 2, 2, 1},
        {"UPDATE deliveries SET endpoint = 9 WHERE id = 33", K(DAMAGED_DELIVERY) | K(TOTALS), 2, 2,
            1},
        {"UPDATE bodies SET body = x'7b7d' WHERE seq = 3", K(DAMAGED_BODY), 1, 3, -1},
        {"UPDATE bodies SET body = x'7b7d' WHERE seq = 1", 0, 0, 0, -1}, /* it is not looked at */
        {"UPDATE attempts SET http_status = 200 WHERE delivery = 33", K(DAMAGED_ATTEMPT), 1, 2, 1},
        {"UPDATE operator_actions SET note = 'nobody did'", K(DAMAGED_ACTION), 1, 3, 0},
        {"UPDATE conflicts SET amount = '1'", K(DAMAGED_CONFLICT), 1, 1, -1},
        {"UPDATE totals SET accepted = 4 WHERE endpoint = 2", K(DAMAGED_TOTAL), 1, 0, -1},
        {"DELETE FROM totals WHERE endpoint = 2", K(TOTALS), 1, 0, -1},
        {"UPDATE totals SET accepted_sum = '4.4' WHERE endpoint = -1", K(DAMAGED_TOTAL), 1, 0, -1},
        {"DELETE FROM totals WHERE endpoint = -1", K(TOTALS), 1, 0, -1},
        {"UPDATE operator_actions SET actor = 1", K(DAMAGED_ACTION), 1, 3, 0},
        {"UPDATE operator_actions SET to_endpoint = 2", K(DAMAGED_ACTION), 1, 3, 0},
        {"UPDATE dedupe_c_20260216 SET amount = '7' WHERE row = 2", K(DAMAGED_DEDUPE), 1, 2, -1},
        {"DELETE FROM dedupe_c_20260216 WHERE row = 2", 0, 0, 0,
            -1}, /* what is forgotten is accepted twice at worst */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct shelf *shelf = small();
        struct audit *before = audit_of(shelf, everything());
        cr_assert(audit_is_complete(before), "%s", audit_kind_name(before->findings[0].kind));
        struct event_id expected = {{0}};
        if (cases[i].seq)
            expected = shelf_id_of(shelf, cases[i].seq);
        shelf_sql(shelf, cases[i].damage);
        struct audit *audit = audit_of(shelf, everything());
        const struct audit_finding *first = audit->findings;
        cr_expect_eq(kinds_of(audit), cases[i].kinds, "%s: %x", cases[i].damage, kinds_of(audit));
        cr_expect_eq(audit->findings_count, cases[i].count, "%s: %zu", cases[i].damage,
            audit->findings_count);
        if (cases[i].seq) {
            cr_expect(first->has_event && memcmp(&first->event, &expected, sizeof expected) == 0,
                "%s", cases[i].damage);
            cr_expect_eq(first->index, cases[i].index, "%s", cases[i].damage);
        }
        cr_expect(audit->findings_count == 0 || *first->place, "%s", cases[i].damage);
        audit_free(before);
        audit_free(audit);
        shelf_free(shelf);
    }
}

/* Two endpoints, three events: the events are three, and the deliveries six. */
Test(audit, counts_an_event_once_however_many_endpoints_it_has)
{
    struct shelf *shelf = small();
    for (int crash = 0; crash < 2; crash++) {
        struct audit *audit = audit_of(shelf, everything());
        cr_assert(
            audit_is_complete(audit) && audit->events_count == 1 && audit->accounts_count == 1);
        cr_expect_number(audit->events[0].accepted, 3, "4.5");
        cr_expect_number(audit->accounts[0].events, 3, "4.5");
        cr_expect_number(audit->accounts[0].deliveries, 6, "9");
        cr_expect_number(audit->totals[0].events, 3, "4.5");
        cr_expect_number(audit->totals[0].columns[AUDIT_DELIVERED], 2, "3");
        audit_free(audit);
        shelf_crash(shelf);
    }
    shelf_sql(shelf, "DELETE FROM events WHERE seq = 1; DELETE FROM deliveries WHERE id / 16 = 1");
    struct audit *audit = audit_of(shelf, everything());
    bool of_events = false;
    for (size_t i = 0; i < audit->findings_count; i++) {
        const struct audit_finding *finding = &audit->findings[i];
        if (finding->kind != AUDIT_TOTALS || !finding->of_events)
            continue;
        of_events = true;
        cr_expect_number(finding->totals, 3, "4.5");
        cr_expect_number(finding->found, 2, "3");
    }
    cr_expect(of_events);
    audit_free(audit);
    shelf_free(shelf);
}

/* A forced replay of a payout of two endpoints, wherever it is. */
Test(audit, counts_what_was_delivered_as_delivered_while_it_is_replayed_and_after_it_has_failed)
{
    struct shelf *shelf = small();
    static const enum delivery_state ways[] = {
        DELIVERY_SENDING, DELIVERY_WAITING, DELIVERY_SENDING, DELIVERY_DEAD};
    shelf_action(shelf, 1, DELIVERY_DELIVERED, DELIVERY_PENDING);
    enum delivery_state state = DELIVERY_PENDING;
    for (size_t i = 0; i <= ARRAY_LENGTH(ways); i++) {
        struct audit *audit = audit_of(shelf, everything());
        cr_assert(audit_is_complete(audit));
        cr_expect_number(audit->rows[0].columns[AUDIT_DELIVERED], 1, "1.5");
        audit_free(audit);
        if (i == ARRAY_LENGTH(ways))
            break;
        struct journal_record order = {.request.kind = JOURNAL_RECORD_OUTCOME,
            .delivery = ACCOUNT_ENDPOINTS_MAX,
            .generation = 1,
            .from = state,
            .to = ways[i]};
        cr_assert(shelf_call(shelf, store_record_outcome, &order.request) == OK);
        state = ways[i];
    }
    cr_expect(
        shelf_sql_int(shelf, "SELECT state FROM deliveries WHERE id = 16") == DELIVERY_DELIVERED);
    shelf_free(shelf);
}

Test(audit, names_the_account_and_the_endpoint_of_a_missing_delivery)
{
    struct shelf *shelf = small();
    shelf_sql(shelf, "DELETE FROM deliveries WHERE id = 33");
    struct audit *audit = audit_of(shelf, everything());
    const struct audit_finding *lost = &audit->findings[0], *totals = &audit->findings[1];
    cr_assert(lost->kind == AUDIT_MISSING_DELIVERY && totals->kind == AUDIT_TOTALS);
    cr_expect_str_eq(lost->account, "acc_1");
    cr_expect_str_eq(lost->amount, "1.5");
    cr_expect(lost->accepted_us == AT(DAY) && lost->day == DAY);
    cr_expect(lost->has_endpoint && lost->endpoint == 2, "the totals know");
    cr_expect(totals->endpoint == 2 && totals->day == DAY);
    cr_expect_number(totals->totals, 3, "4.5");
    cr_expect_number(totals->found, 2, "3");
    const struct audit_row *row = audit_row_of(audit, DAY, "acc_1", 2, "EUR");
    cr_expect(!row->adds_up && audit_row_of(audit, DAY, "acc_1", 1, "EUR")->adds_up);
    cr_expect_number(row->accepted, 3, "4.5");
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit, finds_events_that_only_the_dedupe_store_has_unless_they_may_have_expired)
{
    struct shelf *shelf = small();
    struct event_id lost = shelf_id_of(shelf, 2);
    shelf_sql(shelf, "DELETE FROM events WHERE seq = 2; DELETE FROM deliveries WHERE id / 16 = 2;"
                     "DELETE FROM totals");
    struct audit *audit = audit_of(shelf, everything());
    const struct audit_finding *finding = audit_finding_of_kind(audit, AUDIT_MISSING_EVENT);
    cr_assert(finding && memcmp(&finding->event, &lost, sizeof lost) == 0 && finding->day == DAY);
    audit_free(audit);
    char text[128];
    snprintf(text, sizeof text, "INSERT INTO meta(key, value) VALUES('history_us', %lld)",
        (long long)AT(DAY));
    shelf_sql(shelf, text);
    audit = audit_of(shelf, everything());
    cr_expect(!audit_finding_of_kind(audit, AUDIT_MISSING_EVENT));
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit, counts_broker_owned_deliveries_as_in_progress_and_nothing_of_the_outbox)
{
    struct shelf *shelf = shelf_new();
    const struct shelved draft = {
        .key = "k", .accepted_us = AT(DAY), .amount = "1.5", .currency = "EUR"};
    const struct shelved other = {
        .key = "k", .accepted_us = AT(DAY), .amount = "2", .currency = "EUR"};
    struct event *events[] = {
        shelf_event(shelf, draft), shelf_event(shelf, draft), shelf_event(shelf, other)};
    cr_assert(shelf_receive(shelf, events[0], 2, PARK_NONE).ret_received == RECEIVED_BROKER_OWNED);
    cr_assert(shelf_receive(shelf, events[1], 2, PARK_NONE).ret_received == RECEIVED_ALIAS);
    cr_assert(shelf_receive(shelf, events[2], 1, PARK_NONE).ret_received == RECEIVED_CONFLICT);
    for (size_t i = 0; i < 3; i++)
        event_unref(events[i]);
    struct event *waits = shelf_event(shelf, draft);
    struct journal_append append = {.event = waits, .to_outbox = true};
    cr_assert(shelf_call(shelf, store_append, &append.request) == OK);
    event_unref(waits);
    for (int written = 0; written < 2; written++) { /* before the totals are, and behind it */
        struct audit *audit = audit_of(shelf, everything());
        cr_expect(audit_is_complete(audit));
        const struct audit_row *row = audit_row_of(audit, DAY, "acc_1", 1, "EUR");
        cr_expect_number(row->accepted, 2, "3.5");
        cr_expect_number(row->columns[AUDIT_IN_PROGRESS], 1, "1.5");
        cr_expect_number(row->columns[AUDIT_PARKED], 1, "2");
        audit_free(audit);
        write_totals(shelf);
    }
    shelf_sql(shelf, "DELETE FROM bodies WHERE seq = 3");
    struct audit *audit = audit_of(shelf, everything());
    cr_expect(audit->findings_count == 1 && audit->findings[0].kind == AUDIT_MISSING_BODY);
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit, reads_all_bodies_when_it_is_asked_to)
{
    struct shelf *shelf = small();
    struct audit_question question = everything();
    question.bodies = true;
    shelf_sql(shelf, "UPDATE bodies SET crc = crc + 1 WHERE seq = 1");
    struct audit *audit = audit_of(shelf, question);
    cr_assert_eq(audit->findings_count, 1);
    cr_expect(audit->findings[0].kind == AUDIT_DAMAGED_BODY);
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit, of_days_and_of_an_account_tells_of_nothing_else)
{
    static const struct {
        int64_t from, to;
        const char *account;
        size_t rows, findings;
    } cases[] = {
        {INT64_MIN, INT64_MAX, "", 8, 4},
        {INT64_MIN, INT64_MAX, "a", 4, 2},
        {INT64_MIN, INT64_MAX, "nobody", 0, 0},
        {DAY, DAY, "", 2, 0},
        {DAY + 1, DAY + 1, "", 2, 2},
        {DAY + 1, DAY + 1, "b", 1, 0},
        {DAY + 1, DAY + 2, "a", 2, 2},
        {DAY + 2, INT64_MAX, "", 4, 2},
        {INT64_MIN, DAY, "", 2, 0},
        {DAY + 4, INT64_MAX, "", 0, 0},
    };
    struct shelf *shelf = shelf_new();
    for (int64_t day = DAY; day < DAY + 4; day++) {
        for (int i = 0; i < 40; i++) {
            shelf_append(
                shelf, (struct shelved){
                           .accepted_us = AT(day), .account = i % 2 ? "a" : "b", .endpoints = 1});
        }
    }
    write_totals(shelf);
    /* of a on the second day, of b on the third */
    shelf_sql(shelf, "DELETE FROM deliveries WHERE id IN (16 * 50, 16 * 101)");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct audit_question question = {.from_day = cases[i].from, .to_day = cases[i].to};
        snprintf(question.account, sizeof question.account, "%s", cases[i].account);
        struct audit *audit = audit_of(shelf, question);
        cr_expect_eq(audit->rows_count, cases[i].rows, "case %zu: %zu", i, audit->rows_count);
        cr_expect_eq(
            audit->findings_count, cases[i].findings, "case %zu: %zu", i, audit->findings_count);
        audit_free(audit);
    }
    shelf_free(shelf);
}

Test(audit, of_a_day_finds_events_that_were_accepted_far_from_its_place)
{
    struct shelf *shelf = shelf_new();
    for (int64_t day = DAY; day < DAY + 6; day++)
        append(shelf, day, "1", "EUR", 1);
    append(shelf, DAY + 2, "1", "EUR", 1); /* the clock had been ahead, and was set right */
    write_totals(shelf);
    struct audit *audit =
        audit_of(shelf, (struct audit_question){.from_day = DAY + 2, .to_day = DAY + 2});
    cr_expect(audit_is_complete(audit));
    cr_assert_eq(audit->rows_count, 1);
    cr_expect_number(audit->rows[0].columns[AUDIT_IN_PROGRESS], 2, "2");
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit, names_so_many_findings_and_counts_the_rest)
{
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < AUDIT_FINDINGS_MAX + 5; i++)
        append(shelf, DAY, NULL, NULL, 1);
    write_totals(shelf);
    shelf_sql(shelf, "UPDATE deliveries SET crc = crc + 1");
    struct audit *audit = audit_of(shelf, everything());
    cr_expect_eq(audit->findings_count, AUDIT_FINDINGS_MAX);
    cr_expect_eq(audit->findings_more, 6, "and the totals");
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit, of_too_many_rows_is_refused)
{
    struct shelf *shelf = shelf_new();
    shelf_sql(shelf,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 50000)"
        " INSERT INTO totals SELECT i / 100, 'a', i, '', 1, '1', 0, '0', 0, '0', 0 FROM n");
    struct audit_run *run = audit_begin(shelf, everything());
    struct audit *audit;
    cr_expect_eq(audit_end(run, &audit), ERR_TOO_LARGE);
    shelf_sql(shelf, "UPDATE totals SET account = 'a' || endpoint, endpoint = -1");
    cr_expect_eq(audit_end(audit_begin(shelf, everything()), &audit), ERR_TOO_LARGE);
    shelf_sql(shelf, "UPDATE totals SET endpoint = substr(account, 2)");
    audit = audit_of(shelf, (struct audit_question){.from_day = 400, .to_day = 499});
    cr_expect_eq(audit->rows_count, 10000);
    audit_free(audit);
    shelf_free(shelf);
}

/* Zeros over the header of one of a table's pages. */
static void spoil_page(struct shelf *shelf, const char *table)
{
    char text[160], path[128];
    snprintf(text, sizeof text,
        "SELECT max(pageno) FROM dbstat WHERE name = '%s' AND pagetype = 'leaf'", table);
    shelf_sql_int(shelf, "PRAGMA wal_checkpoint(TRUNCATE)");
    int64_t page = shelf_sql_int(shelf, text);
    snprintf(path, sizeof path, "%s/journal-0.db", shelf->directory);
    AUTO_CLOSE int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, (char[8]){0}, 8, (page - 1) * 4096) == 8);
}

Test(audit, continues_behind_what_cannot_be_read)
{
    static const char *const tables[] = {
        "deliveries", "events", "totals", "attempts", "dedupe_c_20260216"};
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++) {
        struct shelf *shelf = small();
        for (int k = 0; k < 500; k++)
            append(shelf, DAY + 1, "1", "EUR", 1);
        write_totals(shelf);
        spoil_page(shelf, tables[i]);
        struct audit *audit = audit_of(shelf, everything());
        cr_expect(audit_finding_of_kind(audit, AUDIT_UNREADABLE), "%s", tables[i]);
        const struct audit_row *row =
            i == 1 || i == 0 ? audit_row_of(audit, DAY, "acc_1", 1, "EUR") : NULL;
        cr_expect(!row || row->adds_up, "%s: what stands elsewhere is counted", tables[i]);
        audit_free(audit);
        shelf_free(shelf);
    }
}
