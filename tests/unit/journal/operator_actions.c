/* SPDX-License-Identifier: Apache-2.0 */
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct journal_operator_action action(struct shelf *shelf, int64_t seq, unsigned index,
    enum delivery_state from, enum delivery_state to)
{
    struct journal_operator_action action = {.request.kind = JOURNAL_OPERATOR_ACTION,
        .event = shelf_id_of(shelf, seq),
        .index = index,
        .from = from,
        .to = to,
        .allows_doubt = true,
        .expected_endpoint = index + 1};
    snprintf(action.note, sizeof action.note, "the client said so");
    shelf_begin(shelf);
    cr_assert(store_action(&shelf->store, &action.request) == OK);
    shelf_commit(shelf);
    return action;
}

Test(actions, go_the_operators_ways_and_are_kept_with_their_reason)
{
    static const struct {
        enum delivery_state at, from, to;
        enum err expected;
    } cases[] = {
        {DELIVERY_PARKED, DELIVERY_PARKED, DELIVERY_DELIVERED, OK},
        {DELIVERY_PARKED, DELIVERY_PARKED, DELIVERY_DISCARDED, OK},
        {DELIVERY_PARKED, DELIVERY_PARKED, DELIVERY_PENDING, OK},
        {DELIVERY_DEAD, DELIVERY_DEAD, DELIVERY_PENDING, OK},
        {DELIVERY_DEAD, DELIVERY_DEAD, DELIVERY_DISCARDED, OK},
        {DELIVERY_WAITING, DELIVERY_WAITING, DELIVERY_PENDING, OK},
        {DELIVERY_WAITING, DELIVERY_WAITING, DELIVERY_DISCARDED, OK},
        {DELIVERY_DELIVERED, DELIVERY_DELIVERED, DELIVERY_PENDING, OK},
        {DELIVERY_DELIVERED, DELIVERY_PARKED, DELIVERY_PENDING, ERR_MOVED_ON},
        {DELIVERY_DELIVERED, DELIVERY_DEAD, DELIVERY_DISCARDED, ERR_MOVED_ON},
        {DELIVERY_WAITING, DELIVERY_PARKED, DELIVERY_DELIVERED, ERR_MOVED_ON},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shelf *shelf = shelf_new();
        int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 2});
        cr_assert(shelf_move(shelf, seq, 1, DELIVERY_PENDING, cases[i].at) == OK);
        struct journal_operator_action done = action(shelf, seq, 1, cases[i].from, cases[i].to);
        bool ok = cases[i].expected == OK;
        cr_expect_eq(done.request.result, cases[i].expected, "case %zu: %s", i,
            err_name(done.request.result));
        cr_expect_eq(done.ret_state, ok ? cases[i].to : cases[i].at, "case %zu", i);
        cr_expect(done.ret_endpoint == 2 && done.ret_delivery == placement_delivery(seq, 1));
        cr_expect_eq(shelf_sql_int(shelf,
                         "SELECT count(*) FROM operator_actions WHERE note = 'the client said so'"),
            ok);
        char text[160];
        snprintf(text, sizeof text,
            "SELECT count(*) FROM deliveries WHERE id %% 16 = 1 AND state = %d AND generation = %d",
            done.ret_state, ok && cases[i].to == DELIVERY_PENDING);
        cr_expect_eq(shelf_sql_int(shelf, text), 1, "case %zu", i);
        shelf_free(shelf);
    }
}

Test(actions, say_whether_an_operator_or_a_status_probe_made_the_move)
{
    struct shelf *shelf = shelf_new();
    for (int actor = ACTION_BY_OPERATOR; actor <= ACTION_BY_STATUS_PROBE; actor++) {
        int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
        cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_PARKED) == OK);
        struct journal_operator_action resolve = {.request.kind = JOURNAL_OPERATOR_ACTION,
            .event = shelf_id_of(shelf, seq),
            .from = DELIVERY_PARKED,
            .to = DELIVERY_DELIVERED,
            .actor = (enum action_actor)actor};
        cr_assert(shelf_call(shelf, store_action, &resolve.request) == OK);
        cr_expect_eq(
            shelf_sql_int(shelf, "SELECT actor FROM operator_actions ORDER BY seq DESC LIMIT 1"),
            actor);
    }
    shelf_free(shelf);
}

