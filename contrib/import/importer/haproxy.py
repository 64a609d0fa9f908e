"""Converts haproxy.cfg: the sections, [global] and [admin]."""

import grp
import os
import pwd
import re

from .haproxy_check import CHECK_OPTIONS, Checks
from .haproxy_listen import Listeners
from .haproxy_pool import Pools
from .haproxy_rules import Conditions
from .haproxy_tls import Tls
from .haproxy_words import SECTIONS, UNITS, HaproxySection, dscp_of_tos, haproxy_words
from .ini import DAY, Ini, is_ip, join, parse_time, set_user, split_port, time_of, unix_address

# Keywords that need no counterpart: they have no effect on TCP, or zproxy always does what they ask for.
GLOBAL_SILENT = """daemon quiet debug master-worker noepoll nopoll nokqueue nosignal nogetaddrinfo
    noreuseport ulimit-n strict-limits zero-warning set-dumpable description spread-checks localpeer
    default-path expose-experimental-directives ssl-default-bind-ciphers ssl-default-bind-ciphersuites
    ssl-default-bind-options ssl-default-bind-curves ssl-default-server-ciphers
    ssl-default-server-ciphersuites ssl-default-server-options ssl-dh-param-file ssl-server-verify
    ca-base crt-base maxsslconn maxsslrate ssl-engine ssl-mode-async thread-groups
    h1-case-adjust h1-case-adjust-file profiling.tasks numa-cpu-mapping""".split()
SILENT_OPTIONS = """tcplog dontlognull httplog redispatch persist splice-auto splice-request
    splice-response tcp-smart-accept tcp-smart-connect socket-stats contstats log-health-checks
    forwardfor httpclose forceclose http-server-close http-keep-alive http-tunnel http-no-delay
    http-pretend-keepalive prefer-last-server http-use-htx idle-close-on-response checkcache originalto
    http-ignore-probes accept-invalid-http-request accept-invalid-http-response http-buffer-request
    allbackups httpslog""".split()
PROXY_SILENT = """mode disabled enabled description id bind-process errorfile errorfiles errorloc errorloc302
    errorloc303 http-reuse compression cookie capture monitor-uri stats rate http-response
    http-request http-after-response unique-id-format unique-id-header redirect
    reqadd rspadd reqrep rsprep reqirep rspirep http-error declare guid""".split()
NEED_VALUE = """bind server default-server acl maxconn timeout option log balance source stick-table stick
    retries backlog default_backend use_backend nbthread nbproc user group uid gid chroot mode tcp-request
    hash-type dispatch clitimeout srvtimeout contimeout clitcpka-idle clitcpka-intvl clitcpka-cnt
    srvtcpka-idle srvtcpka-intvl srvtcpka-cnt""".split()
FACILITIES = ("kern user mail daemon auth syslog lpr news uucp cron ftp local0 local1 local2 local3 "
              "local4 local5 local6 local7").split()
LEVELS = {"emerg": "error", "alert": "error", "crit": "error", "err": "error", "error": "error",
          "warning": "warning", "warn": "warning", "notice": "notice", "info": "info",
          "debug": "debug"}


