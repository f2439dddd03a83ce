# SPDX-License-Identifier: Apache-2.0
"""A client of the demo partner: an account with one endpoint. Without `name` it is the account and the endpoint that `penstock dev` has made."""
import json

from support.wait import wait_for


class Deployment:
    def __init__(self, gateway, url, name=None, **endpoint):
        """`endpoint`: more members of the endpoint, such as policy={...}."""
        self.gateway = gateway
        self.account, self.endpoint = gateway.ready["account"], gateway.ready["endpoint"]
        self.posted = 0
        if not name:
            self.change(url=url, **endpoint)
            return
        self.account = f"acc_{name}"
        with gateway.operator() as operator:
            self._ask(operator.post, "accounts", {"id": self.account})
            self._ask(operator.post, "partners/partner_demo/accounts", {"account": self.account})
            self.endpoint = self._ask(operator.post, f"accounts/{self.account}/endpoints", {"url": url, **endpoint})["id"]

    @staticmethod
    def _ask(verb, place, body):
        answer = verb(f"/api/v1/{place}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    @property
    def _place(self):
        return f"accounts/{self.account}/endpoints/{self.endpoint}"

    def change(self, **fields):
        """As an operator does. A policy replaces the whole one."""
        with self.gateway.operator() as operator:
            return self._ask(operator.patch, self._place, fields)

    def remove(self):
        with self.gateway.operator() as operator:
            answer = operator.delete(f"/api/v1/{self._place}")
        assert answer.status_code == 200, answer.text

    def show(self):
        with self.gateway.operator() as operator:
            answer = operator.get(f"/api/v1/{self._place}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, count=1, **fields):
        """Posts `count` events in one batch. Returns their ids."""
        events = [self.gateway.event(f"{self.account}-{self.posted + n}", account=self.account, **fields) for n in range(count)]
        self.posted += count
        with self.gateway.partner() as partner:
            answer = partner.post("/v1/events/batch", content="\n".join(map(json.dumps, events)),
                                  headers={"content-type": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert all(result["status"] == 200 for result in results), results
        return [result["event"] for result in results]

    def timelines(self, events):
        """Returns the one delivery of each event."""
        with self.gateway.operator() as operator:
            answers = [operator.get(f"/api/v1/events/{event}") for event in events]
        assert all(answer.status_code == 200 for answer in answers), answers
        return [answer.json()["deliveries"][0] for answer in answers]

    def states(self, events):
        return [delivery["state"] for delivery in self.timelines(events)]

    def are_delivered(self, events):
        """Asks for the last one first, since it is usually the last."""
        return all(self.states([event]) == ["delivered"] for event in reversed(events))


def wait_until_delivered(deployment, events, what="all are delivered", seconds=30):
    wait_for(lambda: deployment.are_delivered(events), lambda: f"{what}: {deployment.states(events)}", seconds)
