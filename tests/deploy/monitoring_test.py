#!/usr/bin/env python3
"""Dashboards and rules against a real job and a real Prometheus.

usage: monitoring_test.py BIN_DIR [unittest arguments]
"""

import re
import subprocess
import unittest

from monitored_run import PROMETHEUS, cluster, missing_programs, monitored, panels, substituted

# The run here is without TLS; tests/integration/tls_test.py looks at this series.
ONLY_WITH_TLS = "drover_tls_certificate_not_after_timestamp_seconds"
# Nor has it a GPU; unit tests of worker and shard look at these, on an emulated one.
ONLY_WITH_GPU = ("drover_worker_peak_flops", "drover_device_memory_bytes",
                 "drover_collective_duration_seconds")
SELECTOR = re.compile(r"(?<![\w:])(?:train_job:)?(?:drover_[\w:]+|up)(?:\{[^}]*\})?")


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}")


@unittest.skipIf(missing_programs(), f"not installed: {', '.join(missing_programs())} "
                 "(Debian's package prometheus)")
class MonitoringTest(cluster.TestCase):
    def test_configuration_and_rules_are_valid(self):
        promtool("check", "config", "prometheus.yml")
        promtool("check", "rules", "rules.yml")

    def test_each_alert_fires_for_its_fault_and_none_in_a_calm_run(self):
        promtool("test", "rules", "rules_test.yml")
        tested = (PROMETHEUS / "rules_test.yml").read_text()
        for alert in re.findall(r"alert: (\w+)", (PROMETHEUS / "rules.yml").read_text()):
            self.assertIn(f"alertname: {alert}\n        exp_alerts:\n          - ", tested)

    def test_every_expression_returns_data(self):
        with monitored(self.folder, cluster.on_pictures()) as (run, prometheus):
            # Panels and figures as they are; of alerts, each series that they look at: one that is
            # not there can never fire.
            wanted = {substituted(target["expr"]): f"{dashboard}, panel {title}"
                      for dashboard, title, panel in panels() for target in panel["targets"]}
            rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
            for rule in rules:
                whole = rule["type"] == "recording"
                for expression in [rule["query"]] if whole else SELECTOR.findall(rule["query"]):
                    wanted[re.sub(r"\[\w+\]$", "", expression)] = f"rule {rule['name']}"
            wanted.pop(ONLY_WITH_TLS)
            wanted = {expression: where for expression, where in wanted.items()
                      if not any(name in expression for name in ONLY_WITH_GPU)}
            left = dict(wanted)
            print(f"{len(wanted)} expressions", flush=True)

            def all_there():
                for expression in [e for e in left if prometheus.samples(e)]:
                    del left[expression]
                return True if not left else None
            try:
                cluster.wait_until("data", all_there)
            except AssertionError:
                missing = "\n".join(f"{where}: {e}" for e, where in left.items())
                self.fail(f"no data for\n{missing}\n{run.report()}")

            for rule in (rule for group in prometheus.get("rules")["groups"]
                         for rule in group["rules"]):
                self.assertEqual(rule["health"], "ok", rule)
                self.assertNotEqual(rule.get("state"), "firing", rule)
            for scrape in prometheus.get("targets")["activeTargets"]:
                self.assertEqual(scrape["health"], "up", scrape)


if __name__ == "__main__":
    cluster.main()
