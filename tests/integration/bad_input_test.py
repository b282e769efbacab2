#!/usr/bin/env python3
"""Wrong input: a clear message, the right exit code, nothing half-written, no waiting.

usage: bad_input_test.py BIN_DIR [unittest arguments]
"""

import gzip
import shutil
import socket
import subprocess
import time

import cluster


class JobFileTest(cluster.TestCase):
    def expect_refused(self, old, new, *wanted):
        job = self.folder / "job.yaml"
        text = cluster.SMALL.read_text()
        self.assertIn(old, text)
        job.write_text(text.replace(old, new))
        json_path = self.folder / "result.json"
        refused = cluster.drover("run", job, "--json", json_path)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        for part in wanted:
            self.assertIn(part, refused.stderr)
        self.assertFalse(json_path.exists())

    def test_unknown_field(self):
        self.expect_refused("batch: 2Ki", "bacth: 2Ki", "job.yaml:", "bacth", 'did you mean "batch"')

    def test_wrong_type(self):
        self.expect_refused("steps: 14", "steps: many", "job.yaml:", "steps", "many")

    def test_batch_that_does_not_divide(self):
        self.expect_refused("batch: 2Ki", "batch: 2000", "job.yaml:", "micro_batch",
                            "a leaf of 125 samples")

    def test_unknown_rule(self):
        self.expect_refused("lamb:", "lamp:", "job.yaml:", "lamp", "lamb")

    def test_nan_learning_rate(self):
        self.expect_refused("peak: 0.02", "peak: .nan", "job.yaml:", "peak")

    def test_file_that_is_not_there(self):
        missing = cluster.drover("run", self.folder / "no.yaml")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("no.yaml", missing.stderr)

    def test_wrong_set(self):
        wrong = cluster.drover("run", cluster.SMALL, "--set", "optimizer.lamb.beta3=1")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("beta3", wrong.stderr)


class DataTest(cluster.TestCase):
    def expect_failure_naming(self, folder, name, code):
        with cluster.Run(self.folder / "run", {"dataset.idx.path": folder}, workers=1) as run:
            result = run.finish(timeout=30)
            self.assertEqual(result.code, code, run.report())
        self.assertIn(name, result.output)

    def test_missing_folder_is_seen_before_anything_starts(self):
        self.expect_failure_naming(self.folder / "nowhere", "nowhere", code=2)

    def test_truncated_file(self):
        spoilt = self.folder / "data"
        shutil.copytree(cluster.picture_folder(), spoilt)
        images = sorted(spoilt.glob("train-images*"))[0]
        data = gzip.decompress(images.read_bytes()) if images.suffix == ".gz" else images.read_bytes()
        images.unlink()
        (spoilt / "train-images-idx3-ubyte").write_bytes(data[:-100])
        self.expect_failure_naming(spoilt, "train-images-idx3-ubyte", code=1)

    def test_gradient_that_is_not_finite_is_skipped_then_fails_the_job(self):
        fields = cluster.on_pictures(**{"optimizer__sgd__weight_decay": 0, "schedule__peak": 1e6,
                                        "schedule__decay": "constant"})
        with cluster.Run(self.folder / "run", fields) as run:
            result = run.finish()
            self.assertEqual(result.code, 1, run.report())
        self.assertEqual(result.summary["reason"], "NONFINITE_LIMIT")
        self.assertRegex(result.summary["message"], r"leaf \d+ of step \d+: .* in tensor dense")


class PlaceTest(cluster.TestCase):
    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            refused = subprocess.run(
                [cluster.BIN / "drover-coordinator", "--listen", address, "--metrics",
                 "127.0.0.1:0", "--state-dir", self.folder / "state"],
                capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(refused.returncode, 78, refused.stderr)
        self.assertIn(address, refused.stderr)

    def test_bind_to_the_world_without_tls(self):
        refused = subprocess.run(
            [cluster.BIN / "drover-coordinator", "--listen", "0.0.0.0:0", "--state-dir",
             self.folder / "state"], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(refused.returncode, 78, refused.stderr)

    def test_no_server(self):
        begin = time.monotonic()
        refused = cluster.drover("get", "jobs", "--server", "127.0.0.1:1")
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertIn("hint:", refused.stderr)

    def test_no_space_left(self):
        small = self.folder / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("needs the right to mount a small tmpfs")
        try:
            # The weights alone are larger than the disk.
            with cluster.Run(small / "run", cluster.on_pictures()) as run:
                result = run.finish(timeout=90)
                said = run.report()
            self.assertNotEqual(result.code, 0)
            self.assertIn("space", said)
        finally:
            subprocess.run(["umount", "-l", small], check=False)


class MetricsTest(cluster.TestCase):
    def test_figures_of_a_running_job(self):
        fields = cluster.on_pictures(steps=2000, evaluation__every_steps=20)
        with cluster.Run(self.folder / "run", fields) as run:
            run.wait_for_step(40)
            coordinator, shard = run.scrape("coordinator"), run.scrape("shard-0")
            worker = run.scrape("worker-0")
        for name in ("drover_loss{", "drover_samples_total{", "drover_steps_total{",
                     "drover_step_duration_seconds_bucket{", "drover_gradient_norm{",
                     "drover_trust_ratio_bucket{", 'drover_tensor_trust_ratio{',
                     'tensor="dense0.weight"', "drover_leaves_counted_total{",
                     "drover_learning_rate{", "drover_job_step{"):
            self.assertIn(name, coordinator)
        for name in ("drover_chunks_total{", "drover_duplicate_chunks_total{",
                     'drover_refused_chunks_total{', "drover_shard_version{"):
            self.assertIn(name, shard)
        for name in ("drover_worker_samples_total{", "drover_payload_bytes_total{",
                     "drover_wire_bytes_total{", 'phase="push"'):
            self.assertIn(name, worker)


if __name__ == "__main__":
    cluster.main()
