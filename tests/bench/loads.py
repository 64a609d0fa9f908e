"""The loads. Each yields its cases; a case is measured for every target, round by round."""

import itertools
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time

import host
import programs
from host import Failure
from peers import Layout

KB = 1024


class Metric:
    """What a figure is called in the table, how it is scaled for print, and its better end."""

    def __init__(self, heading, scale=1.0, more_is_better=False, digits=3, ratio=True):
        self.heading, self.scale, self.digits = heading, scale, digits
        self.more_is_better, self.ratio = more_is_better, ratio


METRICS = {     # values are kept in seconds, bytes and counts
    "throughput": Metric("MB/s", 1e-6, True),
    "rate": Metric("per second", 1, True, 0),
    "p50": Metric("p50 µs", 1e6),
    "p99": Metric("p99 µs", 1e6),
    "p999": Metric("p99.9 µs", 1e6),
    "cpu_byte": Metric("CPU ms/GB", 1e12),
    "core_byte": Metric("core ms/GB", 1e12),
    "cpu_each": Metric("CPU µs", 1e6),
    "core_each": Metric("core µs", 1e6),
    "calls": Metric("calls", 1),
    "fairness": Metric("least/most", 1, True, 2, ratio=False),
    "core_busy": Metric("core %", 100, digits=0, ratio=False),
    "load_busy": Metric("load %", 100, digits=0, ratio=False),
    "memory": Metric("user B/session", 1, digits=0),
    "slab": Metric("kernel B/session", 1, digits=0, ratio=False),
    "fds": Metric("fds/session", 1, digits=2),
    "start": Metric("start ms", 1e3),
    "check": Metric("-t ms", 1e3),
}


class Case:
    def __init__(self, load, title, metrics, **params):
        self.load, self.title, self.metrics, self.params = load, title, metrics, params
        self.rounds = {}        # target name: list of {metric: value}, one for each round
        self.details = {}       # target name: {system call: per exchange}


def per(result, kind, amount, baseline):
    """Processor time of the proxy and of its core, for each `amount`."""
    values = {}
    if amount > 0:
        values["cpu_" + kind] = result["cpu"] / amount
        if "core" in result:
            busy = max(0.0, result["core"] - baseline * result["seconds"])
            values["core_" + kind] = busy / amount
    if "core" in result:
        values["core_busy"] = result["core"] / result["seconds"]
    if "load_cpu" in result:
        values["load_busy"] = result["load_cpu"] / result["seconds"]
    return values


def run_load(bench, target, mode, *words, **how):
    """One run of the load program through a target, and again where another process was at work on
    its cores meanwhile: the least disturbed one counts."""
    runs = [run_load_once(bench, target, mode, *words, **how)]
    while disturbance(runs[-1]) > 0.15 and not how and len(runs) <= bench.again:
        runs.append(run_load_once(bench, target, mode, *words, **how))
        bench.disturbed += 1
    return min(runs, key=disturbance)


def disturbance(r):
    """Share of the time in which a core did neither the proxy's nor the load's work."""
    of_proxy = r["core"] - r["cpu"] if "core" in r and r["cpu"] > 0 else 0.0
    of_load = r["load_core"] - r["load_cpu"] if "load_core" in r else 0.0
    return max(of_proxy, of_load) / r["seconds"]


def run_load_once(bench, target, mode, *words, ready=None, done=None, length=None, core=True):
    """Calls ready() once all sessions stand, and done() before they are taken down."""
    layout, cut = target.layout, length or bench.seconds
    command = [bench.tls_load_program if layout.certificate else bench.load_program, mode, "-t", target.client_address(),
               "-s", target.server_address(), "-w", str(int(1000 * min(0.2, cut / 3))),
               "-l", str(int(1000 * cut)), *map(str, words)]
    for pid in target.pids:
        command += ["-p", str(pid)]
    if core:
        command += ["-k", str(bench.proxy_core)]
        if len(bench.load_cores) == 1:
            command += ["-K", str(bench.load_cores[0])]
    if layout.network:
        command += ["-C", layout.network.clients_ns, "-S", layout.network.servers_ns]
    elif mode == "connect" and not layout.certificate:
        command += ["-f", "127.0.1.1+64"]
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, preexec_fn=host.pin(bench.load_cores))

    def say(expect_within):
        if not select.select([p.stdout], [], [], expect_within)[0]:
            raise Failure(f"{target.name}: the load says nothing")
        line = p.stdout.readline()
        if not line:
            target.check()
            raise Failure(f"{target.name}: {p.stderr.read().strip() or 'the load ended'}")
        return line

    try:
        say(60)
        if ready:
            ready()
        p.stdin.write("\n")
        p.stdin.flush()
        line = say(cut + 30)
        if done:
            done()
        p.stdin.write("\n")
        p.stdin.flush()
        p.wait(30)
    except BrokenPipeError:
        raise Failure(f"{target.name}: {p.stderr.read().strip() or 'the load ended'}")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
        for stream in (p.stdin, p.stdout, p.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass
    target.check()
    result = json.loads(line)
    if result.get("failed"):
        bench.note(f"{target.name}: {result['failed']:.0f} sessions broke during {mode}")
    return result


class Strace:
    """Counts a target's system calls from now until stop()."""

    def __init__(self, bench, target):
        self.path = os.path.join(tempfile.mkdtemp(prefix="strace-"), "calls")
        words = [w for pid in target.pids for w in ("-p", str(pid))]
        self.process = subprocess.Popen(
            [host.program("strace"), "-f", "-c", "-o", self.path] + words,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=host.pin(bench.load_cores))
        give_up = time.monotonic() + 10
        while not all(self.traced(pid) for pid in target.pids):
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise Failure("strace cannot attach")
            time.sleep(0.005)

    @staticmethod
    def traced(pid):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as f:
                if re.search(r"TracerPid:\s+0\n", f.read()):
                    return False
        return True

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)

    def counts(self):
        """{system call: how often}. Lines: % time, seconds, usecs/call, calls, [errors,] name."""
        counts = {}
        with open(self.path) as f:
            for line in f:
                word = line.split()
                if len(word) >= 5 and word[3].isdigit() and word[-1] != "total":
                    counts[word[-1]] = int(word[3])
        return counts


def count_calls(bench, target, mode, *words):
    """System calls of the proxy per exchange, each kind by itself."""
    if not target.proxy or not bench.count_calls:
        return None
    tracers = []
    result = run_load(bench, target, mode, *words, length=0.4,
                      ready=lambda: tracers.append(Strace(bench, target)),
                      done=lambda: tracers[0].stop())
    if not result["total"]:
        return None
    calls = {k: v / result["total"] for k, v in tracers[0].counts().items()}
    return {k: v for k, v in sorted(calls.items(), key=lambda kv: -kv[1]) if v >= 0.005}


def size_name(size):
    return f"{size // KB} KB" if size >= KB else f"{size} B"


def people(count, noun="client"):
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


