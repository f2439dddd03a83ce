/* SPDX-License-Identifier: Apache-2.0 */
#include "model/success_rule.h"

#include "base/cleanup.h"
#include "model/endpoint_policy.h"
#include "model/refusal.h"

#include <stdio.h>

#include <criterion/criterion.h>

static const struct endpoint_policy *policy;

/* The rule of a policy with only this rule. */
static const struct success_rule *rule_of(const char *text)
{
    char json[2048];
    struct refusal refusal = {0};
    snprintf(json, sizeof json, "{\"success\": %s}", text);
    endpoint_policy_unref(policy);
    cr_assert_eq(
        endpoint_policy_parse(slice_from_string(json), NULL, &policy, &refusal), OK, "%s", json);
    return endpoint_policy_success(policy);
}

static void end(void)
{
    endpoint_policy_unref(policy);
}

TestSuite(success_rule, .fini = end);

Test(success_rule, the_default_is_2xx_whatever_the_body)
{
    char why[SUCCESS_WHY_BYTES];
    cr_expect_not(success_rule_wants_body(NULL));
    cr_expect_not(success_rule_wants_body(&success_rule_default));
    for (int status = 100; status < 600; status++) {
        enum success expected = status >= 200 && status < 300 ? SUCCESS_YES : SUCCESS_NO;
        struct slice body = SLICE_LITERAL("{\"success\":false}");
        cr_expect_eq(success_rule_judge(NULL, status, body, true, why), expected, "%d", status);
        cr_expect_eq(success_rule_judge(&success_rule_default, status, body, false, why), expected);
        cr_expect_eq(success_rule_judge(rule_of("{}"), status, body, false, why), expected);
        cr_expect_eq(why[0] == '\0', expected == SUCCESS_YES, "%s", why);
    }
}

Test(success_rule, answers_are_judged_and_the_reason_is_named)
{
    static const struct {
        const char *rule;
        int status;
        const char *body;
        enum success expected;
        const char *why;
    } cases[] = {
        {"{\"statuses\":[409,\"200-204\"]}", 409, "", SUCCESS_YES, "the rule is met"},
        {"{\"statuses\":[409,\"200-204\"]}", 205, "", SUCCESS_NO,
            "the status 205 is not a success"},
        {"{\"statuses\":[409]}", 200, "", SUCCESS_NO, "the status 200 is not a success"},
        {"{\"contains\":[\"OK\"]}", 200, "it is OK", SUCCESS_YES, "the rule is met"},
        {"{\"contains\":[\"OK\"]}", 200, "it is ok", SUCCESS_NO,
            "the answer does not contain \"OK\""},
        {"{\"contains\":[\"OK\"]}", 200, "", SUCCESS_NO, "the answer does not contain \"OK\""},
        {"{\"contains\":[\"OK\"]}", 500, "OK", SUCCESS_NO, "the status 500 is not a success"},
        {"{\"contains\":[\"a\",\"b\"]}", 200, "ab", SUCCESS_YES, "the rule is met"},
        {"{\"contains\":[\"a\",\"b\"]}", 200, "a", SUCCESS_NO, "the answer does not contain \"b\""},
        {"{\"contains_not\":[\"error\",\"fail\"]}", 200, "", SUCCESS_YES, "the rule is met"},
        {"{\"contains_not\":[\"error\",\"fail\"]}", 200, "a failure", SUCCESS_NO,
            "the answer contains \"fail\""},
        {"{\"contains\":[\"ok\"],\"contains_not\":[\"no\"]}", 200, "no, not ok", SUCCESS_NO,
            "the answer contains \"no\""},
        {"{\"contains\":[\"\\u00e4\\n\"]}", 200, "\xc3\xa4\n", SUCCESS_YES, "the rule is met"},
        {"{\"contains\":[\"\\u00e4\\n\"]}", 200, "x", SUCCESS_NO,
            "the answer does not contain \"???\""},
        /* the value at a pointer */
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "{\"success\":true}", SUCCESS_YES,
            "the rule is met"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "{\"success\":false}", SUCCESS_NO,
            "the value at /success is false, not true"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "{\"success\":\"true\"}", SUCCESS_NO,
            "the value at /success is \"true\", not true"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "{\"success\":null}", SUCCESS_NO,
            "the value at /success is null, not true"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "{\"success\":{}}", SUCCESS_NO,
            "the value at /success is an object, not true"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "{}", SUCCESS_NO,
            "the answer has no value at /success"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "[true]", SUCCESS_NO,
            "the answer has no value at /success"},
        {"{\"pointer\":\"/success\",\"equals\":true}", 200, "true", SUCCESS_NO,
            "the answer has no value at /success"},
        {"{\"pointer\":\"/a/1/b~1c\",\"equals\":\"x\"}", 200, "{\"a\":[0,{\"b/c\":\"x\"}]}",
            SUCCESS_YES, "the rule is met"},
        {"{\"pointer\":\"/error\",\"equals\":null}", 200, "{\"error\":null}", SUCCESS_YES,
            "the rule is met"},
        {"{\"pointer\":\"/error\",\"equals\":null}", 200, "{\"error\":\"out of\\u0001range\"}",
            SUCCESS_NO, "the value at /error is \"out of?range\", not null"},
        {"{\"pointer\":\"/s\",\"equals\":\"\"}", 200, "{\"s\":\"\"}", SUCCESS_YES,
            "the rule is met"},
        {"{\"pointer\":\"/s\",\"equals\":\"ok\"}", 200, "{\"s\":\"\\u006fk\"}", SUCCESS_YES,
            "the rule is met"},
        {"{\"pointer\":\"/s\",\"equals\":0}", 200, "{\"s\":0}", SUCCESS_YES, "the rule is met"},
        {"{\"pointer\":\"/s\",\"equals\":0}", 200, "{\"s\":\"0\"}", SUCCESS_NO,
            "the value at /s is \"0\", not 0"},
        {"{\"pointer\":\"/s\",\"equals\":0}", 200, "{\"s\":10}", SUCCESS_NO,
            "the value at /s is 10, not 0"},
        {"{\"pointer\":\"/s\",\"equals\":1.5}", 200, "{\"s\":1.50}", SUCCESS_YES,
            "the rule is met"},
        {"{\"pointer\":\"/s\",\"equals\":9007199254740993}", 200, "{\"s\":9007199254740992}",
            SUCCESS_NO, "the value at /s is 9007199254740992, not 9007199254740993"},
        {"{\"pointer\":\"/s\",\"equals\":1}", 200, "\xef\xbb\xbf {\"s\":1}\r\n", SUCCESS_YES,
            "the rule is met"},
        {"{\"pointer\":\"/s\",\"equals\":1}", 200, "{\"s\":1,\"s\":2,\"x\":\"\xe4\"}", SUCCESS_YES,
            "the rule is met"},
        /* no JSON */
        {"{\"pointer\":\"/s\",\"equals\":1}", 200, "", SUCCESS_UNKNOWN,
            "the answer is not JSON, so it has no value at /s"},
        {"{\"pointer\":\"/s\",\"equals\":1}", 200, "<html>", SUCCESS_UNKNOWN,
            "the answer is not JSON, so it has no value at /s"},
        {"{\"pointer\":\"/s\",\"equals\":1}", 200, "{\"s\":1", SUCCESS_UNKNOWN,
            "the answer is not JSON, so it has no value at /s"},
        {"{\"pointer\":\"/s\",\"equals\":1}", 200, "{\"s\":1} x", SUCCESS_UNKNOWN,
            "the answer is not JSON, so it has no value at /s"},
        {"{\"pointer\":\"/s\",\"equals\":1}", 200,
            "{\"s\":1,\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
            "]]]]]}",
            SUCCESS_UNKNOWN, "the answer is nested too deep, so it has no value at /s"},
        {"{\"pointer\":\"/a/very/long/pointer/that/is/cut/in/the/reason\",\"equals\":"
         "\"a value that is longer than what is shown\"}",
            200, "{\"a\":1}", SUCCESS_NO, "the answer has no value at /a/very/long/pointer/tha..."},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char why[SUCCESS_WHY_BYTES];
        enum success found = success_rule_judge(
            rule_of(cases[i].rule), cases[i].status, slice_from_string(cases[i].body), false, why);
        cr_expect_eq(found, cases[i].expected, "%s: %s", cases[i].rule, cases[i].body);
        cr_expect_str_eq(why, cases[i].why, "%s: %s: %s", cases[i].rule, cases[i].body, why);
    }
}

