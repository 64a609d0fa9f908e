"""This machine: users, programs, kernel settings, namespaces; and what a scenario needs of it."""

import array
import collections
import contextlib
import ctypes
import fcntl
import functools
import os
import pwd
import resource
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading

from .tap import DEADLINE, PATIENCE, Failure, Skip, wait_for

_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def need(condition, why):
    if not condition:
        raise Skip(why)


# Capabilities of root that scenarios use, linux/capability.h. A container has them by default.
_CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7,
                 "SETPCAP": 8, "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18}
_NOBODY = 65534


def _status(key):
    with open("/proc/self/status") as f:
        return next(line.split()[1] for line in f if line.startswith(f"{key}:"))


def _has_other_users():
    """False in a user namespace that maps no user but root, such as that of "unshare -r"."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}") as f:
            ranges = [tuple(map(int, line.split())) for line in f]
        if not any(first <= _NOBODY < first + count for first, _, count in ranges):
            return False
    return True


def need_root():
    """Root that may become other users, give files away and bind low ports."""
    need(os.geteuid() == 0, "only root can try this")
    effective = int(_status("CapEff"), 16)
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    need(not lacking, f"root lacks capabilities here: {', '.join(lacking)}")
    need(_has_other_users(), "there are no other users in this user namespace")


def need_program(*names):
    for name in names:
        need(find_program(name), f"{name} is not installed")


def need_compiler():
    """Returns the command of a C compiler."""
    wanted = shlex.split(os.environ.get("CC", ""))
    for command in filter(None, (wanted, ["cc"], ["gcc"], ["clang"])):
        if find_program(command[0]):
            return command
    raise Skip("no C compiler is installed")


@functools.cache
def _namespace_error(kind, *command):
    """Why unshare(1) cannot make such a namespace and run the command in it; "": it can."""
    done = run_program("unshare", kind, *command, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().split("\n")[0] or "no reason given")


def need_network_namespaces():
    need_program("ip", "nsenter", "unshare")
    error = _namespace_error("--net", "ip", "link", "set", "lo", "up")
    need(not error, f"network namespaces cannot be made here: {error}")


def need_mount_namespaces():
    need_program("mount", "unshare")
    error = _namespace_error("--mount", "mount", "--rbind", "/etc", "/etc")
    need(not error, f"mount namespaces cannot be made here: {error}")


def in_mount_namespace(script):
    """The command that runs a program in a mount namespace of its own, after the commands of a
    shell in script. Skips where there can be none."""
    need_mount_namespaces()
    return ["unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"]


def find_program(name):
    """Returns the path of a program, or None. Debian has some in directories outside a user's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def run_program(*command, check=True, **options):
    """Runs a program to its end. Returns the finished process; its output is text. check: raises
    Failure unless it ends with 0."""
    command = [find_program(command[0]) or command[0], *map(str, command[1:])]
    done = subprocess.run(command, **{"stdin": subprocess.DEVNULL, "text": True,
                                      "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                      "timeout": 4 * DEADLINE, **options})
    _check_status(done, check)
    return done


def _check_status(done, check):
    if check and done.returncode != 0:
        raise Failure(f"{done.args} ended with {done.returncode}\n{done.stdout}{done.stderr or ''}")


# For a program that takes minutes, such as a build: it only ends one that hangs, on the slowest machine too.
BUILD_DEADLINE = 1500 * PATIENCE


def run_build(*command, check=True, **options):
    """As run_program(), for BUILD_DEADLINE. The program and its children are a group, which ends with the test: a build
    whose first process alone is killed goes on, and makes the rest of the tests slow."""
    command = [find_program(command[0]) or command[0], *map(str, command[1:])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, **options)
    try:
        said, _ = process.communicate(timeout=BUILD_DEADLINE)
    except BaseException as error:
        said = _end_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise Failure(f"{command} was ended after {BUILD_DEADLINE} s\n{said[-4000:]}") from None
        raise
    done = subprocess.CompletedProcess(command, process.returncode, said)
    _check_status(done, check)
    return done


def _end_group(process):
    """Ends a process, which is the first of its group, with the group. Returns what it has printed."""
    for how in signal.SIGTERM, signal.SIGKILL:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=10)[0]
    raise Failure(f"{process.args} does not end")


@contextlib.contextmanager
def scratch():
    """A temporary directory that every user can read."""
    path = tempfile.mkdtemp(prefix="zproxy-test-")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def become(name):
    """Returns the arguments of subprocess.Popen to run a program as this user."""
    user = pwd.getpwnam(name)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [],
            "env": {**os.environ, "HOME": "/", "USER": name, "LOGNAME": name}}


