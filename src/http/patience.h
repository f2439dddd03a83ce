/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much useless work an HTTP/2 connection may cause. Each frame that brings no request forward
 * has a price. Requests that are answered, and time, give credit back. A connection without credit
 * is cut. So a normal client is never near the limit, and an attack ends after some milliseconds,
 * whichever frames it mixes.
 *
 * Pure: the caller passes the time.
 */
#ifndef PENSTOCK_HTTP_PATIENCE_H
#define PENSTOCK_HTTP_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * X(symbol, price, name, why this price)
 *
 * A normal client sends up to 2 WINDOW_UPDATE and 1 PRIORITY for each request, a PING every few
 * seconds, and may cancel a request sometimes.
 */
#define PATIENCE_TABLE(X)                                                                          \
    X(PATIENCE_CONTROL, 1, "control-frames", "WINDOW_UPDATE, PRIORITY, acks, unknown: cheap")      \
    X(PATIENCE_PING, 4, "pings", "each is answered with a frame")                                  \
    X(PATIENCE_SETTINGS, 20, "settings", "each is answered, and rare: one for a connection")       \
    X(PATIENCE_GOAWAY, 50, "goaway", "one is enough")                                              \
    X(PATIENCE_CONTINUATION, 4, "continuations", "a head rarely needs one")                        \
    X(PATIENCE_EMPTY, 20, "empty-frames", "DATA or CONTINUATION without content brings nothing")   \
    X(PATIENCE_SMALL_DATA, 1, "small-data", "DATA of less than 64 bytes that does not end a body") \
    X(PATIENCE_LATE_DATA, 4, "late-data", "DATA for a request that is already answered or reset")  \
    X(PATIENCE_UNSEEN, 1, "ignored-frames", "1 KiB of frames that are ignored without a call")     \
    X(PATIENCE_RESET, 16, "resets", "a request was begun for nothing, by either side's reset")     \
    X(PATIENCE_CANCEL, 4, "cancels",                                                               \
        "a known caller gives up: a proxy may do so for many at once")                             \
    X(PATIENCE_REFUSED, 2, "refused-streams",                                                      \
        "above the limit, or after GOAWAY: the client may not know yet")                           \
    X(PATIENCE_TRAILER, 8, "trailers", "a trailer is dropped: as much as its answer gives back")   \
    X(PATIENCE_INVALID, 50, "invalid-frames", "the protocol does not allow the frame")             \
    X(PATIENCE_LARGE_HEAD, 500, "large-heads", "above the limit of a head, as no client sends it")

enum patience_kind {
#define X(symbol, price, name, why) symbol,
    PATIENCE_TABLE(X)
#undef X
        PATIENCE_KINDS
};

#define PATIENCE_BURST 2000    /* the credit of a new connection, and the most it can have */
#define PATIENCE_PER_ANSWER 8  /* a reset costs as much as two answers give */
#define PATIENCE_PER_SECOND 20 /* five pings */
#define PATIENCE_SMALL_DATA_BYTES 64
/* An answered request gives back what the frames of its body cost, at most this. */
#define PATIENCE_FRAMES_MAX 2000

struct patience {
    int64_t credit;
    int64_t refilled_mono_us;
};

void patience_init(struct patience *patience, int64_t now_mono_us);
/* Returns false if the credit does not suffice. Call with `now` of this turn. */
bool patience_spend(struct patience *patience, enum patience_kind kind, int64_t now_mono_us);
void patience_give(struct patience *patience, unsigned credit);
const char *patience_kind_name(enum patience_kind kind);

#endif
