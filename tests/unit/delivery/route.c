/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(route, .init = fixture_begin, .fini = fixture_end);
TestSuite(action, .init = fixture_begin, .fini = fixture_end);

static struct journal_list_parked *list_at(unsigned index)
{
    return CONTAINER_OF(
        journal_request(JOURNAL_LIST_PARKED, index), struct journal_list_parked, request);
}

static struct journal_route *route_at(unsigned index)
{
    return CONTAINER_OF(journal_request(JOURNAL_ROUTE, index), struct journal_route, request);
}

static void answer_list(
    struct journal_list_parked *list, int64_t delivery, const char *account, int64_t after_id)
{
    struct journal_parked *it = &list->ret_parked[list->ret_count++];
    *it = (struct journal_parked){.delivery = delivery};
    snprintf(it->account, sizeof it->account, "%s", account);
    snprintf(it->type, sizeof it->type, "note");
    list->ret_after_id = after_id;
    journal_answer(&list->request, OK);
}

static void answer_nothing(struct journal_list_parked *list)
{
    list->ret_count = 0;
    list->ret_after_id = INT64_MAX;
    journal_answer(&list->request, OK);
}

static void hand_over_unrouted(int64_t id)
{
    struct journal_listener listener;
    delivery_shard_listen_to_journal(shard, &listener);
    struct journal_handover *handover = malloc(sizeof *handover + sizeof handover->deliveries[0]);
    handover->count = 1;
    handover->deliveries[0] = make_delivery(id, "note", DELIVERY_PARKED);
    handover->deliveries[0].endpoint = 0;
    handover->mail.on_receive = listener.on_handover;
    mailbox_post(listener.delivery, &handover->mail);
}

Test(route, what_is_unrouted_is_walked_through_in_parts_and_goes_to_who_takes_it)
{
    begin_shard(NULL);
    struct journal_list_parked *list = list_at(0);
    cr_assert_eq(list->after_id, 0);
    answer_list(list, 32, "somebody_else", 32);
    list = list_at(1);
    cr_assert_eq(list->after_id, 32, "it goes on behind the last");
    answer_list(list, 48, "acc_1", INT64_MAX);
    struct journal_route *route = route_at(0);
    cr_assert(route->count == 1 && route->routings[0].delivery == 48 &&
              route->routings[0].endpoint == endpoint);
    route->ret_count = 1;
    journal_answer(&route->request, OK);
    struct journal_load *load = journal_load_at(0);
    cr_assert(load->endpoint == endpoint && load->after_pending_id < 48);
    journal_answer_load(load, 48, 48, DELIVERY_PENDING, false);
    sink_request(0);
    journal_answer(&journal_record_at(JOURNAL_RECORD_OUTCOME, 0)->request, OK);
}

Test(route, an_endpoint_that_changes_during_a_walk_makes_it_begin_again)
{
    begin_shard(NULL);
    struct journal_list_parked *list = list_at(0);
    delivery_shard_endpoint_changed(shard, endpoint, 1);
    struct request *release = journal_request(JOURNAL_RELEASE, 0);
    cr_assert_eq(journal_count(JOURNAL_LIST_PARKED), 1, "one walk at a time");
    journal_answer_at_once(JOURNAL_RELEASE);
    journal_answer(release, OK);
    answer_nothing(list);
    answer_nothing(list_at(1));
}

/* It was judged by the directory of a moment ago, and committed behind the walk. */
Test(route, what_is_handed_over_unrouted_although_somebody_takes_it_is_walked_to)
{
    begin_shard(NULL);
    answer_nothing(list_at(0));
    hand_over_unrouted(64);
    answer_nothing(list_at(1));
    change_endpoint(ENDPOINT_CHANGE_ENABLED, false);
    WAIT_UNTIL(!endpoint_is_enabled());
    cr_assert_eq(journal_count(JOURNAL_ROUTE), 0);
}

Test(route, a_walk_that_the_disk_refused_is_done_a_second_later)
{
    begin_shard(NULL);
    journal_answer(journal_request(JOURNAL_LIST_PARKED, 0), ERR_DISK);
    answer_nothing(list_at(1));
}

static struct mailbox asker;
static _Atomic int answers;

