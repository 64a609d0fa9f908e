"""Several machines on one: zproxy nodes, a router, clients and servers, each in a network namespace, joined
as the examples of contrib/cluster describe. See tests/README.md, "Several machines".

    clients 10.64.0.0/16 --- router 198.51.100.1 --- nodes 198.51.100.11, .12, .13
                                                      nodes 192.0.2.11, .12, .13 --- servers 192.0.2.21, .22, .23

Addresses are the same in every run, since no two runs share a namespace."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

from .addresses import Address
from .machine import Network, need_mount_namespaces, need_root, run_program
from .program import TESTS, command
from .tap import DEADLINE, Failure, Skip, note, wait_for
from .web import Watched, need_http

TOP = os.path.normpath(os.path.join(os.environ.get("srcdir", TESTS), ".."))
EXAMPLES = os.path.join(TOP, "contrib", "cluster")
CROWD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowd.py")

ROUTER, FRONT = "198.51.100.1", "198.51.100.{}"
BACK, SERVERS = "192.0.2.{}", ("192.0.2.21", "192.0.2.22", "192.0.2.23")
CLIENTS, SOURCES = "10.64.255.254", "10.64.0.0/17"      # the other half is for clients of a test's own
VIP, PORT = "203.0.113.10", 443         # routed; announced by BGP or a route of the router
SHARED_VIP = "198.51.100.100"           # in the network of the nodes, for VRRP

# At the end of its input it kills all processes in the network namespaces whose numbers it has read, and
# removes the directory: nothing remains of a test that was killed. It keeps the namespaces open until then:
# the kernel would give the number of one that has ended to a namespace of another test.
GUARD = r"""
ours=-false
while read -r net file; do exec {open}<"$file"; ours="$ours -o -lname net:\[$net\]"; done
for round in 1 2 3 4 5; do
    found=$(find /proc/[0-9]*/ns/net -maxdepth 0 \( $ours \) -printf '%h\n' | cut -d / -f 3)
    [ "$found" ] || break
    kill -KILL $found
done
rm -rf -- "$1"
"""

# A node sees /etc and the directories of programs through an overlay, and has a /run of its own. It is
# there while this shell waits for the end of its input.
VIEW = """
set -e
d=$1; shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$d"
for path in etc usr/sbin usr/local; do
    mkdir -p "$d/$path" "$d/.work/$path"
    mount -t overlay -o "lowerdir=/$path,upperdir=$d/$path,workdir=$d/.work/$path" overlay "/$path"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/zproxy /run/bird /run/exabgp /run/lock
