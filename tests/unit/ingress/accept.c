/* SPDX-License-Identifier: Apache-2.0 */
/* Which key an event gets, which endpoints it is for, and how the operator's rules judge its
 * type. */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(accept, .init = fixture_begin, .fini = fixture_end);

#define LEAD "{\"type\":\"lead\",\"account\":\"acc_1\""

/* Posts and returns the status of the answer. With `ret_append` the event must reach the journal,
 * is answered OK, and the caller owns a reference to it. */
static int post(const char *headers, const char *body, struct journal_append *ret_append)
{
    unsigned index = journal_count();
    struct answer answer;
    int fd = client_connect();
    client_post(fd, headers, body);
    if (ret_append) {
        *ret_append = *journal_request(index);
        event_ref(ret_append->event);
        journal_answer(index, OK, NULL);
    }
    client_receive(fd, &answer);
    close(fd);
    return answer.status;
}

Test(accept, key_is_the_header_then_the_pointer_then_the_id)
{
    static const struct {
        const char *headers, *body, *key; /* NULL: rejected with 422 */
    } cases[] = {
        {JSON_AND_KEY "Idempotency-Key: h\r\n", LEAD ",\"id\":\"i\",\"data\":{\"no\":\"p\"}}", "h"},
        {JSON_AND_KEY "Idempotency-Key: h\r\n", LEAD ",\"id\":\"i\",\"data\":{\"no\":null}}", "h"},
        {JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{\"no\":\"p\"}}", "p"},
        {JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{\"no\":12.50}}", "12.50"},
        {JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{\"no\":null}}", "i"},
        {JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{\"no\":\"\"}}", NULL},
        {JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{\"no\":[]}}", NULL},
        {JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{}}", "i"},
        {JSON_AND_KEY, LEAD "}", NULL},
        {JSON_AND_KEY, "{\"type\":\"note\",\"account\":\"acc_1\"}", ""},
    };
    shop_set_key_pointer("/data/no");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct journal_append append;
        int status = post(cases[i].headers, cases[i].body, cases[i].key ? &append : NULL);
        cr_expect_eq(status, cases[i].key ? 200 : 422, "case %zu: %d", i, status);
        if (!cases[i].key)
            continue;
        cr_expect(slice_equals_string(append.event->parts.key, cases[i].key), "case %zu", i);
        event_unref(append.event);
    }
    shop_set_key_pointer("");
    struct journal_append append;
    cr_assert_eq(post(JSON_AND_KEY, LEAD ",\"id\":\"i\",\"data\":{\"no\":\"p\"}}", &append), 200);
    cr_assert(slice_equals_string(append.event->parts.key, "i"));
    event_unref(append.event);
}

static unsigned endpoints_of(const char *type, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX])
{
    char body[200];
    struct journal_append append;
    snprintf(body, sizeof body, "{\"type\":\"%s\",\"account\":\"acc_1\",\"id\":\"o-1\"}", type);
    cr_assert_eq(post(JSON_AND_KEY, body, &append), 200);
    memcpy(ret_endpoints, append.endpoints, sizeof append.endpoints);
    event_unref(append.event);
    return append.endpoints_count;
}

Test(accept, event_is_for_the_endpoints_that_accept_its_type)
{
    uint64_t found[ACCOUNT_ENDPOINTS_MAX];
    cr_assert_eq(endpoints_of("purchase", found), 1);
    uint64_t everything = found[0];
    uint64_t money = account_add_endpoint("money", "purchase payout");
    uint64_t orders = account_add_endpoint("orders", "order.* purchase");
    cr_assert_eq(endpoints_of("purchase", found), 3);
    cr_assert_eq(endpoints_of("payout", found), 2);
    cr_assert(found[0] == everything && found[1] == money);
    cr_assert_eq(endpoints_of("order.paid", found), 2);
    cr_assert(found[0] == everything && found[1] == orders);
    cr_assert_eq(endpoints_of("note", found), 1);
    account_remove_endpoint(everything);
    cr_assert_eq(endpoints_of("payout", found), 1);
    cr_assert_eq(found[0], money);
    cr_assert_eq(endpoints_of("note", found), 0, "nobody wants it: it is unrouted, not refused");
}

Test(accept, new_rules_apply_to_the_next_event)
{
    struct journal_append append;
    cr_assert_eq(post(JSON_AND_KEY, "{\"type\":\"note\",\"account\":\"acc_1\"}", &append), 200);
    cr_assert_eq(append.event->parts.class, CLASS_IMPORTANT);
    cr_assert_not(append.event->parts.guarded);
    event_unref(append.event);

    struct class_rules rules = {0};
    cr_assert(type_list_add(&rules.critical, SLICE_LITERAL("no*")));
    cr_assert(type_list_add(&rules.guarded, SLICE_LITERAL("lead")));
    cr_assert(type_list_add(&rules.optional, SLICE_LITERAL("purchase")));
    ingress_set_rules(ingress, &rules);
    memset(&rules, 0, sizeof rules);
    cr_assert_eq(post(JSON_AND_KEY, "{\"type\":\"note\",\"account\":\"acc_1\"}", NULL), 422);
    cr_assert_eq(
        post(JSON_AND_KEY, "{\"type\":\"note\",\"account\":\"acc_1\",\"id\":\"1\"}", &append), 200);
    cr_assert_eq(append.event->parts.class, CLASS_CRITICAL);
    cr_assert_not(append.event->parts.guarded);
    event_unref(append.event);
    cr_assert_eq(post(JSON_AND_KEY, LEAD ",\"id\":\"1\"}", &append), 200);
    cr_assert_eq(append.event->parts.class, CLASS_CRITICAL);
    cr_assert(append.event->parts.guarded);
    event_unref(append.event);
    cr_assert_eq(post(JSON_AND_KEY, PURCHASE("o-1"), &append), 200);
    cr_assert_eq(append.event->parts.class, CLASS_OPTIONAL);
    event_unref(append.event);
}
