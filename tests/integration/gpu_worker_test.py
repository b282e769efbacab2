#!/usr/bin/env python3
"""Workers on GPUs: one digest whatever their number, near the CPU's results, and clear words where
there is no GPU.

usage: gpu_worker_test.py BIN_DIR [unittest arguments]

Where BIN_DIR/../tests holds the worker that was linked with the emulator of CUDA, that one runs;
elsewhere, as in the bundle for a GPU machine, the real one.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import cluster


def worker_on_gpu(folder, gpus=1):
    emulated = folder.parent / "tests" / ("drover-worker-emulated" if gpus == 1 else
                                          f"drover-worker-emulated-{gpus}")
    return emulated if emulated.exists() else folder / "drover-worker"


def link(source, target):
    try:
        os.link(source, target)
    except OSError:  # Another file system.
        shutil.copy(source, target)


def figure(metrics, pattern):
    """The sum of all samples whose names and labels match."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
               if re.match(pattern, line))


def fields(**more):
    common = {"model__mlp__hidden": "[12]", "batch": 256, "micro_batch": 8, "steps": 4,
              "evaluation__every_steps": 2, "checkpoint__every_steps": 2}
    return cluster.on_pictures(**common | more)


class GpuWorkers(cluster.TestCase):
    def setUp(self):
        super().setUp()
        self.cpu_bin = cluster.BIN

    def tearDown(self):
        cluster.BIN = self.cpu_bin
        super().tearDown()

    def use_gpu_workers(self, gpus=1):
        """`gpus`: emulated ones; a real worker has those of its machine."""
        folder = self.folder / f"bin-{gpus}"
        folder.mkdir()
        for program in ("drover", "drover-coordinator", "drover-shard"):
            link(self.cpu_bin / program, folder / program)
        link(worker_on_gpu(self.cpu_bin, gpus), folder / "drover-worker")
        cluster.BIN = folder


class GpuWorkerTest(GpuWorkers):
    def test_one_digest_and_the_results_of_the_cpu(self):
        cpu = self.run_to_end("cpu", fields(device="cpu"))
        self.use_gpu_workers()
        one = self.run_to_end("one", fields(device="cuda"), workers=1, shards=1)
        two = self.run_to_end("two", fields(), workers=2, shards=2)
        self.assertEqual(one.summary["weights_digest"], two.summary["weights_digest"])
        self.assertNotEqual(one.summary["weights_digest"], cpu.summary["weights_digest"])
        self.assertAlmostEqual(one.summary["final_loss"], cpu.summary["final_loss"], delta=1e-4)
        self.assertAlmostEqual(one.summary["evaluation_loss"],
                               cpu.summary["evaluation_loss"], delta=1e-4)
        if not worker_on_gpu(self.cpu_bin).name.endswith("emulated"):
            return  # As many GPUs as this machine has.
        self.assertRegex((self.folder / "one/logs/worker-0.log").read_text(),
                         r'computing on .*, 1 lanes, class "cuda ')
        self.use_gpu_workers(gpus=2)
        pair = self.run_to_end("pair", fields(device="cuda"), workers=1, shards=2)
        self.assertEqual(pair.summary["weights_digest"], one.summary["weights_digest"])
        log = (self.folder / "pair/logs/worker-0.log").read_text()
        self.assertIn(", 2 lanes, ", log)
        self.assertIn("adding up 2 GPUs by a reduce-scatter", log)

    def test_a_killed_gpu_worker_changes_nothing(self):
        self.use_gpu_workers()
        calm = self.run_to_end("calm", fields())
        self.use_gpu_workers(gpus=2)
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(2)
            run.kill("worker-1")
            killed = self.expect_success(run)
        self.assertEqual(killed.summary["weights_digest"], calm.summary["weights_digest"])

    def test_a_job_for_the_cpu_stays_there(self):
        cpu = self.run_to_end("cpu", fields())
        self.use_gpu_workers()
        on_cpu = self.run_to_end("run", fields(device="cpu"))
        self.assertEqual(on_cpu.summary["weights_digest"], cpu.summary["weights_digest"])

    def test_bf16_and_tf32_train(self):
        self.use_gpu_workers()
        results = {}
        for precision in ("tf32", "bf16"):
            results[precision] = self.run_to_end(precision, fields(precision=precision)).summary
            self.assertLess(results[precision]["evaluation_loss"], 2.3, precision)
        self.use_gpu_workers(gpus=2)
        pair = self.run_to_end("pair", fields(precision="bf16"), workers=1)
        self.assertEqual(pair.summary["weights_digest"], results["bf16"]["weights_digest"])


