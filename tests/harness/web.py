"""zproxy's HTTP server, and its readers: Prometheus and a browser."""

import http.client
import json
import re
import shlex
import urllib.parse

from .addresses import fresh_address
from .machine import need, find_program, run_program, scratch
from .program import Zproxy, sections_for, zproxy
from .services import Service
from .tap import DEADLINE, Failure


def need_http():
    need("libmicrohttpd no" not in zproxy("-v").stdout,
         "this zproxy was built without libmicrohttpd")


class Reply:
    """An answer: .status, .headers (names in lower case), .text."""

    def __init__(self, answer):
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.text = answer.read().decode()


def ask(address, path, method="GET", body=None):
    connection = http.client.HTTPConnection(address.host, address.port, timeout=DEADLINE)
    try:
        connection.request(method, path, body)
        return Reply(connection.getresponse())
    finally:
        connection.close()


_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


class Metrics:
    """/metrics, read once."""

    def __init__(self, text):
        self.text = text
        self.series = {}    # (name, labels): value
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            series, value = line.rsplit(" ", 1)
            name, _, labels = series.partition("{")
            pairs = frozenset((key, re.sub(r"\\.", lambda m: _ESCAPES[m[0]], text))
                              for key, text in _LABEL.findall(labels.removesuffix("}")))
            if (name, pairs) in self.series:
                raise Failure(f"twice: {series}")
            self.series[name, pairs] = float(value)

    def names(self):
        return {name for name, _ in self.series}

    def all(self, name, /, **labels):
        """Returns {all labels: value} of the series with at least these labels."""
        return {pairs: value for (each, pairs), value in self.series.items()
                if each == name and pairs >= set(labels.items())}

    def value(self, name, /, **labels):
        """Returns the sum of the series with at least these labels; raises Failure without any."""
        found = self.all(name, **labels)
        if not found:
            raise Failure(f"no series {name} {labels}")
        return sum(found.values())


class Watched(Zproxy):
    """zproxy with an HTTP server, [admin] http, at the address .http."""

    def __init__(self, relay=None, servers=None, *, listen=None, pool=None, bind=None,
                 sections=None, control=None, **options):
        need_http()
        bind = bind or fresh_address()
        self.http = fresh_address()
        sections = sections or sections_for(servers, bind, listen, pool)
        if control is None:
            sections = f"[admin]\nhttp = {self.http}\n{sections}"
        else:
            control = {"http": self.http, **control}
        super().__init__(relay, bind=bind, sections=sections, control=control, **options)

    def get(self, path):
        return ask(self.http, path)

    def metrics(self):
        return Metrics(self.get("/metrics").text)

    def stats(self, query=""):
        return json.loads(self.get(f"/stats.json{query}").text)


class Prometheus(Service):
    """A Prometheus that reads the metrics of a zproxy once a second."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def prepare(self):
        d = self.directory
        with open(f"{d}/prometheus.yml", "w") as f:
            f.write("global: { scrape_interval: 1s }\nscrape_configs:\n- job_name: zproxy\n"
                    f"  static_configs: [ {{ targets: ['{self.target}'] }} ]\n")
        return [self.find("prometheus"), f"--config.file={d}/prometheus.yml",
                f"--storage.tsdb.path={d}/data", f"--web.listen-address={self.address}",
                "--log.level=warn"]

    def is_ready(self):
        return ask(self.address, "/-/ready").status == 200

    def api(self, path, **query):
        answer = json.loads(ask(self.address,
                                f"/api/v1/{path}?{urllib.parse.urlencode(query)}").text)
        if answer["status"] != "success":
            raise Failure(str(answer))
        return answer["data"]

    def query(self, text):
        """Returns {labels: value} of a query at this moment."""
        return {frozenset(each["metric"].items()): float(each["value"][1])
                for each in self.api("query", query=text)["result"]}


CHROMIUM = shlex.split(
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --hide-scrollbars")


def browse(url, *options):
    """Runs Chromium. Returns the finished process; its output is, with --dump-dom, the document
    after its script has run."""
    program = find_program("chromium")
    need(program, "chromium is not installed")
    with scratch() as directory:
        return run_program(program, *CHROMIUM, f"--user-data-dir={directory}",
                           "--enable-logging=stderr", *options, url)
