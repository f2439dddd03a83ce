/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last posts of each partner that were rejected, for operators: what the partner was answered,
 * and the beginning of the body. They are in memory only, of this gateway since its start.
 *
 * The same reason of the same partner is kept five times at once, and then once in 100 ms. Those in
 * between are counted at the one before them. So a flood costs a look-up and an addition for each
 * post.
 *
 * Bounds: REJECTIONS_PER_PARTNER for each partner, and a fixed number for all partners (4 MB). When
 * the first is reached, the oldest one of the reason that has the most leaves, so that a flood does
 * not hide other reasons. When the second is reached, the partner whose last rejection is the
 * oldest loses one.
 *
 * No header, path or credential is kept. A body may hold an API key or a secret by mistake: what
 * looks like one is replaced by asterisks. All other bytes of a body are business data.
 *
 * Shared by the ingress threads and the admin thread; any thread, except _new and _free. A partner
 * has its place in one of several shards, each with a lock that is held for a few comparisons or
 * one copy.
 */
#ifndef PENSTOCK_HTTP_REJECTIONS_H
#define PENSTOCK_HTTP_REJECTIONS_H

#include "base/hash.h"
#include "base/limits.h"
#include "base/slice.h"
#include "http/refusals.h"

#include <netinet/in.h>

#define REJECTIONS_PER_PARTNER 20
#define REJECTION_BODY_BYTES 512
#define REJECTION_PROBLEMS_BYTES 768

/* Texts end with NUL; empty: unknown, or none. */
struct rejection {
    int64_t at_us; /* wall time */
    enum err error;
    char request_id[32];
    char address[INET6_ADDRSTRLEN];
    char account[NAME_BYTES_MAX + 1], type[EVENT_TYPE_BYTES_MAX + 1]; /* if they could be read */
    char detail[200];
    size_t problems_len;
    char
        problems[REJECTION_PROBLEMS_BYTES]; /* a pointer and a detail for each, each with its NUL */
    size_t body_bytes;                      /* of the whole body, or of the item of a batch */
    size_t excerpt_len;
    char excerpt[REJECTION_BODY_BYTES]; /* its beginning: printable ASCII */
    uint64_t similar;                   /* later ones of the same reason that are not listed */
};

void rejection_set_detail(struct rejection *rejection, const char *detail);
/* Adds a problem of a field. What has no room is left out. */
void rejection_add_problem(struct rejection *rejection, const char *pointer, const char *detail);
/* Returns the problem at *at, which is 0 at first. False: there is none. */
bool rejection_next_problem(const struct rejection *rejection, size_t *at, const char **ret_pointer,
    const char **ret_detail);
/* Copies the beginning of a body, without what looks like a secret. */
void rejection_set_body(struct rejection *rejection, struct slice body);

struct rejections;

/* `on_report` is called for each one that is listed, on the thread that adds it. May be NULL. */
struct rejections *rejections_new(const struct hash_seed *seed,
    void (*on_report)(const char *partner, const struct rejection *rejection));
void rejections_free(struct rejections *rejections); /* takes NULL */

/* Returns whether a post of this partner that is rejected now must be added. Otherwise it is only
 * counted. */
bool rejections_take(
    struct rejections *rejections, const char *partner, enum refusal_reason reason, int64_t now_us);
void rejections_add(struct rejections *rejections, const char *partner, enum refusal_reason reason,
    const struct rejection *rejection);

/* Copies those of a partner, the newest first. Returns their number. */
unsigned rejections_list(struct rejections *rejections, const char *partner,
    struct rejection ret_list[REJECTIONS_PER_PARTNER]);

#endif
