# SPDX-License-Identifier: Apache-2.0
"""A client that does the work and then drops its answer, on a new and on a warm connection: payouts are sent once and parked, with what is
known of the attempt on record; others are sent again with the same id."""
import collections
import contextlib
import http
import socket
import threading

import pytest

from support.ports import free_port
from support.wait import wait_for

SOON = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["200ms"] * 32) + "]"}

Request = collections.namedtuple("Request", "id attempt size of_connection connection")


class DroppingClient:
    """Reads every request whole. Those with an id that is to be dropped are not answered: the connection is closed in order instead, as
    by a server that has died after its work. All others get 200, and the connection is kept."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []  # in the order in which they were complete
        self.drops_left = 0
        self.connections = 0
        self.open = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", free_port()))
        self.listener.listen(64)
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/hook"

    def drop_next(self, count):
        with self.lock:
            self.drops_left = count

    def of(self, event):
        with self.lock:
            return [request for request in self.requests if request.id == event]

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with self.lock:
                    self.connections += 1
                    number = self.connections
                    self.open.add(connection)
                self.threads.append(threading.Thread(target=self._serve, args=(connection, number)))
                self.threads[-1].start()

    def _serve(self, connection, number):
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb")
            of_connection = 0
            while self._note(self._read(stream), of_connection, number):
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                of_connection += 1
            connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _read(stream):
        """(headers, size of the whole request), or None at the connection's end."""
        first = stream.readline()
        if not first:
            return None
        lines = [first]
        while lines[-1].strip():
            lines.append(stream.readline())
        headers = {name.lower(): value.strip() for name, _, value in (line.decode("latin-1").partition(":") for line in lines[1:-1])}
        body = stream.read(int(headers["content-length"]))
        return headers, sum(map(len, lines)) + len(body)

    def _note(self, request, of_connection, number):
        """True when it is to be answered."""
        if request is None:
            return False
        headers, size = request
        with self.lock:
            self.requests.append(Request(headers["webhook-id"], int(headers["penstock-attempt"]), size, of_connection, number))
            self.drops_left -= 1
            return self.drops_left < 0

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads[1:]:
            thread.join()
        self.listener.close()


@pytest.fixture
def client():
    client = DroppingClient()
    yield client
    client.stop()


def post(gateway, number, kind):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, type=kind))
    assert answer.status_code == http.HTTPStatus.OK, answer.text
    return answer.json()["event"]


def start(make_gateway, client, warm, schedule=None):
    """A gateway whose connection to the client has been used already, or that has none yet."""
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": schedule} if schedule else SOON)
    gateway.point_endpoint_at(client.url)
    if warm:
        first = post(gateway, "first", "purchase")
        wait_for(lambda: gateway.states(first) == ["delivered"], "a connection is warm")
    return gateway


@pytest.mark.parametrize("warm", [False, True], ids=["new", "warm"])
def test_a_payout_is_sent_once_and_parked_with_the_evidence(make_gateway, client, warm):
    gateway = start(make_gateway, client, warm)
    client.drop_next(1)
    event = post(gateway, "lost", "payout")
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    [delivery] = gateway.timeline(event)["deliveries"]
    assert delivery["reason"] == "ambiguous"
    [request] = client.of(event)
    assert request.of_connection == 0, "a payout takes a connection of its own"
    [attempt] = delivery["attempts"]
    assert attempt["status"] is None and attempt["error"] == "answer-lost"
    assert attempt["connection"] == "new"
    assert attempt["request_complete"] is True
    assert attempt["request_bytes"] == request.size
    assert attempt["answer_bytes"] == 0
    assert "answer" not in attempt
    shown = gateway.tool("event", "show", event)
    assert shown.returncode == 0 and f"{request.size} bytes of the request were sent (all of it)" in shown.stdout, shown.stdout

    # Whatever else is sent, and after a restart: never again by itself.
    other = post(gateway, "other", "payout")
    wait_for(lambda: gateway.states(other) == ["delivered"], "a later payout")
    gateway.restart()
    later = post(gateway, "later", "purchase")
    wait_for(lambda: gateway.states(later) == ["delivered"], "a later event")
    assert gateway.states(event) == ["parked"]
    assert client.of(event) == [request]
    assert gateway.timeline(event)["deliveries"][0]["attempts"] == [attempt]


def test_an_unguarded_event_is_sent_again_over_a_new_connection(make_gateway, client):
    gateway = start(make_gateway, client, warm=False)
    client.drop_next(1)
    event = post(gateway, "lost", "purchase")
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    first, second = client.of(event)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.connection != second.connection
    lost, delivered = gateway.timeline(event)["deliveries"][0]["attempts"]
    assert (lost["status"], lost["error"], delivered["status"]) == (None, "answer-lost", 200)
    assert lost["connection"] == "new"
    assert lost["request_complete"] is True
    assert lost["request_bytes"] == first.size
    assert lost["answer_bytes"] == 0
    assert gateway.metric("penstock_sends_repeated_total") == 0


def check_attempts(gateway, client, event, errors):
    """Each request that the client got is an attempt on record, and carries its number."""
    attempts = gateway.timeline(event)["deliveries"][0]["attempts"]
    assert [attempt["error"] or attempt["status"] for attempt in attempts] == errors
    assert [request.attempt for request in client.of(event)] == list(range(1, len(errors) + 1))
    # The attempt that delivered keeps no count of bytes.
    assert all(attempt.get("request_bytes", request.size) == request.size for attempt, request in zip(attempts, client.of(event)))


def test_an_unguarded_event_that_is_lost_with_a_warm_connection_is_tried_again_at_once(make_gateway, client):
    """It costs no step of the schedule: here the first one is an hour."""
    gateway = start(make_gateway, client, warm=True, schedule="[1h]")
    client.drop_next(1)
    event = post(gateway, "lost", "purchase")
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered", 20)
    first, second = client.of(event)
    assert first.of_connection == 1 and second.of_connection == 0
    check_attempts(gateway, client, event, ["answer-lost", 200])
    assert gateway.metric("penstock_sends_repeated_total") == 1


def test_a_client_that_never_answers_gets_as_many_requests_as_are_on_record(make_gateway, client):
    """The first is lost with the warm connection; libcurl would repeat each of the others as well."""
    gateway = start(make_gateway, client, warm=True, schedule="[200ms, 200ms]")
    client.drop_next(1000)
    event = post(gateway, "lost", "purchase")
    wait_for(lambda: gateway.states(event) == ["dead"], "dead")
    check_attempts(gateway, client, event, ["answer-lost"] * 4)
    connections = [attempt["connection"] for attempt in gateway.timeline(event)["deliveries"][0]["attempts"]]
    assert connections == ["warm", "new", "new", "new"]
    assert gateway.metric("penstock_sends_repeated_total") == 1
