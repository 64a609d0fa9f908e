"""zproxy under test: its configuration, log, process, reloads and upgrades."""

import collections
import contextlib
import ctypes
import functools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time

from . import tap
from .addresses import fresh_address
from .machine import become, find_program, need, run_program, scratch
from .tap import DEADLINE, Failure, Skip, note, wait_for
from .traffic import connect, is_reset

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUIET_TRIES = 30
PIDFD_GETFD = 438   # on all architectures


@functools.cache
def command():
    """The command of the program under test: $ZPROXY, or the one built beside the tests."""
    if "ZPROXY" in os.environ:
        words = shlex.split(os.environ["ZPROXY"])
        return [find_program(words[0]) or os.path.abspath(words[0]), *words[1:]]
    for path in ("../src/zproxy", "../build/src/zproxy"):
        path = os.path.normpath(os.path.join(TESTS, path))
        if os.access(path, os.X_OK):
            return [path]
    raise Failure("no zproxy to test: build it, or name it in ZPROXY")


def zproxy(*arguments, user=None, **options):
    """Runs zproxy to its end. Returns the finished process, whatever its exit status."""
    with scratch() as directory:
        as_user = become(user) if user else {}
        return run_program(*command_for(user, directory), *arguments, check=False,
                           **{**as_user, **options})


def command_for(user, directory, copied=False):
    """Returns the command, of a copy in the directory where another user may not be able to read the
    build directory, or where the scenario replaces the program."""
    if not user and not copied:
        return command()
    shutil.copy(command()[-1], f"{directory}/zproxy")
    return [*command()[:-1], f"{directory}/zproxy"]


@functools.cache
def can_splice():
    return "splice: yes" in zproxy("-v").stdout


def need_splice():
    need(can_splice(), "this zproxy cannot splice")


tap.requirements["splice"] = need_splice


@functools.cache
def can_resolve():
    return "c-ares no" not in zproxy("-v").stdout


def need_names():
    need(can_resolve(), "this zproxy was built without c-ares")


@functools.cache
def instruments():
    """Returns the set of instruments that zproxy runs with: "address" and "thread", the sanitizers,
    or "valgrind". Each has memory, descriptors or threads of its own."""
    with open(command()[-1], "rb") as f:
        program = f.read()
    found = {name for name in ("address", "thread") if b"__%csan_init" % name[0].encode() in program}
    return found | ({"valgrind"} if len(command()) > 1 else set())


def need_plain(why, *names):
    """Skips where zproxy runs with one of these instruments (none named: with any of them)."""
    found = instruments() & set(names) if names else instruments()
    need(not found, f"not with {', '.join(sorted(found))}: {why}")


REPORTS = re.compile(r"(Address|Thread|Leak|Memory)Sanitizer|runtime error:|^==\d+==", re.MULTILINE)

# ---- configuration ----


def keys_text(values):
    """Returns the lines of the keys of a section; a list: a key that is repeated."""
    return "".join(f"{key} = {one}\n" for key, value in (values or {}).items()
                   for one in (value if isinstance(value, list) else [value]))


def sections_for(servers, bind, listen=None, pool=None, name="test"):
    """Returns a [listen] section and its [pool]. servers: one or a list of objects whose str() is an
    address, or texts of server lines."""
    servers = servers if isinstance(servers, (list, tuple)) else [servers]
    lines = "".join(f"server = {server}\n" for server in servers)
    return (f"[listen {name}]\nbind = {bind}\npool = {name}\n{keys_text(listen)}"
            f"[pool {name}]\n{lines}{keys_text(pool)}")


# ---- its log ----

