# SPDX-License-Identifier: Apache-2.0
"""Plans: what a run does, as data (bench/plans/*.toml). A key that does not exist is an error, so
that a typing mistake cannot make a run easier without being seen.

Beside the load, the gateway's options, the sink's words and the faults, a plan may have:

  models           what happens in the business: this makes it a scenario, with the variants quick
                   and full
  [[act]]          what partners and operators do: partner (a new one connects; `load` is what it
                   posts, and `group` whose events these are: nobody else posts to its accounts),
                   switch, look (at the status), replay
  alone            the timetable for a target that is not Penstock (bench/targets): one generator
                   posts what the plan's own and its partners post together
  [headroom]       the load ends when the gateway is at its limit, and rate_min is the level for the
                   highest rate that it held (headroom.py)
  [group.NAME]     accounts that behave alike, in the order of the file
    accounts       how many; a group without it takes those that the others leave
    words          of the sink, at the start; without it the sink's own
    behave         a timetable of words: { 20s = "hang=100%", 80s = "delay=5ms" }
    named          true: the endpoints have host names, of a name server that the run has
  [measure.NAME]   a subset of the events, with figures of its own (bench/verdict/subset.h)
    group          whose events; without it those of all accounts
    accepted, delivered   FROM..TO: durations since the first event was due, or moments
    freshness_p99_max     the level for the events, which must all be delivered
    answer_p99_max        the level for the answers to partners; `accepted` is then when a post was due
  [recovery]       what is expected behind the moment "back" (recovery.py)
  [variant.NAME]   the same plan with other values: bench/run PLAN:NAME

The moments are `fault`, when the first fault or change of behaviour begins; `back`, when the last
one ends; and `gone`, when the last event of the measure "backlog" is delivered. An offset may
follow: fault..fault+30s."""
import copy
import pathlib
import re
import tomllib

PLANS = pathlib.Path(__file__).resolve().parents[1] / "plans"

# Options of penstock-load that a plan may set, by the names that they have there.
LOAD_KEYS = {"timetable", "types", "size", "duplicates", "conflicts", "invalid", "lag", "batch",
             "connections", "threads", "patience", "resend_pause", "resends", "linger", "seed"}
TOP_KEYS = {"title", "models", "load", "accounts", "queue", "gateway", "sink", "fault", "act",
            "levels", "drain", "group", "measure", "recovery", "headroom", "alone"}
GROUP_KEYS = {"accounts", "words", "behave", "named"}
MEASURE_KEYS = {"group", "accepted", "delivered", "freshness_p99_max", "answer_p99_max"}
# The words of the verdict for the levels of a measure.
MEASURE_LEVELS = {"freshness_p99_max": "p99", "answer_p99_max": "answers"}
RECOVERY_KEYS = {"takes", "starts_within", "share_min"}
HEADROOM_KEYS = {"rate_min", "answer_p99_max", "freshness_p99_max", "error_share_max"}
QUEUES = ("direct", "rabbitmq")
# What each fault must have besides "at" and "do", and what it may have.
FAULTS = {"kill": (set(), {"for", "what"}), "restart": (set(), set()), "stop": ({"for"}, {"what"}),
          "alarm": ({"what", "for"}, set()), "behave": ({"account", "words"}, {"for"}),
          "reload": ({"options"}, set()), "silence": ({"group"}, {"for"})}
# What partners and operators do: the same.
ACTS = {"partner": ({"load"}, {"text", "group"}), "switch": ({"switch", "state"}, set()), "look": (set(), set()),
        "replay": (set(), {"state", "rate"})}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
MOMENTS = ("fault", "back", "gone")


class PlanWrong(Exception):
    pass


def seconds(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(text))
    if not match:
        raise PlanWrong(f'"{text}" is not a duration such as 500ms, 10s or 2m')
    return float(match.group(1)) * UNITS[match.group(2)]


