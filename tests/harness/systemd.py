"""The unit for systemd, and zproxy with sockets from systemd-socket-activate(1)."""

import os
import re
import socket
import subprocess

from .machine import find_program, need_program, run_program, scratch
from .program import TESTS, Zproxy, command
from .tap import DEADLINE, wait_for
from .traffic import connect

# systemd-socket-activate starts a program with an environment of its own, and logs to standard error.
_PASSED = ["--setenv=NOTIFY_SOCKET", "--setenv=ASAN_OPTIONS=detect_leaks=0"]
_SILENT = ["env", "SYSTEMD_LOG_LEVEL=err"]


def version():
    """The version of systemd on this machine, 0 without it."""
    if not find_program("systemctl"):
        return 0
    return int(run_program("systemctl", "--version").stdout.split()[1])


def reloads_by_notification():
    """Whether the unit has Type=notify-reload."""
    return version() >= 253


def service_unit(sbindir):
    """The text of zproxy.service, as make writes it after configure on this machine."""
    with open(os.path.join(TESTS, "../contrib/systemd/zproxy.service.in")) as f:
        text = f.read()
    if reloads_by_notification():
        text = re.sub(r"^ExecReload=kill .*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^Type=notify$", "Type=notify-reload", text, flags=re.MULTILINE)
    return text.replace("@sbindir@", sbindir).replace("@sysconfdir@", "/etc")


def activate(*sockets, names=None, options=()):
    """Returns the command that opens the sockets, waits for a client and executes the program after
    it."""
    need_program("systemd-socket-activate")
    return [*_SILENT, "systemd-socket-activate", *options,
            *(f"--listen={str(at).removeprefix('unix:')}" for at in sockets),
            *([f"--fdname={names}"] if names else [])]


class Activated(Zproxy):
    """zproxy that is started with these sockets, by its first client, z.first."""

    def __init__(self, sockets, *arguments, names=None, **keywords):
        super().__init__(*arguments, wrap=[*activate(*sockets, names=names), *_PASSED],
                         ready=False, **keywords)
        self.handed = sockets

    def _start(self):
        super()._start()
        self.first = wait_for(self._try, "systemd-socket-activate", self.check_alive)
        self.wait_for(lambda: "READY=1" in self.told(), "READY=1")

    def _try(self):
        try:
            return connect(self.handed[0])
        except (ConnectionRefusedError, FileNotFoundError):
            return None


def refusal(config, *sockets, names=None, options=()):
    """Starts a zproxy that cannot use the sockets and must exit with 2. Returns its error text."""
    with scratch() as directory:
        with open(f"{directory}/zproxy.ini", "w") as f:
            f.write(config)
        wrap = [*activate(*sockets, names=names, options=options), *_PASSED[1:]]
        with subprocess.Popen([*wrap, *command(), "-c", f"{directory}/zproxy.ini"],
                              stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for(lambda: _wake(sockets[0], "--datagram" in options), "its sockets")
                said = process.communicate(timeout=DEADLINE)[1]
            finally:
                process.kill()
        assert process.returncode == 2, said
        return said


def _wake(at, datagram):
    with socket.socket(at.family, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as s:
        try:
            s.connect(at.sockaddr)
            for _ in range(2 if datagram else 0):
                s.send(b"x")    # the refusal of the first datagram is reported by the second send
            return True
        except ConnectionRefusedError:
            return False