class Load:
    """A load goes through its settings; a setting is a layout with the cases measured in it."""
    name = ""
    cost = 0.2      # seconds that a measure takes besides the time measured, about
    rounds = 11     # many short ones: a machine's moods last longer than a round
    seconds = 0.1   # of a measure

    def __init__(self, bench):
        self.bench, self.options = bench, bench.options
        if bench.options.quick:
            self.rounds = (self.rounds + 3) // 4
        self.rounds = bench.options.rounds or self.rounds
        self.seconds = bench.options.seconds or self.seconds

    def pick(self, option, usual, quick):
        """Values given on the command line, or else the usual ones, or else the few."""
        given = getattr(self.options, option)
        return given if given is not None else quick if self.options.quick else usual

    def targets(self):
        return self.bench.targets

    def step_cost(self):
        return self.seconds + self.cost

    def total_cost(self):
        """Seconds, about."""
        return len(self.plan()) * self.rounds * len(self.targets()) * self.step_cost()

    def layout(self, cores=None, **how):
        return Layout(cores or [self.bench.proxy_core], buffer_size=self.options.buffer, **how)

    def case(self, title, metrics, **params):
        return Case(self.name, title, metrics, **params)

    def run_cases(self, layout, cases, measure, calls=None):
        """All targets stand at the same time and take turns within each round. calls(): what
        count_calls() shall run for a case."""
        bench, targets = self.bench, self.targets()
        try:
            for t in targets:
                t.start(layout)
            bench.learn_baseline()
            for case in cases:
                self.run_rounds([case], targets, measure)
                if calls:
                    self.add_calls(case, calls(case))
                bench.finished(case)
        finally:
            for t in targets:
                t.stop()

    def run_rounds(self, cases, targets, measure):
        """Cases that are compared with each other take turns too. A target that fails leaves a
        gap and a note; the others go on."""
        for turn in range(self.rounds):
            for case, t in itertools.product(cases, turned(targets, turn)):
                self.bench.step(self, case, turn, t)
                values = {}
                try:
                    values = measure(case, t)
                except Failure as e:
                    self.bench.failed(f"{self.name}, {case.title}: {e}")
                case.rounds.setdefault(t.name, []).append(values)

    def add_calls(self, case, words):
        for t in self.targets():
            try:
                calls = count_calls(self.bench, t, *words)
            except Failure as e:
                self.bench.failed(f"{self.name}, {case.title}, calls: {e}")
                continue
            if calls:
                case.details[t.name] = calls
                for values in case.rounds[t.name]:
                    values["calls"] = sum(calls.values())


def turned(targets, turn):
    """Another target begins each round, so that none always follows the same one."""
    turn %= len(targets)
    return targets[turn:] + targets[:turn]


class Transfer(Load):
    name = "transfer"
    cost = 0.3
    rounds, seconds = 7, 0.2
    metrics = ["throughput", "cpu_byte", "core_byte", "core_busy", "load_busy"]

    def plan(self):
        networks = self.pick("net", ["loopback", "mtu1500"], ["loopback", "mtu1500"])
        streams = self.pick("streams", [1, 8, 64], [1, 8])
        ways = self.pick("direction", ["up", "down", "both"], ["down"])
        return [(net, n, way) for net in networks for n in streams for way in ways]

    def run(self):
        for net in dict.fromkeys(net for net, _, _ in self.plan()):
            if net == "mtu1500" and not host.isolated():
                self.bench.note("transfer: no MTU 1500 without network namespaces")
                continue
            network = host.Mtu1500() if net == "mtu1500" else None
            try:
                where = "MTU 1500" if network else "loopback"
                self.run_cases(
                    self.layout(servers=1, network=network, bulk=True),
                    [self.case(f"{people(n, 'stream')} {way}, {where}", self.metrics,
                               net=net, streams=n, direction=way)
                     for at, n, way in self.plan() if at == net],
                    self.measure)
            finally:
                if network:
                    network.close()

    def measure(self, case, target):
        r = run_load(self.bench, target, "transfer", "-n", case.params["streams"],
                     "-d", case.params["direction"], *(["-b"] if self.options.copied else []))
        return {"throughput": r["bytes"] / r["seconds"], "fairness": r["fairness"],
                **per(r, "byte", r["bytes"], self.bench.baseline)}


def exchange_values(bench, r):
    return {"rate": r["count"] / r["seconds"], "p50": r["p50"], "p99": r["p99"],
            "p999": r["p999"], **per(r, "each", r["count"], bench.baseline)}