def check_keys(where, found, known):
    for key in found:
        if key not in known:
            raise PlanWrong(f'{where}: "{key}" does not exist (known: {", ".join(sorted(known))})')


def moment(text, moments):
    """Seconds since the first event was due; None for an end that is not given."""
    if not text:
        return None
    match = re.fullmatch(rf"({'|'.join(MOMENTS)})(?:\+(.+))?", text)
    if not match:
        return seconds(text)
    return moments[match.group(1)] + (seconds(match.group(2)) if match.group(2) else 0)


def window(text, moments):
    """FROM..TO as the verdict reads it."""
    begin, dots, end = str(text).partition("..")
    if not dots:
        raise PlanWrong(f'"{text}" is not FROM..TO, such as 20s..65s or fault..back')
    ends = [moment(each, moments) for each in (begin, end)]
    return "..".join("" if each is None else f"{max(0, round(each * 1e6))}us" for each in ends)


class Group:
    """Accounts that behave alike: the numbers from `first` on."""

    def __init__(self, name, first, count, data):
        self.name, self.first, self.count = name, first, count
        self.words, self.is_named = data.get("words"), data.get("named", False)
        self.behave = data.get("behave", {})

    def numbers(self):
        return range(self.first, self.first + self.count)


class Plan:
    def __init__(self, name, data):
        check_keys(name, data, TOP_KEYS)
        check_keys(f"{name}: load", data.get("load", {}), LOAD_KEYS)
        if "timetable" not in data.get("load", {}):
            raise PlanWrong(f"{name}: load.timetable is missing")
        self.name, self.data = name, data  # the data also for the comparison of results
        self.title = data.get("title", name)
        self.load = data["load"]
        self.accounts = data.get("accounts", 8)
        self.account_pattern = "acc_%d"
        self.queue = data.get("queue", "direct")
        if self.queue not in QUEUES:
            raise PlanWrong(f'{name}: queue = "{self.queue}" is none of {", ".join(QUEUES)}')
        self.gateway = data.get("gateway", {})
        # Behaviours by account number; "default" for the others.
        self.sink = data.get("sink", {})
        self.levels = data.get("levels", {})
        self.drain_seconds = seconds(data.get("drain", "60s"))
        check_keys(f"{name}: sink", self.sink, {"default", *map(str, range(self.accounts))})
        self.groups = self._make_groups(data.get("group", {}))
        for fault in data.get("fault", []):
            self._check_act("fault", FAULTS, fault)
            self._check_fault(fault)
        for act in data.get("act", []):
            self._check_act("act", ACTS, act)
            check_keys(f"{self.name}: act {act['do']}: load", act.get("load", {}), LOAD_KEYS)
            if "group" in act:
                self._check_group(f"{self.name}: act {act['do']}", act["group"])
        changes = [{"at": at, "do": "behave", "group": group.name, "words": words}
                   for group in self.groups.values() for at, words in group.behave.items()]
        self.faults = sorted([*data.get("fault", []), *changes],
                             key=lambda fault: seconds(fault["at"]))
        self.acts = sorted([*self.faults, *data.get("act", [])], key=lambda act: seconds(act["at"]))
        self.measures = data.get("measure", {})
        self.recovery = data.get("recovery")
        self.models = data.get("models", "")
        self.headroom = data.get("headroom")
        self.alone = data.get("alone")
        check_keys(f"{self.name}: headroom", self.headroom or {}, HEADROOM_KEYS)
        self._check_measures()
        self._check_partners()

    def _make_groups(self, found):
        for name, group in found.items():
            check_keys(f"{self.name}: group {name}", group, GROUP_KEYS)
        rest = self.accounts - sum(group.get("accounts", 0) for group in found.values())
        takes_rest = [name for name, group in found.items() if "accounts" not in group]
        if rest < 0 or len(takes_rest) > 1 or (found and rest > 0 and not takes_rest):
            raise PlanWrong(f"{self.name}: the groups do not share out {self.accounts} accounts")
        groups, first = {}, 0
        for name, group in found.items():
            count = group.get("accounts", rest)
            groups[name] = Group(name, first, count, group)
            first += count
        return groups

    def _check_group(self, where, name):
        if name not in self.groups:
            raise PlanWrong(f'{where}: there is no group "{name}"')

    def _check_act(self, section, kinds, act):
        where = f"{self.name}: {section}"
        must, may = kinds.get(act.get("do"), (None, None))
        if must is None:
            raise PlanWrong(f'{where}: do = "{act.get("do")}" is none of {", ".join(kinds)}')
        check_keys(f"{where} {act['do']}", act, {"at", "do"} | must | may)
        for key in {"at"} | must:
            if key not in act:
                raise PlanWrong(f'{where} {act["do"]}: "{key}" is missing')
        for key in ("at", "for"):
            if key in act:
                seconds(act[key])

    def _check_fault(self, fault):
        where = f"{self.name}: fault"
        what = fault.get("what", "gateway")
        if what not in ("gateway", "sink", "broker"):
            raise PlanWrong(f'{where} {fault["do"]}: what = "{what}" is none of gateway, sink, '
                            "broker")
        if fault["do"] == "alarm" and what != "broker":
            raise PlanWrong(f'{where} alarm: only the broker has one (what = "broker")')
        if what == "broker" and self.queue != "rabbitmq":
            raise PlanWrong(f'{where} {fault["do"]}: this plan has no broker (queue = "rabbitmq")')
        if "group" in fault:
            self._check_group(where, fault["group"])
            if not self.groups[fault["group"]].is_named:
                raise PlanWrong(f"{where} {fault['do']}: group {fault['group']} is not named")

    def _check_measures(self):
        for name, measure in self.measures.items():
            where = f"{self.name}: measure {name}"
            check_keys(where, measure, MEASURE_KEYS)
            if "group" in measure:
                self._check_group(where, measure["group"])
        self.subsets(dict.fromkeys(MOMENTS, 0))
        if self.recovery is not None:
            check_keys(f"{self.name}: recovery", self.recovery, RECOVERY_KEYS)
            if not {"backlog", "fresh"} <= set(self.measures) or "takes" not in self.recovery:
                raise PlanWrong(f"{self.name}: recovery needs the measures backlog and fresh, and "
                                "what the clients take")

    def _partner_groups(self):
        """Groups to whose accounts only a partner posts that connects later."""
        return [self.groups[name] for name in dict.fromkeys(
            act["group"] for act in self.acts if act["do"] == "partner" and "group" in act)]

    def _check_partners(self):
        """Their groups are the last ones, so that the plan's own load has the accounts before."""
        groups = self._partner_groups()
        first = self.accounts - sum(group.count for group in groups)
        if groups and (first == 0 or min(group.first for group in groups) != first):
            raise PlanWrong(f"{self.name}: the groups of partners should be the last groups, behind "
                            "one for the plan's own load")

    def post_alone(self):
        """For a target to which only one generator posts: what the plan's own and its partners post
        together, to all accounts. A measure of a group would have the events of both."""
        if self._partner_groups():
            self.measures = {name: measure for name, measure in self.measures.items()
                             if "group" not in measure}
        self.load = {**self.load, "timetable": self.alone}
        self.acts = self.faults

    def account_names(self):
        return [self.account_pattern.replace("%d", str(number)) for number in range(self.accounts)]

    def group_of(self, number):
        return next((group for group in self.groups.values() if number in group.numbers()), None)

    def behaviour_of(self, number):
        """Of an account's client, at the start."""
        group = self.group_of(number)
        words = group.words if group and group.words is not None else self.sink.get("default", "")
        return self.sink.get(str(number), words)

    def load_arguments(self, load=None, group=None):
        """`load`: of another generator than the plan's own. `group`: of the accounts that it posts
        to; without it those that have no generator of their own. The place of an account is the same
        in all generators."""
        own = self._partner_groups()
        end = min((each.first for each in own), default=self.accounts)
        arguments = []
        if group:
            end = self.groups[group].first + self.groups[group].count
            arguments += ["--first-account", str(self.groups[group].first)]
        arguments += ["--accounts", f"{self.account_pattern}*{end}"]
        for key, value in (load or self.load).items():
            arguments += [f"--{key.replace('_', '-')}", str(value)]
        return arguments

    def planned_moments(self):
        """Seconds since the start of the load, if each fault takes no time of its own."""
        begins = [seconds(fault["at"]) for fault in self.faults]
        ends = [seconds(fault["at"]) + seconds(fault.get("for", "0s")) for fault in self.faults]
        return {"fault": min(begins, default=0), "back": max(ends, default=0)}

    def needs_gone(self):
        return any("gone" in str(each.get(key, "")) for each in self.measures.values()
                   for key in ("accepted", "delivered"))

    def subsets(self, moments, names=None):
        """The texts that the verdict gets. `names`: only these measures."""
        texts = []
        for name, measure in self.measures.items():
            if names is not None and name not in names:
                continue
            words = [name]
            if "group" in measure:
                group = self.groups[measure["group"]]
                words.append(f"accounts={group.first}-{group.first + group.count - 1}")
            words += [f"{key}={window(measure[key], moments)}" for key in ("accepted", "delivered")
                      if key in measure]
            words += [f"{word}={round(seconds(measure[key]) * 1e6)}us"
                      for key, word in MEASURE_LEVELS.items() if key in measure]
            texts.append(" ".join(words))
        return texts

    def without_faults(self):
        """The same run when nothing happens."""
        plan = copy.copy(self)
        plan.faults = plan.acts = []
        return plan


