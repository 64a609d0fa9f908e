"""Converts haproxy.cfg: pools and their servers."""

import re

from .haproxy_words import dscp_of_tos
from .ini import (DAY, Section, is_host, is_ip, join, name_of, server_line, split_port,
                  unix_address, used_pools)

ONE_WORD = """weight inter fastinter downinter rise fall port addr maxconn minconn maxqueue slowstart
    cookie id observe on-error on-marked-down on-marked-up error-limit resolvers init-addr
    resolve-prefer resolve-opts resolve-net track agent-port agent-inter agent-addr agent-send ca-file
    crt crl-file sni alpn npn check-sni check-alpn check-proto ciphers ciphersuites curves verify
    verifyhost ssl-min-ver ssl-max-ver proto pool-max-conn pool-low-conn pool-purge-delay redir socks4
    namespace tcp-ut max-reuse log-proto proxy-v2-options ws shard guid hash-key usesrc interface
    source cc""".split()
NO_EFFECT_ON_SERVERS = """check no-check backup no-backup disabled enabled send-proxy send-proxy-v2
    no-send-proxy no-send-proxy-v2 check-send-proxy no-check-send-proxy weight inter rise fall port addr
    maxconn slowstart cookie id redir on-error resolvers init-addr proto alpn npn verify verifyhost
    ca-file crt sni ciphers ciphersuites curves ssl-min-ver ssl-max-ver ws pool-max-conn
    pool-low-conn pool-purge-delay max-reuse stick observe error-limit on-marked-down source usesrc
    ssl no-ssl check-ssl no-check-ssl check-sni force-tlsv10 force-tlsv11 force-tlsv12 force-tlsv13
    no-sslv3 no-tlsv10
    no-tlsv11 no-tlsv12 no-tlsv13 no-tls-tickets no-ssl-reuse allow-0rtt guid log-proto
    send-proxy-v2-ssl send-proxy-v2-ssl-cn cc""".split()


