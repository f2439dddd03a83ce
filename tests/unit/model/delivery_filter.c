/* SPDX-License-Identifier: Apache-2.0 */
#include "model/delivery_filter.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#define ENDPOINT UINT64_C(0x0123456789abcdef)

static struct delivery_filter filter_with(const char *name, const char *text)
{
    struct delivery_filter filter = {0};
    const char *problem = NULL;
    cr_assert(delivery_filter_set(&filter, name, slice_from_string(text), &problem), "%s=%s: %s",
        name, text, problem);
    return filter;
}

static const struct event_parts purchase = {
    .accepted_us = 100 * US_PER_SECOND,
    .class = CLASS_CRITICAL,
    .partner = SLICE_LITERAL("shop"),
    .account = SLICE_LITERAL("acme"),
    .type = SLICE_LITERAL("order.paid"),
    .key = SLICE_LITERAL("order \"7\""),
    .amount = SLICE_LITERAL("10.50"),
    .currency = SLICE_LITERAL("EUR"),
};

Test(delivery_filter, an_event_matches_by_each_member)
{
    static const struct {
        const char *name, *text;
        bool matches;
    } cases[] = {
        {"account", "acme", true},
        {"account", "acm", false},
        {"partner", "shop", true},
        {"partner", "shop2", false},
        {"type", "order.paid", true},
        {"type", "order.*", true},
        {"type", "order.paid*", true},
        {"type", "*", true},
        {"type", "order", false},
        {"type", "order.paid.*", false},
        {"key", "order \"7\"", true},
        {"key", "order", false},
        {"currency", "EUR", true},
        {"currency", "USD", false},
        {"currency", "none", false},
        {"amount", "10.5", true},
        {"amount", "10.500", true},
        {"amount", "10.05", false},
        {"amount", "-10.5", false},
        {"class", "critical", true},
        {"class", "optional", false},
        {"since", "1970-01-01T00:01:40Z", true},
        {"since", "1970-01-01T00:01:40.000001Z", false},
        {"until", "1970-01-01T00:01:40Z", false},
        {"until", "1970-01-01T00:01:40.000001Z", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct delivery_filter filter = filter_with(cases[i].name, cases[i].text);
        cr_expect(delivery_filter_asks_for_event(&filter), "%s", cases[i].name);
        cr_expect_eq(delivery_filter_matches_event(&filter, &purchase), cases[i].matches, "%s=%s",
            cases[i].name, cases[i].text);
    }
    struct delivery_filter everything = {0};
    cr_expect(delivery_filter_matches_event(&everything, &purchase));
    cr_expect_not(delivery_filter_asks_for_event(&everything));
}

Test(delivery_filter, an_event_without_an_amount_has_the_currency_none)
{
    struct event_parts lead = purchase;
    lead.amount = (struct slice){0};
    struct delivery_filter none = filter_with("currency", "none");
    struct delivery_filter eur = filter_with("currency", "EUR");
    struct delivery_filter zero = filter_with("amount", "0");
    cr_expect(delivery_filter_matches_event(&none, &lead));
    cr_expect_not(delivery_filter_matches_event(&eur, &lead));
    cr_expect_not(delivery_filter_matches_event(&zero, &lead));
}

Test(delivery_filter, a_row_matches_by_endpoint_state_and_reason)
{
    const struct delivery_filter_row dead = {.endpoint = ENDPOINT, .state = DELIVERY_DEAD},
                                     unrouted = {.state = DELIVERY_PARKED, .reason = PARK_UNROUTED},
                                     again = {.endpoint = ENDPOINT,
                                         .state = DELIVERY_PENDING,
                                         .was_delivered = true};
    const struct {
        const char *name, *text;
        bool dead, unrouted, again;
    } cases[] = {
        {"endpoint", "ep_0123456789abcdef", true, false, true},
        {"endpoint", "ep_0000000000000001", false, false, false},
        {"endpoint", "none", false, true, false},
        {"state", "dead", true, false, false},
        {"state", "in_progress", false, false, true},
        {"state", "delivered", false, false, true},
        {"state", "dead,parked", true, true, false},
        {"park_reason", "unrouted", false, true, false},
        {"park_reason", "gone", false, false, false},
        {"account", "acme", true, true, true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct delivery_filter filter = filter_with(cases[i].name, cases[i].text);
        const char *text = cases[i].text;
        cr_expect_eq(delivery_filter_matches_row(&filter, &dead), cases[i].dead, "%s", text);
        cr_expect_eq(
            delivery_filter_matches_row(&filter, &unrouted), cases[i].unrouted, "%s", text);
        cr_expect_eq(delivery_filter_matches_row(&filter, &again), cases[i].again, "%s", text);
    }
}

Test(delivery_filter, values_that_are_none_are_refused_with_the_rule)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"account", ""},
        {"account", "a b"},
        {"partner", ".x"},
        {"endpoint", "ep_1"},
        {"endpoint", "acme"},
        {"type", "a*b"},
        {"type", "a b"},
        {"key", " x"},
        {"currency", "eur"},
        {"currency", "EURO"},
        {"amount", "1e3"},
        {"amount", "1234567890123456789"},
        {"class", "urgent"},
        {"state", "lost"},
        {"state", "dead,"},
        {"state", "dead,,parked"},
        {"park_reason", "none"},
        {"cause", "none"},
        {"cause", "bad"},
        {"since", "yesterday"},
        {"until", "2026-03-01"},
        {"colour", "red"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct delivery_filter filter = {0}, before = {0};
        const char *problem = NULL;
        bool is_set =
            delivery_filter_set(&filter, cases[i].name, slice_from_string(cases[i].text), &problem);
        cr_expect_not(is_set, "%s=%s", cases[i].name, cases[i].text);
        cr_expect_not_null(problem);
        cr_expect_arr_eq(&filter, &before, sizeof filter, "%s=%s", cases[i].name, cases[i].text);
    }
}