# ---- sockets in the kernel ----

TCP_STATES = ["", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
              "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"]


def tcp_states(*addresses):
    """Returns {state: number} of the sockets with one of these IPv4 addresses at either end."""
    names = {"%08X:%04X" % (struct.unpack("=I", socket.inet_aton(a.host))[0], a.port)
             for a in addresses}
    with open("/proc/net/tcp") as f:
        lines = [line.split() for line in f][1:]
    return collections.Counter(TCP_STATES[int(state, 16)] for _, local, remote, state, *_ in lines
                               if local in names or remote in names)


# ---- kernel settings ----

class Sysctl:
    """Sets a kernel setting during a with statement. Tests that set the same one wait for each other,
    or the last would restore the value of the first. A shell restores the old value when its input
    ends, also when the test is killed."""

    def __init__(self, name, value):
        self.name, self.value = name, value
        self.path = "/proc/sys/" + name.replace(".", "/")

    def _lock(self):
        try:
            self.lock.bind(f"\0zproxy-test-{self.name}")
            return True
        except OSError:
            return False

    def __enter__(self):
        self.lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        wait_for(self._lock, f"other tests to leave {self.name} alone")
        try:
            with open(self.path) as f:
                before = f.read().strip()
            with open(self.path, "w") as f:
                f.write(str(self.value))
        except OSError as error:
            self.lock.close()
            raise Skip(f"{self.path} cannot be changed here: {error.strerror}") from None
        self.guard = subprocess.Popen(["sh", "-c", f"read _; echo {before} >{self.path}"],
                                      stdin=subprocess.PIPE, start_new_session=True)
        return self

    def __exit__(self, *_):
        self.guard.stdin.close()
        self.guard.wait(DEADLINE)
        self.lock.close()


# ---- network namespaces ----

class Network:
    """A network namespace, during a with statement. It has no name: the kernel removes it when the
    last process and descriptor are gone. command: runs a program inside."""

    def __enter__(self):
        need_network_namespaces()
        self.fd = self._in_thread(self._unshare)
        self.command = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}"]
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    @staticmethod
    def _unshare():
        if _libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    @staticmethod
    def _in_thread(function):
        """Calls a function in a new thread: unshare(2) and setns(2) act on the calling thread."""
        outcome = []

        def body():
            try:
                outcome.append((function(), None))
            except BaseException as error:
                outcome.append((None, error))
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def call(self, function, *arguments):
        """Calls a function inside the namespace. Sockets that it opens belong to the namespace."""
        def body():
            if _libc.setns(self.fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            return function(*arguments)
        return self._in_thread(body)

    def run(self, *command):
        return run_program(*self.command, *command).stdout

    def join(self, other, here, there):
        """Connects two networks by a pair of interfaces. here, there: (name, ADDRESS/BITS)."""
        self.run("ip", "link", "add", here[0], "mtu", "1500", "type", "veth",
                 "peer", "name", there[0], "mtu", "1500",
                 "netns", f"/proc/{os.getpid()}/fd/{other.fd}")
        for network, (name, address) in ((self, here), (other, there)):
            network.run("ip", "address", "add", address, "dev", name)
            network.run("ip", "link", "set", name, "up")
            network.call(turn_offloads_off, name)

    def impair(self, interface, faults):
        """Packets that leave by the interface suffer these faults, in the words of tc-netem(8). Skips
        where the kernel has no netem."""
        need_program("tc")
        done = run_program(*self.command, "tc", "qdisc", "add", "dev", interface, "root", "netem",
                           "limit", "100000", *faults.split(), check=False)
        if "qdisc kind is unknown" in done.stderr or "Module sch_netem not found" in done.stderr:
            raise Skip("this kernel has no netem")
        if done.returncode != 0:
            raise Failure(f"tc netem {faults}: {done.stderr}")


def turn_offloads_off(interface):
    """Turns off segmentation offloads (ethtool -K), so that no packet is larger than the MTU."""
    ifreq = "16sP"
    ETHTOOL = {"tso": 0x1f, "gso": 0x24, "gro": 0x2c}
    SIOCETHTOOL = 0x8946
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for command in ETHTOOL.values():
            value = array.array("B", struct.pack("II", command, 0))
            fcntl.ioctl(s, SIOCETHTOOL,
                        struct.pack(ifreq, interface.encode(), value.buffer_info()[0]))
