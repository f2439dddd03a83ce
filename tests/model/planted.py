#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the simulation finds bugs: builds the program with one bug at a time, and runs it.

A bug replaces some code in a copy of one file of src/. Spaces and line breaks of the code do not
matter. The copy is compiled as the build compiles the file. It is linked in front of the archives,
into a program of its own in the build directory.

FOUND_AT has the seed that found a bug in an earlier run, for those that many seeds do not find.
It is tried first. When it does not find the bug any more, because the code or the simulation has
changed, all seeds are searched as for the other bugs, and the last line says which entries of the
table are too old.

Bugs in what an endpoint gets (FLOW_BUGS) are searched for in seeds with outages, and those in how
answers and doubts are judged (ANSWER_BUGS) in seeds with a time of doubt. Those in replays
(REPLAY_BUGS) are searched for in seeds with replays.

Fails when no seed finds a bug, or when its code does not occur exactly once in the file: the table
below must follow the sources.

Several bugs are searched for at once.

    tests/model/planted.py build/dev [--seeds 500] [--at-once 2] [NAME...]
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name: (what the bug does, the file, pairs of the code in the file and its replacement)
BUGS = {
    "backlog-keeps-delivered": (
        "a delivered delivery stays in the counts of the backlog",
        "src/journal/backlog_board.c",
        ("note(board, from, -1);", "if (to->cell) note(board, from, -1);")),
    "backlog-counts-rolled-back": (
        "the backlog counts what a transaction moved that was rolled back",
        "src/journal/backlog_board.c",
        ("void backlog_board_rolled_back(struct backlog_board *board)\n{\n    board->notes_count = 0;",
         "void backlog_board_rolled_back(struct backlog_board *board)\n{\n    backlog_board_committed(board);")),
    "forgets-recording": (
        "a job is not found while its outcome is recorded: a load then sends it again",
        "src/delivery/job.c",
        ("return node ? CONTAINER_OF(node, struct job, by_id) : NULL;",
         "struct job *job = node ? CONTAINER_OF(node, struct job, by_id) : NULL;\n"
         "    return job && job->place != JOB_RECORDING ? job : NULL;")),
    "sends-before-sending": (
        "a guarded delivery is sent before `sending` is durable",
        "src/delivery/attempt.c",
        ("if (job->delivery.event->parts.guarded && !endpoint->idempotent) {",
         "if (job->delivery.event->parts.guarded && !endpoint->idempotent && job->delivery.attempts > 0) {")),
    "interrupted-waits": (
        "guarded deliveries that a crash interrupted are sent again without an operator's decision",
        "src/journal/delivery_lists.c",
        ("*move = (struct delivery_move){.to = DELIVERY_PARKED,\n        .reason = PARK_AMBIGUOUS,",
         "*move = (struct delivery_move){.to = DELIVERY_WAITING,"),
        ("        .attempt = attempt};\n}\n\nenum err delivery_rows_park_interrupted",
         "    };\n}\n\nenum err delivery_rows_park_interrupted")),
    "payout-after-the-switch": (
        "a payout is sent although deliveries were switched off while its `sending` was committed",
        "src/delivery/attempt.c",
        ("return job->queue->off.deliveries || (job->queue->off.retries && job->lane == QUEUE_RETRY);", "return false;")),
    "held-is-forgotten": (
        "what a load has dropped while it was switched off is not loaded again",
        "src/delivery/refill.c",
        ("    leave(&refill->unsent, 1);\n    leave(&refill->replays, 1);\n    if", "    if"),
        ("    refill_expect_due(queue, INT64_MIN);\n    leave_recent(queue);\n}", "    leave_recent(queue);\n}")),
    "answers-before-commit": (
        "partners are answered before the commit",
        "src/journal/journal_sqlite.c",
        ("if (!result && failpoint_is_on(FAILPOINT_ACK_BEFORE_COMMIT)) {", "if (!result) {"),
        ("        usleep(FAILPOINT_SLEEP_US);", "        (void)FAILPOINT_SLEEP_US;")),
    "commits-without-sync": (
        "commits are not synced",
        "src/sqlite/database.c",
        ("PRAGMA synchronous = FULL;", "PRAGMA synchronous = NORMAL;")),
    "takes-any-row": (
        "the dedupe store does not compare the key: an index entry of a rolled back row matches"
        " another key",
        "src/dedupe/rows.c",
        ("slice_equal(found.key, slice_of(entry->key->bytes, sizeof entry->key->bytes))",
         "found.key.len > 0")),
    "filter-denies": (
        "a key is added to the dedupe store, but not to its filter",
        "src/dedupe/segment.c",
        ("    key_filter_add(&segment->filter, entry->key);\n    segment->keys++;",
         "    segment->keys++;")),
    "money-as-text": (
        "amounts are compared as texts: 1.10 is not 1.1",
        "src/dedupe/rows.c",
        ("entry->amount = slice_of(entry->canonical, len);",
         "entry->amount = len ? amount : slice_of(entry->canonical, 0);")),
    "cursor-skips-one": (
        "a delivery without room in memory is skipped: the search continues after it",
        "src/delivery/refill.c",
        ("cursor->after_id = id - 1;", "cursor->after_id = id;")),
    "waits-for-the-old-clock": (
        "when the clock was set back before a restart, deliveries wait until the old clock's time",
        "src/journal/delivery_rows.c",
        ("AND due_us - duration_us > ? LIMIT ?",
         "AND due_us - duration_us - 864000000000 > ? LIMIT ?")),
    "retries-forgotten": (
        "after a load of the due deliveries, the retries that are due later are not loaded",
        "src/delivery/refill.c",
        ("refill->next_due_us = load->ret_next_due_us;",
         "refill->next_due_us = INT64_MAX;")),
    "totals-keep-rolled-back": (
        "the totals count events of rolled back transactions",
        "src/journal/totals.c",
        ("void totals_rolled_back(struct totals *totals)\n{\n    end_transaction(totals, false);",
         "void totals_rolled_back(struct totals *totals)\n{\n    end_transaction(totals, true);")),
    "open-bodies-expire": (
        "the bodies of dead and parked deliveries expire",
        "src/journal/expiry.c",
        ("AND state IN (4, 6)\",", "AND state IN (3, 4, 5, 6)\",")),
    "actions-on-any-state": (
        "an operator action moves a delivery that is not in the state the operator has seen",
        "src/journal/operator_actions.c",
        ("    if (row->state != action->from || is_other_round)",
         "    if (!delivery_row_may_move(row->state, action->to) || is_other_round)")),
    "failed-replay-is-dead": (
        "a forced replay that fails ends as dead or parked, as if it was never delivered",
        "src/journal/delivery_row.c",
        ("row->state = row->delivered_us ? delivery_state_of_replay(move->to) : move->to;",
         "row->state = move->to;")),
    "replay-forgets-delivery": (
        "the time of the delivery is lost when a delivered delivery is replayed",
        "src/journal/delivery_row.c",
        ("    row->delivered_us = delivery_row_delivered_us(row);\n", "")),
    "moved-without-totals": (
        "a delivery that an operator sends to another endpoint stays in the totals of the old one",
        "src/journal/operator_actions.c",
        ("result = store_transfer_totals(\n            store, placement_event(row->id), row->endpoint, action->endpoint);",
         "result = OK;")),
    "decides-beside-a-job": (
        "a waiting delivery that an operator retries or discards stays in memory, and is sent as well",
        "src/delivery/decision.c",
        ("        refill_unload_job(job);", "")),
    "loads-what-is-decided": (
        "a load makes a job of a waiting delivery while an operator's decision is in the journal",
        "src/delivery/refill.c",
        ("if (job_find(queue->shard, delivery->id) || shard_decides(queue->shard, delivery->id) ||",
         "if (job_find(queue->shard, delivery->id) ||")),
    "sends-to-nowhere": (
        "a delivery without an endpoint is sent, and parked again",
        "src/delivery/decision.c",
        ("    if (!endpoint)\n        return ACTION_ENDPOINT_GONE;",
         "    if (!endpoint)\n        return ACTION_NOT_REFUSED;")),
    "events-are-not-caught-up": (
        "after a crash the totals do not count the events again, only their deliveries",
        "src/journal/start.c",
        ("    if (count > 0)\n        totals_add(&store->totals, &event->parts, TOTAL_EVENTS", "    if (count > 16)\n"
         "        totals_add(&store->totals, &event->parts, TOTAL_EVENTS")),
    "acks-before-commit": (
        "a message is acked when it arrives, before the journal has committed it",
        "src/queue/unacked.c",
        ("    submit_receive(unacked);\n}\n\n/* Lost channels", "    submit_receive(unacked);\n"
         "    subscriber_ack(consumer->subscriber, tag);\n}\n\n/* The channel")),
    "acks-the-first": (
        "a message is acked when the first delivery of its event is delivered",
        "src/queue/unacked.c",
        ("(list_is_empty(&unacked->jobs) && unacked->left == 0)", "true")),
    "sends-suspended": (
        "a broker-owned delivery is sent after its channel is lost",
        "src/queue/unacked.c",
        ("            unacked_suspend(unacked);\n        else",
         "            continue;\n        else")),
    "never-stale": (
        "a message of a lost channel is treated as if the gateway still had it",
        "src/queue/unacked.c",
        ("        unacked->stale = true;\n        unacked->gone", "        unacked->gone")),
    "started-is-suspended": (
        "an event is suspended when its channel is lost, although a delivery had started",
        "src/queue/unacked.c",
        ("unacked->stage == UNACKED_BROKER_OWNED && had_started(unacked)",
         "unacked->stage == UNACKED_BROKER_OWNED && unacked->adopts")),
    "left-is-forgotten": (
        "deliveries without room in memory when their event is adopted are never loaded",
        "src/queue/unacked.c",
        ("if (unacked->left & 1u << i)\n            taker", "if (false)\n            taker")),
    "met-is-sent-twice": (
        "an event that arrives from ingress and broker in one transaction gets two jobs",
        "src/journal/acceptance.c",
        ("    correct_answers(store, seq);\n", "")),
    "suspended-for-ever": (
        "suspended events are never adopted after their queue was deleted and declared again",
        "src/queue/suspended.c",
        ("consumer->empty_seen[channel] >= EMPTY_TIMES",
         "consumer->empty_seen[channel] > INT32_MAX")),
    "last-run-forgotten": (
        "events that the last run left suspended are not loaded after the restart",
        "src/queue/suspended.c",
        ("    unsigned count = request->result == OK ? page->list.ret_count : 0;",
         "    unsigned count = request->result == OK ? 0 : page->list.ret_count;")),
    "restart-forgets-started": (
        "an event stays broker-owned after a restart, although a delivery had started",
        "src/journal/adopt.c",
        ("if (result || !started)", "if (result || started || !started)")),
    "alias-is-delivered": (
        "a late duplicate is accepted as if it was new",
        "src/journal/acceptance.c",
        ("        return receive_duplicate(store, receive, &first);",
         "        return receive_new(store, receive);")),
    "late-conflict-is-sent": (
        "a late conflict is delivered, not parked",
        "src/journal/acceptance.c",
        ("write_received(store, receive, PARK_CONFLICT, &added)",
         "write_received(store, receive, PARK_NONE, &added)")),
    "dropped-is-forgotten": (
        "a message that the broker dropped and dead-lettered is acked and not received",
        "src/queue/consumer.c",
        ("        drops_note(consumer, tag->channel, message);\n",
         "        {\n        subscriber_ack(consumer->subscriber, tag);\n        return;\n        }\n")),
    "dropped-is-mistaken": (
        "a message from a queue of dropped messages counts as one of another partition",
        "src/queue/channels.c",
        ("consumer->taker->shard, channel % consumer->partitions_count, consumer",
         "consumer->taker->shard, channel, consumer")),
    "poison-is-dropped": (
        "a message that is not an event is acked and not kept",
        "src/queue/poison.c",
        ("    submit(poison);\n}\n\nvoid poison_keep_event", "    submit(poison);\n"
         "    subscriber_ack(consumer->subscriber, tag);\n}\n\nvoid poison_keep_event")),
    "replays-are-left": (
        "the cursor of replays is not moved back",
        "src/delivery/refill.c",
        ("    leave(&queue->refill.replays, delivery);", "    queue->refill.replays.has_some = true;")),
}

