"""Who is compared: zproxy in one or several builds, the peers, and no proxy at all."""

import os
import signal
import socket
import subprocess
import tempfile
import time

import host
from host import Failure

SERVER_PORT = 10000     # and up
LISTEN_PORT = 20000     # and up, 1000 for each target: below the ports of outgoing connections
START_TIMEOUT = 15


class Layout:
    """How a proxy is set up: its listeners, the servers behind it, its workers."""

    def __init__(self, cores, listeners=1, servers=16, workers=1, network=None, bulk=False,
                 buffer_size=65536, certificate=None):
        self.cores, self.workers = cores, workers
        self.listeners, self.servers = listeners, servers
        self.server_port = SERVER_PORT
        self.bulk = bulk            # long streams are all there is
        self.buffer_size = buffer_size      # of the tuned peers, where payload passes a buffer
        self.certificate = certificate      # file of a certificate and its key: TLS ends at the proxy
        self.network = network      # a Mtu1500, or None for loopback
        links = host.MTU_LINKS
        self.listen_host = links["proxy-clients"][0] if network else "127.0.0.1"
        self.server_host = links["proxy-servers"][1] if network else "127.0.2.1"
        self.direct_host = links["clients-servers"][1] if network else self.server_host

    def server_addresses(self):
        return [f"{self.server_host}:{self.server_port + i}" for i in range(self.servers)]


class Target:
    """One column of the comparison. Subclasses say how it is configured and started."""
    proxy = True
    relays = True

    def __init__(self, name, base_port):
        self.name, self.base_port = name, base_port
        self.process, self.pids, self.layout = None, [], None

    def listen_addresses(self, layout):
        return [f"{layout.listen_host}:{self.base_port + i}" for i in range(layout.listeners)]

    def client_address(self):
        """What the load calls, in its own notation."""
        return f"{self.layout.listen_host}:{self.base_port}+{self.layout.listeners}"

    def server_address(self):
        return f"{self.layout.server_host}:{self.layout.server_port}+{self.layout.servers}"

    def write(self, directory, suffix, text):
        path = os.path.join(directory, f"{self.name}.{suffix}")
        with open(path, "w") as f:
            f.write(text)
        return path

    def start(self, layout, wait=True):
        self.layout = layout
        self.directory = tempfile.mkdtemp(prefix=self.name + "-")
        command = self.command(self.configure(layout))
        self.log = os.path.join(self.directory, "output")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory,
                preexec_fn=host.pin(layout.cores))
        self.pids = [self.process.pid]
        if wait:
            self.await_ready()

    def await_ready(self):
        wanted = set(range(self.base_port, self.base_port + self.layout.listeners))
        give_up = time.monotonic() + START_TIMEOUT
        while not wanted <= host.listening_ports():
            self.check()
            if time.monotonic() > give_up:
                raise Failure(f"{self.name} does not listen after {START_TIMEOUT} s")
            time.sleep(0.002)
        self.await_workers(give_up)
        self.pids = host.process_tree(self.process.pid)

    def await_workers(self, give_up):
        pass

    def check(self):
        """Raises when the process has ended."""
        if self.process.poll() is not None:
            with open(self.log, errors="replace") as f:
                said = f.read().strip().splitlines()
            raise Failure(f"{self.name} ended with status {self.process.returncode}: "
                          + (said[-1] if said else "and said nothing"))

    def stop(self):
        if self.process is None:
            return
        for sig, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
            for pid in host.process_tree(self.process.pid):
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                pass
        self.process, self.pids = None, []

    def time_check(self, layout):
        """Seconds that the check of a configuration file takes."""
        self.directory = tempfile.mkdtemp(prefix=self.name + "-")
        command = self.check_command(self.configure(layout))
        start = time.monotonic()
        r = subprocess.run(command, capture_output=True, text=True, cwd=self.directory,
                           preexec_fn=host.pin(layout.cores))
        took = time.monotonic() - start
        if r.returncode != 0:
            raise Failure(f"{self.name}: {(r.stderr or r.stdout).strip().splitlines()[-1]}")
        return took


