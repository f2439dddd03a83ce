/* SPDX-License-Identifier: Apache-2.0 */
/* Orders of replays and their changes: what is refused before any journal is asked. The scenario
 * tests have the rest. */
#include "journal/replays.h"
#include "unit/admin/fixture.h"

#include <stdio.h>
#include <string.h>

#define REPLAYS "/api/v1/replays"
#define REPLAY "/api/v1/replays/rpl_019ad9c8-b200-7000-8000-0da5542cd757"

static unsigned asked;

static void answer_create(unsigned shard, struct journal_replay_create *create, void *context)
{
    (void)shard;
    (void)context;
    asked++;
    create->ret_replay = (struct replay){.order = create->order};
    request_answer(&create->ask, OK);
}

static enum err change_result;
static enum replay_state change_state;

static void answer_change(unsigned shard, struct journal_replay_change *change, void *context)
{
    (void)shard;
    (void)context;
    asked++;
    change->ret_replay = (struct replay){.order = {.id = change->id}, .state = change_state};
    request_answer(&change->ask, change_result);
}

static void begin(void)
{
    asked = 0;
    change_result = OK;
    change_state = REPLAY_PAUSED;
    fixture_options.create_replay = answer_create;
    fixture_options.change_replay = answer_change;
    fixture_begin();
}

TestSuite(replays, .init = begin, .fini = fixture_end);

Test(replays, a_bad_member_is_named)
{
    static const struct {
        const char *body, *pointer;
    } cases[] = {
        {"{}", "/reason"},
        {"{\"reason\":\"\"}", "/reason"},
        {"{\"reason\":\"r\",\"stat\":\"dead\"}", "/stat"},
        {"{\"reason\":\"r\",\"state\":\"died\"}", "/state"},
        {"{\"reason\":\"r\",\"state\":\"pending\"}", "/state"},
        {"{\"reason\":\"r\",\"state\":\"delivered\"}", "/state"},
        {"{\"reason\":\"r\",\"state\":\"delivered\",\"force\":true}", "/account"},
        {"{\"reason\":\"r\",\"force\":true}", "/account"},
        {"{\"reason\":\"r\",\"force\":1}", "/force"},
        {"{\"reason\":\"r\",\"guarded\":\"yes\"}", "/guarded"},
        {"{\"reason\":\"r\",\"dry_run\":\"yes\"}", "/dry_run"},
        {"{\"reason\":\"r\",\"rate\":0}", "/rate"},
        {"{\"reason\":\"r\",\"rate\":10001}", "/rate"},
        {"{\"reason\":\"r\",\"rate\":\"fast\"}", "/rate"},
        {"{\"reason\":\"r\",\"rate\":1.5}", "/rate"},
        {"{\"reason\":\"r\",\"action\":\"resend\"}", "/action"},
        {"{\"reason\":\"r\",\"action\":\"resolve\",\"state\":\"dead\"}", "/state"},
        {"{\"reason\":\"r\",\"action\":\"discard\",\"state\":\"delivered\"}", "/state"},
        {"{\"reason\":\"r\",\"cause\":\"connect_refused\"}", "/cause"},
        {"{\"reason\":\"r\",\"since\":\"yesterday\"}", "/since"},
        {"{\"reason\":\"r\",\"since\":\"2026-01-02T00:00:00Z\",\"until\":\"2026-01-01T00:00:00Z\"}",
            "/until"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(
            operate("POST", REPLAYS, cases[i].body), 422, "%s: %s", cases[i].body, answer_body);
        cr_expect(names_fields(cases[i].pointer), "%s: %s", cases[i].body, answer_body);
    }
    cr_expect_eq(asked, 0);
}

Test(replays, a_reason_that_is_too_long_is_refused)
{
    char body[300];
    snprintf(body, sizeof body, "{\"reason\":\"%0*d\"}", REPLAY_REASON_BYTES_MAX + 1, 0);
    cr_expect_eq(operate("POST", REPLAYS, body), 422, "%s", answer_body);
    cr_expect(names_fields("/reason"), "%s", answer_body);
    cr_expect_eq(asked, 0);
}

Test(replays, a_bad_change_is_named)
{
    static const struct {
        const char *body, *pointer;
    } cases[] = {
        {"{}", "/state"},
        {"{\"state\":\"done\"}", "/state"},
        {"{\"state\":\"stopped\"}", "/state"},
        {"{\"rate\":0}", "/rate"},
        {"{\"speed\":1}", "/speed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(
            operate("PATCH", REPLAY, cases[i].body), 422, "%s: %s", cases[i].body, answer_body);
        cr_expect(names_fields(cases[i].pointer), "%s: %s", cases[i].body, answer_body);
    }
    cr_expect_eq(operate("PATCH", REPLAYS "/rpl_7", "{\"state\":\"paused\"}"), 404);
    cr_expect_eq(asked, 0);
}

Test(replays, a_change_of_one_that_has_ended_says_so)
{
    cr_expect_eq(operate("PATCH", REPLAY, "{\"state\":\"paused\"}"), 200, "%s", answer_body);
    cr_expect_str_eq(member("state"), "paused");
    change_result = ERR_MOVED_ON;
    change_state = REPLAY_CANCELLED;
    cr_expect_eq(operate("PATCH", REPLAY, "{\"state\":\"paused\"}"), 409, "%s", answer_body);
    cr_expect(strstr(member("detail"), "cancelled"), "%s", answer_body);
    change_result = ERR_NOT_FOUND;
    cr_expect_eq(operate("PATCH", REPLAY, "{\"state\":\"paused\"}"), 404, "%s", answer_body);
    cr_expect_eq(asked, 3);
}

static void begin_as_follower(void)
{
    fixture_options.leader_url = "https://leader:9640";
    begin();
}

TestSuite(replays_of_a_follower, .init = begin_as_follower, .fini = fixture_end);

Test(replays_of_a_follower, are_refused)
{
    static const struct {
        const char *method, *path, *body;
    } cases[] = {{"POST", REPLAYS, "{\"reason\":\"r\"}"},
        {"PATCH", REPLAY, "{\"state\":\"paused\"}"}, {"GET", REPLAYS, ""}, {"GET", REPLAY, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = operate(cases[i].method, cases[i].path, cases[i].body);
        cr_expect(status >= 400 && strstr(member("detail"), "https://leader:9640"), "%s %s: %d %s",
            cases[i].method, cases[i].path, status, answer_body);
    }
    cr_expect_eq(asked, 0);
}
