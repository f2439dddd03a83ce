# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made with the openssl command in the test's directory."""
import subprocess

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Certificates:
    """Makes NAME.pem and NAME.key in the directory, signed by `ca`."""

    def __init__(self, directory):
        self.directory = directory
        self.add_self_signed("ca")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=self.directory, check=True, capture_output=True)

    def add_self_signed(self, name):
        self._openssl("req", "-x509", *_NEW_KEY, "-days", 2, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def add(self, name, subject, days=2):
        """Makes a certificate that `ca` signs. Its subject is, for example, DNS:localhost."""
        (self.directory / "extensions").write_text(f"subjectAltName={subject}\n")
        self._openssl("req", *_NEW_KEY, "-new", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request.pem")
        self._openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile",
                      "extensions", "-out", f"{name}.pem")

    def files(self, name):
        return str(self.directory / f"{name}.pem"), str(self.directory / f"{name}.key")
