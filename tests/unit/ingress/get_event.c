/* SPDX-License-Identifier: Apache-2.0 */
/* GET of an event that only the broker has. Scenario tests cover events in the journals. */
#include "fixture.h"

#include "unit/queue/fake_broker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void answer_publisher(void)
{
    fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, OK);
}

static void begin(void)
{
    fixture_begin_broker("");
    ingress_call(answer_publisher);
}

TestSuite(get_event, .init = begin, .fini = fixture_end);

static void confirm_last(void)
{
    fake_end(fake.published_count - 1, PUBLISHED);
}

static unsigned published;

static void count_published(void)
{
    published = fake.published_count;
}

static void get_with_key(int fd, const char *id, const char *key, struct answer *ret_answer)
{
    char text[512];
    snprintf(text, sizeof text,
        "GET /v1/events/%.40s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, key);
    client_send(fd, text);
    client_receive(fd, ret_answer);
}

static void get(int fd, const char *id, struct answer *ret_answer)
{
    get_with_key(fd, id, TEST_KEY, ret_answer);
}

Test(get_event, event_outside_of_the_scope_of_the_key_is_not_found)
{
    int fd = client_connect();
    static struct answer answer, found;
    struct credential leads = {.expires_us = 0}, purchases = {.expires_us = 0};
    cr_assert(type_list_add(&leads.scope.types, SLICE_LITERAL("lead")));
    cr_assert(type_list_add(&purchases.scope.types, SLICE_LITERAL("purchase")));
    shop_add_key("pk_leads", &leads);
    shop_add_key("pk_purchases", &purchases);
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    WAIT_UNTIL((ingress_call(count_published), published == 1));
    ingress_call(confirm_last);
    client_receive(fd, &answer);
    const char *id = strstr(answer.body, "evt_");
    cr_assert_not_null(id);
    get_with_key(fd, id, "pk_leads", &found);
    cr_expect_eq(found.status, 404);
    get_with_key(fd, id, "pk_purchases", &found);
    cr_expect_eq(found.status, 200);
    close(fd);
}

Test(get_event, recently_accepted_event_is_found_although_no_journal_has_it)
{
    int fd = client_connect();
    static struct answer answer, found;
    client_post(fd, JSON_AND_KEY, PURCHASE("o-1"));
    WAIT_UNTIL((ingress_call(count_published), published == 1));
    ingress_call(confirm_last);
    client_receive(fd, &answer);
    cr_assert_eq(answer.status, 200);
    const char *id = strstr(answer.body, "evt_");
    cr_assert_not_null(id);
    get(fd, id, &found);
    cr_assert_eq(found.status, 200);
    static const char *const parts[] = {"\"status\":\"accepted\"", "\"type\":\"purchase\"",
        "\"account\":\"acc_1\"", "\"key\":\"o-1\"", "\"accepted_at\":\"20", "\"deliveries\":[]"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        cr_assert(strstr(found.body, parts[i]), "%s", found.body);
    cr_assert_eq(journal_count(), 0);
    close(fd);
}

Test(get_event, unknown_event_is_not_found)
{
    int fd = client_connect();
    static struct answer answer;
    get(fd, "evt_01890a5d-ac96-774b-bcce-b302099a8057", &answer);
    cr_assert_eq(answer.status, 404);
    close(fd);
}
