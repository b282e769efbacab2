#!/usr/bin/env python3
"""Loss and gradient of a small BERT with both heads of pre-training, by PyTorch in float64.

Writes bert.json beside itself. Needs torch. The forward pass is written from the paper in plain
tensor operations, without Drover's code and without a library of models; the gradient is autograd's.
Weights are small dyadic fractions, so that float32 holds them exactly.
"""

import json
import math
import pathlib

import torch

VOCABULARY, HIDDEN, HEADS, INTERMEDIATE, LAYERS, POSITIONS = 20, 8, 2, 12, 2, 7
TOKENS, PREDICTIONS = 6, 3
LENGTHS = [6, 4, 6, 5]
LABELS = [0, 1, 1, 0]
MASKED_POSITIONS = [[1, 4, 2], [3, 0, 0], [5, 2, 0], [0, 0, 0]]
MASKED_LABELS = [[7, 19, 0], [4, -1, -1], [11, 3, -1], [-1, -1, -1]]
EPSILON = 1e-12


def shapes():
    yield "bert.embeddings.word_embeddings.weight", (VOCABULARY, HIDDEN)
    yield "bert.embeddings.position_embeddings.weight", (POSITIONS, HIDDEN)
    yield "bert.embeddings.token_type_embeddings.weight", (2, HIDDEN)
    yield from norm("bert.embeddings.LayerNorm")
    for layer in range(LAYERS):
        prefix = f"bert.encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            yield from dense(f"{prefix}attention.self.{part}", HIDDEN, HIDDEN)
        yield from dense(prefix + "attention.output.dense", HIDDEN, HIDDEN)
        yield from norm(prefix + "attention.output.LayerNorm")
        yield from dense(prefix + "intermediate.dense", HIDDEN, INTERMEDIATE)
        yield from dense(prefix + "output.dense", INTERMEDIATE, HIDDEN)
        yield from norm(prefix + "output.LayerNorm")
    yield from dense("bert.pooler.dense", HIDDEN, HIDDEN)
    yield "cls.predictions.bias", (VOCABULARY,)
    yield from dense("cls.predictions.transform.dense", HIDDEN, HIDDEN)
    yield from norm("cls.predictions.transform.LayerNorm")
    yield from dense("cls.seq_relationship", HIDDEN, 2)


def dense(name, inputs, outputs):
    yield name + ".weight", (outputs, inputs)
    yield name + ".bias", (outputs,)


def norm(name):
    yield name + ".weight", (HIDDEN,)
    yield name + ".bias", (HIDDEN,)


def fractions(count, multiplier, offset):
    """count values k / 64 with |k| <= 48, from a linear congruence: no generator to depend on."""
    return [((i * multiplier + offset) % 97 - 48) / 64 for i in range(count)]


def make_weights():
    weights = {}
    for number, (name, shape) in enumerate(shapes()):
        values = torch.tensor(fractions(math.prod(shape), 37 + 2 * number, 11 * number),
                              dtype=torch.float64).reshape(shape)
        if name.endswith("LayerNorm.weight"):
            values = 1 + values / 4
        elif name.endswith("bias"):
            values = values / 4
        weights[name] = values.requires_grad_()
    return weights


def linear(weights, name, x):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def layer_norm(weights, name, x):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + EPSILON) * weights[name + ".weight"] + \
        weights[name + ".bias"]


def gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def attention(weights, prefix, x):
    size = HIDDEN // HEADS
    heads = []
    q, k, v = (linear(weights, f"{prefix}.self.{part}", x) for part in ("query", "key", "value"))
    for h in range(HEADS):
        part = slice(h * size, (h + 1) * size)
        p = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(size), -1)
        heads.append(p @ v[:, part])
    return linear(weights, prefix + ".output.dense", torch.cat(heads, -1))


def encode(weights, tokens, segments):
    """One sample without its padding: padding must not matter, so it is not there at all."""
    prefix = "bert.embeddings."
    x = (weights[prefix + "word_embeddings.weight"][tokens] +
         weights[prefix + "position_embeddings.weight"][:len(tokens)] +
         weights[prefix + "token_type_embeddings.weight"][segments])
    x = layer_norm(weights, prefix + "LayerNorm", x)
    for layer in range(LAYERS):
        prefix = f"bert.encoder.layer.{layer}"
        x = layer_norm(weights, prefix + ".attention.output.LayerNorm",
                       x + attention(weights, prefix + ".attention", x))
        inner = gelu(linear(weights, prefix + ".intermediate.dense", x))
        x = layer_norm(weights, prefix + ".output.LayerNorm",
                       x + linear(weights, prefix + ".output.dense", inner))
    return x


def cross_entropy(logits, label):
    return torch.logsumexp(logits, -1) - logits[label]


def main():
    weights = make_weights()
    tokens = [[(5 * i + 7 * sample + 3) % VOCABULARY for i in range(TOKENS)]
              for sample in range(len(LENGTHS))]
    segments = [[int(i >= 3) for i in range(TOKENS)] for _ in LENGTHS]
    losses, masked_losses, correct, masked_correct = [], [], 0, 0
    for sample, length in enumerate(LENGTHS):
        x = encode(weights, tokens[sample][:length], segments[sample][:length])
        sample_losses = []
        for position, label in zip(MASKED_POSITIONS[sample], MASKED_LABELS[sample]):
            if label < 0:
                continue
            z = gelu(linear(weights, "cls.predictions.transform.dense", x[position]))
            z = layer_norm(weights, "cls.predictions.transform.LayerNorm", z)
            logits = weights["bert.embeddings.word_embeddings.weight"] @ z + \
                weights["cls.predictions.bias"]
            sample_losses.append(cross_entropy(logits, label))
            masked_correct += int(logits.argmax() == label)
        pooled = torch.tanh(linear(weights, "bert.pooler.dense", x[0]))
        logits = linear(weights, "cls.seq_relationship", pooled)
        correct += int(logits.argmax() == LABELS[sample])
        loss = cross_entropy(logits, LABELS[sample])
        if sample_losses:
            loss = loss + torch.stack(sample_losses).mean()
        losses.append(loss)
        masked_losses += sample_losses
    total = torch.stack(losses).sum()
    total.backward()
    result = {
        "vocabulary": VOCABULARY, "hidden": HIDDEN, "heads": HEADS, "intermediate": INTERMEDIATE,
        "layers": LAYERS, "positions": POSITIONS, "predictions": PREDICTIONS,
        "tokens": tokens, "segments": segments, "lengths": LENGTHS, "labels": LABELS,
        "masked_positions": MASKED_POSITIONS, "masked_labels": MASKED_LABELS,
        "loss_sum": total.item(), "correct": correct,
        "masked_loss_sum": torch.stack(masked_losses).sum().item(),
        "masked_tokens": len(masked_losses), "masked_correct": masked_correct,
        "tensors": [{
            "name": name,
            "weight": weight.flatten().tolist(),
            "gradient": [float(f"{g:.9g}") for g in weight.grad.flatten().tolist()],
        } for name, weight in weights.items()],
    }
    lines = json.dumps(result).replace('{"name"', '\n {"name"').replace('"tensors"', '\n"tensors"')
    pathlib.Path(__file__).with_suffix(".json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
