#!/usr/bin/env python3
"""Tests of bundle, run_gpu_tests and kernel_report, without a GPU.

usage: scripts_test.py [--build-dir DIR] [unittest arguments]

With --build-dir, a build with CUDA whose programs exist, the real bundle is made and looked into.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = argparse.Namespace(build_dir=None)

PTXAS = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN6drover10GoodKernelEPf' for 'sm_90'
ptxas info    : Function properties for _ZN6drover10GoodKernelEPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 2048 bytes smem, 360 bytes cmem[0]
"""
SPILLING = """\
ptxas info    : Compiling entry function '_ZN6drover9BadKernelEPf' for 'sm_80'
ptxas info    : Function properties for _ZN6drover9BadKernelEPf
    24 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 360 bytes cmem[0]
"""


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **options)


class KernelReportTest(unittest.TestCase):
    def report(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            log.write(text)
            log.flush()
            return run(HERE / "kernel_report", "--log", log.name)

    def test_prints_a_row_per_kernel(self):
        done = self.report(PTXAS)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"GoodKernel +sm_90 +40 +0 +0 +2048")

    def test_fails_on_spills_and_names_the_kernel(self):
        done = self.report(PTXAS + SPILLING)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"BadKernel +sm_80 +255 +28 +24 +0")
        self.assertEqual(done.stderr, "1 kernels spill registers: BadKernel\n")

    def test_fails_when_the_compiler_reports_nothing(self):
        self.assertIn("reported no kernel", self.report("nvcc warning\n").stderr)

    def test_skips_a_build_without_device_code(self):
        with tempfile.TemporaryDirectory() as build:
            (pathlib.Path(build) / "compile_commands.json").write_text("[]")
            done = run(HERE / "kernel_report", "--build-dir", build)
        self.assertEqual(done.returncode, 77)
        self.assertIn("skipped", done.stdout)