class Haproxy(Listeners, Conditions, Pools, Checks, Tls):
    def __init__(self, path, text, report):
        self.path, self.report = path, report
        self.ini = Ini(path, report)
        self.sections = []
        self.environment = dict(os.environ)
        self.seen = set()           # (place, words) that have been converted or reported
        self._parse(text)

    # -- reading --

    def _parse(self, text):
        defaults, named, section, skipped = None, {}, None, 0
        for number, line in enumerate(text.splitlines(), 1):
            place = (self.path, number)
            words, unset = haproxy_words(line, self.environment)
            if not words:
                continue
            for name in unset:
                self.report.dropped(place, f"the environment variable {name} is not set; an empty "
                                    "text was used")
            if words[0].startswith("."):
                skipped += words[0] == ".if"
                skipped -= words[0] == ".endif"
                if words[0] == ".if":
                    self.report.dropped(place, "the conditional block")
                continue
            if skipped:
                continue
            if words[0] in SECTIONS:
                section, defaults = self._begin(words, place, defaults, named)
            elif section is None:
                self.report.dropped(place, f"{words[0]} in front of the first section")
            elif len(words) == 1 and words[0] in NEED_VALUE:
                self.report.dropped(place, f"{words[0]} without a value")
            else:
                section.statements.append((words, place))
                if section.kind == "global" and words[0] in ("setenv", "presetenv") and len(words) > 2:
                    self.environment[words[1]] = words[2]

    def _begin(self, words, place, defaults, named):
        kind, name = words[0], words[1] if len(words) > 1 else ""
        base = defaults
        if "from" in words[1:]:
            base = named.get(words[words.index("from") + 1] if words[-1] != "from" else None)
            if base is None:
                self.report.dropped(place, "from: there are no defaults of that name")
                base = HaproxySection("defaults", "", place)
            name = "" if name == "from" else name
        if kind == "defaults":
            inherited = base.statements if "from" in words else ()
        else:
            inherited = base.statements if base and kind in ("frontend", "backend", "listen") else ()
        section = HaproxySection(kind, name, place, inherited)
        self.sections.append(section)
        if kind == "defaults":
            named[name] = defaults = section
        elif kind in ("frontend", "listen") and len(words) > 2 and words[2] != "from":
            section.statements.append((["bind", *words[2:]], place))     # the form of old versions
        return section, defaults

    # -- the whole file --

    def convert(self):
        tcp = []
        for section in self.sections:
            if section.kind == "global":
                self._global(section)
            elif section.kind == "resolvers":
                self._resolvers(section)
            elif section.kind in ("frontend", "backend", "listen"):
                tcp += self._accept(section)
            elif section.kind == "peers":
                self.report.dropped(section.place, "peers: instances share no state; with hash they "
                                    "choose the same servers, and limits apply to each instance")
            elif section.kind != "defaults":
                self.report.dropped(section.place, f"section {section.kind}")
        self.back = {section.name: section for section in tcp if section.kind != "frontend"}
        for section in tcp:
            if section.kind != "backend":
                self._listen(section)
        for section in tcp:
            if section.kind != "frontend":
                self._pool(section)
        for section in tcp:
            self._rest(section)
            if not self.ini.head.get("log"):
                self._log(section)
        if self.ini.head.lines and not self.ini.head.get("log"):
            self.ini.head.set("log", "stderr", "default of zproxy")
        self.ini.complete()
        return self.ini

    def _accept(self, section):
        """Returns [section] if it can be converted."""
        mode = (section.last("mode")[0] or ["tcp"])[0]
        label = f"{section.kind} {section.name}"
        off = [words[0] for words, _ in section.statements if words[0] in ("disabled", "enabled")]
        if off and off[-1] == "disabled":
            self.report.differs(section.place, f"{label} is disabled and was left out")
            return []
        if mode == "tcp":
            return [section]
        serves = section.all("server") or section.all("use_backend") or section.all("default_backend")
        if section.all("stats") and not serves and section.kind != "backend":
            self._stats(section)
        else:
            self.report.dropped(section.place, f"{label} is in mode {mode}; zproxy relays TCP only")
        return []

    def _stats(self, section):
        """A section that has only the statistics page."""
        auth, place = section.last("stats", "auth")
        if auth is None:
            auth, place = section.last("stats", "http-request")
        if auth is not None:
            self.report.dropped(place, f"the statistics page of {section.name}: the status page of "
                                "zproxy has no passwords; set http in [admin] to a private address")
            return
        for words, place in section.all("bind"):
            address = (self._bind_addresses(words[0], words, place) or [None])[0]
            if address and not address.startswith("unix:") and not self.ini.admin.get("http"):
                address = address.replace("*:", "0.0.0.0:")
                self.ini.admin.what = "statistics of HAProxy"
                self.ini.admin.set("http", address, place)
                self.ini.bound[address] = place
                self.report.differs(place, "the status page is at /, the metrics are at /metrics")
            else:
                self.report.dropped(place, f"bind of the statistics page of {section.name}")

    # -- global --

    def _global(self, section):
        head = self.ini.head
        head.place, head.what = section.place, "global"
        threads = processes = None
        for words, place in section.statements:
            key, value = words[0], words[1] if len(words) > 1 else ""
            if key == "maxconn":
                if value.isdigit() and int(value):
                    head.set("max_connections", value, place)
            elif key in ("user", "group"):
                set_user(self.ini, self.report, key, value, place)
            elif key in ("uid", "gid"):
                self._numeric_user(key, value, place)
            elif key == "chroot":
                if os.path.isdir(value):
                    head.set("chroot", value, place)
                else:
                    self.report.dropped(place, f"chroot: {value} is not a directory on this machine")
            elif key == "node":
                head.set("node", value, place)
            elif key == "pidfile" and value.startswith("/"):
                head.set("pid_file", value, place)
            elif key in ("nbthread", "nbproc") and not value.isdigit():
                self.report.dropped(place, f'{key}: "{value}" is not a number')
            elif key == "nbthread":
                threads = (int(value), place)
            elif key == "nbproc":
                processes = (int(value), place)
            elif key == "cpu-map":
                self.report.differs(place, "cpu-map: cpu_affinity binds worker n to the nth usable CPU")
                head.set("cpu_affinity", "yes", place)
            elif key == "nosplice":
                head.set("relay", "copy", place)
            elif key == "maxpipes" and value.isdigit() and int(value):
                head.set("max_pipes", value, place)
            elif key == "hard-stop-after":
                self._time(head, "shutdown_timeout", value, place)
            elif key == "log":
                self._log_line(words[1:], place)
            elif words[:2] == ["stats", "socket"]:
                self._stats_socket(words[2:], place)
            elif key in ("setenv", "presetenv") or key in GLOBAL_SILENT or key == "stats" or \
                    key.startswith(("tune.ssl.", "tune.h2.", "tune.http.", "tune.quic.", "tune.lua.")):
                pass
            else:
                self.report.dropped(place, " ".join(words))
        if threads or processes:
            number = (threads or (1,))[0] * (processes or (1,))[0]
            head.set("workers", min(max(number, 1), 1024), (threads or processes)[1])

    def _numeric_user(self, key, value, place):
        try:
            name = pwd.getpwuid(int(value)).pw_name if key == "uid" else grp.getgrgid(int(value)).gr_name
            self.ini.head.set("user" if key == "uid" else "group", name, place)
        except (KeyError, ValueError):
            self.report.dropped(place, f"{key} {value} does not exist on this machine")

    def _time(self, section, key, text, place, **limits):
        ms = parse_time(text, UNITS, "ms")
        if ms is None:
            self.report.dropped(place, f'"{text}" is not a time')
        else:
            section.set(key, time_of(ms, **limits), place)

    def _log_line(self, words, place):
        """log TARGET [len N] [format F] [sample S] FACILITY [LEVEL]"""
        head = self.ini.head
        if not words or words[0] == "global":
            return
        target, rest = words[0], words[1:]
        while len(rest) > 2 and rest[0] in ("len", "format", "sample"):
            rest = rest[2:]
        facility = rest[0] if rest else "daemon"
        if head.get("log"):
            self.report.dropped(place, f"log {target}: there is one target for the log")
            return
        host = re.sub(r":\d+$", "", target.split("@")[-1])
        if target in ("stdout", "stderr", "fd@1", "fd@2"):
            head.set("log", "stderr", place)
        elif target.startswith("/") or host in ("127.0.0.1", "localhost", "::1", ""):
            if facility not in FACILITIES:
                self.report.differs(place, f"there is no facility {facility}; daemon is used")
                facility = "daemon"
            head.set("log", f"syslog:{facility}", place)
            if target != "/dev/log":
                self.report.differs(place, f"the log goes to syslog(3) (/dev/log), not to {target}")
        else:
            self.report.dropped(place, f"log {target}: zproxy logs to the syslog daemon of this machine, "
                                "which can forward the lines")
            return
        if len(rest) > 1 and rest[1] in LEVELS:
            head.set("log_level", LEVELS[rest[1]], place)

    def _log(self, section):
        for words, place in section.all("log"):
            if (place, "log") not in self.seen:
                self.seen.add((place, "log"))
                self._log_line(words, place)

    def _stats_socket(self, words, place):
        admin, path = self.ini.admin, words[0] if words else ""
        address = unix_address(path.replace("unix@", "").replace("abns@", "@"))
        if address is None or admin.get("socket"):
            self.report.dropped(place, f"stats socket {path}: there is one control socket, a unix socket")
            return
        admin.what = "statistics of HAProxy"
        admin.set("socket", address[5:] if address.startswith("unix:/") else address, place)
        mode = words[words.index("mode") + 1] if "mode" in words[:-1] else None
        if mode and re.fullmatch(r"0?[0-7]{3}", mode):
            admin.set("socket_mode", mode, place)
        for word in ("user", "group", "uid", "gid"):
            if word in words:
                self.report.dropped(place, f"{word} of the stats socket")
        if "level" in words and words[words.index("level") + 1:][:1] not in (["admin"], []):
            self.report.dropped(place, "level of the stats socket: all users may run all commands")
            admin.set("socket_mode", "0600", place)
        self.report.differs(place, "the control socket has the commands of zproxyctl")

    def _resolvers(self, section):
        head = self.ini.head
        for words, place in section.statements:
            if words[0] == "nameserver" and len(words) > 2:
                host, port = split_port(words[2].split("@")[-1])
                if is_ip(host):
                    head.add("nameserver", join(host, port or "53"), place)
                else:
                    self.report.dropped(place, f"nameserver {words[2]}: not an IP address")
            elif words[:2] == ["timeout", "retry"] and len(words) > 2:
                self._time(head, "resolve_retry", words[2], place, most=DAY)
            elif words[:2] == ["hold", "nx"] and len(words) > 2:
                self._time(head, "resolve_hold", words[2], place)
            elif words[:2] == ["hold", "valid"] and len(words) > 2:
                self._time(head, "resolve_max", words[2], place, most=DAY, least=1000)
            elif words[0] not in ("parse-resolv-conf", "accepted_payload_size", "resolve_retries") and \
                    words[:2] != ["timeout", "resolve"]:
                self.report.dropped(place, " ".join(words))

    # -- what is left --

    def _rest(self, section):
        """Reports the keywords that nothing has converted."""
        front, back = section.kind != "backend", section.kind != "frontend"
        known = {"bind", "acl", "use_backend", "default_backend", "tcp-request", "stick-table", "stick",
                 "server", "default-server", "server-template", "dispatch", "balance", "retries", "maxconn",
                 "source", "log", "backlog", "tcp-check", "http-check", "zproxy-fallback", "clitimeout",
                 "srvtimeout", "contimeout", "clitcpka-idle", "clitcpka-intvl", "clitcpka-cnt",
                 "srvtcpka-idle", "srvtcpka-intvl", "srvtcpka-cnt", *PROXY_SILENT}
        for words, place in section.statements:
            key, second = words[0], words[1] if len(words) > 1 else ""
            if key == "no" and second == "option" or key in ("no", "default") and second == "log":
                continue
            if key == "option":
                if second not in SILENT_OPTIONS and second not in CHECK_OPTIONS and \
                        second not in ("tcpka", "clitcpka", "srvtcpka"):
                    self.report.dropped(place, " ".join(words))
            elif key == "timeout":
                if second not in ("client", "server", "connect", "tunnel", "client-fin", "server-fin", "queue",
                                  "check", "http-request", "http-keep-alive", "tarpit"):
                    self.report.dropped(place, " ".join(words))
            elif key == "hash-type":
                self.report.differs(place, "hash-type: the table of hash is always consistent")
            elif key == "tcp-request" and not front:
                self._backend_rule(words, place)
            elif key == "stick-table" and back and "peers" in words:
                self.report.differs(place, "peers: instances with the same servers agree by hash")
            elif key == "log-format" or key == "log-tag" or key not in known:
                self.report.dropped(place, " ".join(words))

    def _backend_rule(self, words, place):
        if dscp_of_tos(words[1:], ("set-bc-tos",)) is not None:
            return          # a key of the pool
        if words[1:] == ["content", "reject"]:
            return          # a backend that rejects everything: an empty pool
        if words[1:2] != ["inspect-delay"] and words[1:3] != ["content", "accept"]:
            self.report.dropped(place, " ".join(words) + ": rules of a backend")