cp "$1/zproxyctl" /usr/sbin; ln -sf "$1/zproxy" /usr/sbin
echo ready
read -r _
"""


def example(name):
    """Returns the text of a file of contrib/cluster."""
    with open(os.path.join(EXAMPLES, name)) as f:
        return f.read()


class Machine(Network):
    """A machine of the cluster: a network namespace, files of its own in /etc, /run and /usr/sbin, and the
    daemons started in it. command: runs a program inside."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.directory = f"{cluster.directory}/{name}"
        self.daemons = []
        self.holder = None

    def __enter__(self):
        super().__enter__()
        os.mkdir(self.directory)
        self.cluster.guard.watch(self)
        programs = os.path.dirname(command()[-1])
        self.holder = subprocess.Popen(
            [*self.command, "unshare", "--mount", "sh", "-c", VIEW, "sh", self.directory, programs],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"ready\n":
            raise Skip(f"a machine cannot have files of its own here: {self.holder.communicate()[1].decode().strip()}")
        self.command = [*self.command, f"--mount=/proc/{self.holder.pid}/ns/mnt", "--"]
        # a machine that is frozen or cut off keeps what the kernel knows of its neighbours for seconds
        self.sysctl("net.ipv4.ip_forward", 0)
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.stop()
        if self.holder:
            self.holder.communicate()
        super().__exit__()

    def sysctl(self, name, value):
        self.run("sysctl", "-qw", f"{name}={value}")

    # -- files --

    def path(self, inside):
        """The path, outside of the machine, of a file inside."""
        return f"/proc/{self.holder.pid}/root{inside}"

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    def read(self, inside):
        with open(self.path(inside)) as f:
            return f.read()

    def install(self, name, inside, replace=()):
        """Puts a file of contrib/cluster in place, with pairs of texts replaced, each of which must be in the
        file."""
        text = example(name)
        for before, after in dict(replace).items():
            if before not in text:
                raise Failure(f"{name} does not contain {before}")
            text = text.replace(before, after)
        mode = 0o755 if os.access(os.path.join(EXAMPLES, name), os.X_OK) else 0o644
        self.write(inside, text, mode)

    # -- processes --

    def try_run(self, *words, **options):
        """Runs a program inside to its end. Returns the finished process, whatever its exit status."""
        return run_program(*self.command, *words, check=False, **options)

    def start(self, *words, ready=None, **environment):
        """Starts a daemon, which is ended before the machine. ready: a function that says when it is up."""
        daemon = Daemon(self, words, environment)
        self.daemons.append(daemon)
        if ready:
            wait_for(ready, f"{words[0]} on {self.name}", daemon.check_alive)
        return daemon

    def pids(self):
        """The processes inside, but for the shell that keeps the machine's files."""
        mine = os.fstat(self.fd).st_ino
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/net").st_ino == mine and pid != self.holder.pid:
                    found.append(pid)
        return found

    def signal_all(self, number):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # -- faults --

    def freeze(self):
        """Stops all processes; the kernel goes on answering."""
        self.signal_all(signal.SIGSTOP)

    def thaw(self):
        self.signal_all(signal.SIGCONT)

    def cut(self, interface="eth0"):
        """Takes an interface down, as a power cut does: the other end of the cable loses its carrier."""
        self.run("ip", "link", "set", interface, "down")

    def mend(self, interface="eth0"):
        self.run("ip", "link", "set", interface, "up")
        if interface == "eth0":
            self.run("ip", "route", "replace", "default", "via", ROUTER)


class Daemon:
    """A program that runs in a machine. log: a file with what it prints."""

    def __init__(self, machine, words, environment):
        self.name, self.machine = words[0], machine
        self.log = f"{machine.cluster.directory}/{machine.name}-{os.path.basename(words[0])}-" \
                   f"{len(machine.daemons)}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*machine.command, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **environment})
        self.pid = self.process.pid

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} has ended with {self.process.returncode}:\n{self.said()[-4000:]}")

    def stop(self, number=signal.SIGTERM):
        """Ends it by a signal, also if it is frozen; after some seconds it is killed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Guard:
    """A process outside of the test's session that cleans up when the test has ended, however it did."""

    def __init__(self, directory):
        self.process = subprocess.Popen(["bash", "-c", GUARD, "bash", directory], stdin=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, start_new_session=True)

    def watch(self, network):
        self.process.stdin.write(b"%d /proc/%d/fd/%d\n" % (os.fstat(network.fd).st_ino, os.getpid(), network.fd))
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE)


class Node(Machine):
    """A machine with a zproxy. number: from 1; front, back: its addresses towards the router and the
    servers."""

    def __init__(self, cluster, number):
        super().__init__(cluster, f"node{number}")
        self.number = number
        self.front, self.back = FRONT.format(10 + number), BACK.format(10 + number)
        self.zproxy = None

    def run_zproxy(self, config=None, **settings):
        """Starts zproxy with the configuration of contrib/cluster, or another; settings: keys of [global].
        Returns it; it runs to the end of the cluster."""
        self.zproxy = self.cluster.enter(NodeZproxy(self, config or example("zproxy.ini"), settings))
        return self.zproxy

    def ctl(self, *words):
        """Runs zproxyctl inside. Returns what it printed."""
        return self.run("zproxyctl", *words)

    def health(self):
        return self.try_run("zproxyctl", "health").returncode == 0


