/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of a journal that moves while it is walked: no false alarm, and no loss that is
 * overlooked. */
#include "history/due.h"
#include "unit/history/audit_desk.h"
#include "unit/history/reader_desk.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define DAY 20500
#define AT(day) ((day)*US_PER_DAY + US_PER_DAY / 2)
#define EVENTS 200 /* more than a step takes */

/* Steps as small as they can be. */
static struct audit_run *begin_slowly(struct shelf *shelf, struct audit_question question)
{
    struct audit_run *run = audit_begin(shelf, question);
    run->step_us = 0;
    return run;
}

static struct shelf *filled(unsigned endpoints, int64_t days)
{
    struct shelf *shelf = shelf_new();
    for (int64_t day = DAY; day < DAY + days; day++)
        for (int i = 0; i < EVENTS; i++)
            shelf_append(shelf, (struct shelved){.accepted_us = AT(day),
                                    .amount = "0.1",
                                    .currency = "EUR",
                                    .endpoints = endpoints});
    write_totals(shelf);
    return shelf;
}

static void deliver(struct shelf *shelf, int64_t first_seq, int64_t last_seq)
{
    for (int64_t seq = first_seq; seq <= last_seq; seq++)
        cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
}

/* One step of the expiry, if it has something to do. */
static void expire_some(struct shelf *shelf, int64_t now_us)
{
    for (int i = 0; i < 4 && expiry_is_due(&shelf->store.expiry, now_us); i++) {
        shelf_begin(shelf);
        cr_assert(expiry_step(&shelf->store, now_us) == OK);
        shelf_commit(shelf);
    }
}

static void cr_expect_complete(struct audit_run *run, int64_t count)
{
    struct audit *audit = NULL;
    enum err result = audit_end(run, &audit);
    cr_assert(result == OK, "%s", err_name(result));
    cr_expect(audit_is_complete(audit), "%zu findings, the first is %s", audit->findings_count,
        audit_kind_name(audit->findings[0].kind));
    int64_t found = 0;
    for (size_t i = 0; i < audit->rows_count; i++) {
        cr_expect(audit->rows[i].adds_up);
        found += audit->rows[i].accepted.count;
    }
    cr_expect_eq(found, count, "%lld instead of %lld", (long long)found, (long long)count);
    audit_free(audit);
}

Test(audit_moving, a_delivery_that_changes_its_state_is_counted_once)
{
    struct shelf *shelf = filled(1, 1);
    struct audit_run *run = begin_slowly(shelf, everything());
    enum err result;
    struct audit *audit;
    for (int64_t seq = 1; seq <= EVENTS; seq += 40) {
        deliver(shelf, seq, seq + 39);
        cr_assert(audit_step(run, &result, &audit));
    }
    cr_expect_complete(run, EVENTS);
    shelf_free(shelf);
}

Test(audit_moving, events_that_are_accepted_meanwhile_are_in_the_totals_or_counted_by_their_rows)
{
    for (int written = 0; written < 3; written++) {
        struct shelf *shelf = filled(1, 1);
        struct audit_run *run = begin_slowly(shelf, everything());
        enum err result;
        struct audit *audit;
        int64_t accepted = EVENTS;
        for (int i = 0; run->phase <= PHASE_HISTORY && audit_step(run, &result, &audit); i++) {
            if (run->phase > PHASE_HISTORY || i > 30)
                continue; /* a loss after the walk is not named */
            shelf_append(shelf,
                (struct shelved){
                    .accepted_us = AT(DAY), .amount = "7", .currency = "EUR", .endpoints = 1});
            accepted++;
            if (written == 2 || (written == 1 && i % 3 == 0))
                write_totals(shelf);
        }
        cr_expect_complete(run, accepted);
        shelf_free(shelf);
    }
}

Test(audit_moving, a_delivery_that_expires_into_the_totals_is_counted_once)
{
    /* after so many steps of the walk */
    for (int after = 1; after < 10; after++) {
        struct shelf *shelf = filled(1, 1);
        deliver(shelf, 1, EVENTS);
        struct audit_run *run = begin_slowly(shelf, everything());
        enum err result;
        struct audit *audit;
        for (int i = 0; i < after; i++)
            cr_assert(audit_step(run, &result, &audit));
        expire_some(shelf, AT(DAY + 100));
        cr_expect_complete(run, EVENTS);
        shelf_free(shelf);
    }
}

Test(audit_moving, a_delivery_that_gets_an_endpoint_is_counted_once)
{
    for (int after = 1; after < 10; after++) {
        struct shelf *shelf = filled(0, 1);
        struct audit_run *run = begin_slowly(shelf, everything());
        enum err result;
        struct audit *audit;
        for (int i = 0; i < after; i++)
            cr_assert(audit_step(run, &result, &audit));
        for (int64_t seq = 1; seq <= EVENTS; seq += 3)
            shelf_route(shelf, seq, 5);
        cr_expect_complete(run, EVENTS);
        shelf_free(shelf);
    }
}

