# SPDX-License-Identifier: Apache-2.0
"""Free ports, chosen by bench/runner/ports.py."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

from runner.ports import free_port  # noqa: E402, F401  pylint: disable=unused-import
