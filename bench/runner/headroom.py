# SPDX-License-Identifier: Apache-2.0
"""How much the gateway takes: the load goes up in steps until a service level breaks, and the number is the answer. For plans with a
section [headroom]:

  rate_min          the level for the highest rate that was held
  answer_p99_max    a step is held while the answers of its seconds are within this (default 1s)
  freshness_p99_max ... and while its events are delivered within this (default 15s)
  error_share_max   ... and while no larger share of the posts got an error (default 0.001)"""
from runner.plan import seconds

BROKEN_SECONDS = 3  # so many in a row end the load
HELD_SHARE = 0.98   # of the rate of a step, that was accepted within it
DELIVERED_SHARE = 0.9  # the same of deliveries, some of which belong to the step before or behind
BROKEN_SHARE = 0.1  # of what was due in a second, that was not accepted


class Headroom:
    def __init__(self, data):
        self.rate_min = data.get("rate_min", 0)
        self.p99_max_us = seconds(data.get("answer_p99_max", "1s")) * 1e6
        self.error_share_max = data.get("error_share_max", 0.001)
        self.freshness_p99_max_us = seconds(data.get("freshness_p99_max", "15s")) * 1e6
        self._seen, self._broken = None, 0

    def is_broken(self, progress, backlog=0):
        """Whether more load would show nothing new: answers are slow, posts are refused, or more waits than can be delivered in time.
        `progress`: the last line of the generator's, one a second."""
        if not progress or (self._seen and progress["seconds"] == self._seen["seconds"]):
            return False
        before, self._seen = self._seen or {"events": 0, "ok": 0}, progress
        sent, taken = (progress.get(key, 0) - before.get(key, 0) for key in ("events", "ok"))
        waits_us = backlog / max(1, progress.get("rate", 0)) * 1e6
        is_bad = progress["p99_us"] > 2 * self.p99_max_us or taken < (1 - BROKEN_SHARE) * sent or waits_us > 2 * self.freshness_p99_max_us
        self._broken = self._broken + 1 if is_bad else 0
        return self._broken >= BROKEN_SECONDS

    def figures_of(self, timetable, series, bottleneck=None):
        """Each step of the timetable with what it had, and the highest rate before the first that was not held. `bottleneck`: why the
        generator was the limit, or None."""
        steps, held, is_broken = [], 0, False
        for rate, begin, end in steps_of(timetable):
            step = self._figures_of_step(rate, begin, end, series)
            if step is None:
                break
            steps.append(step)
            is_broken = is_broken or not step["held"]
            if not is_broken:
                held = rate
        return {"rate": held, "rate_min": self.rate_min, "steps": steps, "limit_found": is_broken, "limit_of_generator": is_broken and bool(bottleneck)}

    def _figures_of_step(self, rate, begin, end, series):
        """The first second of a step is the change, and does not count. None: the load ended before."""
        places = [place for place, at in enumerate(series["t_s"]) if begin + 1 <= at and at + series["step_s"] <= end]
        rows = series["rows"]

        def values(row):
            return [rows[row][place] for place in places if rows[row][place] is not None]

        if not places or sum(values("posted_per_s")) < HELD_SHARE / 2 * rate * len(places):
            return None
        accepted, refused = sum(values("accepted_per_s")) / len(places), sum(values("refused_per_s")) / len(places)
        delivered = sum(values("delivered_per_s")) / len(places)
        p99_us, freshness_us = max(values("answer_p99_us"), default=None), max(values("freshness_p99_us"), default=None)
        is_answered = p99_us is not None and p99_us <= self.p99_max_us and refused <= self.error_share_max * rate and accepted >= HELD_SHARE * rate
        is_delivered = freshness_us is not None and freshness_us <= self.freshness_p99_max_us and delivered >= DELIVERED_SHARE * rate
        return {"rate": rate, "accepted_per_s": accepted, "delivered_per_s": delivered, "answer_p99_us": p99_us, "freshness_p99_us": freshness_us,
                "held": is_answered and is_delivered}

    def reasons_of(self, found):
        if found["rate"] < self.rate_min:
            return [f"headroom: {found['rate']:.0f} events/s were held, and {self.rate_min} are promised"]
        return []


def steps_of(timetable):
    """(rate, begin, end) of each step, in seconds since the first event was due."""
    steps, at = [], 0.0
    for part in timetable.split(","):
        kind, *words = part.split(":")
        if kind == "step":
            first, last, by = (float(word) for word in words[:3])
            rates = [first + by * number for number in range(int((last - first) / by) + 1)]
        elif kind == "constant":
            rates = [float(words[0])]
        else:
            rates = []
        for rate in rates:
            steps.append((rate, at, at + seconds(words[-1])))
            at += seconds(words[-1])
        if not rates:
            at += seconds(words[-1])
    return steps


def describe(found):
    lines = [f"  {step['rate']:8.0f}/s  accepted {step['accepted_per_s']:8.0f}/s  delivered {step['delivered_per_s']:8.0f}/s  answers p99 "
             f"{(step['answer_p99_us'] or 0) / 1000:9.2f} ms  delivery p99 {(step['freshness_p99_us'] or 0) / 1000:9.2f} ms  {'held' if step['held'] else 'not held'}\n" for step in found["steps"]]
    limit = " (the limit of the generator)" if found["limit_of_generator"] else "" if found["limit_found"] else " (the limit was not reached)"
    return "".join(lines) + f"  held up to {found['rate']:.0f} events/s{limit}; promised {found['rate_min']}\n"
