#!/usr/bin/env python3
"""A cluster whose processes know each other by certificates: the same weights, and no way in without.

usage: tls_test.py BIN_DIR [unittest arguments]
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import re
import socket
import struct
import time
import urllib.request

import cluster
import event_file
import daemon

ANY_PORT = "127.0.0.1:0"


class TlsTest(daemon.TestCase):
    def setUp(self):
        super().setUp()
        self.certs = self.folder / "certs"
        made = cluster.drover("certs", "init", self.certs)
        self.assertEqual(made.returncode, 0, made.stderr)

    def tls(self, name, folder=None):
        folder = folder or self.certs
        return ["--tls-cert", folder / f"{name}.crt", "--tls-key", folder / f"{name}.key",
                "--tls-ca", folder / "ca.crt"]

    def start_coordinator(self, *flags):
        """Beyond loopback, which only TLS allows."""
        port_file = self.folder / "port"
        self.coordinator = coordinator = self.start(
            "coordinator", "drover-coordinator", "--listen", "0.0.0.0:0", "--min-shards", 2,
            "--state-dir", self.folder / "coordinator", "--port-file", port_file, "--metrics", ANY_PORT,
            *self.tls("coordinator"), *flags)
        coordinator.wait_for(r"listens on \S+ .*tls=on")
        cluster.wait_until("the port", lambda: port_file.exists() or None)
        self.address = f"localhost:{port_file.read_text().strip().rpartition(':')[2]}"
        return coordinator

    def start_node(self, name, kind, *flags):
        if kind == "shard":
            flags = ("--listen", ANY_PORT, "--state-dir", self.folder / name, *flags)
        return self.start(name, f"drover-{kind}", "--coordinator", self.address, "--name", name,
                          *self.tls(kind), *flags)

    def drover(self, *arguments, name="user"):
        return cluster.drover("--server", self.address, "--timeout", "30s", *self.tls(name),
                              *arguments)

    def refused(self, name, *flags):
        """A worker that must not start: its exit code and what it said."""
        worker = self.start(name, "drover-worker", "--coordinator", self.address, *flags)
        self.assertEqual(worker.process.wait(cluster.PATIENCE_S), 78, worker.log())
        return worker.log()

    def test_a_job_over_tls_gives_the_weights_of_plain_text(self):
        fields = cluster.on_pictures()
        self.start_coordinator()
        for number in range(2):
            self.start_node(f"shard-{number}", "shard")
            self.start_node(f"worker-{number}", "worker", "--lanes", 2)

        self.expect_refusals()
        job = self.drover("submit", cluster.SMALL, *cluster.set_flags(fields))
        self.assertEqual(job.returncode, 0, job.stderr)
        watched = self.drover("watch", job.stdout.strip())
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        described = self.drover("-o", "json", "describe", job.stdout.strip())
        digest = re.search(r'"weightsDigest":\s*"([0-9a-f]{64})"', described.stdout)
        self.assertIsNotNone(digest, described.stdout)
        self.assertEqual(digest[1], cluster.undisturbed_digest(fields))
        self.expect_history(job.stdout.strip())
        self.expect_expiry()

    def expect_expiry(self):
        port = re.search(r"metrics_port=(\d+)", self.coordinator.log())[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for certificate in ("own", "authority"):
            value = re.search(r'^drover_tls_certificate_not_after_timestamp_seconds'
                              rf'{{certificate="{certificate}"}} (\S+)$', text, re.MULTILINE)
            self.assertIsNotNone(value, text)
            self.assertGreater(float(value[1]), time.time() + 300 * 86400)

    def expect_history(self, job):
        """Three forms of what the steps reported say the same."""
        def get(form, *flags):
            got = self.drover("get", "metrics", job, "-o", form, *flags)
            self.assertEqual(got.returncode, 0, got.stderr)
            return got.stdout

        rows = list(csv.DictReader(io.StringIO(get("csv"))))
        self.assertEqual([int(row["step"]) for row in rows], list(range(len(rows))))
        self.assertGreater(len(rows), 1)
        evaluated = [row for row in rows if row["eval_loss"]]
        self.assertEqual(evaluated[-1]["step"], rows[-1]["step"])
        lines = [json.loads(line) for line in get("jsonl").splitlines()]
        path = get("tensorboard", "--output-dir", self.folder / "board").strip()
        events = event_file.scalars(pathlib.Path(path).read_bytes())
        self.assertEqual(len(lines), len(rows))
        self.assertEqual(len(events), len(rows))
        for row, line, (time, step, values) in zip(rows, lines, events):
            self.assertEqual(step, int(row["step"]))
            self.assertEqual(time, int(row["time_unix_ms"]) / 1000)
            for name in ("loss", "learning_rate", "gradient_norm", "trust_ratio_median"):
                self.assertEqual(line[name], float(row[name]))
                (single,) = struct.unpack("<f", struct.pack("<f", line[name]))
                self.assertEqual(values[f"train/{name}"], single)
            self.assertEqual("eval/loss" in values, bool(row["eval_loss"]))

    def expect_refusals(self):
        # Without a certificate, with a user's, with one of another authority.
        self.assertIn("a worker must show a certificate of its own",
                      self.refused("bare", "--tls-ca", self.certs / "ca.crt"))
        self.assertIn("certificate of submitter/user: expected one of the role worker",
                      self.refused("user", *self.tls("user")))
        self.assertIn("expected worker or a name that begins with worker-",
                      self.refused("named", "--name", "shard-0", *self.tls("worker")))
        self.assertIn("expected the absolute path of a folder that is there",
                      self.refused("root", "--data-root", "/no/such", *self.tls("worker")))
        foreign = self.folder / "foreign"
        cluster.drover("certs", "init", foreign)
        mixed = [*self.tls("worker", foreign)[:4], "--tls-ca", self.certs / "ca.crt"]
        self.assertIn("is not signed by the given authority", self.refused("mixed", *mixed))
        self.start("foreign", "drover-worker", "--coordinator", self.address,
                   *self.tls("worker", foreign)).wait_for("CERTIFICATE_VERIFY_FAILED|certificate")
        # The coordinator itself refuses, whatever the program would have checked.
        answer = self.drover("get", "jobs", name="worker")
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn("worker/worker may not call ListJobs", answer.stderr)
        plain = cluster.drover("--server", self.address, "get", "jobs")
        self.assertEqual(plain.returncode, 4, plain.stderr)
        nobody = cluster.drover("--server", self.address, "--tls-ca", self.certs / "ca.crt",
                                "get", "jobs")
        self.assertEqual(nobody.returncode, 4, nobody.stderr)

    def test_roles_and_tokens_of_users(self):
        tokens, secret = self.folder / "tokens", self.folder / "secret"
        token = cluster.drover("tokens", "add", tokens, "viewer", "ann").stdout.strip()
        secret.write_text(token + "\n")
        os.chmod(secret, 0o600)
        coordinator = self.start_coordinator("--tokens", tokens, "--jobs-per-user", 1)

        def as_ann(*arguments, secret=secret):
            return cluster.drover("--server", self.address, "--tls-ca", self.certs / "ca.crt",
                                  "--token-file", secret, *arguments)

        self.assertEqual(as_ann("get", "jobs").returncode, 0)
        submitted = as_ann("submit", cluster.SMALL)
        self.assertEqual(submitted.returncode, 1)
        self.assertIn("viewer/ann may not call CreateJob", submitted.stderr)
        job = self.drover("submit", cluster.SMALL)
        self.assertEqual(job.returncode, 0, job.stderr)
        coordinator.wait_for(r"audit: call=CreateJob .*caller=submitter/user at .*outcome=OK")
        coordinator.wait_for(r"audit: refused call=\S*CreateJob\S* caller=viewer/ann")
        self.expect_that_bob_sees_nothing(job.stdout.strip(), tokens, as_ann)
        self.assertIn(job.stdout.strip(), as_ann("-o", "json", "get", "jobs").stdout)
        self.assertIn("--jobs-per-user", self.drover("submit", cluster.SMALL).stderr)
        self.assertEqual(self.drover("cancel", job.stdout.strip()).returncode, 0)
        self.assertEqual(self.drover("delete", job.stdout.strip()).returncode, 1)
        self.assertEqual(cluster.drover("tokens", "revoke", tokens, "ann").returncode, 0)
        self.assertIn("nobody's token", as_ann("get", "jobs").stderr)
        self.assertNotIn(token, coordinator.log())

    def expect_that_bob_sees_nothing(self, job, tokens, call):
        secret = self.folder / "bob"
        secret.write_text(cluster.drover("tokens", "add", tokens, "submitter", "bob").stdout)
        os.chmod(secret, 0o600)
        self.assertNotIn(job, call("-o", "json", "get", "jobs", secret=secret).stdout)
        for verb in (["cancel"], ["suspend"], ["describe", "job"], ["logs"]):
            answer = call(*verb, job, secret=secret)
            self.assertEqual(answer.returncode, 3, answer.stderr)
            self.assertIn(f'no job "{job}"', answer.stderr)

    def test_a_process_without_descriptors_ends_so_that_it_is_started_again(self):
        port_file = self.folder / "port"
        flags = ["--listen", ANY_PORT, "--state-dir", self.folder / "state", "--metrics", "",
                 "--port-file", port_file]
        coordinator = self.start("flooded", "drover-coordinator", *flags, descriptors=64)
        coordinator.wait_for("listens on")
        host, _, port = cluster.wait_until(
            "the port", lambda: port_file.exists() and port_file.read_text() or None
        ).strip().rpartition(":")
        begin = time.monotonic()
        with contextlib.ExitStack() as connections:
            for _ in range(80):
                connections.enter_context(socket.create_connection((host, int(port))))
        self.assertEqual(coordinator.process.wait(cluster.PATIENCE_S), 75, coordinator.log())
        self.assertLess(time.monotonic() - begin, 10)
        self.assertIn("does not answer on its own port", coordinator.log())
        flags[1] = f"{host}:{port}"
        self.start("again", "drover-coordinator", *flags).wait_for("listens on")
        self.assertEqual(cluster.drover("--server", f"{host}:{port}", "get", "jobs").returncode, 0)

    def test_other_machines_need_tls_or_an_explicit_flag(self):
        for program, flags in (
                ("drover-coordinator", ["--listen", "0.0.0.0:0"]),
                ("drover-shard", ["--coordinator", "127.0.0.1:1", "--listen", "0.0.0.0:0"]),
                ("drover-shard", ["--coordinator", "192.0.2.1:1", "--listen", ANY_PORT]),
                ("drover-worker", ["--coordinator", "192.0.2.1:1"])):
            with self.subTest(program=program, flags=flags):
                refused = self.start("refused", program, *flags)
                self.assertEqual(refused.process.wait(cluster.PATIENCE_S), 78)
                self.assertIn("--tls-cert", refused.log())
        insecure = self.start("insecure", "drover-coordinator", "--listen", "0.0.0.0:0",
                              "--metrics", "", "--state-dir", self.folder / "insecure-state",
                              "--insecure")
        insecure.wait_for("tls=INSECURE")
        insecure.wait_for("--insecure: plain text")


if __name__ == "__main__":
    cluster.main()
