#!/usr/bin/env python3
"""Phases with other batches, schedules that look at evaluations, and batches from one sample to
several data passes: the same bits however the work is spread and whatever is killed.

usage: phases_test.py BIN_DIR [unittest arguments]
"""

import functools
import itertools
import tempfile

import cluster
import pictures

# In the first phase every evaluation counts as a plateau, so that the rate falls again and again.
PLATEAU = "{peak: 0.02, decay: plateau, patience: 0, min_improvement: 0.9, end: 0.001}"
RESTART = "{peak: 0.01, warmup_fraction: 0.2, decay: cosine}"


def phases(first, second, **fields):
    """Steps of 16 leaves, then of 6: 2,048 and 384 samples."""
    return cluster.on_pictures(
        steps=first + second,
        phases=f"[{{steps: {first}, schedule: {PLATEAU}}}, {{steps: {second}, batch: 384, leaves: 6, "
               f"restart_updates: true, schedule: {RESTART}}}]",
        **fields)


@functools.cache
def digest_of_one_worker_and_shard():
    with tempfile.TemporaryDirectory() as folder:
        with cluster.Run(f"{folder}/one", phases(8, 6), workers=1, shards=1) as run:
            return run.finish().summary["weights_digest"]


class PhasesTest(cluster.TestCase):
    def expect_ledger(self, summary, leaves):
        ledger = summary["ledger"]
        self.assertEqual(ledger["leaves_expected"], leaves)
        self.assertEqual(ledger["leaves_counted"], leaves)
        self.assertEqual(ledger["leaf_chunks_applied"], ledger["leaf_chunks_expected"])

    def expect_end(self, run, leaves):
        result = run.finish()
        self.assertEqual(result.code, 0, run.report())
        self.expect_ledger(result.summary, leaves)
        return result.summary

    def expect_same_bits(self, workers, shards):
        with cluster.Run(self.folder / "run", phases(8, 6), workers=workers, shards=shards) as run:
            summary = self.expect_end(run, 8 * 16 + 6 * 6)
        self.assertEqual(summary["samples"], 8 * 2048 + 6 * 384)
        self.assertEqual(summary["weights_digest"], digest_of_one_worker_and_shard())

    def test_kill_at_the_border_of_two_phases(self):
        fields = phases(100, 100, evaluation__every_steps=20, checkpoint__every_steps=50)
        with cluster.Run(self.folder / "run", fields) as run:
            run.wait_for_step(60)
            run.kill("coordinator")
            run.wait_for_step(100)
            run.kill("coordinator", "shard-1", "worker-0")
            summary = self.expect_end(run, 100 * 16 + 100 * 6)
            self.assertEqual(summary["weights_digest"], cluster.undisturbed_digest(fields),
                             run.report())

    def test_shard_without_its_disk_goes_back_across_the_border(self):
        fields = phases(100, 100, evaluation__every_steps=20, checkpoint__every_steps=90)
        with cluster.Run(self.folder / "run", fields) as run:
            run.wait_for_step(120)
            for snapshot in (run.state_dir / "shard-1").glob("job-*/*"):
                snapshot.unlink(missing_ok=True)
            run.kill("shard-1")
            summary = self.expect_end(run, 100 * 16 + 100 * 6)
            self.assertEqual(summary["weights_digest"], cluster.undisturbed_digest(fields),
                             run.report())

    def expect_batch(self, batch, steps, leaves, micro_batch):
        fields = cluster.on_pictures(batch=batch, leaves=leaves, micro_batch=micro_batch,
                                     steps=steps, schedule__warmup_steps=0)
        digests = set()
        for workers, shards in ((1, 1), (2, 2)):
            with cluster.Run(self.folder / f"run{workers}", fields, workers=workers,
                             shards=shards) as run:
                summary = self.expect_end(run, steps * leaves)
            self.assertEqual(summary["samples"], steps * batch)
            digests.add(summary["weights_digest"])
        self.assertEqual(len(digests), 1)

    def test_batch_of_one(self):
        self.expect_batch(1, 20, leaves=1, micro_batch=1)

    def test_full_batch(self):
        self.expect_batch(pictures.TRAIN, 3, leaves=8, micro_batch=75)

    def test_batch_of_several_data_passes(self):
        self.expect_batch(3 * pictures.TRAIN, 2, leaves=8, micro_batch=75)


def add_test(workers, shards):
    name = f"test_two_phases_of_{workers}_workers_and_{shards}_shards"
    setattr(PhasesTest, name, lambda self: self.expect_same_bits(workers, shards))


for grid_point in itertools.product((1, 2, 3), (1, 2)):
    add_test(*grid_point)

if __name__ == "__main__":
    cluster.main()
