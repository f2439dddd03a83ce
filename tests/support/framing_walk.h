/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over bytes of HTTP/1 and counts what the walker reports. */
#ifndef PENSTOCK_TESTS_FRAMING_WALK_H
#define PENSTOCK_TESTS_FRAMING_WALK_H

#include "http/framing.h"

struct framing_walk {
    struct framing framing;
    const char *fault; /* NULL: none yet; after that nothing is walked any more */
    unsigned heads, ends;
    uint64_t body_bytes;
};

/* `walk` is zeroed before the first bytes. */
static inline void framing_walk(struct framing_walk *walk, const char *text, size_t len)
{
    struct slice rest = slice_of(text, len);
    enum framing_event event = walk->fault ? FRAMING_MORE : FRAMING_HEAD;
    while (event != FRAMING_MORE && event != FRAMING_FAULT) {
        struct slice data = {0};
        size_t used;
        event = framing_next(&walk->framing, rest, &used, &data);
        rest = slice_of(rest.data + used, rest.len - used);
        walk->heads += event == FRAMING_HEAD;
        walk->ends += event == FRAMING_END;
        walk->body_bytes += event == FRAMING_DATA ? data.len : 0;
    }
    if (event == FRAMING_FAULT)
        walk->fault = walk->framing.fault;
}

#endif
