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


def start_bird(node, replace=()):
    """BIRD in a node, which restarts as its drop-in says."""
    need_program("bird", "birdc")
    node.install("bird/bird.conf", "/etc/bird/bird.conf", {FIRST: node.front, **dict(replace)})
    node.install("bird/zproxy-announce", "/usr/local/sbin/zproxy-announce")
    node.announcer = node.start("/usr/local/sbin/zproxy-announce")
    node.router_daemon = node.start("bird", "-f", "-R")


def start_exabgp(node):
    """ExaBGP in a node, as its unit and the drop-in say: the user exabgp, who is a member of the group that zproxy
    has here, root."""
    need_exabgp()
    need_program("setpriv")
    node.install("exabgp/exabgp.conf", "/etc/exabgp/exabgp.conf", {FIRST: node.front})
    node.run("ip", "address", "replace", SERVICE, "dev", "lo")
    node.router_daemon = node.start(
        "setpriv", "--reuid=exabgp", "--regid=exabgp", "--groups=root", "--",
        "/usr/sbin/exabgp", "/etc/exabgp/exabgp.conf", exabgp_daemon_daemonize="false",
        exabgp_api_cli="false", PATH="/usr/sbin:/usr/bin:/sbin:/bin")


def start_keepalived(node):
    """keepalived in a node."""
    need_program("keepalived")
    node.install("keepalived/vrrp.conf", "/etc/keepalived/keepalived.conf")
    node.run("keepalived", "--config-test", "-f", "/etc/keepalived/keepalived.conf")
    node.router_daemon = node.start("keepalived", "--dont-fork", "--log-console")


def has_service(node):
    """Whether the address of the service is on the node's interface to the router."""
    return f" {VIP}/32 " in node.run("ip", "-o", "address", "show", "dev", "eth0")


def await_holder(cluster, *candidates):
    """Waits until exactly one node has the address, one of these numbers if any are given. Returns it."""
    def holder():
        found = [node for node in cluster.nodes if has_service(node)]
        return found[0] if len(found) == 1 and found[0].number in (candidates or {1, 2, 3}) else None
    return wait_for(holder, f"one of {candidates or 'all'} to have the address")


def start_watch(cluster, program, example, **environment):
    """zproxy-watch on the router, with a program of contrib/cluster that it runs."""
    need_program("curl")
    configure_router(cluster)
    for node in cluster.nodes:
        node.run("ip", "address", "replace", SERVICE, "dev", "lo")
    cluster.router.install("zproxy-watch", "/usr/local/sbin/zproxy-watch")
    cluster.router.install(example, f"/usr/local/sbin/{program}")
    return cluster.router.start("/usr/local/sbin/zproxy-watch", f"/usr/local/sbin/{program}", **environment)


def start_nexthops(cluster):
    """A resilient group of next hops on the router."""
    probe = cluster.router.try_run("sh", "-c", "ip nexthop add id 1 blackhole && ip nexthop del id 1")
    need(probe.returncode == 0, f"no next-hop objects here: {probe.stderr.strip()}")
    start_watch(cluster, "set-nexthops", "router/set-nexthops")


def start_director(cluster):
    """The nft director on the router."""
    need_program("nft")
    start_watch(cluster, "set-director", "nft/set-director")


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
    text = cluster.router.try_run("ip", "route", "show", VIP).stdout
    return {node.number for node in cluster.nodes if f"via {node.front} " in text}
