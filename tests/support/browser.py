#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium (Debian's), driven by its DevTools protocol.

The protocol is JSON over a pair of pipes (`--remote-debugging-pipe`): descriptor 3 for commands, 4 for results and events, each message
ended by a zero byte. So there is no port, no WebSocket and no driver program, and the browser ends when the pipes are closed, also when
the test was killed. Host names do not resolve in it.

`PENSTOCK_CHROMIUM` names another program. By hand, a picture of a page: `tests/support/browser.py PAGE PICTURE.png [light|dark] [WIDTH]`."""
import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("PENSTOCK_CHROMIUM", "chromium")
ANSWER_SECONDS_MAX = 60
_FLAGS = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-breakpad",
          "--disable-crash-reporter", "--host-resolver-rules=MAP * ~NOTFOUND", "--force-device-scale-factor=1", "--hide-scrollbars"]
_KEYS = {"Tab": (9, None), "Enter": (13, "\r"), " ": (32, " ")}


class BrowserError(AssertionError):
    """The browser did not answer, or answered with an error."""


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        commands, self.to_browser = os.pipe()
        self.from_browser, results = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (commands, results)]  # away from 3 and 4
        os.close(commands)
        os.close(results)
        # Bash, because other shells do not take descriptors of two digits.
        launch = f'exec "$@" 3<&{high[0]} 4>&{high[1]} {high[0]}<&- {high[1]}>&-'
        environment = {**os.environ, "HOME": self.profile, "XDG_CONFIG_HOME": self.profile, "XDG_CACHE_HOME": self.profile}
        with open(os.path.join(self.profile, "log"), "wb") as log:
            self.process = subprocess.Popen(["bash", "-c", launch, "bash", PROGRAM, *_FLAGS, f"--user-data-dir={self.profile}/data", "about:blank"],
                                            pass_fds=high, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            env=environment)
        for fd in high:
            os.close(fd)
        self.buffer, self.events, self.last = b"", [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:  # so it ends its helpers itself
            self.call("Browser.close")
        except (BrowserError, OSError):
            pass
        for fd in (self.to_browser, self.from_browser):
            os.close(fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:  # its helpers are in its group
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _log(self):
        return pathlib.Path(self.profile, "log").read_text(errors="replace")[-2000:]

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_browser], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.from_browser, 1 << 20) if ready else b""
            if not chunk:
                raise BrowserError(f"{PROGRAM} {'ended (etc/test installs it)' if ready else 'does not answer'}: {self._log()}")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        """The result of a command. Events that arrive before it are kept."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        data = json.dumps(message).encode() + b"\0"
        try:
            while data:
                data = data[os.write(self.to_browser, data):]
        except BrokenPipeError as gone:
            raise BrowserError(f"{PROGRAM} ended (etc/test installs it): {self._log()}") from gone
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            found = self._receive(deadline)
            if found.get("id") == self.last:
                if "error" in found:
                    raise BrowserError(f"{method}: {found['error']}")
                return found["result"]
            if "method" in found:
                self.events.append(found)

    def wait_event(self, method, session):
        """Waits until an event of the session has arrived."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while not any(event["method"] == method and event.get("sessionId") == session for event in self.events):
            found = self._receive(deadline)
            if "method" in found:
                self.events.append(found)

    def open(self, path, width=1280, height=800, theme="light"):
        return Page(self, path, width, height, theme)


class Page:
    """A tab with one file in it."""

    def __init__(self, browser, path, width, height, theme):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.emulate(theme)
        self.url = pathlib.Path(path).resolve().as_uri()
        self.call("Page.navigate", url=self.url)
        browser.wait_event("Page.loadEventFired", self.session)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width, height=800):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def emulate(self, theme, media=""):
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": theme}])

    def evaluate(self, expression):
        """The value of an expression, also of a promise."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def press(self, key):
        code, text = _KEYS[key]
        event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def point(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path, whole=False):
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **(
            {"clip": {"x": 0, "y": 0, "width": self.evaluate("innerWidth"), "height": self.evaluate("document.documentElement.scrollHeight"),
                      "scale": 1}} if whole else {}))
        pathlib.Path(path).write_bytes(base64.b64decode(found["data"]))

    def print(self, path):
        """The page as PDF, as it is printed on A4."""
        found = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        pathlib.Path(path).write_bytes(base64.b64decode(found["data"]))

    def _events(self, *methods):
        self.evaluate("0")  # what was under way has arrived
        return [event for event in self.browser.events if event.get("sessionId") == self.session and event["method"] in methods]

    def problems(self):
        """What is in the console: errors, warnings, exceptions, refusals of the content security policy."""
        return [json.dumps(event["params"])[:600] for event in self._events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")]

    def requests(self):
        """The addresses of all requests but that for the page itself."""
        return [url for url in (event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")) if url != self.url]


if __name__ == "__main__":
    shown, picture, *how = sys.argv[1:]
    with Browser() as started, started.open(shown, width=int(how[1]) if how[1:] else 1280, theme=how[0] if how else "light") as tab:
        tab.screenshot(picture, whole=True)
