/* SPDX-License-Identifier: Apache-2.0 */
/* The two steps that create a replay: stored as paused by all, then made to run by all. */
#include "journal/replays.h"
#include "unit/admin/fixture.h"

#include <stdio.h>
#include <string.h>

#define CREATE operate("POST", "/api/v1/replays", "{\"reason\":\"r\",\"account\":\"acc_1\"}")

static enum err create_result, change_result;
static unsigned creates, changes;
static struct journal_replay_create created;
static struct journal_replay_change changed;

static void answer_create(unsigned shard, struct journal_replay_create *create, void *context)
{
    (void)shard;
    (void)context;
    creates++;
    created = *create;
    create->ret_replay = (struct replay){.order = create->order, .state = REPLAY_PAUSED};
    request_answer(&create->ask, create_result);
}

static void answer_change(unsigned shard, struct journal_replay_change *change, void *context)
{
    (void)shard;
    (void)context;
    changes++;
    changed = *change;
    change->ret_replay = (struct replay){.order = created.order, .state = change->state};
    request_answer(&change->ask, change_result);
}

static void begin(void)
{
    create_result = change_result = OK;
    creates = changes = 0;
    fixture_options.create_replay = answer_create;
    fixture_options.change_replay = answer_change;
    fixture_begin();
    fixture_make_journal();
}

TestSuite(replay_create, .init = begin, .fini = fixture_end);

Test(replay_create, a_replay_is_stored_as_paused_and_then_made_to_run)
{
    cr_assert_eq(CREATE, 201, "%s", answer_body);
    cr_expect(created.paused);
    cr_assert_eq(changes, 1);
    cr_expect(changed.has_state && changed.state == REPLAY_RUNNING);
    cr_expect_eq(memcmp(&changed.id, &created.order.id, sizeof changed.id), 0);
    cr_expect_str_eq(member("state"), "running");
}

Test(replay_create, one_that_a_shard_refuses_is_taken_back_and_never_runs)
{
    create_result = ERR_OVERLOADED;
    change_result = ERR_NOT_FOUND;
    cr_assert_neq(CREATE, 201);
    cr_expect(strstr(member("detail"), "16 replays have not ended yet"), "%s", answer_body);
    cr_assert_eq(changes, 1);
    cr_expect(changed.has_state && changed.state == REPLAY_CANCELLED);
}

Test(replay_create, one_that_cannot_be_made_to_run_is_named)
{
    char id[REPLAY_ID_TEXT_BYTES];
    change_result = ERR_DISK_FULL;
    cr_assert_neq(CREATE, 201);
    replay_id_format(&created.order.id, id);
    cr_expect(strstr(member("detail"), id), "%s", answer_body);
    cr_expect(strstr(member("detail"), "resume"), "%s", answer_body);
}
