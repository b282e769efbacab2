"""Checks optimizer_known_answers.json with the formulas in plain Python floats (float64).

All but the cases "extra/..." are the formulas of docs/optimizers.md in float64 by another program;
where PyTorch has the rule, they agree with PyTorch 1.13.1 in float64 to 4.4e-16 after 10 updates
(nadam with its foreach path, the right one). The cases "extra/..." cover settings of lamb and lars,
and Lookahead around rules, that the others lack; their numbers come from this script.

  python3 tests/golden/optimizer_known_answers.py            recompute all, report the worst case
  python3 tests/golden/optimizer_known_answers.py --write    also write the extra cases again
"""

import json
import math
import pathlib
import random
import sys

PATH = pathlib.Path(__file__).with_name("optimizer_known_answers.json")
LARS = {"momentum": 0.9, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0001,
        "trust_coefficient": 0.001, "eps": 1e-8, "always_adapt": False}
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
EXTRA_LARS = {
    "lars": dict(),
    "lars_strong": dict(weight_decay=0.25, trust_coefficient=0.5, momentum=0.5, dampening=0.25,
                        eps=0.125),
    "lars_always_nesterov": dict(weight_decay=0.0, always_adapt=True, nesterov=True),
    "lars_clip": dict(max_grad_norm=0.25, always_adapt=True, weight_decay=0.0625),
}
EXTRA_LOOKAHEAD = {
    "lookahead_sgd": ("sgd", dict(weight_decay=0.0), dict(k=2, alpha=0.25)),
    "lookahead_every_update": ("momentum", dict(momentum=0.9, dampening=0.0, weight_decay=0.5),
                               dict(k=1, alpha=0.75)),
    "lookahead_nag_classic": ("nag_classic", dict(momentum=0.5), dict(k=2, alpha=0.5)),
    "lookahead_lamb": ("lamb", LAMB, dict(k=3, alpha=0.5)),
    "lookahead_lars": ("lars", LARS, dict(k=2, alpha=0.5)),
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


def moments(settings, g, state, size):
    """Moves m and v of one tensor on, without correction."""
    b1, b2 = settings["beta1"], settings["beta2"]
    m = [b1 * x + (1 - b1) * gi for x, gi in zip(state.get("m", [0.0] * size), g)]
    v = [b2 * x + (1 - b2) * gi * gi for x, gi in zip(state.get("v", [0.0] * size), g)]
    state["m"], state["v"] = m, v
    return m, v, 1 - b1, 1 - b2


def elementwise(rule, s, n, lr, p, g, state):
    """New weights of one tensor under one of the rules below; g with L2 decay added already."""
    size = len(p)
    zeros = [0.0] * size
    if rule in ("momentum_classic", "nag_classic"):
        b = [s["momentum"] * x + lr * gi for x, gi in zip(state.get("b", zeros), g)]
        state["b"] = b
        return [pi - bi for pi, bi in zip(p, b)]
    if rule == "nag":
        mu, keep = s["momentum"], 1 - s["dampening"]
        b = list(g) if n == 1 else [mu * x + keep * gi for x, gi in zip(state["b"], g)]
        state["b"] = b
        return [pi - lr * (gi + mu * bi) for pi, gi, bi in zip(p, g, b)]
    if rule == "adagrad":
        total = state.get("G", [s["initial_accumulator"]] * size)
        state["G"] = total = [x + gi * gi for x, gi in zip(total, g)]
        rate = lr / (1 + (n - 1) * s["lr_decay"])
        return [pi - rate * gi / (math.sqrt(x) + s["eps"]) for pi, gi, x in zip(p, g, total)]
    if rule == "rmsprop":
        a = s["alpha"]
        state["s"] = [a * x + (1 - a) * gi * gi for x, gi in zip(state.get("s", zeros), g)]
        state["a"] = [a * x + (1 - a) * gi for x, gi in zip(state.get("a", zeros), g)]
        mean = state["a"] if s["centered"] else zeros
        d = [math.sqrt(x - y * y) + s["eps"] for x, y in zip(state["s"], mean)]
        u = [gi / di for gi, di in zip(g, d)]
        if s["momentum"]:
            u = [s["momentum"] * x + ui for x, ui in zip(state.get("b", zeros), u)]
            state["b"] = u
        return [pi - lr * ui for pi, ui in zip(p, u)]
    if rule == "lion":
        m = state.get("m", zeros)
        c = [s["beta1"] * x + (1 - s["beta1"]) * gi for x, gi in zip(m, g)]
        state["m"] = [s["beta2"] * x + (1 - s["beta2"]) * gi for x, gi in zip(m, g)]
        return [pi - lr * ((ci > 0) - (ci < 0)) for pi, ci in zip(p, c)]
    m, v, _, _ = moments(s, g, state, size)
    c1, c2 = 1 - s["beta1"]**n, 1 - s["beta2"]**n
    if rule == "amsgrad":
        state["max"] = top = [max(x, y) for x, y in zip(state.get("max", zeros), v)]
        return [pi - lr / c1 * mi / (math.sqrt(x) / math.sqrt(c2) + s["eps"])
                for pi, mi, x in zip(p, m, top)]
    if rule == "radam":
        longest = 2 / (1 - s["beta2"]) - 1
        rho = longest - 2 * n * s["beta2"]**n / c2
        if rho <= 5:
            return [pi - lr * mi / c1 for pi, mi in zip(p, m)]
        r = math.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
        return [pi - lr * mi / c1 * r * math.sqrt(c2) / (math.sqrt(vi) + s["eps"])
                for pi, mi, vi in zip(p, m, v)]
    if rule == "nadam":
        def mu(k):
            return s["beta1"] * (1 - 0.5 * 0.96**(k * s["momentum_decay"]))
        product = math.prod(mu(k) for k in range(1, n + 1))
        return [pi - lr * ((1 - mu(n)) * gi / (1 - product)
                           + mu(n + 1) * mi / (1 - product * mu(n + 1)))
                / (math.sqrt(vi / c2) + s["eps"]) for pi, gi, mi, vi in zip(p, g, m, v)]
    assert rule == "adabound", rule
    step, last = lr * math.sqrt(c2) / c1, s["final_lr"] * lr / s["base_learning_rate"]
    low, high = last * (1 - 1 / (s["gamma"] * n + 1)), last * (1 + 1 / (s["gamma"] * n))
    return [pi - min(max(step / (math.sqrt(vi) + s["eps"]), low), high) * mi
            for pi, mi, vi in zip(p, m, v)]


OTHERS = ("momentum_classic", "nag_classic", "nag", "adagrad", "rmsprop", "lion", "amsgrad",
          "radam", "nadam", "adabound")


def update(rule, settings, n, lr, p, g, decays, state):
    """New weights and trust ratio of one tensor."""
    wd = settings.get("weight_decay", 0.0) if decays else 0.0
    if rule in OTHERS:
        if rule == "lion":
            p = [(1 - lr * wd) * pi for pi in p]
        else:
            g = [gi + wd * pi for gi, pi in zip(g, p)]
        return elementwise(rule, settings, n, lr, p, g, state), 1.0
    if rule == "lars":
        w_norm, g_norm = math.sqrt(sum(x * x for x in p)), math.sqrt(sum(x * x for x in g))
        ratio = 1.0
        if (wd or settings["always_adapt"]) and w_norm > 0 and g_norm > 0:
            ratio = settings["trust_coefficient"] * w_norm / (
                g_norm + wd * w_norm + settings["eps"])
        g = [ratio * (gi + wd * pi) for gi, pi in zip(g, p)]
        mu, keep = settings["momentum"], 1 - settings["dampening"]
        state["b"] = b = list(g) if n == 1 else [mu * x + keep * gi
                                                 for x, gi in zip(state["b"], g)]
        u = [gi + mu * bi for gi, bi in zip(g, b)] if settings["nesterov"] else b
        return [pi - lr * ui for pi, ui in zip(p, u)], ratio
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
    slow = {name: list(w) for name, w in weights.items()}
    states = {name: {} for name in weights}
    expect = {}
    for n, lr in enumerate(case["learning_rates"], start=1):
        if "gradients" in case:
            gradients = case["gradients"][n - 1]
        else:  # Of a quadratic, at the point that workers see.
            seen = {name: [x - case["settings"]["momentum"] * b for x, b in zip(
                w, states[name].get("b", [0.0] * len(w)))] for name, w in weights.items()}
            gradients = {name: [a * x for a, x in zip(case["gradient_of"]["quadratic"][name], w)]
                         for name, w in seen.items()}
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
        if "lookahead" in case and n % case["lookahead"]["k"] == 0:
            alpha = case["lookahead"]["alpha"]
            for name, w in weights.items():
                slow[name] = [x + alpha * (y - x) for x, y in zip(slow[name], w)]
                weights[name] = list(slow[name])
        if n in updates:
            expect[str(n)] = {name: list(w) for name, w in weights.items()}
            if any("trust_ratio" in e for e in case["expect"].values()):
                expect[str(n)]["trust_ratio"] = ratios
    return expect


def extra_case(name, rule, settings, lookahead=None):
    """Inputs are multiples of 1/32, so exact in bfloat16."""
    numbers = random.Random(name)
    tensors = [{"name": "hidden/kernel", "initial": [], "weight_decay": True},
               {"name": "hidden/bias", "initial": [0.0] * 5, "weight_decay": False},
               {"name": "head", "initial": [], "weight_decay": True}]
    for tensor, size in ((tensors[0], 19), (tensors[2], 1)):
        tensor["initial"] = [numbers.randrange(1, 64) / 32 for _ in range(size)]
    gradients = [{t["name"]: [numbers.choice((-1, 1)) * numbers.randrange(1, 32) / 32
                              for _ in t["initial"]] for t in tensors} for _ in range(5)]
    case = {"name": "extra/" + name, "rule": rule, "settings": settings,
            "learning_rates": [0.001, 0.002, 0.004, 0.003, 0.001], "tensors": tensors,
            "gradients": gradients}
    if lookahead:
        case["lookahead"] = lookahead
    ratios = {"trust_ratio": {}} if rule in ("lamb", "lars") else {}
    return case | {"expect": run(case | {"expect": {"1": ratios}}, {1, 2, 5})}


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
        cases += [extra_case(name, "lamb", LAMB | changes) for name, changes in EXTRA.items()]
        cases += [extra_case(name, "lars", LARS | changes)
                  for name, changes in EXTRA_LARS.items()]
        cases += [extra_case(name, *case) for name, case in EXTRA_LOOKAHEAD.items()]
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
