#!/usr/bin/env python3
"""Shards on GPUs: the weights of shards on CPUs, whatever is killed.

usage: gpu_shard_test.py BIN_DIR [unittest arguments]

Where BIN_DIR/../tests holds the shard that was linked with the emulator of CUDA, that one runs;
elsewhere, as in the bundle for a GPU machine, the real one.
"""

import os
import stat

import cluster


def shard_on_gpu(folder):
    emulated = folder.parent / "tests/drover-shard-emulated"
    return emulated if emulated.exists() else folder / "drover-shard"


def fields(**more):
    return cluster.on_pictures(steps=6, evaluation__every_steps=2, checkpoint__every_steps=2, **more)


class GpuShardTest(cluster.TestCase):
    def setUp(self):
        super().setUp()
        self.cpu_bin = cluster.BIN
        self.cpu_digest = cluster.undisturbed_digest(fields())

    def tearDown(self):
        cluster.BIN = self.cpu_bin
        super().tearDown()

    def use_gpu_for(self, shards):
        """From here on, shards whose names match this pattern of the shell compute on a GPU."""
        folder = self.folder / "bin"
        folder.mkdir()
        for program in ("drover", "drover-coordinator", "drover-worker"):
            os.link(self.cpu_bin / program, folder / program)
        script = folder / "drover-shard"
        script.write_text("#!/bin/sh\n"
                          f'case "$*" in *--name\\ {shards}*) exec {shard_on_gpu(self.cpu_bin)} '
                          '--device cuda:0 "$@";; esac\n'
                          f'exec {self.cpu_bin}/drover-shard "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        cluster.BIN = folder

    def test_all_shards_on_gpus(self):
        self.use_gpu_for("shard-")
        result = self.run_to_end("run", fields())
        self.assertEqual(result.summary["weights_digest"], self.cpu_digest)
        self.assertIn("device=cuda:0", (self.folder / "run/logs/shard-0.log").read_text())

    def test_one_shard_on_a_gpu_and_one_on_a_cpu(self):
        self.use_gpu_for("shard-1")
        result = self.run_to_end("run", fields())
        self.assertEqual(result.summary["weights_digest"], self.cpu_digest)
        self.assertIn("device=cpu", (self.folder / "run/logs/shard-0.log").read_text())
        self.assertIn("device=cuda:0", (self.folder / "run/logs/shard-1.log").read_text())

    def test_a_killed_gpu_shard_goes_on_from_its_files(self):
        self.use_gpu_for("shard-")
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(2)
            run.kill("shard-1")
            result = self.expect_success(run)
        self.assertEqual(result.summary["weights_digest"], self.cpu_digest)
        self.assertEqual(result.summary["shards_restarted"], 1)


if __name__ == "__main__":
    cluster.main()
