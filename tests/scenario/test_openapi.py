# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document against a running gateway: each operation with each example of its body, each documented status, the webhooks, and the
document itself. tests/lint/api.py compares the document with the source.

PENSTOCK_OPENAPI_ANSWERS=FILE writes the first answer of each operation and status: the examples in the document are taken from it."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

import pytest
import yaml

from support import client as http
from support.gateway import ROOT
from support.openapi import Document, wrong_with
from support.wait import wait_for

SOURCE = ROOT / "etc/api/openapi.yaml"
MODULES = ROOT / "build/openapi"
NOBODY = {"partner": "nobody", "account": "nobody", "endpoint": "nobody", "key": "key_ffffffffffffffff", "secret": "sec_ffffffffffffffff",
          "event": "evt_00000000-0000-7000-8000-000000000000", "delivery": "dlv_00000000-0000-7000-8000-000000000000-0",
          "replay": "rpl_00000000-0000-7000-8000-000000000000"}
# Documented, and not provoked here: 1000 look-ups in one second, a list of 50000 rows. (And 503, if it is no post: a gateway that stops, or a
# disk that fails.)
NOT_PROVOKED = {("findEvents", 429), ("getEvent", 429), ("getDescription", 429), ("getAudit", 413)}


class Caller:
    """Calls operations by their ids. What the document does not say fails at once."""

    def __init__(self, document, client, values):
        self.document, self.client, self.values = document, client, values
        client.event_hooks = {"response": [document.check_answer]}

    def send(self, operation, body=None, media="application/json", query=None, headers=None, **parts):
        """`parts`: values in the path, in place of the examples of the document."""
        op = self.document.operations[operation]
        values = {p["name"]: p.get("example") for p in op.parameters if p["in"] == "path"} | self.values | parts
        content = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
        headers = {**({"content-type": media} if content is not None else {}), **(headers or {})}
        return self.client.request(op.method, op.path.format(**values), content=content, params=query, headers=headers)

    def do(self, operation, body=None, status=None, **how):
        """The JSON of the answer, which must have this status (or a documented 2xx)."""
        answer = self.send(operation, body, **how)
        assert answer.status_code == status if status else answer.is_success, f"{operation}: {answer.status_code} {answer.text}"
        return answer.json()

    def example(self, operation, name, **how):
        """With an example of the document as body."""
        media, value = next((media, value) for media, found, value in self.document.operations[operation].examples() if found == name)
        self.document.used.add((operation, name))
        answer = self.do(operation, value, media=media, **how)
        self.document.answers.setdefault(f"{operation} {name}", answer)
        return answer

    def all_examples(self, operation, **how):
        return [self.example(operation, name, **how) for _, name, _ in self.document.operations[operation].examples()]

    def with_parameters(self, operation, **how):
        """With the examples of all parameters in the query."""
        op = self.document.operations[operation]
        query = {p["name"]: json.dumps(p["example"]) if isinstance(p["example"], bool) else p["example"]
                 for p in op.parameters if p["in"] == "query" and "example" in p}
        return self.do(operation, query=query, **how)


@pytest.fixture
def world(make_gateway, sink, tmp_path):
    """A gateway with the partner and the client of the examples."""
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_DELIVERY__GUARDED_ANSWER_TIMEOUT": "2s"})
    document = Document(http.get(f"{gateway.admin}/openapi.json").json())
    with gateway.operator() as client:
        yield World(gateway, sink, document, Caller(document, client, {}))
    place = os.environ.get("PENSTOCK_OPENAPI_ANSWERS")
    if place:
        with open(place, "a", encoding="utf-8") as file:
            json.dump(document.answers, file)
            file.write("\n")


