/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mailbox.h"

#include "runtime/thread.h"

#include <criterion/criterion.h>
#include <poll.h>

#define SENDERS 4
#define MAILS_EACH 20000

struct numbered {
    struct mail mail;
    int sender, number;
};

struct tally {
    int next[SENDERS]; /* what each sender must send next */
    int received, out_of_order;
};

static void on_numbered(struct mail *mail, void *receiver)
{
    struct numbered *numbered = CONTAINER_OF(mail, struct numbered, mail);
    struct tally *tally = receiver;
    tally->received++;
    if (numbered->number != tally->next[numbered->sender]++)
        tally->out_of_order++;
}

static bool is_ringing(const struct mailbox *mailbox)
{
    struct pollfd polled = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&polled, 1, 0) == 1;
}

Test(mailbox, mail_is_received_in_the_order_of_posting)
{
    struct tally tally = {0};
    struct mailbox mailbox;
    cr_assert_eq(mailbox_init(&mailbox, &tally), OK);
    struct numbered mails[100];
    for (int i = 0; i < 100; i++) {
        mails[i] = (struct numbered){.mail.on_receive = on_numbered, .number = i};
        mailbox_post(&mailbox, &mails[i].mail);
    }
    mailbox_work(&mailbox);
    cr_assert_eq(tally.received, 100);
    cr_assert_eq(tally.out_of_order, 0);
    mailbox_done(&mailbox);
}

Test(mailbox, signals_once_for_many_and_again_after_it_was_emptied)
{
    struct tally tally = {0};
    struct mailbox mailbox;
    cr_assert_eq(mailbox_init(&mailbox, &tally), OK);
    cr_assert_not(is_ringing(&mailbox));
    struct mail_batch batch;
    cr_assert_not(mailbox_take(&mailbox, &batch), "nothing was posted");
    struct numbered mails[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    for (int i = 0; i < 3; i++) {
        mails[i].mail.on_receive = on_numbered;
        mailbox_post(&mailbox, &mails[i].mail);
    }
    cr_assert(is_ringing(&mailbox));
    cr_assert(mailbox_take(&mailbox, &batch));
    cr_assert_not(is_ringing(&mailbox));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(mail_batch_next(&batch), &mails[i].mail);
    cr_assert_null(mail_batch_next(&batch));
    mailbox_post(&mailbox, &mails[1].mail);
    cr_assert(is_ringing(&mailbox));
    mailbox_work(&mailbox);
    cr_assert_eq(tally.received, 1);
    mailbox_done(&mailbox);
    mailbox_done(&mailbox);
}

static void on_repost(struct mail *mail, void *receiver)
{
    struct mailbox *mailbox = receiver;
    struct numbered *numbered = CONTAINER_OF(mail, struct numbered, mail);
    if (++numbered->number < 5)
        mailbox_post(mailbox, mail);
}

Test(mailbox, mail_posted_during_a_batch_is_in_the_next_batch)
{
    struct mailbox mailbox;
    cr_assert_eq(mailbox_init(&mailbox, &mailbox), OK);
    struct numbered mail = {.mail.on_receive = on_repost};
    mailbox_post(&mailbox, &mail.mail);
    for (int turn = 1; turn <= 5; turn++) {
        cr_assert(is_ringing(&mailbox));
        mailbox_work(&mailbox);
        cr_assert_eq(mail.number, turn);
    }
    cr_assert_not(is_ringing(&mailbox));
    mailbox_done(&mailbox);
}

struct sender {
    struct thread thread;
    struct mailbox *to;
    int index;
    struct numbered *mails;
};

static void send_all(void *context)
{
    struct sender *sender = context;
    for (int i = 0; i < MAILS_EACH; i++) {
        sender->mails[i] =
            (struct numbered){.mail.on_receive = on_numbered, .sender = sender->index, .number = i};
        mailbox_post(sender->to, &sender->mails[i].mail);
    }
}

Test(mailbox, keeps_the_order_of_each_sender_and_loses_nothing)
{
    thread_adopt_main();
    struct tally tally = {0};
    struct mailbox mailbox;
    cr_assert_eq(mailbox_init(&mailbox, &tally), OK);
    struct sender senders[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){
            .to = &mailbox, .index = i, .mails = calloc(MAILS_EACH, sizeof *senders[i].mails)};
        cr_assert_eq(thread_start(&senders[i].thread, "sender", send_all, &senders[i]), OK);
    }
    while (tally.received < SENDERS * MAILS_EACH) {
        mailbox_wait(&mailbox, -1); /* hangs if a wake-up is lost */
        mailbox_work(&mailbox);
    }
    cr_assert_eq(tally.out_of_order, 0);
    for (int i = 0; i < SENDERS; i++) {
        thread_join(&senders[i].thread);
        free(senders[i].mails);
    }
    mailbox_done(&mailbox);
    thread_leave_main();
}

struct echo {
    struct thread thread;
    struct mailbox here, back;
    bool stopping;
};

static void on_echo(struct mail *mail, void *receiver)
{
    struct echo *echo = receiver;
    struct numbered *numbered = CONTAINER_OF(mail, struct numbered, mail);
    echo->stopping = numbered->number < 0;
    mail->on_receive = on_numbered;
    mailbox_post(&echo->back, mail);
}

static void echo_all(void *context)
{
    struct echo *echo = context;
    while (!echo->stopping) {
        mailbox_wait(&echo->here, -1);
        mailbox_work(&echo->here);
    }
}

Test(mailbox, each_post_wakes_a_sleeping_receiver)
{
    thread_adopt_main();
    struct tally tally = {0};
    struct echo echo = {0};
    cr_assert_eq(mailbox_init(&echo.here, &echo), OK);
    cr_assert_eq(mailbox_init(&echo.back, &tally), OK);
    cr_assert_eq(thread_start(&echo.thread, "echo", echo_all, &echo), OK);
    for (int i = 0; i <= 5000; i++) {
        struct numbered mail = {.mail.on_receive = on_echo, .number = i < 5000 ? i : -1};
        mailbox_post(&echo.here, &mail.mail);
        while (tally.received == i) {
            mailbox_wait(&echo.back, -1);
            mailbox_work(&echo.back);
        }
    }
    thread_join(&echo.thread);
    cr_assert_eq(tally.out_of_order, 1, "only the last one, which says stop, has another number");
    mailbox_done(&echo.here);
    mailbox_done(&echo.back);
    thread_leave_main();
}
