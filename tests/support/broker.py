# SPDX-License-Identifier: Apache-2.0
"""A real RabbitMQ for tests: nodes of our own (bench/runner/broker.py is the one way to start them), the faults that they may have,
and virtual hosts, of which each test has one: what it leaves is gone with it.

`Vhost` is also the independent AMQP client (pika): what it reads, Penstock did not write with its own hands."""
import contextlib
import json
import sys
import time
import uuid

import pika

from support.gateway import ROOT
from support.wait import wait_for

sys.path.insert(0, str(ROOT / "bench"))

from runner.broker import Broker, start_cluster, stop_cluster  # noqa: E402, F401  pylint: disable=unused-import

# The connections of one virtual host that don't publish are closed; those that do may stay.
_KEEP_AWAY = r"""ok = rabbit_vhost_limit:parse_set(<<"VHOST">>, <<"{\"max-connections\": COUNT}">>, none),
    Publishes = fun(Properties) -> {_, _, Name} = lists:keyfind(<<"connection_name">>, 1, Properties),
        binary:match(Name, <<"penstock publisher">>) =/= nomatch end,
    [catch rabbit_networking:close_connection(Pid, "a test closes it") || Pid <- rabbit_networking:connections_local(),
        [{vhost, <<"VHOST">>}, {client_properties, Properties}] <- [catch rabbit_networking:connection_info(Pid, [vhost, client_properties])],
        not Publishes(Properties)]."""
# `catch`: a connection may end by itself meanwhile.
_CLOSE = """[catch rabbit_networking:close_connection(Pid, "WHY") || Pid <- rabbit_networking:connections(),
    [{vhost, <<"VHOST">>}] <- [catch rabbit_networking:connection_info(Pid, [vhost])]]."""
_LIST_QUEUES = """rabbit_json:encode(maps:from_list([{element(4, proplists:get_value(name, Queue)),
    maps:from_list(lists:keydelete(name, 1, Queue))} || Queue <- rabbit_amqqueue:info_all(<<"VHOST">>, [name, type, consumers])]))."""
PARTITIONS = 4  # of the gateways of these tests: a quorum queue is dear to make


def restart(node):
    """kill -9, and again on the same directory and ports."""
    node.kill9()
    node.start()


def kill_under_load(vhost, brokered, load):
    """kill -9, and a new start: all is taken meanwhile, and goes through the broker again behind it."""
    load.more(200)
    vhost.kill9()
    load.more(100)
    vhost.node.start()
    brokered.wait_for_broker()
    before = brokered.publishes("acked")
    load.more(100)
    assert brokered.publishes("acked") > before


def set_memory_alarm(node, on):
    node.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({0.000001 if on else 0.4:f}).")


def set_disk_alarm(node, on):
    limit = "900000GB" if on else "50MB"
    node.eval(f'rabbit_disk_monitor:set_disk_free_limit("{limit}").')


def set_consumer_timeout(node, milliseconds):
    """For channels that are opened from now on. Usually the broker looks once a minute, and allows half an hour."""
    node.eval(f"application:set_env(rabbit, consumer_timeout, {milliseconds}), application:set_env(rabbit, channel_tick_interval, 500).")


class Vhost:
    """A virtual host of a node, or of a cluster: with `nodes` given, its commands go to whichever is running."""

    def __init__(self, node, name="/", nodes=None):
        self.node, self.name, self.nodes = node, name, nodes or [node]
        if name != "/":
            self.eval(f"""ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>), ok = rabbit_auth_backend_internal:set_permissions(
                <<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).""")

    def delete(self):
        self.eval(f'ok = rabbit_vhost:delete(<<"{self.name}">>, <<"tests">>).')

    def kill9(self):
        """Its node. The quorum queue that was made last would have no leader when the node is back, if that was only seconds ago: what it
        knows of its cluster is not synced before another one is made (third_party/README.md). Here that is none of Penstock's."""
        self.make_the_last_queue()
        self.node.kill9()

    def make_the_last_queue(self):
        self.declare_queue("last")
        self.delete_queue("last")

    def running(self):
        return next(node for node in self.nodes if node.pids())

    def ctl(self, *arguments):
        return self.running().ctl(*arguments)

    def eval(self, expressions):
        return self.running().eval(expressions.replace("VHOST", self.name))

    # --- as an operator ---

    def list_queues(self):
        """{name: {type, consumers}}"""
        return self.running().eval_json(_LIST_QUEUES.replace("VHOST", self.name))

    def list_consumers(self):
        return json.loads(self.ctl("list_consumers", "-p", self.name, "queue_name", "message_tag", "channel_pid", "--formatter", "json"))

    def close_connections(self, why="a test closes it"):
        self.eval(_CLOSE.replace("WHY", why))

    def set_policy(self, pattern, definition):
        self.set_policies([("policy", pattern, definition)], "test")

    def set_policies(self, policies, name="test-{n}"):
        """[(kind, pattern, definition)]: as policies, or as an operator's."""
        calls = [f'{{rabbit_policy:parse_set{"_op" if kind == "operator" else ""}(<<"{self.name}">>, <<"{name.format(n=n)}">>, <<"{pattern}">>, '
                 f'<<{json.dumps(json.dumps(definition))}>>, 0, <<"queues">>, <<"guest">>)}}'
                 for n, (kind, pattern, definition) in enumerate(policies)]
        said = self.eval(f"[{', '.join(calls)}].")
        assert "error" not in said, said

    def clear_policy(self):
        self.eval('ok = rabbit_policy:delete(<<"VHOST">>, <<"test">>, <<"tests">>).')

    def keep_consumers_away(self, publishers):
        """Only so many connections may stand, those that publish; the others are closed and can't come back."""
        self.eval(_KEEP_AWAY.replace("COUNT", str(publishers)))

    def let_consumers_in(self):
        self.eval('rabbit_vhost_limit:clear(<<"VHOST">>, <<"tests">>).')

    def messages(self):
        """{queue: messages, ready or unacked}, of its quorum queues."""
        return self.running().messages(self.name)

    def messages_of_stream(self):
        """On record in the stream of what was confirmed."""
        with self.channel() as channel:
            return channel.queue_declare("penstock.confirmed", passive=True).method.message_count

    # --- as a client ---

    @contextlib.contextmanager
    def channel(self):
        parameters = pika.ConnectionParameters("127.0.0.1", self.running().port, self.name, pika.PlainCredentials("guest", "guest"),
                                               heartbeat=60, blocked_connection_timeout=30)
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def declare_queue(self, name, kind="quorum", **arguments):
        with self.channel() as channel:
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind, **arguments})

    def declare_partition_queue(self, partition):
        """As the gateways do."""
        self.declare_queue(partition_queue(partition), **{
            "x-overflow": "reject-publish", "x-dead-letter-strategy": "at-most-once", "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dropped_queue(partition)})

    def replace_queue(self, name, kind):
        """Before a gateway declares its own again."""
        with self.channel() as channel:
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind})

    def delete_queue(self, name):
        with self.channel() as channel:
            channel.queue_delete(name)

    def publish(self, queue, body, exchange="", **properties):
        """Durable when it returns."""
        with self.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(exchange, queue, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True)

    def get(self, queue, seconds=20):
        """The next message of the queue, acked: (properties, body)."""
        with self.channel() as channel:
            limit = time.monotonic() + seconds
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method:
                    return properties, body
                assert time.monotonic() < limit, f"{queue} stays empty"
                time.sleep(0.02)

    def wait_until_empty(self, seconds=30):
        """All that was published for delivery has been acked."""
        def left():
            return {name: count for name, count in self.messages().items() if count != 0 and name.startswith(("penstock.deliver.", "penstock.dropped."))}

        wait_for(lambda: not left(), lambda: f"the queues are empty: {left()}", seconds)


def partition_queue(partition, partitions=PARTITIONS):
    return f"penstock.deliver.{partitions}.{partition}"


def dropped_queue(partition, partitions=PARTITIONS):
    return f"penstock.dropped.{partitions}.{partition}"


def partition_of(event):
    """Of an id: a UUIDv7 with the partition in rand_a (src/model/event_id.h)."""
    return uuid.UUID(event.removeprefix("evt_")).int >> 64 & 0xfff
