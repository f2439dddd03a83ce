/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/request.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <unistd.h>

#define THREADS (REQUEST_ANSWERS_THREADS + 2)
#define REQUESTS_EACH 3

struct numbered {
    struct request request;
    unsigned number;
};

static struct mailbox mailboxes[THREADS];
static unsigned received[THREADS][REQUESTS_EACH + 1], counts[THREADS];
static struct request_answers answers;

static void receive(struct request *request, void *receiver)
{
    unsigned thread = (unsigned)((struct mailbox *)receiver - mailboxes);
    received[thread][counts[thread]++] = CONTAINER_OF(request, struct numbered, request)->number;
}

static void begin(void)
{
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(mailbox_init(&mailboxes[i], &mailboxes[i]), OK);
}

static void end(void)
{
    for (unsigned i = 0; i < THREADS; i++)
        mailbox_done(&mailboxes[i]);
}

TestSuite(request_answers, .init = begin, .fini = end);

static void make(struct numbered *numbered, struct mailbox *reply_to, unsigned number)
{
    *numbered =
        (struct numbered){.request = {.reply_to = reply_to, .on_done = receive}, .number = number};
}

static uint64_t rings_of(struct mailbox *mailbox)
{
    uint64_t rings = 0;
    ssize_t got = read(mailbox->event_fd, &rings, sizeof rings);
    return got == sizeof rings ? rings : 0;
}

Test(request_answers, each_thread_is_woken_once_and_gets_its_answers_in_order)
{
    struct numbered requests[4][REQUESTS_EACH];
    for (unsigned i = 0; i < REQUESTS_EACH; i++)
        for (unsigned thread = 0; thread < 4; thread++) {
            make(&requests[thread][i], &mailboxes[thread], i);
            request_answers_add(&answers, &requests[thread][i].request, OK);
        }
    for (unsigned thread = 0; thread < 4; thread++)
        cr_assert_eq(rings_of(&mailboxes[thread]), 0, "nothing was given");
    request_answers_give(&answers);
    for (unsigned thread = 0; thread < 4; thread++) {
        cr_assert_eq(rings_of(&mailboxes[thread]), 1);
        mailbox_work(&mailboxes[thread]);
        cr_assert_eq(counts[thread], REQUESTS_EACH);
        for (unsigned i = 0; i < REQUESTS_EACH; i++)
            cr_assert_eq(received[thread][i], i);
    }
}

Test(request_answers, a_thread_that_has_mail_is_not_woken_again)
{
    struct numbered first, second;
    make(&first, &mailboxes[0], 1);
    make(&second, &mailboxes[0], 2);
    request_answer(&first.request, OK);
    cr_assert_eq(rings_of(&mailboxes[0]), 1);
    request_answers_add(&answers, &second.request, OK);
    request_answers_give(&answers);
    cr_assert_eq(rings_of(&mailboxes[0]), 0);
    mailbox_work(&mailboxes[0]);
    cr_assert_eq(counts[0], 2);
    cr_assert_eq(received[0][1], 2);
}

Test(request_answers, more_threads_than_there_is_room_for_get_their_answers)
{
    struct numbered requests[THREADS][REQUESTS_EACH];
    for (unsigned i = 0; i < REQUESTS_EACH; i++)
        for (unsigned thread = 0; thread < THREADS; thread++) {
            make(&requests[thread][i], &mailboxes[thread], i);
            request_answers_add(&answers, &requests[thread][i].request, ERR_DISK);
        }
    request_answers_give(&answers);
    for (unsigned thread = 0; thread < THREADS; thread++) {
        mailbox_work(&mailboxes[thread]);
        cr_assert_eq(counts[thread], REQUESTS_EACH);
        for (unsigned i = 0; i < REQUESTS_EACH; i++) {
            cr_assert_eq(received[thread][i], i);
            cr_assert_eq(requests[thread][i].request.result, ERR_DISK);
        }
    }
}

static void receive_mail(struct mail *mail, void *receiver)
{
    unsigned thread = (unsigned)((struct mailbox *)receiver - mailboxes);
    received[thread][counts[thread]++] = 99;
    (void)mail;
}

Test(request_answers, mail_that_is_no_answer_keeps_its_place)
{
    struct mail mail = {.on_receive = receive_mail};
    struct numbered requests[2];
    request_answers_add_mail(&answers, &mailboxes[0], &mail);
    for (unsigned i = 0; i < 2; i++) {
        make(&requests[i], &mailboxes[i], i);
        request_answers_add(&answers, &requests[i].request, OK);
    }
    request_answers_give(&answers);
    cr_assert_eq(rings_of(&mailboxes[0]), 1);
    mailbox_work(&mailboxes[0]);
    cr_assert_eq(counts[0], 2);
    cr_assert_eq(received[0][0], 99);
    cr_assert_eq(received[0][1], 0);
    mailbox_work(&mailboxes[1]);
    cr_assert_eq(counts[1], 1);
}

Test(request_answers, without_answers_no_thread_is_woken)
{
    request_answers_give(&answers);
    cr_assert_eq(answers.count, 0);
}
