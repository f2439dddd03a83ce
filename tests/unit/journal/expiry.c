/* SPDX-License-Identifier: Apache-2.0 */
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define NOW (20500 * US_PER_DAY + US_PER_DAY / 2)
#define DAYS_AGO(days) (NOW - (days)*US_PER_DAY)

static int64_t deliver(struct shelf *shelf, struct shelved draft)
{
    int64_t seq = shelf_append(shelf, draft);
    for (unsigned i = 0; i < draft.endpoints; i++)
        cr_assert(shelf_move(shelf, seq, i, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    return seq;
}

Test(expiry, bodies_of_final_deliveries_expire_and_others_stay)
{
    struct shelf *shelf = shelf_new();
    deliver(shelf, (struct shelved){.accepted_us = DAYS_AGO(9), .endpoints = 2});
    int64_t half =
        shelf_append(shelf, (struct shelved){.accepted_us = DAYS_AGO(9), .endpoints = 2});
    cr_assert(shelf_move(shelf, half, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    int64_t dead =
        shelf_append(shelf, (struct shelved){.accepted_us = DAYS_AGO(9), .endpoints = 1});
    cr_assert(shelf_move(shelf, dead, 0, DELIVERY_PENDING, DELIVERY_DEAD) == OK);
    shelf_append(shelf, (struct shelved){.accepted_us = DAYS_AGO(9)});
    deliver(shelf, (struct shelved){.accepted_us = DAYS_AGO(8), .endpoints = 1});
    int64_t fresh = deliver(shelf, (struct shelved){.accepted_us = DAYS_AGO(6), .endpoints = 1});
    shelf_expire(shelf, NOW);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM bodies") == 4);
    cr_expect(
        shelf_sql_int(shelf, "SELECT count(*) FROM events") == 6, "the history is kept longer");
    char text[128];
    snprintf(text, sizeof text, "SELECT count(*) FROM bodies WHERE seq IN (%lld, %lld, %lld)",
        (long long)half, (long long)dead, (long long)fresh);
    cr_expect(shelf_sql_int(shelf, text) == 3);

    cr_assert(shelf_move(shelf, half, 1, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    shelf_expire(shelf, NOW + US_PER_DAY);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM bodies") == 3,
        "what was open is looked at again the next day");
    shelf_free(shelf);
}

Test(expiry, the_history_of_final_deliveries_expires_and_its_sums_stay_in_the_totals)
{
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < 300; i++)
        deliver(shelf,
            (struct shelved){
                .accepted_us = DAYS_AGO(100), .amount = "0.10", .currency = "EUR", .endpoints = 2});
    int64_t dead = shelf_append(
        shelf, (struct shelved){
                   .accepted_us = DAYS_AGO(100), .amount = "7", .currency = "EUR", .endpoints = 1});
    cr_assert(shelf_move(shelf, dead, 0, DELIVERY_PENDING, DELIVERY_DEAD) == OK);
    deliver(
        shelf, (struct shelved){
                   .accepted_us = DAYS_AGO(80), .amount = "9", .currency = "EUR", .endpoints = 1});
    unsigned steps = shelf_expire(shelf, NOW);
    cr_expect(steps > 4, "in steps, and not in %u", steps);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM events") == 2);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM deliveries") == 2);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM bodies") == 1, "of the dead one");
    cr_expect(
        shelf_sql_int(shelf,
            "SELECT count(*) FROM totals WHERE day = 20400 AND endpoint = 2 AND accepted = 300"
            " AND accepted_sum = '30' AND delivered = 300 AND delivered_sum = '30'") == 1);
    cr_expect(
        shelf_sql_int(shelf,
            "SELECT count(*) FROM totals WHERE day = 20400 AND endpoint = 1 AND accepted = 301"
            " AND accepted_sum = '37' AND delivered = 300 AND delivered_sum = '30'") == 1);
    cr_expect(
        shelf_sql_int(shelf, "SELECT value FROM meta WHERE key = 'history_us'") == DAYS_AGO(100));
    cr_expect(
        shelf_sql_int(shelf,
            "SELECT count(*) FROM totals WHERE day = 20400 AND endpoint = -1 AND accepted = 301"
            " AND accepted_sum = '37' AND delivered = 300 AND delivered_sum = '30'") == 1);
    shelf_crash(shelf);
    cr_expect(shelf_expire(shelf, NOW) <= 6, "nothing is left to do");
    cr_expect(shelf_sql_int(shelf, "SELECT sum(delivered) FROM totals WHERE endpoint > 0") == 600,
        "nothing is counted twice");
    shelf_free(shelf);
}

Test(expiry, damaged_rows_stay_and_the_audit_names_them)
{
    static const char *const damages[] = {
        "UPDATE events SET amount = '8' WHERE seq = 2",
        "UPDATE deliveries SET attempts = 9 WHERE id = 32",
        "DELETE FROM deliveries WHERE id = 33",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        struct shelf *shelf = shelf_new();
        for (int k = 0; k < 3; k++)
            deliver(shelf, (struct shelved){.accepted_us = DAYS_AGO(100),
                               .amount = "1",
                               .currency = "EUR",
                               .endpoints = 2});
        shelf_sql(shelf, damages[i]);
        shelf_expire(shelf, NOW);
        cr_expect(
            shelf_sql_int(shelf, "SELECT group_concat(seq) = '2' FROM events") == 1, "case %zu", i);
        shelf_free(shelf);
    }
}

Test(expiry, conflicts_and_operator_actions_expire_with_the_history)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = deliver(shelf, (struct shelved){.accepted_us = DAYS_AGO(100), .endpoints = 1});
    char text[256];
    snprintf(text, sizeof text,
        "INSERT INTO operator_actions(delivery, at_us, from_state, to_state, generation, "
        "from_endpoint, to_endpoint, "
        "actor, note, crc)"
        " VALUES(%lld, 1, 3, 4, 0, 1, 1, 0, '', 0)",
        (long long)placement_first_delivery(seq));
    shelf_sql(shelf, text);
    for (int old = 0; old < 2; old++) {
        snprintf(text, sizeof text,
            "INSERT INTO conflicts(first_event, at_us, partner, account, type, key, body, times, "
            "last_us, crc)"
            " VALUES(x'00', 0, 'p', 'a', 't', 'k', x'', 1, %lld, 0)",
            (long long)DAYS_AGO(old ? 91 : 89));
        shelf_sql(shelf, text);
    }
    shelf_expire(shelf, NOW);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM operator_actions") == 0);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM conflicts") == 1);
    shelf_free(shelf);
}

Test(expiry, a_clock_far_ahead_of_the_newest_event_is_doubtful)
{
    cr_assert(!expiry_is_doubtful(0, NOW) && !expiry_is_doubtful(DAYS_AGO(6), NOW));
    cr_assert(expiry_is_doubtful(DAYS_AGO(8), NOW));
}
