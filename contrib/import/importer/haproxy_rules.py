"""Converts haproxy.cfg: conditions, and what depends on them: routes, access and limits."""

import os
import re

from .haproxy_words import UNITS, dscp_of_tos
from .ini import HOUR, is_sni, name_of, network_of, parse_time, rate_of, sni_names

KNOWN_ACLS = {"TRUE": ["always_true"], "FALSE": ["always_false"], "WAIT_END": ["wait_end"],
              "LOCALHOST": ["src", "127.0.0.1/8", "::1"], "REQ_CONTENT": ["wait_end"],
              "HTTP": ["req_proto_http"]}


class Conditions:
    def _condition(self, section, words, place):
        """Returns alternatives: [[(negated, fact)]]. A fact is (kind, values), kind None: unknown."""
        if not words:
            return [[(False, ("true", []))]]
        if words[0] not in ("if", "unless"):
            return [[(False, (None, []))]]
        alternatives, terms, i, negated = [], [], 1, False
        while i < len(words):
            word = words[i]
            i += 1
            if word in ("or", "||"):
                alternatives.append(terms)
                terms = []
                continue
            while word.startswith("!"):
                negated, word = not negated, word[1:]
            if word == "":
                continue
            if word == "{":
                end = words.index("}", i) if "}" in words[i:] else len(words)
                facts = [self._fact(words[i:end], place)]
                i = end + 1
            else:
                named = [(definition[1:], at) for definition, at in section.all("acl")
                         if definition[:1] == [word]]
                if not named and word in KNOWN_ACLS:
                    named = [(KNOWN_ACLS[word], place)]
                facts = [self._fact(definition, at) for definition, at in named] or [(None, [])]
            fact = facts[0]
            if len(facts) > 1:
                same = all(each[0] == fact[0] and fact[0] in ("sni", "src", "alpn") for each in facts)
                fact = (fact[0] if same else None, [value for each in facts for value in each[1]])
            terms.append((negated, fact))
            negated = False
        alternatives.append(terms)
        if words[0] == "unless":
            if len(alternatives) == 1 and len(terms) == 1:
                return [[(not terms[0][0], terms[0][1])]]
            return [[(False, (None, []))]]
        return alternatives

    def _fact(self, words, place):
        """Classifies the test of an ACL."""
        if not words:
            return None, []
        criterion, i, method = words[0], 1, ""
        values = []
        while i < len(words) and words[i].startswith("-") and not words[i][1:].isdigit():
            if words[i] == "-m":
                method, i = words[i + 1] if i + 1 < len(words) else "", i + 1
            elif words[i] == "-f" and i + 1 < len(words):
                values += self._values_of_file(words[i + 1], place)
                i += 1
            elif words[i] == "--":
                i += 1
                break
            i += 1
        values += words[i:]
        base, match = criterion.split(",")[0], re.match(r"([\w.]+)(?:\(([^)]*)\))?(_\w+)?$",
                                                        criterion.split(",")[0])
        if base in ("req_ssl_sni", "req.ssl_sni", "ssl_fc_sni") and method in ("", "str", "end", "dom"):
            return self._sni_fact(method, values)
        if base in ("req_ssl_sni_end", "req.ssl_sni_end", "ssl_fc_sni_end"):
            return self._sni_fact("end", values)
        if base in ("req_ssl_alpn", "req.ssl_alpn", "ssl_fc_alpn") and method in ("", "str"):
            return "alpn", values
        if base in ("req_ssl_hello_type", "req.ssl_hello_type") and values == ["1"]:
            return "hello", []
        if base == "src" and method in ("", "ip"):
            networks = [network_of(value) for value in values]
            return ("src", networks) if all(networks) and networks else (None, [])
        if base in ("wait_end", "always_true"):
            return "true", []
        if base == "always_false":
            return "false", []
        if base in ("req_len", "req.len") and values[:1] in (["gt"], ["ge"]):
            return "true", []
        name, argument = (match[1], match[2]) if match else ("", None)
        if name == "nbsrv" and values:
            return "nbsrv", [argument, *values]
        if re.fullmatch(r"(?:src|sc\d?)_conn_(?:rate|cur)", name) and len(values) == 2 and \
                values[0] in ("gt", "ge") and values[1].isdigit():
            return name[-4:] if name.endswith("rate") else "cur", values
        return None, []

    @staticmethod
    def _sni_fact(method, values):
        names = []
        for value in values:
            if method == "end" and value.startswith("."):
                names.append("*" + value)
            elif method == "end":
                return None, []
            elif method == "dom":
                names += [value, "*." + value]
            else:
                names.append(value)
        return ("sni", names) if names and all(map(is_sni, names)) else (None, [])

    def _values_of_file(self, name, place):
        for path in (name, os.path.join(os.path.dirname(self.path), name)):
            try:
                with open(path, encoding="utf-8", errors="replace") as f:
                    self.report.differs(place, f"the values of {name} were copied into the file")
                    return [line.strip() for line in f if line.strip() and line[0] != "#"]
            except OSError:
                continue
        self.report.dropped(place, f"the values of {name}, which cannot be read")
        return []

    @staticmethod
    def _networks(alternatives):
        """Returns the networks if the condition is only about the client's address, or None."""
        result = []
        for terms in alternatives:
            if len(terms) != 1 or terms[0][0] or terms[0][1][0] != "src":
                return None
            result += terms[0][1][1]
        return result

    # -- routes, access and limits --

    def _routing(self, section, listen):
        """Sets pool, and a route for each use_backend. Returns the names of the routes' pools."""
        names, default, where = [], None, None
        for words, place in section.all("use_backend"):
            if not words:
                continue
            if words[0].startswith("%["):
                self.report.dropped(place, f"use_backend {words[0]}: the name is computed")
                continue
            alternatives = self._condition(section, words[1:], place)
            if alternatives == [[(False, ("true", []))]]:
                default, where = words[0], place
                break
            names += self._routes(section, listen, words[0], alternatives, place)
        if section.kind == "listen":
            default, where = default or section.name, where or section.place
        elif default is None:
            words, where = section.last("default_backend")
            default = words[0] if words else None
        if default is None:
            default, where = "no-server", section.place
            self.report.differs(where, f"{section.kind} {section.name} has no default_backend: clients "
                                "that match no route are reset")
        self._check_pool(default, where)
        routes = [line for line in listen.lines if line[0] == "route"]
        listen.lines = [line for line in listen.lines if line[0] != "route"]
        listen.set("pool", name_of(default), where)
        listen.lines += routes
        return names

    def _preread(self, section, listen):
        for words, place in section.all("tcp-request"):
            if words[:1] == ["inspect-delay"] and len(words) > 1 and (
                    listen.get("route") or listen.get("accept_proxy")):
                self._time(listen, "preread_timeout", words[1], place, most=HOUR)
                self.report.differs(place, "a client that sends nothing for this time is reset; HAProxy "
                                    "goes on without its hello")

    def _check_pool(self, name, place):
        if name not in self.back and name != "no-server":
            self.report.dropped(place, f"backend {name} was not converted or does not exist; an empty "
                                "pool takes its place")

    def _routes(self, section, listen, pool, alternatives, place):
        found = []
        for terms in alternatives:
            kinds = {}
            for negated, (kind, values) in terms:
                kinds["not" if negated and kind not in ("false",) else kind] = values
            kinds.pop("true", None)
            sni, alpn = kinds.pop("sni", None), kinds.pop("alpn", None)
            if kinds.keys() <= {"hello"} and (sni or alpn):
                for part in sni_names(sni or [""]):
                    words = [f"sni={part}"] if part else []
                    words += ["alpn=" + "|".join(alpn)] if alpn else []
                    found.append(" ".join([*words, f"pool={name_of(pool)}"]))
            elif kinds.keys() == {"nbsrv"} and self._fallback(section, pool, kinds["nbsrv"], place):
                continue
            else:
                self.report.dropped(place, f"use_backend {pool}: routes can only test the server name "
                                    "and the protocols of a TLS hello")
        if found:
            self._check_pool(pool, place)
        for route in found:
            listen.add("route", route, place)
        return [pool] if found else []

    def _fallback(self, section, pool, values, place):
        """use_backend X if { nbsrv(Y) lt 1 }: X is the fallback of Y."""
        of = values[0] or section.name
        if values[1:] not in (["lt", "1"], ["eq", "0"], ["0"], ["le", "0"]) or of not in self.back:
            return False
        self.back[of].statements.append((["zproxy-fallback", pool], place))
        self._check_pool(pool, place)
        return True

    def _access(self, section, listen):
        rules, ended, tracked = [], None, False
        accepted = None         # server names of content rules that accept
        table, table_place = section.last("stick-table")
        if table is not None and section.kind == "listen" and section.all("stick"):
            table = None        # the pool's
        for words, place in section.all("tcp-request"):
            if words[:1] == ["inspect-delay"] or words[:2] == ["connection", "expect-proxy"]:
                continue
            if len(words) < 2 or words[0] not in ("connection", "session", "content"):
                self.report.dropped(place, "tcp-request " + " ".join(words))
                continue
            action = words[1]
            dscp = dscp_of_tos(words, ("set-fc-tos", "set-tos"))
            if dscp is not None:
                listen.set("dscp", dscp, place)
                continue
            if action.startswith("track-sc"):
                tracked = True
                if words[2:3] != ["src"]:
                    self.report.dropped(place, "tcp-request " + " ".join(words))
                continue
            alternatives = self._condition(section, words[2:], place)
            names = self._accepted(words, alternatives)
            if names is not None:
                accepted = (accepted or []) + names
                continue
            if accepted is not None and words[:2] == ["content", "reject"] and not words[2:]:
                self._only(listen, accepted, place)
                continue
            facts = {fact[0] for terms in alternatives for negated, fact in terms}
            if words[0] == "content" and action == "reject" and facts == {"hello"} and alternatives[0][0][0]:
                self._only(listen, [], place)
                continue
            if ended and words[0] != ended:
                self.report.dropped(place, "tcp-request " + " ".join(words) + ": follows an accept of "
                                    "another set of rules")
            elif action == "accept" and len(alternatives[0]) == 1 and self._access_rule(
                    "allow", alternatives, rules, place):
                ended = words[0]
            elif action != "reject" or not (
                    self._access_rule("deny", alternatives, rules, place)
                    or self._limit(listen, alternatives, table, tracked, place)):
                self.report.dropped(place, "tcp-request " + " ".join(words))
        for number, (key, network, place) in enumerate(rules):
            if key == "only":
                if any(later[0] != "only" for later in rules[number + 1:]):
                    self.report.dropped(place, "a rule with ! can only be the last one")
                    continue
                listen.add("allow", network, place)
                if number == len(rules) - 1:
                    listen.add("deny", "all", place)
            else:
                listen.add(key, network, place)
        if table is not None and (place := table_place) and (place, "stick") not in self.seen:
            self.seen.add((place, "stick"))
            if table[:2] not in (["type", "ip"], ["type", "ipv6"]):
                self.report.dropped(place, "stick-table " + " ".join(table))

    @staticmethod
    def _accepted(words, alternatives):
        """Returns the server names of a content rule that accepts TLS hellos, [] for all; or None."""
        if words[:2] != ["content", "accept"]:
            return None
        names = []
        for terms in alternatives:
            if any(negated or kind not in ("hello", "true", "sni") for negated, (kind, _) in terms):
                return None
            names += [value for _, (kind, values) in terms if kind == "sni" for value in values]
        return names

    def _only(self, listen, names, place):
        """All other clients are rejected."""
        if not names:
            self.report.differs(place, "sessions that are not TLS go to the pool; HAProxy rejects them")
            return
        default = listen.get("pool")[0]
        listen.set("pool", "no-server", place)
        for part in sni_names(names):
            listen.add("route", f"sni={part} pool={default}", place)

    def _access_rule(self, key, alternatives, rules, place):
        """Adds entries of allow and deny. Returns whether the condition can be expressed by them."""
        if alternatives == [[(False, ("true", []))]]:
            rules.append((key, "all", place))
            return True
        networks = self._networks(alternatives)
        if networks:
            rules += [(key, network, place) for network in networks]
            return True
        negated = [term for terms in alternatives for term in terms]
        if key == "deny" and len(alternatives) == 1 and len(negated) == 1 and negated[0][0] and \
                negated[0][1][0] == "src":
            rules += [("only", network, place) for network in negated[0][1][1]]
            return True
        return False

    def _limit(self, listen, alternatives, table, tracked, place):
        if len(alternatives) != 1 or len(alternatives[0]) != 1 or alternatives[0][0][0]:
            return False
        kind, values = alternatives[0][0][1]
        if kind not in ("rate", "cur"):
            return False
        count = int(values[1]) - (values[0] == "ge") + (0 if tracked or kind == "rate" else 1)
        listen.set("per_ip6_prefix", 128, "HAProxy counts single addresses")
        if kind == "cur":
            listen.set("max_connections_per_ip", max(count, 1), place)
            return True
        period = re.search(r"conn_rate\((\w+)\)", " ".join(table or []))
        ms = parse_time(period[1], UNITS, "ms") if period else None
        if not ms:
            return False
        rate, exact = rate_of(max(count, 1), ms)
        listen.set("rate_limit_per_ip", rate, place)
        self.report.differs(place, f"{rate}: a bucket that fills at this rate, not a sliding window"
                            + ("" if exact else "; the burst is larger than with HAProxy"))
        return True