class WireTest(GpuWorkers):
    def test_weights_cross_the_network_once_however_many_gpus_a_host_has(self):
        if not worker_on_gpu(self.cpu_bin).name.endswith("emulated"):
            self.skipTest("as many GPUs as this machine has")
        self.use_gpu_workers(gpus=2)
        with cluster.Run(self.folder / "run", fields(steps=5000), workers=1) as run:
            run.wait_for_step(6)
            metrics = run.scrape("worker-0")
            self.assertIn("adding up 2 GPUs", run.log("worker-0"))
        received = figure(metrics, r'drover_wire_bytes_total\{.*direction="received".*kind="weight"')
        pulls = figure(metrics, r'drover_worker_phase_duration_seconds_count\{.*phase="pull"')
        self.assertGreaterEqual(pulls, 6)
        weights = 784 * 12 + 12 + 12 * 10 + 10
        # One more may be on its way, and tensors are padded.
        self.assertGreaterEqual(received, pulls * 4 * weights)
        self.assertLess(received, 1.5 * pulls * 4 * weights)
        # What only workers on GPUs have to say.
        for operation in ("reduce_scatter", "all_gather"):
            count = f'drover_collective_duration_seconds_count{{operation="{operation}"'
            self.assertGreater(figure(metrics, count), 0, metrics)
        flops = figure(metrics, "drover_worker_model_flops_total")
        self.assertGreater(flops, 0)
        self.assertEqual(flops % (6 * (784 * 12 + 12 * 10)), 0)  # Whole samples.
        self.assertGreater(figure(metrics, "drover_worker_peak_flops"), 0)
        for device in ("cuda:0", "cuda:1"):
            used, reserved, total = (
                figure(metrics, f'drover_device_memory_bytes{{device="{device}",kind="{kind}"')
                for kind in ("used", "reserved", "total"))
            self.assertGreater(reserved, 4 * weights)
            self.assertTrue(reserved <= used <= total, metrics)


class DoctorTest(GpuWorkers):
    """`drover doctor --job` asks the worker beside it; --gpu-memory needs no GPU."""

    def examine(self, *flags):
        """Verdict, what was found, hint."""
        job = self.folder / "job.yaml"
        job.write_text(f"""
name: examined
model: {{mlp: {{hidden: [12]}}}}
dataset: {{idx: {{path: {cluster.picture_folder()}}}}}
batch: 512
leaves: 4
micro_batch: 64
steps: 1
optimizer: sgd
schedule: {{peak: 0.1}}
device: cuda
""")
        done = cluster.drover("doctor", "-o", "json", "--state-dir", self.folder, "--job", job,
                              *flags)
        for finding in json.loads(done.stdout):
            if finding["subject"] == "GPU memory":
                return finding["verdict"], finding["found"], finding["hint"]
        return None

    def test_names_the_largest_micro_batch_or_what_is_missing(self):
        self.use_gpu_workers()
        verdict, found, _ = self.examine("--gpu-memory", "1GiB")
        self.assertEqual(verdict, "ok", found)
        self.assertRegex(found, r"^micro_batch=64 needs .* of 1024\.0 MiB; "
                                r"the largest that fits is 128$")
        verdict, found, hint = self.examine("--gpu-memory", "300KiB")
        self.assertEqual(verdict, "fail")
        self.assertRegex(found, r" of 0\.3 MiB: [0-9.]+ MiB are missing; the largest that fits is 8$")
        self.assertIn("numerics.recompute", hint)
        # This machine's: the emulator's or a real one's.
        verdict, found, _ = self.examine()
        if not worker_on_gpu(self.cpu_bin).name.endswith("emulated"):
            self.assertEqual(verdict, "ok", found)
            self.assertIn("the largest that fits is 128", found)

    def test_a_size_that_is_none_is_refused(self):
        done = cluster.drover("doctor", "--gpu-memory", "lots")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--gpu-memory", done.stderr)


class MemoryOfTest(cluster.TestCase):
    """A question about a job needs no coordinator."""

    def ask(self, path):
        return subprocess.run([cluster.BIN / "drover-worker", "--memory-of", path],
                              capture_output=True, text=True, check=False,
                              timeout=cluster.PATIENCE_S)

    def test_says_what_is_wrong_with_the_file(self):
        missing = self.ask(self.folder / "missing")
        self.assertEqual(missing.returncode, 78)
        self.assertIn("--memory-of", missing.stderr)
        (self.folder / "text").write_text("model: {mlp: {}}")
        wrong = self.ask(self.folder / "text")
        self.assertEqual(wrong.returncode, 78)
        self.assertIn("no JobSpec", wrong.stderr)

    def test_a_job_without_defaults_is_refused(self):
        (self.folder / "empty").write_text("")
        empty = self.ask(self.folder / "empty")
        self.assertEqual(empty.returncode, 1)
        self.assertIn("--memory-of", empty.stderr)


@unittest.skipIf(pathlib.Path("/dev/nvidiactl").exists(), "this machine has a GPU")
class NoGpuTest(cluster.TestCase):
    def test_a_job_that_wants_a_gpu_fails_with_the_reason(self):
        with cluster.Run(self.folder / "run", fields(device="cuda")) as run:
            result = run.finish()
        self.assertNotEqual(result.code, 0)
        self.assertIn("device: cuda", result.output + (self.folder / "run.out").read_text())


if __name__ == "__main__":
    cluster.main()
