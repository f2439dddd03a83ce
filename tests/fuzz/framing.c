/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1 walker gives the same result for bytes at once, byte by byte, and split in two. Its
 * phases are correct. */
#include "http/framing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1, cut = data[0] % size, start, ignored;
    if (cut > len)
        cut = len;
    struct framing whole = {0}, bytes = {0}, halves = {0};
    const char *fault = framing_walk(&whole, text, len, &start), *same = NULL;
    size_t begun_at = 0;
    for (size_t i = 0; i < len && !same; i++) {
        if (framing_phase(&bytes) == FRAMING_IDLE)
            begun_at = i;
        same = framing_walk(&bytes, text + i, 1, &ignored);
    }
    if (fault != same || (fault && start != begun_at) || start > len)
        abort();
    same = framing_walk(&halves, text, cut, &ignored);
    if (!same)
        same = framing_walk(&halves, text + cut, len - cut, &ignored);
    if (fault != same || (!fault && framing_phase(&whole) != framing_phase(&halves)))
        abort();
    return 0;
}
