# SPDX-License-Identifier: Apache-2.0
"""A cluster of three nodes: whichever of them dies, publishing and consuming go on with the others, and nothing is lost."""
import pytest
from support.brokered import WITH_LAG
from support.broker import Vhost
from support.load import ANSWER_SECONDS_MAX, Load
from support.wait import wait_for

pytestmark = pytest.mark.once


@pytest.fixture
def cluster(broker_cluster, request):
    vhost = Vhost(broker_cluster[0], request.node.name[:20], broker_cluster)
    yield vhost
    for node in broker_cluster:
        if not node.pids():
            node.start()
    vhost.delete()


def make(cluster, make_brokered, sink, nodes, **how):
    brokered = make_brokered(cluster, **{**how, "options": {**WITH_LAG, "broker.addresses": [node.address for node in nodes]}})
    if not brokered.leader:
        brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker(60)
    return brokered


def test_the_connected_node_is_killed(cluster, make_brokered, sink, capsys):
    """Publisher and consumer go to the next node; the queues elect other leaders."""
    nodes = cluster.nodes
    brokered = make(cluster, make_brokered, sink, nodes)
    with Load([brokered], sink, rate=150) as load:
        load.more(100)
        nodes[0].kill9()
        brokered.wait_for_broker(60)
        before = brokered.publishes("acked")
        wait_for(lambda: brokered.publishes("acked") > before + 100, "it publishes through another node", 60)
        nodes[0].start()
    report = load.drain(capsys, "cluster: the connected node killed")
    assert report.duplicates == 0 and report.longest < ANSWER_SECONDS_MAX and report.unavailable == 0
    cluster.wait_until_empty(60)


@pytest.mark.long
def test_gateways_on_different_nodes(cluster, make_brokered, sink, capsys):
    """Each prefers another node; the one of the ingress-only gateway dies."""
    nodes = cluster.nodes
    leader = make(cluster, make_brokered, sink, nodes)
    follower = make(cluster, make_brokered, sink, nodes[1:] + nodes[:1], leader=leader)
    with Load([leader, follower], sink, rate=150) as load:
        load.more(100)
        nodes[1].kill9()
        for brokered in (leader, follower):
            brokered.wait_for_broker(60)
        load.more(100)
        nodes[1].start()
    report = load.drain(capsys, "cluster: gateways on different nodes", leader)
    assert report.duplicates == 0 and report.longest < ANSWER_SECONDS_MAX and report.unavailable == 0
    wait_for(lambda: follower.metric("penstock_outbox_events") == 0, "the outbox is empty")
    cluster.wait_until_empty(60)


@pytest.mark.long
def test_without_a_majority_the_direct_path(cluster, make_brokered, sink, capsys):
    """Two of three are gone: the third takes nothing, the journal does."""
    nodes = cluster.nodes
    brokered = make(cluster, make_brokered, sink, nodes)
    with Load([brokered], sink, rate=150) as load:
        load.more(100)
        for node in nodes[:2]:
            node.kill9()
        wait_for(lambda: brokered.is_breaker_open() or brokered.metric("penstock_broker_publishers_open") == 0, "the direct path", 10)
        load.more(200)
        for node in nodes[:2]:
            node.start()
        brokered.wait_for_broker(60)
        load.more(100)
    report = load.drain(capsys, "cluster: no majority", seconds=90)
    assert report.duplicates == 0 and report.longest < ANSWER_SECONDS_MAX and report.unavailable == 0
    cluster.wait_until_empty(60)
