/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way from one thread to another: a wait-free queue (liburcu wfcqueue) and an eventfd.
 *
 * Any thread posts, one thread receives. The receiver takes all waiting mail at once, in the order
 * of posting, and then handles it. Only the post that finds the queue empty writes the eventfd, so
 * that a busy receiver costs its senders no system call.
 *
 * A mail is embedded in a struct that its sender allocated. Posting gives the whole struct to the
 * receiver. A request (request.h) comes back to the sender's own mailbox as the answer, without
 * another allocation.
 */
#ifndef PENSTOCK_RUNTIME_MAILBOX_H
#define PENSTOCK_RUNTIME_MAILBOX_H

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/rcu.h"

#include <stdatomic.h>
#include <stddef.h>
#include <urcu/wfcqueue.h>

struct mail {
    struct cds_wfcq_node node;
    /* Runs on the receiving thread, which then owns the mail. `receiver` is the mailbox's. */
    void (*on_receive)(struct mail *mail, void *receiver);
};

struct mailbox {
    struct cds_wfcq_head head; /* owned by the receiver */
    struct cds_wfcq_tail tail; /* shared */
    int event_fd;
    void *receiver;
    atomic_bool hurry; /* shared: the receiver must not rest */
};

/* The mail that one splice took. */
struct mail_batch {
    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
};

/* Mail for one mailbox that is posted together. One thread owns it. It must not be copied. */
struct outgoing_mail {
    struct mailbox *mailbox;
    int event_fd; /* a copy: the mailbox may be freed when its mail is posted */
    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
};

enum err mailbox_init(struct mailbox *mailbox, void *receiver) MUST_CHECK;
/* The queue must be empty: mail that is left in it is leaked. */
void mailbox_done(struct mailbox *mailbox);

/* Gives `mail` to the receiver. Never blocks, never fails. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

/* Posts all mail in the order in which it was added. The receiver is woken at most once, so that it
 * does not fall asleep between two of them. */
void outgoing_mail_init(struct outgoing_mail *ret_outgoing, struct mailbox *mailbox);
void outgoing_mail_add(struct outgoing_mail *outgoing, struct mail *mail);
void outgoing_mail_post(struct outgoing_mail *outgoing);

/* Receiver only: takes all waiting mail. Returns false if there is none. */
bool mailbox_take(struct mailbox *mailbox, struct mail_batch *ret_batch);
/* Returns the next mail of a batch in the order of posting, or NULL. */
struct mail *mail_batch_next(struct mail_batch *batch);

/* Receiver only: takes all waiting mail and runs each on_receive. */
void mailbox_work(struct mailbox *mailbox);

/* Receiver only, for threads without a loop: blocks until there is mail or until `timeout_ms` has
 * passed (-1: no limit). Returns whether there is mail. */
bool mailbox_wait(struct mailbox *mailbox, int timeout_ms);
/* As above, while there is mail: sleeps for up to a second, so that more can arrive. That costs
 * nobody a switch of threads. */
void mailbox_rest(struct mailbox *mailbox, int64_t rest_us);

/* Ends the rest of the receiver, or the next one. For a sender whose mail must not wait, after it
 * was posted. The receiver must live until then. */
void mailbox_hurry(struct mailbox *mailbox);

#endif
