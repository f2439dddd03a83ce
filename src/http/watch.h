/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other sockets on the loop of a server, and work for the end of a turn: an ingress thread has its
 * connection to the broker on the same loop as those of its partners. Owned by the server's thread.
 * The callbacks run online for RCU, as handlers do.
 */
#ifndef PENSTOCK_HTTP_WATCH_H
#define PENSTOCK_HTTP_WATCH_H

#include "http/server.h"

struct http_watch;

/* `fd` stays the caller's (a dup of it is watched). on_ready runs when there is something to read.
 * ERR_SYSTEM. */
enum err http_watch_new(struct http_server *server, int fd, void (*on_ready)(void *context),
    void *context, struct http_watch **ret_watch) MUST_CHECK;
void http_watch_free(struct http_watch *watch); /* takes NULL; from within on_ready as well */
void http_watch_want_write(
    struct http_watch *watch); /* on_ready runs once when it may be written */
void http_watch_set_reading(struct http_watch *watch, bool reading);

/* `run` runs once, at the end of the current turn of the loop. Always OK. */
struct http_turn_end;
enum err http_turn_end_new(struct http_server *server, void (*run)(void *context), void *context,
    struct http_turn_end **ret_end) MUST_CHECK;
void http_turn_end_link(struct http_turn_end *end); /* nothing when it is linked already */
void http_turn_end_free(struct http_turn_end *end); /* takes NULL */

#endif
