#!/usr/bin/env python3
"""The held-out loss of an exported BERT, by PyTorch and without Drover's code.

usage: bert_check.py MODEL_FOLDER TOKENS_FOLDER [--sequence-length N] [--masked-loss X]

MODEL_FOLDER: holds one .safetensors file and config.json, as `drover checkpoint export` writes them.
TOKENS_FOLDER: made by `drover data tokenize`; test.tokens is read. Samples, pairs and masks are made
here a second time, from docs/formats.md and the comments of worker/data. Needs torch and numpy.
--masked-loss: what Drover reported; the exit code is 1 when PyTorch is more than 1e-3 from it.
--transformers: the forward pass is that of Hugging Face's BertForPreTraining, which must be installed;
the weights' file must be called model.safetensors.
"""

import argparse
import bisect
import json
import math
import pathlib
import struct
import sys

import numpy
import torch

MASK32 = 0xFFFFFFFF
TEXT_STREAM = 0x74657874


def philox(seed, stream, index):
    """Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11: Philox 4x32-10."""
    counter = [index & MASK32, index >> 32, stream & MASK32, stream >> 32]
    key = [seed & MASK32, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & MASK32,
                   (a >> 32) ^ counter[3] ^ key[1], a & MASK32]
        key = [(key[0] + 0x9E3779B9) & MASK32, (key[1] + 0xBB67AE85) & MASK32]
    return counter


def below(word, n):
    return word * n >> 32


class Text:
    """A token file."""

    def __init__(self, path):
        data = path.read_bytes()
        fields = struct.unpack_from("<8sIIQII5IIQQQ", data)
        assert fields[:2] == (b"DRVRTOKS", 1), path
        self.width, self.vocabulary = fields[4:6]
        self.pad, self.unk, self.cls, self.sep, self.mask = self.specials = fields[6:11]
        documents, sentences, tokens = fields[12:15]
        at = 128
        self.documents = numpy.frombuffer(data, "<u8", documents + 1, at).tolist()
        at += 8 * len(self.documents)
        self.sentences = numpy.frombuffer(data, "<u8", sentences + 1, at).tolist()
        at += 8 * len(self.sentences)
        self.tokens = numpy.frombuffer(data, f"<u{self.width}", tokens, at).tolist()

    def passages(self, room):
        for first, end in zip(self.documents, self.documents[1:]):
            begin = reached = self.sentences[first]
            cuts = []
            for s in range(first, end):
                if self.sentences[s + 1] - begin > room:
                    cuts.append((begin, reached))
                    begin = reached
                while self.sentences[s + 1] - begin > room:
                    cuts.append((begin, begin + room))
                    begin += room
                reached = self.sentences[s + 1]
            cuts.append((begin, reached))
            yield from (cut for cut in cuts if cut[1] - cut[0] >= 2)

    def sentence_of(self, token):
        return bisect.bisect_right(self.sentences, token) - 1

    def document_of(self, sentence):
        return bisect.bisect_right(self.documents, sentence) - 1


def pair(text, passage, room, words):
    begin, end = passage
    first, last = text.sentence_of(begin) + 1, text.sentence_of(end - 1)
    if first > last:
        split = begin + (end - begin) // 2
    else:
        split = text.sentences[first + below(words[0], last - first + 1)]
    if not words[1] >> 31:
        return text.tokens[begin:split], text.tokens[split:end], 0
    own = text.document_of(text.sentence_of(begin))
    own_sentences = text.documents[own + 1] - text.documents[own]
    sentence = (words[2] << 32 | words[3]) % (len(text.sentences) - 1 - own_sentences)
    if sentence >= text.documents[own]:
        sentence += own_sentences
    b_end = text.sentences[text.documents[text.document_of(sentence) + 1]]
    b_begin = text.sentences[sentence]
    b_end = min(b_end, b_begin + room - (split - begin))
    return text.tokens[begin:split], text.tokens[b_begin:b_end], 1


