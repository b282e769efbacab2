"""What the tests of docker/ and deploy/kubernetes share: the files, read, and what the programs take."""

import functools
import pathlib
import re
import unittest

import kustomization
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
PROGRAMS = {"drover": "server/cli/main.cc", "drover-coordinator": "server/coordinator/main.cc",
            "drover-shard": "server/shard/main.cc", "drover-worker": "worker/main.cc"}
ROLES = {"coordinator", "shard", "worker"}
METRICS_PORT, UID = 9464, 65532


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
