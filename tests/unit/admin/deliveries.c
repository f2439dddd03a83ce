/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of /api/v1/deliveries, conflicts, poison and audit, and operator actions. */
#include "base/cleanup.h"
#include "unit/admin/fixture.h"

#include <stdio.h>

TestSuite(deliveries, .init = fixture_begin, .fini = fixture_end);

#define UUID "01890a5d-ac96-774b-bcce-b302099a8057"
#define DELIVERY "/api/v1/deliveries/dlv_" UUID "-3"

Test(deliveries, wrong_parameters_are_named)
{
    static const struct {
        const char *path, *pointer;
    } cases[] = {
        {"deliveries?colour=red", "/colour"},
        {"deliveries?state=gone", "/state"},
        {"deliveries?state=", "/state"},
        {"deliveries?state=dead&state=parked", "/state"},
        {"deliveries?park_reason=none", "/park_reason"},
        {"deliveries?park_reason=bored", "/park_reason"},
        {"deliveries?state=dead&park_reason=gone", "/park_reason"},
        {"deliveries?account=a%20b", "/account"},
        {"deliveries?account=a%2", "/account"},
        {"deliveries?account=a%00", "/account"},
        {"deliveries?endpoint=main", "/endpoint"},
        {"deliveries?day=2026-02-30", "/day"},
        {"deliveries?day=1", "/day"},
        {"deliveries?day=1969-12-31", "/day"},
        {"deliveries?currency=eur", "/currency"},
        {"deliveries?limit=0", "/limit"},
        {"deliveries?limit=1001", "/limit"},
        {"deliveries?limit=-1", "/limit"},
        {"deliveries?limit=5x", "/limit"},
        {"deliveries?cursor=x", "/cursor"},
        {"deliveries?cursor=0.1.2.3", "/cursor"},
        {"deliveries?cursor=0.1.2.3.4.5", "/cursor"},
        {"deliveries?cursor=9999.1.2.3.4", "/cursor"},
        {"deliveries?cursor=0.1.2.3.99999999999999999999", "/cursor"},
        {"deliveries?state", "/state"},
        {"conflicts?event=1", "/event"},
        {"conflicts?partner=%2f", "/partner"},
        {"conflicts?state=dead", "/state"},
        {"poison?limit=0", "/limit"},
        {"poison?cursor=0.11.2.3.4", "/cursor"},
        {"poison?queue=q", "/queue"},
        {"audit?from=yesterday", "/from"},
        {"audit?to=2026-1-1", "/to"},
        {"audit?from=2026-01-02&to=2026-01-01", "/to"},
        {"audit?account=-", "/account"},
        {"audit?bodies=yes", "/bodies"},
        {"audit?until=2026-01-01", "/until"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char path[128];
        snprintf(path, sizeof path, "/api/v1/%s", cases[i].path);
        cr_expect_eq(operate("GET", path, ""), 422, "%s: %s", path, answer_body);
        cr_expect(names_fields(cases[i].pointer), "%s: %s", path, answer_body);
        cr_expect_eq(ask("GET", path, NULL, ""), 401, "%s", path);
    }
}

Test(deliveries, good_parameters_reach_the_reader)
{
    /* it has no journal, so it answers with an error */
    static const char *const paths[] = {"deliveries", "deliveries?", "deliveries?&&",
        "deliveries?state=in_progress", "deliveries?park_reason=unrouted&state=parked",
        "deliveries?park_reason=unrouted", "deliveries?endpoint=none",
        "deliveries?endpoint=ep_0123456789abcdef&currency=none&day=2026-02-28&limit=1000&account="
        "acc%5F1",
        "deliveries?state=dead&cursor=0.6.-1.9223372036854775807.-4",
        "conflicts?event=evt_" UUID "&partner=p&account=a",
        "conflicts?day=2026-02-28&limit=1&cursor=0.1.0.0.7",
        "deliveries?state=pending&cursor=0.9.0.0.4", "poison", "poison?limit=3&cursor=0.1.0.0.7",
        "audit", "audit?from=2026-02-28&to=2026-02-28&bodies=true"};
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        char path[192];
        snprintf(path, sizeof path, "/api/v1/%s", paths[i]);
        cr_expect_eq(operate("GET", path, ""), 503, "%s: %s", path, answer_body);
        cr_expect(strstr(answer_body, "urn:penstock:problem:disk"), "%s: %s", path, answer_body);
    }
}

