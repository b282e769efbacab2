#!/usr/bin/env python3
"""Dockerfile, compose file and manifests against each other and against the programs.

usage: manifests_test.py [--bin-dir DIR] [unittest arguments]

--bin-dir names a folder with the built programs, whose libraries are compared with the packages
that the images install.
"""

import argparse
import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import unittest

try:
    import yaml
    import kustomization
except ImportError:
    yaml = kustomization = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
PROGRAMS = {"drover": "server/cli/main.cc", "drover-coordinator": "server/coordinator/main.cc",
            "drover-shard": "server/shard/main.cc", "drover-worker": "worker/main.cc"}
ROLES = {"coordinator", "shard", "worker"}
METRICS_PORT, UID = 9464, 65532
OPTIONS = argparse.Namespace(bin_dir=None)


def version():
    return re.search(r"project\(drover VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]


def flags_of(program):
    """Names of its flags, read from the sources."""
    shared = {}
    text = (ROOT / "common/config/flags.cc").read_text()
    for name, body in re.findall(r"^void (Add\w+)\(.*?\) \{\n(.*?)^\}", text, re.M | re.S):
        shared[name] = set(re.findall(r'"(--[a-z-]+)"', body))
    text = (ROOT / PROGRAMS[program]).read_text()
    own = re.findall(r'add_(?:option|flag)\w*(?:<[^(]*>)?\(\s*"((?:-\w,)?--[a-z-]+)"', text)
    flags = {flag.rpartition(",")[2] for flag in own} | {"--help", "--version"}
    for name in re.findall(r"\b(Add\w+)\(&?app,", text):
        flags |= shared.get(name, set())
    return flags


def words(value):
    return [value] if isinstance(value, str) else [str(word) for word in value or []]


def flag_values(command):
    return {flag: value for flag, _, value in
            (word.partition("=") for word in command if word.startswith("--"))}


def port_of(address):
    return int(address.rpartition(":")[2])


@functools.cache
def compose():
    return yaml.safe_load((ROOT / "docker/compose.yaml").read_text())


@functools.cache
def overlays():
    return {path.parent.name: kustomization.build(path.parent)
            for path in sorted(KUBERNETES.glob("overlays/*/kustomization.yaml"))}


def dockerfile_stages():
    """{target: its instructions}, each with those of the stages that it is made from."""
    text = re.sub(r"\\\n", " ", (ROOT / "docker/Dockerfile").read_text())
    stages, current = {}, None
    for line in text.splitlines():
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            current = stages[match[2]] = list(stages.get(match[1], []))
        elif current is not None and line.strip() and not line.startswith("#"):
            current.append(line)
    return stages


def packages(*kinds):
    rows = [line.split() for line in (ROOT / "deploy/packages.txt").read_text().splitlines()
            if not line.startswith("#")]
    return {name for kind, name in rows if kind in kinds}


class Case(unittest.TestCase):
    def check_command(self, where, command):
        """Of a container: a program with flags that it has, or a tool of the image."""
        program = command[0]
        self.assertIn(program, {*PROGRAMS, "drover-livez", "bash"}, where)
        for flag in flag_values(command) if program in PROGRAMS else ():
            self.assertIn(flag, flags_of(program), f"{where}: {program}")

    def check_daemon(self, where, command):
        """TLS is whole, and only with it anything but metrics is in reach of others."""
        flags = flag_values(command)
        self.assertNotIn("--insecure", flags, where)
        for flag in ("--tls-ca", "--tls-cert", "--tls-key", "--metrics"):
            self.assertIn(flag, flags, where)
        self.assertEqual(port_of(flags["--metrics"]), METRICS_PORT, where)
        return flags


@unittest.skipIf(yaml is None, "PyYAML is not installed (python3-yaml)")
class KubernetesTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.overlays = overlays()

    def each_workload(self):
        for overlay, objects in self.overlays.items():
            for o in objects:
                if kustomization.pod_spec(o):
                    yield f"{overlay}: {o['kind']} {o['metadata']['name']}", objects, o

    def each_container(self, own_only=False):
        for where, objects, o in self.each_workload():
            for container in kustomization.containers(o):
                if not own_only or "command" in container:
                    yield f"{where}: {container['name']}", objects, o, container

    def test_there_are_three_overlays_and_objects_have_one_name_each(self):
        self.assertEqual(set(self.overlays), {"cpu", "gpu", "monitoring"})
        for overlay, objects in self.overlays.items():
            names = [(o["kind"], o["metadata"]["name"]) for o in objects]
            self.assertEqual(len(names), len(set(names)), overlay)
            for o in objects:
                if o["kind"] != "Namespace":
                    self.assertEqual(o["metadata"]["namespace"], "drover", f"{overlay} {o['kind']}")

    def test_every_file_is_part_of_an_overlay(self):
        for path in KUBERNETES.rglob("*.yaml"):
            listing = (path.parent / "kustomization.yaml").read_text()
            self.assertTrue(path.name == "kustomization.yaml" or f"- {path.name}\n" in listing,
                            path)

    def test_selectors_match_labels_and_named_ports_exist(self):
        for where, _, o in self.each_workload():
            selector = o["spec"]["selector"]["matchLabels"]
            labels = o["spec"]["template"]["metadata"]["labels"]
            self.assertLessEqual(selector.items(), labels.items(), where)
        for overlay, objects in self.overlays.items():
            for o in (o for o in objects if o["kind"] in ("Service", "PodDisruptionBudget")):
                where = f"{overlay}: {o['kind']} {o['metadata']['name']}"
                selector = o["spec"]["selector"]
                chosen = self.selected(objects, selector.get("matchLabels", selector))
                self.assertEqual(len(chosen), 1, where)
                ports = {p["name"]: p["containerPort"] for c in kustomization.containers(chosen[0])
                         for p in c.get("ports", [])}
                for port in o["spec"].get("ports", []):
                    self.assertEqual(ports.get(port["targetPort"]), port["port"], where)

    def selected(self, objects, labels):
        return [o for o in objects if kustomization.pod_spec(o) and labels.items() <=
                o["spec"]["template"]["metadata"]["labels"].items()]

    def test_a_headless_service_names_the_pods_of_each_stateful_set(self):
        for overlay, objects in self.overlays.items():
            services = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Service"}
            for o in (o for o in objects if o["kind"] == "StatefulSet"):
                service = services[o["spec"]["serviceName"]]
                self.assertEqual(service["spec"]["selector"], o["spec"]["selector"]["matchLabels"])
                if o["spec"]["replicas"] > 1:
                    self.assertEqual(service["spec"].get("clusterIP"), "None", overlay)

    def test_programs_have_the_flags_and_ports_that_are_used(self):
        for where, objects, o, container in self.each_container(own_only=True):
            command = container["command"] + container["args"]
            self.check_command(where, command)
            flags = self.check_daemon(where, command)
            declared = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
            if "--listen" in flags:
                self.assertEqual(declared["grpc"], port_of(flags["--listen"]), where)
            shown = not flags["--metrics"].startswith("127.0.0.1:")
            self.assertEqual(shown, "metrics" in declared, where)
            self.assertEqual(shown, where.startswith("monitoring:"), where)
            variables = {entry["name"] for entry in container.get("env", [])}
            self.assertEqual(set(re.findall(r"\$\((\w+)\)", " ".join(command))), variables, where)
            for flag in ("--coordinator", "--advertise"):
                if flag in flags:
                    self.check_address(where, objects, flags[flag])
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                self.check_command(f"{where}: {probe}", container[probe]["exec"]["command"])
                self.assertLess(4, container[probe]["timeoutSeconds"], where)

    def check_address(self, where, objects, address):
        host, _, port = address.rpartition(":")
        self.assertTrue(host.endswith(".$(POD_NAMESPACE).svc"), f"{where}: {address}")
        service = host.removesuffix(".$(POD_NAMESPACE).svc").rpartition(".")[2]
        ports = [p["port"] for o in objects if o["kind"] == "Service"
                 and o["metadata"]["name"] == service for p in o["spec"]["ports"]]
        self.assertEqual(ports, [int(port)], f"{where}: {address}")

    def test_documented_certificates_hold_the_names_that_are_dialled(self):
        document = (ROOT / "docs/operations.md").read_text()
        (line,) = re.findall(r"drover certs init certs .*drover\.svc.*", document)
        hosts = re.findall(r"--host '?([^\s']+)", line)
        dialled = set()
        for _, _, _, container in self.each_container(own_only=True):
            flags = flag_values(container["args"])
            for flag in {"--coordinator", "--advertise"} & set(flags):
                host = flags[flag].rpartition(":")[0].replace("$(POD_NAMESPACE)", "drover")
                dialled.add(host.replace("$(POD_NAME)", "*"))
        self.assertEqual(dialled, set(hosts))

    def test_shards_are_as_many_as_the_coordinator_waits_for(self):
        for overlay, objects in self.overlays.items():
            by_name = {o["metadata"]["name"]: o for o in objects if o["kind"] == "StatefulSet"}
            (coordinator,) = kustomization.containers(by_name["drover-coordinator"])
            self.assertEqual(flag_values(coordinator["args"])["--min-shards"],
                             str(by_name["drover-shard"]["spec"]["replicas"]), overlay)

    def test_volumes_exist_and_hold_the_paths_of_flags(self):
        document = (ROOT / "docs/operations.md").read_text()
        for where, objects, o, container in self.each_container():
            spec = kustomization.pod_spec(o)
            there = {v["name"]: v for v in spec.get("volumes", [])}
            for claim in o["spec"].get("volumeClaimTemplates", []):
                there[claim["metadata"]["name"]] = {}
            mounts = {m["mountPath"]: m["name"] for m in container.get("volumeMounts", [])}
            self.assertLessEqual(set(mounts.values()), set(there), where)
            for name in set(mounts.values()):
                self.check_source(f"{where}: {name}", objects, there[name], document)
            flags = flag_values(container.get("args", []))
            for flag, path in flags.items():
                if path.startswith("/") and flag != "--config.file":
                    self.assertTrue(any(path == mount or path.startswith(mount + "/")
                                        for mount in mounts), f"{where}: {flag}={path}")

    def check_source(self, where, objects, volume, document):
        names = {kind: {o["metadata"]["name"] for o in objects if o["kind"] == kind}
                 for kind in ("ConfigMap", "PersistentVolumeClaim")}
        if "configMap" in volume:
            self.assertIn(volume["configMap"]["name"], names["ConfigMap"], where)
        if "persistentVolumeClaim" in volume:
            self.assertIn(volume["persistentVolumeClaim"]["claimName"],
                          names["PersistentVolumeClaim"], where)
        if "secret" in volume:  # Made by hand, so the document must say how.
            role = re.fullmatch(r"drover-(\w+)-tls", volume["secret"]["secretName"])[1]
            self.assertIn(role, ROLES, where)
            self.assertIn("drover-$role-tls", document, where)
            self.assertEqual(volume["secret"]["defaultMode"], 0o440, f"{where}: others may read it")

    def test_pods_are_restricted(self):
        for where, objects, o in self.each_workload():
            spec = kustomization.pod_spec(o)
            security = spec["securityContext"]
            self.assertEqual(security["runAsNonRoot"], True, where)
            self.assertGreater(security["runAsUser"], 0, where)
            self.assertGreater(security["fsGroup"], 0, where)
            self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"}, where)
            self.assertIs(spec["automountServiceAccountToken"], False, where)
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                self.assertNotIn(key, spec, where)
            for volume in spec["volumes"]:
                self.assertNotIn("hostPath", volume, where)
        for where, _, o, container in self.each_container():
            self.assertEqual(container["securityContext"],
                             {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                              "capabilities": {"drop": ["ALL"]}}, where)
            self.assertIn("memory", container["resources"]["limits"], where)
            self.assertEqual(set(container["resources"]["requests"]), {"cpu", "memory"}, where)
        (namespace,) = kustomization.documents(KUBERNETES / "base/namespace.yaml")
        self.assertEqual(
            namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")

    def test_workers_have_memory_as_dev_shm_time_to_drain_and_gpus_where_they_should(self):
        for where, _, o in self.each_workload():
            if o["metadata"]["name"] != "drover-worker":
                continue
            spec = kustomization.pod_spec(o)
            self.assertGreaterEqual(spec["terminationGracePeriodSeconds"], 120, where)
            mounts = {m["mountPath"]: m["name"] for m in spec["containers"][0]["volumeMounts"]}
            volumes = {v["name"]: v for v in spec["volumes"]}
            self.assertEqual(volumes[mounts["/dev/shm"]]["emptyDir"]["medium"], "Memory", where)
            limits = spec["containers"][0]["resources"]["limits"]
            is_gpu = where.startswith("gpu:")
            self.assertEqual("nvidia.com/gpu" in limits, is_gpu, where)
            self.assertIn("drover-worker-gpu:" if is_gpu else "drover-worker-cpu:",
                          spec["containers"][0]["image"], where)

    def test_network_policies_let_through_what_the_flags_dial_and_nothing_else(self):
        for overlay, objects in self.overlays.items():
            policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
            pods = {o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"]
                    for o in objects if kustomization.pod_spec(o)}
            allowed = {(a, b, port) for a in pods for b in pods for port in (50050, 50051, 9464)
                       if a != b and self.passes(policies, pods[a], pods[b], port)}
            wanted = {("drover-shard", "drover-coordinator", 50050),
                      ("drover-worker", "drover-coordinator", 50050),
                      ("drover-worker", "drover-shard", 50051)}
            if overlay == "monitoring":
                wanted |= {("drover-monitoring", f"drover-{role}", 9464) for role in ROLES}
            self.assertEqual(allowed, wanted, overlay)

    def passes(self, policies, source, target, port):
        return (self.permits(policies, source, target, port, "Egress", "egress", "to") and
                self.permits(policies, target, source, port, "Ingress", "ingress", "from"))

    def permits(self, policies, pod, peer, port, kind, field, side):
        bound = [p["spec"] for p in policies if kind in p["spec"]["policyTypes"]
                 and matches(p["spec"]["podSelector"], pod)]
        rules = [rule for spec in bound for rule in spec.get(field, [])
                 if any(entry["port"] == port for entry in rule["ports"])]
        return not bound or any("podSelector" in entry and matches(entry["podSelector"], peer)
                                for rule in rules for entry in rule[side])

    def test_kubectl_builds_every_overlay(self):
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            self.skipTest("kubectl is not installed")
        for overlay, objects in self.overlays.items():
            done = subprocess.run([kubectl, "kustomize", KUBERNETES / "overlays" / overlay],
                                  capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            built = [without_hashes(o) for o in yaml.safe_load_all(done.stdout)]
            key = lambda o: (o["kind"], o["metadata"]["name"])
            self.assertEqual(sorted(built, key=key), sorted(objects, key=key), overlay)


def matches(selector, labels):
    return (selector.get("matchLabels", {}).items() <= labels.items() and
            all(e["operator"] == "In" and labels.get(e["key"]) in e["values"]
                for e in selector.get("matchExpressions", [])))


def without_hashes(value):
    """Kustomize appends a hash of the content to the names of generated ConfigMaps."""
    if isinstance(value, dict):
        return {key: without_hashes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_hashes(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"^(drover-[a-z-]+)-[a-z0-9]{10}$", r"\1", value)
    return value


@unittest.skipIf(yaml is None, "PyYAML is not installed (python3-yaml)")
class ComposeTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.file = compose()
        cls.services = cls.file["services"]
        cls.own = {name: s for name, s in cls.services.items() if s["image"].startswith("drover-")}

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
                self.check_daemon(name, command)

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


@unittest.skipIf(yaml is None, "PyYAML is not installed (python3-yaml)")
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
            self.assertNotIn("packages_of_kinds build", " ".join(lines), target)

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
            wanted = rf"(/out/|bin/){command[0]}\s" if command[0] != "bash" else "bash"
            self.assertRegex(text[target] + " ", wanted, image)

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


@unittest.skipIf(yaml is None, "PyYAML is not installed (python3-yaml)")
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
    unittest.main(argv=[sys.argv[0], *rest])
