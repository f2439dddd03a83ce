# SPDX-License-Identifier: Apache-2.0
"""Names that one gateway of a test knows, in a mount namespace of its own."""
import contextlib
import socket


class Hosts:
    """The hosts file and the name server of a gateway that is not started yet. No name server answers at 127.0.0.99."""

    def __init__(self, gateway, directory, server="127.0.0.99"):
        self.file = directory / "hosts"
        self.set()
        conf = directory / "resolv.conf"
        conf.write_text(f"nameserver {server}\noptions timeout:1 attempts:1\n")
        gateway.prefix = ["unshare", "-m", "sh", "-c",
                          f'mount --bind {conf} /etc/resolv.conf && mount --bind {self.file} /etc/hosts && exec "$@"', "sh"]

    def set(self, **addresses):
        """NAME=[address, ...]: NAME.example has these addresses."""
        lines = ["127.0.0.1 localhost"] + [f"{address} {name}.example" for name, of_name in addresses.items() for address in of_name]
        self.file.write_text("\n".join(lines) + "\n")


@contextlib.contextmanager
def dead_address(address, port):
    """An address that answers nothing to a connection: the queue of its listener is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield
