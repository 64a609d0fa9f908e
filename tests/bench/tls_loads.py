"""The loads whose clients speak TLS, which ends at the proxy: the servers get plain bytes. Certificate
(ECDSA P-256), curve (X25519) and cipher (AES-128-GCM) are the same for all."""

import os
import subprocess
import tempfile

import host
from host import Failure
from loads import Concurrent, Load, exchange_values, people, per, run_load, size_name


def make_certificate():
    """Returns a file with a certificate and its key."""
    if gone := host.missing(["openssl"]):
        raise Failure(f"missing {gone[0]}")
    base = os.path.join(tempfile.mkdtemp(prefix="certificate-"), "server")
    subprocess.run([host.program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=server.test",
                    "-addext", "subjectAltName=DNS:server.test", "-keyout", base + ".key",
                    "-out", base + ".crt"], check=True, stderr=subprocess.DEVNULL)
    with open(base + ".pem", "w") as f:
        for suffix in ".crt", ".key":
            with open(base + suffix) as part:
                f.write(part.read())
    return base + ".pem"


class TlsLoad(Load):
    """Payload passes user space in every proxy: there is nothing to splice."""

    def targets(self):
        return [t for t in self.bench.targets
                if t.proxy and t.name != "copy" and "splice" not in t.name]

    def layout(self, cores=None, **how):
        return super().layout(cores, certificate=make_certificate(), **how)


class TlsConnect(TlsLoad):
    name = "tls-connect"
    cost = 0.3
    rounds, seconds = 9, 0.3
    metrics = ["rate", "p50", "p99", "cpu_each", "core_each", "load_busy"]

    def plan(self):
        kinds = [("TLS 1.3", []), ("TLS 1.3, resumed", ["-r"]), ("TLS 1.2", ["-o"]),
                 ("TLS 1.2, resumed", ["-o", "-r"])]
        kinds = kinds[:2] if self.options.quick else kinds
        return [(kind, n) for kind in kinds for n in self.pick("clients", [50], [50])]

    def run(self):
        cases = [self.case(f"{kind}, {people(n)}", self.metrics, kind=kind, words=words, clients=n)
                 for (kind, words), n in self.plan()]
        self.run_cases(self.layout(), cases, self.measure)

    def measure(self, case, target):
        return exchange_values(self.bench, run_load(
            self.bench, target, "connect", "-n", case.params["clients"], *case.params["words"]))


class TlsExchange(TlsLoad):
    name = "tls-exchange"
    metrics = ["rate", "p50", "p99", "cpu_each", "core_each", "load_busy"]

    def plan(self):
        sizes = self.pick("sizes", [64, 1024, 16384], [64, 16384])
        clients = self.pick("clients", [1, 50, 500], [50])
        return [(size, n) for size in sizes for n in clients]

    def run(self):
        cases = [self.case(f"{size_name(size)}, {people(n)}", self.metrics, size=size, clients=n)
                 for size, n in self.plan()]
        self.run_cases(self.layout(), cases, self.measure)

    def measure(self, case, target):
        return exchange_values(self.bench, run_load(
            self.bench, target, "exchange", "-n", case.params["clients"],
            "-z", case.params["size"]))


class TlsTransfer(TlsLoad):
    name = "tls-transfer"
    cost = 0.3
    rounds, seconds = 7, 0.3
    metrics = ["throughput", "cpu_byte", "core_byte", "core_busy", "load_busy"]

    def plan(self):
        streams = self.pick("streams", [1, 8], [8])
        ways = self.pick("direction", ["up", "down"], ["up", "down"])
        return [(n, way) for n in streams for way in ways]

    def run(self):
        cases = [self.case(f"{people(n, 'stream')} {way}", self.metrics, streams=n, direction=way)
                 for n, way in self.plan()]
        self.run_cases(self.layout(servers=1, bulk=True), cases, self.measure)

    def measure(self, case, target):
        r = run_load(self.bench, target, "transfer", "-n", case.params["streams"],
                     "-d", case.params["direction"])
        return {"throughput": r["bytes"] / r["seconds"],
                **per(r, "byte", r["bytes"], self.bench.baseline)}


class TlsConcurrent(TlsLoad, Concurrent):
    name = "tls-concurrent"
    rounds = 3
    metrics = ["memory", "fds", "rate", "p50", "cpu_each"]

    def plan(self):
        return self.pick("idle", [1000], [1000])


ALL = {kind.name: kind for kind in (TlsConnect, TlsExchange, TlsTransfer, TlsConcurrent)}