class World:
    def __init__(self, gateway, sink, document, operator):
        self.gateway, self.sink, self.document, self.operator = gateway, sink, document, operator
        operator.example("addPartner", "partner")
        operator.example("addAccount", "account")
        operator.example("grantAccount", "grant")
        self.key = operator.example("addKey", "plain")
        operator.example("addEndpoint", "simple")
        operator.do("changeEndpoint", {"url": sink.url("/main")})
        self.partner = self.as_partner(self.key["api_key"])

    def as_partner(self, key):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return Caller(self.document, http.client(base_url=self.gateway.ingress, headers=headers, timeout=30), {})

    def post(self, number, **fields):
        event = {"id": f"o-{number}", "type": "purchase", "account": "acc_42", "amount": "129.90", "currency": "EUR", **fields}
        return self.partner.do("postEvent", event)["event"]

    def wait_for_state(self, event, state):
        def is_so():
            return [delivery["state"] for delivery in self.operator.do("getTimeline", event=event)["deliveries"]] == [state]
        wait_for(is_so, lambda: f"{event} is {state}: {self.operator.do('getTimeline', event=event)}", 30)
        return f"dlv_{event.removeprefix('evt_')}-0"


def sign(secret, body, message="order-1004", timestamp=None):
    """The headers of Standard Webhooks, made without our own code."""
    timestamp = timestamp or str(int(time.time()))
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), f"{message}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return {"webhook-id": message, "webhook-timestamp": timestamp, "webhook-signature": "v1," + base64.b64encode(mac).decode()}


# --- the story of the examples, part by part ---

def manage_partners(world):
    operator = world.operator
    operator.example("addPartner", "partner", status=409)
    operator.do("listPartners")
    operator.all_examples("changePartner")
    scoped = operator.example("addKey", "scoped")
    operator.do("listKeys")
    operator.all_examples("changeKey", key=scoped["id"])
    operator.do("revokeKey", key=scoped["id"])
    secrets = operator.all_examples("addPartnerSecret")
    operator.do("listPartnerSecrets")
    operator.do("removePartnerSecret", secret=secrets[1]["id"])
    operator.do("getPartner")
    operator.do("listGrants")
    other = operator.do("addAccount", {"id": "acc_other"})["id"]
    operator.do("grantAccount", {"account": other})
    operator.do("withdrawGrant", account=other)
    return secrets[0]["secret"]


def manage_accounts(world):
    operator = world.operator
    operator.example("addAccount", "account", status=409)
    operator.example("addEndpoint", "simple", status=409)
    operator.do("listAccounts")
    operator.example("addEndpoint", "policy")
    operator.do("getEndpoint", endpoint="payouts")
    operator.do("removeEndpoint", endpoint="payouts")
    for name in ("types", "disable", "enable", "policy", "keep", "noPolicy"):
        operator.example("changeEndpoint", name)
    operator.example("addEndpointSecret", "made")
    operator.do("listEndpointSecrets")
    operator.do("removeEndpointSecret", secret="sec_1")
    operator.do("removeEndpointSecret", secret="sec_0", status=422)
    operator.do("getEndpoint")
    operator.do("listEndpoints")
    assert operator.example("testEndpoint", "nothing")["success"]
    operator.do("testEndpoint")


def post_events(world, secret):
    partner = world.partner
    first = partner.all_examples("postEvent")[0]
    assert partner.example("postEvent", "purchase") == {**first, "status": "duplicate", "receipt": partner.example("postEvent", "purchase")["receipt"]}
    headers = {p["name"]: p["example"] for p in world.document.operations["postEvent"].parameters}
    assert partner.example("postEvent", "purchase", headers=headers)["event"] == first["event"], "the header has the same key"
    results = [result["status"] for answer in partner.all_examples("postBatch") for result in answer["results"]]
    assert results == [200, 422, 200, 200]
    [body] = [json.dumps(value) for _, _, value in world.document.operations["postSignedEvent"].examples()]
    world.as_partner(None).do("postSignedEvent", body, headers=sign(secret, body))
    world.document.used.add(("postSignedEvent", "purchase"))
    world.wait_for_state(first["event"], "delivered")
    assert partner.with_parameters("findEvents")["events"] == [partner.do("getEvent", event=first["event"])]
    description = partner.do("getDescription")
    assert set(description["paths"]) == {op.path for op in world.document.operations.values() if op.path.startswith("/v1/")} | {"/openapi.json"}
    return first["event"]


