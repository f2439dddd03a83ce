# SPDX-License-Identifier: Apache-2.0
"""Bytes over a connection of their own: what no HTTP client would send."""
import socket
import urllib.parse


def connect(url):
    parts = urllib.parse.urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def read_to_end(connection, may_be_reset=False):
    """Returns what arrives until the other side closes the connection."""
    read = b""
    try:
        while piece := connection.recv(65536):
            read += piece
    except ConnectionResetError:
        if not may_be_reset:
            raise
    return read


def exchange(url, data):
    """Sends bytes and returns what arrives until the end of the connection."""
    with connect(url) as connection:
        connection.sendall(data)
        return read_to_end(connection, may_be_reset=True)
