# SPDX-License-Identifier: Apache-2.0
"""A real RabbitMQ for tests: nodes of our own (bench/runner/broker.py starts them), their faults,
and virtual hosts. Each test has a virtual host of its own, which is deleted with all its contents.

`Vhost` is also an AMQP client (pika) that is independent of Penstock's code."""
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

# Closes the connections of one virtual host, except those that publish.
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
PARTITIONS = 4  # of the gateways in these tests: few, because a quorum queue is slow to declare


def restart(node):
    """Kills the node (SIGKILL) and starts it again on the same directory and ports."""
    node.kill9()
    node.start()


def kill_under_load(vhost, brokered, load):
    """Kills the node and starts it again. The gateways accept events all the time, and publish
    again after the start."""
    load.more(200)
    vhost.kill9()
    load.more(100)
    vhost.node.start()
    brokered.wait_for_broker()
    before = brokered.publishes("acked")
    for _ in range(100):  # what waited in the broker makes it late at first
        load.more(20)
        if brokered.publishes("acked") > before:
            return
    assert brokered.publishes("acked") > before


def set_memory_alarm(node, on):
    node.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({0.000001 if on else 0.4:f}).")


def set_disk_alarm(node, on):
    limit = "900000GB" if on else "50MB"
    node.eval(f'rabbit_disk_monitor:set_disk_free_limit("{limit}").')


def set_consumer_timeout(node, milliseconds):
    """Holds for channels that are opened from now on. The broker's default is half an hour, checked
    once a minute."""
    node.eval(f"application:set_env(rabbit, consumer_timeout, {milliseconds}), application:set_env(rabbit, channel_tick_interval, 500).")


class Vhost:
    """A virtual host of a node or a cluster. With `nodes` its commands use any node that runs."""

    def __init__(self, node, name="/", nodes=None):
        self.node, self.name, self.nodes = node, name, nodes or [node]
        if name != "/":
            self.eval(f"""ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>), ok = rabbit_auth_backend_internal:set_permissions(
                <<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).""")

    def delete(self):
        self.eval(f'ok = rabbit_vhost:delete(<<"{self.name}">>, <<"tests">>).')

    def kill9(self):
        """Kills the node. RabbitMQ syncs a quorum queue's cluster state only when another queue is
        declared. So a queue that was declared seconds before a kill has no leader after the start
        (third_party/README.md). Declaring one more queue first keeps this fault away from the
        gateways' queues."""
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
        """Returns {name: {type, consumers}}."""
        return self.running().eval_json(_LIST_QUEUES.replace("VHOST", self.name))

    def list_consumers(self):
        return json.loads(self.ctl("list_consumers", "-p", self.name, "queue_name", "message_tag", "channel_pid", "--formatter", "json"))

    def close_connections(self, why="a test closes it"):
        self.eval(_CLOSE.replace("WHY", why))

    def set_policy(self, pattern, definition):
        self.set_policies([("policy", pattern, definition)], "test")

    def set_policies(self, policies, name="test-{n}"):
        """Sets [(kind, pattern, definition)], as policies or as operator policies."""
        calls = [f'{{rabbit_policy:parse_set{"_op" if kind == "operator" else ""}(<<"{self.name}">>, <<"{name.format(n=n)}">>, <<"{pattern}">>, '
                 f'<<{json.dumps(json.dumps(definition))}>>, 0, <<"queues">>, <<"guest">>)}}'
                 for n, (kind, pattern, definition) in enumerate(policies)]
        said = self.eval(f"[{', '.join(calls)}].")
        assert "error" not in said, said

    def clear_policy(self):
        self.eval('ok = rabbit_policy:delete(<<"VHOST">>, <<"test">>, <<"tests">>).')

    def keep_consumers_away(self, publishers):
        """Limits the connections to `count`. Those that publish stay; the others are closed and
        cannot connect again."""
        self.eval(_KEEP_AWAY.replace("COUNT", str(publishers)))

    def let_consumers_in(self):
        self.eval('rabbit_vhost_limit:clear(<<"VHOST">>, <<"tests">>).')

    def messages(self):
        """Returns {queue: messages, ready or unacked} of its quorum queues."""
        return self.running().messages(self.name)

    def messages_of_stream(self):
        """Returns the number of messages in the stream of confirmed events."""
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
        """With the same arguments as the gateways."""
        self.declare_queue(partition_queue(partition), **{
            "x-overflow": "reject-publish", "x-dead-letter-strategy": "at-most-once", "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dropped_queue(partition)})

    def replace_queue(self, name, kind):
        """Called before a gateway declares its queues again."""
        with self.channel() as channel:
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind})

    def delete_queue(self, name):
        with self.channel() as channel:
            channel.queue_delete(name)

    def publish(self, queue, body, exchange="", **properties):
        """The message is durable when this returns."""
        with self.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(exchange, queue, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True)

    def get(self, queue, seconds=20):
        """Takes and acks the next message of the queue. Returns (properties, body)."""
        with self.channel() as channel:
            limit = time.monotonic() + seconds
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method:
                    return properties, body
                assert time.monotonic() < limit, f"{queue} is still empty"
                time.sleep(0.02)

    def wait_until_empty(self, seconds=30):
        """Waits until all events that were published for delivery are acked."""
        def left():
            return {name: count for name, count in self.messages().items() if count != 0 and name.startswith(("penstock.deliver.", "penstock.dropped."))}

        wait_for(lambda: not left(), lambda: f"the queues are empty: {left()}", seconds)


def partition_queue(partition, partitions=PARTITIONS):
    return f"penstock.deliver.{partitions}.{partition}"


def dropped_queue(partition, partitions=PARTITIONS):
    return f"penstock.dropped.{partitions}.{partition}"


def partition_of(event):
    """Returns the partition of an event id: a UUIDv7 with it in rand_a (src/model/event_id.h)."""
    return uuid.UUID(event.removeprefix("evt_")).int >> 64 & 0xfff