def sample(text, passage, length, key, index):
    a, b, label = pair(text, passage, length - 3, philox(key, index, 0))
    tokens = [text.cls] + a + [text.sep] + b + [text.sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    places = [i for i, token in enumerate(tokens) if token not in text.specials]
    most = (15 * length + 99) // 100
    count = min(max((len(places) * 15 + 50) // 100, 1), len(places), most)
    for i in range(count):
        j = i + below(philox(key, index, 1 + i)[0], len(places) - i)
        places[i], places[j] = places[j], places[i]
    positions = sorted(places[:count])
    labels = [tokens[i] for i in positions]
    for i, place in enumerate(positions):
        words = philox(key, index, 1 + i)
        choice = below(words[1], 10)
        if choice < 8:
            tokens[place] = text.mask
        elif choice == 8:
            token = below(words[2], text.vocabulary - len(text.specials))
            for special in sorted(text.specials):
                token += token >= special
            tokens[place] = token
    return tokens, segments, label, positions, labels


def load_weights(path):
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    weights = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(data, "<f4", (end - begin) // 4, 8 + size + begin)
        weights[name] = torch.tensor(array).reshape(entry["shape"])
    return weights


class Bert:
    """Devlin et al. 2018, in plain tensor operations."""

    def __init__(self, weights, config):
        self.weights, self.config = weights, config

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, x):
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        scaled = (x - mean) / torch.sqrt(variance + self.config["layer_norm_eps"])
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attention(self, name, x, mask):
        samples, length, hidden = x.shape
        heads = self.config["num_attention_heads"]
        q, k, v = (self.linear(f"{name}.self.{part}", x)
                   .reshape(samples, length, heads, hidden // heads).transpose(1, 2)
                   for part in ("query", "key", "value"))
        scores = q @ k.transpose(2, 3) / math.sqrt(hidden // heads)
        scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        context = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(samples, length, hidden)
        return self.linear(name + ".output.dense", context)

    def __call__(self, tokens, segments, mask):
        """Logits of every token, and of the next sentence."""
        table = "bert.embeddings.{}_embeddings.weight"
        words = self.weights[table.format("word")]
        x = (words[tokens] + self.weights[table.format("position")][:tokens.shape[1]] +
             self.weights[table.format("token_type")][segments])
        x = self.norm("bert.embeddings.LayerNorm", x)
        for layer in range(self.config["num_hidden_layers"]):
            name = f"bert.encoder.layer.{layer}"
            x = self.norm(name + ".attention.output.LayerNorm",
                          x + self.attention(name + ".attention", x, mask))
            inner = torch.nn.functional.gelu(self.linear(name + ".intermediate.dense", x))
            x = self.norm(name + ".output.LayerNorm", x + self.linear(name + ".output.dense", inner))
        z = torch.nn.functional.gelu(self.linear("cls.predictions.transform.dense", x))
        z = self.norm("cls.predictions.transform.LayerNorm", z)
        pooled = torch.tanh(self.linear("bert.pooler.dense", x[:, 0]))
        return (z @ words.T + self.weights["cls.predictions.bias"],
                self.linear("cls.seq_relationship", pooled))


def transformers_bert(folder):
    import transformers  # pylint: disable=import-outside-toplevel
    model, loaded = transformers.BertForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert not any(loaded.values()), loaded  # Every tensor, and no other.
    model.eval()

    def forward(tokens, segments, mask):
        out = model(input_ids=tokens, token_type_ids=segments, attention_mask=mask.long())
        return out.prediction_logits, out.seq_relationship_logits
    return forward


def evaluate(model, text, length):
    words = philox(0, TEXT_STREAM, 1)
    key = words[0] << 32 | words[1]
    passages = list(text.passages(length - 3))
    masked_losses, sample_losses, masked_right, right = [], [], 0, 0
    cross_entropy = torch.nn.functional.cross_entropy
    for begin in range(0, len(passages), 32):
        batch = [sample(text, passages[i], length, key, i)
                 for i in range(begin, min(begin + 32, len(passages)))]
        pad = lambda values, filler: values + [filler] * (length - len(values))
        tokens = torch.tensor([pad(s[0], text.pad) for s in batch])
        segments = torch.tensor([pad(s[1], 0) for s in batch])
        mask = torch.tensor([[i < len(s[0]) for i in range(length)] for s in batch])
        with torch.no_grad():
            token_logits, sentence_logits = model(tokens, segments, mask)
        for row, (_, _, label, positions, labels) in enumerate(batch):
            logits, wanted = token_logits[row, positions], torch.tensor(labels)
            losses = cross_entropy(logits, wanted, reduction="none").double()
            masked_losses.append(losses)
            masked_right += int((logits.argmax(-1) == wanted).sum())
            sentence = cross_entropy(sentence_logits[row:row + 1], torch.tensor([label])).double()
            right += int(sentence_logits[row].argmax() == label)
            sample_losses.append(sentence + (losses.mean() if len(losses) else 0))
    masked = torch.cat(masked_losses)
    return {
        "samples": len(passages), "loss": float(torch.stack(sample_losses).mean()),
        "accuracy": right / len(passages), "masked_tokens": len(masked),
        "masked_loss": float(masked.mean()), "masked_accuracy": masked_right / len(masked),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("tokens", type=pathlib.Path)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--masked-loss", type=float)
    parser.add_argument("--transformers", action="store_true")
    arguments = parser.parse_args()
    config = json.loads((arguments.model / "config.json").read_text())
    (path,) = arguments.model.glob("*.safetensors")
    model = transformers_bert(arguments.model) if arguments.transformers else \
        Bert(load_weights(path), config)
    result = evaluate(model, Text(arguments.tokens / "test.tokens"), arguments.sequence_length)
    print(json.dumps(result))
    if arguments.masked_loss is None:
        return 0
    off = abs(result["masked_loss"] - arguments.masked_loss)
    print(f"masked_loss: PyTorch {result['masked_loss']:.6f}, Drover {arguments.masked_loss:.6f}, "
          f"{off:.1e} apart")
    return int(off > 1e-3)


if __name__ == "__main__":
    sys.exit(main())
