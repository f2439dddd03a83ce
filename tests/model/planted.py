#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the simulation finds bugs: plants one at a time and runs it until it fails.

Each bug replaces some code in a copy of one file of src/, however that code is wrapped. The copy is compiled as the build compiles the file, and
linked in front of the archives into a program of its own, in the build directory. Code that is not found exactly once
is an error: the table below has to follow the sources. A bug that no seed finds is one as well.

    tests/model/planted.py build/dev [--seeds 500] [--jobs 2] [NAME...]
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name: what it does, the file, and pairs of what stands there and what stands there instead
BUGS = {
    "forgets-recording": (
        "a job is not known any more while its outcome is on its way to the disk: what is loaded meanwhile is sent again",
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
        "guarded deliveries that a crash interrupted wait to be sent again, instead of for a person",
        "src/journal/delivery_lists.c",
        ("*move = (struct delivery_move){.to = DELIVERY_PARKED,\n        .reason = PARK_AMBIGUOUS,",
         "*move = (struct delivery_move){.to = DELIVERY_WAITING,"),
        ("        .attempt = attempt};\n}\n\nenum err delivery_rows_park_interrupted", "    };\n}\n\nenum err delivery_rows_park_interrupted")),
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
        "the dedupe store believes its index without comparing the key: the entry of a rolled back row leads to another's",
        "src/dedupe/rows.c",
        ("slice_equal(found.key, slice_of(entry->key->bytes, sizeof entry->key->bytes))", "found.key.len > 0")),
    "filter-denies": (
        "a key is entered into the dedupe, but not into its filter",
        "src/dedupe/segment.c",
        ("    key_filter_add(&segment->filter, entry->key);\n    segment->keys++;", "    segment->keys++;")),
    "money-as-text": (
        "amounts are compared as texts: 1.10 is not 1.1",
        "src/dedupe/rows.c",
        ("entry->amount = slice_of(entry->canonical, len);", "entry->amount = len ? amount : slice_of(entry->canonical, 0);")),
    "cursor-skips-one": (
        "what had no room in memory is looked for behind itself",
        "src/delivery/refill.c",
        ("queue->pending_after_id = id - 1;", "queue->pending_after_id = id;")),
    "waits-for-the-old-clock": (
        "after a restart under a clock that was set back, what waits waits until the old clock's time",
        "src/journal/delivery_rows.c",
        ("AND due_us - duration_us > ? LIMIT ?", "AND due_us - duration_us - 864000000000 > ? LIMIT ?")),
    "retries-forgotten": (
        "when a load has brought what is due, the retries that are due later are forgotten",
        "src/delivery/refill.c",
        ("queue->next_due_us = queue->load.ret_next_due_us;", "queue->next_due_us = INT64_MAX;")),
    "totals-keep-rolled-back": (
        "the totals count what was rolled back",
        "src/journal/totals.c",
        ("void totals_rolled_back(struct totals *totals)\n{\n    end_transaction(totals, false);",
         "void totals_rolled_back(struct totals *totals)\n{\n    end_transaction(totals, true);")),
    "open-bodies-expire": (
        "the bodies of what is dead or parked expire",
        "src/journal/expiry.c",
        ("AND state IN (4, 6)\",", "AND state IN (3, 4, 5, 6)\",")),
    "actions-on-any-state": (
        "an operator's action moves a delivery whatever state he believes it to be in",
        "src/journal/delivery_requests.c",
        ("    if (row->state != action->from)\n        return ERR_MOVED_ON;",
         "    if (!delivery_row_may_move(row->state, action->to))\n        return ERR_MOVED_ON;")),
    "failed-replay-is-dead": (
        "a forced replay that fails ends as dead or parked, as if it had never been delivered",
        "src/journal/delivery_row.c",
        ("row->state = row->delivered_us ? delivery_state_of_replay(move->to) : move->to;", "row->state = move->to;")),
    "replay-forgets-delivery": (
        "what was delivered and is replayed does not know any more that it was",
        "src/journal/delivery_row.c",
        ("    row->delivered_us = delivery_row_delivered_us(row);\n", "")),
    "moved-without-totals": (
        "what an operator sends to another endpoint stays in the totals of the old one",
        "src/journal/delivery_requests.c",
        ("result = transfer(store, placement_event(row->id), row->endpoint, action->endpoint);", "result = OK;")),
    "sends-to-nowhere": (
        "what could never be delivered is sent all the same, and parked again",
        "src/delivery/operator_action.c",
        ("    if (!endpoint)\n        return ACTION_ENDPOINT_GONE;", "    if (!endpoint)\n        return ACTION_NOT_REFUSED;")),
    "events-are-not-caught-up": (
        "after a crash the totals do not count the events again, only their deliveries",
        "src/journal/start.c",
        ("    if (count > 0)\n        totals_add(&store->totals, &event->parts, TOTAL_EVENTS", "    if (count > 16)\n"
         "        totals_add(&store->totals, &event->parts, TOTAL_EVENTS")),
    "acks-before-commit": (
        "a message is acked when it has come, before the journal has committed it",
        "src/delivery/unacked.c",
        ("    submit_receive(unacked);\n}\n\n/* The channel", "    submit_receive(unacked);\n"
         "    subscriber_ack(consumer->subscriber, tag);\n}\n\n/* The channel")),
    "acks-the-first": (
        "a message is acked when the first delivery of its event is delivered",
        "src/delivery/unacked.c",
        ("(list_is_empty(&unacked->jobs) && unacked->left == 0)", "true")),
    "sends-suspended": (
        "what the broker owns is sent after its channel is lost",
        "src/delivery/unacked.c",
        ("            unacked_suspend(unacked);\n        else", "            continue;\n        else")),
    "never-stale": (
        "what was received on a channel that is lost is held as if its message were still here",
        "src/delivery/unacked.c",
        ("        unacked->stale = true;\n        unacked->gone", "        unacked->gone")),
    "started-is-suspended": (
        "an event of which something had started is suspended when its channel is lost, not adopted",
        "src/delivery/unacked.c",
        ("unacked->stage == UNACKED_BROKER_OWNED && had_started(unacked)", "unacked->stage == UNACKED_BROKER_OWNED && unacked->adopts")),
    "left-is-forgotten": (
        "what had no room when its event was adopted is never loaded",
        "src/delivery/unacked.c",
        ("if (unacked->left & 1u << i)\n            refill", "if (false)\n            refill")),
    "met-is-sent-twice": (
        "an event that came both ways in one transaction gets two jobs",
        "src/journal/acceptance.c",
        ("    correct_answers(store, seq);\n", "")),
    "suspended-for-ever": (
        "suspended events are never adopted: their queue was made anew",
        "src/delivery/suspended.c",
        ("consumer->empty_seen[channel] >= EMPTY_TIMES", "consumer->empty_seen[channel] > INT32_MAX")),
    "last-run-forgotten": (
        "what the last run has left suspended is not known after the restart",
        "src/delivery/suspended.c",
        ("    unsigned count = request->result == OK ? page->list.ret_count : 0;",
         "    unsigned count = request->result == OK ? 0 : page->list.ret_count;")),
    "restart-forgets-started": (
        "an event of which something had started stays the broker's after a restart",
        "src/journal/adopt.c",
        ("if (result || !started)", "if (result || started || !started)")),
    "alias-is-delivered": (
        "a duplicate that is found late is accepted as if it were new",
        "src/journal/acceptance.c",
        ("        return receive_duplicate(store, receive, &first);", "        return receive_new(store, receive);")),
    "late-conflict-is-sent": (
        "other money under a known key is delivered, when it is found late",
        "src/journal/acceptance.c",
        ("write_received(store, receive, PARK_CONFLICT, &added)", "write_received(store, receive, PARK_NONE, &added)")),
    "dropped-is-forgotten": (
        "what the broker dropped, and dead-lettered, is acked and not received",
        "src/delivery/consumer.c",
        ("        drops_note(consumer, tag->channel, message);\n", "        {\n        subscriber_ack(consumer->subscriber, tag);\n        return;\n        }\n")),
    "dropped-is-mistaken": (
        "what comes by a queue of dropped messages is taken for another partition's",
        "src/delivery/consumer.c",
        ("consumer->shard->number, channel % consumer->partitions_count, consumer", "consumer->shard->number, channel, consumer")),
    "poison-is-dropped": (
        "a message that is no event is acked and not kept",
        "src/delivery/consumer.c",
        ("    submit_poison(poison);\n}\n\nvoid consumer_keep", "    submit_poison(poison);\n"
         "    subscriber_ack(consumer->subscriber, tag);\n}\n\nvoid consumer_keep")),
}


