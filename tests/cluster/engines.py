"""The engines of contrib/cluster, installed in the machines of a cluster as their examples say."""

import contextlib
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from harness import Failure, need, need_program, wait_for       # noqa: E402
from harness.cluster import FRONT, VIP                          # noqa: E402

SERVICE = f"{VIP}/32"
FIRST = FRONT.format(11)        # the node of which the examples speak


def need_exabgp():
    need_program("exabgp")
    done = subprocess.run(["/usr/bin/python3", "-c", "import exabgp"], stderr=subprocess.DEVNULL)
    need(done.returncode == 0, "the module of exabgp is not installed")


def configure_router(cluster):
    """The kernel settings of the router."""
    cluster.router.install("router/zproxy.conf", "/etc/sysctl.d/zproxy.conf")
    cluster.router.run("sysctl", "-qp", "/etc/sysctl.d/zproxy.conf")


def start_router_bird(cluster):
    need_program("bird", "birdc")
    configure_router(cluster)
    cluster.router.install("router/bird.conf", "/etc/bird/bird.conf")
    cluster.router.run("bird", "-p", "-c", "/etc/bird/bird.conf")
    return cluster.router.start("bird", "-f", ready=lambda: birdc(cluster.router, "show status"))


def birdc(machine, command):
    """Returns the answer of BIRD, or ""."""
    done = machine.try_run("birdc", *command.split())
    return done.stdout if done.returncode == 0 else ""


def start_bird(node):
    """BIRD in a node, which restarts as its drop-in says."""
    need_program("bird", "birdc")
    node.install("bird/bird.conf", "/etc/bird/bird.conf", {FIRST: node.front})
    node.install("bird/zproxy-announce", "/usr/local/sbin/zproxy-announce")
    node.announcer = node.start("/usr/local/sbin/zproxy-announce")
    node.router_daemon = node.start("bird", "-f", "-R")


def start_exabgp(node):
    """ExaBGP in a node. exabgp_daemon_user: the unit runs it as exabgp, which is a member of zproxy's group."""
    need_exabgp()
    node.install("exabgp/exabgp.conf", "/etc/exabgp/exabgp.conf", {FIRST: node.front})
    node.run("ip", "address", "replace", SERVICE, "dev", "lo")
    node.router_daemon = node.start("/usr/sbin/exabgp", "/etc/exabgp/exabgp.conf",
                                    exabgp_daemon_user="root", exabgp_daemon_daemonize="false",
                                    exabgp_api_cli="false", PATH="/usr/sbin:/usr/bin:/sbin:/bin")


class Routes:
    """Follows the router's route to the service during a with statement. sets: the sets of nodes, by their
    numbers, that it had, each with the time; the same set twice in a row is one."""

    def __init__(self, cluster):
        self.cluster, self.sets, self.stopping = cluster, [], False

    def __enter__(self):
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.monitor = subprocess.Popen(
            [*self.cluster.router.command, "ip", "-o", "monitor", "route", "nexthop"],
            stdout=subprocess.PIPE, text=True)
        self.note()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.monitor.terminate()
        self.monitor.wait()
        self.thread.join()
        self.monitor.stdout.close()

    def _follow(self):
        for _ in self.monitor.stdout:
            with contextlib.suppress(Failure):
                self.note()

    def note(self):
        now = route(self.cluster)
        if not self.sets or self.sets[-1][1] != now:
            self.sets.append((time.monotonic(), now))

    def forget(self):
        """Begins the history with the present set."""
        self.sets = self.sets[-1:]

    def history(self):
        return [numbers for _, numbers in self.sets]

    def await_set(self, *numbers):
        """Waits until the route has exactly these nodes. Returns when that was seen first."""
        wait_for(lambda: self.sets[-1][1] == set(numbers), f"a route to {numbers}, not {self.sets}")
        return self.sets[-1][0]


def route(cluster):
    """Returns the numbers of the nodes in the router's route to the service."""
    text = cluster.router.run("ip", "route", "show", VIP)
    return {node.number for node in cluster.nodes if f"via {node.front} " in text}