class Zproxy(Target):
    def __init__(self, name, base_port, path, keys):
        super().__init__(name, base_port)
        self.path, self.keys = path, keys

    def version(self):
        r = subprocess.run([self.path, "-v"], capture_output=True, text=True)
        return (r.stdout or r.stderr).strip().split("\n")[0]

    def configure(self, layout):
        keys = {"workers": layout.workers, "relay": "splice", "log": "stderr",
                "log_level": "warning", "access_log": "off", **self.keys}
        text = "[global]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())
        for i, address in enumerate(self.listen_addresses(layout)):
            text += f"[listen l{i}]\nbind = {address}\npool = p\n"
            if layout.certificate:
                text += f"tls = yes\ntls_certificate = {layout.certificate}\ntls_groups = X25519\n"
        text += "[pool p]\n"
        text += "".join(f"server = {a}\n" for a in layout.server_addresses())
        return self.write(self.directory, "ini", text)

    def command(self, path):
        return [self.path, "-c", path]

    def check_command(self, path):
        return [self.path, "-t", "-c", path]

    def start(self, layout, wait=True):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"\0zproxy-bench-{os.getpid()}-{self.name}-{time.monotonic_ns()}")
        os.environ["NOTIFY_SOCKET"] = "@" + self.notify.getsockname()[1:].decode()
        try:
            super().start(layout, wait)
        finally:
            del os.environ["NOTIFY_SOCKET"]

    def await_workers(self, give_up):
        self.notify.settimeout(0.05)
        while True:
            try:
                if b"READY=1" in self.notify.recv(4096):
                    return
            except socket.timeout:
                self.check()
                if time.monotonic() > give_up:
                    raise Failure(f"{self.name} never said that it is ready")

    def stop(self):
        if self.process is not None:
            self.notify.close()
        super().stop()


class Peer(Target):
    """Another proxy: as its experts set it up, or with the settings that it is shipped with."""
    SHIPPED_BUFFER = 16384

    def __init__(self, name, base_port, tuned):
        super().__init__(name, base_port)
        self.tuned = tuned

    def buffer_size(self, layout):
        return layout.buffer_size if self.tuned else self.SHIPPED_BUFFER


class Haproxy(Peer):
    PIPE_SIZE = 512 * 1024      # as zproxy's pipe_size

    def __init__(self, name, base_port, tuned, splice):
        super().__init__(name, base_port, tuned)
        self.splice = splice

    def version(self):
        r = subprocess.run(host.peer("haproxy") + ["-v"], capture_output=True, text=True)
        return " ".join(r.stdout.split()[:3])

    def configure(self, layout):
        # splice-auto takes some bulk streams for none; those who set up bulk would not leave it so
        bulk = "option splice-request\n    option splice-response"
        splice = "" if not self.splice else bulk if layout.bulk else "option splice-auto"
        pipes = f"tune.pipesize {self.PIPE_SIZE}" if self.splice and self.tuned else ""
        # payload that is spliced does not pass a buffer
        buffer = self.SHIPPED_BUFFER if self.splice else self.buffer_size(layout)
        shards = " shards by-thread" if self.tuned and layout.workers > 1 else ""
        tls = f" ssl crt {layout.certificate} curves X25519" if layout.certificate else ""
        # what 20,000 descriptors allow: two for a session, one for a listener, two for a pipe
        connections = 9600 - layout.listeners // 2
        text = f"""\
global
    nbthread {layout.workers}
    maxconn {connections}
    maxpipes 128
    tune.bufsize {buffer}
    {pipes}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    maxconn {connections}
    backlog 4096
    {splice}
"""
        for i, address in enumerate(self.listen_addresses(layout)):
            text += f"frontend f{i}\n    bind {address}{shards}{tls}\n    default_backend b\n"
        text += "backend b\n    balance roundrobin\n"
        for i, address in enumerate(layout.server_addresses()):
            text += f"    server s{i} {address}\n"
        return self.write(self.directory, "cfg", text)

    def command(self, path):
        return host.peer("haproxy") + ["-db", "-f", path]

    def check_command(self, path):
        return host.peer("haproxy") + ["-c", "-f", path]


