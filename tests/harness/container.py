"""systemd as process 1, in a container of systemd-nspawn over this machine's files. What is written
inside is gone when the container ends."""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from .machine import (Network, need_mount_namespaces, need_network_namespaces, need_program,
                      need_root, run_program, scratch)
from .program import TESTS, command, need_plain
from .systemd import service_unit
from .tap import DEADLINE, Failure, Skip, wait_for

# Units that wait for a network, or are of no use in the container.
_MASKED = ["NetworkManager-wait-online", "ifupdown-wait-online", "networking",
           "systemd-networkd-wait-online"]


CONTROL = "[admin]\nsocket = /run/zproxy/zproxy.sock\n"


def _make_cgroup():
    """Makes a control group for one container, below that of this process. Otherwise all containers
    share one, and systemd in one of them removes groups in which another is about to start a
    service. Returns its directory; "" where none can be made."""
    with open("/proc/self/mounts") as f:
        mounts = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
    with open("/proc/self/cgroup") as f:
        ours = [line.strip()[len("0::"):] for line in f if line.startswith("0::")]
    if not mounts or not ours:
        return ""
    path = f"{mounts[-1]}{ours[0].rstrip('/')}/zproxy-test-{os.getpid()}"
    try:
        os.mkdir(path)
    except OSError:
        return ""
    return path


def _remove_cgroup(path):
    """Its processes have been killed, and may not all have ended."""
    for _ in range(100):
        for directory, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        if not os.path.exists(path):
            return
        time.sleep(0.05)


class Container(Network):
    """Booted at most once by each scenario: machine()."""

    def __init__(self):
        need_root()
        need_mount_namespaces()
        need_network_namespaces()
        need_program("setpriv", "systemd-nspawn")
        need_plain("the sandbox of the unit has no room for it")
        self._scratch = scratch()
        self.directory = self._scratch.__enter__()
        root, payload = f"{self.directory}/root", f"{self.directory}/payload"
        os.mkdir(root)
        os.mkdir(payload)
        for name in ("zproxy", "zproxyctl"):
            shutil.copy(os.path.join(os.path.dirname(command()[-1]), name), payload)
        self.cgroup = _make_cgroup()
        script = ('mount --bind / "$1" && { [ -z "$2" ] || echo $$ >"$2/cgroup.procs"; } && '
                  'shift 2 && exec setpriv --pdeathsig KILL -- "$@"')
        self.console = open(f"{self.directory}/console", "w+b")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", root,
             self.cgroup,
             "systemd-nspawn", "-q", "-M", f"zproxy-{os.getpid()}", "-D", root, "-b", "--register=no",
             "--keep-unit", "--private-network", "--volatile=overlay", "--capability=all",
             f"--bind-ro={payload}:/payload", "systemd.unit=basic.target",
             *(f"systemd.mask={unit}.service" for unit in _MASKED)],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console)
        atexit.register(self.end)
        self.leader = None
        wait_for(self._is_up, "systemd in a container", self._alive)
        self.fd = os.open(f"/proc/{self.leader}/ns/net", os.O_RDONLY)

    def _alive(self):
        if self.process.poll() is not None:
            self.console.seek(0)
            said = self.console.read().decode(errors="replace").split("\n")
            raise Skip(f"no container with systemd: {' '.join(said[-4:]).strip()}")

    def _is_up(self):
        """Looks among the processes that nspawn has started for process 1 of a PID namespace."""
        waiting = [self.process.pid]
        while waiting and self.leader is None:
            pid = waiting.pop()
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    waiting += map(int, f.read().split())
                with open(f"/proc/{pid}/status") as f:
                    ids = [line.split() for line in f if line.startswith("NSpid:")]
            except OSError:
                continue
            if ids and len(ids[0]) > 2 and ids[0][-1] == "1":
                self.leader = pid
        return self.leader is not None and \
            self.try_run("systemctl", "is-active", "basic.target").stdout.strip() == "active"

    def end(self):
        # The end of systemd-nspawn does not end the container; that of its process 1 does.
        for pid in filter(None, (self.leader, self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.console.close()
        if self.cgroup:
            _remove_cgroup(self.cgroup)
        self._scratch.__exit__(None, None, None)

    def __exit__(self, *_):
        """The container stays for the next promise."""

    def __enter__(self):
        return self

    def path(self, inside):
        return f"/proc/{self.leader}/root{inside}"

    def write(self, inside, text):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w") as f:
            f.write(text)

    def try_run(self, *words, **options):
        return run_program("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C",
                           "--", *words, check=False, **options)

    def run(self, *words):
        done = self.try_run(*words)
        if done.returncode != 0:
            raise Failure(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    # ---- the service and its package ----

    def copy(self, source, inside):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        shutil.copy(source, self.path(inside))

    def show(self, name, unit="zproxy.service"):
        """Returns a property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit).strip()

    def journal(self):
        """Returns the entries of the last start of the service."""
        return [json.loads(line) for line in
                self.run("journalctl", "-u", "zproxy.service", "-o", "json", "--no-pager",
                         f"_SYSTEMD_INVOCATION_ID={self.show('InvocationID')}").splitlines()]

    def explain(self):
        return self.try_run("journalctl", "-u", "zproxy.service", "-n", "20", "--no-pager").stdout

    def start(self, unit="zproxy.service"):
        done = self.try_run("systemctl", "start", unit)
        if done.returncode != 0:
            raise Failure(f"{unit}: {done.stderr}{self.explain()}")

    def connect(self, at=("127.0.0.1", 80)):
        """Returns a TCP connection to an address inside."""
        return self.call(lambda: socket.create_connection(at, DEADLINE))

    def pid_outside(self, inside):
        """Returns the process id outside of a process inside."""
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/status") as f:
                    ids = next(line.split() for line in f if line.startswith("NSpid:"))
                same = os.readlink(f"/proc/{name}/ns/pid") == \
                    os.readlink(f"/proc/{self.leader}/ns/pid")
            except (OSError, StopIteration):
                continue
            if same and ids[-1] == str(inside):
                return int(name)
        raise Failure(f"no process {inside} in the container")


@functools.cache
def _booted():
    try:
        return Container()
    except (Skip, Failure) as why:      # remembered, not tried again for each promise
        return Skip(str(why))


def machine():
    """Returns the container; skips where there can be none."""
    booted = _booted()
    if isinstance(booted, Skip):
        raise booted
    return booted


def install(m, config, drop_in=""):
    """Installs the units as make does, with programs in /payload. Stops what ran before."""
    m.write("/etc/systemd/system/zproxy.service", service_unit("/payload"))
    with open(os.path.join(TESTS, "../contrib/systemd/zproxy.socket")) as f:
        m.write("/etc/systemd/system/zproxy.socket", f.read())
    m.write("/etc/systemd/system/zproxy.service.d/test.conf", f"[Service]\n{drop_in}")
    m.write("/etc/zproxy.ini", config)
    os.chmod(m.path("/etc/zproxy.ini"), 0o644)
    m.run("systemctl", "stop", "zproxy.socket", "zproxy.service")
    m.run("systemctl", "daemon-reload")
    m.try_run("systemctl", "reset-failed", "zproxy.service")


def simple(server, extra=""):
    """A configuration for the service: one listener at 127.0.0.1:80, one server."""
    return f"{CONTROL}[listen web]\nbind = 127.0.0.1:80\npool = web\n[pool web]\n" \
           f"server = {server}\n{extra}"
