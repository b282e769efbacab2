"""Checks optimizer_known_answers.json with the formulas in plain Python floats (float64).

The first 22 cases were handed to the project: the formulas of docs/optimizers.md in float64, which
for sgd to adamw agree with PyTorch 1.13.1 in float64 to 4.4e-16 after 10 updates. The cases
"extra/..." cover settings of lamb that those lack; their numbers come from this script.

  python3 tests/golden/optimizer_known_answers.py            recompute all, report the worst case
  python3 tests/golden/optimizer_known_answers.py --write    also write the extra cases again
"""

import json
import math
import pathlib
import random
import sys

PATH = pathlib.Path(__file__).with_name("optimizer_known_answers.json")
LAMB = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "weight_decay": 0.01, "grad_averaging": True,
        "bias_correction": "both", "eps_mode": "outside", "decay_mode": "in_update",
        "adapt": "always", "max_grad_norm": 0.0}
EXTRA = {
    "sum_not_average": dict(grad_averaging=False),
    "eps_inside": dict(eps_mode="inside_sqrt", eps=1e-4),
    "l2": dict(decay_mode="l2", weight_decay=0.1),
    "decoupled": dict(decay_mode="decoupled", weight_decay=0.5),
    "decoupled_if_decay": dict(decay_mode="decoupled", weight_decay=0.5, adapt="if_decay"),
    "never": dict(adapt="never"),
    "no_decay_always": dict(weight_decay=0.0),
    "phi_min": dict(phi_min=6.0, phi_max=8.0),
    "ratio_min": dict(ratio_min=3.0, ratio_max=3.5),
    "in_lr_inside_l2_clip": dict(bias_correction="in_lr", eps_mode="inside_sqrt", decay_mode="l2",
                                 max_grad_norm=0.25, beta1=0.75, beta2=0.875),
    "none_sum_clip": dict(bias_correction="none", grad_averaging=False, max_grad_norm=2.0),
}


def adaptive(settings, n, p, g, state):
    """m_hat / d of one tensor; moves state on."""
    b1, b2 = settings["beta1"], settings["beta2"]
    both = settings.get("bias_correction", "both") == "both"
    c1, c2 = (1 - b1**n, 1 - b2**n) if both else (1.0, 1.0)
    b3 = 1 - b1 if settings.get("grad_averaging", True) else 1.0
    m = state.setdefault("m", [0.0] * len(p))
    v = state.setdefault("v", [0.0] * len(p))
    out = []
    for i, gi in enumerate(g):
        m[i] = b1 * m[i] + b3 * gi
        v[i] = b2 * v[i] + (1 - b2) * gi * gi
        if settings.get("eps_mode") == "inside_sqrt":
            d = math.sqrt(v[i] / c2 + settings["eps"])
        else:
            d = math.sqrt(v[i] / c2) + settings["eps"]
        out.append(m[i] / c1 / d)
    return out


def update(rule, settings, n, lr, p, g, decays, state):
    """New weights and trust ratio of one tensor."""
    wd = settings["weight_decay"] if decays else 0.0
    if rule in ("sgd", "momentum", "adam") or settings.get("decay_mode") == "l2":
        g = [gi + wd * pi for gi, pi in zip(g, p)]
    if rule == "sgd":
        return [pi - lr * gi for pi, gi in zip(p, g)], 1.0
    if rule == "momentum":
        if n == 1:
            state["b"] = list(g)
        else:
            mu, keep = settings["momentum"], 1 - settings["dampening"]
            state["b"] = [mu * b + keep * gi for b, gi in zip(state["b"], g)]
        return [pi - lr * b for pi, b in zip(p, state["b"])], 1.0
    if rule == "adamw" or settings.get("decay_mode") == "decoupled":
        p = [(1 - lr * wd) * pi for pi in p]
    u = adaptive(settings, n, p, g, state)
    if rule in ("adam", "adamw"):
        return [pi - lr * ui for pi, ui in zip(p, u)], 1.0
    if settings["decay_mode"] == "in_update":
        u = [ui + wd * pi for ui, pi in zip(u, p)]
    w_norm, u_norm = math.sqrt(sum(x * x for x in p)), math.sqrt(sum(x * x for x in u))
    adapted = settings["adapt"] == "always" or (settings["adapt"] == "if_decay" and wd != 0)
    ratio = 1.0
    if adapted and w_norm > 0 and u_norm > 0:
        phi = min(max(w_norm, settings.get("phi_min", 0.0)), settings.get("phi_max", math.inf))
        ratio = min(max(phi / u_norm, settings.get("ratio_min", 0.0)),
                    settings.get("ratio_max", math.inf))
    scale = lr * ratio
    if settings["bias_correction"] == "in_lr":
        scale *= math.sqrt(1 - settings["beta2"]**n) / (1 - settings["beta1"]**n)
    return [pi - scale * ui for pi, ui in zip(p, u)], ratio


