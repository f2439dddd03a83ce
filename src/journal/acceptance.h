/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two ways in have in common: an event that ingress appends (append.c), and one that the
 * broker delivered (receive.c). Owned by the journal's thread, within its transaction.
 */
#ifndef PENSTOCK_JOURNAL_ACCEPTANCE_H
#define PENSTOCK_JOURNAL_ACCEPTANCE_H

#include "journal/store.h"

/* An event that is new, with its number in the totals, as the next one of the store: the caller
 * counts on. ERR_EXISTS: there is an event of this id. */
enum err acceptance_add_event(
    struct store *store, const struct event *event, unsigned deliveries) MUST_CHECK;

/* One delivery of an event that is new, with its number in the totals. */
enum err acceptance_add_delivery(
    struct store *store, const struct event *event, const struct delivery_row *row) MUST_CHECK;

/* The number of the stored event of this id. ERR_NOT_FOUND; ERR_UNAVAILABLE: it is another event,
 * by a chance of 2^-44, and must not swallow this one. */
enum err acceptance_find(
    struct store *store, const struct event *event, int64_t *ret_seq) MUST_CHECK;

/* Keeps what came under the key of `first` with other money, and says so to whoever reads the log.
 * */
enum err acceptance_keep_conflict(
    struct store *store, const struct event_id *first, const struct event *event) MUST_CHECK;

/* The delivery of a row goes to the delivery thread when the transaction is committed.
 * ERR_NO_MEMORY. */
enum err acceptance_hand_over(
    struct store *store, const struct delivery_row *row, struct event *event) MUST_CHECK;

/* A stored event becomes the journal's own, and what is to be sent of it is handed over. `event` is
 * the same. */
enum err acceptance_adopt(struct store *store, int64_t seq, struct event *event) MUST_CHECK;

#endif
