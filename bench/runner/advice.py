# SPDX-License-Identifier: Apache-2.0
"""What can be done about a run that failed: accept it, change a setting of the gateway, or block the
release. One table leads from the level that failed, and from what the logs say about its cause, to
the advice. A level that failed without a known cause has no setting as advice."""
import os
from dataclasses import dataclass, field
from typing import Callable

from runner.plan import PlanWrong, seconds

# What the advice is about, with the defaults of src/config/option_table.h (a test compares them).
DEFAULTS = {
    "broker.confirm_timeout": "1s", "broker.lag_max": "150ms", "broker.prefetch": "512",
    "data.bytes_in_flight_max": "64MiB", "delivery.active_per_endpoint": "512",
    "delivery.answer_timeout": "30s", "delivery.guarded_answer_timeout": "90s",
    "delivery.in_flight_per_endpoint": "32", "delivery.in_flight_per_shard": "1024",
    "delivery.retry_schedule":
        "[1s, 5s, 15s, 30s, 1m, 2m, 5m, 15m, 30m, 1h, 2h, 5h, 10h, 14h, 20h, 24h]",
    "events.guarded_types": "[payout]", "ingress.partner_events_per_second": "0"}
MOST = {"broker.prefetch": 65535, "delivery.active_per_endpoint": 100000,
        "delivery.in_flight_per_endpoint": 1024, "delivery.in_flight_per_shard": 16384,
        "delivery.answer_timeout": 600, "delivery.guarded_answer_timeout": 600}
LEAST = {"broker.confirm_timeout": 0.1, "broker.lag_max": 0.01, "delivery.answer_timeout": 0.01}
QUICK_RETRIES = "[200ms, 1s, 5s, 15s, 30s, 1m, 5m, 15m, 1h, 5h, 10h, 24h]"
BUSY_SHARE = 0.85  # of all cores, by all processes of the run

# With one of these broken, a run cannot be accepted.
PROMISES = ("accepted", "lost", "wrong_money", "wrong_content", "wrong_answers",
            "guarded_duplicates", "audit", "more_reasons")
ANSWERS = ("answer_p99", "answer_max")
MEASURE = "*."  # before a figure: of a subset of the events


@dataclass
class Facts:
    """What the rules look at."""
    details: dict
    levels: list
    queue: str = "direct"
    configuration: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)  # of the plan
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    target: str = "own"  # penstock: one elsewhere, whose settings are not known; other: another product
    warnings: list = field(default_factory=list)
    busiest_share: float = 1  # of the accepted events, that of the partner with the most

    def value(self, option):
        found = self.configuration.get(option)
        return DEFAULTS[option] if found is None else str(found)

    def kinds(self):
        return (self.details["answers"]["kinds"][kind] for kind in ("fresh", "duplicate"))

    def answered(self, status):
        return sum(kind["statuses"].get(str(status), 0) for kind in self.kinds())

    def unanswered(self):
        return sum(kind["timed_out"] + kind["broken"] for kind in self.kinds())

    def state(self, *names):
        states = self.details["events"]["states"] or {}
        return sum(states.get(name, 0) for name in names)

    def deeds(self, *names):
        return sum(self.details["arrivals"]["deeds"].get(name, 0) for name in names)

    def limited(self):
        """Requests that clients answered 429: the gateway then lowers its rate to them."""
        return self.details["arrivals"]["statuses"].get("429", 0)

    def client_errors(self):
        """Requests that clients answered with anything else but a 2xx."""
        return sum(count for status, count in self.details["arrivals"]["statuses"].items()
                   if not status.startswith("2") and status != "429")

    def gateway_fell(self):
        return any(fault["do"] in ("kill", "restart") and fault.get("what", "gateway") == "gateway"
                   for fault in self.faults)

    def is_busy(self):
        series, usage = self.details["series"], self.details["usage"]
        length = series["step_s"] * len(series["t_s"])
        if not usage or not length:
            return False
        spent = sum(each.get("cpu_seconds", 0) for each in usage.values() if isinstance(each, dict))
        return spent / length >= BUSY_SHARE * self.cores

    def failed(self):
        return [level for level in self.levels if level["passed"] is False]

    def good_rate(self):
        """The highest rate of accepted events in a step whose answers kept to the level, of the partner
        with the most. What was posted earlier and is caught up is left out."""
        level = next(each for each in self.levels if each["name"] == "answer_p99")
        rows = self.details["series"]["rows"]
        good = [min(accepted, posted) for accepted, posted, p99 in
                zip(rows["accepted_per_s"], rows["posted_per_s"], rows["answer_p99_us"])
                if None not in (accepted, posted, p99) and level["target"] is not None
                and p99 <= level["target"]]
        return int(max(good, default=0) * self.busiest_share)


