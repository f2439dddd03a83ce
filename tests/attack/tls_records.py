# SPDX-License-Identifier: Apache-2.0
"""A client of TLS 1.3 that makes its own records after the handshake (RFC 8446 sections 5.2 and 7.2), with AES-GCM of OpenSSL."""
import ctypes
import ctypes.util
import hashlib
import hmac
import ssl
import struct
import tempfile
import time

from attack.wire import Wire, tls_context

HANDSHAKE, DATA = 22, 23
KEY_UPDATE = b"\x18\0\0\1\0"  # it asks for no answer
TAG_BYTES, GET_TAG = 16, 0x10  # EVP_CTRL_AEAD_GET_TAG

_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _name in ("EVP_aes_128_gcm", "EVP_aes_256_gcm", "EVP_CIPHER_CTX_new"):
    getattr(_crypto, _name).restype = ctypes.c_void_p


def seal(key, nonce, text, head):
    """AES-GCM: the ciphertext and the tag."""
    cipher = {16: _crypto.EVP_aes_128_gcm, 32: _crypto.EVP_aes_256_gcm}[len(key)]()
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    out, tag, length = ctypes.create_string_buffer(len(text) + TAG_BYTES), ctypes.create_string_buffer(TAG_BYTES), ctypes.c_int()
    _crypto.EVP_EncryptInit_ex(context, ctypes.c_void_p(cipher), None, key, nonce)
    _crypto.EVP_EncryptUpdate(context, None, ctypes.byref(length), head, len(head))
    _crypto.EVP_EncryptUpdate(context, out, ctypes.byref(length), text, len(text))
    _crypto.EVP_EncryptFinal_ex(context, tag, ctypes.byref(length))
    _crypto.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_BYTES, tag)
    _crypto.EVP_CIPHER_CTX_free(context)
    return out.raw[:len(text)] + tag.raw


class Records:
    def __init__(self, target, alpn="http/1.1"):
        self.wire, self.number = Wire(target, None), 0
        context = tls_context(alpn, ssl.TLSVersion.TLSv1_3)
        with tempfile.NamedTemporaryFile("r") as secrets:
            context.keylog_filename = secrets.name
            self.shake_hands(context)
            lines = [line.split() for line in secrets]
        self.use(next(bytes.fromhex(line[2]) for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0"))

    def shake_hands(self, context):
        incoming, outgoing, limit = ssl.MemoryBIO(), ssl.MemoryBIO(), time.monotonic() + 5
        connection, is_done = context.wrap_bio(incoming, outgoing, server_hostname="localhost"), False
        while not is_done and time.monotonic() < limit:
            try:
                connection.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            self.wire.send_all(outgoing.read())
            if not is_done:
                self.wire.wait(1)
                incoming.write(self.wire.receive())

    def use(self, secret):
        self.secret, self.number = secret, 0
        self.key = self.derive(b"key", {32: 16, 48: 32}[len(secret)])
        self.iv = int.from_bytes(self.derive(b"iv", 12), "big")

    def derive(self, label, length):
        """HKDF-Expand-Label, for what one block of the hash is enough for."""
        info = struct.pack(">HB", length, len(label) + 6) + b"tls13 " + label + b"\0\1"
        return hmac.new(self.secret, info, {32: hashlib.sha256, 48: hashlib.sha384}[len(self.secret)]).digest()[:length]

    def record(self, kind, content):
        head = struct.pack(">BHH", DATA, 0x0303, len(content) + 1 + TAG_BYTES)
        nonce = (self.iv ^ self.number).to_bytes(12, "big")
        self.number += 1
        return head + seal(self.key, nonce, content + bytes([kind]), head)

    def key_update(self):
        record = self.record(HANDSHAKE, KEY_UPDATE)
        self.use(self.derive(b"traffic upd", len(self.secret)))
        return record
