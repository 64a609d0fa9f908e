"""Converts nginx.conf: upstreams, and how they are connected to."""

import re

from .ini import DAY, Section, is_host, is_ip, join, name_of, parse_time, server_line, split_port, unix_address

UNITS = {"ms": 1000, "s": 10**6, "m": 6 * 10**7, "h": 36 * 10**8, "d": 864 * 10**8,
         "w": 7 * 864 * 10**8, "M": 30 * 864 * 10**8, "y": 365 * 864 * 10**8}


class Directive:
    """block: the directives in braces, or None."""

    def __init__(self, words, place, block=None):
        self.words, self.place, self.block = words, place, block
        self.name, self.arguments = words[0], words[1:]


def tls_settings(settings):
    """Returns {name: [directive]} of those of TLS; settings has further ones of a name as "NAME#2" ..."""
    found = {}
    for name, each in settings.items():
        if name.startswith("proxy_ssl"):
            found.setdefault(name.partition("#")[0], []).append(each)
    return found


class Upstreams:
    def _pool(self, target, settings, place):
        """Returns the name of the pool for an upstream or address, or None if it is neither."""
        key = (target, tuple(sorted((name, " ".join(each.arguments)) for name, each in settings.items())))
        if key in self.made:
            return self.made[key]
        upstream = self.upstreams.get(target)
        lines = [each for each in upstream.block if each.name == "server" and each.arguments] \
            if upstream else [Directive(["server", target], place)]
        servers = []
        for each in lines:
            address = self._server_address(each, upstream)
            if address:
                servers.append((address, each))
            elif upstream:
                self.report.dropped(each.place, f"server {each.arguments[0]}: not an address that zproxy "
                                    "can connect to")
        if not servers and not upstream:
            return None
        plain = name_of(target.replace("unix:", "").strip("/"))
        name = self.ini.unique(self.ini.pools, "pool", plain)
        if name != plain and upstream:
            self.report.differs(place, f"other settings of the connection than before: [pool {name}]")
        elif upstream and plain != target:
            self.report.differs(upstream.place, f'the name "{target}" is not possible, "{plain}" is used')
        pool = Section(f"pool {name}", upstream.place if upstream else place,
                       f"upstream {target}" if upstream else "proxy_pass")
        self.made[key] = name
        self._balance(upstream, pool)
        self._connecting(settings, pool, servers)
        self._failures(pool, servers)
        self._pool_tls(pool, tls_settings(settings), target)
        for address, each in servers:
            pool.add("server", self._server_line(pool, address, each), each.place)
        if not servers:
            pool.set("empty", "yes", "no server in the upstream")
        self.ini.pools.append(pool)
        return name

    def _server_address(self, each, upstream):
        text = each.arguments[0]
        if text.startswith("unix:"):
            return unix_address(text[5:])
        host, port = split_port(text)
        service = next((word[8:] for word in each.arguments if word.startswith("service=")), None)
        if service and is_host(text):
            prefix = service if "." in service or service.startswith("_") else f"_{service}._tcp"
            return f"srv:{prefix}.{text}"
        if port is None or not 0 < int(port) < 65536 or not (is_ip(host) or is_host(host)):
            return None
        if is_ip(host):
            return join(host, port)
        self.report.differs(each.place, f"{host} is resolved again when its TTL ends")
        return f"{host.rstrip('.')}:{port}"

    def _balance(self, upstream, pool):
        value, key, origin = "round_robin", None, "default of nginx"
        for each in upstream.block if upstream else []:
            words = each.words
            if each.name == "least_conn":
                value, origin = "least_conn", each.place
            elif each.name == "random":
                value, origin = "random", each.place
                if "least_time" in " ".join(words):
                    self.report.dropped(each.place, " ".join(words))
                elif words[1:2] != ["two"]:
                    self.report.differs(each.place, "random draws two servers and takes the one with fewer "
                                        "sessions")
            elif each.name == "hash" and len(words) > 1:
                text = words[1].replace("{", "").replace("}", "")
                key = {"$remote_addr": "source", "$binary_remote_addr": "source",
                       "$proxy_protocol_addr": "source", "$ssl_preread_server_name": "sni"}.get(
                           text, "source_port" if re.fullmatch(
                               r"\$(?:binary_)?remote_addr:?\$remote_port", text) else None)
                if key:
                    value, origin = "hash", each.place
                    self.report.differs(each.place, "hash: a client keeps its server, but it is another one "
                                        "than with nginx")
                else:
                    self.report.dropped(each.place, " ".join(words) + ": round_robin is used")
            elif each.name == "least_time":
                value, origin = "least_time", each.place
                if words[1:] != ["connect"]:
                    self.report.differs(each.place, " ".join(words) + ": the time to connect is used")
            elif each.name not in ("server", "zone", "state", "resolver", "resolver_timeout"):
                self.report.dropped(each.place, " ".join(words))
        pool.set("balance", value, origin)
        if key:
            pool.set("hash_key", key, origin)

    def _connecting(self, settings, pool, servers):
        value, origin = self._value({name: [each] for name, each in settings.items()},
                                    "proxy_connect_timeout", "60s")
        self._time(pool, "connect_timeout", value, origin)
        again, tries = settings.get("proxy_next_upstream"), settings.get("proxy_next_upstream_tries")
        retries, origin = max(len(servers) - 1, 0), "all servers, as nginx does"
        if any(address.startswith("srv:") or not is_ip(split_port(address)[0])
               for address, _ in servers if not address.startswith("unix:")):
            retries = max(retries, 1)
        if again and again.arguments == ["off"]:
            retries, origin = 0, again.place
        elif tries and tries.arguments[0].isdigit() and int(tries.arguments[0]):
            retries, origin = int(tries.arguments[0]) - 1, tries.place
        pool.set("retries", min(retries, 1000), origin)
        header = settings.get("proxy_protocol")
        if header and header.arguments == ["on"]:
            pool.set("send_proxy", "v1", header.place)
        bind = settings.get("proxy_bind")
        if bind and bind.arguments and bind.arguments != ["off"]:
            host = split_port(bind.arguments[0].replace(":$remote_port", ""))[0]
            if host in ("$remote_addr", "$proxy_protocol_addr") and "transparent" in bind.arguments:
                pool.set("source", "client", bind.place)
            elif is_ip(host):
                pool.set("source", host.strip("[]"), bind.place)
            else:
                self.report.dropped(bind.place, " ".join(bind.words))

    def _failures(self, pool, servers):
        for option, key, default in (("max_fails", "max_fails", "1"), ("fail_timeout", "fail_timeout", "10s"),
                                     ("slow_start", "slow_start", None)):
            values = [(self._option(each, option), each.place) for _, each in servers
                      if "down" not in each.arguments]
            given = [value for value in values if value[0] is not None]
            if len({parse_time(value or default or "0", UNITS, "s") for value, _ in values}) > 1:
                self.report.differs(given[-1][1], f"{option} is a key of the pool: {given[0][0]} is used for "
                                    "all servers")
            text, origin = given[0] if given else (default, "default of nginx")
            if text is None:
                continue
            if option == "max_fails":
                pool.set(key, text if text.isdigit() else default, origin)
            else:
                self._time(pool, key, text, origin, most=DAY, zero="10s")

    @staticmethod
    def _option(each, name):
        return next((word[len(name) + 1:] for word in each.arguments if word.startswith(f"{name}=")), None)

    def _server_line(self, pool, address, each):
        words = each.arguments[1:]
        for word in words:
            if word.partition("=")[0] not in ("weight", "max_conns", "max_fails", "fail_timeout", "slow_start",
                                              "backup", "down", "resolve", "service"):
                self.report.dropped(each.place, f"server option {word}")
        weight, most = self._option(each, "weight") or "1", self._option(each, "max_conns")
        if not weight.isdigit() or not 1 <= int(weight) <= 256:
            self.report.differs(each.place, f"weight {weight}: from 1 to 256")
            weight = str(min(max(int(weight), 1), 256)) if weight.isdigit() else "1"
        return server_line(address, None, weight, backup="backup" in words,
                           max_connections=most if most and most.isdigit() and int(most) else None,
                           state="maint" if "down" in words else None)