def refuse_posts(world, secret):
    partner, stranger = world.partner, world.as_partner(None)
    event = {"id": "order-1001", "type": "purchase", "account": "acc_42", "amount": "7", "currency": "EUR"}
    signed = json.dumps(event)
    partner.do("postEvent", event, status=422)

    def send(operation, body, status, media="application/json"):
        is_signed = operation == "postSignedEvent"
        (stranger if is_signed else partner).do(operation, body, status=status, media=media, headers=sign(secret, body) if is_signed else {})

    for operation in ("postEvent", "postBatch", "postSignedEvent"):
        batch = operation == "postBatch"
        send(operation, "[{]" if batch else "{", 400)
        send(operation, " " * (1 << 20) + "[]" if batch else json.dumps({**event, "data": "x" * 66000}), 413)
        send(operation, signed, 415, "text/plain")
        if not batch:
            send(operation, json.dumps({**event, "type": 7}), 422)
            send(operation, json.dumps({**event, "account": "acc_other"}), 403)
        stranger.do(operation, signed, status=401)
    partner.do("postBatch", json.dumps([event]), headers={"idempotency-key": "k"}, status=422)
    for operation in ("findEvents", "getEvent", "getDescription"):
        stranger.do(operation, query={"key": "k"} if operation == "findEvents" else None, status=401)
    partner.do("getEvent", event=NOBODY["event"], status=404)
    partner.do("findEvents", query={"key": "nothing"}, status=404)
    partner.do("findEvents", query={"id": "order-1001"}, status=422)


def forbid_and_limit(world, secret):
    partner, operator = world.partner, world.operator
    event = {"type": "view", "account": "acc_42"}
    body = json.dumps(event)

    def send(status):
        partner.do("postEvent", event, status=status)
        partner.do("postBatch", [event], status=status)
        world.as_partner(None).do("postSignedEvent", body, headers=sign(secret, body), status=status)

    operator.do("changePartner", {"rules": {"allow_networks": ["192.0.2.0/24"]}})
    send(403)
    for operation in ("findEvents", "getEvent", "getDescription"):
        partner.do(operation, query={"key": "k"} if operation == "findEvents" else None, event=NOBODY["event"], status=403)
    operator.do("changePartner", {"rules": {"allow_networks": None, "events_per_second": 1, "events_burst": 1}})
    wait_for(lambda: partner.send("postEvent", event).status_code == 429, "the limit is used up")
    send(429)
    assert "ratelimit" in partner.send("postEvent", event).headers
    operator.example("changePartner", "reset")
    operator.do("setSwitch", {"switch": "ingress", "state": "off", "reason": "a test"})
    send(503)
    operator.example("setSwitch", "ingress")
    rejections = operator.do("listRejections")["rejections"]
    assert rejections and all("body" in rejection for rejection in rejections)


def look_into_history(world, event):
    operator = world.operator
    assert [found["event"] for found in operator.with_parameters("listEvents")["events"]] == [event]
    assert [found["event"] for found in operator.with_parameters("listDeliveries")["deliveries"]] == [event]
    for operation, named in (("listConflicts", "conflicts"), ("listPoison", "poison")):
        operator.with_parameters(operation)
        operator.do(operation, query={"limit": 1})[named]  # pylint: disable=expression-not-assigned
    assert operator.do("listConflicts", query={"event": event})["conflicts"]
    page = operator.do("listDeliveries", query={"limit": 1})
    operator.do("listDeliveries", query={"limit": 1, "cursor": page["next"]})


def act_on_deliveries(world):
    operator, sink = world.operator, world.sink
    sink.behave("/main", status=500)
    waiting, unwanted = (world.wait_for_state(world.post(f"fails-{n}"), "waiting") for n in range(2))
    operator.do("getDelivery", delivery=waiting)
    operator.do("listDeliveries", query={"cause": "http-failed"})
    operator.do("getStatus")
    operator.do("getBacklog")
    operator.example("discardDelivery", "discard", delivery=unwanted)
    operator.example("discardDelivery", "discard", delivery=unwanted, status=409)
    sink.behave("/main", status=200)
    operator.example("retryDelivery", "again", delivery=waiting)
    world.wait_for_state("evt_" + waiting[4:-2], "delivered")
    operator.example("retryDelivery", "again", delivery=waiting, status=409)
    operator.example("retryDelivery", "force", delivery=waiting)
    sink.behave("/main", mode="drop")
    payout = world.wait_for_state(world.post("payout", type="payout"), "parked")
    sink.behave("/main")
    operator.do("getDelivery", delivery=payout)
    operator.example("resolveDelivery", "delivered", delivery=payout)
    operator.example("resolveDelivery", "delivered", delivery=payout, status=409)


