#!/usr/bin/env python3
"""Dockerfile, compose file and what Prometheus and Grafana get, against each other, the
manifests and the programs.

usage: containers_test.py [--bin-dir DIR] [unittest arguments]

--bin-dir names a folder with the built programs, whose libraries are compared with the packages
that the images install.
"""

import argparse
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import unittest

import kustomization
import yaml
from manifests import (
    Case, METRICS_PORT, PROGRAMS, ROLES, ROOT, UID, compose, dockerfile_stages, flag_values,
    flags_of, overlays, packages, port_of, version, words)

OPTIONS = argparse.Namespace(bin_dir=None)
# Names of the Compose specification: those that the file has, or may soon want.
COMPOSE_FIELDS = {"name", "services", "volumes", "networks"}
SERVICE_FIELDS = set("""
    build cap_add cap_drop command configs container_name cpus depends_on deploy devices dns
    entrypoint env_file environment expose extra_hosts group_add healthcheck hostname image init ipc
    labels logging mem_limit network_mode networks pid platform ports profiles pull_policy
    read_only restart secrets security_opt shm_size stop_grace_period stop_signal sysctls tmpfs tty
    ulimits user volumes working_dir""".split())


class ComposeTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.file = compose()
        cls.services = cls.file["services"]
        cls.own = {name: s for name, s in cls.services.items() if s["image"].startswith("drover-")}

    def test_fields_are_those_of_the_specification_and_what_they_name_exists(self):
        self.assertLessEqual({f for f in self.file if not f.startswith("x-")}, COMPOSE_FIELDS)
        for name, service in self.services.items():
            self.assertLessEqual(set(service), SERVICE_FIELDS, name)
            self.assertLessEqual(set(service.get("depends_on", [])), set(self.services), name)
            mode, _, other = service.get("network_mode", "none").partition(":")
            self.assertIn(mode, {"none", "service"}, name)
            self.assertIn(other or name, self.services, name)

    def test_the_cluster_is_there(self):
        programs = [words(s.get("command"))[0] for s in self.own.values() if "command" in s]
        self.assertEqual(programs.count("drover-coordinator"), 1)
        self.assertEqual(programs.count("drover-shard"), 2)
        self.assertEqual(self.services["worker"]["deploy"]["replicas"], 2)
        self.assertLessEqual({"prometheus", "grafana", "certs"}, set(self.services))

    def test_no_container_is_root_or_can_write_to_its_root(self):
        for name, service in self.services.items():
            self.assertIs(service["read_only"], True, name)
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"], name)
            self.assertNotIn("privileged", service, name)
            self.assertRegex(service["user"], r"^[1-9]\d*:\d+$", name)
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name}: {port}")

    def test_programs_have_the_flags_and_every_daemon_tls(self):
        for name, service in self.own.items():
            command = words(service.get("entrypoint")) + words(service.get("command"))
            self.check_command(name, command)
            if command[0].removeprefix("drover-") in ROLES:
                flags = self.check_daemon(name, command)
                self.assertRegex(flags.get("--name", ""), rf"^({name.partition('-')[0]}-\d+)?$")

    def test_the_script_that_makes_certificates_uses_flags_that_exist(self):
        script = self.services["certs"]["command"][-1]
        self.assertLessEqual(set(re.findall(r"--[a-z-]+", script)), flags_of("drover"))

    def test_addresses_name_services_and_their_ports(self):
        listening = {name: port_of(flag_values(words(s["command"]))["--listen"])
                     for name, s in self.own.items()
                     if "--listen" in flag_values(words(s.get("command")))}
        hosts = re.findall(r"--host (\S+)", self.services["certs"]["command"][-1])
        self.assertEqual(set(hosts), set(listening))
        for name, service in self.own.items():
            flags = flag_values(words(service.get("entrypoint")) + words(service.get("command")))
            for flag in {"--coordinator", "--advertise", "--server"} & set(flags):
                host, _, port = flags[flag].rpartition(":")
                self.assertEqual(listening.get(host), int(port), f"{name}: {flag}")
            if "--advertise" in flags:
                self.assertEqual(flags["--advertise"].rpartition(":")[0], name)

    def test_volumes_are_declared_files_exist_and_flags_lie_in_volumes(self):
        used = set()
        for name, service in self.services.items():
            targets = []
            for volume in service.get("volumes", []):
                source, target, *_ = volume.split(":")
                targets.append(target)
                if source.startswith("."):
                    self.assertTrue((ROOT / "docker" / source).exists(), f"{name}: {source}")
                else:
                    used.add(source)
            command = words(service.get("entrypoint")) + words(service.get("command"))
            for flag, path in flag_values(command).items():
                if path.startswith("/"):
                    self.assertTrue(any(path == t or path.startswith(t + "/") for t in targets),
                                    f"{name}: {flag}={path}")
        self.assertEqual(used, set(self.file["volumes"]))

    def test_each_role_gets_its_own_key_only(self):
        for name, service in self.own.items():
            tls = [v for v in service.get("volumes", []) if v.startswith("tls-")]
            if name == "certs":
                self.assertEqual(len(tls), 5)
                continue
            ((source, target, mode),) = (v.split(":") for v in tls)
            role = source.removeprefix("tls-")
            self.assertEqual((target, mode), (f"/etc/drover/tls/{role}", "ro"), name)
            flags = flag_values(words(service.get("entrypoint")) + words(service.get("command")))
            self.assertEqual(flags["--tls-key"], f"{target}/{role}.key", name)