# These need an outage. Then a few seeds are enough.
OUTAGES = ["--outages", "--steps", "60"]
FLOW_BUGS = {
    "never-opens": (
        "the breaker never opens",
        "src/model/breaker.c",
        ("if (!is_share && breaker->run < policy->count_min)", "if (true)")),
    "never-closes": (
        "the breaker does not close when a probe succeeds",
        "src/model/breaker.c",
        ("if (breaker->state != BREAKER_CLOSED) {\n        enter(breaker, BREAKER_CLOSED, now_us);",
         "if (breaker->state != BREAKER_CLOSED) {")),
    "closes-without-mark": (
        "the breaker closes, but what waits because of the endpoint is not made due",
        "src/model/breaker.c",
        ("return BREAKER_RECOVERED;\n    }", "return BREAKER_STAYS;\n    }")),
    "no-mark-after-a-run": (
        "a success after a few failures is no recovery",
        "src/model/breaker.c",
        ("bool ends_run = breaker->run >= BREAKER_RUN_MIN;", "bool ends_run = false;")),
    "no-mark-after-restart": (
        "what has failed before the start is not made due by the first success",
        "src/delivery/backlog.c",
        ("queue->flow.failed_before = backlog->failed > 0;", "")),
    "mark-for-ever": (
        "the recovery mark also makes due what failed after it",
        "src/journal/delivery_lists.c",
        (".began_by_us = load->recovered_us,", ".began_by_us = INT64_MAX,")),
    "rejections-are-failures": (
        "a client that rejects events is treated as if it failed",
        "src/model/verdict.c",
        ("return failed ? WAIT_ENDPOINT : WAIT_EVENT;", "return WAIT_ENDPOINT;")),
    "probe-uses-a-step": (
        "a probe that fails uses up a step of the schedule",
        "src/delivery/outcome.c",
        ("if (was_waiting(delivery) && delivery->due_us > now_us) {", "if (false) {")),
    "guarded-probe-uses-a-step": (
        "a guarded probe that fails uses up a step of the schedule",
        "src/delivery/outcome.c",
        ("(delivery->state == DELIVERY_SENDING && delivery->wait_us > 0)", "false")),
    "probes-guarded-first": (
        "a guarded event is the first choice for a probe",
        "src/journal/load.c",
        ("*ret_rank = result || guarded ? 2 : class != CLASS_CRITICAL;",
         "*ret_rank = result ? 2 : !guarded;")),
    "probes-too-often": (
        "a probe is sent every second",
        "src/model/breaker.c",
        ("return interval_us < policy->probe_us_max / 2 ? interval_us * 2 : policy->probe_us_max;",
         "return policy->probe_us_first;")),
    "probe-is-lost": (
        "after a probe without a free slot, no probe is sent any more",
        "src/delivery/probe.c",
        (": may ? NOTHING_WAITS_US : LOOK_AGAIN_US);", ": may ? NOTHING_WAITS_US : INT64_MAX / 4);")),
    "one-probe-only": (
        "when a probe is lost, it counts as in flight for ever",
        "src/model/breaker.c",
        ("if (--breaker->probes_in_flight == 0)", "if (breaker->probes_in_flight == 0)")),
    "budget-refuses": (
        "the retry budget never forgets failures, and refuses retries for ever",
        "src/model/retry_budget.c",
        ("    if (half == budget->half)\n        return;", "    if (budget->half != 0)\n        return;"),
        ("return retries_in_flight == 0 && (budget->retry_sent_us == INT64_MIN ||",
         "return retries_in_flight == 0 && budget->retry_sent_us < 0 && (budget->retry_sent_us == INT64_MIN ||")),
    "budget-is-not-asked": (
        "when the retry budget has refused a retry, nothing asks it again",
        "src/delivery/flow.c",
        ("    if (!timer_is_armed(&flow->budget_timer))\n        timer_arm(", "    if (false)\n        timer_arm(")),
    "rate-is-not-asked": (
        "when the rate has refused an attempt, nothing asks it again",
        "src/delivery/flow.c",
        ("    timer_arm(&queue->shard->loop, &flow->rate_timer, wait_us);\n", "")),
    "short-for-ever": (
        "an endpoint that was short of slots is never ready again",
        "src/delivery/endpoint_queue.c",
        ("        endpoint_queue_update_ready(queue);\n    }\n}\n\n/* The lane", "        (void)queue;\n    }\n}\n\n/* The lane")),
    "caps-are-ignored": (
        "an endpoint may have any number in flight",
        "src/delivery/settings.c",
        ("        if (rules->in_flight_max > queue->flow.in_flight_max)", "        rules->in_flight_max = 64;\n        if (rules->in_flight_max > queue->flow.in_flight_max)")),
    "guarded-outcome-waits": (
        "the outcome of a guarded delivery waits for a later commit",
        "src/delivery/outcome.c",
        ("run->record.may_wait = job->delivery.state != DELIVERY_SENDING;", "run->record.may_wait = true;")),
    "reset-forgets": (
        "when an operator changes an endpoint with an open breaker, what waits is not made due",
        "src/delivery/flow.c",
        ("    failing_notice_on_reset(&flow->failing);\n    set_recovered(queue);", "    failing_notice_on_reset(&flow->failing);")),
    "class-caps-are-ignored": (
        "a class may have more in flight than its endpoint's settings permit",
        "src/delivery/endpoint_queue.c",
        ("queue->class_in_flight[i] < queue->rules[i].in_flight_max)", "true)")),
    "rate-is-ignored": (
        "the rate in an endpoint's settings is ignored",
        "src/delivery/settings.c",
        ("queue->flow.rate_max = endpoint_policy_rate_max(policy);", "queue->flow.rate_max = 0;")),
    "final-is-retried": (
        "a status that is final by the endpoint's settings is retried",
        "src/delivery/outcome.c",
        ("|| status_set_has(&settings_of(run->job)->final_statuses, status),", ",")),
    "horizon-is-ignored": (
        "the horizon in an endpoint's settings is ignored",
        "src/delivery/outcome.c",
        (".horizon_us = rules->horizon_us,", ".horizon_us = 0,")),
    "dies-of-probes": (
        "a delivery that fails as a probe, after its last step, is dead",
        "src/delivery/outcome.c",
        ("if (was_waiting(delivery) && delivery->due_us > now_us) {",
         "if (was_waiting(delivery) && delivery->due_us > now_us && delivery->failures < rules->schedule.steps) {")),
}