def busiest_share(accepted):
    """`accepted`: of each partner of the run."""
    return max(accepted) / sum(accepted) if sum(accepted) else 1


# --- settings: each returns the text of a setting, or None when there is nothing to change ---

def _number(text):
    return int(text) if text.isdigit() else None


def _duration_text(value):
    return f"{round(value * 1000)}ms" if value < 1 else f"{value:g}s"


def _scaled(option, factor):
    def setting(facts):
        text = facts.value(option)
        if option == "data.bytes_in_flight_max":
            found = text.removesuffix("MiB")
            return f"{option} = {int(int(found) * factor)}MiB" if found.isdigit() else None
        number = _number(text)
        try:
            value = (number if number is not None else seconds(text)) * factor
        except PlanWrong:
            return None
        value = max(LEAST.get(option, 1 if number is not None else 0),
                    min(value, MOST.get(option, value)))
        shown = str(int(value)) if number is not None else _duration_text(value)
        return None if shown == text else f"{option} = {shown}"
    setting.option = option
    return setting


def _fixed(option, value):
    def setting(facts):
        return None if facts.value(option) == value else f"{option} = {value}"
    setting.option = option
    return setting


def _limit_of_partners(facts):
    rate = facts.good_rate()
    return f"ingress.partner_events_per_second = {rate}" if rate > 0 else None


def _none(_):
    return None


# --- the table ---

@dataclass
class Rule:
    levels: tuple  # of these figures; all of them, when it is empty
    when: Callable[[Facts], object]
    text: str
    setting: Callable[[Facts], object] = _none
    kind: str = "mitigate"
    needs_setting: bool = False  # without one there is nothing to say

    def fits(self, name):
        figure = name if "." not in name else MEASURE + name.rpartition(".")[2]
        return figure in self.levels


def _always(_):
    return True


FRESHNESS = ("freshness_p99", MEASURE + "freshness_p99")
DELIVERED = ("delivered_share", MEASURE + "not_delivered")
RULES = (
    # answers to partners
    Rule(("availability",), lambda facts: facts.answered(429) and facts.value("ingress.partner_events_per_second") != "0",
         "Partners reached their own limit (429). Raise it above their peak.", _scaled("ingress.partner_events_per_second", 2)),
    Rule(("availability",), lambda facts: facts.answered(429) and facts.value("ingress.partner_events_per_second") == "0",
         "Partners got 429, and the configuration has no limit. Look for a limit of the partner (penstock partner list) or of its address."),
    Rule(("availability", "error_share"), lambda facts: facts.answered(503),
         "The gateway was overloaded (503). If penstock_ingress_overloaded says memory, give it more.", _scaled("data.bytes_in_flight_max", 2)),
    Rule(ANSWERS, lambda facts: not facts.answered(429),
         "Limit each partner to the highest rate at which answers were in time. Its peaks then wait at the partner (429).", _limit_of_partners,
         needs_setting=True),
    Rule((*ANSWERS, "error_share"), lambda facts: facts.queue == "rabbitmq",
         "If the broker confirms late (penstock_broker_confirm_seconds), let the journal take an event sooner.",
         _scaled("broker.confirm_timeout", 0.5)),
    Rule((*ANSWERS, *FRESHNESS, "error_share", "availability"), lambda facts: facts.is_busy() and facts.queue == "rabbitmq",
         "The processors were busy: use more cores, or add gateways that only take events.", lambda facts: "roles = [ingress]"),
    Rule((*ANSWERS, *FRESHNESS, "error_share", "availability"), lambda facts: facts.is_busy() and facts.queue != "rabbitmq",
         "The processors were busy: use more cores, or a broker with further gateways in front of it.", lambda facts: "queue.kind = rabbitmq"),
    Rule(ANSWERS, lambda facts: not facts.is_busy() and facts.queue == "direct",
         "An answer waits for a commit. If penstock_journal_commit_seconds is high, put data.directory on a faster disk."),
    Rule(("error_share", *ANSWERS), Facts.gateway_fell,
         "The gateway was down in this run. Partners get no answer then, and send again: judge by the availability.", kind="accept"),
    # repeated deliveries
    Rule(("duplicates",), Facts.gateway_fell,
         "What is in flight when the gateway is killed is sent again. Allow fewer requests at once.",
         _scaled("delivery.in_flight_per_endpoint", 0.5)),
    Rule(("duplicates",), lambda facts: facts.deeds("never_ended", "dropped"),
         "Clients did the work and their answers were late or lost. Give them more time.", _scaled("delivery.answer_timeout", 2)),
    Rule(("duplicates",), _always,
         "Types that must never arrive twice can be guarded: what is in doubt is then parked for an operator.",
         lambda facts: f"events.guarded_types = {facts.value('events.guarded_types').removesuffix(']')}, TYPE]"),
    # events that are not delivered
    Rule(DELIVERED, lambda facts: facts.state("parked"),
         "Guarded events without an answer are parked. Give clients more time, and resolve what is parked (penstock delivery resolve).",
         _scaled("delivery.guarded_answer_timeout", 2)),
    Rule(DELIVERED, lambda facts: facts.state("dead"),
         "The attempts ended before the clients were back. Try longer, and send the dead ones again (penstock replay create).",
         _fixed("delivery.retry_schedule", DEFAULTS["delivery.retry_schedule"])),
    Rule((*DELIVERED, *FRESHNESS), Facts.limited,
         "Clients limited the gateway (429), so it lowered its rate to them. Ask them for a higher limit."),
    Rule(DELIVERED, lambda facts: facts.state("pending", "sending", "waiting") and not facts.limited(),
         "Events still waited at the end. Allow more requests at once, if the clients take them.", _scaled("delivery.in_flight_per_endpoint", 2)),
    # late events
    Rule(FRESHNESS, lambda facts: facts.deeds("never_ended"),
         "Clients hung. A shorter timeout frees the slots of a shard sooner.", _scaled("delivery.answer_timeout", 0.5)),
    Rule(FRESHNESS, lambda facts: facts.client_errors() or facts.deeds("dropped", "cut_short"),
         "Clients failed for a short time. Let the first retries be sooner.", _fixed("delivery.retry_schedule", QUICK_RETRIES)),
    Rule((MEASURE + "freshness_p99",), _always,
         "The events of some clients wait for those of others. Allow a shard more requests at once.", _scaled("delivery.in_flight_per_shard", 2)),
    Rule(FRESHNESS, lambda facts: facts.queue == "rabbitmq",
         "If events wait in the broker, let them go through the journal sooner.", _scaled("broker.lag_max", 0.5)),
    Rule(("freshness_p99",), lambda facts: not facts.deeds("never_ended") and not facts.is_busy() and not facts.limited(),
         "Endpoints may be at their limit of requests. Allow more at once, if the clients take them.",
         _scaled("delivery.in_flight_per_endpoint", 2)),
    # a backlog after an outage
    Rule((MEASURE + "starts_within", MEASURE + "share"), _always,
         "The backlog is delivered slowly. Allow more requests at once, if the clients take them.", _scaled("delivery.in_flight_per_endpoint", 2)),
    Rule((MEASURE + "share",), _always, "Keep more deliveries of an endpoint in memory.", _scaled("delivery.active_per_endpoint", 2)),
)


