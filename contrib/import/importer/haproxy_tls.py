"""Converts haproxy.cfg: TLS of bind and server lines."""

import os
import re

from .tls import SILENT_CIPHERS, VERSIONS, alpn_of, set_versions

ALL = ("1.0", "1.1", *VERSIONS)
LISTS = (("ciphers", "tls_ciphers"), ("ciphersuites", "tls_ciphersuites"), ("curves", "tls_groups"))
BIND_ONE_WORD = """crt crt-list ca-file ca-verify-file crl-file alpn npn ciphers ciphersuites curves ecdhe
    sigalgs client-sigalgs verify ssl-min-ver ssl-max-ver tls-ticket-keys crt-ignore-err ca-ignore-err
    ocsp-update ca-sign-file ca-sign-pass""".split()
BIND = """ssl crt crt-list ca-file alpn ciphers ciphersuites curves verify ssl-min-ver ssl-max-ver
    strict-sni no-tls-tickets tls-tickets force-tlsv10 force-tlsv11 force-tlsv12 force-tlsv13 no-sslv3
    no-tlsv10 no-tlsv11 no-tlsv12 no-tlsv13 no-ca-names prefer-client-ciphers no-strict-sni""".split()
SERVER = """ssl verify ca-file crt sni verifyhost alpn ciphers ciphersuites curves ssl-min-ver ssl-max-ver
    force-tlsv10 force-tlsv11 force-tlsv12 force-tlsv13 no-sslv3 no-tlsv10 no-tlsv11 no-tlsv12
    no-tlsv13 check-ssl no-check-ssl check-sni""".split()


def versions_of(options):
    """Returns the versions that the options allow, as a list, or None without such an option."""
    for version in ALL:
        if f"force-tlsv{version.replace('.', '')}" in options:
            return [version]
    names = {f"TLSv{version}": version for version in ALL}
    least, most = (names.get(options.get(word)) for word in ("ssl-min-ver", "ssl-max-ver"))
    refused = [version for version in ALL if f"no-tlsv{version.replace('.', '')}" in options]
    if not least and not most and not set(refused) & set(VERSIONS):
        return None
    least = max(least or "1.2", min((v for v in VERSIONS if v not in refused), default="1.2")) \
        if least in (None, "1.2", "1.3") else least
    return [version for version in ALL if least <= version <= (most or "1.3") and version not in refused]


