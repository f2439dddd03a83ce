/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that an HTTP/2 peer refused without processing them, for instance because it restarts.
 * Such a request is sent again at once, on another connection, as part of the same attempt. So the
 * attempt does not fail, and the breaker and the schedule see nothing.
 *
 * The peer says so in two ways (RFC 9113, 6.8 and 8.7): it resets the stream with REFUSED_STREAM,
 * or it sends GOAWAY with a last stream below it. For both, libnghttp2 closes the stream with
 * REFUSED_STREAM. It does the same with a stream that it did not send, because GOAWAY arrived
 * first.
 *
 * The result of libcurl 7.88 does not show this:
 *
 *   REFUSED_STREAM                   it opens a connection to send again; the sixth time in a row
 *                                    of a handle it returns CURLE_RECV_ERROR
 *   GOAWAY with a lower last stream  the same, or CURLE_HTTP2 if no other stream is open, which
 *                                    also means malformed frames
 *   GOAWAY with our stream as the    CURLE_PARTIAL_FILE
 *   last, then closed
 *   closed without GOAWAY            CURLE_PARTIAL_FILE
 *
 * The client refuses each repeat by libcurl, which also repeats for other reasons. So this module
 * listens to libnghttp2 itself: libcurl registers its callback for closed streams with a function
 * that the dynamic linker resolves, and the function of that name in unprocessed.c replaces it. If
 * the replacement is not in effect, no request is repeated, and the attempt fails.
 * unprocessed_is_seen reports it.
 *
 * A request is repeated only if libcurl has reported no byte of an answer. A guarded request is
 * never repeated, because nobody can check what the peer says. An attempt has up to
 * UNPROCESSED_SENDS_MAX repeats, within its time. After that it fails with ERR_ANSWER_LOST.
 */
#ifndef PENSTOCK_CLIENT_UNPROCESSED_H
#define PENSTOCK_CLIENT_UNPROCESSED_H

#include <stdbool.h>

struct client_transfer;

#define UNPROCESSED_SENDS_MAX 3

/* Returns whether the peer says that it has not processed the request. */
bool unprocessed_is_proven(const struct client_transfer *transfer);
/* Returns whether the request was refused and may be sent again. */
bool unprocessed_may_repeat(const struct client_transfer *transfer);

/* Returns whether libcurl calls the function of this module. For tests. */
bool unprocessed_is_seen(void);

#endif