# Success rules, and status probes. These need a time of doubt.
DOUBTS = ["--doubts", "--steps", "60"]
ANSWER_BUGS = {
    "rule-is-ignored": (
        "every 2xx is a success, whatever the endpoint's rule says",
        "src/delivery/outcome.c",
        ("success_rule_judge(endpoint_policy_success(run->policy), status,",
         "success_rule_judge(NULL, status,")),
    "first-rule-for-ever": (
        "an endpoint's rule is read once, and changes of it are ignored",
        "src/delivery/attempt.c",
        ("    run->policy = endpoint_policy_ref(endpoint->policy);",
         "    static struct { uint64_t id; const struct endpoint_policy *policy; } kept[64];\n"
         "    unsigned at = 0;\n"
         "    while (kept[at].id != 0 && kept[at].id != endpoint->id)\n        at++;\n"
         "    if (kept[at].id == 0) {\n        kept[at].id = endpoint->id;\n"
         "        kept[at].policy = endpoint_policy_ref(endpoint->policy);\n    }\n"
         "    run->policy = endpoint_policy_ref(kept[at].policy);")),
    "judged-by-the-new-rule": (
        "an answer is judged by the present rule, not by the one that the attempt began with",
        "src/delivery/outcome.c",
        ("    if (status != 0)\n        terms.success = success_rule_judge(endpoint_policy_success(run->policy), status,",
         "    const struct endpoint *now = directory_endpoint(run->job->queue->shard->taker.directory, run->job->queue->endpoint);\n"
         "    if (status != 0)\n        terms.success = success_rule_judge(endpoint_policy_success(now ? now->policy : NULL), status,")),
    "body-is-not-read": (
        "the body is not read although the rule looks at it",
        "src/delivery/attempt.c",
        ("run->client.answer_wanted = success_rule_wants_body(endpoint_policy_success(run->policy));",
         "run->client.answer_wanted = false;")),
    "cut-body-is-whole": (
        "the beginning of a body is judged as if it was the whole",
        "src/delivery/outcome.c",
        ("client->answer_cut || client->end.error != OK, run->record.attempt.rule);",
         "false, run->record.attempt.rule);")),
    "doubt-is-success": (
        "a body that cannot be judged is a success",
        "src/model/verdict.c",
        ("if (status != 0 && terms->success == SUCCESS_YES)",
         "if (status != 0 && terms->success != SUCCESS_NO)")),
    "doubt-is-failure": (
        "a guarded delivery is sent again after a body that cannot be judged",
        "src/model/verdict.c",
        ("(unknown || verdict_is_ambiguous(end)))", "verdict_is_ambiguous(end))")),
    "no-is-yes": (
        "a payout is delivered when a status probe says that it was not processed",
        "src/delivery/status_probe.c",
        (".to = answer == PROBE_YES ? DELIVERY_DELIVERED : DELIVERY_PENDING,",
         ".to = DELIVERY_DELIVERED,")),
    "yes-is-no": (
        "a payout is sent again when a status probe says that it was processed",
        "src/delivery/status_probe.c",
        (".to = answer == PROBE_YES ? DELIVERY_DELIVERED : DELIVERY_PENDING,",
         ".to = DELIVERY_PENDING,")),
    "unknown-is-no": (
        "a payout is sent again when the client says neither yes nor no",
        "src/delivery/status_probe.c",
        ("if (answer != PROBE_UNKNOWN) {", "if (request->end.http_status != 0) {")),
    "both-is-yes": (
        "an answer that meets the rule for yes and the rule for no counts as yes",
        "src/model/endpoint_policy.c",
        ("if (yes != no) {", "if (yes || no) {")),
    "not-found-is-no": (
        "without a rule for no, a 404 is taken as no",
        "src/model/endpoint_policy.c",
        ("probe->has_no && success_rule_judge(&probe->no, status, body, cut, why_no) == SUCCESS_YES;",
         "probe->has_no ? success_rule_judge(&probe->no, status, body, cut, why_no) == SUCCESS_YES : status == 404;")),
    "old-answer-counts": (
        "an answer decides about an attempt that was made after the client was asked",
        "src/delivery/status_probe.c",
        (".expects_generation = true,", "")),
    "probe-moves-resolved": (
        "a status probe moves a delivery that an operator has resolved in the meantime",
        "src/journal/operator_actions.c",
        ("if (row->state != action->from || is_other_round)",
         "if ((row->state != action->from && !action->expects_generation) || is_other_round)")),
    "asked-once": (
        "a client that says nothing, or does not answer, is not asked again",
        "src/delivery/status_probe.c",
        ("    walk->all_resolved = false;\n    if (flow_is_open(queue)", "    if (flow_is_open(queue)")),
    "not-asked-while-open": (
        "clients are not asked while their breaker is open",
        "src/delivery/status_probe.c",
        ("    if (queue->off.deliveries) {", "    if (queue->off.deliveries || flow_is_open(queue)) {")),
    "left-behind-is-forgotten": (
        "after a walk that ended early, what is before its place is not asked about",
        "src/delivery/status_probe.c",
        ("    queue->status.left = true;\n    queue->status.turn", "    queue->status.turn")),
    "new-doubt-is-not-asked": (
        "a new doubt begins no walk",
        "src/delivery/outcome.c",
        ("        if (in_doubt)\n            status_probe_begin(queue);", "        (void)in_doubt;")),
    "old-doubts-are-not-asked": (
        "what the last run left in doubt is not asked about",
        "src/delivery/backlog.c",
        ("        status_probe_begin(queue);\n", "")),
}