class NodeZproxy(Watched):
    """zproxy in a node, with a configuration that is complete but for the log files."""

    def __init__(self, node, text, settings):
        need_http()
        self.node = node
        self.text = text.replace(FRONT.format(11), node.front)
        self.chosen = dict(settings)        # they replace those of the text
        super().__init__(bind=Address((VIP, PORT)), sections="-", wrap=node.command, settings=settings)
        self.http = Address((node.front, 9273))

    def write(self, sections=None, **settings):
        """sections: the whole text of another configuration; settings: keys of [global]."""
        self.text = self.text if sections is None else sections
        self.chosen.update(settings)
        keys = {**self.settings, **self.chosen}
        first, _, rest = self.text.partition("[global]\n")
        ours, bracket, others = rest.partition("\n[")
        for key, value in keys.items():
            there = re.search(rf"^{key} *=.*$", ours, re.MULTILINE)
            if there and key in self.chosen:
                ours = ours.replace(there[0], "")
            if value is not None and (key in self.chosen or not there):
                ours = f"{key} = {value}\n{ours}"
        self.config = f"{first}[global]\n{ours}{bracket}{others}"
        with open(self.path("zproxy.ini.new"), "w") as f:
            f.write(self.config)
        os.rename(self.path("zproxy.ini.new"), self.path("zproxy.ini"))
        self.node.write("/etc/zproxy.ini", self.config)

    def _start(self):
        super()._start()
        self.socket = self.node.path("/run/zproxy/zproxy.sock")

    def stop(self, number=signal.SIGTERM):
        """Ends it at once: the second signal ends shutdown_delay, the third resets the sessions."""
        self.check_alive()
        for _ in range(3):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)
                break
        self.wait_end()

    def leave(self):
        """The first signal only: health fails, and clients are accepted for shutdown_delay."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Ends it by SIGKILL, as the kernel does when memory is exhausted."""
        self.process.kill()
        self.process.wait()
        self.status = -signal.SIGKILL

    def start_again(self):
        """Starts it again, with new logs."""
        self._end_successors()
        self.status = None
        self.notify.close()
        os.unlink(self.path("notify"))
        for log in (self.log.path, self.access.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(log)
        self._start()

    def get(self, path):
        return self.node.call(super().get, path)


class Process:
    """crowd.py in a network."""

    def __init__(self, network, *words):
        self.process = subprocess.Popen([*network.command, sys.executable, CROWD, *words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lock = threading.Lock()
        if self.process.stdout.readline() != b"ready\n":
            raise Failure(f"crowd.py {words} does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(DEADLINE)
        self.process.stdout.close()

    def tell(self, do, **more):
        with self.lock:
            self.process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())


class Report(dict):
    """What a crowd has seen so far; the keys are attributes, and so are sums.

    connected       clients that were connected (SYN and its answer)
    served          clients whose bytes were echoed
    slow            connected, but after 0.9 s: a SYN was lost
    failed          {reason: clients that could not connect}; failures: the sum
    broken          {reason: clients that were connected, and not served}; breaks: the sum
    by_node         {address of a node towards the servers: clients served through it}
    moved           client addresses that came through more than one node; addresses: all of them
    kept            {node: sessions that stay}; kept_all: the sum
    kept_broken     {reason: sessions that should have stayed}; kept_breaks: the sum
    last_wrong      when the last client that was not served began, time.monotonic(); last_slow, last_served: the last
                    one that was slow, or served"""

    __getattr__ = dict.__getitem__
    failures = property(lambda self: sum(self["failed"].values()))
    breaks = property(lambda self: sum(self["broken"].values()))
    kept_all = property(lambda self: sum(self["kept"].values()))
    kept_breaks = property(lambda self: sum(self["kept_broken"].values()))


class Crowd(Process):
    """Clients in a process of their own, during a with statement. to: an Address; rate: new clients per
    second; kept: sessions that stay and exchange a few bytes each second; source: a network, each client
    has a random address of it; patience: seconds until an exchange counts as failed."""

    def __init__(self, network, to, **options):
        self.options = options
        super().__init__(network, "clients", json.dumps({"to": to.where, **options}))

    def report(self):
        return Report(self.tell("report"))

    def clear(self):
        """Forgets what was counted."""
        return Report(self.tell("clear"))

    def set_rate(self, rate):
        return Report(self.tell("rate", rate=rate))

    def keep(self, count):
        """Opens more sessions that stay, and waits until they are there."""
        target = self.report().kept_all + count
        self.tell("kept", count=count)
        wait_for(lambda: self.report().kept_all >= target, f"{target} sessions that stay")

    def await_served(self, count=100, nodes=0):
        """Waits until count more clients have been served, by at least so many nodes."""
        def done():
            now = self.report()
            fresh = {node: number - before.by_node.get(node, 0) for node, number in now.by_node.items()}
            return sum(fresh.values()) >= count and sum(number > 0 for number in fresh.values()) >= nodes
        before = self.report()
        wait_for(done, f"{count} clients to be served by {nodes or 'any'} nodes")

    def settle(self):
        """No new clients; waits for those that are there. Returns the report."""
        self.set_rate(0)
        wait_for(lambda: self.report().open == 0, "the clients to end")
        return self.report()


class Cluster:
    """Nodes, a router, clients and servers, during a with statement. nodes: how many. links: the router has
    a cable to each node, and loses the carrier when the node is cut off; otherwise they share a switch,
    through which a cut is not seen.

    router, clients, servers    machines; nodes: a list of Node, number 1 first"""

    def __init__(self, nodes=3, links=True):
        need_root()
        need_mount_namespaces()
        need_http()
        self.count, self.links = nodes, links

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.directory = tempfile.mkdtemp(prefix="zproxy-cluster-")
            os.chmod(self.directory, 0o755)
            self.guard = Guard(self.directory)
            stack.callback(self.guard.end)
            stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
            tempfile.tempdir = self.directory       # for all of the test: the guard removes it
            self.stack = stack
            self.router, self.clients, self.servers = map(self.machine, ("router", "clients", "servers"))
            self.nodes = [self.enter(Node(self, number + 1)) for number in range(self.count)]
            self._join()
            self.enter(Process(self.servers, "servers", *(f"{address}:7000" for address in SERVERS)))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._describe()
        self.stack.__exit__(kind, *_)

    def enter(self, context):
        """Enters a context that is left before the machines are."""
        return self.stack.enter_context(context)

    def machine(self, name, address=None):
        """Another machine; with an address 192.0.2.N, in the network of the servers."""
        machine = self.enter(Machine(self, name))
        if address:
            self._plug(machine, "eth0", address, self.servers)
        return machine

    def _describe(self):
        """Writes the ends of the daemons' logs into the report."""
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(".log"):
                with open(f"{self.directory}/{name}", errors="replace") as f:
                    lines = f.read().splitlines()
                note(f"--- {name}\n" + "\n".join(lines[-30:]))

    def _plug(self, machine, interface, address, switch):
        """Connects a machine to the bridge of another."""
        port = f"p-{machine.name}"[:15]
        machine.join(switch, (interface, f"{address}/24"), (port, "127.0.0.1/32"))
        switch.run("ip", "address", "flush", "dev", port)
        switch.run("ip", "link", "set", port, "master", "br0")

    @staticmethod
    def _bridge(machine, *addresses):
        machine.run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        for address in addresses:
            machine.run("ip", "address", "add", f"{address}/24", "dev", "br0")
        machine.run("ip", "link", "set", "br0", "up")

    def _join(self):
        router = self.router
        self._bridge(self.servers, *SERVERS)
        router.sysctl("net.ipv4.ip_forward", 1)
        self.clients.join(router, ("eth0", f"{CLIENTS}/16"), ("clients", "10.64.255.253/16"))
        self.clients.run("ip", "route", "add", "default", "via", "10.64.255.253")
        self.clients.run("ip", "route", "add", "local", "10.64.0.0/17", "dev", "lo")
        router.run("ip", "route", "add", "10.64.0.0/17", "via", CLIENTS)
        if not self.links:
            self._bridge(router, ROUTER)
        for node in self.nodes:
            self._plug(node, "eth1", node.back, self.servers)
            if self.links:
                node.join(router, ("eth0", f"{node.front}/24"), (node.name, "127.0.0.1/32"))
                router.run("ip", "address", "flush", "dev", node.name)
                router.run("ip", "address", "add", ROUTER, "peer", f"{node.front}/32", "dev", node.name)
            else:
                self._plug(node, "eth0", node.front, router)
            node.run("ip", "route", "add", "default", "via", ROUTER)

    def run_zproxies(self, config=None, **settings):
        """Starts zproxy in all nodes, and waits until they are healthy."""
        for node in self.nodes:
            node.run_zproxy(config, **settings)
        for node in self.nodes:
            wait_for(node.health, f"{node.name} to be healthy")

    def crowd(self, to=None, **options):
        """Clients of the service, from many addresses; see Crowd."""
        return Crowd(self.clients, to or Address((VIP, PORT)), **{"source": SOURCES, **options})
