#!/usr/bin/env python3
"""The same bits with any number of workers and shards, and every leaf counted once.

usage: digest_test.py BIN_DIR [unittest arguments]
"""

import functools
import itertools
import pathlib
import tempfile

import cluster

LAYERS = pathlib.Path(__file__).resolve().parents[2] / "docs/examples/layers.yaml"

# AdamW trains on the generated digits, LAMB on pictures from files: both kinds of data.
ADAMW = {"optimizer.adamw.weight_decay": 0.01, "optimizer.adamw.max_grad_norm": 1.0,
         "schedule.peak": 0.002}
WORKERS, SHARDS = (1, 2, 3, 4), (1, 2, 3)


@functools.cache
def digest_of_one_worker_and_shard(rule):
    with tempfile.TemporaryDirectory() as folder:
        with cluster.Run(f"{folder}/one", fields_of(rule), workers=1, shards=1) as run:
            return run.finish().summary["weights_digest"]


def fields_of(rule):
    return ADAMW if rule == "adamw" else cluster.on_pictures()


class DigestTest(cluster.TestCase):
    def expect_same_bits(self, rule, workers, shards):
        result = self.run_to_end("run", fields_of(rule), workers=workers, shards=shards)
        summary = result.summary
        self.assertRegex(summary["weights_digest"], "^[0-9a-f]{64}$")
        self.assertEqual(summary["weights_digest"], digest_of_one_worker_and_shard(rule))
        self.assertEqual((summary["steps"], summary["samples"]), (14, 14 * 2048))
        self.assertEqual((summary["workers_lost"], summary["shards_restarted"]), (0, 0))
        self.assertEqual(summary["ledger"]["refused"], 0)

    def test_layers_of_a_job_file(self):
        # Random weights miss the example's target.
        fields = cluster.on_pictures(batch=64, leaves=16, micro_batch=4, steps=4,
                                     target__at_least=0.001)
        digests = set()
        for workers, shards in ((1, 1), (2, 2)):
            result = self.run_to_end(f"run{workers}", fields, job=LAYERS,
                                     workers=workers, shards=shards)
            digests.add(result.summary["weights_digest"])
        self.assertEqual(len(digests), 1)

    def test_rules_differ(self):
        self.assertNotEqual(digest_of_one_worker_and_shard("lamb"),
                            digest_of_one_worker_and_shard("adamw"))


def add_test(rule, workers, shards):
    name = f"test_{rule}_of_{workers}_workers_and_{shards}_shards"
    setattr(DigestTest, name, lambda self: self.expect_same_bits(rule, workers, shards))


for grid_point in itertools.product(WORKERS, SHARDS):
    add_test("lamb", *grid_point)
for corner in itertools.product((WORKERS[0], WORKERS[-1]), (SHARDS[0], SHARDS[-1])):
    add_test("adamw", *corner)

if __name__ == "__main__":
    cluster.main()