class Pools:
    def _server_options(self, words, place, options):
        """Adds {option: (value, place)}; the words of a server or default-server line."""
        i = 0
        while i < len(words):
            word = words[i]
            if word in ONE_WORD:
                value = words[i + 1] if i + 1 < len(words) else ""
                options[word] = (value, place)
                i += 2
                continue
            if word.startswith("no-") and word[3:] in options:
                del options[word[3:]]
            else:
                options[word] = (True, place)
            i += 1
        return options

    def _ports(self, name):
        """Returns the ports, as text, of all listeners that use the pool; unix sockets as ""."""
        result = []
        for listen in self.ini.listens:
            if name in used_pools(listen):
                result += ["" if bind.startswith("unix:") else bind.split(" ")[0].rpartition(":")[2]
                           for bind in listen.get("bind")]
        return result

    def _address(self, text, name, place):
        """Returns (address, host, port) of a server, or None."""
        kind, bare = "", text
        if match := re.match(r"(ipv4|ipv6|unix|abns|tcp|tcp4|tcp6|fd|sockpair|udp)@", text):
            kind, bare = match[1], text[match.end():]
        if kind in ("unix", "abns") or bare.startswith("/"):
            address = unix_address("@" + bare if kind == "abns" else bare)
            return (address, address, None) if address else None
        if kind in ("fd", "sockpair", "udp"):
            return None
        host, port = split_port(bare, r"[+-]?\d+")
        host = host.strip("[]")
        ports = sorted(set(self._ports(name)))
        if host in ("", "*", "0.0.0.0", "::"):
            return None
        if not is_ip(host) and host.startswith("_") and "._tcp." in host:
            return f"srv:{host.rstrip('.')}", None, None
        if port and port[0] in "+-":
            if len(ports) != 1 or not ports[0].isdigit():
                return None
            port = str(int(ports[0]) + int(port))
        if port in (None, "0") and (not is_ip(host) or "" in ports):
            if len(ports) != 1 or not ports[0].isdigit():
                return None
            port = ports[0]
        port = None if port == "0" else port
        if not is_ip(host) and not is_host(host) or port and not 0 < int(port) < 65536:
            return None
        host = host if is_ip(host) else host.rstrip(".")
        if not is_ip(host):
            self.report.differs(place, f"all addresses of {host} are servers, and the name is resolved "
                                "again when its TTL ends")
        return join(host, port), host, port

    def _pool(self, section):
        title = name_of(section.name)
        pool = Section(f"pool {title}", section.place, f"{section.kind} {section.name}")
        default = {}
        servers = []
        lines = []
        for words, place in section.statements:
            if words[0] == "default-server":
                self._server_options(words[1:], place, default)
            elif words[0] == "server" and len(words) > 2:
                lines.append((words[1], words[2], self._server_options(words[3:], place, dict(default)),
                              place))
            elif words[0] == "server-template" and len(words) > 3:
                lines.append((words[1], words[3], self._server_options(words[4:], place, dict(default)),
                              place))
                self.report.differs(place, "server-template: as many servers as the name has addresses")
            elif words[0] == "dispatch" and len(words) > 1:
                lines.append(("dispatch", words[1], {}, place))
        header = tls = None
        for name, text, options, place in lines:
            version = "v1" if "send-proxy" in options else \
                "v2" if any(word.startswith("send-proxy-v2") for word in options) else "no"
            address = self._address(text, title, place)
            if "no-ssl" in options:
                options.pop("ssl", None)
            if "socks4" in options:
                self.report.dropped(place, f"server {name}: no SOCKS; the server was left out")
            elif address is None:
                self.report.dropped(place, f'server {name}: "{text}" is not an address that zproxy can '
                                    "use (names, and servers behind a unix socket, need a port)")
            elif header not in (None, version):
                self.report.dropped(place, f"server {name}: send-proxy is a key of the pool; the server "
                                    "was left out because it differs from the others")
            elif tls not in (None, "ssl" in options):
                self.report.dropped(place, f"server {name}: ssl is a key of the pool; the server was left out "
                                    "because it differs from the others")
            else:
                header, tls = version, "ssl" in options
                servers.append((name, address, options, place))
        self._pool_keys(section, pool, servers, header or "no")
        self.ini.pools.append(pool)

    def _pool_keys(self, section, pool, servers, header):
        self._balance(section, pool)
        self._pool_timeouts(section, pool, servers)
        if header != "no":
            pool.set("send_proxy", header, servers[0][3])
        self._checks(section, pool, servers)
        self._server_tls(section, pool, servers)
        fallback, place = section.last("zproxy-fallback")
        if fallback:
            pool.set("fallback", name_of(fallback[0]), place)
        self._source(section, pool, servers)
        congestion = self._common(pool, servers, "cc", None, "congestion")
        if congestion:
            pool.set("congestion", *congestion)
        for words, place in section.all("tcp-request") if section.kind == "backend" else ():
            dscp = dscp_of_tos(words, ("set-bc-tos",))
            if dscp is not None:
                pool.set("dscp", dscp, place)
        names = set()
        for name, address, options, place in servers:
            name = name_of(name, self.report, place)
            if name in names:
                self.report.differs(place, f"server {name}: a second server of that name")
                name = None
            names.add(name)
            self._server(pool, name, address, options, place)
        if not servers:
            pool.set("empty", "yes", "no server in the section")
        if sum("backup" in options for _, _, options, _ in servers) > 1 and \
                section.option("allbackups")[0] is None:
            self.report.differs(section.place, f"{section.name}: all backup servers are used together; "
                                "HAProxy uses the first one")

    def _server(self, pool, name, address, options, place):
        weight, state = options.get("weight", ("1",))[0], None
        if "disabled" in options and "enabled" not in options:
            state = "maint"
        elif weight == "0":
            state, weight = "drain", "1"
        if not weight.isdigit():
            self.report.dropped(place, f"weight {weight}")
            weight = "1"
        maxconn = options.get("maxconn", ("0",))[0]
        check = self._check_address(pool, address, options, place)
        for option, (value, at) in options.items():
            if option not in NO_EFFECT_ON_SERVERS:
                self.report.dropped(at, f"server option {option}"
                                    + (f" {value}" if value is not True else ""))
        if pool.get("check") and "check" not in options:
            self.report.differs(place, f"server {name or address[0]} is checked too: checks are a "
                                "setting of the pool")
        pool.add("server", server_line(
            address[0], name, str(min(int(weight), 256)), backup="backup" in options,
            max_connections=maxconn if maxconn.isdigit() and int(maxconn) else None, state=state,
            check_address=check), place)

    def _check_address(self, pool, address, options, place):
        """Returns the address for the checks of a server, if it is not that of the server or the
        pool's check_port."""
        if not pool.get("check"):
            return None
        host = options.get("addr", (address[1],))[0]
        port = options.get("port", (address[2],))[0]
        if address[0].startswith("unix:") and "addr" not in options:
            return None
        if host is None:
            return None
        if port is None:
            ports = [each for each in self._ports(pool.title[5:]) if each.isdigit()]
            port = ports[0] if ports else None
        same = host == address[1] and (port == address[2] or [port] == pool.get("check_port"))
        if same and address[2] is not None:
            return None
        if not is_ip(host) or port is None:
            self.report.dropped(place, "the address of the checks: must be an IP address and a port")
            return None
        return join(host, port)

    def _balance(self, section, pool):
        words, place = section.last("balance")
        words = words or ["roundrobin"]
        name = re.sub(r"\(.*\)", "", words[0])
        stick, stick_place = (section.all("stick") or [(None, None)])[-1]
        value = {"roundrobin": "round_robin", "static-rr": "round_robin", "leastconn": "least_conn",
                 "first": "first", "random": "random", "source": "hash"}.get(name)
        key = "source"
        if name == "hash" and words[1:2] and words[1].split(",")[0] in ("src", "req.ssl_sni", "req_ssl_sni"):
            value, key = "hash", "source" if words[1].startswith("src") else "sni"
        if value is None:
            self.report.dropped(place, f"balance {' '.join(words)}: round_robin is used")
            value = "round_robin"
        if stick and stick[:2] in (["on", "src"], ["match", "src"], ["store-request", "src"]):
            value, place = "hash", stick_place
            self.report.differs(place, "stick on src: hash gives each client the same server, without a "
                                "table")
        elif stick:
            self.report.dropped(stick_place, "stick " + " ".join(stick))
        elif value == "hash":
            self.report.differs(place, "hash: a client keeps its server, but it is another one than "
                                "with HAProxy")
        pool.set("balance", value, place or "default of HAProxy")
        if value == "hash":
            pool.set("hash_key", key, place)

    def _pool_timeouts(self, section, pool, servers):
        words, place = section.last("timeout", "connect")
        if words is None:
            words, place = section.last("contimeout")
        connect = words or ["0"]
        self._time(pool, "connect_timeout", connect[0], place or "default of HAProxy: none")
        retries, place = section.last("retries")
        pool.set("retries", min(int(retries[0]), 1000) if retries and retries[0].isdigit() else 3,
                 place or "default of HAProxy")
        if retries:
            self.report.differs(place, "retries go to other servers at once; HAProxy repeats the same "
                                "server, and changes it with option redispatch only")
        observed = [options for _, _, options, _ in servers if options.get("observe", ("",))[0] == "layer4"]
        if observed:
            limit = observed[0].get("error-limit", ("10",))[0]
            pool.set("max_fails", limit if limit.isdigit() else 10, observed[0]["observe"][1])
            self.report.differs(observed[0]["observe"][1], "observe: a server with that many failed "
                                "connects within fail_timeout is taken out for fail_timeout")
        else:
            pool.set("max_fails", 0, "HAProxy counts failures only with observe")
        full = [(options["maxconn"][1]) for _, _, options, _ in servers if "maxconn" in options]
        if full:
            words, place = section.last("timeout", "queue")
            pool.set("max_queue", 1000000, "HAProxy has no limit")
            self._time(pool, "queue_timeout", (words or connect)[0], place or "timeout connect")
        slow = self._common(pool, servers, "slowstart", None, "slow_start")
        if slow:
            self._time(pool, "slow_start", slow[0], slow[1], most=DAY)

    def _common(self, pool, servers, option, default, key):
        """Returns (value, place) of an option that is a key of the pool here."""
        values = [options.get(option, (default, None)) for _, _, options, _ in servers]
        given = [value for value in values if value[0] is not None]
        if len({value[0] for value in given}) > 1:
            self.report.differs(given[-1][1] or pool.place, f"{option} is {key} of the pool: "
                                f"{given[0][0]} is used for all servers")
        return given[0] if given else None

    def _source(self, section, pool, servers):
        words, place = section.last("source")
        own = self._common(pool, servers, "source", None, "source")
        if own and not all("source" in options for _, _, options, _ in servers):
            self.report.differs(own[1], "source is a key of the pool: it applies to all servers")
        for _, _, options, at in servers:
            if "source" in options:
                words, place = [options["source"][0]], at
                if "usesrc" in options:
                    words += ["usesrc", options["usesrc"][0]]
        if not words:
            return
        host, port = split_port(words[0], r"\d+(?:-\d+)?")
        if "interface" in words or port:
            self.report.dropped(place, "interface or ports of source")
        if "usesrc" in words:
            kind = words[words.index("usesrc") + 1:][:1]
            if kind in (["clientip"], ["client"]):
                pool.set("source", "client", place)
                if kind == ["client"]:
                    self.report.differs(place, "usesrc client: the kernel chooses the port")
            else:
                self.report.dropped(place, "source " + " ".join(words))
        elif is_ip(host) and host not in ("0.0.0.0", "::"):
            pool.set("source", host.strip("[]"), place)
