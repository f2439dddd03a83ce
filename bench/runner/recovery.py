# SPDX-License-Identifier: Apache-2.0
"""What happens after clients come back, for plans with a section [recovery]:

  takes          events per second that all clients take: their words, such as delay=20ms workers=4
  starts_within  the level for the account whose backlog begins to move last
  share_min      the level for the rate at which the backlog is delivered, of what the clients take

The measure "backlog" has the events that were accepted before the moment "back" and not delivered
then, the measure "fresh" those that were accepted while the backlog was delivered. Both count
against what the clients take. Until the last event of the backlog is delivered it is not gone."""
from runner.plan import seconds

NEVER_SECONDS = 10 ** 6
MARGIN_SECONDS = 1e-6  # the end of a window is not included
SHARES = (0.5, 0.9, 0.99)


def gone_seconds(details):
    """When the last event of the backlog that was delivered at all was delivered."""
    last_us = details["subsets"]["backlog"]["last_delivered_us"]
    return NEVER_SECONDS if last_us is None else last_us / 1e6 + MARGIN_SECONDS


def _when_share_is_gone(backlog, share):
    """The second by which so much of the backlog is delivered, since the first event was due."""
    wanted, sum_so_far = share * backlog["events"], 0
    for second, count in enumerate(backlog["delivered_per_second"]):
        sum_so_far += count
        if sum_so_far >= wanted:
            return second + 1
    return None


def figures_of(details, moments, expected):
    """Times are seconds since the clients came back; None: it did not happen in the run."""
    backlog, fresh = details["subsets"]["backlog"], details["subsets"]["fresh"]
    back = moments["back"]

    def since_back(us):
        return None if us is None else us / 1e6 - back

    gone = since_back(backlog["last_delivered_us"]) if backlog["not_delivered"] == 0 else None
    shares = {f"{share:.0%}": _when_share_is_gone(backlog, share) for share in SHARES}
    delivered = backlog["delivered"] + fresh["delivered"]
    return {"backlog": backlog["events"], "not_delivered": backlog["not_delivered"],
            "starts": since_back(backlog["first_delivered_us"]),
            "slowest_starts": since_back(backlog["slowest_account_starts_us"]),
            "gone": gone, "rate": delivered / gone if gone else None,
            "share": delivered / gone / expected["takes"] if gone else None,
            "shares_gone": {name: None if at is None else max(0, at - back)
                            for name, at in shares.items()},
            "fresh": fresh["events"], "fresh_p99_us": fresh["freshness"]["p99_us"],
            "fresh_not_delivered": fresh["not_delivered"]}


def reasons_of(found, expected):
    """What does not fit, as sentences; an empty list when all does."""
    if found["backlog"] == 0:
        return ["recovery: there was no backlog: the run proves nothing"]
    reasons = []
    if found["not_delivered"] > 0:
        reasons.append(f"recovery: {found['not_delivered']} of {found['backlog']} events of the "
                       "backlog were never delivered")
    if "starts_within" in expected:
        limit, starts = seconds(expected["starts_within"]), found["slowest_starts"]
        if starts is None or starts > limit:
            reasons.append("recovery: the backlog of an account begins to move "
                           f"{'never' if starts is None else f'after {starts:.1f} s'}, above "
                           f"{limit:g} s")
    if "share_min" in expected and found["share"] is not None \
            and found["share"] < expected["share_min"]:
        reasons.append(f"recovery: the backlog is delivered at {found['share']:.0%} of what the "
                       f"clients take, below {expected['share_min']:.0%}")
    return reasons


def describe(found):
    def at(value):
        return "never" if value is None else f"{value:.1f} s"

    shares = ", ".join(f"{name} {at(when)}" for name, when in found["shares_gone"].items())
    rate = "" if found["rate"] is None else \
        f" ({found['rate']:.0f}/s with fresh events, {found['share']:.0%} of what the clients take)"
    return (f"  backlog {found['backlog']} events, {found['not_delivered']} never delivered; times "
            "since the clients came back\n"
            f"  begins to move {at(found['starts'])}, the slowest account "
            f"{at(found['slowest_starts'])}\n"
            f"  delivered: {shares}, all {at(found['gone'])}{rate}\n"
            f"  fresh events meanwhile {found['fresh']}, p99 of freshness "
            f"{found['fresh_p99_us'] / 1e6:.3f} s, {found['fresh_not_delivered']} not delivered\n")
