/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum err mailbox_init(struct mailbox *mailbox, void *receiver)
{
    mailbox->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->event_fd < 0)
        return ERR_SYSTEM;
    cds_wfcq_init(&mailbox->head, &mailbox->tail);
    mailbox->receiver = receiver;
    atomic_store(&mailbox->hurry, false);
    return OK;
}

void mailbox_done(struct mailbox *mailbox)
{
    if (mailbox->event_fd < 0)
        return;
    close(mailbox->event_fd);
    mailbox->event_fd = -1;
    cds_wfcq_destroy(&mailbox->head, &mailbox->tail);
}

/* The receiver may free the owner of the mailbox as soon as the mail is enqueued. So only a copy of
 * the descriptor is used after that. */
static void ring(int event_fd)
{
    /* EAGAIN means that the counter is at its maximum: the receiver is already awake. */
    ssize_t written = write(event_fd, &(uint64_t){1}, sizeof(uint64_t));
    assert(written == sizeof(uint64_t) || errno == EAGAIN);
    (void)written;
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
    int event_fd = mailbox->event_fd;
    cds_wfcq_node_init(&mail->node);
    TSAN_RELEASE(mail);
    if (!cds_wfcq_enqueue(&mailbox->head, &mailbox->tail, &mail->node))
        ring(event_fd);
}

void outgoing_mail_init(struct outgoing_mail *ret_outgoing, struct mailbox *mailbox)
{
    ret_outgoing->mailbox = mailbox;
    ret_outgoing->event_fd = mailbox->event_fd;
    cds_wfcq_init(&ret_outgoing->head, &ret_outgoing->tail);
}

void outgoing_mail_add(struct outgoing_mail *outgoing, struct mail *mail)
{
    cds_wfcq_node_init(&mail->node);
    TSAN_RELEASE(mail);
    cds_wfcq_enqueue(&outgoing->head, &outgoing->tail, &mail->node);
}

void outgoing_mail_post(struct outgoing_mail *outgoing)
{
    struct mailbox *mailbox = outgoing->mailbox;
    if (__cds_wfcq_splice_blocking(&mailbox->head, &mailbox->tail, &outgoing->head,
            &outgoing->tail) == CDS_WFCQ_RET_DEST_EMPTY)
        ring(outgoing->event_fd);
}

bool mailbox_take(struct mailbox *mailbox, struct mail_batch *ret_batch)
{
    /* The signal is cleared before the splice. A post between the two sets it again, which causes
     * one wake-up without mail. */
    uint64_t rings;
    ssize_t got = read(mailbox->event_fd, &rings, sizeof rings);
    (void)got;
    cds_wfcq_init(&ret_batch->head, &ret_batch->tail);
    enum cds_wfcq_ret spliced = __cds_wfcq_splice_blocking(
        &ret_batch->head, &ret_batch->tail, &mailbox->head, &mailbox->tail);
    return spliced != CDS_WFCQ_RET_SRC_EMPTY;
}

struct mail *mail_batch_next(struct mail_batch *batch)
{
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&batch->head, &batch->tail);
    if (!node)
        return NULL;
    struct mail *mail = CONTAINER_OF(node, struct mail, node);
    TSAN_ACQUIRE(mail);
    return mail;
}

void mailbox_work(struct mailbox *mailbox)
{
    struct mail_batch batch;
    if (!mailbox_take(mailbox, &batch))
        return;
    for (struct mail *mail = mail_batch_next(&batch); mail; mail = mail_batch_next(&batch))
        mail->on_receive(mail, mailbox->receiver);
}

bool mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
    struct pollfd waited = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&waited, 1, timeout_ms) > 0;
}

/* The signal of the mail that waits is cleared first, and no later post sets it again while the
 * queue is not empty. So it is set by mailbox_hurry only. */
void mailbox_rest(struct mailbox *mailbox, int64_t rest_us)
{
    uint64_t rings;
    ssize_t got = read(mailbox->event_fd, &rings, sizeof rings);
    (void)got;
    struct pollfd waited = {.fd = mailbox->event_fd, .events = POLLIN};
    if (!atomic_exchange(&mailbox->hurry, false))
        ppoll(&waited, 1, &(struct timespec){.tv_nsec = rest_us * 1000}, NULL);
    atomic_store(&mailbox->hurry, false);
}

void mailbox_hurry(struct mailbox *mailbox)
{
    if (atomic_exchange(&mailbox->hurry, true))
        return;
    ring(mailbox->event_fd);
}
