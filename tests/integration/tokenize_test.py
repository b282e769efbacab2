#!/usr/bin/env python3
"""`drover data tokenize` as a user runs it; its files are read back from docs/formats.md alone.

usage: tokenize_test.py BIN_DIR [unittest arguments]

The folder of data sets that holds tinyshakespeare.txt is named by DROVER_TEST_DATA, as ./test does.
"""

import hashlib
import json
import os
import pathlib
import struct
import unittest

import cluster

TEXT = pathlib.Path(os.environ.get("DROVER_TEST_DATA", "")) / "tinyshakespeare.txt"
# Of BertWordPieceTokenizer(lowercase=True).train([TEXT], vocab_size=4096) of Hugging Face's
# "tokenizers" 0.20.3: its tokens sorted, a line feed between them. Their order is not defined there.
SORTED_VOCABULARY_SHA256 = "9bb567db0a27eb76c2b5a493508367eda01045ef47b3f17a3ab59002fb553daa"
FILES = ["dataset.json", "test.tokens", "train.tokens", "vocab.txt"]


def crc32c(data):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def read_tokens(path):
    """Documents, each a list of sentences, each a list of ids; every field checked."""
    data = path.read_bytes()
    (magic, version, order, size, width, vocabulary, *specials, flags, documents, sentences, tokens,
     vocabulary_hash, zero, payload_crc, header_crc) = struct.unpack_from("<8sIIQII5IIQQQ32sQII", data)
    assert (magic, version, order, size, zero) == (b"DRVRTOKS", 1, 0x01020304, len(data), 0)
    assert crc32c(data[:124]) == header_crc and crc32c(data[128:]) == payload_crc
    starts = struct.unpack_from(f"<{documents + 1}Q", data, 128)
    begins = struct.unpack_from(f"<{sentences + 1}Q", data, 128 + 8 * len(starts))
    offset = 128 + 8 * (len(starts) + len(begins))
    ids = struct.unpack_from(f"<{tokens}{'H' if width == 2 else 'I'}", data, offset)
    assert offset + width * tokens == size and max(ids) < vocabulary and len(vocabulary_hash) == 32
    lines = [list(ids[a:b]) for a, b in zip(begins, begins[1:])]
    return [lines[a:b] for a, b in zip(starts, starts[1:])], specials, flags


def words(text):
    """BERT's splitter, for ASCII."""
    for mark in map(chr, range(33, 127)):
        if not mark.isalnum():
            text = text.replace(mark, f" {mark} ")
    return text.lower().split()


class TokenizeTest(cluster.TestCase):
    def tokenize(self, name, text, *flags):
        run = cluster.drover("data", "tokenize", "--input", text, "--out", self.folder / name, *flags)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run

    @unittest.skipUnless(TEXT.is_file(), "no tinyshakespeare.txt: name its folder with --data")
    def test_tinyshakespeare(self):
        flags = ["--vocab-size", 4096, "--lowercase"]
        run = self.tokenize("a", TEXT, *flags)
        self.assertIn("4,096 tokens", run.stdout)
        self.assertIn("0 of ", run.stdout)  # No [UNK]: the vocabulary has every character.
        vocabulary = (self.folder / "a/vocab.txt").read_text().splitlines()
        self.assertEqual(vocabulary[:5], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        self.assertEqual((len(vocabulary), len(set(vocabulary))), (4096, 4096))
        self.assertEqual(hashlib.sha256("\n".join(sorted(vocabulary)).encode()).hexdigest(),
                         SORTED_VOCABULARY_SHA256)
        manifest = json.loads((self.folder / "a/dataset.json").read_text())

        kept = {}
        for part in ("train", "test"):
            kept[part], specials, lowercase = read_tokens(self.folder / f"a/{part}.tokens")
            self.assertEqual((specials, lowercase), ([0, 1, 2, 3, 4], 1))
            self.assertEqual(manifest[part]["documents"], len(kept[part]))
        # All of the text is there, in order, the 10th document and every 20th from there held out.
        documents = [block.split("\n") for block in TEXT.read_text().split("\n\n") if block.strip()]
        self.assertEqual(len(documents), len(kept["train"]) + len(kept["test"]))
        parts = {part: iter(kept[part]) for part in kept}
        for i, document in enumerate(documents):
            found = next(parts["test" if i % 20 == 9 else "train"])
            spelt = [vocabulary[token] for sentence in found for token in sentence]
            joined = " ".join(spelt).replace(" ##", "").split()
            self.assertEqual(joined, words("\n".join(document)))

        self.tokenize("b", TEXT, *flags)
        for name in FILES:
            self.assertEqual((self.folder / "a" / name).read_bytes(),
                             (self.folder / "b" / name).read_bytes(), name)

    def test_small_text_as_json_and_with_a_given_vocabulary(self):
        text = self.folder / "text"
        text.write_text("One two.\nThree.\n\n" * 40)
        made = self.tokenize("a", text, "-o", "json")
        self.assertEqual(json.loads(made.stdout)["train"]["documents"], 38)
        self.assertEqual(made.stdout, (self.folder / "a/dataset.json").read_text())
        self.tokenize("b", text, "--vocab", self.folder / "a/vocab.txt")
        for name in FILES:
            self.assertEqual((self.folder / "a" / name).read_bytes(),
                             (self.folder / "b" / name).read_bytes(), name)

    def test_wrong_use(self):
        text = self.folder / "text"
        text.write_bytes(b"fine\n\xff\n")
        out = self.folder / "out"
        for flags, code, wanted in (
                ([], 2, "--input"),
                (["--input", text], 2, "--out"),
                (["--input", text, "--out", out], 2, 'text":2: byte 1 of the line is 0xff'),
                (["--input", self.folder / "none", "--out", out], 3, "none"),
                (["--input", text, "--out", out, "--test-fraction", "0.9"], 2, "--test-fraction"),
                (["--input", text, "--out", out, "--vocab-size", "5"], 2, "--vocab-size"),
                (["--input", text, "--out", out, "--vocab", text, "--vocab-size", "99"], 2,
                 "--vocab")):
            wrong = cluster.drover("data", "tokenize", *flags)
            self.assertEqual(wrong.returncode, code, wrong.stderr)
            self.assertIn(wanted, wrong.stderr + wrong.stdout)
            self.assertFalse(out.exists())


if __name__ == "__main__":
    cluster.main()
