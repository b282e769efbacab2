#!/usr/bin/env python3
"""Whatever is killed, stopped or frozen: the same weights, and every leaf counted once.

usage: kill_test.py BIN_DIR [unittest arguments]
"""

import random
import signal

import by_hand
import cluster

STEPS = 240


def fields():
    return cluster.on_pictures(steps=STEPS, evaluation__every_steps=20,
                               checkpoint__every_steps=60)


class KillTest(cluster.TestCase):
    def expect_undisturbed_weights(self, run):
        result = self.expect_success(run)
        self.assertEqual(result.summary["weights_digest"], cluster.undisturbed_digest(fields()),
                         run.report())
        return result.summary

    def test_killed_worker(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(40)
            run.kill("worker-0")
            summary = self.expect_undisturbed_weights(run)
        self.assertGreaterEqual(summary["workers_lost"], 1)

    def test_killed_shard(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(40)
            run.kill("shard-1")
            run.wait_for_step(120)
            run.kill("shard-0")
            summary = self.expect_undisturbed_weights(run)
        self.assertEqual(summary["shards_restarted"], 2)

    def test_killed_coordinator(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(40)
            run.kill("coordinator")
            run.wait_for_step(120)
            run.kill("coordinator")
            self.expect_undisturbed_weights(run)

    def test_everything_killed_at_once(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(80)
            run.kill("coordinator", "shard-0", "shard-1", "worker-0", "worker-1")
            self.expect_undisturbed_weights(run)

    def test_shard_that_lost_its_disk_goes_back_to_a_checkpoint(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(100)
            for snapshot in (run.state_dir / "shard-1").glob("job-*/*"):
                snapshot.unlink(missing_ok=True)
            run.kill("shard-1")
            self.expect_undisturbed_weights(run)
            self.assertIn("going back", run.log("coordinator"))

    def test_frozen_worker_comes_back(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(40)
            run.signal("worker-1", signal.SIGSTOP)
            # Frozen for at least the time of sixty steps or of a lease, whichever ends first.
            run.wait_for_step(100)
            run.signal("worker-1", signal.SIGCONT)
            self.expect_undisturbed_weights(run)

    def test_frozen_shard_is_named_and_joins_again(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(40)
            run.signal("shard-1", signal.SIGSTOP)

            def page_of_the_wait():
                page = cluster.drover("--server", run.address, "describe", "small").stdout
                return page if "WAITING_FOR_SHARDS" in page else None
            page = cluster.wait_until("the job to say whom it waits for", page_of_the_wait)
            self.assertIn("waiting for shard/shard-1", page)
            run.signal("shard-1", signal.SIGCONT)
            summary = self.expect_undisturbed_weights(run)
            self.assertIn("frozen or cut off", run.log("coordinator"))
        self.assertEqual(summary["shards_restarted"], 0)

    def test_storm(self):
        """Ten kills of roles drawn from a seed, one after each twenty steps."""
        rng = random.Random(7)
        roles = ["coordinator", "shard-0", "shard-1", "worker-0", "worker-1"]
        with cluster.Run(self.folder / "run", fields()) as run:
            for step in range(20, 220, 20):
                run.wait_for_step(step)
                run.kill(rng.choice(roles))
            self.expect_undisturbed_weights(run)


class TwoJobsTest(by_hand.TestCase):
    """Two jobs on the same shards and workers."""

    def wait_for_step(self, jobs, step):
        def look():
            return all(int(self.describe(job).get("step", 0)) >= step for job in jobs) or None
        cluster.wait_until(f"step {step}", look)

    def test_each_role_dies_under_two_jobs(self):
        kinds = {"one": {"seed": 1, "steps": 100}, "two": {"seed": 2, "steps": 100}}
        alone = {name: self.digest_at_the_end(self.submit(f"alone-{name}", **fields))
                 for name, fields in kinds.items()}
        self.assertNotEqual(alone["one"], alone["two"])
        jobs = {name: self.submit(name, max_workers=2, **fields) for name, fields in kinds.items()}
        self.wait_for_step(jobs.values(), 5)
        for name in ("worker-0", "shard-1", "coordinator"):
            self.kill(name)
            self.wait_for_step(jobs.values(), 5 + max(
                int(self.describe(job).get("step", 0)) for job in jobs.values()))
        # Told to end, a worker leaves what it has not begun to the others.
        self.end("worker-1")
        for name, job in jobs.items():
            self.assertEqual(self.digest_at_the_end(job), alone[name])


if __name__ == "__main__":
    cluster.main()
