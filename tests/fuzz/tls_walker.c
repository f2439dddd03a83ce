/* SPDX-License-Identifier: Apache-2.0 */
/* The walker of TLS records gives the same result for bytes at once, byte by byte, and split in
 * two. The first byte of the input chooses the version and the place of the split. */
#include "http/tls_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walks in pieces of this size; the first one may be shorter. */
static bool walk(const uint8_t *bytes, size_t len, size_t first, size_t piece, bool is_tls_1_3)
{
    struct tls_walker walker = {.is_done = false};
    for (size_t at = 0, next = first; at < len; next = piece) {
        size_t here = len - at < next ? len - at : next;
        if (!tls_walker_take(&walker, is_tls_1_3, bytes + at, here))
            return false;
        if (walker.message_left > TLS_MESSAGE_BYTES_MAX || walker.record_left > UINT16_MAX)
            abort();
        at += here;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool is_tls_1_3 = data[0] & 1;
    size_t split = 1 + (data[0] >> 1);
    data++;
    size--;
    bool whole = walk(data, size, size, size, is_tls_1_3);
    if (walk(data, size, 1, 1, is_tls_1_3) != whole ||
        walk(data, size, split, size, is_tls_1_3) != whole)
        abort();
    return 0;
}