def commands(build):
    """How the build compiles each file of src/, and how it links the simulation."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        compile_of = {entry["file"]: entry for entry in json.load(file) if "/src/" in entry["file"]}
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", "bin/model"], check=True, capture_output=True, text=True)
    links = [line for line in listed.stdout.splitlines() if " -o bin/model " in line]
    if len(links) != 1:
        sys.exit("ninja does not say how bin/model is linked")
    return compile_of, links[0]


def pattern_of(code):
    """Matches the code however it is wrapped and indented."""
    return re.compile(r"\s*".join(re.escape(token) for token in re.findall(r"\w+|[^\w\s]", code)))


def plant(name, build, compile_of, link):
    """Builds the program with this bug; returns its path."""
    _, path, *replacements = BUGS[name]
    path = os.path.join(SOURCE, path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for old, new in replacements:
        places = list(pattern_of(old).finditer(text))
        if len(places) != 1:
            sys.exit(f"{name}: this occurs {len(places)} times in {path}, and must occur once:\n{old}")
        text = text[:places[0].start()] + new + text[places[0].end():]
    folder = os.path.join(build, "planted")
    os.makedirs(folder, exist_ok=True)
    copy, object_file, program = (os.path.join(folder, name + suffix) for suffix in (".c", ".o", ""))
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text)
    entry = compile_of[path]
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = object_file
    words[words.index("-c") + 1] = copy
    words = [word for i, word in enumerate(words) if word != "-MD" and words[i - 1] not in ("-MT", "-MF") and word not in ("-MT", "-MF")]
    subprocess.run([word for word in words if word != "-Werror"], cwd=entry["directory"], check=True)
    # What it defines is taken from here, and the archive's member stays out.
    link = link.replace(" -o bin/model ", f" -o {shlex.quote(program)} {shlex.quote(object_file)} ")
    subprocess.run(link, shell=True, cwd=build, check=True)
    return program


def find(program, seeds, jobs):
    """The seed that found it and what was broken; None when nothing was."""
    run = subprocess.run([program, "--quiet", "--seeds", f"1..{seeds}", "--jobs", str(jobs)], capture_output=True, text=True)
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
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BUGS)
    if unknown:
        sys.exit(f"no such bug: {', '.join(sorted(unknown))}")
    build = os.path.abspath(arguments.build)
    compile_of, link = commands(build)
    missed = 0
    print(f"{'bug':24} {'seed':>5} {'broken':10} {'s':>5}  what the simulation said")
    for name in arguments.names or BUGS:
        started = time.monotonic()
        found = find(plant(name, build, compile_of, link), arguments.seeds, arguments.jobs)
        missed += found is None
        seed, broken, said = found or ("-", "MISSED", f"nothing, in {arguments.seeds} seeds: {BUGS[name][0]}")
        print(f"{name:24} {seed:>5} {broken:10} {time.monotonic() - started:5.1f}  {said}", flush=True)
    sys.exit(1 if missed else 0)


main()
