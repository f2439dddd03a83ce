# SPDX-License-Identifier: Apache-2.0
"""What is done to the system during a run: the faults of the plan, and what partners and operators do (plan.py
knows what each kind needs). Each is a method of its own, found by its name. The second half of a fault, such as a
broker that starts again, runs on a thread: the run goes on beside it, and acts that come later wait for it.

Everything that was done is in `done`, with its times: the timetable of the report."""
import re
import signal
import threading
import time

from runner.plan import seconds
from runner.process import RunFailed

LATE_SECONDS = 60  # an act may begin so long after the end of the load; later it was not tried
NOTED_LATE_SECONDS = 2  # what begins so late says so in the timetable


class Back:
    """The second half of a fault."""

    def __init__(self, at, action, entry, is_silent, killed=None):
        """`killed`: gateway, sink or broker, which is gone until the action has ended."""
        self.at, self.action, self.entry, self.is_silent, self.killed = at, action, entry, is_silent, killed
        self.thread, self.failure = None, None
        self.began = self.ended = None  # by the wall clock

    def begin(self):
        self.entry["text"] += late_text(time.monotonic() - self.at, "ended")
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        self.began = time.time()
        try:
            self.action()
        except (RunFailed, OSError) as failure:
            self.failure = failure
        self.ended = time.time()

    def has_ended(self):
        return self.thread is not None and not self.thread.is_alive()


class Acts:
    def __init__(self, run):
        """`run`: the Scenario, whose programs the acts are done to."""
        self.run = run
        self.left = list(run.plan.acts)
        self.backs = []
        self.marks = {}  # moments by the wall clock (plan.py)
        self.done = []   # {"at", "until", "kind", "text"}: wall clock, until is None while it lasts or when it is a moment
        self._late = 0   # seconds by which the act that is being done began after its time

    def are_left(self):
        return bool(self.left)

    def is_killed(self, what):
        """Whether a fault has ended the gateway, sink or broker, and it is not back yet."""
        return any(back.killed == what for back in self.backs)

    def is_silent(self):
        """Whether the gateway or the broker would not answer now."""
        return any(back.is_silent for back in self.backs)

    def note(self, kind, text):
        text += late_text(self._late, "began")
        self.run.progress.line(f"{text}\n")
        self.done.append({"at": time.time(), "until": None, "kind": kind, "text": text})
        return self.done[-1]

    def turn(self, started):
        """Does what is due. `started`: when the load began, by the monotonic clock."""
        now = time.monotonic()
        for back in list(self.backs):
            if back.thread is None and back.at <= now:
                back.begin()
            if back.has_ended():
                self.backs.remove(back)
                back.entry["until"] = self.marks["back"] = back.ended
                if back.failure:
                    raise RunFailed(f"after \"{back.entry['text']}\": {back.failure}")
        while self.left and now - started >= seconds(self.left[0]["at"]) and not self._waits_for_a_back(self.left[0]):
            act = self.left.pop(0)
            if act["do"] in FAULTS:
                self.marks["back"] = time.time()
                self.marks.setdefault("fault", self.marks["back"])
            self._late = time.monotonic() - started - seconds(act["at"])
            getattr(self, f"do_{act['do']}")(act)
            self._late = 0

    def _waits_for_a_back(self, act):
        """A broker that is still starting can't be stopped; an operator asks a gateway that is there."""
        return act["do"] in ("kill", "stop", "restart", "alarm", *OPERATORS) and self.is_silent()

    def finish(self, started):
        """After the load: what was due and still waits, and what is to come back."""
        end = time.monotonic() + LATE_SECONDS
        while (self.left or self.backs) and time.monotonic() < end:
            self.turn(started)
            if self.left and not self.backs and time.monotonic() - started < seconds(self.left[0]["at"]):
                break
            time.sleep(0.1)
        if self.left:
            raise RunFailed(f"the load ended before the act at {self.left[0]['at']}: it was not tried")
        if self.backs:
            raise RunFailed(f"\"{self.backs[0].entry['text']}\" has not ended")

    def give_back(self, act, entry, action, is_silent=False, killed=None):
        self.backs.append(Back(time.monotonic() + seconds(act.get("for", "0s")), action, entry, is_silent, killed))

    # --- faults ---

    def do_kill(self, act):
        """The sink ends as a program does, so that its log is whole; clients whose listener has gone refuse connections."""
        name = act.get("what", "gateway")
        what = {"gateway": self.run.gateway, "sink": self.run.sink, "broker": self.run.broker}[name]
        if not (what if name == "broker" else what.program).is_running():
            raise RunFailed(f"the {name} was to be killed at {act['at']}, and has ended by itself before")
        entry = self.note("fault", {"gateway": "the gateway is killed", "broker": "the broker is killed",
                                    "sink": "all clients are down: connections are refused"}[name])
        is_gateway = what is self.run.gateway
        if is_gateway:
            self.run.gateway.program.kill()
        else:
            what.kill()
        self.give_back(act, entry, what.come_back if is_gateway else what.start, is_silent=name != "sink", killed=name)

    def do_restart(self, act):
        entry = self.note("fault", "the gateway is restarted")
        self.run.gateway.restart()
        entry["until"] = time.time()

    def do_stop(self, act):
        what = act.get("what", "gateway")
        program = {"gateway": self.run.gateway.program, "sink": self.run.sink.program, "broker": self.run.broker}[what]
        entry = self.note("fault", f"the {what} is stopped (SIGSTOP)" if what != "sink" else "all clients are stopped (SIGSTOP)")
        program.send(signal.SIGSTOP)
        self.give_back(act, entry, lambda: program.send(signal.SIGCONT), is_silent=what != "sink")

    def do_alarm(self, act):
        entry = self.note("fault", "the broker is short of memory: it takes nothing")
        self.run.broker.set_alarm(True)
        self.give_back(act, entry, lambda: self.run.broker.set_alarm(False), is_silent=True)

    def do_behave(self, act):
        """Of one account, or of a group."""
        numbers = self.run.plan.groups[act["group"]].numbers() if "group" in act else [int(act["account"])]
        entry = self.note("fault", f"{count_of(len(numbers), 'client')} {behaviour_text(act['words'], len(numbers))}")
        for number in numbers:
            self.run.behave(number, act["words"])
        if "for" in act:
            self.give_back(act, entry, lambda: [self.run.behave(number, self.run.plan.behaviour_of(number)) for number in numbers])

    def do_silence(self, act):
        """The names of a group get no answer."""
        group = self.run.plan.groups[act["group"]]
        entry = self.note("fault", f"the host names of {count_of(group.count, 'client')} get no answer")
        self.run.names.silent = self.run.names.silent | {self.run.host_of(number) for number in group.numbers()}
        if "for" in act:
            self.give_back(act, entry, lambda: setattr(self.run.names, "silent", set()))

    def do_reload(self, act):
        self.note("act", "the configuration is changed: " + ", ".join(f"{name} = {value}" for name, value in act["options"].items()))
        self.run.gateway.reload(act["options"])

    # --- partners ---

    def do_partner(self, act):
        """A new partner is created, and begins to post."""
        entry = self.note("partner", f"a new partner connects: {act.get('text') or timetable_text(act['load']['timetable'])}")
        self.run.add_partner(act).entry = entry

    # --- operators: what the runbook of the operating guide says ---

    def do_switch(self, act):
        self.note("switch", f"the operator switches {act['switch']} {act['state']}")
        self.run.gateway.ask("POST", "/api/v1/switches", {"switch": act["switch"], "state": act["state"], "reason": "the scenario of the bench"})

    def do_look(self, act):
        """The operator looks at the status: lag, loss or delay?"""
        found = self.run.gateway.ask("GET", "/api/v1/status")
        waits = sum(found["open"][state] for state in ("pending", "sending", "waiting"))
        problems = "; ".join(without_ids(problem["what"]) for problem in found["problems"][:2]) or "nothing is wrong"
        self.note("act", f"the operator looks at the status: {waits} deliveries are on their way; {problems}")

    def do_replay(self, act):
        """Everything in a state is sent again, as a replay."""
        order = {"state": act.get("state", "dead"), "reason": "the scenario of the bench", **({"rate": act["rate"]} if "rate" in act else {})}
        replay = self.run.gateway.ask("POST", "/api/v1/replays", order)["id"]
        self.run.replays.append({"id": replay, "entry": self.note("act", f"the operator replays what is {order['state']}")})


