# SPDX-License-Identifier: Apache-2.0
"""A TCP relay between a gateway and its broker, with the faults of a network: connections that are
reset, half-open (nothing passes) or slow, and connections that are refused.

It runs in a thread of its own and accepts connections until stop()."""
import asyncio
import contextlib
import socket
import struct
import threading

from support.ports import free_port

_CHUNK = 16384


class Relay:
    def __init__(self, port):
        """Relays to 127.0.0.1:`port`."""
        self.target = port
        self.port = free_port()
        self.transported = 0
        self._loop = asyncio.new_event_loop()
        self._open = None  # an event: set while data may pass
        self._bytes_per_second = None
        self._writers = set()
        self._listener = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._start())

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    # --- faults ---

    def reset(self):
        """Resets both sides of every connection (RST). New ones are accepted."""
        self._do(self._reset())

    def refuse(self):
        """Like reset. New connections are refused until restore()."""
        self._do(self._refuse())

    def freeze(self):
        """Passes and reads nothing in both directions. Connections stay open; new ones are accepted
        and hang."""
        self._do(self._set(False, None))

    def slow(self, bytes_per_second):
        """Limits each direction of each connection."""
        self._do(self._set(True, bytes_per_second))

    def restore(self):
        self._do(self._restore())

    def connections(self):
        return len(self._writers) // 2

    def stop(self):
        self._do(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # --- in the thread ---

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _start(self):
        self._open = asyncio.Event()
        self._open.set()
        self._listener = await asyncio.start_server(self._take, "127.0.0.1", self.port, limit=_CHUNK)

    async def _set(self, passes, bytes_per_second):
        self._bytes_per_second = bytes_per_second
        self._open.set() if passes else self._open.clear()

    async def _restore(self):
        await self._set(True, None)
        if not self._listener:
            self._listener = await asyncio.start_server(self._take, "127.0.0.1", self.port, limit=_CHUNK)

    async def _reset(self):
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _refuse(self):
        if self._listener:
            self._listener.close()
            self._listener = None
        await self._reset()

    async def _take(self, reader, writer):
        await self._open.wait()
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=_CHUNK)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, other_writer}
        await asyncio.gather(self._pass(reader, other_writer), self._pass(other_reader, writer))
        self._writers -= {writer, other_writer}

    async def _pass(self, reader, writer):
        """Relays one direction until one end closes. Then it closes both ends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._open.wait()
                if self._bytes_per_second:
                    await asyncio.sleep(len(data) / self._bytes_per_second)
                writer.write(data)
                self.transported += len(data)
                await writer.drain()
        writer.close()
