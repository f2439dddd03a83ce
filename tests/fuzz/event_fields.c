/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a partner sends, the parser answers with a verdict, and what it accepts is within the limits. */
#include "model/event_fields.h"
#include "model/money.h"
#include "model/name.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_fields fields;
    struct field_problems problems;
    enum err result = event_fields_parse(slice_of(data, size), &fields, &problems);
    if (result == ERR_MALFORMED_JSON) {
        require(problems.malformed[0] != '\0');
    } else if (result == ERR_INVALID) {
        require(problems.count > 0);
    } else {
        const char *problem;
        require(result == OK);
        require(name_is_valid_type(FIELD_SLICE(fields.type)));
        require(name_is_valid(FIELD_SLICE(fields.account)));
        require(fields.id.len == 0 || name_is_valid_key(FIELD_SLICE(fields.id)));
        require(fields.amount.len == 0 || money_check_amount(FIELD_SLICE(fields.amount), &problem));
        require(fields.amount.len == 0 || fields.currency.len == CURRENCY_BYTES);
    }
    return 0;
}
