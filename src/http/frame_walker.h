/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the frames of an HTTP/2 client (RFC 9113 section 4.1), to know whether a part of one has
 * arrived, and since when. libnghttp2 has no function for that, and does not tell about each frame.
 *
 * Pure: the caller passes the time. Zeroed, it awaits a frame.
 */
#ifndef PENSTOCK_HTTP_FRAME_WALKER_H
#define PENSTOCK_HTTP_FRAME_WALKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame_walker {
    unsigned head_have;    /* bytes of the head of a frame */
    uint32_t length;       /* of the payload, as far as the head is there */
    uint32_t left;         /* bytes of the payload, or of the preface */
    int64_t since_mono_us; /* when the first byte of the frame arrived */
};

void frame_walker_take(
    struct frame_walker *walker, const unsigned char *bytes, size_t len, int64_t now_mono_us);

/* Whether a part of a frame is missing. */
static inline bool frame_walker_is_inside(const struct frame_walker *walker)
{
    return walker->head_have > 0 || walker->left > 0;
}

/* The deadline of a connection without open requests, idle since `idle_since_us`: the rest of a
 * frame has `frame_us`, and otherwise the next frame has `idle_us`. */
int64_t frame_walker_idle_until(
    const struct frame_walker *walker, int64_t idle_since_us, int64_t idle_us, int64_t frame_us);

#endif
