"""Real servers, each with a directory and a loopback address of its own, run by an unprivileged
user. str() of each is its address."""

import contextlib
import glob
import os
import pwd
import signal
import socket
import subprocess

from .addresses import fresh_address
from .machine import become, find_program, need, run_program, scratch
from .tap import DEADLINE, Failure, note, wait_for


class Service:
    """A server program that runs during a with statement: it accepts connections from the start on,
    and has ended at the end."""
    user = "nobody"

    def __init__(self):
        self.address = fresh_address()
        self.process = None

    def __str__(self):
        return str(self.address)

    def as_user(self):
        return become(self.user) if os.geteuid() == 0 else {}

    def find(self, name):
        path = find_program(name)
        need(path, f"{name} is not installed")
        return path

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.directory = stack.enter_context(scratch())
            if os.geteuid() == 0:
                try:
                    user = pwd.getpwnam(self.user)
                except KeyError:
                    need(False, f"there is no user {self.user}")
                os.chown(self.directory, user.pw_uid, user.pw_gid)
            self.output = stack.enter_context(open(f"{self.directory}/output", "a+"))
            self.command = self.prepare()
            stack.callback(self._end)
            self.start()
            self.stack = stack.pop_all()
        return self

    def start(self):
        """Starts the program, also a second time, and waits until it answers."""
        self.process = subprocess.Popen(self.command, cwd=self.directory,
                                        stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.output, start_new_session=True,
                                        **self.as_user())
        try:
            wait_for(self._answers, f"{self.command[0]} to answer", self._check_alive)
        except Failure:
            note(self.log())
            raise

    def log(self):
        """Returns what the program has printed."""
        self.output.seek(0)
        return self.output.read()

    def __exit__(self, *_):
        self.stack.close()

    def _check_alive(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.command[0]} has ended with {self.process.returncode}")

    def _answers(self):
        with socket.socket(self.address.family) as sock:
            return sock.connect_ex(self.address.sockaddr) == 0 and self.is_ready()

    def is_ready(self):
        return True

    def _end(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Service):
    """Serves .root over HTTP. more: directives of its server; listen: words of its listen line;
    http: directives in front of the server."""

    def __init__(self, more="", listen="", http=""):
        super().__init__()
        self.more, self.listen, self.http = more, listen, http

    def prepare(self):
        program, d = self.find("nginx"), self.directory
        self.root = f"{d}/root"
        os.mkdir(self.root)
        temporary = "".join(f"    {kind}_temp_path {d}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{d}/nginx.conf", "w") as f:
            f.write(f"daemon off;\nworker_processes 1;\npid {d}/pid;\nerror_log {d}/error.log;\n"
                    f"events {{ worker_connections 4096; }}\n"
                    f"http {{\n{temporary}"
                    f"    access_log off;\n    sendfile on;\n    keepalive_requests 1000000;\n"
                    f"    {self.http}\n"
                    f"    server {{ listen {self.address} backlog=4096 {self.listen};"
                    f" root {self.root};"
                    f" {self.more} }}\n}}\n")
        return [program, "-p", d, "-c", f"{d}/nginx.conf", "-e", f"{d}/error.log"]


class Redis(Service):
    """more: further arguments."""

    def __init__(self, more=()):
        super().__init__()
        self.more = more

    def prepare(self):
        return [self.find("redis-server"), "--bind", self.address.host,
                "--port", str(self.address.port), "--save", "", "--appendonly", "no",
                "--dir", self.directory, "--protected-mode", "no", "--tcp-backlog", "4096", *self.more]


class Smtp(Service):
    """A mail server that takes mail and forgets it."""

    def prepare(self):
        return [self.find("msmtpd"), f"--interface={self.address.host}",
                f"--port={self.address.port}", "--command=cat >/dev/null #"]     # recipients follow


class Postgres(Service):
    """PostgreSQL with a new cluster, and a database and a superuser named postgres."""
    user = "postgres"

    def program(self, name):
        """Returns the path of a program of the newest version (Debian has a directory for each)."""
        found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
        return found[-1] if found else self.find(name)

    def prepare(self):
        return self.prepare_with(lambda data: run_program(
            self.program("initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync",
            "--locale=C", "--encoding=UTF8", cwd=self.directory, **self.as_user()))

    def prepare_with(self, fill):
        """fill(directory) makes the cluster."""
        data = f"{self.directory}/data"
        fill(data)
        return [self.program("postgres"), "-D", data, "-h", self.address.host,
                "-p", str(self.address.port), "-k", "", "-c", "fsync=off",
                "-c", "max_connections=100"]

    def stop(self, mode):
        """Stops it as pg_ctl does: "smart", "fast" or "immediate"."""
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.process.send_signal(signals[mode])
        self.process.wait(DEADLINE)

    def is_ready(self):
        return run_program(self.program("pg_isready"), "-h", self.address.host,
                           "-p", self.address.port, check=False).returncode == 0

    def run(self, name, address, *arguments, **options):
        """Runs psql, pgbench ... against an address. Returns its output."""
        environment = {**os.environ, "PGHOST": address.host, "PGPORT": str(address.port),
                       "PGUSER": "postgres", "PGDATABASE": "postgres", "PGCONNECT_TIMEOUT": "60"}
        return run_program(self.program(name), *arguments, env=environment, **options).stdout


class Haproxy(Service):
    """Relays TCP to a server, spliced. bind, options: words after its own address and after that of
    the server; more: lines of the section."""

    def __init__(self, server, bind="", options="", more=""):
        super().__init__()
        self.server, self.bind, self.options, self.more = server, bind, options, more

    def prepare(self):
        config = f"{self.directory}/haproxy.cfg"
        with open(config, "w") as f:
            f.write(f"defaults\n    mode tcp\n    option splice-auto\n    timeout connect 60s\n"
                    f"    timeout client 60s\n    timeout server 60s\n"
                    f"listen front\n    bind {self.address} {self.bind}\n{self.more}"
                    f"    server behind {self.server} {self.options}\n")
        return [self.find("haproxy"), "-db", "-f", config]


class Dnsmasq(Service):
    """A name server for hosts, {name: [address]}, with a TTL of one second; other names below
    .example do not exist. options: further arguments."""

    def __init__(self, hosts, options=(), address=None):
        super().__init__()
        self.address = address or self.address
        self.hosts, self.options = hosts, options

    def _write(self):
        with open(f"{self.directory}/hosts", "w") as f:
            f.write("".join(f"{address} {name}\n" for name, addresses in self.hosts.items()
                            for address in addresses))

    def prepare(self):
        self._write()
        return [self.find("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null",
                "--pid-file=", "--user=", "--no-resolv", "--no-hosts", "--no-poll",
                "--bind-interfaces", f"--listen-address={self.address.host}",
                f"--port={self.address.port}", "--local=/example/", "--local-ttl=1",
                f"--addn-hosts={self.directory}/hosts", *self.options]

    def change(self, hosts):
        """Replaces the hosts; dnsmasq reads them a moment later."""
        self.hosts = hosts
        self._write()
        self.process.send_signal(signal.SIGHUP)
