/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingress: what partners talk to. One thread per core, each with its own h2o loop and its own listener on the shared
 * port: authenticate, validate, classify, enqueue, and answer 200 once the queue says that the event is durable. Never
 * runs SQLite, never blocks.
 *
 *   POST /v1/events        post_event.c
 *   GET  /v1/events/{id}   get_event.c
 *
 * An event that the queue has not confirmed within 3 s is answered 503 (partners re-send after a few seconds); it may
 * have been taken all the same, and a re-send is then a duplicate.
 */
#ifndef PENSTOCK_INGRESS_INGRESS_H
#define PENSTOCK_INGRESS_INGRESS_H

#include "accounts/directory.h"
#include "base/credit.h"
#include "base/hash.h"
#include "http/server.h"
#include "journal/journal_reader.h"

struct ingress;

struct ingress_options {
    unsigned number;
    int listen_fd; /* owned by ingress from ingress_new on */
    unsigned connections_max;
    const struct directory *directory;
    struct journal *const *journals; /* by shard; must outlive ingress */
    struct credit *credits;          /* by shard */
    struct journal_reader *reader;
    struct hash_seed seed; /* of the installation: an account's partition */
    unsigned partitions, shards;
    struct slice receipt_key;
};

enum err ingress_new(const struct ingress_options *options, struct ingress **ret_ingress) MUST_CHECK;
enum err ingress_start(struct ingress *ingress) MUST_CHECK;

/* Stops accepting, sends GOAWAY, finishes what is in flight for up to `drain_us`, ends the thread. Returns at once. */
void ingress_stop(struct ingress *ingress, int64_t drain_us);
void ingress_join(struct ingress *ingress);
/* After the journals have stopped: answers that came late are in the mailbox. Takes NULL. */
void ingress_free(struct ingress *ingress);

#endif