Test(deliveries, an_invalid_delivery_id_is_not_found)
{
    static const char *const ids[] = {"1", "dlv_1", "dlv_" UUID, "dlv_" UUID "-16", "evt_" UUID};
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        char path[128];
        snprintf(path, sizeof path, "/api/v1/deliveries/%s", ids[i]);
        cr_expect_eq(operate("GET", path, ""), 404, "%s", ids[i]);
        snprintf(path, sizeof path, "/api/v1/deliveries/%s/retry", ids[i]);
        cr_expect_eq(operate("POST", path, "{\"expect\":\"parked\"}"), 404, "%s", ids[i]);
    }
    cr_expect_eq(owner.asked, 0);
}

Test(deliveries, actions_reach_the_owner_with_the_expected_state)
{
    static const struct {
        const char *verb, *body;
        enum delivery_state from, to;
    } cases[] = {
        {"resolve", "{\"as\":\"delivered\",\"expect\":\"parked\",\"reason\":\"seen\"}",
            DELIVERY_PARKED, DELIVERY_DELIVERED},
        {"resolve", "{\"as\":\"discarded\",\"expect\":\"parked\"}", DELIVERY_PARKED,
            DELIVERY_DISCARDED},
        {"retry", "{\"expect\":\"parked\",\"reason\":\"\"}", DELIVERY_PARKED, DELIVERY_PENDING},
        {"discard", "{\"expect\":\"parked\"}", DELIVERY_PARKED, DELIVERY_DISCARDED},
        {"discard", "{\"expect\":\"dead\"}", DELIVERY_DEAD, DELIVERY_DISCARDED},
        {"retry", "{\"expect\":\"waiting\"}", DELIVERY_WAITING, DELIVERY_PENDING},
        {"discard", "{\"expect\":\"waiting\"}", DELIVERY_WAITING, DELIVERY_DISCARDED},
        {"retry", "{\"expect\":\"dead\"}", DELIVERY_DEAD, DELIVERY_PENDING},
        {"retry", "{\"expect\":\"dead\",\"force\":false}", DELIVERY_DEAD, DELIVERY_PENDING},
        {"retry", "{\"expect\":\"delivered\",\"force\":true,\"reason\":\"seen\"}",
            DELIVERY_DELIVERED, DELIVERY_PENDING},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char path[128];
        snprintf(path, sizeof path, DELIVERY "/%s", cases[i].verb);
        owner.result = OK;
        cr_expect_eq(
            operate("POST", path, cases[i].body), 200, "%s: %s", cases[i].body, answer_body);
        cr_expect_eq(owner.asked, i + 1);
        cr_expect(owner.action.from == cases[i].from && owner.action.to == cases[i].to &&
                  owner.action.index == 3);
        cr_expect_eq(owner.action.event.bytes[0], 0x01);
        cr_expect_str_eq(owner.action.note, strstr(cases[i].body, "seen") ? "seen" : "");
        cr_expect_str_eq(member("id"), "dlv_" UUID "-3");
        cr_expect_str_eq(member("from"), delivery_state_name(cases[i].from));
        cr_expect_str_eq(member("state"), delivery_state_name(cases[i].to));
    }
}

