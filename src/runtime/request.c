/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/request.h"

#include <assert.h>
#include <poll.h>

void request_submit(struct request *request, struct mailbox *service,
    void (*on_receive)(struct mail *mail, void *receiver))
{
    request->mail.on_receive = on_receive;
    mailbox_post(service, &request->mail);
}

static void receive_answer(struct mail *mail, void *receiver)
{
    struct request *request = CONTAINER_OF(mail, struct request, mail);
    if (request->outstanding) {
        assert(*request->outstanding > 0);
        --*request->outstanding;
    }
    request->on_done(request, receiver);
}

void request_answer(struct request *request, enum err result)
{
    request->result = result;
    request->mail.on_receive = receive_answer;
    if (request->reply_to)
        mailbox_post(request->reply_to, &request->mail);
    else
        receive_answer(&request->mail, NULL);
}

void request_answers_give(struct request_answers *answers)
{
    for (unsigned i = 0; i < answers->count; i++)
        outgoing_mail_post(&answers->to[i]);
    answers->count = 0;
}

void request_answers_add_mail(
    struct request_answers *answers, struct mailbox *mailbox, struct mail *mail)
{
    unsigned i = 0;
    while (i < answers->count && answers->to[i].mailbox != mailbox)
        i++;
    if (i == REQUEST_ANSWERS_THREADS) {
        request_answers_give(answers);
        i = 0;
    }
    if (i == answers->count) {
        outgoing_mail_init(&answers->to[i], mailbox);
        answers->count++;
    }
    outgoing_mail_add(&answers->to[i], mail);
}

void request_answers_add(struct request_answers *answers, struct request *request, enum err result)
{
    if (!request->reply_to) {
        request_answer(request, result);
        return;
    }
    request->result = result;
    request->mail.on_receive = receive_answer;
    request_answers_add_mail(answers, request->reply_to, &request->mail);
}

static void on_called(struct request *request, void *receiver)
{
    (void)request;
    *(bool *)receiver = true;
}

enum err request_call(struct request *request, struct mailbox *service,
    void (*on_receive)(struct mail *mail, void *receiver))
{
    bool done = false;
    struct mailbox answers;
    enum err error = mailbox_init(&answers, &done);
    if (error)
        return request->result = error;
    request->reply_to = &answers;
    request->on_done = on_called;
    request_submit(request, service, on_receive);
    /* Wait for the eventfd, not for the queue: only after writing it has the sender finished with
     * the mailbox, which is on this stack. */
    struct pollfd bell = {.fd = answers.event_fd, .events = POLLIN};
    while (!done)
        if (poll(&bell, 1, -1) > 0)
            mailbox_work(&answers);
    mailbox_done(&answers);
    return request->result;
}