Test(success_rule, cut_body_is_judged_only_by_what_it_shows)
{
    static const struct {
        const char *rule, *body;
        enum success expected;
    } cases[] = {
        {"{}", "{", SUCCESS_YES},
        {"{\"contains\":[\"ok\"]}", "ok, and more", SUCCESS_YES},
        {"{\"contains\":[\"ok\"]}", "o", SUCCESS_UNKNOWN},
        {"{\"contains_not\":[\"no\"]}", "no, and more", SUCCESS_NO},
        {"{\"contains_not\":[\"no\"]}", "n", SUCCESS_UNKNOWN},
        {"{\"contains\":[\"ok\"],\"contains_not\":[\"no\"]}", "no", SUCCESS_NO},
        {"{\"contains\":[\"ok\"],\"contains_not\":[\"no\"]}", "ok", SUCCESS_UNKNOWN},
        {"{\"pointer\":\"/s\",\"equals\":1}", "{\"s\":1}", SUCCESS_UNKNOWN},
        {"{\"pointer\":\"/s\",\"equals\":1}", "", SUCCESS_UNKNOWN},
        {"{\"statuses\":[201],\"pointer\":\"/s\",\"equals\":1}", "{", SUCCESS_NO},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char why[SUCCESS_WHY_BYTES];
        cr_expect_eq(success_rule_judge(
                         rule_of(cases[i].rule), 200, slice_from_string(cases[i].body), true, why),
            cases[i].expected, "%s: %s: %s", cases[i].rule, cases[i].body, why);
    }
}

Test(success_rule, only_rules_about_the_body_want_it)
{
    static const struct {
        const char *rule;
        bool wants;
    } cases[] = {{"{}", false}, {"{\"statuses\":[200]}", false}, {"{\"contains\":[\"x\"]}", true},
        {"{\"contains_not\":[\"x\"]}", true}, {"{\"pointer\":\"/x\",\"equals\":null}", true}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(success_rule_wants_body(rule_of(cases[i].rule)), cases[i].wants);
}

/* Each body is a valid one with one byte changed or cut off: no crash, and a reason each time. */
Test(success_rule, broken_bodies_always_have_a_reason)
{
    static const char good[] = "{\"a\":[1,-2.5e3,\"\\ud83d\\ude00\"],\"s\":{\"t\":true}}";
    const struct success_rule *rule = rule_of("{\"pointer\":\"/s/t\",\"equals\":true}");
    char body[sizeof good], why[SUCCESS_WHY_BYTES];
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(body, good, sizeof good);
            body[at] = (char)byte;
            (void)success_rule_judge(rule, 200, slice_of(body, sizeof good - 1), false, why);
            cr_assert(why[0] != '\0');
            for (const char *c = why; *c; c++)
                cr_assert(*c >= 0x20 && *c <= 0x7e);
            (void)success_rule_judge(rule, 200, slice_of(body, at), false, why);
            cr_assert(why[0] != '\0');
        }
}
