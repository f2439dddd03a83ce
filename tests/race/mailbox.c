/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several senders and one receiver. Every mail arrives once, whole, in the order of its sender, and
 * comes back to its sender as an answer. The senders sometimes wait for their answers, so that the
 * queue is often empty and the eventfd is signalled again. It ends by itself, after a fixed number
 * of mails.
 */
#include "runtime/mailbox.h"
#include "runtime/thread.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#define SENDERS 4
#define MAILS_PER_SENDER 20000
#define PAYLOAD_WORDS 16
#define PATIENCE_MS 60000 /* limit for mail that must arrive */

struct letter {
    struct mail mail;
    struct sender *sender;
    unsigned number;
    uint64_t payload[PAYLOAD_WORDS];
};

struct sender {
    struct thread thread;
    struct mailbox mailbox;
    unsigned index;
    unsigned answered; /* owned by the sender */
    unsigned expected; /* owned by the receiver: the next number of this sender */
    struct letter letters[MAILS_PER_SENDER];
};

struct receiver {
    struct thread thread;
    struct mailbox mailbox;
    unsigned received;
};

static struct sender senders[SENDERS];
static struct receiver receiver;
static _Atomic int failures;

static void fail(const char *what, unsigned sender, unsigned number)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "race/mailbox: %s (sender %u, mail %u)\n", what, sender, number);
}

static uint64_t payload_word(const struct sender *sender, unsigned number, unsigned at)
{
    return ((uint64_t)sender->index << 56) ^ ((uint64_t)number << 16) ^ at;
}

/* Returns false if no mail arrived for so long that it must be lost. */
static bool wait_for_mail(struct mailbox *mailbox)
{
    struct pollfd bell = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&bell, 1, PATIENCE_MS) == 1;
}

static void on_answer(struct mail *mail, void *context)
{
    struct sender *sender = context;
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    if (letter->number != sender->answered++)
        fail("an answer out of order", sender->index, letter->number);
    for (unsigned i = 0; i < PAYLOAD_WORDS; i++)
        if (letter->payload[i] != ~payload_word(sender, letter->number, i))
            fail("an answer that is not whole", sender->index, letter->number);
}

static void on_letter(struct mail *mail, void *context)
{
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    struct sender *sender = letter->sender;
    ((struct receiver *)context)->received++;
    if (letter->number != sender->expected++)
        fail("a mail out of order", sender->index, letter->number);
    for (unsigned i = 0; i < PAYLOAD_WORDS; i++) {
        if (letter->payload[i] != payload_word(sender, letter->number, i))
            fail("a mail that is not whole", sender->index, letter->number);
        letter->payload[i] = ~letter->payload[i];
    }
    mail->on_receive = on_answer;
    mailbox_post(&sender->mailbox, mail);
}

static void receive(void *context)
{
    while (receiver.received < SENDERS * MAILS_PER_SENDER) {
        if (!wait_for_mail(&receiver.mailbox)) {
            fail("mails are lost; received", SENDERS, receiver.received);
            return;
        }
        mailbox_work(&receiver.mailbox);
    }
}

static void send_all(void *context)
{
    struct sender *sender = context;
    for (unsigned number = 0; number < MAILS_PER_SENDER; number++) {
        struct letter *letter = &sender->letters[number];
        letter->mail.on_receive = on_letter;
        letter->sender = sender;
        letter->number = number;
        for (unsigned i = 0; i < PAYLOAD_WORDS; i++)
            letter->payload[i] = payload_word(sender, number, i);
        mailbox_post(&receiver.mailbox, &letter->mail);
        /* From time to time, and at the end, all answers must have arrived. */
        unsigned sent = number + 1;
        while ((sent % (100 + sender->index) == 0 || sent == MAILS_PER_SENDER) &&
               sender->answered < sent) {
            if (!wait_for_mail(&sender->mailbox)) {
                fail("answers are lost", sender->index, sender->answered);
                return;
            }
            mailbox_work(&sender->mailbox);
        }
    }
}

int main(void)
{
    enum err error = mailbox_init(&receiver.mailbox, &receiver);
    for (unsigned i = 0; !error && i < SENDERS; i++) {
        senders[i].index = i;
        error = mailbox_init(&senders[i].mailbox, &senders[i]);
    }
    if (!error)
        error = thread_start(&receiver.thread, "receiver", receive, NULL);
    for (unsigned i = 0; !error && i < SENDERS; i++)
        error = thread_start(&senders[i].thread, "sender", send_all, &senders[i]);
    if (error) {
        fprintf(stderr, "race/mailbox: could not start: %s\n", err_title(error));
        return 1;
    }
    for (unsigned i = 0; i < SENDERS; i++)
        thread_join(&senders[i].thread);
    thread_join(&receiver.thread);
    for (unsigned i = 0; i < SENDERS; i++) {
        if (senders[i].answered != MAILS_PER_SENDER)
            fail("answers are missing", i, senders[i].answered);
        mailbox_done(&senders[i].mailbox);
    }
    mailbox_done(&receiver.mailbox);
    printf("race/mailbox: %u mails, %d failures\n", receiver.received, atomic_load(&failures));
    return atomic_load(&failures) ? 1 : 0;
}