class Exchange(Load):
    name = "exchange"
    metrics = ["rate", "p50", "p99", "p999", "cpu_each", "core_each", "calls", "load_busy"]

    def plan(self):
        sizes = self.pick("sizes", [64, KB, 16 * KB], [64, 16 * KB])
        clients = self.pick("clients", [1, 50, 500], [1, 50])
        return [(size, n) for size in sizes for n in clients]

    def run(self):
        cases = [self.case(f"{size_name(size)}, {people(n)}", self.metrics, size=size, clients=n)
                 for size, n in self.plan()]
        self.run_cases(self.layout(), cases, self.measure, self.calls)

    def measure(self, case, target):
        return exchange_values(self.bench, run_load(
            self.bench, target, "exchange", "-n", case.params["clients"],
            "-z", case.params["size"]))

    def calls(self, case):
        return ("exchange", "-n", case.params["clients"], "-z", case.params["size"])


class Connect(Load):
    name = "connect"
    cost = 0.3
    metrics = ["rate", "p50", "p99", "cpu_each", "core_each", "calls", "load_busy"]

    def plan(self):
        return self.pick("clients", [1, 50], [50])

    def run(self):
        cases = [self.case(people(n), self.metrics, clients=n) for n in self.plan()]
        self.run_cases(self.layout(), cases, self.measure, self.calls)

    def measure(self, case, target):
        return exchange_values(self.bench, run_load(
            self.bench, target, "connect", "-n", case.params["clients"]))

    def calls(self, case):
        return ("connect", "-n", case.params["clients"])


