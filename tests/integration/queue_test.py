#!/usr/bin/env python3
"""Several jobs on one cluster: each ends as it ends alone, in the order that the queue promises.

usage: queue_test.py BIN_DIR [unittest arguments]
"""

import json

import cluster
import daemon

# Long enough to be suspended in the middle, and short ones.
LONGEST, LONG, SHORT = 220, 100, 16


class QueueTest(daemon.TestCase):
    def setUp(self):
        super().setUp()
        port_file = self.folder / "port"
        self.start("coordinator", "drover-coordinator", "--listen", "127.0.0.1:0", "--min-shards", 2,
                   "--state-dir", self.folder / "coordinator", "--port-file", port_file,
                   "--metrics", "")
        cluster.wait_until("the port", lambda: port_file.exists() or None)
        self.address = port_file.read_text().strip()
        for number in range(2):
            self.start(f"shard-{number}", "drover-shard", "--listen", "127.0.0.1:0", "--state-dir",
                       self.folder / f"shard-{number}", *self.node(f"shard-{number}"))
        for number in range(3):
            self.start(f"worker-{number}", "drover-worker", "--lanes", 1,
                       *self.node(f"worker-{number}"))

    def node(self, name):
        return ["--coordinator", self.address, "--name", name]

    def drover(self, *arguments):
        done = cluster.drover("--server", self.address, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def submit(self, name, **fields):
        fields = cluster.on_pictures(name=name, batch=256, micro_batch=16,
                                     evaluation__every_steps=150, checkpoint__every_steps=90,
                                     **fields)
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

    def test_jobs_share_a_cluster_and_keep_their_weights(self):
        kinds = {"one": {"seed": 1, "steps": LONG}, "two": {"seed": 2, "steps": LONGEST},
                 "small": {"seed": 3, "steps": SHORT}}
        alone = {name: self.digest_at_the_end(self.submit(f"alone-{name}", **fields))
                 for name, fields in kinds.items()}
        self.assertEqual(len(set(alone.values())), 3)

        # Side by side, on workers of their own.
        one = self.submit("one", max_workers=1, **kinds["one"])
        two = self.submit("two", max_workers=2, **kinds["two"])
        self.wait_for(one, "RUNNING", workers=1)
        self.wait_for(two, "RUNNING", workers=2)
        late = self.submit("late", min_workers=2, ttl_after_end="10s", **kinds["small"])
        soon = self.submit("soon", min_workers=2, priority=1, **kinds["small"])
        table = self.drover("get", "jobs")
        self.assertRegex(table, r"two +RUNNING +2 ")
        self.assertRegex(table, r"soon +QUEUED .*waits for 2 workers, \d")
        self.assertRegex(table, r"late +QUEUED .*waits for the jobs before it")

        # Suspended, its workers go to who waits: the higher priority before the older one.
        self.drover("suspend", two)
        self.assertEqual(self.digest_at_the_end(soon), alone["small"])
        ended = self.end_of(late)
        self.assertEqual(ended["weightsDigest"], alone["small"])
        self.assertLess(int(self.describe(soon)["startTimeUnixMs"]), int(ended["startTimeUnixMs"]))
        self.assertEqual(self.wait_for(two, "SUSPENDED")["workers"], 0)

        self.drover("resume", two)
        self.assertEqual(self.digest_at_the_end(one), alone["one"])
        self.assertEqual(self.digest_at_the_end(two), alone["two"])
        cluster.wait_until("the end of its time to live",
                           lambda: late not in self.drover("get", "jobs") or None)
        folders = self.folder / "coordinator" / "checkpoints"
        cluster.wait_until("its checkpoints' end", lambda: not list(folders.glob(f"{late}*")) or None)
        self.assertTrue((folders / soon).exists())


if __name__ == "__main__":
    cluster.main()
