"""Converts haproxy.cfg: listeners, and the addresses they are bound to."""

import re

from . import haproxy_tls
from .haproxy_words import UNITS
from .ini import (DAY, YEAR, Section, is_ip, join, name_of, parse_time, split_port, time_of,
                  unix_address)

BIND_ONE_WORD = """name backlog maxconn mode user group uid gid id interface mss namespace nice process
    thread tcp-ut proto level severity-output shards guid cc""".split() + haproxy_tls.BIND_ONE_WORD
BIND_SILENT = """name id nice process thread level severity-output proto shards mode user group uid gid
    guid v4v6 v6only accept-proxy backlog maxconn tfo defer-accept tcp-ut expose-fd transparent
    interface cc""".split() + haproxy_tls.BIND


class Listeners:
    def _bind_addresses(self, text, words, place):
        """Returns the addresses of the first word of a bind line."""
        result = []
        for part in text.split(","):
            match = re.match(r"(ipv4|ipv6|unix|abns|fd|sockpair|udp|udp4|udp6|quic4|quic6|tcp|tcp4|tcp6)@",
                             part)
            kind, bare = (match[1], part[match.end():]) if match else ("", part)
            if kind in ("unix", "abns") or bare.startswith("/"):
                address = unix_address("@" + bare if kind == "abns" else bare)
            elif kind in ("", "ipv4", "ipv6", "tcp", "tcp4", "tcp6"):
                address = self._bind_ip(kind, bare, words)
            else:
                address = None
            if address is None:
                self.report.dropped(place, f"bind {part}: not an address that zproxy can listen on")
            else:
                result.append(address)
        return result

    @staticmethod
    def _bind_ip(kind, text, words):
        host, ports = split_port(text, r"\d+(?:-\d+)?")
        if ports is None:
            return None
        host = host.strip("[]")
        if host == "localhost":
            host = "127.0.0.1"
        if host in ("", "*"):
            host = "::" if kind in ("ipv6", "tcp6") else "0.0.0.0"
        if host == "::" and "v4v6" in words:
            return f"*:{ports}"
        return join(host, ports) if is_ip(host) else None

    def _bind_options(self, words, place):
        """Returns {option: value}; None if the address cannot be served."""
        options, certificates, i = {}, [], 0
        while i < len(words):
            word = words[i]
            options[word] = "".join(words[i + 1:i + 2]) if word in BIND_ONE_WORD else True
            if word in ("crt", "crt-list"):
                certificates.append((word, options[word]))
            i += 2 if word in BIND_ONE_WORD else 1
        if "ssl" in options:
            options["tls"] = self._bind_tls(options, certificates, place)
            if options["tls"] is None:
                return None
        for word in options:
            if word in ("mss", "namespace") or word not in (*BIND_SILENT, "tls"):
                self.report.dropped(place, f"bind option {word}")
        return options

    def _listen(self, section):
        groups = {}     # binds with the same settings of the listener
        proxies = [self._expect_proxy(section)]
        for words, place in section.all("bind"):
            options = self._bind_options(words[1:], place)
            if options is None:
                continue
            key = tuple((word, options.get(word)) for word in
                        ("accept-proxy", "backlog", "maxconn", "tfo", "defer-accept", "tcp-ut", "cc", "tls"))
            groups.setdefault(key, []).append((words, options, place))
        if not groups:
            self.report.dropped(section.place, f"{section.kind} {section.name}: no address to listen on")
        name = name_of(section.name, self.report, section.place)
        for number, (key, binds) in enumerate(groups.items()):
            title = self.ini.unique(self.ini.listens, "listen", name)
            if number:
                self.report.differs(binds[0][2], f"this address has other settings: [listen {title}]")
            listen = Section(f"listen {title}", section.place, f"{section.kind} {section.name}")
            for words, options, place in binds:
                for address in self._bind_addresses(words[0], words, place):
                    self.ini.bind(listen, address, place, self._address_options(address, options, place))
            if listen.lines:
                self.ini.listens.append(listen)
                self._listen_keys(section, listen, dict(key), binds[0][2], proxies[0])

    def _address_options(self, address, options, place):
        if not address.startswith("unix:"):
            text = " freebind" if "transparent" in options else ""
            if text:
                self.report.differs(place, "transparent: freebind binds an address that is not here, but "
                                    "does not accept what is redirected by TPROXY")
            return text + (f" device={options['interface']}" if options.get("interface") else "")
        if not address.startswith("unix:/"):
            return ""
        text = ""
        for word in ("mode", "user", "group"):
            if word in options:
                text += f" {word}={options[word]}"
        if "uid" in options or "gid" in options:
            self.report.dropped(place, "uid or gid of the socket file: use user and group")
        return text

    def _expect_proxy(self, section):
        """Returns (networks, place) of a tcp-request expect-proxy rule, or None."""
        for words, place in section.all("tcp-request"):
            if words[:3] == ["connection", "expect-proxy", "layer4"]:
                alternatives = self._condition(section, words[3:], place)
                networks = self._networks(alternatives)
                if networks and len(words) > 3:
                    self.report.differs(place, "clients outside of these networks are reset; HAProxy "
                                        "serves them without a header")
                return networks or ["all"], place
        return None

    def _listen_keys(self, section, listen, options, bind_place, expected):
        routes = self._routing(section, listen)
        self._timeouts(section, listen, routes)
        maxconn, place = section.last("maxconn")
        if options.get("maxconn"):
            maxconn, place = [options["maxconn"]], bind_place
        if maxconn and maxconn[0].isdigit() and int(maxconn[0]):
            listen.set("max_connections", maxconn[0], place)
        backlog, place = section.last("backlog")
        if options.get("backlog"):
            backlog, place = [options["backlog"]], bind_place
        if backlog and backlog[0].isdigit() and int(backlog[0]):
            listen.set("backlog", min(int(backlog[0]), 65535), place)
        if options.get("tfo"):
            listen.set("fastopen", 1024, bind_place)
        if options.get("defer-accept"):
            listen.set("defer_accept", "1s", bind_place)
        if options.get("tcp-ut"):
            self._time(listen, "tcp_user_timeout", options["tcp-ut"], bind_place, most=24 * DAY)
        if options.get("cc"):
            listen.set("congestion", options["cc"], bind_place)
        if options.get("tls"):
            self._set_bind_tls(listen, options["tls"], bind_place)
        self._keepalive(section, listen)
        self._access(section, listen)
        if options.get("accept-proxy") or expected:
            networks, place = expected or (["all"], bind_place)
            if networks == ["all"]:
                self.report.differs(place, "trusted_proxies = all accepts headers from every peer, as "
                                    "HAProxy does; set it to the networks of the proxies")
            listen.set("accept_proxy", "yes", place)
            for network in networks:
                listen.add("trusted_proxies", network, place)
        self._preread(section, listen)

    def _keepalive(self, section, listen):
        value, origin = "no", "default of HAProxy"
        for option in ("tcpka", "clitcpka", "srvtcpka"):
            on, place = section.option(option)
            if on is not None:
                value, origin = "yes", place
        parts = [section.last(f"{side}tcpka-{part}") for part in ("idle", "intvl", "cnt")
                 for side in ("cli", "srv")]
        values = [words[0] for words, _ in parts if words]
        if value == "yes" and values:
            idle, interval, count = (
                next((words[0] for words, _ in parts[i:i + 2] if words), None) for i in (0, 2, 4))
            seconds = [parse_time(text, UNITS, "s") if text else default
                       for text, default in ((idle, 7200000), (interval, 75000))]
            if None not in seconds:
                value = "/".join([time_of(max(ms, 1000)) for ms in seconds] + [count or "9"])
        listen.set("keepalive", value, origin)

    def _times(self, section, pool):
        """Returns (idle, half closed), each (ms, place). HAProxy has a timeout for each side, of which the
        shorter one ends the session."""
        times = {}
        for side, owner, old in (("client", section, "clitimeout"), ("client-fin", section, None),
                                 ("server", pool, "srvtimeout"), ("server-fin", pool, None),
                                 ("tunnel", pool, None)):
            words, place = owner.last("timeout", side) if owner else (None, None)
            if words is None and old and owner:
                words, place = owner.last(old)
            ms = parse_time(words[0], UNITS, "ms") if words else None
            if words and ms is None:
                self.report.dropped(place, f'timeout {side}: "{words[0]}" is not a time')
            times[side] = (ms or 2 * YEAR, place)
        ends = [times["tunnel"]] * 2 if times["tunnel"][1] else [times["client"], times["server"]]
        shut = [times[f"{side}-fin"] if times[f"{side}-fin"][1] else end
                for side, end in zip(("client", "server"), ends)]
        return tuple(min(pair, key=lambda end: end[0]) for pair in (ends, shut))

    def _timeouts(self, section, listen, routes):
        default = section.name if section.kind == "listen" else listen.get("pool")[0]
        pools = [self.back[name] for name in [default, *routes] if name in self.back]
        mine = self._times(section, pools[0] if pools else None)
        for key, (ms, place) in zip(("idle_timeout", "half_close_timeout"), mine):
            listen.set(key, "off" if ms > YEAR else time_of(ms), place or "default of HAProxy: none")
        for other in pools[1:]:
            theirs = self._times(section, other)
            if [ms for ms, _ in theirs] != [ms for ms, _ in mine]:
                self.report.differs(theirs[0][1] or other.place, f"timeouts of backend {other.name}: "
                                    "idle_timeout of the listener applies to all of its pools")
