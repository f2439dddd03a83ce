# SPDX-License-Identifier: Apache-2.0
"""The broker between ingress and delivery in a run (`--queue rabbitmq`, or `queue = "rabbitmq"` in the plan)."""
import os
import re

from runner.broker import Broker
from runner.process import Usage, wait_for

PUBLISHES = "penstock_broker_publishes_total"
RECEIVED = "penstock_broker_received_total"
TURNS = "penstock_ingress_turn_seconds"
COUNTED = re.compile(rf"penstock_broker_.*_total|{TURNS}_bucket")
LONG_TURN_SECONDS = 0.05
CUT_OFF = "missed heartbeats from client"


class Between:
    def __init__(self, directory):
        self.directory = directory / "broker"
        self.usage = Usage("broker")
        self.node = None
        self.counts = {}  # by metric, over all gateways that the run had one after the other
        self._latest = {}

    def start(self):
        """Also again, behind kill()."""
        if self.node:
            self.node.start()
        else:
            self.node = Broker(self.directory)
        self._follow()

    def _follow(self):
        for pid in self.node.pids():
            self.usage.follow(pid)

    def options(self):
        """What the gateway must be told."""
        return {"queue.kind": "rabbitmq", "broker.addresses": f'["{self.node.address}"]', "broker.heartbeat": "2s"}

    def is_running(self):
        return self.node is not None and bool(self.node.pids())

    def send(self, number):
        os.kill(self.node.pids()[0], number)

    def kill(self):
        self.usage.look()
        self.node.kill9()

    def set_alarm(self, is_on):
        """The broker's memory alarm: it reads nothing more from those who publish."""
        self.node.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({0.000001 if is_on else 0.4:f}).")

    def end(self):
        if self.node:
            self.usage.look()
            self.node.stop()

    def backlog(self, seconds=60):
        """Messages that no delivery thread has acked."""
        return sum(count or 0 for queue, count in self.node.messages(seconds=seconds).items() if queue.startswith("penstock.deliver."))

    def wait_until_used(self, gateway):
        """A run is to begin with everything on its way through the broker."""
        wait_for(lambda: gateway.metrics().get("penstock_broker_publishers_open", 0) > 0 and
                 gateway.metrics().get("penstock_broker_channels_consuming", 0) > 0, "the gateway publishes to the broker and consumes", 60)

    def look(self, gateway):
        """Adds up what the gateway counts: a gateway that was started again begins at zero."""
        found = {name: value for name, value in gateway.metrics().items() if COUNTED.match(name)}
        before = {} if any(found.get(name, 0) < value for name, value in self._latest.items()) else self._latest
        for name, value in found.items():
            self.counts[name] = self.counts.get(name, 0) + value - before.get(name, 0)
        self._latest = found

    def through(self):
        """How many events the broker confirmed in time."""
        return self.counts.get(f'{PUBLISHES}{{result="acked"}}', 0)

    def turns(self):
        """How many turns the ingress loops made, how many of them took longer than 50 ms, and a bound of the longest, in seconds."""
        buckets = [(float(re.search('le="(.*)"', name)[1].replace("+Inf", "inf")), value) for name, value in self.counts.items() if TURNS in name]
        count = max((value for _, value in buckets), default=0)
        within = max((value for bound, value in buckets if bound <= LONG_TURN_SECONDS), default=0)
        return count, count - within, min((bound for bound, value in buckets if value == count), default=0) if count else 0

    def cut_off(self):
        """How many connections of the gateway the broker has closed because nothing came from them (since its last start)."""
        return self.node.log().count(CUT_OFF) if self.node else 0

    def describe(self):
        def count(name, result=None):
            return round(self.counts.get(f'{name}{{result="{result}"}}' if result else name, 0))

        return (f"  through the broker {count(PUBLISHES, 'acked')}, directly {count('penstock_broker_direct_total')} "
                f"(late confirms {count(PUBLISHES, 'late')}, refused {count(PUBLISHES, 'nacked')}, returned {count(PUBLISHES, 'returned')}, lost "
                f"{count(PUBLISHES, 'lost')})\n  consumed {count(RECEIVED, 'new')} new, {count(RECEIVED, 'again')} again, {count(RECEIVED, 'alias')} "
                f"aliases, {count(RECEIVED, 'conflict')} conflicts; adopted {count('penstock_broker_adopted_total')}\n"
                f"  connections that the broker closed for missed heartbeats {self.cut_off()}\n"
                "  turns of the ingress loops {:.0f}, {:.0f} of them above 50 ms, the longest at most {:g} s\n".format(*self.turns()))
