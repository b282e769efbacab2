#!/usr/bin/env python3
"""PyTorch's fused AdamW on BERT-large's tensors: what our update is compared with in the same run.

Prints figures as run_gpu_tests takes them; exits with 77, a skip, without PyTorch or a GPU. float32
weights, gradients and moments, no 16-bit copy: 28 bytes per parameter are read or written.
"""

import statistics
import sys

SKIPPED = 77
WARM_UP, ROUNDS = 5, 21
BYTES_PER_PARAMETER = 28  # Reads weight, gradient and two moments, writes all but the gradient.


def bert_large_shapes():
    """Both heads of pre-training, vocabulary padded to 30,528: 398 tensors, 336,232,258 elements."""
    hidden, inner, vocabulary = 1024, 4096, 30528
    norm = [(hidden,), (hidden,)]

    def dense(outputs, inputs):
        return [(outputs, inputs), (outputs,)]

    layer = (4 * dense(hidden, hidden) + norm + dense(inner, hidden) + dense(hidden, inner) + norm)
    return ([(vocabulary, hidden), (512, hidden), (2, hidden)] + norm + 24 * layer +
            dense(hidden, hidden) + dense(hidden, hidden) + norm + [(vocabulary,)] +
            dense(2, hidden))


def main():
    try:
        import torch
    except ImportError:
        print("skipped: no PyTorch")
        return SKIPPED
    if not torch.cuda.is_available():
        print("skipped: PyTorch sees no GPU")
        return SKIPPED
    parameters = [torch.nn.Parameter(torch.randn(shape, device="cuda") * 0.02)
                  for shape in bert_large_shapes()]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * 1e-3
    count = sum(parameter.numel() for parameter in parameters)
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    milliseconds = []
    for round_number in range(WARM_UP + ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        optimizer.step()
        end.record()
        end.synchronize()
        if round_number >= WARM_UP:
            milliseconds.append(begin.elapsed_time(end))
    median = statistics.median(milliseconds)
    print(f"figure torch_adamw_fused_step {median:.3f} ms, {len(parameters)} tensors, PyTorch "
          f"{torch.__version__}")
    print(f"figure torch_adamw_fused {count * BYTES_PER_PARAMETER / median / 1e6:.1f} GB/s, "
          f"{BYTES_PER_PARAMETER} bytes per parameter")
    return 0


if __name__ == "__main__":
    sys.exit(main())
