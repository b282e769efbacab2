"""Runs the built programs as a user would, and breaks them: what the tests beside this file share.

A test program is `NAME_test.py BIN_DIR [unittest arguments]` and ends with cluster.main().
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import pictures

SMALL = pathlib.Path(__file__).with_name("small.yaml")
PATIENCE_S = 120  # For what takes seconds; a machine may be busy.
BIN = pathlib.Path()


def drover(*arguments, timeout=PATIENCE_S, **options):
    """One call of the CLI, to its end: exit code as returncode, stdout, stderr."""
    return subprocess.run([BIN / "drover", *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, check=False, **options)


def set_flags(fields):
    return [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]


@dataclasses.dataclass
class Result:
    code: int
    seconds: float
    output: str
    summary: dict  # What --json wrote, or empty.


class Run:
    """A `drover run`, with what it prints to stderr read as it comes."""

    def __init__(self, state_dir, fields=None, *, workers=2, shards=2, job=SMALL):
        self.state_dir = pathlib.Path(state_dir)
        self.json_path = self.state_dir.with_suffix(".json")
        self.json_path.unlink(missing_ok=True)
        self.out_path = self.state_dir.with_suffix(".out")
        self.lines, self._ended, self._news = [], False, threading.Condition()
        self._begin = time.monotonic()
        with open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                [BIN / "drover", "run", job, "--workers", str(workers), "--shards", str(shards),
                 "--state-dir", self.state_dir, "--json", self.json_path,
                 *set_flags(fields or {})],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True,
                start_new_session=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()  # Its children die with it.
        self.process.wait()
        self._reader.join()
        self.process.stderr.close()

    def wait_for(self, what, found):
        """Waits until found(line) is not None for a line, old or new, and returns that."""
        seen, deadline = 0, time.monotonic() + PATIENCE_S
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    if (answer := found(line)) is not None:
                        return answer
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"did not say so in {PATIENCE_S} s"
                    raise AssertionError(f"waiting for {what}: the run {why}\n{self.report()}")
                self._news.wait(left)

    def wait_for_text(self, pattern):
        return self.wait_for(pattern, re.compile(pattern).search)

    def wait_for_step(self, step):
        """Until an evaluation or a checkpoint of this step or of a later one."""
        def found(line):
            match = re.match(r"event=(?:evaluation|checkpoint) .*\bstep=(\d+)", line)
            return int(match[1]) if match and int(match[1]) >= step else None
        return self.wait_for(f"step {step}", found)

    @property
    def address(self):
        return self.wait_for_text(r"^coordinator at (\S+)$")[1]

    def pid(self, role):
        """Of the role's process now, or None while it is dead."""
        try:
            pid = int((self.state_dir / "run" / f"{role}.pid").read_text())
            parent = re.search(r"^PPid:\t(\d+)$", pathlib.Path(f"/proc/{pid}/status").read_text(),
                               re.MULTILINE)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return pid if int(parent[1]) == self.process.pid else None

    def signal(self, role, number):
        """To a role's process that lives; waits until a dead one has been started again."""
        pid = wait_until(f"a living {role}", lambda: self.pid(role))
        os.kill(pid, number)
        return pid

    def kill(self, *roles):
        for role in roles:
            self.signal(role, signal.SIGKILL)

    def log(self, role):
        return (self.state_dir / "logs" / f"{role}.log").read_text()

    def metrics_port(self, role):
        return int(re.findall(r"metrics_port=(\d+)", self.log(role))[-1])

    def scrape(self, role):
        url = f"http://127.0.0.1:{self.metrics_port(role)}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.read().decode()

    def finish(self, timeout=PATIENCE_S):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end in {timeout} s\n{self.report()}") from None
        seconds = time.monotonic() - self._begin
        self._reader.join()
        summary = json.loads(self.json_path.read_text()) if self.json_path.exists() else {}
        return Result(code, seconds, "\n".join(self.lines), summary)

    def report(self):
        """What a person needs to see why it went wrong."""
        parts = ["--- drover run", *self.lines[-25:]]
        for log in sorted((self.state_dir / "logs").glob("*.log")):
            parts += [f"--- {log.name}", *log.read_text().splitlines()[-25:]]
        return "\n".join(parts)


def wait_until(what, condition):
    """For what no output tells."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := condition()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.01)
    return answer


class TestCase(unittest.TestCase):
    """Each test has a folder of its own, which stays when the test fails."""

    longMessage = True

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="drover-test-"))

    def tearDown(self):
        outcome = self._outcome
        failed = any(error for _, error in getattr(outcome, "errors", []) if error) or (
            outcome.result is not None and any(
                test is self for test, _ in outcome.result.failures + outcome.result.errors))
        if failed:
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run_to_end(self, name, fields=None, **options):
        with Run(self.folder / name, fields, **options) as run:
            return self.expect_success(run)

    def expect_success(self, run):
        result = run.finish()
        self.assertEqual(result.code, 0, run.report())
        self.assertEqual(result.summary["state"], "SUCCEEDED")
        self.expect_whole_ledger(result.summary)
        return result

    def expect_whole_ledger(self, summary, leaves=16):
        """Every sample of every batch was counted exactly once."""
        ledger = summary["ledger"]
        self.assertEqual(ledger["leaves_expected"], summary["steps"] * leaves)
        self.assertEqual(ledger["leaves_counted"], ledger["leaves_expected"])
        self.assertGreater(ledger["leaf_chunks_expected"], 0)
        self.assertEqual(ledger["leaf_chunks_applied"], ledger["leaf_chunks_expected"])


@functools.cache
def picture_folder():
    """A small dataset of the kind of MNIST: workers begin at once, unlike with generated digits."""
    folder = tempfile.TemporaryDirectory(prefix="drover-pictures-")
    unittest.addModuleCleanup(folder.cleanup)
    pictures.write(pathlib.Path(folder.name))
    return pathlib.Path(folder.name)


def on_pictures(**fields):
    """Fields for --set; `__` stands for the dot."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return {"dataset.idx.path": picture_folder(), **named}


def undisturbed_digest(fields):
    """The weights of this job when nothing goes wrong."""
    return _undisturbed_digest(tuple(fields.items()))


@functools.cache
def _undisturbed_digest(fields):
    with tempfile.TemporaryDirectory(prefix="drover-test-") as folder:
        with Run(pathlib.Path(folder) / "calm", dict(fields)) as run:
            result = run.finish()
            if result.code != 0:
                raise AssertionError(run.report())
            return result.summary["weights_digest"]


def main():
    global BIN
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BIN = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(module="__main__", verbosity=2)
