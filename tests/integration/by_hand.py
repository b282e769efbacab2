"""A cluster of daemons started by hand, each of which a test may end, kill and start again."""

import json
import signal

import cluster
import daemon

ANY_PORT = "127.0.0.1:0"


class TestCase(daemon.TestCase):
    WORKERS = 3

    def setUp(self):
        super().setUp()
        self.programs, self.daemons = {}, {}
        port_file = self.folder / "port"
        flags = ["--min-shards", 2, "--state-dir", self.folder / "coordinator", "--metrics", ""]
        self.start("coordinator", "drover-coordinator", "--listen", ANY_PORT, "--port-file",
                   port_file, *flags)
        cluster.wait_until("the port", lambda: port_file.exists() or None)
        self.address = port_file.read_text().strip()
        # Started again it has the port that the others know.
        self.programs["coordinator"] = ["drover-coordinator", "--listen", self.address, *flags]
        for number in range(2):
            self.start(f"shard-{number}", "drover-shard", "--listen", ANY_PORT, "--state-dir",
                       self.folder / f"shard-{number}", *self.node(f"shard-{number}"))
        for number in range(self.WORKERS):
            self.start(f"worker-{number}", "drover-worker", "--lanes", 1,
                       *self.node(f"worker-{number}"))

    def node(self, name):
        return ["--coordinator", self.address, "--name", name]

    def start(self, name, program, *flags, **options):
        self.programs[name] = [program, *flags]
        self.daemons[name] = super().start(name, program, *flags, **options)
        return self.daemons[name]

    def kill(self, name):
        """With SIGKILL, and starts it again."""
        process = self.daemons[name].process
        process.kill()
        process.wait(cluster.PATIENCE_S)
        self.start(name, *self.programs[name])

    def end(self, name):
        """With SIGTERM, which it obeys, and starts it again."""
        ended = self.daemons[name]
        ended.process.send_signal(signal.SIGTERM)
        self.assertEqual(ended.process.wait(cluster.PATIENCE_S), 0, ended.log())
        self.start(name, *self.programs[name])

    def drover(self, *arguments):
        done = cluster.drover("--server", self.address, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def submit(self, name, **fields):
        fields = cluster.on_pictures(name=name, **{
            "batch": 256, "micro_batch": 16, "evaluation__every_steps": 150,
            "checkpoint__every_steps": 90, **fields})
        return self.drover("submit", cluster.SMALL, *cluster.set_flags(fields)).strip()

    def describe(self, job):
        return json.loads(self.drover("-o", "json", "describe", job))

    def wait_for(self, job, state, workers=None):
        def look():
            now = self.describe(job)
            if now["state"] in ("JOB_STATE_FAILED", "JOB_STATE_CANCELLED"):
                raise AssertionError(f"{now['state']} {now['reason']} {now['message']}")
            fits = now["state"] == f"JOB_STATE_{state}" and workers in (None, now["workers"])
            return now if fits else None
        return cluster.wait_until(f"{job} {state} {workers}", look)

    def end_of(self, job):
        self.drover("watch", job)  # To look again and again would cost more than the job.
        return self.wait_for(job, "SUCCEEDED")

    def digest_at_the_end(self, job):
        now = self.end_of(job)
        ledger = now["ledger"]
        self.assertEqual(ledger["leafChunksApplied"], ledger["leafChunksExpected"])
        self.assertEqual(ledger["leavesCounted"], str(16 * int(now["spec"]["steps"])))
        return now["weightsDigest"]
