#!/usr/bin/env python3
"""A job that was interrupted goes on from its checkpoint with any number of shards.

usage: resume_test.py BIN_DIR [unittest arguments]
"""

import hashlib
import json
import os
import pathlib
import signal
import struct

import cluster


def fields():
    return cluster.on_pictures(steps=240, evaluation__every_steps=20, checkpoint__every_steps=40)


def digest_of_safetensors(path):
    """The digest of docs/formats.md, computed from an export by nobody's code but this."""
    data = pathlib.Path(path).read_bytes()
    (header_size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + header_size])
    header.pop("__metadata__", None)
    digest = hashlib.sha256()
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        digest.update(name.encode() + b"\0" + struct.pack("<I", len(entry["shape"])))
        digest.update(struct.pack(f"<{len(entry['shape'])}Q", *entry["shape"]))
        digest.update(data[8 + header_size + begin:8 + header_size + end])
    return digest.hexdigest()


class ResumeTest(cluster.TestCase):
    def resume(self, shards):
        with cluster.Run(self.folder / "run", fields(), shards=shards) as run:
            result = self.expect_success(run)
        self.assertEqual(result.summary["weights_digest"], cluster.undisturbed_digest(fields()))

    def suspend_after(self, step, shards=2):
        with cluster.Run(self.folder / "run", fields(), shards=shards) as run:
            run.wait_for_step(step)
            run.process.send_signal(signal.SIGINT)
            result = run.finish()
            self.assertEqual(result.code, 130, run.report())

    def expect_private(self):
        """Files of coordinator and shards: other users have no rights, whatever the umask."""
        made = [path for role in ("coordinator", "shard-0", "shard-1")
                for path in (self.folder / "run" / role).rglob("*")]
        self.assertGreater(len(made), 5)
        self.assertEqual([path for path in made if path.stat().st_mode & 0o077], [])

    def test_suspended_with_two_shards_goes_on_with_three(self):
        self.suspend_after(60)
        self.expect_private()
        self.resume(shards=3)

    def test_suspended_with_three_shards_goes_on_with_one(self):
        self.suspend_after(60, shards=3)
        self.resume(shards=1)

    def test_killed_whole_goes_on_with_the_same_shards(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(100)
            os.killpg(run.process.pid, signal.SIGKILL)
        self.resume(shards=2)

    def test_killed_whole_goes_on_with_more_shards(self):
        with cluster.Run(self.folder / "run", fields()) as run:
            run.wait_for_step(100)
            os.killpg(run.process.pid, signal.SIGKILL)
        self.resume(shards=3)


class CheckpointTest(cluster.TestCase):
    def setUp(self):
        super().setUp()
        result = self.run_to_end("run", cluster.on_pictures(steps=8))
        self.digest = result.summary["weights_digest"]
        self.checkpoint = pathlib.Path(result.summary["checkpoint"])

    def test_export_has_the_weights_of_the_digest(self):
        out = self.folder / "weights.safetensors"
        verified = cluster.drover("checkpoint", "verify", self.checkpoint)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        exported = cluster.drover("checkpoint", "export", self.checkpoint, "--out", out)
        self.assertEqual(exported.returncode, 0, exported.stderr)
        self.assertEqual(digest_of_safetensors(out), self.digest)

    def test_flipped_byte_is_found_and_named(self):
        part = sorted(self.checkpoint.glob("shard-*"))[0]
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
        verified = cluster.drover("checkpoint", "verify", self.checkpoint)
        self.assertEqual(verified.returncode, 1, verified.stderr)
        self.assertIn(part.name, verified.stdout + verified.stderr)


if __name__ == "__main__":
    cluster.main()
