"""Real registries of servers: etcd, and name servers with dynamic updates."""

import contextlib
import os
import pwd
import re
import socket
import subprocess

from .addresses import Address, free_port
from .cluster import EXAMPLES, example
from .machine import find_program, run_program
from .services import Service
from .tap import DEADLINE, Failure


def program(name):
    """Returns the path of a program of contrib/cluster."""
    return os.path.join(EXAMPLES, name)


def read_example(name, replace=()):
    """Returns a file of contrib/cluster with texts replaced, each of which must be in it: (old, new)."""
    text = example(name)
    for old, new in dict(replace).items():
        if old not in text:
            raise Failure(f"{name} does not contain {old}")
        text = text.replace(old, str(new))
    return text


@contextlib.contextmanager
def running(*command, **options):
    """A program that runs during a with statement, and is ended by SIGTERM."""
    command = [find_program(command[0]) or command[0], *map(str, command[1:])]
    process = subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, **options})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Etcd(Service):
    """One member of etcd. .environment: for etcdctl and the programs that use it."""

    def prepare(self):
        client = f"http://{self.address}"
        peer = f"http://{self.address.host}:{self.address.port + 1000}"
        self.environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": client}
        self.find("etcdctl")
        return [self.find("etcd"), "--data-dir", f"{self.directory}/data",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}", "--heartbeat-interval", "100",
                "--election-timeout", "1000"]

    def ctl(self, *arguments, check=True):
        return run_program("etcdctl", *arguments, env=self.environment, check=check)

    def is_ready(self):
        return self.ctl("endpoint", "health", check=False).returncode == 0


class _Primary(Service):
    """A name server with the zone service.example of contrib/cluster/dns, whose servers add and remove
    themselves. ttl: seconds, of their records."""

    def __init__(self, ttl=1):
        super().__init__()
        self.ttl = ttl

    def _prepare_zone(self):
        zone = read_example("dns/service.example.zone", [("10.0.0.53", self.address.host)])
        with open(f"{self.directory}/service.example.zone", "w") as f:
            f.write(zone)
        if os.geteuid() == 0:
            user = pwd.getpwnam(self.user)
            os.chown(f.name, user.pw_uid, user.pw_gid)
        self.environment = {**os.environ, "DNS_SERVER": f"{self.address.host} {self.address.port}",
                            "DNS_ZONE": "service.example.", "DNS_TTL": str(self.ttl),
                            "DNS_KEY": f"hmac-sha256:servers {self.secret()}", "NSUPDATE": self.nsupdate}
        self.find(self.nsupdate)

    def secret(self):
        return re.search(r"secret:? \"?([\w+/=]+)", example(self.config))[1]

    def update(self, action, server, name, check=True):
        """Runs zproxy-dns for an Echo or the like."""
        return run_program(program("dns/zproxy-dns"), action, "_web._tcp.service.example.",
                           f"{name}.service.example.", server.address.host, server.address.port,
                           env=self.environment, check=check)


class Bind(_Primary):
    config, nsupdate = "dns/named.conf.local", "nsupdate"

    def __init__(self, ttl=1):
        super().__init__(ttl)
        # named listens on addresses of interfaces only, and 127.0.0.1 is the only one of lo
        self.address = Address(("127.0.0.1", free_port(socket.AF_INET, "127.0.0.1")))

    def prepare(self):
        self._prepare_zone()
        d, host, port = self.directory, self.address.host, self.address.port
        with open(f"{d}/named.conf", "w") as f:
            f.write(f'options {{ directory "{d}"; pid-file "{d}/pid"; session-keyfile "{d}/session.key";\n'
                    f"    listen-on port {port} {{ {host}; }}; listen-on-v6 {{ none; }};\n"
                    f"    recursion no; dnssec-validation no; }};\ncontrols {{ }};\n"
                    + read_example(self.config, [("/var/lib/bind", d)]))
        return [self.find("named"), "-g", "-n", "1", "-c", f"{d}/named.conf"]


class Knot(_Primary):
    config, nsupdate = "dns/knot.conf", "knsupdate"

    def prepare(self):
        self._prepare_zone()
        d = self.directory
        with open(f"{d}/knot.conf", "w") as f:
            f.write(read_example(self.config, [
                ("0.0.0.0@53, ::@53", f"{self.address.host}@{self.address.port}"),
                ("/var/lib/knot", d), ("/run/knot", d), ("    user: knot:knot\n", ""),
                ("target: syslog", "target: stderr")]))
        return [self.find("knotd"), "-c", f"{d}/knot.conf"]
