/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests between threads: the one protocol for requests and answers over mailboxes.
 *
 *   requester                              service (a thread with a mailbox)
 *   request_submit --------mail----------> on_receive: does what `kind` says
 *   on_done <--------------mail----------- request_answer
 *
 * A request is embedded in a struct with the inputs and outputs (ret_*) of its kind. The service
 * owns it from request_submit until on_done, so nothing is allocated or copied on the way. Requests
 * of one requester to one service are received in the order of submission. Answers are received in
 * the order in which they are given.
 */
#ifndef PENSTOCK_RUNTIME_REQUEST_H
#define PENSTOCK_RUNTIME_REQUEST_H

#include "runtime/mailbox.h"

struct request {
    struct mail mail;
    unsigned kind; /* a value of the service's enum */
    enum err result;
    struct mailbox *reply_to; /* NULL: on_done runs on the service's thread */
    /* Runs on the thread of `reply_to`. May free the request. `receiver` is that mailbox's. */
    void (*on_done)(struct request *request, void *receiver);
    /* The requester's count of open requests. The requester raises it before the submit. It is
     * lowered just before on_done, on the thread of `reply_to`. NULL: not counted. */
    unsigned *outstanding;
};

/* Sends the request to a service, which receives it with `on_receive`. Any thread. Never blocks,
 * never fails. */
void request_submit(struct request *request, struct mailbox *service,
    void (*on_receive)(struct mail *mail, void *receiver));
/* The service answers. The requester owns the request again. */
void request_answer(struct request *request, enum err result);

/*
 * The answers to requests of several threads, collected to be given together. Each thread is woken
 * at most once, and not for each answer. A request without `reply_to` is answered at once.
 */
#define REQUEST_ANSWERS_THREADS 8
struct request_answers {
    unsigned count;
    struct outgoing_mail
        to[REQUEST_ANSWERS_THREADS]; /* of more threads, the first ones get their answers earlier */
};

/* Collects an answer. The service must not use the request any more. */
void request_answers_add(struct request_answers *answers, struct request *request, enum err result);
/* Collects a mail that is no answer, in the same order. */
void request_answers_add_mail(
    struct request_answers *answers, struct mailbox *mailbox, struct mail *mail);
/* Posts all that was collected. */
void request_answers_give(struct request_answers *answers);

/*
 * Submits the request, waits for the answer and returns its result. Sets reply_to and on_done.
 * ERR_SYSTEM: there is no descriptor for the answer, and nothing was sent. For main and for tools.
 * Not for a loop's thread, and not for a thread that is online for RCU.
 */
enum err request_call(struct request *request, struct mailbox *service,
    void (*on_receive)(struct mail *mail, void *receiver)) MUST_CHECK;

#endif
