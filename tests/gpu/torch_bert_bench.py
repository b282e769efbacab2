#!/usr/bin/env python3
"""BERT-large's pre-training in PyTorch: what bert_bench is compared with in the same run.

Prints figures as run_gpu_tests takes them; exits with 77, a skip, without PyTorch or a GPU. Forward
and backward, bfloat16 autocast, scaled-dot-product attention, torch.compile, dropout 0.1, the best of
several micro-batches; the masked-token head sees the masked tokens only, as ours does. With --tiny a
small model on the CPU, to see that the script works.
"""

import argparse
import sys
import time

SKIPPED = 77
ROUNDS = 12
# Two sizes each: to compile for one takes PyTorch a minute or two.
PHASES = {"phase1": (128, 20, (64, 128)), "phase2": (512, 80, (16, 32))}


def make_model(torch, layers, hidden, heads, inner, vocabulary, positions=512, dropout=0.1):
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(hidden, 3 * hidden)
            self.output = nn.Linear(hidden, hidden)
            self.norm1 = nn.LayerNorm(hidden, eps=1e-12)
            self.inner = nn.Linear(hidden, inner)
            self.outer = nn.Linear(inner, hidden)
            self.norm2 = nn.LayerNorm(hidden, eps=1e-12)

        def forward(self, x):
            batch, tokens, _ = x.shape
            q, k, v = (part.view(batch, tokens, heads, -1).transpose(1, 2)
                       for part in self.qkv(x).chunk(3, dim=-1))
            context = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
            context = self.output(context.transpose(1, 2).reshape(batch, tokens, hidden))
            x = self.norm1(x + functional.dropout(context, dropout))
            y = self.outer(functional.gelu(self.inner(x)))
            return self.norm2(x + functional.dropout(y, dropout))

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(vocabulary, hidden)
            self.positions = nn.Embedding(positions, hidden)
            self.segments = nn.Embedding(2, hidden)
            self.norm = nn.LayerNorm(hidden, eps=1e-12)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.transform = nn.Linear(hidden, hidden)
            self.transform_norm = nn.LayerNorm(hidden, eps=1e-12)
            self.word_bias = nn.Parameter(torch.zeros(vocabulary))
            self.pooler = nn.Linear(hidden, hidden)
            self.sentence = nn.Linear(hidden, 2)

        def forward(self, tokens, segments, masked, masked_labels, labels):
            place = torch.arange(tokens.shape[1], device=tokens.device)
            x = self.words(tokens) + self.positions(place) + self.segments(segments)
            x = functional.dropout(self.norm(x), dropout)
            for block in self.blocks:
                x = block(x)
            rows = x.gather(1, masked.unsqueeze(-1).expand(-1, -1, hidden)).reshape(-1, hidden)
            rows = self.transform_norm(functional.gelu(self.transform(rows)))
            logits = functional.linear(rows, self.words.weight, self.word_bias)
            loss = functional.cross_entropy(logits.float(), masked_labels.reshape(-1))
            sentence = self.sentence(torch.tanh(self.pooler(x[:, 0])))
            return loss + functional.cross_entropy(sentence.float(), labels)

    return Bert()


def make_batch(torch, device, micro_batch, tokens, predictions, vocabulary):
    def draw(below, *shape):
        return torch.randint(below, shape, device=device)

    masked = (torch.arange(predictions, device=device) * tokens // predictions).expand(micro_batch, -1)
    return (draw(vocabulary, micro_batch, tokens), draw(2, micro_batch, tokens), masked,
            draw(vocabulary, micro_batch, predictions), draw(2, micro_batch))


def sequences_per_second(torch, model, step, batch, device):
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    def one():
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = step(*batch)
        loss.backward()  # Adds to .grad, as micro-batches of a large batch do.

    for _ in range(3):
        one()
    wait()
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        one()
    wait()
    model.zero_grad(set_to_none=True)
    return ROUNDS * batch[0].shape[0] / (time.perf_counter() - begin)


def measure(torch, device, sizes, phases):
    torch.manual_seed(1)
    model = make_model(torch, **sizes).to(device)
    # Each size by itself: code for any size would be slower.
    step = torch.compile(model, dynamic=False) if device == "cuda" else model
    for name, (tokens, predictions, micro_batches) in phases.items():
        best, best_micro_batch, memory = 0.0, 0, 0
        for micro_batch in micro_batches:
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            try:
                batch = make_batch(torch, device, micro_batch, tokens, predictions,
                                   sizes["vocabulary"])
                speed = sequences_per_second(torch, model, step, batch, device)
            except torch.OutOfMemoryError as error:
                print(f"micro-batch {micro_batch}: {str(error).splitlines()[0]}")
                model.zero_grad(set_to_none=True)
                continue
            print(f"micro-batch {micro_batch}: {speed:.1f} sequences/s", flush=True)
            if speed > best:
                best, best_micro_batch = speed, micro_batch
                memory = torch.cuda.max_memory_allocated() if device == "cuda" else 0
        print(f"figure torch_bert_large_{name} {best:.1f} sequences/s, micro-batch "
              f"{best_micro_batch}, PyTorch {torch.__version__}")
        print(f"figure torch_bert_large_{name}_memory {memory / 2**30:.1f} GiB, allocated")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a small model on the CPU")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("skipped: no PyTorch")
        return SKIPPED
    if options.tiny:
        measure(torch, "cpu", {"layers": 2, "hidden": 32, "heads": 2, "inner": 64, "vocabulary": 100},
                {"phase1": (16, 2, (2, 4))})
        return 0
    if not torch.cuda.is_available():
        print("skipped: PyTorch sees no GPU")
        return SKIPPED
    measure(torch, "cuda", {"layers": 24, "hidden": 1024, "heads": 16, "inner": 4096,
                            "vocabulary": 30528}, PHASES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
