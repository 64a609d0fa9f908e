"""What the bench needs of the machine: programs, cores, a network of its own, processor time."""

import ctypes
import fcntl
import glob
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

INSIDE = "ZPROXY_BENCH_INSIDE"
PACKAGES = {
    "haproxy": "haproxy", "nginx": "nginx-light", "nginx-stream": "libnginx-mod-stream",
    "ip": "iproute2", "unshare": "util-linux", "strace": "strace", "gnuplot": "gnuplot-nox",
    "redis-server": "redis-server", "redis-benchmark": "redis-tools", "postgres": "postgresql",
    "pgbench": "postgresql", "wrk": "wrk", "openssl": "openssl",
}
MTU_LINKS = {   # joined by cables of MTU 1500: the proxy here, clients there, servers yonder
    "proxy-clients": ("10.77.1.1", "10.77.1.2"),
    "proxy-servers": ("10.77.2.1", "10.77.2.2"),
    "clients-servers": ("10.77.3.1", "10.77.3.2"),
}


class Failure(Exception):
    """Something that ends the bench, said in one line."""


def program(name):
    """Path of a program, or None. Debian keeps some out of PATH."""
    where = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if where is None and name in ("postgres", "initdb", "pgbench"):
        where = max(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None)
    return where


def peer(name):
    """The command that runs a peer: of this machine, or of the tree in BENCH_TREE with the
    libraries that are there. None: it is missing."""
    tree = os.environ.get("BENCH_TREE")
    if not tree:
        return [program(name)] if program(name) else None
    path = os.path.join(tree, "usr/sbin", name)
    loader = [path for lib in ("lib64", "lib")
              for path in glob.glob(os.path.join(tree, lib, "ld-linux-*"))]
    libraries = glob.glob(os.path.join(tree, "usr/lib/*-linux-gnu*"))
    if not (loader and libraries and os.path.exists(path)):
        return None
    return [loader[0], "--library-path", ":".join(libraries), path]


def nginx_stream_module():
    """The line that nginx needs to speak TCP, "" where that is built in, None where it is not."""
    nginx = peer("nginx")
    if nginx is None:
        return None
    flags = subprocess.run(nginx + ["-V"], capture_output=True, text=True).stderr
    if re.search(r"--with-stream(\s|$)", flags):
        return ""
    found = re.search(r"--modules-path=(\S+)", flags)
    if not found:
        return None
    path = os.environ.get("BENCH_TREE", "") + found.group(1) + "/ngx_stream_module.so"
    return f"load_module {path};" if os.path.exists(path) else None


def missing(names):
    """Of these programs, those that are not there, each as "name (Debian: package)"."""
    gone = []
    for name in names:
        there = (nginx_stream_module() is not None if name == "nginx-stream"
                 else peer(name) if name in ("haproxy", "nginx") else program(name))
        if not there:
            gone.append(f"{name} (Debian: {PACKAGES[name]})")
    return gone


def enter(script):
    """Starts the bench again in network and process namespaces of its own: every port is free,
    settings of the network are its own, and whatever it started ends with it. Returns a note
    when the machine does not allow that, and the bench does without."""
    if INSIDE in os.environ:
        return os.environ[INSIDE] or None
    note = "unshare is missing (Debian: util-linux)"
    if program("unshare"):
        apart = ["unshare", "--net", "--pid", "--fork", "--kill-child=TERM", "--mount-proc"]
        for user in ([], ["--user", "--map-current-user", "--keep-caps"]):
            words = apart + user
            if subprocess.run(words + ["true"], capture_output=True).returncode == 0:
                sys.exit(run_inside(words + [sys.executable, script] + sys.argv[1:]))
        note = "namespaces are not allowed here: ports and settings are shared with the machine"
    os.environ[INSIDE] = note
    return note


def run_inside(words):
    """Waits for the bench in its namespaces. unshare holds back signals from what it started,
    save for the one of its own death."""
    inner = subprocess.Popen(words, env={**os.environ, INSIDE: ""}, preexec_fn=die_with_parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the whole group has it
    signal.signal(signal.SIGTERM, lambda *_: inner.kill())
    status = inner.wait()
    return status if status >= 0 else 128 - status


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)          # PR_SET_PDEATHSIG


def isolated():
    return os.environ.get(INSIDE) == ""


def tune(congestion):
    """Settings of the bench's own network, never of the machine's. Takes the first congestion
    control that is allowed in a namespace."""
    if not isolated():
        return
    subprocess.run([program("ip"), "link", "set", "lo", "up"], check=True)
    error = None
    for name in congestion:
        try:
            with open("/proc/sys/net/ipv4/tcp_congestion_control", "w") as f:
                f.write(name)
            return
        except OSError as e:
            error = e
    raise Failure(f"congestion control {name}: {error.strerror}")


def describe():
    def read(path):
        try:
            with open(path) as f:
                return f.read()
        except OSError:
            return ""
    model = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    return {
        "kernel": platform.release(),
        "processor": model.group(1) if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control").strip(),
        "own_namespace": isolated(),
    }


