"""A headless Chromium, spoken to through its DevTools protocol over a pipe: enough to open a page,
look at what it has become, and hear of its errors and requests.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 60


def program():
    """The first of the browsers that is installed, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page. Answers and events arrive on a thread; every call waits for its answer."""

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="drover-browser-")
        to_browser, ours_out = os.pipe()
        ours_in, from_browser = os.pipe()
        self._out, self._in = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        # The protocol's two ends are file descriptors 3 and 4 of the browser.
        script = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "browser", program(), "--headless", "--no-sandbox",
             "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update",
             f"--user-data-dir={self._folder}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self._answers, self._news, self._number, self._session = {}, threading.Condition(), 0, None
        self._ended = False
        self.errors, self.requests = [], []  # What the console says, and addresses asked for.
        self._answer_with = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self._reader.join()
        self._out.close()
        self._in.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self):
        rest = b""
        while data := os.read(self._in.fileno(), 1 << 16):
            *messages, rest = (rest + data).split(b"\0")
            for message in messages:
                self._hear(json.loads(message))
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _hear(self, message):
        with self._news:
            if "id" in message:
                self._answers[message["id"]] = message
            self._news.notify_all()
        method, values = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.errors.append(" ".join(str(a.get("value")) for a in values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(values["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Fetch.requestPaused":
            status, body = self._answer_with
            self._send("Fetch.fulfillRequest", requestId=values["requestId"], responseCode=status,
                       responseHeaders=[{"name": "Content-Type", "value": "application/json"}],
                       body=base64.b64encode(body.encode()).decode())

    def _send(self, method, **values):
        with self._news:
            self._number += 1
            message = {"id": self._number, "method": method, "params": values}
            if self._session:
                message["sessionId"] = self._session
            self._out.write(json.dumps(message).encode() + b"\0")
            self._out.flush()
            return message["id"]

    def call(self, method, **values):
        number, deadline = self._send(method, **values), time.monotonic() + PATIENCE_S
        with self._news:
            while number not in self._answers:
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"the browser does not answer {method}")
                self._news.wait(left)
            answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)  # Returns when the old page has gone.
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression, which must be JSON."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression):
        """Until it is true; that value."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                text = self.evaluate("document.body.innerText")
                raise AssertionError(f"waited {PATIENCE_S} s for {expression}; the page:\n{text}\n"
                                     f"its errors: {self.errors}")
            time.sleep(0.05)
        return value

    def texts(self, selector):
        """What every element reads as, in one line each."""
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})]"
                             ".map(e => e.innerText.replace(/\\s+/g, ' ').trim())")

    def answer_requests(self, pattern, body, status=200):
        """From now on, instead of who would be asked."""
        self._answer_with = status, body
        self.call("Fetch.enable", patterns=[{"urlPattern": pattern}])

    def resize(self, width, height, scale=1, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