class RunGpuTestsTest(unittest.TestCase):
    """Against a bundle of shell scripts, with a sanitizer of the same kind."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        self.tools = self.root / "tools"
        self.program("tools/nvidia-smi", 'echo "Test GPU, 580.1, 80000 MiB"')
        self.program("bundle/tests/drover_gpu_a_test", 'echo "[  PASSED  ] 5 tests."')

    def program(self, path, body):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def sanitizer(self):
        self.program("tools/compute-sanitizer", 'echo "========= ERROR SUMMARY: 0 errors"\n'
                     'echo "$@" >> "$(dirname "$0")/checked"')

    def start(self, *arguments):
        path = f"{self.tools}:/usr/bin:/bin"
        done = run(HERE / "run_gpu_tests", "--bundle", self.root / "bundle", "--out",
                   self.root / "out", *arguments, env={"PATH": path, "HOME": str(self.root)})
        results = self.root / "out/results.json"
        return done, json.loads(results.read_text()) if results.exists() else None

    def states(self, results):
        return {(s["name"], s["kind"]): s["state"] for s in results["steps"]}

    def test_all_well_ends_in_a_table_and_json(self):
        self.sanitizer()
        self.program("bundle/tests/drover_gpu_b_bench", 'echo "figure copy 3012.5 GB/s, both ways"')
        done, results = self.start()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(results["gpu"], "Test GPU, 580.1, 80000 MiB")
        self.assertEqual(self.states(results), {
            ("drover_gpu_a_test", "correctness"): "passed",
            ("drover_gpu_a_test", "memcheck"): "passed",
            ("drover_gpu_a_test", "racecheck"): "passed",
            ("drover_gpu_b_bench", "timing"): "passed"})
        self.assertEqual(results["figures"], [
            {"program": "drover_gpu_b_bench", "name": "copy", "value": "3012.5",
             "unit": "GB/s, both ways"}])
        self.assertRegex(done.stdout, r"correctness +drover_gpu_a_test +passed +5 passed, 0 skipped")
        self.assertRegex(done.stdout, r"drover_gpu_b_bench +copy +3012.5 GB/s, both ways")

    def test_a_failing_program_fails_the_run_and_stops_the_timings(self):
        self.sanitizer()
        self.program("bundle/tests/drover_gpu_b_test", 'echo "x.cc:3: Failure"; exit 1')
        self.program("bundle/tests/drover_gpu_c_bench", 'echo "figure x 1 s"')
        done, results = self.start()
        self.assertEqual(done.returncode, 1)
        states = self.states(results)
        self.assertEqual(states[("drover_gpu_b_test", "correctness")], "failed")
        self.assertEqual(states[("all", "timing")], "skipped")
        self.assertIn("x.cc:3: Failure", done.stdout)

    def test_what_is_chosen_is_run_and_nothing_else(self):
        self.sanitizer()
        self.program("bundle/tests/drover_gpu_b_bench", 'echo "figure copy 1 GB/s"')
        done, results = self.start("--only", "memcheck,timing")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(set(self.states(results)), {("drover_gpu_a_test", "memcheck"),
                                                     ("drover_gpu_b_bench", "timing")})

    def test_figures_of_a_timing_that_was_stopped_are_kept(self):
        self.program("bundle/tests/drover_gpu_b_bench",
                     'echo "figure copy 3012.5 GB/s"; exec sleep 60')
        done, results = self.start("--limit", "1")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.states(results)[("drover_gpu_b_bench", "timing")], "failed")
        self.assertEqual([f["value"] for f in results["figures"]], ["3012.5"])

    def test_nothing_begins_after_the_deadline_and_all_that_was_done_is_kept(self):
        self.program("bundle/tests/drover_gpu_b_test", "exec sleep 60")
        self.program("bundle/tests/drover_gpu_c_test", 'echo "[  PASSED  ] 1 test."')
        done, results = self.start("--only", "correctness", "--deadline", "7")
        self.assertEqual(done.returncode, 1)
        states = self.states(results)
        self.assertEqual(states[("drover_gpu_a_test", "correctness")], "passed")
        self.assertEqual(states[("drover_gpu_b_test", "correctness")], "failed")
        self.assertEqual(states[("drover_gpu_c_test", "correctness")], "skipped")
        self.assertIn("not begun before --deadline 7", done.stdout)

    def test_leaves_two_files(self):
        """Of what comes back from a machine that is lent, number and size may be limited."""
        self.start()
        self.assertEqual(sorted(p.name for p in (self.root / "out").iterdir()),
                         ["all.log", "results.json"])
        self.assertIn("==== drover_gpu_a_test: exit code 0", (self.root / "out/all.log").read_text())

    def test_a_program_that_hangs_is_stopped(self):
        self.program("bundle/tests/drover_gpu_b_test", "exec sleep 60")
        done, results = self.start("--limit", "1")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.states(results)[("drover_gpu_b_test", "correctness")], "failed")
        self.assertIn("not done within 1 s", done.stdout)

    def test_a_machine_where_everything_skips_is_a_failure(self):
        self.program("bundle/tests/drover_gpu_a_test",
                     'echo "a.cc:9: Skipped"; echo "no GPU here: no driver"; '
                     'echo "[  PASSED  ] 0 tests."; echo "[  SKIPPED ] 1 test, listed below:"')
        done, results = self.start()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.states(results)[("this machine", "correctness")], "failed")
        self.assertIn("no GPU here: no driver", done.stdout)

    def test_without_a_sanitizer_that_step_is_skipped_with_a_reason(self):
        done, results = self.start()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.states(results)[("all", "memcheck")], "skipped")
        self.assertIn("compute-sanitizer is not in PATH", done.stdout)

    def test_an_error_that_the_sanitizer_finds_fails_the_run(self):
        self.program("tools/compute-sanitizer", 'echo "Invalid __global__ write"; exit 9')
        done, results = self.start()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.states(results)[("drover_gpu_a_test", "memcheck")], "failed")

    def test_libraries_of_nvidia_are_left_out_of_the_sanitizer(self):
        self.sanitizer()
        self.program("bundle/tests/drover_gpu_nccl_test", 'echo "[  PASSED  ] 1 test."')
        self.assertEqual(self.start()[0].returncode, 0)
        checked = (self.tools / "checked").read_text()
        self.assertNotIn("nccl", checked)
        self.assertIn("--gtest_filter=-*ProductsGpuTest.*", checked)

    def test_programs_find_the_libraries_in_the_folders_that_were_given(self):
        self.program("bundle/tests/drover_gpu_a_test",
                     'case $LD_LIBRARY_PATH in */lib:/my/nccl:/my/cublas*) ;; *) exit 1;; esac; '
                     'echo "[  PASSED  ] 1 test."')
        done, _ = self.start("--nccl", "/my/nccl", "--cublas", "/my/cublas")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("cuBLAS: /my/cublas", done.stdout)

    def test_a_timing_without_a_figure_is_a_failure(self):
        self.program("bundle/tests/drover_gpu_b_bench", "echo fast")
        done, _ = self.start()
        self.assertEqual(done.returncode, 1)
        self.assertIn("printed no figure", done.stdout)

    def test_a_comparison_in_python_may_skip_itself(self):
        self.program("bundle/tests/torch_bench.py", "")
        (self.root / "bundle/tests/torch_bench.py").write_text(
            'import sys\nprint("skipped: no PyTorch")\nsys.exit(77)\n')
        done, results = self.start()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.states(results)[("torch_bench.py", "timing")], "skipped")
        self.assertIn("skipped: no PyTorch", done.stdout)

    def test_refuses_what_it_does_not_know(self):
        for arguments in (["--fast"], ["--limit", "soon"], ["--limit"], ["--deadline", "0"],
                          ["--only", "speed"]):
            self.assertEqual(run(HERE / "run_gpu_tests", *arguments).returncode, 2)
        self.assertEqual(self.start("--bundle", self.root)[0].returncode, 2)


class TorchBenchTest(unittest.TestCase):
    def test_tensors_are_bert_large(self):
        name = HERE / "torch_adamw_bench.py"
        code = importlib.util.spec_from_file_location("torch_adamw_bench", name)
        module = importlib.util.module_from_spec(code)
        code.loader.exec_module(module)
        shapes = module.bert_large_shapes()
        self.assertEqual(len(shapes), 398)
        self.assertEqual(sum(math.prod(shape) for shape in shapes), 336_232_258)


class StepBenchTest(unittest.TestCase):
    def test_a_tiny_one_ends_in_a_figure(self):
        if OPTIONS.build_dir is None:
            self.skipTest("needs a build: give --build-dir DIR")
        done = run(sys.executable, HERE / "step_bench.py", OPTIONS.build_dir / "bin", "--tiny")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^figure step_through_shard \S+ s, batch 64$")

    def test_skips_itself_without_a_gpu(self):
        if os.path.exists("/dev/nvidiactl"):
            self.skipTest("this machine has a GPU")
        self.assertEqual(run(sys.executable, HERE / "step_bench.py", "nowhere").returncode, 77)


# The form of `ncu --csv --page raw`: a row of names, one of units, one per launch.
NCU = """\
==PROF== Connected to process 12 (/bundle/tests/drover_gpu_bert_bench)
[ RUN      ] BertBench.DISABLED_Phase1ForAProfiler
==PROF== Profiling "LayerNorm" - 0: 0%....50%....100% - 1 pass
"ID","Process ID","Kernel Name","Context","gpu__time_duration.sum"
"","","","","ns"
"0","12","void drover::(anonymous namespace)::LayerNormKernel<unsigned short, 4>(float *)","1","2,000"
"1","12","sm90_xmma_gemm_bf16bf16","1","6000"
"2","12","void drover::(anonymous namespace)::LayerNormKernel<unsigned short, 4>(float *)","1","2000"
"""


class ProfileBenchTest(unittest.TestCase):
    def read(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            log.write(text)
            log.flush()
            return run(sys.executable, HERE / "profile_bench.py", "--log", log.name)

    def test_adds_up_the_launches_of_each_kernel(self):
        done = self.read(NCU)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            "figure log_kernels 0.01 ms, 3 launches of 2 kernels",
            "figure log:sm90_xmma_gemm_bf16bf16 60.0 %, 0.006 ms in 1 launches",
            "figure log:LayerNormKernel_unsigned_short_4 40.0 %, 0.004 ms in 2 launches",
            "figure log:all_others 0.0 %"])

    def test_what_is_no_report_is_an_error(self):
        self.assertIn("no kernel", self.read("==ERROR== nothing\n").stderr)

    def test_skips_itself_without_a_gpu(self):
        if os.path.exists("/dev/nvidiactl"):
            self.skipTest("this machine has a GPU")
        self.assertEqual(run(sys.executable, HERE / "profile_bench.py").returncode, 77)


class LargeBatchBenchTest(unittest.TestCase):
    def test_tiny_ones_end_in_figures_and_have_one_digest_each(self):
        if OPTIONS.build_dir is None:
            self.skipTest("needs a build: give --build-dir DIR")
        sys.path.insert(0, str(HERE.parent / "integration"))
        import pictures  # pylint: disable=import-outside-toplevel
        with tempfile.TemporaryDirectory() as folder:
            pictures.write(pathlib.Path(folder))
            done = run(sys.executable, HERE / "large_batch_bench.py", OPTIONS.build_dir / "bin",
                       "--tiny", "--data", folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for name in ("cnn_lamb", "bi_lstm_lamb"):
            self.assertRegex(done.stdout, rf"(?m)^figure {name}_accuracy [\d.]+ %, MNIST, digest ")

    def test_skips_itself_without_a_gpu(self):
        if os.path.exists("/dev/nvidiactl"):
            self.skipTest("this machine has a GPU")
        self.assertEqual(run(sys.executable, HERE / "large_batch_bench.py", "nowhere").returncode,
                         77)


class BundleTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = pathlib.Path(scratch.name) / "bundle.tar.xz"
        self.empty = pathlib.Path(scratch.name)

    def test_refuses_a_build_without_cuda(self):
        done = run(HERE / "bundle", "--build-dir", self.empty, "--out", self.out)
        self.assertEqual(done.returncode, 1)
        self.assertIn("this build has no CUDA. Install the CUDA toolkit 12", done.stderr)

    def test_holds_all_that_its_programs_need_within_64_mib(self):
        if OPTIONS.build_dir is None:
            self.skipTest("needs a build with CUDA: give --build-dir DIR")
        done = run(HERE / "bundle", "--build-dir", OPTIONS.build_dir, "--out", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(self.out.stat().st_size, 64 << 20)
        with tarfile.open(self.out) as tar:
            tar.extractall(self.empty)
        folder = self.empty / "gpu-bundle"
        programs = [p for f in ("bin", "tests") for p in sorted((folder / f).iterdir())
                    if p.suffix != ".py"]
        self.assertIn("drover_gpu_device_test", [p.name for p in programs])
        for program in programs:
            self.assertIn(program.name, done.stdout)
            linked = run("ldd", program, env={"LD_LIBRARY_PATH": str(folder / "lib")}).stdout
            for line in linked.splitlines():
                packed = str(folder / "lib") in line
                system = re.match(r"\s*(/lib64/)?(linux-vdso|ld-linux[\w-]*|lib(c|m|dl|rt|pthread|"
                                  r"resolv))\.so", line)
                self.assertTrue(packed or system, f"{program.name}: {line}")
        # What was packed starts, also here, where there is no driver and no test can pass.
        for program in (folder / "bin").iterdir():
            self.assertIn("--help", run(program, "--help",
                                        env={"LD_LIBRARY_PATH": str(folder / "lib")}).stdout)
        done, results = start_real(folder, self.empty / "out")
        if not os.path.exists("/dev/nvidiactl"):
            self.assertEqual(done.returncode, 1)
            self.assertIn("no NVIDIA driver", done.stdout)
            self.assertEqual(len(results["gpu"]), 0)

    def test_refuses_to_be_larger_than_allowed(self):
        if OPTIONS.build_dir is None:
            self.skipTest("needs a build with CUDA: give --build-dir DIR")
        done = run(HERE / "bundle", "--build-dir", OPTIONS.build_dir, "--out", self.out,
                   "--limit-mib", "0.5")
        self.assertEqual(done.returncode, 1)
        self.assertIn("more than 0.5 MiB", done.stderr)


def start_real(folder, out):
    done = run(folder / "run_gpu_tests", "--out", out, "--limit", "60")
    return done, json.loads((out / "results.json").read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--build-dir", type=pathlib.Path)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