class Urgent:
    """While it lasts, everything of this session comes before the rest of the machine. Where the
    kernel groups processes by session, niceness counts between the groups."""
    GROUP = "/proc/self/autogroup"

    def __enter__(self):
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            self.write_group("-20")
        except PermissionError:
            raise Failure("--urgent is root's")
        return self

    def __exit__(self, *_):
        self.write_group("0")

    def write_group(self, text):
        if os.path.exists(self.GROUP):
            with open(self.GROUP, "w") as f:
                f.write(text)


def pin(cores):
    """For Popen's preexec_fn."""
    return lambda: os.sched_setaffinity(0, cores)


class Mtu1500:
    """Three namespaces joined by cables of MTU 1500 without offloads: packets of the size that
    a real network has. They go when their holders end."""

    def __init__(self):
        self.holders = []
        for _ in range(2):
            p = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
            self.holders.append(p)
            while os.readlink(f"/proc/{p.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                if p.poll() is not None:
                    raise Failure("unshare --net failed")
                time.sleep(0.001)
        clients, servers = (str(p.pid) for p in self.holders)
        self.clients_ns, self.servers_ns = f"/proc/{clients}/ns/net", f"/proc/{servers}/ns/net"
        self.cable("proxy-clients", None, clients)
        self.cable("proxy-servers", None, servers)
        self.cable("clients-servers", clients, servers)

    def cable(self, name, left, right):
        ends = [("".join(w[0] for w in name.split("-")) + str(i)) for i in (0, 1)]
        self.ip(None, "link", "add", ends[0], "mtu", "1500", "type", "veth", "peer", "name",
                ends[1], "mtu", "1500")
        for end, holder, address in zip(ends, (left, right), MTU_LINKS[name]):
            offloads_off(end)
            if holder:
                self.ip(None, "link", "set", end, "netns", holder)
            self.ip(holder, "address", "add", address + "/24", "dev", end)
            self.ip(holder, "link", "set", end, "up")

    @staticmethod
    def ip(holder, *words):
        enter_it = ["nsenter", "-t", holder, "-n"] if holder else []
        subprocess.run(enter_it + [program("ip")] + list(words), check=True)

    def close(self):
        for name in ("pc0", "ps0"):
            subprocess.run([program("ip"), "link", "del", name], capture_output=True)
        for p in self.holders:
            p.kill()
            p.wait()


def offloads_off(interface):
    """ethtool -K INTERFACE tso off gso off gro off, without ethtool."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for command in (0x1f, 0x24, 0x2c):      # ETHTOOL_STSO, _SGSO, _SGRO
            value = bytearray(struct.pack("II", command, 0))
            address = struct.pack("16sP", interface.encode(), buffer_address(value))
            fcntl.ioctl(s, 0x8946, address)     # SIOCETHTOOL


def buffer_address(data):
    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


def process_tree(pid):
    """A process and its children: nginx works in one, HAProxy may."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parents[int(entry)] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    tree = [pid]
    for p in tree:
        tree += [child for child, parent in parents.items() if parent == p]
    return tree


def cpu_seconds(pids):
    """Processor time of all threads of these processes, to the nanosecond."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | 2)    # clock_getcpuclockid(3)
        except OSError:
            pass
    return total


def core_idle(core):
    """Seconds this core was idle, or taken away by the hypervisor, in steps of 10 ms."""
    with open("/proc/stat") as f:
        for line in f:
            word = line.split()
            if word[0] == f"cpu{core}":
                ticks = int(word[4]) + int(word[5]) + int(word[8])
                return ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def busy_share(core, seconds=1.0):
    """How busy a core is that has nothing to do for us."""
    start, idle = time.monotonic(), core_idle(core)
    time.sleep(seconds)
    return max(0.0, 1 - (core_idle(core) - idle) / (time.monotonic() - start))


def listening_ports():
    ports = set()
    with open("/proc/net/tcp") as f:
        next(f)
        for line in f:
            word = line.split(None, 4)
            if word[3] != "0A":     # listening sockets come first
                break
            ports.add(int(word[1].rpartition(":")[2], 16))
    return ports


def memory(pids):
    """Bytes of user space that are these processes' alone."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += 1024 * int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1))
    return total


def slab():
    """Bytes of kernel objects, of the whole machine: sockets and what hangs on them."""
    with open("/proc/meminfo") as f:
        return 1024 * int(re.search(r"Slab:\s+(\d+)", f.read()).group(1))


def descriptors(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def watched(pids):
    """Descriptors in each epoll set of these processes: how sessions are spread over workers."""
    sets = []
    for pid in pids:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if "eventpoll" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                    with open(f"/proc/{pid}/fdinfo/{fd}") as f:
                        sets.append(f.read().count("tfd:"))
            except OSError:
                pass
    return sorted(sets, reverse=True)
