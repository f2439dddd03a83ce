/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1 walker gives the same result for bytes at once, byte by byte, and split in two. Its
 * phases are correct. */
#include "support/framing_walk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct framing_walk *a, const struct framing_walk *b)
{
    if (a->fault != b->fault || a->heads != b->heads || a->ends != b->ends ||
        a->body_bytes != b->body_bytes)
        abort();
    if (!a->fault && framing_phase(&a->framing) != framing_phase(&b->framing))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1, cut = data[0] % size;
    if (cut > len)
        cut = len;
    struct framing_walk whole = {0}, bytes = {0}, halves = {0};
    framing_walk(&whole, text, len);
    for (size_t i = 0; i < len; i++)
        framing_walk(&bytes, text + i, 1);
    framing_walk(&halves, text, cut);
    framing_walk(&halves, text + cut, len - cut);
    compare(&whole, &bytes);
    compare(&whole, &halves);
    if (whole.ends > whole.heads || whole.body_bytes > len)
        abort();
    return 0;
}
