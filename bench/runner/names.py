# SPDX-License-Identifier: Apache-2.0
"""A name server for a run: every name has the address of loopback, until it is silenced. A silenced
name gets no answer at all, as when the name servers of one client are dead.

The gateway asks it because the run gives it a resolv.conf of its own, in a mount namespace. That
needs root, as the port 53 does."""
import pathlib
import random
import socket
import struct
import threading

from runner.process import RunFailed

DOMAIN = "clients.bench"
PORT = 53
HEADER_BYTES = 12
TYPE_A, CLASS_IN, TTL_SECONDS = 1, 1, 1
ANSWER_FLAGS = 0x8180  # an answer, recursion desired and available, no error


def read_question(message):
    """(name in lower case, type, end of the question)."""
    labels, at = [], HEADER_BYTES
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("ascii"))
        at += 1 + message[at]
    kind, = struct.unpack_from("!H", message, at + 1)
    return ".".join(labels).lower(), kind, at + 5


def make_answer(message):
    name, kind, end = read_question(message)
    has_address = kind == TYPE_A and name.endswith(DOMAIN)
    answer = message[:2] + struct.pack("!HHHHH", ANSWER_FLAGS, 1, has_address, 0, 0)
    answer += message[HEADER_BYTES:end]
    if has_address:  # 0xc00c: the name of the question
        answer += struct.pack("!HHHIH4s", 0xc00c, TYPE_A, CLASS_IN, TTL_SECONDS, 4,
                              socket.inet_aton("127.0.0.1"))
    return answer


class NameServer:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.silent = set()  # names that get no answer; replaced as a whole
        self.socket = None
        self.thread = None

    def start(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = f"127.{random.randrange(1, 250)}.{random.randrange(250)}.53"  # one of many runs
        try:
            self.socket.bind((address, PORT))
        except OSError as error:
            raise RunFailed(f"the name server cannot use {address}:{PORT}: {error}; run as root") \
                from None
        (self.directory / "resolv.conf").write_text(f"nameserver {address}\n")
        (self.directory / "hosts").write_text("127.0.0.1 localhost\n")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def prefix(self):
        """What a command begins with so that it asks this server."""
        mounts = " && ".join(f"mount --bind {self.directory / name} /etc/{name}"
                             for name in ("resolv.conf", "hosts"))
        return ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]

    def _serve(self):
        while True:
            try:
                message, sender = self.socket.recvfrom(4096)
                if not message:
                    return  # from end()
                if read_question(message)[0] not in self.silent:
                    self.socket.sendto(make_answer(message), sender)
            except (OSError, IndexError, UnicodeDecodeError, struct.error):
                continue  # not a question

    def end(self):
        if self.socket:
            self.socket.sendto(b"", self.socket.getsockname())
            self.thread.join()
            self.socket.close()
            self.socket = None