class Concurrent(Load):
    name = "concurrent"
    cost = 1.0
    rounds, seconds = 5, 0.2
    metrics = ["memory", "slab", "fds", "rate", "p50", "p99", "cpu_each", "core_each"]

    def plan(self):
        return self.pick("idle", [0, 100, 1000, 9000], [0, 1000])

    def run(self):
        """Every measure takes a fresh process: some keep the memory of sessions that are gone."""
        self.bench.learn_baseline()
        cases = [self.case(f"{people(idle, 'idle session')} beside 1 client", self.metrics,
                           idle=idle) for idle in self.plan()]
        self.run_rounds(cases, self.targets(), self.measure)
        for case in cases:
            self.split_slab(case)
            self.bench.finished(case)

    def measure(self, case, target):
        idle, after = case.params["idle"], []
        try:
            target.start(self.layout())
            before = self.weigh(target)
            r = run_load(self.bench, target, "exchange", "-n", 1, "-i", idle,
                         ready=lambda: after.append(self.weigh(target)))
        finally:
            target.stop()
        values = exchange_values(self.bench, r)
        if idle >= 100:     # fewer say more of the start than of the sessions
            for name, a, b in zip(("memory", "slab", "fds"), before, after[0]):
                if a is not None:
                    values[name] = (b - a) / (idle + 1)
        return values

    @staticmethod
    def weigh(target):
        if not target.proxy:
            return None, host.slab(), None
        return host.memory(target.pids), host.slab(), host.descriptors(target.pids)

    @staticmethod
    def split_slab(case):
        """The load's own sockets weigh as much with a proxy as without one: what direct sessions
        cost is not the proxy's. Without `direct` nothing can be said."""
        own = [v["slab"] for v in case.rounds.get("direct", []) if "slab" in v]
        own = sorted(own)[len(own) // 2] if own else None
        for name, rounds in case.rounds.items():
            for values in rounds:
                if name == "direct" or own is None:
                    values.pop("slab", None)
                elif "slab" in values:
                    values["slab"] -= own


class Breadth(Load):
    name = "breadth"
    cost = 1.6
    rounds, seconds = 5, 0.2
    metrics = ["start", "check", "exchange_cpu", "exchange_p50", "connect_cpu", "connect_p50"]

    def plan(self):
        servers = self.pick("servers", [1, 10, 100, 1000], [1, 1000])
        listeners = self.pick("listeners", [10, 100, 1000], [1000])
        return [(1, n) for n in servers] + [(n, 1) for n in listeners]

    def targets(self):
        return [t for t in self.bench.targets if t.proxy]

    def run(self):
        cases = [self.case(f"{people(listeners, 'listener')}, {people(servers, 'server')}",
                           self.metrics, listeners=listeners, servers=servers)
                 for listeners, servers in self.plan()]
        self.run_rounds(cases, self.targets(), self.measure)
        for case in cases:
            self.bench.finished(case)

    def measure(self, case, target):
        layout = self.layout(**case.params)
        try:
            values = {"check": target.time_check(layout),
                      "start": self.time_start(target, layout)}
            for mode in ("exchange", "connect"):
                r = run_load(self.bench, target, mode, "-n", 50)
                values[mode + "_p50"] = r["p50"]
                values[mode + "_cpu"] = r["cpu"] / r["count"]
        finally:
            target.stop()
        return values

    def time_start(self, target, layout):
        """Seconds from the start of the program until its last listener has passed a first
        session on to a server."""
        with programs.Acceptor(layout.server_host, layout.server_port, layout.servers) as servers:
            start = time.monotonic()
            target.start(layout, wait=False)
            address = (layout.listen_host, target.base_port + layout.listeners - 1)
            while not servers.reached_through(address):
                target.check()
                if time.monotonic() > start + 15:
                    raise Failure(f"{target.name} passes no session on")
            took = time.monotonic() - start
        target.await_ready()
        return took


for mode in ("exchange", "connect"):
    METRICS[mode + "_cpu"] = Metric(f"{mode} CPU", 1e6)
    METRICS[mode + "_p50"] = Metric(f"{mode} p50", 1e6)


class Workers(Load):
    name = "workers"
    cost = 0.3
    rounds, seconds = 3, 0.5
    metrics = ["fairness", "rate", "p50", "p99", "cpu_each", "load_busy"]
    clients = 200

    def plan(self):
        return self.pick("workers", [1, 2], [2])

    def targets(self):
        return [t for t in self.bench.targets if t.proxy]

    def run(self):
        bench = self.bench
        for workers in self.plan():
            apart = [c for c in bench.all_cores if c not in bench.load_cores[:1]]
            cores = apart[:workers] if len(apart) >= workers else bench.all_cores
            if workers == 1:
                cores = [bench.proxy_core]
            case = self.case(f"{people(workers, 'worker')}, 64 B, {people(self.clients)}"
                             + ("" if len(cores) == workers and len(apart) >= workers else
                                ", sharing cores with the load"), self.metrics, workers=workers)
            self.run_cases(self.layout(cores, workers=workers), [case], self.measure)

    def measure(self, case, target):
        spread = []
        r = run_load(self.bench, target, "exchange", "-n", self.clients, core=False,
                     ready=lambda: spread.extend(host.watched(target.pids)))
        values = exchange_values(self.bench, r)
        workers = case.params["workers"]
        if len(spread) >= workers and spread[0] >= self.clients // workers:
            values["fairness"] = spread[workers - 1] / spread[0]
        return values


class Real(Load):
    name = "real"
    cost = 2.0
    rounds, seconds = 3, 0.5

    def plan(self):
        return self.pick("programs", list(programs.ALL), list(programs.ALL))

    def run(self):
        bench = self.bench
        for name in self.plan():
            kind = programs.ALL[name]
            if gone := host.missing(kind.needs):
                bench.note(f"{name}: left out, missing {', '.join(gone)}")
                continue
            layout = self.layout(servers=1)
            with kind(bench, layout) as p:
                p.begin()
                cases = [self.case(title, kind.metrics, program=name, what=what)
                         for what, title in p.cases()]
                self.run_cases(layout, cases, lambda case, t: self.measure(p, case, t))

    def measure(self, program, case, target):
        bench = self.bench
        cpu, idle = host.cpu_seconds(target.pids), host.core_idle(bench.proxy_core)
        start = time.monotonic()
        values, count = program.drive(case.params["what"], target)
        seconds = time.monotonic() - start
        core = seconds - (host.core_idle(bench.proxy_core) - idle)
        target.check()
        r = {"cpu": host.cpu_seconds(target.pids) - cpu, "core": core, "seconds": seconds}
        return {**values, **per(r, "each", count, bench.baseline)}


ALL = {kind.name: kind for kind in
       (Transfer, Exchange, Connect, Concurrent, Breadth, Workers, Real)}
