#!/usr/bin/env python3
"""MNIST's CNN and Bi-LSTM at 32,768 samples a step on this machine's GPUs, each job twice.

usage: large_batch_bench.py BIN_DIR [--data DIR] [--tiny]

The job files of docs/examples/large_batch with `device: cuda`. Fails when two runs of a job have
different weights or, with MNIST's four files in DIR, when the accuracy is more than three standard
deviations below the CPU's of docs/results.md. Without DIR it trains on generated digits, which says
nothing of MNIST.

Prints figures as run_gpu_tests takes them; exits with 77, a skip, without a GPU. With --tiny a few
samples on the CPU, to see that the script works.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
# Percent on the CPU, docs/results.md: mean and deviation over three seeds.
JOBS = {"cnn_lamb": (99.24, 0.15), "bi_lstm_lamb": (98.70, 0.13)}
TINY = {"batch": 64, "leaves": 4, "micro_batch": 8, "steps": 2, "schedule.warmup_steps": 1,
        "device": "cpu"}


def job_file(name):
    here = pathlib.Path(__file__).resolve().parent
    for folder in (here / "jobs", here.parents[1] / "docs/examples/large_batch"):
        if (folder / f"{name}.yaml").exists():
            return folder / f"{name}.yaml"
    sys.exit(f"{name}.yaml is neither beside this script nor in docs/examples/large_batch")


def train(bin_dir, folder, job, data, fields):
    """The summary of one job."""
    text = job.read_text()
    if data is None:  # A dataset is one kind or another, so --set cannot change it.
        lines = [line for line in text.splitlines() if not line.startswith("  idx: ")]
        text = "\n".join("dataset: synthetic_digits" if line == "dataset:" else line
                         for line in lines)
    else:
        fields = {**fields, "dataset.idx.path": data.resolve()}
    (folder / "job.yaml").write_text(text + "\n")
    sets = [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]
    summary = folder / "summary.json"
    command = [bin_dir / "drover", "run", folder / "job.yaml", "--workers", 1, "--shards", 1,
               "--state-dir", folder / "state", "--json", summary, *sets]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=580, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"drover run {job.name}: {done.stderr[-2000:]}")
    return json.loads(summary.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if not options.tiny and not os.path.exists("/dev/nvidiactl"):
        print("skipped: no GPU here")
        return SKIPPED
    fields = TINY if options.tiny else {"device": "cuda"}
    wrong = []
    for name, (expected, deviation) in JOBS.items():
        runs = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(train(options.bin_dir, pathlib.Path(folder), job_file(name),
                                  options.data, fields))
        accuracy = 100 * runs[0]["final_accuracy"]
        kind = "MNIST" if options.data else "generated digits"
        print(f"figure {name}_accuracy {accuracy:.2f} %, {kind}, digest "
              f"{runs[0]['weights_digest'][:12]}", flush=True)
        print(f"figure {name}_time {min(run['seconds'] for run in runs):.1f} s", flush=True)
        if runs[0]["weights_digest"] != runs[1]["weights_digest"]:
            wrong.append(f"{name}: two runs have different weights: "
                         + " and ".join(run["weights_digest"] for run in runs))
        if options.data and not options.tiny and accuracy < expected - 3 * deviation:
            wrong.append(f"{name}: {accuracy:.2f} %, expected about {expected} as on the CPU")
    print("\n".join(f"error: {line}" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