Test(actions, on_a_missing_delivery_or_without_an_endpoint_are_refused)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){0});
    struct journal_operator_action resend =
        action(shelf, seq, 0, DELIVERY_PARKED, DELIVERY_PENDING);
    cr_expect(resend.request.result == ERR_INVALID && resend.ret_refusal == ACTION_UNROUTED);
    cr_expect_eq(
        action(shelf, seq, 1, DELIVERY_PARKED, DELIVERY_DELIVERED).request.result, ERR_NOT_FOUND);
    struct journal_operator_action unknown = {.request.kind = JOURNAL_OPERATOR_ACTION,
        .from = DELIVERY_PARKED,
        .to = DELIVERY_DISCARDED,
        .event = {{1}}};
    shelf_begin(shelf);
    cr_assert(store_action(&shelf->store, &unknown.request) == OK &&
              unknown.request.result == ERR_NOT_FOUND);
    shelf_commit(shelf);
    cr_expect_eq(action(shelf, seq, 0, DELIVERY_PARKED, DELIVERY_DISCARDED).request.result, OK);
    shelf_sql(shelf, "UPDATE deliveries SET failures = 1");
    cr_expect_eq(
        action(shelf, seq, 0, DELIVERY_PARKED, DELIVERY_DISCARDED).request.result, ERR_DAMAGED);
    shelf_free(shelf);
}

Test(actions, a_delivery_without_its_body_is_not_sent_again)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    shelf_sql(shelf, "DELETE FROM bodies");
    struct journal_operator_action replay =
        action(shelf, seq, 0, DELIVERY_DELIVERED, DELIVERY_PENDING);
    cr_expect(replay.request.result == ERR_INVALID && replay.ret_state == DELIVERY_DELIVERED &&
              replay.ret_endpoint == 1);
    cr_expect_eq(replay.ret_refusal, ACTION_BODY_EXPIRED);
    shelf_free(shelf);
}

static struct journal_operator_action send_to(struct shelf *shelf, int64_t seq, unsigned index,
    enum delivery_state from, uint64_t endpoint, uint64_t expected_endpoint, bool looks)
{
    struct journal_operator_action action = {.request.kind = JOURNAL_OPERATOR_ACTION,
        .event = shelf_id_of(shelf, seq),
        .index = index,
        .from = from,
        .to = DELIVERY_PENDING,
        .endpoint = endpoint,
        .expected_endpoint = expected_endpoint,
        .allows_doubt = true,
        .looks = looks};
    enum err result = shelf_call(shelf, store_action, &action.request);
    cr_assert(result == action.request.result);
    return action;
}

Test(actions, send_what_was_not_delivered_to_another_endpoint_and_the_totals_follow)
{
    struct shelf *shelf = shelf_new();
    const struct shelved draft = {.amount = "2.5", .currency = "EUR", .endpoints = 2};
    int64_t gone = shelf_append(shelf, draft), had = shelf_append(shelf, draft);
    int64_t unrouted = shelf_append(shelf, (struct shelved){.amount = "1", .currency = "EUR"});
    cr_assert(shelf_move(shelf, gone, 0, DELIVERY_PENDING, DELIVERY_PARKED) == OK);
    cr_assert(shelf_move(shelf, had, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);

    struct journal_operator_action look = send_to(shelf, gone, 0, DELIVERY_PARKED, 7, 0, true);
    cr_expect(look.request.result == OK && look.ret_endpoint == 1 &&
              strcmp(look.ret_account, "acc_1") == 0);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM operator_actions") == 0,
        "who looks does nothing");
    struct journal_operator_action twice = send_to(shelf, gone, 0, DELIVERY_PARKED, 2, 1, false);
    cr_expect(twice.request.result == ERR_INVALID && twice.ret_refusal == ACTION_ENDPOINT_HAS_IT &&
              twice.ret_index == 1);
    struct journal_operator_action delivered =
        send_to(shelf, had, 0, DELIVERY_DELIVERED, 7, 1, false);
    cr_expect(
        delivered.request.result == ERR_INVALID && delivered.ret_refusal == ACTION_WAS_DELIVERED);
    cr_expect_eq(
        send_to(shelf, gone, 0, DELIVERY_PARKED, 7, 5, false).request.result, ERR_MOVED_ON);

    struct journal_operator_action sent = send_to(shelf, gone, 0, DELIVERY_PARKED, 7, 1, false);
    cr_expect(
        sent.request.result == OK && sent.ret_endpoint == 7 && sent.ret_state == DELIVERY_PENDING);
    cr_expect_eq(send_to(shelf, unrouted, 0, DELIVERY_PARKED, 7, 0, false).request.result, OK);
    cr_expect(shelf_sql_int(
                  shelf, "SELECT count(*) FROM deliveries WHERE endpoint = 7 AND state = 0") == 2);
    cr_expect(
        shelf_sql_int(shelf,
            "SELECT count(*) FROM operator_actions WHERE from_endpoint = 1 AND to_endpoint = 7") ==
        1);
    for (int crash = 0; crash < 2; crash++) {
        cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM totals WHERE endpoint = 7 AND "
                                       "accepted = 2 AND accepted_sum = '3.5'") == 1);
        cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM totals WHERE endpoint = 1 AND "
                                       "accepted = 1 AND accepted_sum = '2.5'") == 1);
        cr_expect(shelf_sql_int(shelf, "SELECT accepted FROM totals WHERE endpoint = -1") == 3,
            "events are as many");
        shelf_crash(shelf);
    }
    shelf_free(shelf);
}