class Tls:
    def _ssl_file(self, text, kind):
        """kind: "crt" or "ca"."""
        base = (self._ssl_global(f"{kind}-base") or [""])[0]
        return os.path.join(os.path.dirname(os.path.abspath(self.path)), base, text)

    def _ssl_global(self, name):
        found = [words[1:] for section in self.sections if section.kind == "global"
                 for words, _ in section.statements if words[0] == name]
        return found[-1] if found else None

    def _ssl_defaults(self, options, kind):
        """Adds the defaults of the global section to {option: value} of a line."""
        words = self._ssl_global(f"ssl-default-{kind}-options") or []
        found, i = {}, 0
        while i < len(words):
            one = words[i] in ("ssl-min-ver", "ssl-max-ver")
            found[words[i]] = words[i + 1] if one and i + 1 < len(words) else True
            i += 2 if one else 1
        for word, _ in LISTS:
            value = self._ssl_global(f"ssl-default-{kind}-{word}")
            if value:
                found[word] = value[0]
        return {**found, **options}

    # -- bind --

    def _certificates(self, found, place):
        """found: [(word, value)]. Returns the files."""
        files = []
        for word, value in found:
            path = self._ssl_file(value, "crt")
            if value.startswith("@"):
                self.report.dropped(place, f"crt {value}: a certificate of a crt-store")
            elif word == "crt-list":
                files += self._crt_list(path, place)
            elif os.path.isdir(path):
                names = sorted(name for name in os.listdir(path) if not name.endswith(
                    (".key", ".ocsp", ".sctl", ".issuer", ".dhparam")))
                files += [self._with_key(os.path.join(path, name)) for name in names]
            else:
                files.append(self._with_key(path))
        return files

    @staticmethod
    def _with_key(path):
        """The key is in the file itself, or beside it."""
        return f"{path} key={path}.key" if os.path.exists(f"{path}.key") else path

    def _crt_list(self, path, place):
        try:
            with open(path, encoding="utf-8") as f:
                lines = [line.strip() for line in f]
        except (OSError, UnicodeDecodeError) as error:
            self.report.dropped(place, f"crt-list {path}: {error}")
            return []
        files = []
        for line in lines:
            words = re.sub(r"\[[^]]*\]", " ", line).split()
            if not words or line.startswith("#"):
                continue
            files.append(self._with_key(self._ssl_file(words[0], "crt")))
            if "[" in line or words[1:]:
                self.report.differs(place, f"crt-list: options and names of {words[0]} are not used; the "
                                    "names of the certificate choose it")
        return files

    def _bind_tls(self, options, certificates, place):
        """Returns a tuple of (key, value) for the listener."""
        keys, options = [("tls", "yes")], self._ssl_defaults(options, "bind")
        files = self._certificates(certificates, place)
        if not files:
            self.report.dropped(place, "bind with ssl: no certificate; the address is not bound")
            return None
        keys += [("tls_certificate", file) for file in files]
        allowed = versions_of(options)
        if allowed is not None:
            keys.append(("versions", tuple(allowed)))
        for word, key in LISTS:
            if options.get(word) not in (None, *SILENT_CIPHERS):
                keys.append((key, options[word]))
        if options.get("alpn"):
            keys.append(("tls_alpn", alpn_of(options["alpn"])))
            self.report.differs(place, "alpn: a client that offers protocols, and none of these, is refused")
        verify = options.get("verify", "none")
        if verify in ("optional", "required") and options.get("ca-file"):
            keys.append(("tls_verify_client", "yes" if verify == "required" else "optional"))
            keys.append(("tls_client_ca", self._ssl_file(options["ca-file"], "ca")))
        if "strict-sni" in options:
            keys.append(("tls_unknown_name", "reject"))
        if "no-tls-tickets" in options:
            keys.append(("tls_tickets", "no"))
        if "prefer-client-ciphers" in options:
            self.report.differs(place, "prefer-client-ciphers: the order of zproxy decides")
        if "tls-ticket-keys" in options:
            self.report.dropped(place, "tls-ticket-keys: tls_ticket_key has files of random bytes, not of "
                                "base64")
        return tuple(keys)

    def _set_bind_tls(self, listen, keys, place):
        for key, value in keys:
            if key == "versions":
                set_versions(listen, value, place, self.report, "versions of bind")
            else:
                listen.add(key, value, place)

    # -- server --

    def _server_tls(self, section, pool, servers):
        """The keys of the pool; the servers all have ssl, or none has."""
        tls = servers and "ssl" in servers[0][2]
        checks = any("check-ssl" in options for _, _, options, _ in servers)
        if not tls and not checks:
            return
        place = servers[0][2]["ssl"][1] if tls else servers[0][3]
        if tls:
            pool.set("tls", "yes", place)
        self._check_tls(pool, servers, tls)
        given = {}
        for word in SERVER:
            found = self._common(pool, servers, word, None, "TLS")
            if found:
                given[word] = found
        plain = self._ssl_defaults({word: value for word, (value, _) in given.items()}, "server")
        def where(word):
            return given[word][1] if word in given else place
        self._server_verify(section, pool, given, plain, place)
        for word, key in LISTS:
            if plain.get(word) not in (None, *SILENT_CIPHERS):
                pool.set(key, plain[word], where(word))
        set_versions(pool, versions_of(plain), where("ssl-min-ver"), self.report, "versions of server")
        if "crt" in given:
            pool.set("tls_certificate", self._with_key(self._ssl_file(given["crt"][0], "crt")),
                     given["crt"][1])
        if "alpn" in given:
            pool.set("tls_alpn", alpn_of(given["alpn"][0]), given["alpn"][1])

    def _check_tls(self, pool, servers, tls):
        if not pool.get("check"):
            return
        elsewhere = any("port" in options or "addr" in options for _, _, options, _ in servers)
        forced = [options["check-ssl"][1] for _, _, options, _ in servers if "check-ssl" in options]
        off = [options["no-check-ssl"][1] for _, _, options, _ in servers if "no-check-ssl" in options]
        if forced and not tls:
            pool.set("check_tls", "yes", forced[0])
        elif tls and not forced and (elsewhere or off):
            pool.set("check_tls", "no", off[0] if off else "HAProxy checks another port without TLS")

    def _server_verify(self, section, pool, given, plain, place):
        default = (self._ssl_global("ssl-server-verify") or ["required"])[0]
        verify = plain.get("verify", default)
        if verify == "none":
            pool.set("tls_verify", "no", given["verify"][1] if "verify" in given else place)
        elif "ca-file" in given:
            value = given["ca-file"][0]
            pool.set("tls_ca", "system" if value == "@system-ca" else self._ssl_file(value, "ca"),
                     given["ca-file"][1])
        sni = given.get("sni", given.get("check-sni"))
        name, at = self._sni_name(sni) if sni else (None, None)
        if "verifyhost" in given:
            host, host_place = given["verifyhost"]
            if name not in (None, host):
                self.report.differs(host_place, f"verifyhost {host}: the name that is verified is the one "
                                    f"in the hello too; sni {name} is not used")
            name, at = host, host_place
        if name:
            pool.set("tls_name", name, at)
        elif verify != "none":
            self.report.differs(place, "without sni and verifyhost HAProxy accepts a certificate for any name; "
                                "here it must be for the host, or the address, of the server, or for tls_name")

    def _sni_name(self, found):
        text, place = found
        if match := re.fullmatch(r"str\(['\"]?([\w.-]+)['\"]?\)", text):
            return match[1], place
        if re.match(r"(ssl_fc_sni|req_ssl_sni|req\.ssl_sni)\b", text):
            return "client", place
        self.report.dropped(place, f"sni {text}: expected str(NAME), ssl_fc_sni or req.ssl_sni")
        return None, place
