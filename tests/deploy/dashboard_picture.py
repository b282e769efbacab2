#!/usr/bin/env python3
"""Draws panels of both dashboards from what a real Prometheus scraped of a real job.

usage: dashboard_picture.py BIN_DIR OUT.png [SECONDS]

Runs a job, kills a worker and a shard half-way, and draws with matplotlib: Grafana is not needed and
has no part in it.
"""

import pathlib
import re
import signal
import sys
import tempfile
import time

import matplotlib

from monitored_run import cluster, monitored, panels, substituted

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # pylint: disable=wrong-import-position
from matplotlib.ticker import EngFormatter  # pylint: disable=wrong-import-position

TRAINING, CLUSTER = "Drover: training", "Drover: cluster"
SHOWN = [(TRAINING, title) for title in (
    "Loss", "Evaluation", "Gradient norm", "Spread", "Trust ratios", "Ten lowest",
    "Leaves counted, and steps times leaves", "Discarded samples", "Step phases",
    "Worker phases", "Lateness")] + [(CLUSTER, title) for title in (
        "Workers", "Samples per second", "Leaves received of the open step",
        "Tensor bytes on the wire", "Leases granted and ended", "Takeovers",
        "Time of a checkpoint")]
LEGEND_MAX = 6


def legend_of(pattern, labels):
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), pattern)
    return "" if text == "__auto" else text


def draw_heatmap(axes, series, begin):
    """Counts per bucket from the cumulative ones."""
    series = sorted(series, key=lambda entry: float(entry["metric"]["le"]))
    times = sorted({t for entry in series for t, _ in entry["values"]})
    table, before = [], [0.0] * len(times)
    for entry in series:
        values = dict(map(tuple, entry["values"]))
        counts = [float(values.get(t, 0)) for t in times]
        table.append([max(a - b, 0.0) for a, b in zip(counts, before)])
        before = counts
    axes.pcolormesh([t - begin for t in times], range(len(series)), table, cmap="Blues",
                    shading="nearest")
    ticks = range(0, len(series), 4)
    axes.set_yticks(list(ticks), [series[i]["metric"]["le"] for i in ticks])


def draw(axes, panel, prometheus, seconds):
    axes.set_title(panel["title"], fontsize=8, loc="left")
    axes.tick_params(labelsize=6)
    begin, lines = time.time() - seconds, 0
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    stacked = []
    for target in panel["targets"]:
        series = prometheus.series(substituted(target["expr"]), seconds)
        if panel["type"] == "heatmap":
            draw_heatmap(axes, series, begin)
            continue
        alive = [entry for entry in series if any(float(v) for _, v in entry["values"])]
        for entry in alive or series[:1]:
            times = [t - begin for t, _ in entry["values"]]
            values = [float(value) for _, value in entry["values"]]
            name = legend_of(target["legendFormat"], entry["metric"])
            if custom["stacking"]["mode"] == "normal":
                stacked.append((dict(zip(times, values)), name))
                continue
            axes.plot(times, values, linewidth=0.9, label=name if lines < LEGEND_MAX else None)
            lines += 1
    if stacked := [s for s in stacked if any(v > 0 for v in s[0].values())]:
        times = sorted({t for values, _ in stacked for t in values})
        axes.stackplot(times, [[v if (v := values.get(t, 0.0)) > 0 else 0.0 for t in times]
                               for values, _ in stacked], labels=[name for _, name in stacked],
                       alpha=0.7)
    if custom.get("scaleDistribution", {}).get("type") == "log":
        axes.set_yscale("log")
    elif panel["type"] != "heatmap":
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(axis="y", which="minor", labelsize=5)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=5, frameon=False, ncols=2)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    cluster.BIN = pathlib.Path(sys.argv[1]).resolve()
    seconds = float(sys.argv[3]) if len(sys.argv) == 4 else 60.0
    chosen = {(dashboard, title): panel for dashboard, title, panel in panels()}
    fields = {"batch": "4Ki", "model.mlp.hidden": "[256,256]", "checkpoint.every_steps": 40,
              "evaluation.every_steps": 10, "schedule.warmup_steps": 40}
    with tempfile.TemporaryDirectory() as folder:
        with monitored(pathlib.Path(folder), fields) as (run, prometheus):
            time.sleep(seconds / 3)
            run.signal("worker-1", signal.SIGKILL)
            time.sleep(seconds / 3)
            run.signal("shard-1", signal.SIGKILL)
            time.sleep(seconds / 3)
            columns = 3
            figure, grid = plt.subplots(-(-len(SHOWN) // columns), columns, figsize=(11, 11))
            for axes, key in zip(grid.flat, SHOWN):
                draw(axes, chosen[key], prometheus, seconds)
            figure.suptitle("Panels of deploy/grafana, one job of Drover; a worker killed at "
                            f"{seconds / 3:.0f} s, a shard at {2 * seconds / 3:.0f} s "
                            "(x: seconds)", fontsize=9)
            figure.tight_layout()
            figure.savefig(sys.argv[2], dpi=85)


if __name__ == "__main__":
    main()
