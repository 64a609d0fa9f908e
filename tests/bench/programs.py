"""Programs that people run behind a proxy, with the load generators that belong to them; and a
small server that only waits to be reached."""

import os
import pwd
import re
import selectors
import signal
import socket
import subprocess
import tempfile
import time

import host
from host import Failure


class Acceptor:
    """Listens in place of the servers until a proxy's first connection arrives."""

    def __init__(self, address, port, count):
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        for i in range(count):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port + i))
            s.listen(64)
            self.sockets.append(s)
            self.selector.register(s, selectors.EVENT_READ)

    def reached_through(self, address):
        """Tries once to reach a server through the proxy at address."""
        with socket.socket() as s:
            try:
                s.connect(address)
                s.sendall(b"x")     # so that a proxy may wait for the first byte
            except OSError:
                time.sleep(0.0005)
                return False
            return bool(self.selector.select(5))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.selector.close()
        for s in self.sockets:
            s.close()


class Program:
    """A server program on the load's core, where the proxies look for their server."""
    metrics = ["rate", "p50", "p99", "cpu_each", "core_each"]

    def __init__(self, bench, layout):
        self.bench, self.layout, self.server = bench, layout, None
        self.directory = tempfile.mkdtemp(prefix="program-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.send_signal(signal.SIGINT if self.quits_on_int else signal.SIGTERM)
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()

    quits_on_int = False

    def serve(self, command, **how):
        with open(os.path.join(self.directory, "output"), "wb") as out:
            self.server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory,
                preexec_fn=host.pin(self.bench.load_cores), **how)
        give_up = time.monotonic() + 15
        while not self.answers():
            if self.server.poll() is not None or time.monotonic() > give_up:
                with open(os.path.join(self.directory, "output"), errors="replace") as f:
                    raise Failure(f"{command[0]}: {f.read().strip()[-200:] or 'does not start'}")
            time.sleep(0.005)

    def answers(self):
        try:
            socket.create_connection((self.layout.server_host, self.layout.server_port), 1).close()
            return True
        except OSError:
            return False

    def run(self, command, **how):
        r = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           cwd=self.directory, timeout=60,
                           preexec_fn=host.pin(self.bench.load_cores), **how)
        if r.returncode != 0:
            raise Failure(f"{command[0]}: {(r.stderr or r.stdout).strip()[-200:]}")
        return r.stdout

    @staticmethod
    def where(target):
        address, port = target.client_address().split("+")[0].split(":")
        return address, port


class Redis(Program):
    needs = ["redis-server", "redis-benchmark"]

    def begin(self):
        self.serve([host.program("redis-server"), "--bind", self.layout.server_host, "--port",
                    str(self.layout.server_port), "--save", "", "--appendonly", "no",
                    "--dir", self.directory])

    def cases(self):
        return [("get", "redis-benchmark GET, 64 B, 50 clients"),
                ("set", "redis-benchmark SET, 64 B, 50 clients")]

    def drive(self, what, target):
        address, port = self.where(target)
        count = int(40000 * self.bench.seconds)
        text = self.run([host.program("redis-benchmark"), "-h", address, "-p", port, "-t", what,
                         "-n", str(count), "-c", "50", "-d", "64", "--csv"])
        row = [w.strip('"') for w in text.strip().splitlines()[-1].split(",")]
        # test, rps, then milliseconds: average, min, p50, p95, p99, max
        return {"rate": float(row[1]), "p50": float(row[4]) / 1e3,
                "p99": float(row[6]) / 1e3}, count


class Pgbench(Program):
    needs = ["postgres", "pgbench"]
    metrics = ["rate", "p50", "cpu_each", "core_each"]
    quits_on_int = True

    def begin(self):
        how = {}
        os.chmod(self.directory, 0o711)
        if os.geteuid() == 0:       # which postgres refuses to be
            names = [p.pw_name for p in pwd.getpwall()]
            how = {"user": "postgres" if "postgres" in names else "nobody"}
            os.chown(self.directory, pwd.getpwnam(how["user"]).pw_uid, -1)
        data = os.path.join(self.directory, "data")
        self.run([host.program("initdb"), "-D", data, "-A", "trust", "-U", "bench", "-N"], **how)
        self.serve([host.program("postgres"), "-D", data, "-c", "fsync=off",
                    "-c", f"listen_addresses={self.layout.server_host}",
                    "-c", f"port={self.layout.server_port}", "-c", "unix_socket_directories=",
                    "-c", "ssl=off", "-c", "shared_buffers=32MB"], **how)
        self.run(self.pgbench(self.layout.server_host, self.layout.server_port) + ["-i", "-q"])

    @staticmethod
    def pgbench(address, port):
        return [host.program("pgbench"), "-h", str(address), "-p", str(port), "-U", "bench",
                "-d", "postgres"]

    def answers(self):
        """Not before it takes queries: a server that starts up accepts, and says no."""
        r = subprocess.run(self.pgbench(self.layout.server_host, self.layout.server_port)
                           + ["-n", "-t", "1", "-f", "-"], input="SELECT 1;",
                           capture_output=True, text=True)
        return r.returncode == 0

    def cases(self):
        return [("select", "pgbench -S -M prepared, 8 clients")]

    def drive(self, what, target):
        address, port = self.where(target)
        each = max(100, int(1000 * self.bench.seconds))
        text = self.run(self.pgbench(address, port) + [
            "-n", "-S", "-M", "prepared", "-c", "8", "-j", "1", "-t", str(each)])
        rate = re.search(r"tps = ([\d.]+)", text)
        latency = re.search(r"latency average = ([\d.]+) ms", text)
        if not rate or not latency:
            raise Failure("pgbench: no figures in what it prints")
        return {"rate": float(rate.group(1)), "p50": float(latency.group(1)) / 1e3}, 8 * each


class Wrk(Program):
    needs = ["nginx", "wrk"]

    def begin(self):
        for name, size in (("page", 1024), ("file", 1 << 20)):
            with open(os.path.join(self.directory, name), "wb") as f:
                f.write(b"z" * size)
        conf = os.path.join(self.directory, "conf")
        paths = "".join(f"    {kind}_temp_path {self.directory}/{kind};\n" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(conf, "w") as f:
            f.write(f"""\
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {self.directory}/pid;
error_log stderr crit;
events {{ worker_connections 1000; }}
http {{
{paths}    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=10;
    server {{ listen {self.layout.server_host}:{self.layout.server_port}; root {self.directory}; }}
}}
""")
        os.chmod(self.directory, 0o711)
        self.serve([host.program("nginx"), "-p", self.directory, "-e", "stderr", "-c", conf])

    def cases(self):
        return [("page", "wrk, 1 KB page of nginx, 50 clients"),
                ("file", "wrk, 1 MB file of nginx, 50 clients")]

    def drive(self, what, target):
        address, port = self.where(target)
        text = self.run([host.program("wrk"), "-t", "1", "-c", "50", "-d", "1s", "--latency",
                         f"http://{address}:{port}/{what}"])
        found = re.search(r"(\d+) requests in", text)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
        if not found or not rate or "Non-2xx" in text:
            raise Failure(f"wrk: {text.strip()[-200:]}")
        values = {"rate": float(rate.group(1))}
        for key, share in (("p50", "50%"), ("p99", "99%")):
            value, unit = re.search(rf"\s{share}\s+([\d.]+)(us|ms|s)\s", text).groups()
            values[key] = float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]
        return values, int(found.group(1))


ALL = {"redis": Redis, "pgbench": Pgbench, "wrk": Wrk}
