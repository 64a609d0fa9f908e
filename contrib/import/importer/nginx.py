"""Converts the stream block of nginx.conf."""

import glob
import os
import re

from . import nginx_tls
from .ini import (DAY, HOUR, Ini, Section, is_ip, is_sni, join, name_of, network_of, parse_time,
                  set_user, sni_names, split_port, time_of, unix_address)
from .nginx_pool import UNITS, Directive, Upstreams

LEVELS = {"debug": "debug", "info": "info", "notice": "notice", "warn": "warning", "error": "error",
          "crit": "error", "alert": "error", "emerg": "error"}

# Directives that need no counterpart: they have no effect on TCP, or zproxy always does what they ask for.
MAIN_SILENT = """daemon master_process load_module pcre_jit thread_pool timer_resolution env events
    worker_rlimit_nofile worker_priority worker_rlimit_core lock_file debug_points working_directory
    ssl_engine worker_aio_requests""".split()
STREAM_SILENT = """log_format preread_buffer_size proxy_buffer_size proxy_responses proxy_requests
    variables_hash_max_size variables_hash_bucket_size map_hash_max_size map_hash_bucket_size
    limit_conn_log_level limit_conn_status resolver_timeout open_log_file_cache status_zone
    server_names_hash_bucket_size server_names_hash_max_size proxy_protocol_timeout
    js_import js_path lua_package_path""".split()
# Directives that a server inherits from the stream block.
INHERITED = """proxy_connect_timeout proxy_timeout proxy_next_upstream proxy_next_upstream_tries
    proxy_next_upstream_timeout proxy_protocol proxy_bind proxy_upload_rate proxy_download_rate
    proxy_socket_keepalive ssl_preread preread_timeout limit_conn allow deny set_real_ip_from tcp_nodelay
    access_log error_log proxy_half_close""".split() + nginx_tls.ALL
REPEATED = ("limit_conn", "set_real_ip_from", "access", *nginx_tls.REPEATED)