static void on_answered(struct request *request, void *receiver)
{
    cr_assert_eq(receiver, &asker);
    answers++;
}

static void wait_for_answer(int count)
{
    while (answers < count) {
        mailbox_wait(&asker, 100);
        mailbox_work(&asker);
    }
}

static struct journal_operator_action action_of(enum delivery_state from, enum delivery_state to)
{
    return (struct journal_operator_action){
        .from = from, .to = to, .ask.reply_to = &asker, .ask.on_done = on_answered};
}

Test(action, is_answered_after_its_commit_and_what_it_made_pending_is_sent)
{
    cr_assert_eq(mailbox_init(&asker, &asker), OK);
    begin_shard(NULL);
    answer_nothing(list_at(0));
    struct journal_operator_action resend = action_of(DELIVERY_PARKED, DELIVERY_PENDING);
    delivery_shard_operator_action(shard, &resend);
    struct journal_operator_action *seen = CONTAINER_OF(
        journal_request(JOURNAL_OPERATOR_ACTION, 0), struct journal_operator_action, request);
    cr_assert_eq(seen, &resend);
    cr_assert_eq(answers, 0);
    cr_assert(resend.looks);
    resend.ret_endpoint = endpoint;
    resend.ret_delivery = 80;
    snprintf(resend.ret_account, sizeof resend.ret_account, "acc_1");
    journal_answer(&resend.request, OK);
    cr_assert_eq(journal_request(JOURNAL_OPERATOR_ACTION, 1), &resend.request, "it can be sent");
    cr_assert(answers == 0 && !resend.looks && resend.expected_endpoint == endpoint);
    journal_answer(&resend.request, OK);
    wait_for_answer(1);
    cr_assert_eq(resend.request.result, OK);
    struct journal_load *load = journal_load_at(0);
    cr_assert(load->endpoint == endpoint && load->after_pending_id < 80);
    journal_answer_load(load, 80, 80, DELIVERY_PENDING, false);
    sink_request(0);
    journal_answer(&journal_record_at(JOURNAL_RECORD_OUTCOME, 0)->request, OK);
    mailbox_done(&asker);
}

/* An action on delivery 80, which waits, is in the journal's hands, and so is a load that may bring
 * the delivery. */
static struct journal_load *decide_while_it_is_loaded(struct journal_operator_action *action)
{
    cr_assert_eq(mailbox_init(&asker, &asker), OK);
    begin_shard(&(struct journal_backlog){.endpoint = endpoint, .waiting = 1, .waiting_due_us = 0});
    answer_nothing(list_at(0));
    struct journal_load *load = journal_load_at(0);
    delivery_shard_operator_action(shard, action);
    struct request *look = journal_request(JOURNAL_OPERATOR_ACTION, 0);
    cr_assert(action->looks);
    action->from = DELIVERY_WAITING;
    action->ret_endpoint = endpoint;
    action->ret_delivery = 80;
    snprintf(action->ret_account, sizeof action->ret_account, "acc_1");
    journal_answer(look, OK);
    cr_assert_eq(journal_request(JOURNAL_OPERATOR_ACTION, 1), &action->request);
    cr_assert_not(action->looks);
    return load;
}

Test(action, on_a_waiting_delivery_keeps_it_out_of_memory)
{
    struct journal_operator_action retry = action_of(DELIVERY_WAITING, DELIVERY_PENDING);
    struct journal_load *load = decide_while_it_is_loaded(&retry);
    journal_answer_load(load, 80, 80, DELIVERY_WAITING, false);
    journal_answer(&retry.request, OK);
    wait_for_answer(1);
    cr_assert_eq(metrics_read(METRIC_ACTIVE), 0, "the load did not make a job of it");
    journal_answer_load(journal_load_at(1), 80, 80, DELIVERY_PENDING, false);
    sink_request(0);
    journal_answer(&journal_record_at(JOURNAL_RECORD_OUTCOME, 0)->request, OK);
    mailbox_done(&asker);
}

