/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a body an HTTP/2 peer may send before it has to wait. libcurl 7.88 allows 32 MiB for
 * each stream, and has no option. When it has read enough of a body and resets the stream, the rest
 * of the window may still arrive. It would count as too much (inflow.h), although the peer did what
 * it was allowed to do, and all other requests of the connection would fail.
 *
 * So libcurl's SETTINGS are changed on their way to libnghttp2, as unprocessed.h describes.
 */
#ifndef PENSTOCK_CLIENT_STREAM_WINDOW_H
#define PENSTOCK_CLIENT_STREAM_WINDOW_H

#include <stdbool.h>

/* Half of it is read at once, and the other half may be on its way when the stream is reset. */
#define STREAM_WINDOW_BYTES (128 * 1024)

/* Returns whether libcurl calls the function of this module. */
bool stream_window_is_seen(void);

#endif