def _option(kind, text, setting=None):
    return {"kind": kind, "text": text, "setting": setting}


GENERATOR = ("Measure again with a quicker generator: more threads (--set load.threads=2), or a machine of its "
             "own. It was late itself, so the times of answers are not those of the system under test.")


def _mitigations(facts, failed):
    found = []
    if facts.warnings:
        found.append(_option("mitigate", GENERATOR))
        failed = [level for level in failed if level["name"].rpartition(".")[2] not in ANSWERS]
    if facts.target == "other":  # the rules are about our settings and metrics
        return found
    for rule in RULES:
        if not any(rule.fits(level["name"]) for level in failed) or not rule.when(facts):
            continue
        setting = rule.setting(facts) if facts.target == "own" else None
        is_said = any(each["setting"] == setting if setting else each["text"] == rule.text for each in found)
        if not is_said and (setting or not rule.needs_setting):
            found.append(_option(rule.kind, rule.text, setting))
    return found


def _accept(impact, failed):
    """What accepting means for the business."""
    harm = [each["text"] for each in impact if each["events"]]
    titles = "; ".join(level["title"].lower() for level in failed)
    return _option("accept", f"Accept it: {' '.join(harm) or 'no event was lost, repeated or late.'} Missed: {titles}.")


def options_of(facts, impact):
    """The list `options` of a result, in the order in which they are to be read."""
    failed = facts.failed()
    if not failed:
        return [_option("accept", "Release it: every service level was met.")]
    broken = [level for level in failed if level["name"] in PROMISES]
    titles = "; ".join(level["title"].lower() for level in broken or failed)
    block = _option("block", f"Block the release until this is mended: {titles}.")
    mitigations = _mitigations(facts, [level for level in failed if level not in broken])
    if broken:
        return [block, *[each for each in mitigations if each["kind"] != "accept"]]
    is_excused = any(each["kind"] == "accept" for each in mitigations)
    return [*([] if is_excused else [_accept(impact, failed)]),
            *sorted(mitigations, key=lambda each: each["kind"] != "accept"), block]