/* Delivered, replayed, failed in each way that there is, and replayed once more. */
Test(actions, a_forced_replay_that_fails_leaves_it_delivered)
{
    static const enum delivery_state ends[] = {DELIVERY_DEAD, DELIVERY_PARKED};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct shelf *shelf = shelf_new();
        int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
        struct journal_record first = {.request.kind = JOURNAL_RECORD_OUTCOME,
            .delivery = placement_first_delivery(seq),
            .from = DELIVERY_PENDING,
            .to = DELIVERY_DELIVERED,
            .has_attempt = true,
            .attempt = {.number = 1, .started_us = 70, .end.http_status = 204}};
        cr_assert(shelf_call(shelf, store_record_outcome, &first.request) == OK);
        int64_t delivered_us = shelf_sql_int(shelf, "SELECT changed_us FROM deliveries");
        for (uint32_t round = 1; round <= 2; round++) {
            cr_assert_eq(
                action(shelf, seq, 0, DELIVERY_DELIVERED, DELIVERY_PENDING).request.result, OK);
            cr_expect_eq(action(shelf, seq, 0, DELIVERY_DELIVERED, DELIVERY_PENDING).request.result,
                ERR_MOVED_ON);
            cr_expect_eq(action(shelf, seq, 0, DELIVERY_DEAD, DELIVERY_DISCARDED).request.result,
                ERR_MOVED_ON);
            struct journal_record failed = {.request.kind = JOURNAL_RECORD_OUTCOME,
                .delivery = placement_first_delivery(seq),
                .generation = round,
                .from = DELIVERY_PENDING,
                .to = ends[i],
                .reason = PARK_AMBIGUOUS,
                .has_attempt = true,
                .attempt = {.number = round + 1, .started_us = 80, .end.http_status = 500}};
            cr_assert(shelf_call(shelf, store_record_outcome, &failed.request) == OK &&
                      failed.request.result == OK);
            char text[200];
            snprintf(text, sizeof text,
                "SELECT count(*) FROM deliveries WHERE state = 4 AND reason = 0 AND delivered_us = "
                "%lld AND attempts = "
                "%u AND started_us = 0",
                (long long)delivered_us, round + 1);
            cr_expect(shelf_sql_int(shelf, text) == 1, "end %zu, round %u", i, round);
            cr_expect(
                shelf_sql_int(shelf,
                    "SELECT count(*) FROM attempts WHERE number = 1 AND http_status = 204") == 1);
            cr_expect(shelf_sql_int(
                          shelf, "SELECT count(*) FROM attempts WHERE http_status = 500") == round);
        }
        shelf_free(shelf);
    }
}