def run(case, updates):
    """What should stand in `expect` after the given updates."""
    weights = {t["name"]: list(t["initial"]) for t in case["tensors"]}
    states = {name: {} for name in weights}
    expect = {}
    for n, (lr, gradients) in enumerate(zip(case["learning_rates"], case["gradients"]), start=1):
        limit = case["settings"].get("max_grad_norm", 0)
        if limit:
            norm = math.sqrt(sum(x * x for g in gradients.values() for x in g))
            gradients = {name: [x / max(1.0, norm / limit) for x in g]
                         for name, g in gradients.items()}
        ratios = {}
        for t in case["tensors"]:
            name = t["name"]
            weights[name], ratios[name] = update(case["rule"], case["settings"], n, lr,
                                                 weights[name], gradients[name],
                                                 t["weight_decay"], states[name])
        if n in updates:
            expect[str(n)] = {name: list(w) for name, w in weights.items()}
            if case["rule"] == "lamb":
                expect[str(n)]["trust_ratio"] = ratios
    return expect


def extra_case(name, changes):
    """Inputs are multiples of 1/32, so exact in bfloat16."""
    numbers = random.Random(name)
    tensors = [{"name": "hidden/kernel", "initial": [], "weight_decay": True},
               {"name": "hidden/bias", "initial": [0.0] * 5, "weight_decay": False},
               {"name": "head", "initial": [], "weight_decay": True}]
    for tensor, size in ((tensors[0], 19), (tensors[2], 1)):
        tensor["initial"] = [numbers.randrange(1, 64) / 32 for _ in range(size)]
    gradients = [{t["name"]: [numbers.choice((-1, 1)) * numbers.randrange(1, 32) / 32
                              for _ in t["initial"]] for t in tensors} for _ in range(5)]
    case = {"name": "extra/" + name, "rule": "lamb", "settings": LAMB | changes,
            "learning_rates": [0.001, 0.002, 0.004, 0.003, 0.001], "tensors": tensors,
            "gradients": gradients}
    return case | {"expect": run(case, {1, 2, 5})}


def difference(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return max(difference(a[key], b[key]) for key in a)
    if isinstance(a, list):
        assert len(a) == len(b)
        return max(difference(x, y) for x, y in zip(a, b))
    return abs(a - b)


def main():
    known = json.loads(PATH.read_text())
    if "--write" in sys.argv[1:]:
        cases = [c for c in known["cases"] if not c["name"].startswith("extra/")]
        cases += [extra_case(name, changes) for name, changes in EXTRA.items()]
        known["cases"] = cases
        lines = ",\n".join(json.dumps(c) for c in cases)
        comment = json.dumps(known["comment"])
        PATH.write_text(f'{{"format": "{known["format"]}",\n"comment": {comment},\n'
                        f'"cases": [\n{lines}\n]}}\n')
    worst = max((difference(run(c, {int(n) for n in c["expect"]}), c["expect"]), c["name"])
                for c in known["cases"])
    print(f"{len(known['cases'])} cases, worst difference {worst[0]:.3g} in {worst[1]}")
    return 0 if worst[0] < 1e-12 else 1


if __name__ == "__main__":
    sys.exit(main())