Test(deliveries, wrong_actions_name_the_field)
{
    static const struct {
        const char *verb, *body, *pointer;
    } cases[] = {
        {"resolve", "{\"expect\":\"parked\"}", "/as"},
        {"resolve", "{\"as\":\"dead\",\"expect\":\"parked\"}", "/as"},
        {"resolve", "{\"as\":\"delivered\",\"expect\":\"dead\"}", "/expect"},
        {"resolve", "{\"as\":\"delivered\",\"expect\":\"parked\",\"force\":true}", "/force"},
        {"retry", "{\"expect\":\"pending\"}", "/expect"},
        {"retry", "{\"guarded\":true}", "/reason"},
        {"retry", "{\"force\":true}", "/reason"},
        {"retry", "{\"guarded\":1,\"reason\":\"asked\"}", "/guarded"},
        {"retry", "{\"expect\":\"a state with a long name\"}", "/expect"},
        {"retry", "{\"expect\":1}", "/expect"},
        {"discard", "{\"expect\":\"delivered\"}", "/expect"},
        {"retry", "{\"expect\":\"delivered\"}", "/expect"},
        {"retry", "{\"expect\":\"delivered\",\"force\":false}", "/expect"},
        {"retry", "{\"expect\":\"delivered\",\"force\":\"yes\"}", "/force"},
        {"retry", "{\"expect\":\"dead\",\"reason\":\"two\\nlines\"}", "/reason"},
        {"retry", "{\"expect\":\"dead\",\"reason\":\"a bell \\u0007\"}", "/reason"},
        {"retry", "{\"expect\":\"dead\",\"reason\":\"a C1 control \\u0085\"}", "/reason"},
        {"retry", "{\"expect\":\"dead\",\"reason\":1}", "/reason"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char path[128];
        snprintf(path, sizeof path, DELIVERY "/%s", cases[i].verb);
        cr_expect_eq(
            operate("POST", path, cases[i].body), 422, "%s: %s", cases[i].body, answer_body);
        cr_expect(names_fields(cases[i].pointer), "%s: %s", cases[i].body, answer_body);
    }
    cr_expect_eq(owner.asked, 0);
    cr_expect_eq(operate("GET", DELIVERY "/retry", ""), 405);
    cr_expect_eq(ask("POST", DELIVERY "/retry", NULL, "{\"expect\":\"parked\"}"), 401);
}

Test(deliveries, notes_are_utf8_up_to_a_length)
{
    char body[512], note[ACTION_NOTE_BYTES_MAX + 2];
    memset(note, 'n', sizeof note);
    note[ACTION_NOTE_BYTES_MAX + 1] = '\0';
    snprintf(body, sizeof body, "{\"expect\":\"dead\",\"reason\":\"%s\"}", note);
    cr_expect_eq(operate("POST", DELIVERY "/retry", body), 422, "%s", answer_body);
    memcpy(note, "caf\xc3\xa9 \xe2\x82\xac", 9);
    note[ACTION_NOTE_BYTES_MAX] = '\0';
    snprintf(body, sizeof body, "{\"expect\":\"dead\",\"reason\":\"%s\"}", note);
    cr_expect_eq(operate("POST", DELIVERY "/retry", body), 200, "%s", answer_body);
    cr_expect_str_eq(owner.action.note, note);
}

Test(deliveries, a_refusal_of_the_owner_has_its_reason)
{
    static const struct {
        enum err result;
        int status;
        const char *says;
    } cases[] = {
        {ERR_MOVED_ON, 409, "The state of the delivery is waiting, not parked."},
        {ERR_NOT_FOUND, 404, "No journal has this delivery."},
        {ERR_INVALID, 422, "no endpoint"},
        {ERR_DAMAGED, 500, "damaged"},
        {ERR_SHUTTING_DOWN, 503, "again later"},
        {ERR_DISK_FULL, 503, "again later"},
    };
    owner.state = DELIVERY_WAITING;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        owner.result = cases[i].result;
        cr_expect_eq(
            operate("POST", DELIVERY "/retry", "{\"expect\":\"parked\"}"), cases[i].status);
        cr_expect(strstr(answer_body, cases[i].says), "%s", answer_body);
    }
}