# What operators do to many deliveries. These need replays.
REPLAYS = ["--replays", "--steps", "150"]
REPLAY_BUGS = {
    "replay-beside-a-job": (
        "a waiting delivery that a replay moves stays in memory, and is sent as well",
        "src/delivery/replay.c",
        ("        refill_unload_job(job);", "")),
    "replay-keeps-deciding": (
        "what a replay has moved is kept out of memory for ever",
        "src/delivery/replay.c",
        ("            id_map_remove(&run->shard->deciding, &run->deciding[i]);", "            continue;")),
    "pause-is-not-stored": (
        "a replay that was paused or cancelled runs on after a restart",
        "src/journal/replay_requests.c",
        ("enum err result = replay_rows_write(&store->replays, row);",
         "enum err result = change->has_state ? OK : replay_rows_write(&store->replays, row);")),
    "replay-of-doubts": (
        "a replay sends payouts in doubt again, although nobody said so",
        "src/model/replay.c",
        ("if (in_doubt && !order->guarded && order->action != REPLAY_ACTION_RESOLVE)", "if (false && in_doubt)")),
    "replay-takes-later-ones": (
        "a replay moves events that were accepted after it was created",
        "src/journal/replay_requests.c",
        ("placement_last_delivery(last_event)", "INT64_MAX")),
    "replay-moves-again": (
        "a replay moves what it has moved before, when it waits again",
        "src/journal/replay_steps.c",
        ("(row->changed_us > replay->created_us && row->changed_us <= now_us)", "(now_us < 0)"),
        ("if (looked->row.generation > 0) {", "if (looked->row.generation > 1000000) {")),
}
ALL_BUGS = BUGS | FLOW_BUGS | ANSWER_BUGS | REPLAY_BUGS

