# SPDX-License-Identifier: Apache-2.0
"""How much the gateway takes: the load goes up in steps until a service level breaks, and the number is the answer. For plans with a
section [headroom]:

  rate_min          the level for the highest rate that was held
  answer_p99_max    a step is held while the answers of its seconds are within this (default 1s)
  error_share_max   ... and while no larger share of the posts got an error (default 0.001)"""
from runner.plan import seconds

BROKEN_SECONDS = 3  # so many in a row end the load
HELD_SHARE = 0.98   # of the rate of a step, that was accepted within it


class Headroom:
    def __init__(self, data):
        self.rate_min = data.get("rate_min", 0)
        self.p99_max_us = seconds(data.get("answer_p99_max", "1s")) * 1e6
        self.error_share_max = data.get("error_share_max", 0.001)
        self._seen, self._broken = None, 0

    def is_broken(self, progress):
        """Whether more load would show nothing new. `progress`: the last line of the generator's, one a second."""
        if not progress or progress["seconds"] == self._seen:
            return False
        self._seen = progress["seconds"]
        self._broken = self._broken + 1 if progress["p99_us"] > 2 * self.p99_max_us else 0
        return self._broken >= BROKEN_SECONDS

    def figures_of(self, timetable, series):
        """Each step of the timetable with what it had, and the highest rate before the first that was not held."""
        steps, held, is_broken = [], 0, False
        for rate, begin, end in steps_of(timetable):
            step = self._figures_of_step(rate, begin, end, series)
            if step is None:
                break
            steps.append(step)
            is_broken = is_broken or not step["held"]
            if not is_broken:
                held = rate
        return {"rate": held, "rate_min": self.rate_min, "steps": steps, "limit_found": is_broken}

    def _figures_of_step(self, rate, begin, end, series):
        """The first second of a step is the change, and does not count. None: the load ended before."""
        places = [place for place, at in enumerate(series["t_s"]) if begin + 1 <= at and at + series["step_s"] <= end]
        rows = series["rows"]

        def values(row):
            return [rows[row][place] for place in places if rows[row][place] is not None]

        if not places or sum(values("posted_per_s")) < HELD_SHARE / 2 * rate * len(places):
            return None
        accepted, refused = sum(values("accepted_per_s")) / len(places), sum(values("refused_per_s")) / len(places)
        p99_us = max(values("answer_p99_us"), default=None)
        return {"rate": rate, "accepted_per_s": accepted, "delivered_per_s": sum(values("delivered_per_s")) / len(places), "answer_p99_us": p99_us,
                "held": p99_us is not None and p99_us <= self.p99_max_us and refused <= self.error_share_max * rate and accepted >= HELD_SHARE * rate}

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
             f"{(step['answer_p99_us'] or 0) / 1000:9.2f} ms  {'held' if step['held'] else 'not held'}\n" for step in found["steps"]]
    limit = "" if found["limit_found"] else " (the limit was not reached)"
    return "".join(lines) + f"  held up to {found['rate']:.0f} events/s{limit}; promised {found['rate_min']}\n"
