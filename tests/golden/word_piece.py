#!/usr/bin/env python3
"""Token ids of Hugging Face's "tokenizers" 0.20.3 for word_piece_test.cc.

usage: python3 word_piece.py > word_piece.json
"""

import json
import sys

from tokenizers import BertWordPieceTokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "First Citizen:",
    "Before we proceed any further, hear me speak.",
    "We know't, we know't.",
    "Is't a verdict?",
    "No more talking on't; let it be done: away, away!",
    "HE'S ONE HONEST ENOUGH: WOULD ALL THE REST WERE SO!",
    "unaffable, unwanted & unverdictable",
    "[MASK] [CLS]x[SEP] ##ing",
    "caf\u00e9 CAF\u00c9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m",
    "\u0130stanbul \u03a3\u039f\u03a6\u039f\u03a3 \u1f82\u1fb3",
    "\u00abwhat\u00bb \u2014 \u2018so\u2019 \u2026 \u00a1no!",
    "a\u00a0b\u2003c\u3000d\u2028e",
    "zero\u200bwidth soft\u00adhyphen nul\u0000bell\u0007 \ufffd",
    "tab\there\r\nthere",
    "\u4e2d\u6587 mixed\u6587with \U00020000 \u304b\u306a \ud55c\uad6d\uc5b4",
    "3.14 $5 50% x^2 a_b `c` ~ <tag> C++ e=mc\u00b2",
    "emoji \U0001f600\ufe0f \U0001f468\u200d\U0001f469",
    "w" * 100,
    "w" * 101,
    "",
]


def vocabulary():
    """All characters of a few ranges, so that little is [UNK], and some longer pieces."""
    characters = [chr(c) for c in range(33, 127)] + list("\u00e9\u00ef\u00b2\u00ab\u00bb\u2014\u2026\u6587\u03c3\u03bf\u03b1")
    pieces = ["we", "know", "citizen", "first", "the", "further", "speak", "want", "un", "verdict"]
    tails = ["ed", "ing", "able", "fable", "ther", "want", "verdict", "ww", "e", "na"]
    words = SPECIALS + sorted(characters) + ["##" + c for c in sorted(characters)]
    return list(dict.fromkeys(words + pieces + ["##" + tail for tail in tails]))


def main():
    words = vocabulary()
    ids = {word: i for i, word in enumerate(words)}
    cases = []
    for lowercase in (True, False):
        tokenizer = BertWordPieceTokenizer(ids, lowercase=lowercase)
        # Special tokens in the text are text for us; do not let the library find them first.
        model = tokenizer._tokenizer
        for text in TEXTS:
            normal = model.normalizer.normalize_str(text)
            split = [word for word, _ in model.pre_tokenizer.pre_tokenize_str(normal)]
            found = [token.id for word in split for token in model.model.tokenize(word)]
            cases.append({"text": text, "lowercase": lowercase, "ids": found})
    json.dump({"vocabulary": words, "cases": cases}, sys.stdout, separators=(",", ":"))
    print()


main()