Test(audit_moving, a_total_that_keeps_moving_ends_the_audit_without_a_verdict)
{
    struct shelf *shelf = filled(0, 2);
    struct audit_run *run = begin_slowly(shelf, everything());
    enum err result;
    struct audit *audit = NULL;
    int64_t seq = 1, pauses_us = 0, pause_us;
    bool more = true;
    do {
        if (run->phase == PHASE_HISTORY && run->cursor > seq)
            shelf_route(shelf, seq++, 5);
        result = audit_run_step(run, &more, &pause_us, &audit);
        pauses_us += pause_us;
    } while (result == OK && more);
    cr_expect_eq(result, ERR_UNAVAILABLE);
    cr_expect_eq(run->restless_day, DAY);
    cr_expect(pauses_us > 20 * US_PER_SECOND && pauses_us < 40 * US_PER_SECOND, "%lld",
        (long long)pauses_us);
    cr_expect(seq < EVENTS, "it gave up while there was more to move");
    audit_run_free(run);
    shelf_free(shelf);
}

Test(audit_moving, a_loss_is_found_while_other_days_move)
{
    struct shelf *shelf = filled(1, 2);
    deliver(shelf, 1, EVENTS);
    shelf_sql(shelf,
        "DELETE FROM events WHERE seq = 300; DELETE FROM deliveries WHERE id = 16 * 300;"
        "DELETE FROM deliveries WHERE id = 16 * 301");
    struct audit_run *run = begin_slowly(shelf, everything());
    enum err result;
    struct audit *audit;
    for (int i = 0; i < 8; i++)
        cr_assert(audit_step(run, &result, &audit));
    expire_some(shelf, AT(DAY + 91) - US_PER_DAY / 4);
    cr_assert(audit_end(run, &audit) == OK);
    cr_assert_eq(audit->findings_count, 3);
    cr_expect(audit->findings[0].kind == AUDIT_MISSING_DELIVERY &&
              audit->findings[1].kind == AUDIT_TOTALS);
    for (size_t i = 1; i < 3; i++)
        cr_expect_eq(audit->findings[i].totals.count - audit->findings[i].found.count,
            audit->findings[i].of_events ? 1 : 2);
    cr_expect(audit->findings[1].of_events != audit->findings[2].of_events);
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit_moving, a_loss_among_the_newest_events_is_found)
{
    struct shelf *shelf = filled(1, 1);
    struct audit_run *run = begin_slowly(shelf, everything());
    enum err result;
    struct audit *audit;
    cr_assert(audit_step(run, &result, &audit));
    int64_t seq = shelf_append(shelf, (struct shelved){.accepted_us = AT(DAY), .endpoints = 1});
    write_totals(shelf);
    char text[160];
    snprintf(text, sizeof text,
        "DELETE FROM events WHERE seq = %lld; DELETE FROM deliveries WHERE id = 16 * %lld",
        (long long)seq, (long long)seq);
    shelf_sql(shelf, text);
    cr_assert(audit_end(run, &audit) == OK);
    cr_assert_eq(audit->findings_count, 2, "of the event, and of its delivery");
    for (size_t i = 0; i < 2; i++)
        cr_expect(audit->findings[i].kind == AUDIT_TOTALS && audit->findings[i].totals.count == 1);
    audit_free(audit);
    shelf_free(shelf);
}

Test(audit_moving, rests_while_the_wal_is_large_so_that_it_can_start_over)
{
    struct shelf *shelf = filled(1, 1);
    struct audit_run *run = audit_begin(shelf, everything());
    struct audit *audit = NULL;
    bool more = true;
    int64_t pause_us;
    shelf_sql(shelf,
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        " INSERT INTO bodies SELECT i, zeroblob(60000), 0 FROM n");
    for (int i = 0; i < 300; i++)
        cr_assert(audit_run_step(run, &more, &pause_us, &audit) == OK && more && pause_us > 0);
    shelf_sql(shelf, "PRAGMA wal_checkpoint(TRUNCATE)");
    cr_expect_complete(run, EVENTS);
    shelf_free(shelf);
}

Test(audit_moving, gives_up_when_the_wal_stays_large)
{
    struct shelf *shelf = filled(1, 1);
    struct audit_run *run = audit_begin(shelf, everything());
    struct audit *audit = NULL;
    enum err result;
    unsigned steps = 0;
    shelf_sql(shelf,
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        " INSERT INTO bodies SELECT i, zeroblob(60000), 0 FROM n");
    while (audit_step(run, &result, &audit))
        steps++;
    cr_expect(result == ERR_UNAVAILABLE && steps >= 600, "%u", steps);
    audit_run_free(run);
    shelf_free(shelf);
}

/* Through the reader's thread, beside a journal's. */

struct asked {
    struct journal_audit audit;
    bool done;
};

static void on_audited(struct request *request, void *receiver)
{
    (void)receiver;
    CONTAINER_OF(request, struct asked, audit.request)->done = true;
}

static void ask(struct desk *desk, struct journal_reader *reader, struct asked *asked)
{
    *asked =
        (struct asked){.audit = {.request = {.reply_to = &desk->mailbox, .on_done = on_audited},
                           .question = everything()}};
    journal_reader_audit(reader, &asked->audit);
}

