#!/usr/bin/env python3
"""A small BERT from plain text to an export that Hugging Face's transformers can load.

usage: bert_test.py BIN_DIR [unittest arguments]
"""

import json
import os
import pathlib
import struct

import cluster

JOB = pathlib.Path(__file__).resolve().parents[2] / "docs/examples/bert_tiny.yaml"
WORDS = "the drover walks ahead of his flock and sings until a gate of wood is closed".split()


def write_text(path):
    """Sixty documents of four lines; which word follows which is a fixed pattern."""
    lines = [" ".join(WORDS[(7 * line + step * (1 + line % 3)) % len(WORDS)] for step in range(8))
             for line in range(240)]
    path.write_text("\n\n".join("\n".join(lines[i:i + 4]) for i in range(0, 240, 4)) + "\n")


class BertTest(cluster.TestCase):
    def setUp(self):
        super().setUp()
        self.bin = cluster.BIN
        write_text(self.folder / "text")
        made = cluster.drover("data", "tokenize", "--input", self.folder / "text", "--out",
                              self.folder / "tokens", "--vocab-size", "80")
        self.assertEqual(made.returncode, 0, made.stderr)

    def tearDown(self):
        cluster.BIN = self.bin
        super().tearDown()

    def train(self, name, more=None, **options):
        fields = {"dataset.text.path": self.folder / "tokens", "dataset.text.sequence_length": 24,
                  "model.bert.layers": 1, "model.bert.hidden": 32, "model.bert.heads": 4,
                  "model.bert.positions": 24, "model.bert.vocabulary_multiple": 8,
                  "model.bert.dropout": 0.1, "batch": 32, "leaves": 16, "micro_batch": 2,
                  "steps": 6, "evaluation.every_steps": 3, **(more or {})}
        return self.run_to_end(name, fields, job=JOB, **options)

    def test_same_bits_and_an_export_by_name(self):
        one = self.train("one", workers=1, shards=1)
        three = self.train("three", workers=3, shards=2)

        self.assertEqual(one.summary["weights_digest"], three.summary["weights_digest"])
        self.assertEqual(one.summary["masked_loss"], three.summary["masked_loss"])
        self.assertIn("masked_loss=", one.output)
        self.expect_export(three.summary["checkpoint"])

    def test_workers_on_emulated_gpus_come_near_the_cpu(self):
        emulated = cluster.BIN.parent / "tests/drover-worker-emulated"
        if not emulated.exists():
            self.skipTest("drover-worker-emulated was not built")
        few = {"steps": 2, "evaluation.every_steps": 2}
        cpu = self.train("cpu", few, workers=1, shards=1)
        cluster.BIN = self.folder / "bin"
        cluster.BIN.mkdir()
        for program in ("drover", "drover-coordinator", "drover-shard"):
            os.link(self.bin / program, cluster.BIN / program)
        os.link(emulated, cluster.BIN / "drover-worker")
        one = self.train("gpu-one", few, workers=1, shards=1)
        # What is computed again has the same bits.
        two = self.train("gpu-two", {**few, "numerics.recompute": "true"}, workers=2, shards=2)

        self.assertEqual(one.summary["weights_digest"], two.summary["weights_digest"])
        self.assertAlmostEqual(one.summary["final_loss"], cpu.summary["final_loss"], delta=1e-4)
        self.assertAlmostEqual(one.summary["masked_loss"], cpu.summary["masked_loss"], delta=1e-4)

    def expect_export(self, checkpoint):
        out = self.folder / "model"
        out.mkdir()
        export = ["checkpoint", "export", checkpoint, "--out", out / "model.safetensors"]
        wrong = cluster.drover(*export, "--heads", 5)
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn("5 heads for a hidden size of 32", wrong.stderr)
        exported = cluster.drover(*export, "--heads", 4)
        self.assertEqual(exported.returncode, 0, exported.stderr)
        self.assertEqual(cluster.drover(*export, "--heads", 4).returncode, 0)
        other = cluster.drover(*export, "--heads", 8)
        self.assertIn("is there already and says something else", other.stderr)

        config = json.loads((out / "config.json").read_text())
        self.assertEqual((config["num_attention_heads"], config["num_hidden_layers"]), (4, 1))
        self.assertEqual((config["hidden_size"], config["vocab_size"]), (32, 80))
        data = (out / "model.safetensors").read_bytes()
        (size,) = struct.unpack_from("<Q", data)
        names = set(json.loads(data[8:8 + size])) - {"__metadata__"}
        self.assertEqual(len(names), 5 + 16 + 2 + 5 + 2)
        self.assertIn("bert.encoder.layer.0.attention.self.query.weight", names)
        self.assertIn("cls.predictions.transform.LayerNorm.bias", names)


if __name__ == "__main__":
    cluster.main()
