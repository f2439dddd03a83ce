/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For any input the parser's verdict agrees with the grammar. What it accepts is within the limits.
 * The first byte of the input chooses a key pointer.
 */
#include "model/event_fields.h"
#include "json_reference.h"
#include "model/key_pointer.h"
#include "model/money.h"
#include "model/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_fields(const struct event_fields *fields)
{
    const char *problem;
    require(name_is_valid_type(FIELD_SLICE(fields->type)));
    require(name_is_valid(FIELD_SLICE(fields->account)));
    require(fields->id.len == 0 || name_is_valid_key(FIELD_SLICE(fields->id)));
    require(fields->pointed_key.len == 0 || name_is_valid_key(FIELD_SLICE(fields->pointed_key)));
    require(fields->amount.len == 0 || money_check_amount(FIELD_SLICE(fields->amount), &problem));
    require(fields->amount.len == 0 || fields->currency.len == CURRENCY_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hash_seed seed = {{1, 2, 3}};
    static const char *const pointers[] = {
        "", "/id", "/data", "/data/a", "/data/0", "/data/a~1b/1", "/data/a/0/b"};
    struct event_fields fields;
    struct refusal refusal;
    if (size == 0)
        return 0;
    struct slice pointer = slice_from_string(pointers[data[0] % ARRAY_LENGTH(pointers)]);
    struct slice body = slice_of(data + 1, size - 1);
    require(pointer.len == 0 || key_pointer_is_valid(pointer));
    enum err result = event_fields_parse(&seed, body, pointer, &fields, &refusal);
    require((result != ERR_MALFORMED_JSON) == reference_accepts(body, '{', 0));
    require(result == OK || (refusal.error == result && refusal.detail[0]));
    if (result == OK)
        check_fields(&fields);
    else
        require(result == ERR_MALFORMED_JSON || refusal.problems.count > 0);
    return 0;
}
