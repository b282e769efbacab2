"""Daemons started by hand, for tests that tell them what `drover run` does not."""

import contextlib
import re
import resource
import signal
import subprocess

import cluster


class Daemon:
    """A daemon started by hand; its log is a file."""

    def __init__(self, folder, name, program, *flags, descriptors=None):
        self.path = folder / f"{name}.log"
        limit = descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                            (descriptors, descriptors)))
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen([cluster.BIN / program, *map(str, flags)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=limit)

    def log(self):
        return self.path.read_text(errors="replace")

    def wait_for(self, pattern):
        def look():
            found = re.search(pattern, self.log())
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"ended before {pattern}:\n{self.log()}")
            return found
        return cluster.wait_until(pattern, look)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class TestCase(cluster.TestCase):
    """Daemons that a test started end with it."""

    def start(self, name, program, *flags, **options):
        daemon = Daemon(self.folder, name, program, *flags, **options)
        self.addCleanup(daemon.end)
        return daemon
