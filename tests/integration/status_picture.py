#!/usr/bin/env python3
"""Takes the picture of the status page that README.md shows, of a real job.

usage: status_picture.py BIN_DIR OUT.png [FRACTION]

Trains docs/examples/quickstart.yaml until FRACTION of its steps (default 0.6).
"""

import json
import pathlib
import sys
import tempfile
import time
import urllib.request

import browser
import cluster

EXAMPLE = pathlib.Path(__file__).parents[2] / "docs" / "examples" / "quickstart.yaml"
WIDTH = 1240


def wait_for_fraction(port, fraction):
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=10) as answer:
            job = next(iter(json.load(answer)["jobs"]), None)
        if job and job["step"] >= fraction * job["steps"]:
            return
        time.sleep(0.2)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    cluster.BIN = pathlib.Path(sys.argv[1]).resolve()
    fraction = float(sys.argv[3]) if len(sys.argv) == 4 else 0.6
    with (tempfile.TemporaryDirectory() as folder,
          cluster.Run(f"{folder}/run", workers=3, job=EXAMPLE) as run,
          browser.Browser() as page):
        port = run.metrics_port("coordinator") if run.address else None
        wait_for_fraction(port, fraction)
        page.resize(WIDTH, 800)
        page.open(f"http://127.0.0.1:{port}/")
        page.wait_for("document.querySelectorAll('#chart-speed path').length > 0")
        page.resize(WIDTH, page.evaluate("document.documentElement.scrollHeight"))
        page.screenshot(sys.argv[2])


if __name__ == "__main__":
    main()