Test(actions, a_forced_replay_that_a_crash_interrupts_leaves_it_delivered)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    cr_assert_eq(action(shelf, seq, 0, DELIVERY_DELIVERED, DELIVERY_PENDING).request.result, OK);
    shelf_crash(shelf);
    cr_expect(shelf_sql_int(shelf, "SELECT state = 0 AND delivered_us > 0 FROM deliveries") == 1,
        "it goes on");
    struct journal_record start = {.request.kind = JOURNAL_START,
        .delivery = placement_first_delivery(seq),
        .generation = 1,
        .from = DELIVERY_PENDING,
        .to = DELIVERY_SENDING};
    cr_assert(shelf_call(shelf, store_start, &start.request) == OK && start.request.result == OK);
    shelf_crash(shelf);
    cr_expect(shelf_sql_int(shelf, "SELECT state = 4 AND delivered_us > 0 FROM deliveries") == 1);
    cr_expect(
        shelf_sql_int(shelf, "SELECT count(*) FROM attempts WHERE error = 'interrupted'") == 1);
    shelf_free(shelf);
}

Test(actions, a_forced_replay_keeps_the_attempt_that_had_delivered)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    struct journal_record order = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_first_delivery(seq),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DELIVERED,
        .has_attempt = true,
        .attempt = {.number = 1, .started_us = 70, .end.http_status = 204}};
    shelf_begin(shelf);
    cr_assert(
        store_record_outcome(&shelf->store, &order.request) == OK && order.request.result == OK);
    shelf_commit(shelf);
    cr_expect_eq(action(shelf, seq, 0, DELIVERY_DELIVERED, DELIVERY_PENDING).request.result, OK);
    cr_expect(shelf_sql_int(shelf,
                  "SELECT count(*) FROM attempts WHERE number = 1 AND http_status = 204") == 1);
    shelf_free(shelf);
}

static struct journal_list_parked list(
    struct shelf *shelf, struct journal_parked *room, unsigned count, int64_t after)
{
    struct journal_list_parked list = {.request.kind = JOURNAL_LIST_PARKED,
        .reason = PARK_UNROUTED,
        .after_id = after,
        .count_max = count,
        .ret_parked = room};
    shelf_begin(shelf);
    cr_assert(store_list_parked(&shelf->store, &list.request) == OK);
    shelf_commit(shelf);
    return list;
}

static struct journal_parked find_in_doubt(struct shelf *shelf, uint64_t endpoint)
{
    struct journal_parked found;
    struct journal_list_parked list = {.request.kind = JOURNAL_LIST_PARKED,
        .endpoint = endpoint,
        .reason = PARK_AMBIGUOUS,
        .count_max = 1,
        .ret_parked = &found};
    shelf_begin(shelf);
    cr_assert(store_list_parked(&shelf->store, &list.request) == OK && list.ret_count == 1);
    shelf_commit(shelf);
    return found;
}

static void park_again(struct shelf *shelf, int64_t seq, unsigned index)
{
    struct journal_record order = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .generation = 1,
        .from = DELIVERY_PENDING,
        .to = DELIVERY_PARKED,
        .reason = PARK_AMBIGUOUS};
    shelf_begin(shelf);
    cr_assert(
        store_record_outcome(&shelf->store, &order.request) == OK && order.request.result == OK);
    shelf_commit(shelf);
}

/* A status probe asks about what was sent before. Its answer says nothing about a later attempt. */
Test(actions, that_expect_a_generation_are_refused_in_a_later_one)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 2});
    cr_assert(shelf_move(shelf, seq, 1, DELIVERY_PENDING, DELIVERY_PARKED) == OK);
    struct journal_parked before = find_in_doubt(shelf, 2);
    cr_assert(action(shelf, seq, 1, DELIVERY_PARKED, DELIVERY_PENDING).request.result == OK);
    park_again(shelf, seq, 1);
    struct journal_parked after = find_in_doubt(shelf, 2);
    const struct {
        uint32_t generation;
        enum delivery_state to;
        enum err expected;
    } cases[] = {{before.generation, DELIVERY_DELIVERED, ERR_MOVED_ON},
        {before.generation, DELIVERY_PENDING, ERR_MOVED_ON},
        {after.generation, DELIVERY_DELIVERED, OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct journal_operator_action probe = {.request.kind = JOURNAL_OPERATOR_ACTION,
            .event = before.event,
            .index = 1,
            .from = DELIVERY_PARKED,
            .to = cases[i].to,
            .expected_endpoint = 2,
            .expects_generation = true,
            .expected_generation = cases[i].generation};
        shelf_begin(shelf);
        cr_assert(store_action(&shelf->store, &probe.request) == OK);
        shelf_commit(shelf);
        cr_expect_eq(probe.request.result, cases[i].expected, "case %zu: %s", i,
            err_name(probe.request.result));
    }
    shelf_free(shelf);
}