class ImagesTest(Case):
    def test_one_version_everywhere(self):
        tags = re.findall(r"drover-(?:server|worker-\w+):([\w.]+)",
                          "".join((ROOT / path).read_text() for path in
                                  ("docker/compose.yaml", "docker/Dockerfile",
                                   "docs/operations.md")))
        tags += re.findall(r"^ARG VERSION=(\S+)", (ROOT / "docker/Dockerfile").read_text(), re.M)
        images = {c["image"] for objects in overlays().values() for o in objects
                  for c in kustomization.containers(o)}
        tags += [image.partition(":")[2] for image in images if image.startswith("drover-")]
        self.assertEqual(set(tags), {version()})
        services = {s["image"] for s in compose()["services"].values()}
        for image in images | services:
            self.assertRegex(image, r":v?\d+\.\d+\.\d+$")
        theirs = lambda found: {i for i in found if "/" in i}
        self.assertEqual(theirs(images), theirs(services))

    def test_images_of_manifests_are_targets_that_run_as_the_user(self):
        stages = dockerfile_stages()
        for service in compose()["services"].values():
            if "build" in service:
                target = service["build"]["target"]
                self.assertEqual(service["image"].partition(":")[0], f"drover-{target}")
                self.assertTrue((ROOT / service["build"]["dockerfile"]).is_file())
        for target in ("server", "worker-cpu", "worker-gpu"):
            lines = stages[target]
            self.assertEqual([l for l in lines if l.startswith("USER")][-1], f"USER {UID}:{UID}")
            self.assertTrue(any(l.startswith("HEALTHCHECK") for l in lines), target)
            self.assertTrue(any("org.opencontainers.image.version" in l for l in lines), target)
            self.assertNotIn("image_install.sh build", " ".join(lines), target)

    def test_programs_that_containers_run_are_in_their_image(self):
        stages = dockerfile_stages()
        text = {target: " ".join(lines) for target, lines in stages.items()}
        commands = [(s["image"], words(s.get("entrypoint")) + words(s.get("command")))
                    for s in compose()["services"].values() if s["image"].startswith("drover-")]
        for objects in overlays().values():
            for container in (c for o in objects for c in kustomization.containers(o)):
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    if probe in container:
                        commands.append((container["image"], container[probe]["exec"]["command"]))
                if "command" in container:
                    commands.append((container["image"], container["command"]))
        for image, command in commands:
            target = image.partition(":")[0].removeprefix("drover-")
            if command[0] != "bash":  # Part of every Debian.
                self.assertRegex(text[target] + " ", rf"(/out/|bin/){command[0]}\s", image)

    def test_copied_files_exist_and_are_sent_to_the_builder(self):
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    self.assertTrue((ROOT / source).exists(), line)
                    self.assertNotIn(source.partition("/")[0], ignored, line)

    def test_packages_hold_the_libraries_that_the_programs_load(self):
        if OPTIONS.bin_dir is None or not shutil.which("readelf"):
            self.skipTest("needs built programs (--bin-dir DIR) and readelf")
        lists = pathlib.Path("/var/lib/dpkg/info")
        for program in PROGRAMS:
            path = OPTIONS.bin_dir / program
            if not path.exists() or not lists.is_dir():
                self.skipTest(f"{path} is not built, or this is not Debian")
            kinds = ["run", "run-server"] if program != "drover-worker" else ["run", "run-worker"]
            if program == "drover":
                kinds = ["run"]
            held = set()
            for package in packages(*kinds) | {"libc6", "libgcc-s1"}:
                found = [*lists.glob(f"{package}.list"), *lists.glob(f"{package}:*.list")]
                if not found:
                    self.skipTest(f"package {package} is not installed here")
                held |= {os.path.basename(line) for f in found for line in f.read_text().split()}
            out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True)
            needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", out.stdout))
            self.assertLessEqual({n for n in needed if not n.startswith(("libasan", "libubsan"))},
                                 held, program)

    def test_the_health_check_tells_200_from_other_answers_and_from_silence(self):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/livez" else 503)
                self.end_headers()

            def log_message(self, *_):
                pass
        script = ROOT / "docker/livez.sh"
        self.assertTrue(os.access(script, os.X_OK))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,),
                             daemon=True).start()
            port = str(server.server_port)

            def run(*arguments):
                return subprocess.run([script, *arguments], capture_output=True, timeout=20,
                                      check=False).returncode
            self.assertEqual(run("/livez", port), 0)
            self.assertNotEqual(run("/readyz", port), 0)
            server.shutdown()
        self.assertNotEqual(run("/livez", port), 0)


