"""A small job and a real Prometheus that scrapes it: what the test and the picture share."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

import cluster  # pylint: disable=wrong-import-position

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARDS = [ROOT / "deploy/grafana" / name for name in ("training.json", "cluster.json")]
# Grafana's variables as in a dashboard that shows everything; scraped each second.
VARIABLES = {"$__rate_interval": "10s", "$train_job": ".*", "$shard": ".*", "$worker": ".*",
             "$tensor": ".*"}


def missing_programs():
    return [name for name in ("prometheus", "promtool") if shutil.which(name) is None]


def panels():
    """(dashboard, title, panel) of everything that shows data."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield dashboard["title"], panel["title"], panel


def substituted(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Prometheus:
    """Scrapes each second and evaluates the committed rules each second."""

    def __init__(self, folder, targets):
        folder.mkdir()
        rules = (PROMETHEUS / "rules.yml").read_text()
        (folder / "rules.yml").write_text(rules.replace("interval: 15s", "interval: 1s"))
        (folder / "prometheus.yml").write_text(json.dumps({  # JSON is YAML.
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]}
                for job, addresses in targets.items()]}))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "prometheus.log"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml",
                 f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address={self.url.removeprefix('http://')}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def wait_until_ready(self):
        def ready():
            if self._process.poll() is not None:
                raise AssertionError(f"prometheus ended:\n{self.log.read_text()}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready"):
                return True
            return None
        cluster.wait_until("prometheus", ready)

    def get(self, what, **parameters):
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def samples(self, expression):
        """Values of an instant query that are numbers."""
        found = self.get("query", query=expression)["result"]
        return [entry for entry in found if entry["value"][1] not in ("NaN", "+Inf", "-Inf")]

    def series(self, expression, seconds):
        end = time.time()
        return self.get("query_range", query=expression, start=end - seconds, end=end,
                        step="1s")["result"]


@contextlib.contextmanager
def monitored(folder, fields):
    """A run of two shards and two workers that does not end by itself, and its Prometheus."""
    with cluster.Run(folder / "run", {**fields, "steps": 1_000_000}) as run:
        run.wait_for_text(r"^event=checkpoint ")
        targets = {"drover-coordinator": ["coordinator"], "drover-shard": ["shard-0", "shard-1"],
                   "drover-worker": ["worker-0", "worker-1"]}
        addresses = {job: [f"127.0.0.1:{run.metrics_port(role)}" for role in roles]
                     for job, roles in targets.items()}
        with Prometheus(folder / "prometheus", addresses) as prometheus:
            prometheus.wait_until_ready()
            yield run, prometheus
