/* SPDX-License-Identifier: Apache-2.0 */
#include "model/delivery_id.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

#define UUID "01890a5d-ac96-774b-bcce-b302099a8057"

static struct event_id event(void)
{
    struct event_id id;
    cr_assert(event_id_parse(SLICE_LITERAL("evt_" UUID), &id));
    return id;
}

Test(delivery_id, has_the_uuid_of_its_event_and_its_index)
{
    static const struct {
        unsigned index;
        const char *text;
    } cases[] = {{0, "dlv_" UUID "-0"}, {9, "dlv_" UUID "-9"}, {10, "dlv_" UUID "-10"},
        {15, "dlv_" UUID "-15"}};
    struct event_id id = event();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[DELIVERY_ID_TEXT_BYTES];
        struct event_id found = {{0}};
        unsigned index = 99;
        delivery_id_format(&id, cases[i].index, text);
        cr_assert_str_eq(text, cases[i].text);
        cr_assert(delivery_id_parse(slice_from_string(text), &found, &index));
        cr_assert(memcmp(&found, &id, sizeof id) == 0 && index == cases[i].index);
    }
}

Test(delivery_id, only_its_canonical_text_is_parsed)
{
    static const char *const wrong[] = {"", "dlv_", "dlv_" UUID, "dlv_" UUID "-", "dlv_" UUID "-16",
        "dlv_" UUID "-00", "dlv_" UUID "-01", "dlv_" UUID "-a", "dlv_" UUID "-1x",
        "dlv_" UUID "-100", "dlv_" UUID "_0", "dlv_" UUID "0", "evt_" UUID "-0",
        "dlv_01890A5D-ac96-774b-bcce-b302099a8057-0", "dlv_01890a5d-ac96-474b-bcce-b302099a8057-0",
        "dlv_" UUID "-0 ", " dlv_" UUID "-0"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct event_id found = {{7}};
        unsigned index = 99;
        cr_assert(!delivery_id_parse(slice_from_string(wrong[i]), &found, &index), "%s", wrong[i]);
        cr_assert(found.bytes[0] == 7 && index == 99);
    }
}