Test(delivery_filter, members_that_contradict_each_other_are_refused)
{
    const char *name = NULL, *problem = NULL;
    struct delivery_filter filter = filter_with("park_reason", "ambiguous");
    cr_expect(delivery_filter_finish(&filter, &name, &problem));
    cr_expect_eq(filter.states, 1u << DELIVERY_PARKED);
    cr_expect(delivery_filter_set(&filter, "state", slice_from_string("dead"), &problem));
    cr_expect_not(delivery_filter_finish(&filter, &name, &problem));
    cr_expect_str_eq(name, "park_reason");
    filter = filter_with("since", "2026-03-01T12:00:00Z");
    cr_expect(
        delivery_filter_set(&filter, "until", slice_from_string("2026-03-01T12:00:00Z"), &problem));
    cr_expect_not(delivery_filter_finish(&filter, &name, &problem));
    cr_expect_str_eq(name, "until");
}

Test(delivery_filter, the_json_text_holds_every_member)
{
    static const char *const texts[][2] = {
        {"account", "acme"},
        {"partner", "shop"},
        {"endpoint", "ep_0123456789abcdef"},
        {"type", "order.*"},
        {"key", "order \"7\\\""},
        {"currency", "none"},
        {"amount", "10.5"},
        {"class", "important"},
        {"state", "parked"},
        {"park_reason", "taken-over"},
        {"cause", "connect-refused"},
        {"since", "2026-03-01T12:00:00.000000Z"},
        {"until", "2026-03-01T13:00:00.000000Z"},
    };
    struct delivery_filter filter = {0}, read;
    struct buffer json = BUFFER_EMPTY;
    const char *problem;
    size_t count = 0;
    while (delivery_filter_names[count])
        count++;
    cr_assert_eq(count, ARRAY_LENGTH(texts));
    for (size_t i = 0; i < count; i++) {
        char text[DELIVERY_FILTER_TEXT_BYTES];
        cr_assert_str_eq(texts[i][0], delivery_filter_names[i]);
        cr_expect_not(delivery_filter_get(&filter, texts[i][0], text));
        cr_assert(
            delivery_filter_set(&filter, texts[i][0], slice_from_string(texts[i][1]), &problem));
        cr_assert(delivery_filter_get(&filter, texts[i][0], text));
        cr_expect_str_eq(text, texts[i][1]);
    }
    delivery_filter_to_json(&filter, &json);
    cr_assert_eq(delivery_filter_from_json(buffer_slice(&json), &read), OK, "%s", json.data);
    cr_expect_arr_eq(&read, &filter, sizeof filter);
    buffer_done(&json);
}

Test(delivery_filter, a_filter_without_members_is_an_empty_object)
{
    struct delivery_filter filter = {0}, read = {.states = 1};
    struct buffer json = BUFFER_EMPTY;
    delivery_filter_to_json(&filter, &json);
    cr_expect_str_eq(json.data, "{}");
    cr_expect_eq(delivery_filter_from_json(buffer_slice(&json), &read), OK);
    cr_expect_arr_eq(&read, &filter, sizeof filter);
    buffer_done(&json);
}

Test(delivery_filter, json_that_is_no_filter_is_refused)
{
    static const char *const texts[] = {"", "[]", "{", "{\"state\":1}", "{\"state\":\"lost\"}",
        "{\"colour\":\"red\"}", "{\"state\":\"dead\",\"park_reason\":\"gone\"}"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct delivery_filter filter;
        cr_expect_eq(delivery_filter_from_json(slice_from_string(texts[i]), &filter), ERR_INVALID,
            "%s", texts[i]);
    }
}