def replay(world):
    operator = world.operator
    operator.example("changeEndpoint", "disable")
    world.wait_for_state(world.post("disabled"), "parked")
    assert operator.example("createReplay", "dryRun", status=200)["refused"] == {"endpoint_disabled": 1}
    operator.example("changeEndpoint", "enable")
    operator.example("createReplay", "retry", status=201)
    for n in range(5):
        event = world.post(f"replayed-{n}")
    world.wait_for_state(event, "delivered")
    made = operator.do("createReplay", {"state": "delivered", "force": True, "account": "acc_42", "rate": 1, "reason": "a test"}, status=201)
    operator.example("changeReplay", "pause", replay=made["id"])
    operator.example("changeReplay", "rate", replay=made["id"])
    operator.do("changeReplay", {"state": "cancelled"}, replay=made["id"])
    wait_for(lambda: operator.do("getReplay", replay=made["id"])["state"] == "cancelled", "the replay is cancelled")
    operator.do("changeReplay", {"state": "running"}, replay=made["id"], status=409)
    operator.with_parameters("listReplays")
    page = operator.do("listReplays", query={"limit": 1})
    operator.do("listReplays", query={"cursor": page["next"]})


def look_at_the_gateway(world):
    operator = world.operator
    for name in ("switchOff", "switchOn"):
        operator.example("setSwitch", name)
        operator.with_parameters("listSwitches")
        operator.do("getStatus")
        operator.do("getEndpoint")
    operator.do("listSwitches")
    for operation in ("getBacklog", "getAudit", "listChanges"):
        operator.do(operation)
        operator.with_parameters(operation)
    for operation in ("getInstallation", "listOperatorEvents", "getDescription"):
        operator.do(operation)
    for operation, query in (("getLivez", None), ("getReadyz", {"verbose": ""}), ("getReadyz", None), ("getMetrics", None)):
        assert operator.send(operation, query=query).status_code == 200


def refuse_operators(world):
    """What every operation of the admin API has in common: the token, the Origin header, wrong bodies, wrong parameters, wrong names."""
    operator, document = world.operator, world.document
    stranger = Caller(document, http.client(base_url=world.gateway.admin, timeout=30), {})
    for op in document.operations.values():
        if not op.path.startswith(("/api/", "/metrics")):
            continue
        example = next((value for _, _, value in op.examples()), None)
        if 401 in op.statuses():
            stranger.do(op.id, example, status=401)
        operator.do(op.id, example, headers={"origin": "http://attacker.example"}, status=403)
        if 400 in op.statuses():
            operator.do(op.id, "{", status=400)
        if 404 in op.statuses():
            by_filter = not any(p["in"] == "path" for p in op.parameters)
            operator.do(op.id, example, query={"account": "nobody"} if by_filter else None, status=404, **NOBODY)
        if 422 in op.statuses() and op.method != "DELETE":
            operator.do(op.id, {"nothing": 1} if op.bodies else None, query=None if op.bodies else {"nothing": 1}, status=422)


def check_webhooks(world):
    operator, document = world.operator, world.document
    operator.do("addEndpoint", {"url": world.sink.url("/operators")}, account="penstock")
    operator.example("changeEndpoint", "disable")
    operator.example("changeEndpoint", "enable")
    wait_for(lambda: [1 for delivery in world.sink.deliveries() if delivery.path == "/operators"], "operator events are delivered")
    kinds = set()
    for delivery in world.sink.deliveries():
        test = delivery.headers.get("penstock-test")
        name = "endpointTest" if test else "operatorEvent" if delivery.path == "/operators" else "event"
        kinds.add(name)
        document.check_webhook(name, delivery.headers, delivery.body)
        document.answers.setdefault(name, json.loads(delivery.body))
    assert kinds == set(document.webhooks)


