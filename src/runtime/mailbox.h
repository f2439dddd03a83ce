/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way from one thread to another: a wait-free queue (liburcu wfcqueue) and one eventfd.
 *
 * Any thread posts; one thread receives. The receiver splices everything that has gathered, in the
 * order of posting, and then works. The eventfd is written only by the post that finds the queue
 * empty, so that a busy receiver costs its senders no system call.
 *
 * A mail is embedded in a request struct that its sender allocated. Posting hands the whole struct
 * over; the usual request travels there and comes back to the sender's own mailbox as the answer,
 * without an allocation.
 */
#ifndef PENSTOCK_RUNTIME_MAILBOX_H
#define PENSTOCK_RUNTIME_MAILBOX_H

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/rcu.h"

#include <stddef.h>
#include <urcu/wfcqueue.h>

struct mail {
    struct cds_wfcq_node node;
    /* Runs on the receiving thread, which owns the mail from then on. `receiver` is the mailbox's.
     * */
    void (*on_receive)(struct mail *mail, void *receiver);
};

struct mailbox {
    struct cds_wfcq_head head; /* owned by the receiver */
    struct cds_wfcq_tail tail; /* shared */
    int event_fd;
    void *receiver;
};

/* What one splice took. */
struct mail_batch {
    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
};

enum err mailbox_init(struct mailbox *mailbox, void *receiver) MUST_CHECK;
void mailbox_done(
    struct mailbox *mailbox); /* the queue must be empty, or its mails belong to nobody */

/* Hands `mail` to the receiver. Never blocks, never fails. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

/* Receiver only: takes everything that is there; false when there is nothing. */
bool mailbox_take(struct mailbox *mailbox, struct mail_batch *ret_batch);
/* The next mail of a batch in order of posting, or NULL. */
struct mail *mail_batch_next(struct mail_batch *batch);

/* Receiver only: take everything and run each mail's on_receive. */
void mailbox_work(struct mailbox *mailbox);

/* Receiver only, for threads without a loop: blocks until there is mail or `timeout_ms` (-1: for
 * ever) has passed. */
void mailbox_wait(struct mailbox *mailbox, int timeout_ms);

#endif
