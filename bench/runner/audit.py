# SPDX-License-Identifier: Apache-2.0
"""The gateway's own audit beside what the generator posted and the journal's copy says: to the cent, per currency. The verdict has its
sums from the generator's log, the audit from the gateway's totals and rows; neither uses the other."""
from decimal import Decimal

ENDS = ("delivered", "in_progress", "parked", "dead", "discarded")
EARLIER_NAMES = {"in_progress": "on_the_way"}  # of builds that this one is compared with


def _part(row, name):
    return row[name] if name in row else row[EARLIER_NAMES[name]]


def _sum(row, name):
    return Decimal(_part(row, name)["sum"])


def _all(row):
    """What its parts add up to. A build of before counted an event once for each endpoint."""
    return "deliveries" if "deliveries" in row else "accepted"


def compare_audit(audit, details):
    """What does not fit, as sentences; an empty list when all does. `details` is the verdict's JSON."""
    wrong = []
    if audit["verdict"] != "complete":
        wrong += [f"audit: {audit['verdict']}: {finding}" for finding in audit["findings"][:5]] or [f"audit: {audit['verdict']}"]
    if not all(row["adds_up"] for row in audit["rows"] + audit.get("events", [])):
        wrong.append("audit: a row does not add up")
    totals = {row["currency"]: row for row in audit["totals"]}
    for currency, posted in details["money"]["currencies"].items():
        accepted = Decimal(posted["accepted"]) + Decimal(posted["taken_without_200"])
        if accepted == 0 and currency not in totals:
            continue
        row = totals.get(None if currency == "none" else currency)
        if row is None:
            wrong.append(f"audit: {currency}: {accepted} was accepted, and the audit has nothing of it")
        elif _sum(row, "accepted") != accepted:
            wrong.append(f"audit: {currency}: the partners were answered 200 for {accepted}, the audit says {row['accepted']['sum']}")
        elif _sum(row, _all(row)) != sum(_sum(row, end) for end in ENDS):
            wrong.append(f"audit: {currency}: {row[_all(row)]['sum']} is not the sum of its parts")
    return wrong


def print_audit(audit):
    """One line for each currency, as the verdict's own."""
    lines = []
    for row in audit["totals"]:
        ends = [(end.replace("_", " "), _part(row, end)) for end in ENDS]
        parts = ", ".join(f"{end} {part['sum']} ({part['count']})" for end, part in ends if part["count"])
        lines.append(f"  {row['currency'] or 'no currency'}: events {row['accepted']['sum']} ({row['accepted']['count']}),"
                     f" deliveries {row[_all(row)]['sum']} ({row[_all(row)]['count']}) = {parts or '0'}")
    return "\n".join([*lines, f"  {audit['verdict']}"]) + "\n"
