"""Learning rates of PyTorch's schedulers, for tests/unit/server/optim/{schedule,plateau}_test.cc.

Run: python3 tests/golden/schedules.py    (needs PyTorch, made with 2.x)
"""

import torch
from torch.optim import lr_scheduler


def rates(make, steps, show, peak=0.1):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=peak)
    scheduler = make(optimizer)
    found = []
    for step in range(steps):
        if step in show:
            found.append((step, optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def plateau(losses, **settings):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, threshold_mode="rel", **settings)
    found = []
    for loss in losses:
        scheduler.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def main():
    show = (0, 1, 6, 7, 13, 14, 50, 99)
    for name, make in {
        "StepLR(7, 0.5)": lambda o: lr_scheduler.StepLR(o, 7, 0.5),
        "ExponentialLR(0.9 ** (1 / 7))": lambda o: lr_scheduler.ExponentialLR(o, 0.9 ** (1 / 7)),
        "CosineAnnealingLR(100, 0.01)": lambda o: lr_scheduler.CosineAnnealingLR(o, 100, 0.01),
        "PolynomialLR(100, 2)": lambda o: lr_scheduler.PolynomialLR(o, 100, 2.0),
        "LinearLR(1, 0, 100)": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 100),
        "1 / (1 + t / 7)": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t / 7)),
        "1 / sqrt(1 + t / 7)": lambda o: lr_scheduler.LambdaLR(o, lambda t: (1 + t / 7) ** -0.5),
    }.items():
        print(name)
        for step, rate in rates(make, 100, show):
            print(f"  {{{step}, {rate!r}}},")
    losses = [2.0, 1.0, 1.0, 0.99995, 1.5, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.5]
    print("plateau, patience 2, factor 0.5, threshold 1e-4:")
    print(plateau(losses, factor=0.5, patience=2, threshold=1e-4))
    print("plateau, patience 0, factor 0.5, threshold 0.1:")
    print(plateau(losses, factor=0.5, patience=0, threshold=0.1))


if __name__ == "__main__":
    main()
