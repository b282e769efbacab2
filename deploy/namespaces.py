"""Machines that are not there: network namespaces with one bridge between them. Linux only.

Everything is made in namespaces of its own and ends with the process that made them.
"""

import ctypes
import os
import subprocess
import threading

BRIDGE_ADDRESS = "10.77.0.1"  # Of whoever makes the network: one more machine beside the others.

CLONE_NEWNET = 0x40000000  # <linux/sched.h>

# Own process ids, so that nothing outlives the maker. No mounts: a chroot forbids to unshare them.
UNSHARE = ["unshare", "--net", "--pid", "--fork", "--kill-child"]
WAYS = {"root": UNSHARE, "a user namespace": UNSHARE + ["--user", "--map-root-user"]}

NEEDED = """needed: iproute2 and util-linux, a kernel with bridges and veth, and one of these:
  root (in a container: the capabilities SYS_ADMIN and NET_ADMIN)
  or user namespaces for everybody: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000"""


class Unavailable(Exception):
    """This machine does not let us make network namespaces."""


def _run(*command, text=None):
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise Unavailable(f"{' '.join(command)}: {said}")


def become_the_host(command):
    """Replaces this process by `command` in namespaces of its own. Raises Unavailable."""
    reasons = []
    for name, way in WAYS.items():
        if name == "root" and os.geteuid() != 0:
            continue
        try:
            _run(*way, "ip", "link", "set", "lo", "up")
        except Unavailable as why:
            reasons.append(f"as {name}: {why}")
            continue
        os.execvp(way[0], [*way, *command])
    raise Unavailable("; ".join(reasons))


def _new_namespace():
    """A network namespace as a path that exists as long as this process."""
    made = []

    def make():  # The thread alone moves into what it makes.
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0:
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        else:
            made.append(os.strerror(ctypes.get_errno()))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], str):
        raise Unavailable(f"unshare: {made[0]}")
    return f"/proc/{os.readlink('/proc/self')}/fd/{made[0]}"  # Not getpid(): /proc is older than us.


class Network:
    """Machines by name on one bridge. Make it after become_the_host."""

    def __init__(self):
        _run("ip", "-batch", "-", text=f"""link set lo up
link add bridge0 type bridge
link set bridge0 up
address add {BRIDGE_ADDRESS}/24 dev bridge0
""")
        self.addresses = {}
        self._namespaces = {}

    def add(self, name):
        """One more machine; returns its address."""
        number = len(self.addresses) + 10
        address = self.addresses[name] = f"10.77.0.{number}"
        namespace = self._namespaces[name] = _new_namespace()
        _run("ip", "-batch", "-", text=f"""link add port{number} type veth peer name eth0 netns {namespace}
link set port{number} master bridge0 up
""")
        _run(*self.on(name, "ip", "-batch", "-"), text=f"""link set lo up
address add {address}/24 dev eth0
link set eth0 up
""")
        return address

    def on(self, name, *command):
        """The command that runs `command` on that machine."""
        return ["nsenter", f"--net={self._namespaces[name]}", *map(str, command)]
