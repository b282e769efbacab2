#!/usr/bin/env python3
"""Daemons that are told to end: in order on the first signal, at once on the second one.

usage: signals_test.py BIN_DIR [unittest arguments]
"""

import json
import os
import re
import signal

import cluster
import daemon

ROLES = ("worker-0", "shard-0", "coordinator")


class SignalsTest(daemon.TestCase):
    def start_all(self, port="0"):
        """A coordinator, a shard and a worker that know each other; by name."""
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        daemons = {"coordinator": self.start(
            "coordinator", "drover-coordinator", "--listen", f"127.0.0.1:{port}", "--metrics", "",
            "--state-dir", self.folder / "coordinator", "--port-file", port_file,
            "--log-format", "json")}
        cluster.wait_until("the port", lambda: port_file.exists() or None)
        self.address = port_file.read_text().strip()
        daemons["shard-0"] = self.start(
            "shard-0", "drover-shard", "--coordinator", self.address, "--listen", "127.0.0.1:0",
            "--name", "shard-0", "--state-dir", self.folder / "shard-0", "--log-format", "json")
        daemons["worker-0"] = self.start(
            "worker-0", "drover-worker", "--coordinator", self.address, "--name", "worker-0",
            "--lanes", 2, "--log-format", "json")
        for name in ("shard-0", "worker-0"):
            daemons["coordinator"].wait_for(rf'"{name[:-2]}":"{name}","message":"joined')
        return daemons

    def step_of(self, job):
        described = cluster.drover("--server", self.address, "-o", "json", "describe", job)
        return int(json.loads(described.stdout).get("step", 0))

    def expect_json(self, name):
        """Each line of ours is an object; gRPC's own lines begin otherwise."""
        lines = [json.loads(line) for line in
                 (self.folder / f"{name}.log").read_text().splitlines() if line[:1] == "{"]
        self.assertGreater(len(lines), 1)
        self.assertIn("open_files", lines[0]["facts"])
        self.assertTrue(all({"time", "level", "task", "message"} <= set(line) for line in lines))
        return lines

    def test_a_job_survives_that_everybody_is_told_to_end(self):
        fields = cluster.on_pictures(steps=30)
        daemons = self.start_all()
        job = cluster.drover("--server", self.address, "submit", cluster.SMALL,
                             *cluster.set_flags(fields)).stdout.strip()
        cluster.wait_until("step 4", lambda: self.step_of(job) >= 4 or None)
        for name in ROLES:
            daemons[name].process.send_signal(signal.SIGTERM)
            self.assertEqual(daemons[name].process.wait(cluster.PATIENCE_S), 0,
                             daemons[name].log())
        coordinator = self.expect_json("coordinator")
        farewells = [line for line in coordinator
                     if re.fullmatch(r'left .*reason="it was told to end"', line["message"])]
        self.assertEqual([line.get("worker") or line.get("shard") for line in farewells],
                         ["worker-0", "shard-0"])
        self.assertTrue(any(line.get("job") == job for line in coordinator))
        for name in ("worker-0", "shard-0"):
            self.expect_json(name)

        port = self.address.rpartition(":")[2]
        daemons = self.start_all(port)
        watched = cluster.drover("--server", self.address, "watch", job)
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        described = cluster.drover("--server", self.address, "-o", "json", "describe", job).stdout
        digest = re.search(r'"weightsDigest":\s*"([0-9a-f]{64})"', described)
        self.assertEqual(digest and digest[1], cluster.undisturbed_digest(fields))

    def test_a_second_signal_ends_a_daemon_at_once(self):
        daemons = self.start_all()
        coordinator = daemons["coordinator"].process
        coordinator.send_signal(signal.SIGSTOP)  # So that farewells wait for it.
        try:
            for name, number in (("worker-0", signal.SIGTERM), ("shard-0", signal.SIGINT)):
                daemons[name].process.send_signal(number)
                daemons[name].wait_for("a second signal ends it at once")
                daemons[name].process.send_signal(number)
                self.assertEqual(daemons[name].process.wait(cluster.PATIENCE_S), 128 + number,
                                 daemons[name].log())
        finally:
            os.kill(coordinator.pid, signal.SIGCONT)


if __name__ == "__main__":
    cluster.main()
