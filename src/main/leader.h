/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway that this one follows: one question to its admin API, with its token. Blocks. */
#ifndef PENSTOCK_MAIN_LEADER_H
#define PENSTOCK_MAIN_LEADER_H

#include "base/buffer.h"
#include "config/config.h"

#define LEADER_DETAIL_BYTES 256

struct leader {
    const char *url;        /* the base of its admin listener */
    const char *token_file; /* read with every question, so that a token can be changed */
    long timeout_s;
    bool (*on_wait)(void *context); /* as client_call's; may be NULL */
    void *context;
};

/* The one that the configuration names, which must outlive it, with a timeout of a few seconds. */
struct leader leader_from_config(const struct config *config);

/*
 * GET of a path. OK: *body is the answer's. ERR_UNAVAILABLE: nobody answers there, or not as a
 * gateway does; ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND (too old to lead), ERR_PERMISSION
 * (the token file), ERR_CANCELLED, ERR_NO_MEMORY. `ret_detail` (LEADER_DETAIL_BYTES) says it in
 * words.
 */
enum err leader_ask(const struct leader *leader, const char *path, struct buffer *body,
    char *ret_detail) MUST_CHECK;

#endif