def test_each_operation_answers_as_the_document_says(world):
    secret = manage_partners(world)
    manage_accounts(world)
    event = post_events(world, secret)
    refuse_posts(world, secret)
    look_into_history(world, event)
    act_on_deliveries(world)
    replay(world)
    forbid_and_limit(world, secret)
    refuse_operators(world)
    look_at_the_gateway(world)
    check_webhooks(world)
    document = world.document
    unused = {(op.id, name) for op in document.operations.values() for _, name, _ in op.examples()} - document.used
    assert not unused, f"examples that nobody has sent: {sorted(unused)}"
    missing = {(op.id, status) for op in document.operations.values() for status in op.statuses() - document.seen[op.id]
               if status != 503 or op.id.startswith("post")} - NOT_PROVOKED
    assert not missing, f"documented, but not seen: {sorted(missing)}"


@pytest.mark.once
def test_document_is_the_file_and_its_examples_fit(gateway):
    served = http.get(f"{gateway.admin}/openapi.json").json()
    source = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    del source["x-servers"]
    assert served == source
    count, wrong = Document(served).wrong_examples()
    assert count > 150 and not wrong, "\n".join(wrong)
    with gateway.partner() as partner:
        part = partner.get("/openapi.json").json()
    assert set(part["webhooks"]) == {"event", "endpointTest"}
    assert not [path for path in part["paths"] if path.startswith("/api/")]
    assert "adminToken" not in part["components"]["securitySchemes"]
    for document in (served, part):
        text = json.dumps(document)
        for kind, names in document["components"].items():
            unused = [name for name in names if f"#/components/{kind}/{name}\"" not in text and kind != "securitySchemes"]
            assert not unused, f"{kind} without use: {unused}"


@pytest.mark.once
@pytest.mark.parametrize("section, name", [("webhooks", "receiveEvent"), ("operations", "postSignedEvent")])
def test_signatures_in_examples_are_right(section, name):
    document = Document(yaml.safe_load(SOURCE.read_text(encoding="utf-8")))
    op = next(op for op in getattr(document, section).values() if op.id == name)
    values = {p["name"]: p.get("example") for p in op.parameters}
    [(_, _, body)] = op.examples()
    [secret] = [value["secret"] for _, _, value in document.operations["addPartnerSecret"].examples() if value]
    signed = sign(secret, json.dumps(body, separators=(",", ":")), values["webhook-id"], values["webhook-timestamp"])
    assert signed["webhook-signature"] == values["webhook-signature"]


@pytest.mark.once
def test_rules_of_redocly_find_nothing(gateway, tmp_path):
    assert (MODULES / "node_modules/@redocly").is_dir(), f"{MODULES} has no packages: etc/test installs them (npm ci in a copy of tests/support/openapi)"
    part = tmp_path / "partners.json"
    with gateway.partner() as partner:
        part.write_text(partner.get("/openapi.json").text, encoding="utf-8")
    for path in (SOURCE, part):
        done = subprocess.run(["node", str(ROOT / "tests/support/openapi/lint.mjs"), str(MODULES), str(path)], capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.once
def test_a_closed_schema_finds_what_the_document_lacks():
    """The checker itself: a checker that finds nothing is a defect."""
    document = Document(yaml.safe_load(SOURCE.read_text(encoding="utf-8")))
    schema = document.schema({"$ref": "#/components/schemas/NewApiKey"}, True)
    good = {"id": "key_0123456789abcdef", "label": None, "created_at": "2026-11-30T12:00:00.5Z", "expires_at": None, "expired": False,
            "last_used_at": None, "accounts": [], "types": [], "partner": "shop", "api_key": "pk_" + "a" * 32}
    assert not wrong_with(schema, good)
    for change in ({"more": 1}, {"created_at": "yesterday"}, {"expired": 1}, {"id": "key_1"}, {"accounts": ["-"]}):
        assert wrong_with(schema, {**good, **change}), change
    assert wrong_with(schema, {name: value for name, value in good.items() if name != "partner"})
