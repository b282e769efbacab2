#!/usr/bin/env python3
"""Where the time of BERT-large's micro-batch goes, kernel by kernel, as Nsight Compute measures it.

usage: profile_bench.py [--log FILE]

One micro-batch of each phase through drover_gpu_bert_bench beside this script, without graphs. Each
kernel runs by itself, so that the sum is more than the time of a micro-batch and shares are what
counts. Prints figures as run_gpu_tests takes them; exits with 77, a skip, without a GPU, without ncu
or where ncu may not look. With --log it reads what ncu printed from a file.
"""

import argparse
import csv
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys

SKIPPED = 77
METRIC = "gpu__time_duration.sum"
LARGEST = 15  # Kernels with a figure of their own.
NO_ACCESS = re.compile(r"ERR_NVGPUCTRPERM|LibraryNotLoaded|Failed to initialize the profiler|"
                       r"Profiling is not supported|No kernels were profiled")


def find_ncu():
    places = ["/usr/local/cuda/bin/ncu", *sorted(glob.glob("/opt/nvidia/nsight-compute/*/ncu"))]
    return shutil.which("ncu") or next((p for p in places if os.access(p, os.X_OK)), None)


def short(name):
    """Without its return type, parameters and namespaces; template arguments tell kernels apart."""
    name = re.sub(r"\(anonymous namespace\)::|<unnamed>::|drover::|^void ", "", name)
    return re.sub(r"\W+", "_", name.partition("(")[0]).strip("_")[:80]


def kernels(text):
    """{name: [nanoseconds, launches]}, or None when this is no report."""
    lines = text.splitlines()
    begin = next((i for i, line in enumerate(lines) if "Kernel Name" in line and METRIC in line),
                 None)
    if begin is None:
        return None
    found = {}
    for row in csv.DictReader(lines[begin:]):
        try:
            nanoseconds = float(row[METRIC].replace(",", ""))
        except (AttributeError, TypeError, ValueError):
            continue  # The row of units, or words of the program.
        entry = found.setdefault(short(row["Kernel Name"]), [0.0, 0])
        entry[0] += nanoseconds
        entry[1] += 1
    return found


def report(phase, found):
    total = sum(nanoseconds for nanoseconds, _ in found.values())
    ordered = sorted(found.items(), key=lambda item: -item[1][0])
    print(f"figure {phase}_kernels {total / 1e6:.2f} ms, "
          f"{sum(count for _, count in found.values())} launches of {len(found)} kernels")
    for name, (nanoseconds, count) in ordered[:LARGEST]:
        print(f"figure {phase}:{name} {100 * nanoseconds / total:.1f} %, {nanoseconds / 1e6:.3f} ms "
              f"in {count} launches")
    rest = sum(nanoseconds for _, (nanoseconds, _) in ordered[LARGEST:])
    print(f"figure {phase}:all_others {100 * rest / total:.1f} %", flush=True)


def profile(ncu, phase):
    program = pathlib.Path(__file__).resolve().parent / "drover_gpu_bert_bench"
    return subprocess.run(
        [ncu, "--csv", "--page", "raw", "--print-units", "base", "--metrics", METRIC,
         "--clock-control", "none", "--cache-control", "none", "--target-processes", "all",
         str(program), "--gtest_also_run_disabled_tests",
         f"--gtest_filter=BertBench.DISABLED_{phase}ForAProfiler"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=pathlib.Path)
    options = parser.parse_args()
    if options.log:
        found = kernels(options.log.read_text())
        if not found:
            sys.exit("no kernel in this report")
        report("log", found)
        return 0
    ncu = find_ncu()
    if not os.path.exists("/dev/nvidiactl") or ncu is None:
        print("skipped: no GPU here" if ncu else "skipped: no ncu")
        return SKIPPED
    for phase in ("Phase1", "Phase2"):
        done = profile(ncu, phase)
        found = kernels(done.stdout)
        if not found:
            why = NO_ACCESS.search(done.stdout + done.stderr)
            if why:
                print(f"skipped: ncu: {why[0]}")
                return SKIPPED
            sys.exit(f"ncu, exit code {done.returncode}: {done.stdout[-1500:]}{done.stderr[-500:]}")
        report(phase.lower(), found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