Test(route, unrouted_deliveries_are_listed_in_parts_and_the_totals_follow_their_endpoint)
{
    struct shelf *shelf = shelf_new();
    int64_t seqs[3];
    for (int i = 0; i < 3; i++)
        seqs[i] = shelf_append(
            shelf, (struct shelved){
                       .account = i == 1 ? "other" : "acc_1", .amount = "2.5", .currency = "EUR"});
    struct journal_parked room[4];
    struct journal_list_parked first = list(shelf, room, 2, 0);
    cr_assert(first.ret_count == 2 && strcmp(room[1].account, "other") == 0 &&
              strcmp(room[0].type, "purchase") == 0);
    cr_assert(first.ret_after_id == room[1].delivery);
    struct journal_list_parked rest = list(shelf, room + 2, 2, first.ret_after_id);
    cr_assert(rest.ret_count == 1 && rest.ret_after_id == INT64_MAX);
    cr_assert(room[2].delivery == placement_first_delivery(seqs[2]));

    const struct journal_routing ways[] = {
        {room[0].delivery, 5}, {room[2].delivery, 5}, {room[0].delivery, 6}};
    struct journal_route route = {.request.kind = JOURNAL_ROUTE, .count = 3, .routings = ways};
    shelf_begin(shelf);
    cr_assert(store_route(&shelf->store, &route.request) == OK);
    shelf_commit(shelf);
    cr_expect_eq(route.ret_count, 2, "one that is routed is not routed again");
    cr_expect(shelf_sql_int(
                  shelf, "SELECT count(*) FROM deliveries WHERE endpoint = 5 AND state = 0") == 2);
    for (int crash = 0; crash < 2; crash++) {
        cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM totals WHERE endpoint = 5 AND "
                                       "accepted = 2 AND accepted_sum = '5'") == 1);
        cr_expect(shelf_sql_int(shelf, "SELECT sum(accepted) FROM totals WHERE endpoint = 0") == 1);
        shelf_crash(shelf);
    }
    cr_expect(list(shelf, room, 4, 0).ret_count == 1);
    shelf_free(shelf);
}

Test(conflicts, of_the_same_money_are_counted_and_others_are_kept_up_to_a_bound)
{
    struct shelf *shelf = shelf_new();
    struct event_id first = {{1}};
    static const char *const amounts[] = {"1", "1.0", "2", "1.00", "2", "-1"};
    for (int i = 0; i < 6 + 40; i++) {
        char amount[16];
        snprintf(amount, sizeof amount, "%d", 100 + i);
        struct event event = {.parts = {.amount = slice_from_string(i < 6 ? amounts[i] : amount),
                                  .currency = SLICE_LITERAL("EUR"),
                                  .body = SLICE_LITERAL("{}")}};
        bool is_new;
        shelf_begin(shelf);
        cr_assert(conflict_rows_add(&shelf->store.conflicts, &first, i, &event, &is_new) == OK);
        shelf_commit(shelf);
        cr_expect_eq(is_new, i == 0 || i == 2 || (i >= 5 && i < 6 + 13), "at %d", i);
    }
    cr_expect(shelf_sql_int(shelf, "SELECT times FROM conflicts WHERE amount = '1'") == 3);
    cr_expect(shelf_sql_int(
                  shelf, "SELECT times FROM conflicts WHERE amount = '2' AND last_us = 4") == 2);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM conflicts") == CONFLICTS_PER_KEY_MAX);
    cr_expect(shelf_sql_int(shelf, "SELECT sum(times) FROM conflicts") == 46,
        "none is lost without being counted");
    shelf_free(shelf);
}
