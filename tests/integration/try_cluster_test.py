#!/usr/bin/env python3
"""The script that tries a cluster of several machines, each a network namespace.

usage: try_cluster_test.py BIN_DIR [unittest arguments]
"""

import pathlib
import subprocess
import unittest

import cluster

SCRIPT = pathlib.Path(__file__).parents[2] / "deploy/try_cluster"
SKIPPED = 77


class TryClusterTest(unittest.TestCase):
    def test_everything_comes_as_promised(self):
        done = subprocess.run([SCRIPT, "--bin", cluster.BIN], capture_output=True, text=True,
                              timeout=6 * cluster.PATIENCE_S, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == SKIPPED:
            self.skipTest(done.stdout.partition("\n")[0])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("weights, beside an undisturbed run", done.stdout)


if __name__ == "__main__":
    cluster.main()
