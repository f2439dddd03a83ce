#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Posts events to Penstock, until each has an answer that counts.

    URL=http://127.0.0.1:8080 KEY=pk_... python3 post.py < events.jsonl
    ... python3 post.py --batch < events.jsonl          # Python 3.8 or later, no packages

Each line is one event. It must have an id that was made once and is stored with it: then you can
run this again with the same file at any time, also after a crash. What is stored already is a
duplicate. Exit code 1: an event was rejected, and must be changed.
"""
import http.client
import json
import os
import random
import sys
import time
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 10  # the gateway answers within 3 s
WAIT_SECONDS_MAX = 60
BATCH_EVENTS_MAX, BATCH_BYTES_MAX = 1000, 1 << 20


class Gateway:
    """One connection, which is kept open. Python's standard library has HTTP/1.1 only."""

    def __init__(self, url, key):
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        parts = urlsplit(url)
        self.connection = kinds[parts.scheme](parts.netloc, timeout=ANSWER_SECONDS_MAX)
        self.headers = {"Authorization": f"Bearer {key}"}

    def post_once(self, path, media_type, body):
        """Returns the status, the seconds in Retry-After, and the answer. 0: there is no answer."""
        try:
            headers = {**self.headers, "Content-Type": media_type}
            self.connection.request("POST", path, body, headers)
            answer = self.connection.getresponse()
            return answer.status, int(answer.headers.get("Retry-After", 0)), answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()  # the next request makes a new connection
            return 0, 0, b""

    def post(self, path, media_type, body):
        """Posts the same bytes until the answer counts. Returns the status and the answer.

        200: the event is durable. 4xx: change it first. Without an answer, and after 429 and 5xx,
        it is unknown or known not to be stored: post it again, with the same id."""
        wait = 1
        while True:
            status, retry_after, answer = self.post_once(path, media_type, body)
            if 200 <= status < 500 and status != 429:
                return status, answer
            seconds = max(retry_after, wait * random.uniform(0.8, 1.2))
            print(f"{status or 'no answer'}: again in {seconds:.1f} s", file=sys.stderr, flush=True)
            time.sleep(seconds)
            wait = min(2 * wait, WAIT_SECONDS_MAX)


def post_one(gateway, event):
    """Returns whether the event is durable."""
    status, answer = gateway.post("/v1/events", "application/json", event)
    print(answer.decode().strip(), flush=True)
    return status == 200


def post_batch(gateway, events):
    """Posts up to 1000 events and 1 MiB at once. Returns whether all of them are durable."""
    all_durable = True
    while events:
        lines = b"\n".join(events)
        status, answer = gateway.post("/v1/events/batch", "application/x-ndjson", lines)
        if status != 200:  # the whole batch was rejected: for example the key is wrong
            print(answer.decode().strip(), flush=True)
            return False
        again = []
        for event, result in zip(events, json.loads(answer)["results"]):
            if result["status"] in (429, 503):
                again.append(event)
                continue
            all_durable = all_durable and result["status"] == 200
            print(json.dumps(result), flush=True)
        if again:
            print(f"{len(again)} events again in 5 s", file=sys.stderr, flush=True)
            time.sleep(5)
        events = again
    return all_durable


def batches(events):
    batch, size = [], 0
    for event in events:
        if batch and (len(batch) == BATCH_EVENTS_MAX or size + len(event) + 1 > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch


def main():
    gateway = Gateway(os.environ["URL"], os.environ["KEY"])
    events = (line.strip() for line in sys.stdin.buffer if line.strip())
    if sys.argv[1:] == ["--batch"]:
        durable = [post_batch(gateway, batch) for batch in batches(events)]
    else:
        durable = [post_one(gateway, event) for event in events]
    return 0 if all(durable) else 1


if __name__ == "__main__":
    sys.exit(main())
