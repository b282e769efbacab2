#!/usr/bin/env python3
"""Outputs and gradients of convolution, max pooling and recurrent layers, by PyTorch in float64.

Writes layers.json beside itself. Needs torch. The loss is a fixed weighted sum of the outputs. Images
are height x width x channels and sequences sample-major in the file, as Drover keeps them; tensors
are as PyTorch keeps them. All values are small dyadic fractions, so that float32 holds them exactly.
"""

import json
import math
import pathlib

import torch
from torch import nn
import torch.nn.functional as F

SAMPLES = 3


def fractions(shape, multiplier, offset, spread=96):
    """Values k / 64 with |k| <= spread / 2, from a linear congruence: no generator to depend on."""
    values = [((i * multiplier + offset) * 7919 % 1009 % (spread + 1) - spread // 2) / 64
              for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def same_padding(extent, size, stride):
    missing = max((math.ceil(extent / stride) - 1) * stride + size - extent, 0)
    return missing // 2, missing - missing // 2


def pad(x, size, stride, padding, value):
    if padding == "valid":
        return x
    top, bottom = same_padding(x.shape[2], size, stride)
    left, right = same_padding(x.shape[3], size, stride)
    return F.pad(x, (left, right, top, bottom), value=value)


def result(case, x, tensors, y, channels_last):
    weights = fractions(y.shape, 31, 5)
    (y * weights).sum().backward()
    image = (lambda t: t.permute(0, 2, 3, 1)) if channels_last else (lambda t: t)
    flat = lambda t: t.detach().reshape(-1).tolist()
    return case | {
        "input": flat(image(x)),
        "loss_weights": flat(image(weights)),
        "output": flat(image(y)),
        "input_gradient": flat(image(x.grad)),
        "tensors": [{"name": name, "values": flat(t), "gradient": flat(t.grad)}
                    for name, t in tensors],
    }


def convolution(dims, filters, kernel, stride, padding):
    height, width, channels = dims
    x = fractions((SAMPLES, channels, height, width), 17, 3).requires_grad_()
    weight = fractions((filters, channels, kernel, kernel), 13, 1).requires_grad_()
    bias = fractions((filters,), 29, 2).requires_grad_()
    y = F.conv2d(pad(x, kernel, stride, padding, 0.0), weight, bias, stride=stride)
    return result({"kind": "convolution", "dims": dims, "filters": filters, "kernel": kernel,
                   "stride": stride, "padding": padding},
                  x, [("layer.weight", weight), ("layer.bias", bias)], y, True)


def max_pooling(dims, size, stride, padding):
    height, width, channels = dims
    x = fractions((SAMPLES, channels, height, width), 17, 3, spread=12).requires_grad_()  # Has ties.
    y = F.max_pool2d(pad(x, size, stride, padding, -math.inf), size, stride)
    return result({"kind": "max_pooling", "dims": dims, "size": size, "stride": stride,
                   "padding": padding}, x, [], y, True)


def recurrent(cell, size, bidirectional, last_only, steps=5, features=3):
    module = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](
        features, size, batch_first=True, bidirectional=bidirectional).double()
    for i, parameter in enumerate(module.parameters()):
        with torch.no_grad():
            parameter.copy_(fractions(parameter.shape, 11 + 2 * i, i, spread=80))
    x = fractions((SAMPLES, steps, features), 17, 3).requires_grad_()
    y = module(x)[0]
    if last_only:
        y = y[:, -1]
    tensors = [("layer." + name, parameter) for name, parameter in module.named_parameters()]
    return result({"kind": cell, "dims": [steps, features], "size": size,
                   "bidirectional": bidirectional, "last_only": last_only}, x, tensors, y, False)


def main():
    cases = [
        convolution([6, 5, 2], 3, 3, 1, "same"),
        convolution([7, 6, 1], 4, 5, 1, "same"),
        convolution([7, 8, 3], 2, 3, 2, "same"),
        convolution([6, 7, 2], 3, 2, 1, "same"),
        convolution([7, 8, 2], 3, 3, 2, "valid"),
        convolution([4, 4, 2], 5, 4, 1, "valid"),
        convolution([3, 2, 17], 18, 1, 1, "same"),
        max_pooling([6, 4, 3], 2, 2, "same"),
        max_pooling([7, 5, 2], 2, 2, "same"),
        max_pooling([5, 4, 17], 3, 2, "same"),
        max_pooling([7, 6, 2], 3, 2, "valid"),
        max_pooling([5, 5, 2], 3, 1, "same"),
    ]
    for cell in ("rnn", "gru", "lstm"):
        for bidirectional in (False, True):
            for last_only in (False, True):
                cases.append(recurrent(cell, 4, bidirectional, last_only))
        cases.append(recurrent(cell, 17, True, False, steps=1, features=1))
    path = pathlib.Path(__file__).with_suffix(".json")
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f'{{"samples": {SAMPLES}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
