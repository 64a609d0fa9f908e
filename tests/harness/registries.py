"""Real registries of servers: etcd, and name servers with dynamic updates."""

import contextlib
import os
import subprocess

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
                "--election-timeout", "1000", "--enable-v2=true"]

    def ctl(self, *arguments, check=True):
        return run_program("etcdctl", *arguments, env=self.environment, check=check)

    def is_ready(self):
        return self.ctl("endpoint", "health", check=False).returncode == 0