def tokens(text):
    """Yields (token, line, quoted)."""
    line, i = 1, 0
    pattern = re.compile(r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<mark>[{};])
        |(?P<double>"(?:[^"\\]|\\.)*")|(?P<single>'(?:[^'\\]|\\.)*')
        |(?P<word>(?:\\.|\$\{[^}\s]*\}|[^\s{};\\]|\{(?=\d)[\d,]*\})+)|(?P<other>.)""", re.X | re.S)
    while i < len(text):
        match = pattern.match(text, i)
        kind, value = match.lastgroup, match[0]
        if kind in ("double", "single"):
            yield re.sub(r"\\([\"'\\])", r"\1", value[1:-1]), line, True
        elif kind not in ("space", "comment"):
            yield value, line, False
        line += value.count("\n")
        i = match.end()


class Nginx(Upstreams, nginx_tls.Tls):
    def __init__(self, path, text, report):
        self.path, self.report = path, report
        self.ini = Ini(path, report)
        self.directory = os.path.dirname(os.path.abspath(path))
        self.tree = self._parse(path, text, 0)
        self.upstreams, self.maps, self.zones = {}, {}, {}
        self.made = {}          # (upstream, settings): name of its pool

    # -- reading --

    def _parse(self, path, text, depth):
        stack, words, start = [[]], [], None
        for token, line, quoted in tokens(text):
            if quoted or token not in "{};":
                start = start or (path, line)
                words.append(token)
            elif token == "}":
                if len(stack) == 1:
                    self.report.dropped((path, line), "a } too many")
                else:
                    stack.pop()
            elif words:
                directive = Directive(words, start, [] if token == "{" else None)
                if words[0] == "include" and len(words) > 1 and token == ";":
                    stack[-1] += self._include(directive, depth)
                else:
                    stack[-1].append(directive)
                if token == "{":
                    stack.append(directive.block)
                words, start = [], None
            elif token == "{":
                stack.append([])
        if words or len(stack) > 1:
            self.report.dropped((path, text.count("\n") + 1), "the file ends within a directive or block")
        return stack[0]

    def _include(self, directive, depth):
        pattern = os.path.join(self.directory, directive.arguments[0])
        paths = sorted(glob.glob(pattern)) if re.search(r"[*?\[]", pattern) else [pattern]
        found = []
        for path in paths:
            try:
                if depth > 16:
                    raise OSError("too many levels")
                with open(path, encoding="utf-8", errors="replace") as f:
                    text = f.read()
            except OSError as error:
                self.report.dropped(directive.place, f"include {directive.arguments[0]}: "
                                    f"{error.strerror or error}")
                continue
            found += self._parse(path, text, depth + 1)
        return found

    # -- the whole file --

    def convert(self):
        if not any(each.name in ("stream", "http", "events") for each in self.tree):
            self._stream(self.tree)         # a file that the stream block includes
        else:
            for each in self.tree:
                self._main(each)
        if self.ini.head.lines:
            self.ini.head.what = "the main context"
        self.ini.complete()
        return self.ini

    def _main(self, each):
        head, name, arguments, place = self.ini.head, each.name, each.arguments, each.place
        first = arguments[0] if arguments else ""
        if name == "stream":
            self._stream(each.block or [])
        elif name == "user":
            set_user(self.ini, self.report, "user", first, place)
            if len(arguments) > 1:
                set_user(self.ini, self.report, "group", arguments[1], place)
        elif name == "worker_processes":
            if first == "auto" or first.isdigit() and 0 < int(first) <= 1024:
                head.set("workers", first, place)
        elif name == "worker_cpu_affinity":
            head.set("cpu_affinity", "yes", place)
        elif name == "pid":
            if first.startswith("/"):
                head.set("pid_file", first, place)
        elif name == "worker_shutdown_timeout":
            self._time(head, "shutdown_timeout", first, place)
        elif name == "error_log":
            self._error_log(arguments, place)
        elif name == "events":
            for inner in each.block or []:
                if inner.name == "worker_connections":
                    self.report.differs(inner.place, "worker_connections: the limit of sessions follows "
                                        "from the descriptor limit; see max_connections")
        elif name in ("http", "mail"):
            self.report.dropped(place, f"the {name} block: zproxy relays TCP only")
        elif name not in MAIN_SILENT:
            self.report.dropped(place, " ".join(each.words))

    def _error_log(self, arguments, place):
        head, target = self.ini.head, (arguments or [""])[0]
        if target == "stderr":
            head.set("log", "stderr", place)
        elif target.startswith("syslog:"):
            facility = re.search(r"facility=(\w+)", target)
            head.set("log", f"syslog:{facility[1] if facility else 'local7'}", place)
            if "unix:/dev/log" not in target:
                self.report.differs(place, "the log goes to syslog(3) (/dev/log)")
        elif target != "/dev/null":
            self.report.differs(place, f"error_log {target}: the log goes to standard error; set log to a "
                                "path to change that")
        level = arguments[1] if len(arguments) > 1 else None
        if level and level.startswith("debug"):
            level = "debug"
        if level in LEVELS:
            access = head.get("access_log")
            if LEVELS[level] in ("warning", "error", "notice") and not access:
                self.report.differs(place, f"log_level = {LEVELS[level]} would hide the access log; "
                                    "info stays in force")
            else:
                head.set("log_level", LEVELS[level], place)

    def _time(self, section, key, text, place, **limits):
        ms = parse_time(text, UNITS, "s")
        if ms is None:
            self.report.dropped(place, f'{key}: "{text}" is not a time')
        else:
            section.set(key, time_of(ms, **limits), place)

    def _stream(self, block):
        common, servers = [], []
        for each in block:
            if each.name == "upstream" and each.arguments and each.block is not None:
                self.upstreams[each.arguments[0]] = each
            elif each.name == "map" and len(each.arguments) == 2:
                self.maps[each.arguments[1].strip("${}")] = each
            elif each.name == "server" and each.block is not None:
                servers.append(each)
            elif each.name == "limit_conn_zone" and len(each.arguments) > 1:
                zone = each.arguments[1].replace("zone=", "").split(":")[0]
                self.zones[zone] = each.arguments[0]
            elif each.name == "resolver":
                self._resolver(each)
            elif each.name in INHERITED:
                common.append(each)
            elif each.name not in STREAM_SILENT:
                self.report.dropped(each.place, " ".join(each.words)
                                    + (" { ... }" if each.block is not None else ""))
        for each in servers:
            self._server(each, common)
        for name, each in self.upstreams.items():
            if name not in {key[0] for key in self.made}:
                self._pool(name, {}, each.place)

    def _resolver(self, each):
        for argument in each.arguments:
            host, port = split_port(argument) if "=" not in argument else (None, None)
            if host and is_ip(host):
                self.ini.head.add("nameserver", join(host, port or "53"), each.place)
            elif argument.startswith("valid="):
                self._time(self.ini.head, "resolve_max", argument[6:], each.place, most=DAY, least=1000)
            elif argument.startswith("ipv4=") or not argument.startswith(("ipv6=on", "status_zone")):
                self.report.dropped(each.place, f"resolver {argument}")

    # -- a server --

    @staticmethod
    def _settings(server, common):
        """Returns {name: [directive]}; those of the stream block unless the server has its own."""
        own, inherited = {}, {}
        for target, block in ((inherited, common), (own, server.block)):
            for each in block:
                if not each.arguments and each.block is None:
                    continue        # nginx does not accept it
                name = "access" if each.name in ("allow", "deny") else each.name
                if name in REPEATED or name == "listen":
                    target.setdefault(name, []).append(each)
                else:
                    target[name] = [each]
        return {**inherited, **own}

    def _server(self, server, common):
        settings = self._settings(server, common)
        if "proxy_pass" not in settings and {"location", "root", "server_name"} & settings.keys():
            self.report.dropped(server.place, "a server of HTTP: zproxy relays TCP only")
            return
        groups = {}
        for each in settings.get("listen", []):
            key = self._listen_options(each)
            if key is not None:
                groups.setdefault(key, []).append(each)
        if not groups:
            self.report.dropped(server.place, "a server without an address to listen on")
            return
        if "proxy_pass" not in settings:
            self.report.dropped(server.place, "a server without proxy_pass")
            return
        for key, listens in groups.items():
            self._listen(server, settings, dict(key), listens)
        self._unknown(settings)

    def _unknown(self, settings):
        for name, found in settings.items():
            for each in found:
                if name in nginx_tls.DROPPED or name not in INHERITED and name not in STREAM_SILENT and \
                        name not in ("listen", "proxy_pass", "access", "resolver"):
                    self.report.dropped(each.place, " ".join(each.words))
                elif name == "proxy_half_close":
                    self.report.differs(each.place, "proxy_half_close: zproxy always keeps the other "
                                        "direction open, for half_close_timeout")
                elif name == "proxy_next_upstream_timeout" and each.arguments != ["0"]:
                    self.report.dropped(each.place, " ".join(each.words))
                elif name == "error_log":
                    self.report.differs(each.place, "error_log: there is one log for all; see log")
                elif name == "resolver":
                    self._resolver(each)

    def _listen_options(self, each):
        """Returns the options that a listener has for all of its addresses, or None if it is not
        possible."""
        options, udp = {}, False
        for word in each.arguments[1:]:
            name, _, value = word.partition("=")
            if name in ("udp", "quic"):
                self.report.dropped(each.place, f"listen {each.arguments[0]} {word}: zproxy relays TCP only")
                udp = True
            elif name in ("proxy_protocol", "deferred", "ssl"):
                options[name] = "yes"
            elif name in ("backlog", "fastopen", "so_keepalive", "rcvbuf", "sndbuf"):
                options[name] = value
            elif name not in ("reuseport", "bind", "ipv6only", "default_server"):
                self.report.dropped(each.place, f"listen option {word}")
        return None if udp else tuple(sorted(options.items()))

    def _address(self, each):
        text = each.arguments[0]
        if text.startswith("unix:"):
            return unix_address(text[5:])
        ports = r"\d+(?:-\d+)?"
        host, port = split_port(text, ports)
        if port is None and re.fullmatch(ports, text):
            host, port = "", text
        if port is None:
            return None
        host = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host)
        if host == "[::]" and "ipv6only=off" in each.arguments:
            return f"*:{port}"
        return join(host, port) if is_ip(host) else None

    def _listen(self, server, settings, options, listens):
        addresses = [(self._address(each), each) for each in listens]
        for address, each in addresses:
            if address is None:
                self.report.dropped(each.place, f"listen {each.arguments[0]}: not an address that zproxy "
                                    "can listen on")
        addresses = [(address, each) for address, each in addresses if address]
        if not addresses:
            return
        first = addresses[0][0]
        name = first.rpartition(":")[2] if not first.startswith("unix:") else os.path.basename(first)
        title = self.ini.unique(self.ini.listens, "listen", name_of(name))
        listen = Section(f"listen {title}", server.place, "server")
        for address, each in addresses:
            self.ini.bind(listen, address, each.place,
                          " mode=0666" if address.startswith("unix:/") else "")
        if not listen.lines or "ssl" in options and \
                not self._listen_tls(settings, listen, addresses[0][1].place):
            return
        self.ini.listens.append(listen)
        self._destination(settings, listen)
        self._listen_keys(settings, listen, options, addresses[0][1].place)

    def _value(self, settings, name, default):
        """Returns (first argument, place or the reason)."""
        found = settings.get(name)
        if found and found[0].arguments:
            if "$" in found[0].arguments[0]:
                self.report.dropped(found[0].place, " ".join(found[0].words) + ": a variable")
            else:
                return found[0].arguments[0], found[0].place
        return default, "default of nginx"

    def _listen_keys(self, settings, listen, options, place):
        value, origin = self._value(settings, "proxy_timeout", "10m")
        self._time(listen, "idle_timeout", value, origin)
        self._time(listen, "half_close_timeout", value, origin)
        if not listen.get("tls") and (listen.get("route") or "proxy_protocol" in options or \
                "sni" in [value for pool in self.ini.pools if f"pool {listen.get('pool')[0]}" == pool.title
                          for value in pool.get("hash_key")]):
            value, origin = self._value(settings, "preread_timeout", "30s")
            self._time(listen, "preread_timeout", value, origin, most=HOUR)
        alive = options.get("so_keepalive", "off")
        socket, origin = self._value(settings, "proxy_socket_keepalive", "off")
        origin = place if alive != "off" else origin
        listen.set("keepalive", self._keepalive(alive if alive != "off" else socket), origin)
        value, origin = self._value(settings, "tcp_nodelay", "on")
        if value == "off":
            listen.set("nodelay", "no", origin)
        if options.get("backlog", "").isdigit():
            listen.set("backlog", min(int(options["backlog"]), 65535), place)
        if options.get("fastopen", "").isdigit() and int(options["fastopen"]):
            listen.set("fastopen", min(int(options["fastopen"]), 65535), place)
        if "deferred" in options:
            listen.set("defer_accept", "1s", place)
        for option, key in (("rcvbuf", "receive_buffer"), ("sndbuf", "send_buffer")):
            if option in options:
                listen.set(key, options[option].lower(), place)
        for option, key in (("proxy_upload_rate", "upload_rate"), ("proxy_download_rate", "download_rate")):
            value, origin = self._value(settings, option, "0")
            if value != "0" and re.fullmatch(r"\d+[kKmMgG]?", value):
                listen.set(key, f"{value.lower()}/s", origin)
        self._access(settings, listen)
        if "proxy_protocol" in options:
            self._proxy_header(settings, listen, place)
        self._access_log(settings)

    def _access_log(self, settings):
        for each in settings.get("access_log", []):
            if each.arguments[:1] == ["off"]:
                self.report.differs(each.place, "access_log off: applies to all listeners together")
                if not self.ini.head.get("access_log"):
                    self.ini.head.set("access_log", "off", each.place)
            else:
                self.report.differs(each.place, f"access_log {each.arguments[0]}: the lines go to log, in "
                                    "the format of zproxy; see access_log")

    @staticmethod
    def _keepalive(text):
        if text in ("on", "off"):
            return "yes" if text == "on" else "no"
        parts = (text.split(":") + ["", "", ""])[:3]
        idle, interval = (parse_time(part, UNITS, "s") if part else default
                          for part, default in ((parts[0], 7200000), (parts[1], 75000)))
        if not idle or not interval:
            return "yes"
        return f"{time_of(max(idle, 1000))}/{time_of(max(interval, 1000))}/{parts[2] or 9}"

    def _proxy_header(self, settings, listen, place):
        listen.set("accept_proxy", "yes", place)
        networks = [(network_of(each.arguments[0]), each.place)
                    for each in settings.get("set_real_ip_from", []) if each.arguments]
        networks = [each for each in networks if each[0]]
        if networks:
            self.report.differs(networks[0][1], "peers outside of these networks are reset; nginx only "
                                "ignores the address in their header")
        else:
            networks = [("all", place)]
            self.report.differs(place, "trusted_proxies = all accepts headers from every peer, and the "
                                "client in the header is used; set it to the networks of the proxies")
        for network, origin in networks:
            listen.add("trusted_proxies", network, origin)

    def _access(self, settings, listen):
        for each in settings.get("access", []):
            network = network_of(each.arguments[0]) if each.arguments else None
            if network:
                listen.add(each.name, network, each.place)
            else:
                self.report.dropped(each.place, " ".join(each.words))
        for each in settings.get("limit_conn", []):
            key = self.zones.get(each.arguments[0], "") if len(each.arguments) == 2 else ""
            if key in ("$binary_remote_addr", "$remote_addr") and each.arguments[1].isdigit():
                listen.set("max_connections_per_ip", each.arguments[1], each.place)
                listen.set("per_ip6_prefix", 128, "nginx counts single addresses")
            elif key in ("$server_addr", "$server_port") and each.arguments[-1].isdigit():
                listen.set("max_connections", each.arguments[1], each.place)
                self.report.differs(each.place, "at max_connections clients wait; nginx closes them")
            else:
                self.report.dropped(each.place, " ".join(each.words))

    # -- where the clients go --

    def _destination(self, settings, listen):
        each = settings["proxy_pass"][0]
        target, place = (each.arguments or [""])[0], each.place
        ports = [bind.split(" ")[0].rpartition(":")[2] for bind in listen.get("bind")]
        if len(ports) == 1 and ports[0].isdigit():
            target = re.sub(r"\$(server_port\b|\{server_port\})", ports[0], target)
        match = re.fullmatch(r"\$\{?(\w+)\}?(:\d+)?", target)
        if match and match[1] in self.maps:
            self._map(settings, listen, self.maps[match[1]], match[2] or "", place)
            return
        name = self._target(settings, target, place)
        listen.set("pool", name or "no-server", place)

    def _target(self, settings, target, place):
        """Returns the name of the pool for a target of proxy_pass, or None."""
        key = {name: settings[name][0] for name in
               ("proxy_connect_timeout", "proxy_next_upstream", "proxy_next_upstream_tries", "proxy_protocol",
                "proxy_bind") if name in settings}
        if settings.get("proxy_ssl", [None])[0] and settings["proxy_ssl"][0].arguments == ["on"]:
            key.update({f"{name}#{i}" if i else name: each for name in nginx_tls.SERVER
                        for i, each in enumerate(settings.get(name, []))})
        if "$" not in target:
            name = self._pool(target, key, place)
            if name:
                return name
        self.report.dropped(place, f'proxy_pass to "{target}": not an address or upstream; its clients are '
                            "reset")
        return None

    def _map(self, settings, listen, each, port, place):
        """Routes of a map of the server name or the protocols of the hello."""
        kind = {"$ssl_preread_server_name": "sni", "$ssl_preread_alpn_protocols": "alpn",
                "$ssl_server_name": "sni", "$ssl_alpn_protocol": "alpn"}.get(each.arguments[0])
        default, routes, hostnames = None, [], False
        if kind is None:
            self.report.dropped(each.place, f"map of {each.arguments[0]}: routes can only test the server "
                                "name and the protocols of a TLS hello")
        if "preread" in each.arguments[0] and settings.get("ssl_preread", [each])[0].arguments != ["on"]:
            self.report.differs(place, "without ssl_preread on, nginx uses the default of the map; here "
                                "the routes apply")
        for inner in each.block or []:
            if inner.words == ["hostnames"]:
                hostnames = True
            elif inner.name == "volatile":
                continue
            elif len(inner.words) != 2:
                self.report.dropped(inner.place, " ".join(inner.words))
            elif inner.name == "default":
                default = inner
            else:
                names = self._names(kind, inner, hostnames) if kind else None
                if names:
                    routes.append((names, inner))
                elif kind:
                    self.report.dropped(inner.place, f"map entry {inner.name}")
        routes.sort(key=lambda route: (route[0][0].startswith("*."), -len(route[0][0])
                                       if route[0][0].startswith("*.") else 0))
        name = None
        if default and default.arguments[0]:
            name = self._target(settings, default.arguments[0] + port, default.place)
        elif kind:
            self.report.differs(each.place, "a map without default: clients that match no entry are reset")
        listen.set("pool", name or "no-server", default.place if default else each.place)
        by_pool = []
        for names, inner in routes:
            pool = self._target(settings, inner.arguments[0] + port, inner.place) or "no-server"
            if by_pool and by_pool[-1][1] == pool and by_pool[-1][2] == inner.place:
                by_pool[-1][0].extend(names)
            else:
                by_pool.append((list(names), pool, inner.place))
        for names, pool, origin in by_pool:
            for part in sni_names(names):
                listen.add("route", f"{kind}={part} pool={pool}", origin)

    @staticmethod
    def _names(kind, inner, hostnames):
        """Returns the names of a map entry, or None."""
        text = inner.name
        if kind == "alpn":
            match = re.fullmatch(r"~\*?(?:\\b|\^)?([\w./-]+?)(?:\\b|\$)?", text)
            word = match[1].replace("\\", "") if match else text
            return [word] if re.fullmatch(r"[\w./-]+", word) else None
        if text.startswith("~"):
            text = text.lstrip("~*")
            if re.fullmatch(r"\^[\w-]+(\\\.[\w-]+)+\$", text):
                return [text[1:-1].replace("\\", "")]
            if match := re.fullmatch(r"\^\(([\w|-]+)\)((?:\\\.[\w-]+)+)\$", text):
                return [word + match[2].replace("\\", "") for word in match[1].split("|")]
            if match := re.fullmatch(r"(?:\^?\.[+*])?\\\.((?:[\w-]+\\\.)+[\w-]+)\$", text):
                return ["*." + match[1].replace("\\", "")]
            if match := re.fullmatch(r"\^\((?:\.[+*]|\[\^\.\]\+)\\\.\)\?((?:[\w-]+\\\.)+[\w-]+)\$", text):
                name = match[1].replace("\\", "")
                return [name, "*." + name]
            return None
        if text.startswith("."):
            return [text[1:], "*" + text] if hostnames and is_sni(text[1:]) else None
        if text.startswith("*.") and not hostnames:
            return None
        return [text] if is_sni(text) else None
