# SPDX-License-Identifier: Apache-2.0
"""What TLS costs at the ingress: events accepted over TLS beside those in cleartext (h2c). Both sides
have the same build and the same configuration, and the connections are kept for the whole run."""
import json
import subprocess

from runner.ceilings import of_gateway, ratios
from runner.ports import free_port
from runner.process import RunFailed

CONNECTIONS = 8


class Certificate:
    """An ECDSA P-256 certificate for 127.0.0.1, signed by itself."""

    def __init__(self, directory):
        self.file, self.key = directory / "edge.pem", directory / "edge.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7", "-subj", "/CN=127.0.0.1",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.file]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RunFailed(f"openssl made no certificate: {done.stderr}")


def of_side(bench, side, certificate):
    port = free_port()
    options = {"ingress.tls_listen": f"127.0.0.1:{port}",
               "ingress.certificate_file": str(certificate.file),
               "ingress.key_file": str(certificate.key)}
    is_tls = side == "tls"
    found = of_gateway(bench, options, f"https://127.0.0.1:{port}" if is_tls else None,
                       *(["--ca", certificate.file] if is_tls else []), connections=CONNECTIONS)
    expected = CONNECTIONS if is_tls else 0
    if found["reconnects"] or found["handshakes"] != expected:
        raise RunFailed(f"{side}: the connections were not kept: {found['reconnects']} reconnects, "
                        f"{found['handshakes']:.0f} handshakes for {expected} connections")
    return found


def measure_edge(bench):
    certificate = Certificate(bench.place("edge"))
    rounds, sides = [], ["h2c", "tls"]
    for number in range(bench.rounds):
        order = sides if number % 2 == 0 else sides[::-1]  # no side is always the first
        found = {side: of_side(bench, side, certificate) for side in order}
        print(json.dumps({side: round(found[side]["rate"]) for side in sides}), flush=True)
        rounds.append(found)
    return {"rounds": rounds, "tls/h2c": ratios(rounds, "tls", "h2c")}