FAULTS = ("kill", "restart", "stop", "alarm", "behave", "silence", "reload")
OPERATORS = ("switch", "look", "replay", "partner")


BEHAVIOURS = (
    (r"hang=100%", lambda _: "take{s} requests and never answer{s}"),
    (r"fail=100%", lambda _: "answer{s} 500 to everything"),
    (r"fail=100%:(\d+)", lambda found: f"answer{{s}} {found[1]} to everything"),
    (r"delay=exp:([\d.]+)(\w+)", lambda found: f"answer{{s}} after {found[1]} {found[2]} on average"),
    (r"delay=([\d.]+)(\w+)", lambda found: f"answer{{s}} after {found[1]} {found[2]}"),
    (r"delay=uniform:([\d.]+)(\w+):([\d.]+)\2", lambda found: f"answer{{s}} after {found[1]} to {found[3]} {found[2]}"),
)


def behaviour_text(words, count=2):
    """What clients do, for somebody who does not know the words of the sink."""
    for pattern, text in BEHAVIOURS:
        found = re.fullmatch(pattern, words)
        if found:
            return text(found).format(s="s" if count == 1 else "")
    return f"behave{'s' if count == 1 else ''} so: {words or 'as well as they can'}"


def late_text(late_seconds, what):
    """For an entry of the timetable; empty when it was in time."""
    return f" ({what} {late_seconds:.1f} s late)" if late_seconds > NOTED_LATE_SECONDS else ""


def without_ids(text):
    """A text of the gateway's for people who do not know its ids."""
    return re.sub(r"\s*\(?\b(?:ep|dlv|evt|acc|rpl)_[0-9a-f]{16,}\b\)?", "", text)


def duration_text(text):
    """26m as 26 min."""
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return f"{number} {'min' if unit == 'm' else unit}"


PARTS = {"constant": lambda rate, duration: f"{rate} events/s for {duration_text(duration)}",
         "ramp": lambda first, last, duration: f"from {first} to {last} events/s within {duration_text(duration)}",
         "step": lambda first, last, by, duration: f"from {first} to {last} events/s, {by} more every {duration_text(duration)}",
         "import": lambda count, at_once, duration: f"{count} events as fast as they are taken, {at_once} at once, for at most {duration_text(duration)}"}


def timetable_text(timetable):
    """What a generator posts, in words. A part that is not known here stays as it is."""
    texts = []
    for part in timetable.split(","):
        kind, *words = part.split(":")
        try:
            texts.append(PARTS[kind](*words))
        except (KeyError, TypeError, AttributeError):
            texts.append(part)
    return ", then ".join(texts)


def count_of(count, noun):
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