class MonitoringTest(Case):
    def test_prometheus_scrapes_names_that_exist_under_the_jobs_of_the_rules(self):
        by_hand, by_name = (yaml.safe_load((ROOT / "deploy/prometheus" / file).read_text())
                            for file in ("prometheus.yml", "dns.yml"))
        jobs = lambda file: {entry["job_name"] for entry in file["scrape_configs"]}
        self.assertEqual(jobs(by_hand), jobs(by_name))
        names = {}
        for entry in by_name["scrape_configs"]:
            (found,) = entry["dns_sd_configs"]
            self.assertEqual(found["port"], METRICS_PORT)
            names[entry["job_name"]] = found["names"][0]
        aliases = {alias for s in compose()["services"].values()
                   for alias in (s.get("networks", {}).get("default") or {}).get("aliases", [])}
        self.assertEqual(aliases, set(names.values()))
        services = {o["metadata"]["name"]: o for o in overlays()["monitoring"]
                    if o["kind"] == "Service"}
        for job, name in names.items():
            self.assertEqual(services[name]["spec"]["clusterIP"], "None")
            self.assertEqual(services[name]["spec"]["selector"], {"app.kubernetes.io/name": job})
            self.assertEqual(services[name]["spec"]["ports"][0]["port"], METRICS_PORT)

    def test_the_manual_says_of_every_alert_what_to_do(self):
        rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
        alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]
                  if "alert" in rule}
        rows = [row.split(" | ") for row in
                (ROOT / "docs/operations.md").read_text().splitlines()
                if row.startswith("| `Drover")]
        self.assertEqual(sorted(alerts), sorted(name for row in rows
                                                for name in re.findall(r"`(Drover\w+)`", row[0])))
        for row in rows:
            self.assertEqual(len(row), 3, row[0])
            self.assertGreater(min(map(len, row)), 10, row[0])

    def test_dashboards_lie_where_their_provider_looks(self):
        provider = yaml.safe_load(
            (ROOT / "deploy/grafana/provisioning/dashboards/drover.yml").read_text())
        path = provider["providers"][0]["options"]["path"]
        dashboards = {p.name for p in (ROOT / "deploy/grafana").glob("*.json")}
        mounted = {volume.split(":")[1] for volume in compose()["services"]["grafana"]["volumes"]}
        self.assertLessEqual({f"{path}/{name}" for name in dashboards}, mounted)
        objects = overlays()["monitoring"]
        maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
        self.assertEqual(set(maps["drover-grafana-dashboards"]), dashboards)
        for name, data in maps.items():
            self.assertLess(sum(map(len, data.values())), 1 << 20, name)
        (pod,) = [kustomization.pod_spec(o) for o in objects
                  if o["metadata"]["name"] == "drover-monitoring" and kustomization.pod_spec(o)]
        mounts = {m["mountPath"] for c in pod["containers"] for m in c["volumeMounts"]}
        self.assertLessEqual({path, "/etc/grafana/provisioning/dashboards",
                              "/etc/grafana/provisioning/datasources"}, mounts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--bin-dir", type=pathlib.Path)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
