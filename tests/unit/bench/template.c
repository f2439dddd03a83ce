/* SPDX-License-Identifier: Apache-2.0 */
#include "load/template.h"

#include <criterion/criterion.h>

#define ALL ((1u << TEMPLATE_FIELDS) - 1)

static struct template_values values = {.of = {
                                            [FIELD_KEY] = {"r1-7", 4},
                                            [FIELD_TYPE] = {"lead", 4},
                                            [FIELD_ACCOUNT] = {"acc_1", 5},
                                            [FIELD_AMOUNT] = {"12.50", 5},
                                            [FIELD_FILLING] = {"abc", 3},
                                        }};

static void expect(const char *text, const char *rendered)
{
    struct template template;
    struct buffer buffer = BUFFER_EMPTY;
    char complaint[TEMPLATE_COMPLAINT_BYTES] = "";
    cr_assert(template_compile(text, ALL, &template, complaint), "%s: %s", text, complaint);
    template_render(&template, &values, &buffer);
    cr_assert(slice_equals_string(buffer_slice(&buffer), rendered), "%s: %.*s", text,
        SLICE_ARGS(buffer_slice(&buffer)));
    buffer_done(&buffer);
    template_done(&template);
}

static void expect_complaint(const char *text, unsigned allowed, const char *complaint)
{
    struct template template;
    char found[TEMPLATE_COMPLAINT_BYTES] = "";
    cr_assert_not(template_compile(text, allowed, &template, found), "%s", text);
    cr_assert(strstr(found, complaint), "%s: %s", text, found);
}

Test(template, placeholders_are_replaced_and_other_braces_stay)
{
    expect("", "");
    expect("{key}", "r1-7");
    expect("{\"id\":\"{key}\",\"a\":{\"b\":{amount}}}", "{\"id\":\"r1-7\",\"a\":{\"b\":12.50}}");
    expect("{key}{key}-{type}/{account}?{filling}", "r1-7r1-7-lead/acc_1?abc");
    expect("{} { } {{key}} {Key} {key", "{} { } {r1-7} {Key} {key");
}

Test(template, a_wrong_placeholder_is_named)
{
    expect_complaint("{\"a\":\"{acount}\"}", ALL, "{acount} is not a placeholder");
    expect_complaint("{secret:x}", ALL, "{secret:x} is not a placeholder");
    expect_complaint("{body}", ALL & ~(1u << FIELD_BODY), "{body} is not allowed here");
    expect_complaint("{filling}{body}", ALL, "only one of {body} and {filling}");
    expect_complaint("{filling}{filling}", ALL, "only one of");
}

Test(template, text_and_parts_are_bounded)
{
    static char text[TEMPLATE_BYTES_MAX + 2];
    memset(text, 'x', TEMPLATE_BYTES_MAX);
    struct template template;
    char complaint[TEMPLATE_COMPLAINT_BYTES];
    cr_assert(template_compile(text, ALL, &template, complaint));
    template_done(&template);
    text[TEMPLATE_BYTES_MAX] = 'x';
    expect_complaint(text, ALL, "more than 16384 bytes");
    memset(text, 0, sizeof text);
    for (unsigned i = 0; i < TEMPLATE_PARTS_MAX / 2; i++)
        strcpy(text + i * 6, "-{key}");
    cr_assert(template_compile(text, ALL, &template, complaint));
    template_done(&template);
    strcat(text, "-");
    expect_complaint(text, ALL, "more than 128 parts");
}

Test(template, the_bare_length_leaves_the_filling_out)
{
    struct template template;
    char complaint[TEMPLATE_COMPLAINT_BYTES];
    cr_assert(template_compile("a{key}b{filling}c{type}", ALL, &template, complaint));
    cr_assert_eq(template_bare_length(&template, &values), 3 + 4 + 4);
    cr_assert(template_has(&template, FIELD_FILLING) && !template_has(&template, FIELD_BODY));
    template_done(&template);
}
