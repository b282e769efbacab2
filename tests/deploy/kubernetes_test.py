#!/usr/bin/env python3
"""The overlays of deploy/kubernetes against Kubernetes' schemas, each other and the programs."""

import copy
import re
import shutil
import subprocess
import unittest

import kubernetes_fields
import kustomization
import yaml
from manifests import Case, KUBERNETES, ROLES, ROOT, flag_values, overlays, port_of

# What is used of cert-manager's API v1, as its reference describes it: its types are in no table.
CERT_MANAGER = {
    "Issuer": {"selfSigned": "{}string", "ca": "CAIssuer"},
    "CAIssuer": {"secretName!": "string"},
    "Certificate": {
        "secretName!": "string", "issuerRef!": "IssuerRef", "commonName": "string",
        "isCA": "boolean", "duration": "string", "renewBefore": "string",
        "privateKey": "PrivateKey", "dnsNames": "[]string", "ipAddresses": "[]string",
        "uris": "[]string",
        "usages": "[]=digital signature|server auth|client auth"},
    "PrivateKey": {"algorithm": "=RSA|ECDSA|Ed25519", "size": "integer",
                   "rotationPolicy": "=Never|Always"},
    "IssuerRef": {"name!": "string", "kind": "=Issuer|ClusterIssuer", "group": "string"}}


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

    def test_there_are_four_overlays_and_objects_have_one_name_each(self):
        self.assertEqual(set(self.overlays), {"cpu", "gpu", "monitoring", "tls"})
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

    def test_objects_are_what_the_schemas_of_kubernetes_say(self):
        for overlay, objects in self.overlays.items():
            for o in objects:
                if o["apiVersion"] == "cert-manager.io/v1":
                    self.assertEqual(faults_of_cert_manager(o), [], overlay)
                else:
                    self.assertEqual(kubernetes_fields.check(o), [], overlay)

    def test_faults_in_objects_are_found(self):
        (good,) = [o for o in self.overlays["gpu"] if o["kind"] == "Deployment"]
        pod, container = ["spec", "template", "spec"], ["spec", "template", "spec", "containers", 0]
        for path, value, expected in (
                (["kind"], "Deploymemt", "not in kubernetes_fields.json"),
                (["spec", "replica"], 2, "spec: unknown field replica"),
                (["spec", "replicas"], "2", "expected integer, found '2'"),
                (["spec", "selector"], None, "expected an object, found None"),
                ([*pod, "enableServiceLinks"], 0, "expected boolean, found 0"),
                ([*pod, "volumes"], {}, "expected []Volume"),
                ([*pod, "hostAliases"], [{}], "HostAlias is not in kubernetes_fields.json"),
                ([*container, "resources", "limits", "memory"], "8 GB", "expected a quantity"),
                ([*container, "command"], ["drover-worker", 1], "expected string, found 1")):
            bad = copy.deepcopy(good)
            at = bad
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
            (fault,) = kubernetes_fields.check(bad)
            self.assertIn(expected, fault)
        bad = copy.deepcopy(good)
        del bad["spec"]["selector"]
        self.assertIn("spec: selector is missing", kubernetes_fields.check(bad)[0])

    def test_cert_manager_makes_the_secrets_that_are_mounted_with_the_names_that_are_dialled(self):
        objects = self.overlays["tls"]
        certificates = {o["spec"]["secretName"]: o["spec"] for o in objects
                        if o["kind"] == "Certificate" and not o["spec"].get("isCA")}
        issuers = {o["metadata"]["name"] for o in objects if o["kind"] == "Issuer"}
        mounted = {v["secret"]["secretName"] for o in objects if kustomization.pod_spec(o)
                   for v in kustomization.pod_spec(o)["volumes"] if "secret" in v}
        self.assertEqual(mounted | {"drover-user-tls"}, set(certificates))
        dialled = set()
        for name, spec in certificates.items():
            role = re.fullmatch(r"drover-(\w+)-tls", name)[1]
            wanted = "submitter/user" if role == "user" else f"{role}/{role}"
            self.assertEqual(spec["uris"], [f"spiffe://drover/{wanted}"])
            self.assertEqual("server auth" in spec["usages"], "dnsNames" in spec, name)
            self.assertIn("client auth", spec["usages"], name)
            self.assertIn(spec["issuerRef"]["name"], issuers)
            dialled |= set(spec.get("dnsNames", [])) - {"localhost"}
        self.assertEqual(dialled, self.dialled_names())

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
            if "--name" in flags:  # As the certificate of the role says, or more behind it.
                role = o["metadata"]["name"].removeprefix("drover-")
                self.assertEqual(flags["--name"], f"{role}.$(POD_NAME)", where)
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
        self.assertEqual(self.dialled_names(), set(hosts))

    def dialled_names(self):
        dialled = set()
        for _, _, _, container in self.each_container(own_only=True):
            flags = flag_values(container["args"])
            for flag in {"--coordinator", "--advertise"} & set(flags):
                host = flags[flag].rpartition(":")[0].replace("$(POD_NAMESPACE)", "drover")
                dialled.add(host.replace("$(POD_NAME)", "*"))
        return dialled

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


def faults_of_cert_manager(o):
    faults = []
    kubernetes_fields.visit(o["spec"], o["kind"], CERT_MANAGER, o["metadata"]["name"], faults)
    return faults + [f"unknown field {key}" for key in
                     set(o) - {"apiVersion", "kind", "metadata", "spec"}]


def without_hashes(value):
    """Kustomize appends a hash of the content to the names of generated ConfigMaps."""
    if isinstance(value, dict):
        return {key: without_hashes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_hashes(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"^(drover-[a-z-]+)-[a-z0-9]{10}$", r"\1", value)
    return value


if __name__ == "__main__":
    unittest.main(verbosity=2)