Test(action, on_a_waiting_delivery_that_the_disk_refuses_leaves_it_to_the_next_load)
{
    struct journal_operator_action discard = {.from_any = 1u << DELIVERY_WAITING,
        .to = DELIVERY_DISCARDED,
        .ask.reply_to = &asker,
        .ask.on_done = on_answered};
    struct journal_load *load = decide_while_it_is_loaded(&discard);
    journal_answer_load(load, 80, 80, DELIVERY_WAITING, false);
    journal_answer(&discard.request, ERR_DISK);
    wait_for_answer(1);
    cr_assert_eq(discard.request.result, ERR_DISK);
    journal_answer_load(journal_load_at(1), 80, 80, DELIVERY_WAITING, false);
    sink_request(0);
    journal_answer(&journal_record_at(JOURNAL_RECORD_OUTCOME, 0)->request, OK);
    mailbox_done(&asker);
}

Test(action, on_a_delivery_that_is_being_sent_is_refused)
{
    cr_assert_eq(mailbox_init(&asker, &asker), OK);
    begin_shard(&(struct journal_backlog){.endpoint = endpoint, .waiting = 1, .waiting_due_us = 0});
    answer_nothing(list_at(0));
    journal_answer_load(journal_load_at(0), 80, 80, DELIVERY_WAITING, false);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    struct journal_operator_action retry = action_of(DELIVERY_WAITING, DELIVERY_PENDING);
    delivery_shard_operator_action(shard, &retry);
    struct request *look = journal_request(JOURNAL_OPERATOR_ACTION, 0);
    retry.ret_endpoint = endpoint;
    retry.ret_delivery = 80;
    snprintf(retry.ret_account, sizeof retry.ret_account, "acc_1");
    journal_answer(look, OK);
    wait_for_answer(1);
    cr_assert(retry.request.result == ERR_MOVED_ON && retry.ret_state == DELIVERY_SENDING);
    journal_answer(&record->request, OK);
    mailbox_done(&asker);
}

/* Of another account; there is none; and one that takes nothing. */
Test(action, to_send_what_could_never_be_delivered_is_refused)
{
    cr_assert_eq(mailbox_init(&asker, &asker), OK);
    begin_shard(NULL);
    answer_nothing(list_at(0));
    static const enum operator_action_refusal refusals[] = {
        ACTION_ENDPOINT_FOREIGN, ACTION_ENDPOINT_GONE, ACTION_ENDPOINT_DISABLED};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct journal_operator_action resend = action_of(DELIVERY_PARKED, DELIVERY_PENDING);
        if (refusals[i] == ACTION_ENDPOINT_DISABLED)
            change_endpoint(ENDPOINT_CHANGE_ENABLED, false);
        delivery_shard_operator_action(shard, &resend);
        journal_request(JOURNAL_OPERATOR_ACTION, i);
        resend.ret_endpoint = endpoint + (refusals[i] == ACTION_ENDPOINT_GONE);
        snprintf(resend.ret_account, sizeof resend.ret_account, i == 0 ? "acc_2" : "acc_1");
        journal_answer(&resend.request, OK);
        wait_for_answer((int)i + 1);
        cr_expect(resend.request.result == ERR_INVALID && resend.ret_refusal == refusals[i],
            "case %zu", i);
    }
    mailbox_done(&asker);
}

Test(action, that_finds_it_elsewhere_changes_nothing_here)
{
    cr_assert_eq(mailbox_init(&asker, &asker), OK);
    begin_shard(NULL);
    answer_nothing(list_at(0));
    struct journal_operator_action resend = action_of(DELIVERY_PARKED, DELIVERY_PENDING);
    delivery_shard_operator_action(shard, &resend);
    journal_answer(journal_request(JOURNAL_OPERATOR_ACTION, 0), ERR_MOVED_ON);
    wait_for_answer(1);
    cr_assert_eq(resend.request.result, ERR_MOVED_ON);
    cr_assert_eq(journal_count(JOURNAL_LOAD), 0);
    end_shard(US_PER_SECOND);
    struct journal_operator_action late = action_of(DELIVERY_DEAD, DELIVERY_DISCARDED);
    delivery_shard_operator_action(shard, &late);
    free_shard();
    wait_for_answer(2);
    cr_assert_eq(late.request.result, ERR_SHUTTING_DOWN);
    mailbox_done(&asker);
}
