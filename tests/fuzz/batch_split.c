/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch is split into parts of itself, in order, or rejected. An array is valid if and only if it
 * was split and its items are valid.
 */
#include "model/batch_split.h"
#include "json_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slice items[BATCH_ITEMS_MAX];
    if (size == 0)
        return 0;
    struct slice body = slice_of(data + 1, size - 1);
    enum batch_form form = data[0] % 2 ? BATCH_ARRAY : BATCH_LINES;
    struct refusal refusal;
    unsigned count = 0;
    enum err result = batch_split(body, form, items, &count, &refusal);
    if (result != OK && (refusal.error != result || !refusal.detail[0]))
        abort();
    const char *at = body.data;
    for (unsigned i = 0; i < count; i++) {
        if (items[i].data < at || items[i].len == 0 ||
            items[i].data + items[i].len > body.data + body.len)
            abort();
        at = items[i].data + items[i].len;
    }
    if (form == BATCH_ARRAY && count < BATCH_ITEMS_MAX) {
        bool all_good = result == OK;
        for (unsigned i = 0; i < count; i++)
            all_good = all_good && reference_accepts(items[i], 0, 1);
        if (all_good != reference_accepts(body, '[', 0) && result != ERR_TOO_LARGE)
            abort();
    }
    return 0;
}
