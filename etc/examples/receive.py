#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Receives webhooks of Penstock: verifies each one, and stores each event once.

    SECRETS=whsec_... python3 receive.py          # Python 3.9 or later, no packages

SECRETS has the signing secret of the endpoint. During a rotation it has the old one and the new
one, separated by a space. PORT and DATABASE can be set as well. On the internet, put a server with
TLS in front of it, such as nginx.
"""
import base64
import contextlib
import hmac
import os
import re
import sqlite3
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = [base64.b64decode(text.removeprefix("whsec_")) for text in os.environ["SECRETS"].split()]
if not SECRETS or b"" in SECRETS:
    raise SystemExit("SECRETS must have one or more whsec_... secrets")
PORT = int(os.environ.get("PORT", "9000"))
DATABASE = os.environ.get("DATABASE", "events.db")
BODY_BYTES_MAX = 65536  # Penstock sends no more
CLOCK_SECONDS_MAX = 300  # a request that is older is a replay, or one of the clocks is wrong


def verify(headers, body):
    """Returns why a request is refused, or None. `body` is the raw bytes, as they were received."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", webhook_id):
        return "webhook-id is missing or wrong"
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return "webhook-timestamp is missing or wrong"
    if abs(time.time() - int(timestamp)) > CLOCK_SECONDS_MAX:
        return "webhook-timestamp is more than 5 minutes off"
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    given = headers.get("webhook-signature", "").encode().split()
    for secret in SECRETS:
        expected = b"v1," + base64.b64encode(hmac.digest(secret, signed, "sha256"))
        if any(hmac.compare_digest(expected, signature) for signature in given):
            return None
    return "webhook-signature is missing or wrong"


def store_once(webhook_id, body):
    """Stores the event durably, and returns whether it is new. A repeated one changes nothing."""
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=20)) as database:
        with database:  # a transaction: committed at the end, rolled back after an exception
            is_new = database.execute(
                "INSERT INTO events (webhook_id, body) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (webhook_id, body)).rowcount == 1
            # What else you change in this database for a new event belongs here, so that all of it
            # is committed, or nothing. Slow work is for another program: it reads this table.
        return is_new


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept open
    timeout = 75

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, "the body is too large, or has no Content-Length")
        body = self.rfile.read(int(length))
        webhook_id = self.headers.get("webhook-id", "")
        reason = verify(self.headers, body)
        if reason:
            return self.answer(401, reason)  # Penstock shows the text to the operator
        if self.headers.get("penstock-test") == "true":
            return self.answer(200, f"test {webhook_id}")  # an operator tests the endpoint
        try:
            is_new = store_once(webhook_id, body)
        except sqlite3.Error as error:
            self.log_error("%s", error)
            return self.answer(503, "the event cannot be stored now")  # it will be sent again
        return self.answer(200, f"{'stored' if is_new else 'duplicate'} {webhook_id}")

    def answer(self, status, text):
        print(status, text, flush=True)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_request(self, code="-", size="-"):
        pass  # answer() prints a line


if __name__ == "__main__":
    with contextlib.closing(sqlite3.connect(DATABASE)) as created, created:
        created.execute(
            "CREATE TABLE IF NOT EXISTS events (webhook_id TEXT PRIMARY KEY, body BLOB)")
    ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
