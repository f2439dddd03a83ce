/* SPDX-License-Identifier: Apache-2.0 */
#include "load/answer.h"

#include <criterion/criterion.h>

#define ID "evt_01890a5d-ac96-774b-bcce-b302099a8057"

static struct load_record records[3];
static struct sending sending;

static void read_answer(int status, unsigned count, const char *text)
{
    memset(records, 0, sizeof records);
    sending = (struct sending){.status = status, .records = records, .records_count = count};
    buffer_add_string(&sending.answer, text);
    answer_read(&sending, NULL, count > 1);
    buffer_done(&sending.answer);
}

Test(answer, an_acceptance_has_its_event)
{
    read_answer(200, 1, "{\"status\":\"accepted\",\"event\":\"" ID "\",\"receipt\":\"r1.a.x\"}\n");
    cr_assert_eq(records[0].answer, LOAD_SAID_ACCEPTED);
    cr_assert_eq(records[0].event[0], 0x01);
    cr_assert_eq(records[0].event[15], 0x57);
    read_answer(200, 1, "{\"status\":\"duplicate\",\"event\":\"" ID "\"}");
    cr_assert_eq(records[0].answer, LOAD_SAID_DUPLICATE);
}

Test(answer, what_is_no_acceptance_is_none)
{
    read_answer(503, 1, "{\"title\":\"\\\"accepted\\\"\"}");
    cr_assert_eq(records[0].answer, LOAD_SAID_NOTHING);
    cr_assert_eq(records[0].status, 503);
    read_answer(200, 1, "ok");
    cr_assert_eq(records[0].answer, LOAD_SAID_OTHER);
    read_answer(200, 1, "");
    cr_assert_eq(records[0].answer, LOAD_SAID_OTHER);
}

Test(answer, a_batch_has_a_result_for_each_item)
{
    read_answer(200, 3,
        "[{\"status\":200,\"result\":\"accepted\",\"event\":\"" ID "\"},"
        "{\"type\":\"urn:penstock:problem:invalid\",\"title\":\"wrong\",\"status\":422,\"detail\":"
        "\"x\","
        "\"errors\":[{\"pointer\":\"/"
        "id\",\"detail\":\"y\"}]},{\"status\":200,\"result\":\"duplicate\",\"event\":\"" ID "\"}]");
    cr_assert_eq(records[0].status, 200);
    cr_assert_eq(records[0].answer, LOAD_SAID_ACCEPTED);
    cr_assert_eq(records[1].status, 422);
    cr_assert_eq(records[1].answer, LOAD_SAID_NOTHING);
    cr_assert_eq(records[2].answer, LOAD_SAID_DUPLICATE);
    read_answer(
        200, 3, "{\"results\":[{\"status\":200,\"result\":\"accepted\",\"event\":\"" ID "\"}");
    cr_assert_eq(records[0].answer, LOAD_SAID_ACCEPTED);
    cr_assert_eq(records[1].status, 0, "it was cut off");
    read_answer(413, 3, "{\"title\":\"[too large]\"}");
    cr_assert_eq(records[2].status, 413);
}