# Only of bugs whose first seed is beyond 10: without an entry a bug is found as well, but later.
FOUND_AT = {
    "payout-after-the-switch": 34,
    "replay-of-doubts": 55, "replay-beside-a-job": 19, "replay-keeps-deciding": 14,
    "decides-beside-a-job": 76, "rate-is-not-asked": 323, "restart-forgets-started": 66,
    "failed-replay-is-dead": 11, "replays-are-left": 16, "probe-is-lost": 46,
    "sends-to-nowhere": 31, "final-is-retried": 28, "started-is-suspended": 28,
    "budget-is-not-asked": 27, "no-mark-after-a-run": 27, "no-mark-after-restart": 22,
    "last-run-forgotten": 20, "suspended-for-ever": 20, "met-is-sent-twice": 16,
    "sends-suspended": 16, "reset-forgets": 26, "moved-without-totals": 11, "short-for-ever": 11}


def commands(build):
    """Returns the command that compiles each file of src/, and the one that links bin/model."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        compile_of = {entry["file"]: entry for entry in json.load(file) if "/src/" in entry["file"]}
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", "bin/model"], check=True,
                            capture_output=True, text=True)
    links = [line for line in listed.stdout.splitlines() if " -o bin/model " in line]
    if len(links) != 1:
        sys.exit(f"ninja shows {len(links)} commands that link bin/model, and must show one")
    return compile_of, links[0]


def pattern_of(code):
    """Returns a pattern that matches the code with any line breaks and indentation."""
    return re.compile(r"\s*".join(re.escape(token) for token in re.findall(r"\w+|[^\w\s]", code)))


def plant(name, build, compile_of, link):
    """Builds the program with this bug. Returns its path."""
    _, path, *replacements = ALL_BUGS[name]
    path = os.path.join(SOURCE, path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for old, new in replacements:
        places = list(pattern_of(old).finditer(text))
        if len(places) != 1:
            sys.exit(f"{name}: this code must occur once in {path}, but occurs {len(places)} times:"
                     f"\n{old}")
        text = text[:places[0].start()] + new + text[places[0].end():]
    folder = os.path.join(build, "planted")
    os.makedirs(folder, exist_ok=True)
    copy, object_file, program = (
        os.path.join(folder, name + suffix) for suffix in (".c", ".o", ""))
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text)
    entry = compile_of[path]
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = object_file
    words[words.index("-c") + 1] = copy
    words = [word for i, word in enumerate(words)
             if word not in ("-MD", "-MT", "-MF") and words[i - 1] not in ("-MT", "-MF")]
    words = [word for word in words if word != "-Werror"]
    subprocess.run(words, cwd=entry["directory"], check=True)
    # Objects come before archives, so the archive's copy of the file is not linked.
    link = link.replace(" -o bin/model ", f" -o {shlex.quote(program)} {shlex.quote(object_file)} ")
    subprocess.run(link, shell=True, cwd=build, check=True)
    return program


def find(name, program, seeds):
    """Returns the seed that found the bug and what was broken; None when no seed found it.
    `seeds`: FIRST..LAST."""
    options = OUTAGES if name in FLOW_BUGS else DOUBTS if name in ANSWER_BUGS else \
        REPLAYS if name in REPLAY_BUGS else []
    run = subprocess.run([program, "--quiet", "--seeds", seeds, *options],
                         capture_output=True, text=True)
    failures = re.findall(r"^FAILED seed=(\d+) broken=(\S+): (.*)$", run.stderr, re.M)
    if run.returncode == 0 or not failures or failures[0][1] == "simulator":
        sys.stderr.write(run.stderr[-4000:])
        return None
    return min(failures, key=lambda failure: int(failure[0]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--part", metavar="K/N", help="every Nth bug, from the Kth on")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/")) if arguments.part else (1, 1)
    unknown = set(arguments.names) - set(ALL_BUGS)
    if unknown:
        sys.exit(f"no such bug: {', '.join(sorted(unknown))}")
    build = os.path.abspath(arguments.build)
    compile_of, link = commands(build)

    def search(name):
        started = time.monotonic()
        program = plant(name, build, compile_of, link)
        first = FOUND_AT.get(name)
        found = find(name, program, f"{first}..{first}") if first else None
        found = found or find(name, program, f"1..{arguments.seeds}")
        return name, found, time.monotonic() - started

    missed, too_old = 0, []
    print(f"{'bug':24} {'seed':>5} {'broken':10} {'s':>5}  what the simulation reports")
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        for name, found, seconds in pool.map(search, arguments.names or list(ALL_BUGS)[part - 1::parts]):
            missed += found is None
            if found and int(found[0]) != FOUND_AT.get(name, int(found[0])):
                too_old.append(f"{name}: {found[0]}")
            seed, broken, report = found or (
                "-", "MISSED", f"nothing in {arguments.seeds} seeds: {ALL_BUGS[name][0]}")
            print(f"{name:24} {seed:>5} {broken:10} {seconds:5.1f}  {report}", flush=True)
    if too_old:
        print(f"too old in FOUND_AT of {sys.argv[0]}; now found at: {', '.join(too_old)}")
    sys.exit(1 if missed else 0)


main()