class Nginx(Peer):
    def version(self):
        r = subprocess.run(host.peer("nginx") + ["-v"], capture_output=True, text=True)
        return r.stderr.strip().rpartition(": ")[2]

    def configure(self, layout):
        reuse = " reuseport" if self.tuned and layout.workers > 1 else ""
        tls = ""
        if layout.certificate:
            tls = (f"ssl_certificate {layout.certificate}; ssl_certificate_key {layout.certificate}; "
                   "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519;")
        user = "user root;" if os.geteuid() == 0 else ""
        text = f"""\
{host.nginx_stream_module()}
{user}
daemon off;
worker_processes {layout.workers};
worker_rlimit_nofile 20000;
pid {self.directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 20000; }}
stream {{
    access_log off;
    tcp_nodelay on;
    proxy_buffer_size {self.buffer_size(layout)};
    proxy_connect_timeout 5s;
    proxy_timeout 1h;
    upstream u {{
"""
        for address in layout.server_addresses():
            text += f"        server {address} max_fails=0;\n"
        text += "    }\n"
        for address in self.listen_addresses(layout):
            text += (f"    server {{ listen {address} backlog=4096{reuse}{' ssl' if tls else ''}; "
                     f"{tls} proxy_pass u; }}\n")
        text += "}\n"
        return self.write(self.directory, "conf", text)

    def command(self, path):
        return host.peer("nginx") + ["-p", self.directory, "-e", "stderr", "-c", path]

    def check_command(self, path):
        return self.command(path) + ["-t"]

    def await_workers(self, give_up):
        """The master listens before the workers are there."""
        while len(host.process_tree(self.process.pid)) < 1 + self.layout.workers:
            self.check()
            if time.monotonic() > give_up:
                raise Failure("nginx has no workers")
            time.sleep(0.002)


class Direct(Target):
    """No proxy: what the load itself can do."""
    proxy = False

    def version(self):
        return "no proxy"

    def start(self, layout, wait=True):
        self.layout = layout

    def check(self):
        pass

    def client_address(self):
        return self.server_address()

    def server_address(self):
        return f"{self.layout.direct_host}:{self.layout.server_port}+{self.layout.servers}"


def zproxy_builds(words, default):
    """--zproxy [LABEL=]PATH[,KEY=VALUE...] as (label, path, keys)."""
    builds = []
    for word in words or [default]:
        path, *pairs = word.split(",")
        label, _, rest = path.rpartition("=")
        keys = dict(pair.split("=", 1) for pair in pairs)
        builds.append((label or "zproxy", os.path.abspath(rest), keys))
    if len({label for label, _, _ in builds}) != len(builds):
        raise Failure("every --zproxy needs a label of its own: --zproxy new=PATH "
                      "--zproxy old=PATH")
    return builds


def targets(builds, against):
    """All that are to be compared, the one that the others are measured by first. What cannot be
    is left out, with a note."""
    chosen, notes = [], []

    def port():
        return LISTEN_PORT + 1000 * len(chosen)

    for label, path, keys in builds:
        if os.access(path, os.X_OK):
            chosen.append(Zproxy(label, port(), path, keys))
        else:
            notes.append(f"{label}: there is no program {path}; build it or say --zproxy PATH")
    for name in against:
        if name == "copy":
            for label, path, keys in builds[:1]:
                if os.access(path, os.X_OK):
                    chosen.append(Zproxy("copy", port(), path, {**keys, "relay": "copy"}))
        elif name.startswith("haproxy"):
            gone = host.missing(["haproxy"])
            notes += [f"{name}: left out, missing {g}" for g in gone]
            if not gone:
                chosen.append(Haproxy(name, port(), not name.endswith("-shipped"), "splice" in name))
        elif name.startswith("nginx"):
            gone = host.missing(["nginx"]) or host.missing(["nginx-stream"])
            notes += [f"{name}: left out, missing {g}" for g in gone]
            if not gone:
                chosen.append(Nginx(name, port(), not name.endswith("-shipped")))
        elif name == "direct":
            chosen.append(Direct(name, port()))
    if not chosen:
        raise Failure("nothing to measure")
    return chosen, notes


# As their experts set them up; and with the settings that they are shipped with.
TUNED = ("haproxy", "haproxy-splice", "nginx")
SHIPPED = ("haproxy-shipped", "haproxy-splice-shipped", "nginx-shipped")
PEERS = (*TUNED, "copy", "direct", *SHIPPED)
