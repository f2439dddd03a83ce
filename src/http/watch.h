/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the socket of another library on a server's loop, and runs work at the end of a turn. An
 * ingress thread uses it for its connection to the broker. Owned by the server's thread, which must
 * free the watches it made. Callbacks run online for RCU, as handlers do.
 */
#ifndef PENSTOCK_HTTP_WATCH_H
#define PENSTOCK_HTTP_WATCH_H

#include "http/server.h"

struct http_watch;

/* The caller keeps `fd`; a copy of it is watched. on_ready is called when it is readable.
 * ERR_SYSTEM. */
enum err http_watch_new(struct http_server *server, int fd, void (*on_ready)(void *context),
    void *context, struct http_watch **ret_watch) MUST_CHECK;
void http_watch_free(struct http_watch *watch); /* takes NULL; allowed within on_ready */
/* Calls on_ready once when the socket is writable. */
void http_watch_want_write(struct http_watch *watch);
void http_watch_set_reading(struct http_watch *watch, bool reading);

/* Calls `run` once after the current callbacks of the loop. */
struct http_turn_end;
struct http_turn_end *http_turn_end_new(
    struct http_server *server, void (*run)(void *context), void *context);
void http_turn_end_link(struct http_turn_end *end); /* no effect if it is already linked */
void http_turn_end_free(struct http_turn_end *end); /* takes NULL */

#endif