def merge(data, more):
    """A table's keys one by one. Everything else is replaced, also by an empty table."""
    found = dict(data)
    for key, value in more.items():
        both = value and isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merge(found[key], value) if both else value
    return found


def set_value(data, text):
    """KEY=VALUE: load.timetable=constant:100:5s, fault.0.for=2m, accounts=50. A value that is not
    TOML is a text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise PlanWrong(f'"{text}" is not KEY=VALUE')
    try:
        value = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    section, _, option = key.partition(".")
    parts = [section, option] if section == "gateway" else key.split(".")
    where = data
    try:
        for part in parts[:-1]:
            where = where[int(part)] if isinstance(where, list) else where.setdefault(part, {})
        where[int(parts[-1]) if isinstance(where, list) else parts[-1]] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise PlanWrong(f'"{key}" is not a place in the plan') from None


def read_plan(name):
    """The data, and a name for files."""
    file, _, variant = name.partition(":")
    path = pathlib.Path(file) if file.endswith(".toml") else PLANS / f"{file}.toml"
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise PlanWrong(f"there is no plan {file}; there are: {', '.join(plan_names())}") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanWrong(f"{path}: {error}") from None
    variants = data.pop("variant", {})
    if variant and variant not in variants:
        raise PlanWrong(f"{path.stem} has no variant {variant}; it has: "
                        f"{', '.join(variants) or 'none'}")
    if variant:
        data = merge(data, variants[variant])
    return data, f"{path.stem}-{variant}" if variant else path.stem


def load_plan(name, queue=None, changes=()):
    """`name`: a plan, or PLAN:VARIANT. `queue`: another than the plan's own. `changes`: of single
    values, KEY=VALUE."""
    data, label = read_plan(name)
    for change in changes:
        set_value(data, change)
    return Plan(label, {**data, **({"queue": queue} if queue else {})})


def plan_names():
    """Each plan, and each of its variants."""
    names = []
    for path in sorted(PLANS.glob("*.toml")):
        names += [path.stem, *(f"{path.stem}:{variant}"
                               for variant in tomllib.loads(path.read_text()).get("variant", {}))]
    return names
