/* SPDX-License-Identifier: Apache-2.0 */
#include "http/frame_walker.h"

#define HEAD_BYTES 9
#define LENGTH_BYTES 3

static void take_head(struct frame_walker *walker, unsigned char byte, int64_t now_mono_us)
{
    if (walker->head_have == 0) {
        walker->length = 0;
        walker->since_mono_us = now_mono_us;
    }
    if (walker->head_have < LENGTH_BYTES)
        walker->length = walker->length << 8 | byte;
    if (++walker->head_have == HEAD_BYTES) {
        walker->head_have = 0;
        walker->left = walker->length;
    }
}

void frame_walker_take(
    struct frame_walker *walker, const unsigned char *bytes, size_t len, int64_t now_mono_us)
{
    while (len > 0) {
        size_t part = len < walker->left ? len : walker->left;
        walker->left -= (uint32_t)part;
        bytes += part;
        len -= part;
        if (len > 0) {
            take_head(walker, *bytes++, now_mono_us);
            len--;
        }
    }
}

int64_t frame_walker_idle_until(
    const struct frame_walker *walker, int64_t idle_since_us, int64_t idle_us, int64_t frame_us)
{
    if (!frame_walker_is_inside(walker))
        return idle_since_us + idle_us;
    /* A frame of an open request has the time of the request. */
    return (walker->since_mono_us > idle_since_us ? walker->since_mono_us : idle_since_us) +
           frame_us;
}
