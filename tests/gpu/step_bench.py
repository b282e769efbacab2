#!/usr/bin/env python3
"""What a step of BERT-large costs through a shard on the same host, beside a local fused update.

usage: step_bench.py BIN_DIR [--tiny]

BERT-large's 398 tensors, 336 M parameters, sequences of 128 tokens, global batch 65,536, bfloat16,
one worker, one shard, LAMB. The time of one step is that of a job of two steps less that of a job of
one, so that starting, the first evaluation and the last checkpoint do not count. Beside it, from the
programs of the same bundle in the same run: the batch divided by bert_bench's sequences per second,
plus update_bench's fused LAMB.

Predicted, per step: a worker of one GPU pushes 8 bytes per parameter and lease, 2.7 GB, of which
all but the first layers' goes while the last micro-batch is in its backward pass; it pulls 2 bytes
per parameter, 0.7 GB. The shard reads and writes 50 bytes per parameter, 17 GB. A step of 65,536
sequences takes tens of seconds, so 3 % are more than a second.

Prints figures as run_gpu_tests takes them; exits with 77, a skip, without a GPU. With --tiny a small
model and batch on the CPU, without the local step: to see that the script works.
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

SKIPPED = 77
LEAVES = 32
LARGE = {"model.bert.size": "large", "model.bert.vocabulary_multiple": 8,
         "dataset.text.sequence_length": 128, "batch": 65536, "device": "cuda",
         "precision": "bf16"}
TINY = {"model.bert.size": "tiny", "model.bert.hidden": 16, "model.bert.heads": 2,
        "model.bert.positions": 24, "dataset.text.sequence_length": 24, "batch": 64,
        "device": "cpu"}


def write_text(path, words, lines):
    """Documents of made-up words, of which there are enough for a vocabulary of any size."""
    draw = random.Random(1)
    known = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 9)))
             for _ in range(words)]
    text = [" ".join(draw.choices(known, k=60)) for _ in range(lines)]
    path.write_text("\n\n".join("\n".join(text[i:i + 8]) for i in range(0, lines, 8)) + "\n")


def write_job(folder):
    job = folder / "job.yaml"
    job.write_text("name: step-bench\nmodel: {bert: {}}\ndataset: {text: {}}\n"
                   "optimizer: {lamb: {preset: tfa}}\nschedule: {peak: 0.001}\n"
                   f"leaves: {LEAVES}\nseed: 1\n")
    return job


def run(*command, timeout=580):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=timeout, stdin=subprocess.DEVNULL)


def seconds_of_job(bin_dir, folder, job, fields, steps):
    summary = folder / f"{steps}.json"
    fields = {**fields, "steps": steps, "dataset.text.path": folder / "tokens"}
    sets = [word for field, value in fields.items() for word in ("--set", f"{field}={value}")]
    done = run(bin_dir / "drover", "run", job, "--workers", 1, "--shards", 1, "--state-dir",
               folder / f"state-{steps}", "--json", summary, *sets)
    if done.returncode != 0:
        sys.exit(f"drover run: {done.stderr[-2000:]}")
    return json.loads(summary.read_text())["seconds"]


def local_step(bin_dir, batch):
    """Seconds of a step without a shard, and the micro-batch with which it is fastest."""
    tests = bin_dir.parent / "tests"
    bert = run(tests / "drover_gpu_bert_bench", "--gtest_filter=BertBench.Phase1")
    update = run(tests / "drover_gpu_update_bench", "--gtest_filter=UpdateBench.Lamb")
    speeds = {int(size): float(speed) for size, speed in
              re.findall(r"^micro-batch (\d+): ([\d.]+) sequences/s", bert.stdout, re.MULTILINE)
              if batch // LEAVES % int(size) == 0}
    fused = re.search(r"^figure lamb_fused_from_sums_bf16_out_time ([\d.]+) ms", update.stdout,
                      re.MULTILINE)
    if not speeds or fused is None:
        sys.exit(f"no local step: {bert.stdout[-1000:]}{update.stdout[-1000:]}")
    micro_batch = max(speeds, key=speeds.get)
    return batch / speeds[micro_batch] + float(fused[1]) / 1000, micro_batch


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if not options.tiny and not os.path.exists("/dev/nvidiactl"):
        print("skipped: no GPU here")
        sys.exit(SKIPPED)
    fields = dict(TINY if options.tiny else LARGE)
    local = None
    if options.tiny:
        fields["micro_batch"] = 2
    else:
        local, fields["micro_batch"] = local_step(options.bin_dir, fields["batch"])
        print(f"figure local_step {local:.2f} s, micro-batch {fields['micro_batch']}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        job = write_job(folder)
        write_text(folder / "text", *((60, 400) if options.tiny else (60_000, 4_000)))
        made = run(options.bin_dir / "drover", "data", "tokenize", "--input", folder / "text",
                   "--out", folder / "tokens", "--vocab-size", 80 if options.tiny else 30522)
        if made.returncode != 0:
            sys.exit(f"drover data tokenize: {made.stderr}")
        one, two = (seconds_of_job(options.bin_dir, folder, job, fields, steps)
                    for steps in (1, 2))
    print(f"figure step_through_shard {two - one:.2f} s, batch {fields['batch']}")
    if local is not None:
        print(f"figure step_overhead {100 * ((two - one) / local - 1):.1f} % of the local step")


if __name__ == "__main__":
    main()