_FIELD = re.compile(r'([a-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^ "=\\]*)(?: |$)')
_ESCAPE = re.compile(rb'\\(x[0-9a-f]{2}|.)', re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _unescape(match):
    code = match[1]
    return bytes([int(code[1:], 16)]) if len(code) == 3 else _ESCAPES.get(code, code)


def parse_line(line):
    """Returns a line of a log, logfmt or JSON, as a dict."""
    if line.startswith("{"):
        return json.loads(line)
    fields, at = {}, 0
    while at < len(line):
        match = _FIELD.match(line, at)
        if not match or match[1] in fields:
            raise Failure(f"not logfmt at column {at}: {line}")
        value = match[2]
        if value.startswith('"'):
            value = _ESCAPE.sub(_unescape, value[1:-1].encode()).decode("utf-8", "replace")
        fields[match[1]] = value
        at = match.end()
    return fields


class Log:
    """A log file that grows."""

    def __init__(self, path):
        self.path, self.at, self.parsed = path, 0, []
        self.by_event = collections.defaultdict(list)

    def lines(self):
        """Returns all lines so far. zproxy writes them in a thread, so the newest may be missing."""
        time.sleep(0.01)
        try:
            with open(self.path, "rb") as f:
                f.seek(self.at)
                new = f.read()
        except FileNotFoundError:
            return self.parsed
        whole = new[:new.rfind(b"\n") + 1]
        self.at += len(whole)
        for line in map(parse_line, whole.decode().splitlines()):
            self.parsed.append(line)
            self.by_event[line.get("event")].append(line)
        return self.parsed

    def events(self, name):
        """Returns the lines of one event. Fast also while a log of a million lines grows."""
        self.lines()
        return list(self.by_event[name])


# ---- the process ----

Effort = collections.namedtuple("Effort", "cpu wakeups")


class Adopted:
    """The process after an upgrade, as a subprocess.Popen: not started by the test, but its child
    since the process that started it has ended (adopt_orphans())."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:       # its parent has not ended yet
                return None
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout or DEADLINE)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("zproxy", timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def adopt_orphans():
    """Makes this process the parent of its descendants whose parent ends (prctl(2))."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Zproxy:
    """A running zproxy, in a with statement: ready at the start; at the end it must be alive, end on
    SIGTERM with status 0, and have written nothing to standard error.

    relay, servers      one listener, one pool
    settings            keys of [global], beside those the harness needs
    listen, pool        keys of these sections
    sections            instead of servers: all sections but [global], as text
    user                the user who starts it, if not the one of the test
    wrap                a command that executes it, such as prlimit
    ready               whether to wait for READY=1 at the start
    copied              whether to run a copy of the program, path("zproxy")
    control             keys of [admin] beside the socket; None: no control socket
    """

    def __init__(self, relay=None, servers=None, *, settings=None, listen=None, pool=None,
                 bind=None, sections=None, user=None, wrap=(), arguments=(), stderr=None,
                 ready=True, copied=False, control=None):
        self.address = bind or fresh_address()
        self.sections = sections or sections_for(servers, self.address, listen, pool)
        self.settings = dict(settings or {})
        if relay:
            self.settings["relay"] = relay
        self.user, self.wrap, self.arguments, self.stderr = user, wrap, arguments, stderr
        self.ready, self.copied, self.control = ready, copied, control
        self.excused = 0
        self.process = self.status = None

    # -- begin and end --

    def __enter__(self):
        self._scratch = scratch()
        self.directory = self._scratch.__enter__()
        try:
            self._start()
        except BaseException:
            self._describe()
            self._clean_up()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.status is None:
                self.stop()
        except Failure:
            kind = Failure
            raise
        finally:
            if kind is not None:
                self._describe()
            self._clean_up()

    def path(self, name):
        return os.path.join(self.directory, name)

    def _start(self):
        self.is_told_to_end = False
        self.settings = {"log": self.path("log"), "access_log": self.path("access"),
                         "shutdown_timeout": "10ms", **self.settings}
        where = {"stderr": self.path("stderr")}
        self.log = Log(where.get(self.settings["log"], self.settings["log"]))
        where["same"] = self.log.path
        self.access = Log(where.get(self.settings["access_log"], self.settings["access_log"]))
        self.socket = self.path("control")
        self.write()
        run_as = {"env": dict(os.environ)}
        if self.user:
            run_as = become(self.user)
            os.chown(self.directory, run_as["user"], run_as["group"])
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(0.2)
        self.notify.bind(self.path("notify"))
        os.chmod(self.path("notify"), 0o777)
        run_as["env"]["NOTIFY_SOCKET"] = self.path("notify")
        if "chroot" in self.settings or "strace" in self.wrap:
            # LeakSanitizer needs /proc, and cannot work under strace
            options = os.environ.get("ASAN_OPTIONS", "")
            run_as["env"]["ASAN_OPTIONS"] = f"{options}:detect_leaks=0"
        if "thread" in instruments():
            # libuv closes the pipe of uv_spawn() by a direct system call, which ThreadSanitizer does
            # not see
            with open(self.path("suppressions"), "w") as f:
                f.write("race:uv_pipe\n")
                # likewise a descriptor that uv_close() has closed, and that a thread opens again
                f.write("race:safe_open.c\n")
            options = os.environ.get("TSAN_OPTIONS", "")
            run_as["env"]["TSAN_OPTIONS"] = f"{options}:suppressions={self.path('suppressions')}"
        if self.wrap or "chroot" in self.settings:
            # LeakSanitizer traces the process and reads /proc: one of them is not possible
            run_as["env"]["ASAN_OPTIONS"] = "detect_leaks=0"
        with open(self.path("stderr"), "wb") as stderr:
            self.process = subprocess.Popen(
                [*self.wrap, *command_for(self.user, self.directory, self.copied), "-c",
                 self.path("zproxy.ini"), *self.arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=self.stderr or stderr, **run_as)
        self.pid = self.process.pid
        self.said = []      # notifications for systemd
        if self.ready:
            wait_for(lambda: "READY=1" in self.told(), "READY=1", self.check_alive)

    def start_again(self):
        """Starts zproxy once more, after it has ended or was killed."""
        self.notify.close()
        os.unlink(self.path("notify"))
        self._start()

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(f"zproxy has ended with {self.process.returncode}")

    def send_signal(self, number):
        if not self.is_told_to_end:
            self.check_alive()
        self.is_told_to_end |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)   # nothing happens if it has ended

    def wait_end(self):
        """Waits for the end, which must be in order: status 0, nothing on standard error."""
        try:
            self.status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"zproxy has not ended after {DEADLINE} s") from None
        said = self.standard_error()
        if self.status != 0:
            raise Failure(f"zproxy ended with {self.status}")
        if REPORTS.search(said) or (said and self.settings["log"] != "stderr"):
            raise Failure(f"zproxy wrote to its standard error:\n{said[:20000]}")

    def stop(self, number=signal.SIGTERM):
        self.send_signal(number)
        self.wait_end()

    def _clean_up(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._end_successors()
        self.notify.close()
        self._scratch.__exit__(None, None, None)

    def _end_successors(self):
        """Kills processes of upgrades that the scenario did not follow: those started with the same
        configuration file."""
        ours = self.path("zproxy.ini").encode()
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if ours not in f.read().split(b"\0"):
                        continue
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (OSError, ChildProcessError):    # it has ended, or is no child of ours
                pass

    def _describe(self):
        """Writes the configuration and the ends of the logs into the report."""
        for name in ("zproxy.ini", "log", "access", "stderr"):
            try:
                with open(self.path(name), errors="replace") as f:
                    lines = f.read().splitlines()
            except OSError:
                continue
            if lines:
                note(f"--- {name}" + (f", the last 40 of {len(lines)} lines" * (len(lines) > 40)))
                note("\n".join(lines[-40:]))

    # -- events, whose lines a thread of its own writes --

    def first_event(self, name):
        """Returns the first line of an event, as soon as it is in the log."""
        return self.wait_for(lambda: self.log.events(name), f"event={name}")[0]

    def only_event(self, name):
        """Returns the line of an event that must be in the log once."""
        line = self.first_event(name)
        if len(self.log.events(name)) != 1:
            raise Failure(f"event={name} is in the log more than once")
        return line

    # -- reload and upgrade --

    def write(self, sections=None, **settings):
        """Writes another configuration: other sections, other keys of [global] (None: without the
        key)."""
        self.settings = {key: value for key, value in {**self.settings, **settings}.items()
                         if value is not None}
        self.sections = self.sections if sections is None else sections
        admin = "" if self.control is None else \
            f"[admin]\n{keys_text({'socket': self.socket, **self.control})}"
        self.config = f"[global]\n{keys_text(self.settings)}{admin}{self.sections}"
        with open(self.path("zproxy.ini.new"), "w") as f:
            f.write(self.config)
        os.rename(self.path("zproxy.ini.new"), self.path("zproxy.ini"))     # it is never half a file

    def try_reload(self):
        """Reloads. Returns whether the configuration is in force."""
        count = len(self.log.events("reload"))
        self.send_signal(signal.SIGHUP)
        self.wait_for(lambda: len(self.log.events("reload")) > count, "the reload")
        return self.log.events("reload")[-1]["level"] == "notice"

    def reload(self, sections=None, **settings):
        """Writes another configuration and reloads; raises Failure if it is not in force."""
        self.write(sections, **settings)
        if not self.try_reload():
            raise Failure("not reloaded")

    def upgrades(self):
        """Returns the numbers of upgrades so far: (succeeded, failed)."""
        lines = self.log.events("upgrade")
        return (sum("has taken over" in line["msg"] for line in lines),
                sum(line["level"] == "error" for line in lines))

    def begin_upgrade(self):
        adopt_orphans()
        self.send_signal(signal.SIGUSR2)

    def try_upgrade(self):
        """Upgrades. Returns whether the program was replaced; then this object is about the new
        process."""
        before = self.upgrades()
        self.begin_upgrade()
        self.await_upgrade(before)
        if self.upgrades()[1] > before[1]:
            return False
        self.follow()
        return True

    def await_upgrade(self, before=(0, 0)):
        wait_for(lambda: self.upgrades() != before or self.process.poll() is not None,
                 "the upgrade")
        wait_for(lambda: self.upgrades() != before, "the upgrade's line in the log")

    def follow(self):
        """Makes this object one of the process that has taken over."""
        line = [line for line in self.log.events("upgrade") if "has taken over" in line["msg"]][-1]
        # the old process waits until its notifications have been read, which told() does
        wait_for(lambda: self.told() and self.process.poll() is not None, "the old process to end")
        if self.process.returncode != 0:
            raise Failure(f"the old process ended with {self.process.returncode}")
        self.process = Adopted(int(line["msg"].split()[1]))
        self.pid = self.process.pid
        self.wait_for(lambda: self.pid in (int(start["pid"]) for start in self.log.events("start")),
                      "the new process to start")

    def upgrade(self):
        if not self.try_upgrade():
            raise Failure("not upgraded")

    def family(self):
        """Returns the process ids of zproxy and of its children."""
        return [int(pid) for tid in self.threads() for pid in
                self._proc(f"task/{tid}/children").split()] + [self.pid]

    # -- notifications, standard error, access log --

    def told(self):
        """Returns the lines of all notifications for systemd so far."""
        self.notify.setblocking(False)
        try:
            while True:
                self.said += self.notify.recv(4096).decode().splitlines()
        except BlockingIOError:
            return self.said

    def standard_error(self):
        """Returns its standard error, without the complaints of a build with --enable-coverage and
        without excused text."""
        with open(self.path("stderr"), errors="replace") as f:
            return "".join(line for line in f if not line.startswith("profiling:"))[self.excused:]

    def excuse(self):
        """Excuses what it has written to standard error so far. Returns that text."""
        said = self.standard_error()
        self.excused += len(said)
        return said

    def sessions(self, count):
        """Returns the lines of the access log as soon as there are count; there must not be more."""
        lines = self.wait_for(lambda: len(self.access.events("session")) >= count
                              and self.access.events("session"), f"{count} lines of access log")
        if len(lines) != count:
            raise Failure(f"{len(lines)} sessions where {count} were expected")
        return lines

    def wait_for(self, condition, what):
        return wait_for(condition, what, self.check_alive)

    # -- clients --

    def connect(self, **options):
        return connect(self.address, **options)

    def turns_away(self):
        """Whether a new client is reset."""
        try:
            return is_reset(self.connect())
        except ConnectionResetError:
            return True

    def session(self, backend, **options):
        """Returns a client and the server's socket of its session."""
        return self.connect(**options), backend.accept()

    # -- the process in the kernel --

    def _proc(self, name):
        with open(f"/proc/{self.pid}/{name}") as f:
            return f.read()

    def descriptors(self):
        """Returns {number: target of the link in /proc/PID/fd}."""
        found = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found[int(fd)] = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            except FileNotFoundError:
                pass
        return found

    def sockets(self):
        return {fd for fd, what in self.descriptors().items() if what.startswith("socket:")}

    def option(self, fd, level, name):
        """Returns a numeric option of one of its sockets, getsockopt(2)."""
        pidfd = os.pidfd_open(self.pid)
        ours = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, fd, 0)
        os.close(pidfd)
        if ours == -1:
            raise Skip(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
        with socket.socket(fileno=ours) as sock:
            return sock.getsockopt(level, name)

    def pipes(self):
        """Returns the number of pipes of which it has both ends."""
        ends = collections.Counter(what for what in self.descriptors().values()
                                   if what.startswith("pipe:"))
        return sum(count == 2 for count in ends.values())

    def threads(self):
        return [int(tid) for tid in os.listdir(f"/proc/{self.pid}/task")]

    def workers(self):
        """Returns the thread ids of its workers."""
        found = []
        for tid in self.threads():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):    # it has just ended
                if re.fullmatch(r"zproxy-\d+", self.status_of(tid)["Name"]):
                    found.append(tid)
        return found

    def status_of(self, tid=None):
        """Returns /proc/PID/status, of a thread if given, as a dict."""
        text = self._proc(f"task/{tid}/status" if tid else "status")
        return {key: value.strip() for key, _, value in
                (line.partition(":") for line in text.splitlines())}

    def memory(self):
        """Returns the bytes of its anonymous memory."""
        return 1024 * int(re.search(r"^Anonymous: +(\d+)", self._proc("smaps_rollup"), re.M)[1])

    def effort(self):
        """Returns CPU seconds and the number of context switches so far."""
        stat = self._proc("stat").rpartition(")")[2].split()
        ticks = int(stat[11]) + int(stat[12])
        wakeups = sum(int(self.status_of(tid)[key]) for tid in self.threads() for key in
                      ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"))
        return Effort(ticks / os.sysconf("SC_CLK_TCK"), wakeups)

    def check_quiet(self):
        """Waits until zproxy has been idle for half a second. A thread that spins takes all of a CPU or
        wakes thousands of times, and does not stop; an occasional timer does neither, and work for
        peers ends after a while."""
        for _ in range(QUIET_TRIES):
            before = self.effort()
            time.sleep(0.5)
            after = self.effort()
            cpu, wakeups = after.cpu - before.cpu, after.wakeups - before.wakeups
            if cpu <= 0.2 and wakeups <= 100:
                return
        raise Failure(f"it spins: {cpu} s of CPU, {wakeups} wake-ups with nothing to do")
