/* SPDX-License-Identifier: Apache-2.0 */
#include "model/operator_event.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static struct operator_event posted;
static unsigned posts;

static void keep(void *context, const struct operator_event *event)
{
    cr_assert_null(context);
    posted = *event;
    posts++;
}

static const struct operator_event_sink sink = {.post = keep};

Test(operator_event, nothing_is_posted_where_nobody_listens)
{
    const struct operator_event event = {.kind = OPERATOR_DELIVERY_DEAD, .account = "acc_1"};
    operator_event_post(&sink, &event);
    cr_expect_eq(posts, 1);
    cr_expect_str_eq(posted.account, "acc_1");
    operator_event_post(&(struct operator_event_sink){0}, &event);
    cr_expect_eq(posts, 1);
}

Test(operator_event, only_what_the_gateway_posts_for_its_account_is_its_own)
{
    struct slice own = SLICE_LITERAL(OPERATOR_ACCOUNT), other = SLICE_LITERAL("penstock2");
    cr_expect(operator_event_is_own(own, own));
    cr_expect_not(operator_event_is_own(other, own), "a partner of a client");
    cr_expect_not(operator_event_is_own(own, other));
}

Test(operator_event, body_has_what_is_known_and_nothing_else)
{
    struct buffer json = BUFFER_EMPTY;
    struct operator_event event = {.kind = OPERATOR_ENDPOINT_FAILING,
        .at_us = INT64_C(1000000000000001),
        .account = "acc_1",
        .endpoint = "ep_0000000000000001",
        .percent = 90,
        .cause = "connect-refused"};
    operator_event_set_detail(&event, "said \"no\"");
    operator_event_print(&event, &json);
    cr_assert_eq(buffer_status(&json), OK);
    buffer_add_char(&json, '\0');
    cr_expect_str_eq(json.data,
        "{\"type\":\"endpoint.failing\",\"account\":\"penstock\","
        "\"occurred_at\":\"2001-09-09T01:46:40.000001Z\",\"data\":{\"severity\":\"warning\","
        "\"what\":\"an endpoint is failing\",\"detail\":\"said \\\"no\\\"\","
        "\"cause\":\"connect-refused\",\"account\":\"acc_1\","
        "\"endpoint\":\"ep_0000000000000001\",\"percent\":90}}");
    buffer_done(&json);
}

Test(operator_event, detail_is_cut_and_has_only_valid_text)
{
    static const char *const cases[][2] = {{"plain", "plain"}, {"", ""}, {"a\tb\x7f", "a?b?"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc3", "?"}, {"\xc0\xaf", "??"}, {"\xed\xa0\x80", "???"}, {"\xf4\x90\x80\x80", "????"},
        {"\xe2\x82", "??"}, {"\xff", "?"}};
    struct operator_event event;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        operator_event_set_detail(&event, cases[i][0]);
        cr_expect_str_eq(event.detail, cases[i][1], "%zu: %s", i, event.detail);
    }
    char text[2 * OPERATOR_DETAIL_BYTES];
    memset(text, 'x', sizeof text);
    memcpy(text + OPERATOR_DETAIL_BYTES - 2, "\xc3\xa9", 2); /* its second byte has no room */
    text[sizeof text - 1] = '\0';
    operator_event_set_detail(&event, text);
    cr_expect_eq(strlen(event.detail), OPERATOR_DETAIL_BYTES - 2);
}

/* Line ends and the indents behind them are one space each. */
static void read_document(char *ret_text, size_t size)
{
    FILE *file = fopen(PENSTOCK_SOURCE_DIR "/etc/doc/operator-events.md", "r");
    size_t len = 0;
    cr_assert(file);
    for (int c = fgetc(file); c != EOF && len < size - 1; c = fgetc(file)) {
        bool is_space = c == ' ' || c == '\n';
        if (!is_space || len == 0 || ret_text[len - 1] != ' ')
            ret_text[len++] = (char)(is_space ? ' ' : c);
    }
    ret_text[len] = '\0';
    fclose(file);
}

Test(operator_event, document_has_each_kind_and_no_other)
{
    static char document[64 * 1024];
    unsigned entries = 0;
    read_document(document, sizeof document);
    for (unsigned i = 0; i < OPERATOR_EVENT_KINDS; i++) {
        enum operator_event_kind kind = (enum operator_event_kind)i;
        char entry[160];
        snprintf(entry, sizeof entry, "- `%s` (%s): %s", operator_event_kind_name(kind),
            operator_severity_name(operator_event_severity(kind)), operator_event_what(kind));
        cr_expect(strstr(document, entry), "etc/doc/operator-events.md does not have: %s", entry);
    }
    for (const char *at = document; (at = strstr(at, "- `")); at++)
        entries++;
    cr_expect_eq(entries, OPERATOR_EVENT_KINDS);
}
