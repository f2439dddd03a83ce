# SPDX-License-Identifier: Apache-2.0
"""Waits for a condition, never for a fixed time."""
import time


def wait_for(condition, what, seconds=30):
    """Returns the first true value of `condition()`. Fails with `what` after `seconds`. Asks less often as time
    passes: a condition is often a request, and other tests run at the same time."""
    started = time.monotonic()
    limit = started + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(f"did not happen within {seconds} s: {what() if callable(what) else what}")
        time.sleep(min(0.05, 0.01 + (time.monotonic() - started) / 50))