static void wait_until_asked(struct desk *desk, struct asked *asked)
{
    while (!asked->done) {
        mailbox_wait(&desk->mailbox, 1000);
        mailbox_work(&desk->mailbox);
    }
}

#define ROUNDS 30
#define PER_ROUND 40

Test(audit_moving, beside_a_busy_journal_there_is_no_false_alarm)
{
    static struct journal_append appends[ROUNDS * PER_ROUND];
    static struct journal_record records[ROUNDS * PER_ROUND];
    struct desk *desk = desk_new();
    struct journal_reader *reader;
    struct asked asked;
    size_t answers = 0, seen = 0, recorded = 0, audits = 0;
    cr_assert(journal_reader_open(desk->directory, 1, &reader) == OK);
    ask(desk, reader, &asked);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PER_ROUND; i++) {
            struct journal_append *append = &appends[round * PER_ROUND + i];
            struct event *event = desk_event(
                desk, (struct draft){.amount = i % 2 ? "0.1" : "-0.2", .currency = "EUR"});
            desk_submit(desk, &append_init(append, event, (uint64_t[]){7}, 1)->request);
        }
        answers += PER_ROUND;
        desk_wait_answers(desk, answers);
        for (; seen < desk->arrivals_count; seen++) {
            const struct arrival *arrival = &desk->arrivals[seen];
            if (arrival->answered || recorded >= ARRAY_LENGTH(records))
                continue;
            records[recorded] = move_of(arrival->delivery.id, DELIVERY_PENDING, DELIVERY_DELIVERED);
            desk_submit(desk, &records[recorded++].request);
            answers++;
        }
        if (asked.done) {
            cr_assert(asked.audit.request.result == OK && audit_is_complete(asked.audit.ret_audit));
            audit_free(asked.audit.ret_audit);
            ask(desk, reader, &asked);
            audits++;
        }
    }
    desk_wait_answers(desk, answers);
    wait_until_asked(desk, &asked);
    audit_free(asked.audit.ret_audit);
    ask(desk, reader, &asked);
    wait_until_asked(desk, &asked);
    cr_assert(asked.audit.request.result == OK && audit_is_complete(asked.audit.ret_audit));
    cr_expect_number(asked.audit.ret_audit->totals[0].deliveries, ROUNDS * PER_ROUND, "-60");
    cr_expect_eq(
        asked.audit.ret_audit->totals[0].columns[AUDIT_DELIVERED].count, (int64_t)recorded);
    cr_expect(audits > 0);
    audit_free(asked.audit.ret_audit);
    for (size_t i = 0; i < ARRAY_LENGTH(appends); i++)
        event_unref(appends[i].event);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(audit_moving, a_reader_that_stops_answers_what_it_has_begun)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader;
    struct asked asked[AUDIT_RUNS_MAX + 2];
    cr_assert(journal_reader_open(desk->directory, 1, &reader) == OK);
    for (size_t i = 0; i < ARRAY_LENGTH(asked); i++)
        ask(desk, reader, &asked[i]);
    journal_reader_stop(reader);
    mailbox_work(&desk->mailbox);
    for (size_t i = 0; i < ARRAY_LENGTH(asked); i++) {
        cr_assert(asked[i].done);
        enum err result = asked[i].audit.request.result; /* or it had found no moment of rest */
        cr_expect(result == OK || result == ERR_SHUTTING_DOWN || result == ERR_UNAVAILABLE);
        audit_free(asked[i].audit.ret_audit);
    }
    desk_free(desk);
}

static bool audit_was_first;

static void on_measured(struct request *request, void *receiver)
{
    audit_was_first =
        ((const struct asked *)receiver)->done; /* answers come in the order of posting */
    CONTAINER_OF(request, struct journal_due, request)->now_us = 1; /* it is answered */
}

Test(audit_moving, other_questions_are_answered_first)
{
    struct shelf *shelf = shelf_new();
    struct mailbox mailbox;
    struct journal_reader *reader;
    struct asked asked = {.audit = {.request = {.reply_to = &mailbox, .on_done = on_audited},
                              .question = everything()}};
    struct journal_due_entry entry = {.endpoint = 1};
    struct journal_due due = {
        .request = {.reply_to = &mailbox, .on_done = on_measured}, .count = 1, .entries = &entry};
    shelf_sql(shelf,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
        " INSERT INTO deliveries SELECT 16 * i, 1, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0 "
        "FROM "
        "n");
    cr_assert(mailbox_init(&mailbox, &asked) == OK);
    cr_assert(journal_reader_open(shelf->directory, 1, &reader) == OK);
    journal_reader_audit(reader, &asked.audit);
    journal_reader_due(reader, &due);
    while (due.now_us == 0 || !asked.done) {
        mailbox_wait(&mailbox, 1000);
        mailbox_work(&mailbox);
    }
    cr_expect(!audit_was_first);
    cr_expect(asked.audit.request.result == OK &&
              asked.audit.ret_audit->findings_more == 400000 - AUDIT_FINDINGS_MAX);
    audit_free(asked.audit.ret_audit);
    journal_reader_stop(reader);
    mailbox_done(&mailbox);
    shelf_free(shelf);
}
