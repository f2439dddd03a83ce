/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the admin API of the leader, the gateway that this one follows. Blocks. */
#ifndef PENSTOCK_CLUSTER_LEADER_H
#define PENSTOCK_CLUSTER_LEADER_H

#include "base/buffer.h"
#include "config/config.h"

#define LEADER_DETAIL_BYTES 256

struct leader {
    const char *url;        /* the base of its admin listener */
    const char *token_file; /* read for every request, so that the token may change */
    const char *ca_file;    /* to check its certificate; NULL or empty: the CAs of the system */
    long timeout_s;
    bool (*on_wait)(void *context); /* as client_call's; may be NULL */
    void *context;
};

/* The leader that the configuration names, with a timeout of a few seconds. The configuration must
 * outlive it. */
struct leader leader_from_config(const struct config *config);

/*
 * GET of a path. *body gets the body of the answer. `ret_detail` (LEADER_DETAIL_BYTES) gets the
 * reason in words. ERR_UNAVAILABLE: the leader does not answer, or not as a gateway does.
 * ERR_NOT_FOUND: it is no gateway that can lead. ERR_PERMISSION: the token file cannot be read.
 * ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_CANCELLED, ERR_NO_MEMORY.
 */
enum err leader_ask(const struct leader *leader, const char *path, struct buffer *body,
    char *ret_detail) MUST_CHECK;

#endif
