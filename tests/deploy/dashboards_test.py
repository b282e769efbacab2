#!/usr/bin/env python3
"""The committed dashboards and rules, against the script that makes them and the metrics."""

import json
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy/grafana"
RULES = (ROOT / "deploy/prometheus/rules.yml").read_text()
ADDED = {"job", "instance", "le"}  # By Prometheus, and by histograms.
METRIC = re.compile(r"(?<![\w:])((?:drover|process|grpc_server)_\w+)(\{[^}]*\})?")


def known_metrics():
    """{name: {label: closed set or None}} of docs/metrics.md, which equals the code's table."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| ((?:[^|]|\\\|)*?) \| ",
                      (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    metrics = {}
    for name, kind, labels in rows:
        sets = {}
        for label in re.findall(r"`([^`]+)`", labels):
            key, _, values = label.partition("=")
            sets[key] = set(values.split(r"\|")) if values else None
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            metrics[name + suffix] = sets
    return metrics


def dashboards():
    return {path.name: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}


def expressions():
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", target["expr"]
    for expression in re.findall(r"expr: >-\n((?: {10}.*\n)+)", RULES):
        yield "rules.yml", " ".join(expression.split())


class DashboardsTest(unittest.TestCase):
    def test_the_committed_files_are_what_the_script_makes(self):
        subprocess.run([sys.executable, GRAFANA / "make_dashboards.py", "--check"], check=True)

    def test_there_are_two_with_panels_that_do_not_overlap(self):
        found = dashboards()
        self.assertEqual({d["uid"] for d in found.values()}, {"drover-training", "drover-cluster"})
        for name, dashboard in found.items():
            cells, ids = set(), set()
            for panel in dashboard["panels"]:
                self.assertNotIn(panel["id"], ids, f"{name}: {panel['title']}")
                ids.add(panel["id"])
                at = panel["gridPos"]
                for cell in ((at["x"] + x, at["y"] + y) for x in range(at["w"])
                             for y in range(at["h"])):
                    self.assertLess(cell[0], 24)
                    self.assertNotIn(cell, cells, f"{name}: {panel['title']}")
                    cells.add(cell)

    def test_variables_that_expressions_use_exist(self):
        for name, dashboard in dashboards().items():
            known = {variable["name"] for variable in dashboard["templating"]["list"]}
            used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard["panels"])))
            self.assertEqual(used - known, set(), name)

    def test_every_metric_label_and_closed_value_is_in_the_list_of_metrics(self):
        known = known_metrics()
        self.assertGreater(len(known), 90)
        recorded = set(re.findall(r"record: (\S+)", RULES))
        for where, expression in expressions():
            for name in re.findall(r"train_job:[\w:]+", expression):
                self.assertIn(name, recorded, where)
            for name, filters in METRIC.findall(expression):
                self.assertIn(name, known, where)
                for label, _, value in re.findall(r'(\w+)(=~|!=|=|!~)"([^"]*)"', filters):
                    self.assertIn(label, known[name].keys() | ADDED, f"{where}: {name}")
                    if known[name].get(label) is not None:
                        self.assertLessEqual(set(value.split("|")), known[name][label], where)

    def test_links_of_alerts_lead_to_a_dashboard(self):
        links = set(re.findall(r"dashboard: \"/d/([\w-]+)", RULES))
        self.assertEqual(links, {d["uid"] for d in dashboards().values()})


if __name__ == "__main__":
    unittest.main(verbosity=2)
