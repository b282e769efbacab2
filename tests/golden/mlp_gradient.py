#!/usr/bin/env python3
"""Loss and gradient of a small multi-layer perceptron in float64, written without Drover's code.

Writes mlp_gradient.json beside itself. Needs numpy. Inputs and weights are small dyadic fractions,
so that float32 holds them exactly. Besides backpropagation, every gradient element is checked here
against a central difference of the loss.
"""

import json
import pathlib

import numpy as np

SIZES = [5, 7, 6, 4]
SAMPLES = 6


def fractions(count, multiplier, offset):
    """count values k / 64 with |k| <= 48, from a linear congruence: no generator to depend on."""
    return [((i * multiplier + offset) % 97 - 48) / 64 for i in range(count)]


def make_problem():
    weights = []
    for layer, (fan_in, fan_out) in enumerate(zip(SIZES, SIZES[1:])):
        weights.append(
            np.array(fractions(fan_in * fan_out, 37 + layer, 11 * layer)).reshape(fan_out, fan_in))
        weights.append(np.array(fractions(fan_out, 29, 5 + layer)) / 4)
    inputs = np.array(fractions(SAMPLES * SIZES[0], 41, 17)).reshape(SAMPLES, SIZES[0])
    labels = [3, 0, 1, 2, 2, 0]
    return weights, inputs, labels


def forward(weights, inputs):
    activations = [inputs]
    for layer in range(len(SIZES) - 1):
        z = activations[-1] @ weights[2 * layer].T + weights[2 * layer + 1]
        activations.append(np.maximum(z, 0) if layer < len(SIZES) - 2 else z)
    return activations


def losses(weights, inputs, labels):
    logits = forward(weights, inputs)[-1]
    return np.log(np.exp(logits).sum(1)) - logits[range(SAMPLES), labels]


def gradient(weights, inputs, labels):
    activations = forward(weights, inputs)
    delta = np.exp(activations[-1])
    delta /= delta.sum(1, keepdims=True)
    delta[range(SAMPLES), labels] -= 1
    result = [None] * len(weights)
    for layer in reversed(range(len(SIZES) - 1)):
        result[2 * layer] = delta.T @ activations[layer]
        result[2 * layer + 1] = delta.sum(0)
        delta = (delta @ weights[2 * layer]) * (activations[layer] > 0)
    return result


def check_by_differences(weights, inputs, labels, expected, step=1e-6):
    for tensor, values in enumerate(weights):
        for index in np.ndindex(values.shape):
            original = values[index]
            values[index] = original + step
            above = losses(weights, inputs, labels).sum()
            values[index] = original - step
            below = losses(weights, inputs, labels).sum()
            values[index] = original
            assert abs((above - below) / (2 * step) - expected[tensor][index]) < 1e-7


def main():
    weights, inputs, labels = make_problem()
    gradients = gradient(weights, inputs, labels)
    check_by_differences(weights, inputs, labels, gradients)
    logits = forward(weights, inputs)[-1]
    names = [f"dense{i}.{kind}" for i in range(len(SIZES) - 1) for kind in ("weight", "bias")]
    result = {
        "sizes": SIZES,
        "inputs": inputs.tolist(),
        "labels": labels,
        "loss_sum": float(losses(weights, inputs, labels).sum()),
        "correct": int((logits.argmax(1) == labels).sum()),
        "tensors": [{
            "name": name,
            "weight": weight.ravel().tolist(),
            "gradient": grad.ravel().tolist(),
        } for name, weight, grad in zip(names, weights, gradients)],
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
