"""Converts haproxy.cfg: health checks."""

import re

from .ini import DAY, HOUR, bytes_of

CHECK_OPTIONS = ("tcp-check httpchk redis-check mysql-check pgsql-check smtpchk ldap-check "
                 "ssl-hello-chk external-check spop-check").split()


class Checks:
    def _checks(self, section, pool, servers):
        checked = [(name, address, options, place) for name, address, options, place in servers
                   if "check" in options]
        if not checked:
            return
        kind, words, place = "tcp", [], checked[0][3]
        for option in CHECK_OPTIONS:
            on, at = section.option(option)
            if on is not None:
                kind, words, place = option, on, at
        {"tcp": self._plain_check, "tcp-check": self._tcp_check, "httpchk": self._http_check}.get(
            kind, self._protocol_check)(section, pool, kind, words, place)
        self._check_times(section, pool, checked)
        ports = {options.get("port", (None,))[0] for _, _, options, _ in checked}
        if len(ports) == 1 and None not in ports and not any(
                "addr" in options for _, _, options, _ in checked) and not pool.get("check_port"):
            pool.set("check_port", ports.pop(), self._common(pool, checked, "port", None, "check_port")[1])
        if any("check-send-proxy" in options for _, _, options, _ in checked):
            pool.set("check_send_proxy", "yes", checked[0][3])
        down = self._common(pool, checked, "on-marked-down", None, "on_down")
        if down and down[0] == "shutdown-sessions":
            pool.set("on_down", "close", down[1])

    def _check_times(self, section, pool, checked):
        inter = self._common(pool, checked, "inter", "2000", "check_interval")
        self._time(pool, "check_interval", inter[0], inter[1] or "default of HAProxy", most=DAY, least=10)
        words, place = section.last("timeout", "check")
        self._time(pool, "check_timeout", words[0] if words else inter[0], place or "inter, as in HAProxy",
                   most=HOUR, zero="1h")
        for option, key, default in (("rise", "check_rise", "2"), ("fall", "check_fall", "3")):
            value, at = self._common(pool, checked, option, default, key)
            pool.set(key, min(max(int(value), 1), 1000) if value.isdigit() else default,
                     at or "default of HAProxy")

    def _plain_check(self, section, pool, kind, words, place):
        pool.set("check", "tcp", place)

    def _tcp_check(self, section, pool, kind, words, place):
        steps, connects = [], 0
        for rule, at in section.all("tcp-check"):
            verb, rest = rule[0] if rule else "", rule[1:]
            while rest[:1] and rest[0] in ("comment", "min-recv", "on-success", "on-error", "ok-status",
                                           "error-status", "tout-status", "status-code"):
                if rest[0] == "min-recv":
                    self.report.dropped(at, "tcp-check min-recv")
                rest = rest[2:]
            if verb == "connect":
                connects += 1
                self._connect_rule(pool, rest, at, connects)
            elif verb in ("send", "send-binary") and rest:
                data = bytes.fromhex(rest[0]) if verb == "send-binary" and re.fullmatch(
                    r"(?:[0-9a-fA-F]{2})+", rest[0]) else rest[0].encode("latin-1", "replace")
                steps.append(("send", bytes_of(data), at))
            elif verb == "expect" and rest:
                steps += self._expect(rest, at, "tcp-check")
            elif verb != "comment":
                self.report.dropped(at, "tcp-check " + " ".join(rule))
        if connects > 1:
            self.report.dropped(place, "tcp-check with several connections: only tcp is used")
            steps = []
        pool.set("check", "send" if steps else "tcp", place)
        for verb, text, at in steps:
            pool.add("check_step", f"{verb} {text}", at)

    def _connect_rule(self, pool, rest, place, number):
        i = 0
        while i < len(rest):
            if rest[i] == "port" and rest[i + 1:i + 2] and rest[i + 1].isdigit() and number == 1:
                pool.set("check_port", rest[i + 1], place)
                i += 1
            elif rest[i] == "send-proxy":
                pool.set("check_send_proxy", "yes", place)
            elif rest[i] not in ("default", "comment"):
                self.report.dropped(place, f"connect {' '.join(rest[i:])} of the check")
                break
            i += 2 if rest[i] == "comment" else 1

    def _expect(self, rest, place, rule):
        """Returns [(verb, text, place)] for the words after "expect"."""
        negated = rest[0] == "!"
        rest = rest[1:] if negated else rest
        kind, text = rest[0], rest[1] if len(rest) > 1 else ""
        if kind == "string" or (kind == "binary" and re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text)):
            data = bytes.fromhex(text) if kind == "binary" else text.encode("latin-1", "replace")
            return [("expect_not" if negated else "expect", bytes_of(data), place)]
        if kind == "rstring" and not negated:
            self.report.differs(place, "expect_regex is an extended regular expression, regex(7)")
            text = re.sub(r"([\r\n\t])", lambda m: repr(m[1])[1:-1], text)
            return [("expect_regex", re.sub(r"(\s)([#;])", r"\1[\2]", text).replace("${", "[$]{"), place)]
        self.report.dropped(place, f"{rule} expect {' '.join(rest)}")
        return []

    def _http_check(self, section, pool, kind, words, place):
        method, path, host = "OPTIONS", "/", None
        if len(words) == 1:
            path = words[0]
        elif words:
            method, path = words[:2]
            if match := re.search(r"[Hh]ost:\s*(\S+)", " ".join(words[2:])):
                host = match[1]
        pool.set("check", "http", place)
        for rule, at in section.all("http-check"):
            if rule[:1] == ["send"]:
                fields = dict(zip(rule[1::2], rule[2::2]))
                method, path = fields.get("meth", method), fields.get("uri", path)
                for i, word in enumerate(rule):
                    if word == "hdr" and [part.lower() for part in rule[i + 1:i + 2]] == ["host"]:
                        host = (rule[i + 2:i + 3] or [host])[0]
                    elif word in ("hdr", "body"):
                        self.report.dropped(at, f"{word} of the http-check")
            elif rule[:1] == ["expect"]:
                self._http_expect(pool, rule[1:], at)
            elif rule[:1] == ["connect"]:
                self._connect_rule(pool, rule[1:], at, 1)
            elif rule[:1] not in (["comment"], ["send-state"]):
                self.report.dropped(at, "http-check " + " ".join(rule))
        if method != "GET":
            self.report.differs(place, f"the check sends GET, not {method}")
        if not re.fullmatch(r"/[!-~]*", path) or re.search(r"\$\{", path):
            self.report.dropped(place, f"path {path} of the check")
            path = "/"
        pool.set("check_path", path, place)
        if host and re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", host):
            pool.set("check_host", host, place)

    def _http_expect(self, pool, rest, place):
        kind, text = (rest + ["", ""])[:2]
        codes = [code for part in text.split(",") for code in part.split("-")]
        if kind == "status" and all(re.fullmatch(r"[1-5]\d\d", code) for code in codes):
            low, high = min(codes), max(codes)
            pool.set("check_status", low if low == high else f"{low}-{high}", place)
            if "," in text:
                self.report.differs(place, f"one range of status codes: {low}-{high}")
        elif kind == "rstatus" and (match := re.fullmatch(r"\^?\(?([1-5])(?:\.\.|\[0-9\]\[0-9\]|\\d\\d)\)?\$?",
                                                          text)):
            pool.set("check_status", f"{match[1]}00-{match[1]}99", place)
        else:
            self.report.dropped(place, "http-check expect " + " ".join(rest))

    def _protocol_check(self, section, pool, kind, words, place):
        user = words[words.index("user") + 1] if "user" in words[:-1] else None
        steps = []
        if kind == "redis-check":
            steps = [("send", b"*1\r\n$4\r\nPING\r\n"), ("expect", b"+PONG\r\n")]
        elif kind == "pgsql-check":
            body = b"\0\3\0\0user\0" + (user or "postgres").encode() + b"\0\0"
            steps = [("send", (len(body) + 4).to_bytes(4, "big") + body), ("expect", b"R\0\0\0")]
        elif kind == "mysql-check":
            steps = [("expect", b"\0\n")]
            if user:
                body = (b"\0\x82\0\0\0\0\0\1\x21" + b"\0" * 23 + user.encode() + b"\0\0")
                steps += [("send", len(body).to_bytes(3, "little") + b"\1" + body),
                          ("expect_not", b"\2\xff"), ("send", b"\1\0\0\0\1")]
        elif kind == "smtpchk":
            hello = " ".join(words[:2]) if len(words) > 1 else "HELO localhost"
            steps = [("expect_regex", b"^220[ -]"), ("send", hello.encode() + b"\r\n"),
                     ("expect_regex", b"^250[ -]"), ("send", b"QUIT\r\n")]
        elif kind == "ldap-check":
            steps = [("send", bytes.fromhex("300c020101600702010304008000")),
                     ("expect", b"\x0a\x01\x00")]
        else:
            self.report.dropped(place, f"option {kind}: check = tcp is used")
        pool.set("check", "send" if steps else "tcp", place)
        for verb, data in steps:
            pool.add("check_step", f"{verb} {data.decode() if verb == 'expect_regex' else bytes_of(data)}",
                     place)
