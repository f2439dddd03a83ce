# SPDX-License-Identifier: Apache-2.0
"""Bytes of HTTP/2 (RFC 9113) and HPACK (RFC 7541), also of frames that no library would send.

Nothing here checks anything: a caller gets exactly the bytes that it asks for."""
import re
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

ERROR_NAMES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
               "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]

WINDOW_MAX = 2 ** 31 - 1
FRAME_BYTES = 16384  # the largest payload that every receiver takes


def error_name(code):
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else hex(code)


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """`length`: what the header says, if it is not the length of the payload."""
    size = len(payload) if length is None else length
    return struct.pack(">HBBBI", size >> 8, size & 255, kind, flags, stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def ping(ack=False, data=b"penstock"):
    return frame(PING, ACK if ack else 0, payload=data)


def rst_stream(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def priority(stream, depends_on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on, weight))


def goaway(last=0, code=0, debug=b""):
    return frame(GOAWAY, payload=struct.pack(">II", last, code) + debug)


def data(stream, body, end=False):
    return frame(DATA, END_STREAM if end else 0, stream, body)


def padded_data(stream, body, padding, end=False):
    return frame(DATA, PADDED | (END_STREAM if end else 0), stream, bytes([padding]) + body + bytes(padding))


# --- HPACK, without Huffman codes ---

def integer(value, prefix_bits, first=0):
    """RFC 7541, 5.1. `first` holds the bits before the prefix."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    encoded, value = bytearray([first | most]), value - most
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def string(text):
    return integer(len(text), 7) + text


def indexed(index):
    return integer(index, 7, 0x80)


def literal(name, value):
    """A field that does not enter the table. `name` is a text or an index."""
    return (integer(name, 4) if isinstance(name, int) else b"\0" + string(name)) + string(value)


def literal_indexed(name, value):
    """A field that enters the dynamic table."""
    return (integer(name, 6, 0x40) if isinstance(name, int) else b"\x40" + string(name)) + string(value)


def size_update(size):
    return integer(size, 5, 0x20)


GET, POST, HTTP, HTTPS = b"\x82", b"\x83", b"\x86", b"\x87"  # indexes of the static table


def request_block(method, path, fields=(), authority=b"a", scheme=HTTP):
    """A complete header block. `method` is GET, POST or a literal."""
    return method + scheme + literal(4, path) + literal(1, authority) + b"".join(literal(name, value) for name, value in fields)


def headers(stream, block, end=True, flags=0):
    """One HEADERS frame that ends the block, or, for a longer block, HEADERS and CONTINUATION."""
    flags |= END_STREAM if end else 0
    if len(block) <= FRAME_BYTES:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    pieces = [block[at:at + FRAME_BYTES] for at in range(0, len(block), FRAME_BYTES)]
    return (frame(HEADERS, flags, stream, pieces[0]) + b"".join(frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]) +
            frame(CONTINUATION, END_HEADERS, stream, pieces[-1]))


# --- what a server says ---

_STATIC_STATUS = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
_DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6", "011101": "7", "011110": "8",
           "011111": "9"}


def _digits_of(huffman):
    bits, digits, code = "".join(f"{byte:08b}" for byte in huffman), "", ""
    for bit in bits:
        code += bit
        if code in _DIGITS:
            digits += _DIGITS[code]
            code = ""
    return digits


def status_of(block):
    """The :status at the start of a server's header block; 0 if it cannot be read. The server must have been sent
    SETTINGS_HEADER_TABLE_SIZE 0: then it refers to the static table only."""
    at = 0
    while at < len(block) and block[at] & 0xe0 == 0x20:  # size updates; ours is 0, so each has one byte
        at += 1
    if at >= len(block):
        return 0
    if block[at] in _STATIC_STATUS:
        return _STATIC_STATUS[block[at]]
    index = block[at] & (0x3f if block[at] & 0x40 else 0x0f)
    if not 8 <= index <= 14 or at + 1 >= len(block):
        return 0
    length, text = block[at + 1] & 127, block[at + 2:at + 2 + (block[at + 1] & 127)]
    digits = _digits_of(text) if block[at + 1] & 128 else text.decode("latin-1")
    return int(digits) if len(text) == length and re.fullmatch(r"\d{3}", digits) else 0


_GOAWAY = re.compile(rb"\x00[\x00-\x3f][\x08-\xff]\x07\x00\x00\x00\x00\x00[\x00-\x7f][\x00-\xff]{3}(\x00\x00\x00[\x00-\x0d])", re.DOTALL)


def goaway_in(tail):
    """The error name of the last GOAWAY in these bytes, or ""."""
    found = _GOAWAY.findall(tail)
    return error_name(struct.unpack(">I", found[-1])[0]) if found else ""


def split_frames(buffer):
    """Removes the complete frames from a bytearray. Returns [(kind, flags, stream, payload)]."""
    frames, at = [], 0
    while len(buffer) - at >= 9:
        size = int.from_bytes(buffer[at:at + 3], "big")
        if len(buffer) - at < 9 + size:
            break
        stream = int.from_bytes(buffer[at + 5:at + 9], "big") & WINDOW_MAX
        frames.append((buffer[at + 3], buffer[at + 4], stream, bytes(buffer[at + 9:at + 9 + size])))
        at += 9 + size
    del buffer[:at]
    return frames
