# SPDX-License-Identifier: Apache-2.0
"""A small store-and-forward program, as a target of bench/run that is not Penstock: it stores each post in SQLite, answers 202 with an id
of its own, and forwards it in an envelope until the client answers 2xx. On demand it loses or duplicates events, so that a test can show
that this is found.

  python3 forwarder.py --port N --to URL --store FILE [--pid FILE] [--lose-every N] [--duplicate-every N]"""
import argparse
import http.client
import http.server
import json
import os
import pathlib
import queue
import sqlite3
import threading
import time
import urllib.parse
import uuid

FORWARDERS, RETRY_SECONDS = 4, 0.2


class Store:
    """One connection and a lock: a few hundred posts a second."""

    def __init__(self, file):
        self.lock = threading.Lock()
        self.database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, key TEXT UNIQUE, account TEXT, body TEXT, "
                              "is_sent INTEGER DEFAULT 0)")

    def add(self, key, account, body):
        """(id, whether it is new)."""
        new = uuid.uuid4().hex
        with self.lock:
            is_new = self.database.execute("INSERT OR IGNORE INTO messages (id, key, account, body) VALUES (?, ?, ?, ?)",
                                           (new, key, account, body)).rowcount == 1
            return self.database.execute("SELECT id FROM messages WHERE key = ?", (key,)).fetchone()[0], is_new

    def mark(self, message):
        with self.lock:
            self.database.execute("UPDATE messages SET is_sent = 1 WHERE id = ?", (message,))

    def waiting(self):
        with self.lock:
            return self.database.execute("SELECT id, account, body FROM messages WHERE NOT is_sent ORDER BY rowid").fetchall()


class Forwarder:
    def __init__(self, options):
        self.options = options
        self.store = Store(options.store)
        self.queue = queue.Queue()
        self.count = 0
        for row in self.store.waiting():
            self.queue.put(row)
        for _ in range(FORWARDERS):
            threading.Thread(target=self.forward_all, daemon=True).start()

    def take(self, key, account, body):
        message, is_new = self.store.add(key, account, body)
        if is_new:
            self.count += 1
            every = self.options.lose_every
            if every and self.count % every == 0:
                self.store.mark(message)
            else:
                self.queue.put((message, account, body))
        return message, is_new

    def forward_all(self):
        sent = 0
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.options.to).netloc, timeout=5)
        while True:
            message, account, body = self.queue.get()
            envelope = json.dumps({"message": message, "payload": json.loads(body)})
            while not self.forward(connection, message, account, envelope):
                time.sleep(RETRY_SECONDS)
            sent += 1
            every = self.options.duplicate_every
            if every and sent % every == 0:
                self.forward(connection, message, account, envelope)
            self.store.mark(message)

    @staticmethod
    def forward(connection, message, account, envelope):
        try:
            connection.request("POST", f"/{account}", envelope, {"content-type": "application/json", "x-message-id": message})
            answer = connection.getresponse()
            answer.read()
            return answer.status // 100 == 2
        except (OSError, http.client.HTTPException):
            connection.close()
            return False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        account = urllib.parse.urlsplit(self.path).path.rpartition("/")[2]
        message, is_new = self.server.forwarder.take(self.headers["idempotency-key"], account, body)
        answer = json.dumps({"message": {"id": message}}).encode()
        self.send_response(202 if is_new else 200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--pid", type=pathlib.Path)
    parser.add_argument("--lose-every", type=int, default=0)
    parser.add_argument("--duplicate-every", type=int, default=0)
    options = parser.parse_args()
    if options.pid:
        options.pid.write_text(f"{os.getpid()}\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    server.forwarder = Forwarder(options)
    server.serve_forever()


main()
