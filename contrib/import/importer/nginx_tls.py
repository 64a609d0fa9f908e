"""Converts nginx.conf: TLS of clients and to servers."""

import os

from .ini import HOUR
from .tls import SILENT_CIPHERS, alpn_of, set_versions

LISTEN = """ssl_certificate ssl_certificate_key ssl_protocols ssl_ciphers ssl_conf_command ssl_ecdh_curve
    ssl_client_certificate ssl_trusted_certificate ssl_verify_client ssl_session_tickets
    ssl_session_ticket_key ssl_alpn ssl_handshake_timeout ssl_reject_handshake""".split()
LISTEN_SILENT = """ssl_prefer_server_ciphers ssl_session_cache ssl_session_timeout ssl_dhparam
    ssl_verify_depth ssl_buffer_size ssl_early_data""".split()
SERVER = """proxy_ssl proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_name proxy_ssl_server_name
    proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_protocols proxy_ssl_ciphers
    proxy_ssl_conf_command proxy_ssl_alpn""".split()
SERVER_SILENT = ["proxy_ssl_session_reuse", "proxy_ssl_verify_depth"]
DROPPED = """ssl_password_file ssl_crl ssl_stapling ssl_ocsp ssl_key_log proxy_ssl_password_file proxy_ssl_crl
    proxy_ssl_key_log""".split()
# What nginx's directives of the stream block may be repeated.
REPEATED = ("ssl_certificate", "ssl_certificate_key", "ssl_session_ticket_key", "ssl_conf_command",
            "proxy_ssl_conf_command")
ALL = LISTEN + LISTEN_SILENT + SERVER + SERVER_SILENT + DROPPED


class Tls:
    def _tls_path(self, each):
        """A path is relative to the directory of nginx.conf."""
        text = each.arguments[0]
        if "$" in text or text.startswith(("data:", "engine:", "store:")):
            self.report.dropped(each.place, " ".join(each.words) + ": not a file")
            return None
        return os.path.join(self.directory, text)

    def _tls_versions(self, section, settings, name):
        for each in settings.get(name, []):
            allowed = {word[4:] if word != "TLSv1" else "1.0" for word in each.arguments
                       if word.startswith("TLSv")}
            set_versions(section, allowed, each.place, self.report, name)

    def _tls_list(self, section, settings, name, key):
        for each in settings.get(name, []):
            if each.arguments[0] not in (*SILENT_CIPHERS, "auto"):
                section.set(key, each.arguments[0], each.place)

    def _tls_commands(self, section, settings, name):
        keys = {"Ciphersuites": "tls_ciphersuites", "Groups": "tls_groups", "Curves": "tls_groups"}
        for each in settings.get(name, []):
            if each.arguments[0] in keys and len(each.arguments) == 2:
                section.set(keys[each.arguments[0]], each.arguments[1], each.place)
            else:
                self.report.dropped(each.place, " ".join(each.words))

    def _certificates(self, settings, name):
        """Returns [(value of tls_certificate, place)]."""
        keys = settings.get(f"{name}_key", [])
        found = []
        for i, each in enumerate(settings.get(name, [])):
            path = self._tls_path(each)
            key = self._tls_path(keys[i]) if i < len(keys) else None
            if path:
                found.append((path if key in (None, path) else f"{path} key={key}", each.place))
        return found

    def _listen_tls(self, settings, listen, place):
        """Returns whether the listener can have TLS."""
        files = self._certificates(settings, "ssl_certificate")
        if not files:
            self.report.dropped(place, "listen with ssl: no certificate; the address is not bound")
            return False
        listen.set("tls", "yes", place)
        for value, origin in files:
            listen.add("tls_certificate", value, origin)
        self._tls_versions(listen, settings, "ssl_protocols")
        self._tls_list(listen, settings, "ssl_ciphers", "tls_ciphers")
        self._tls_list(listen, settings, "ssl_ecdh_curve", "tls_groups")
        self._tls_commands(listen, settings, "ssl_conf_command")
        for each in settings.get("ssl_alpn", []):
            listen.set("tls_alpn", alpn_of(" ".join(each.arguments)), each.place)
        self._tls_clients(settings, listen)
        value, origin = self._value(settings, "ssl_session_tickets", "on")
        if value == "off":
            listen.set("tls_tickets", "no", origin)
        for each in settings.get("ssl_session_ticket_key", []) if value == "on" else ():
            listen.add("tls_ticket_key", self._tls_path(each), each.place)
        value, origin = self._value(settings, "ssl_reject_handshake", "off")
        if value == "on":
            listen.set("tls_unknown_name", "reject", origin)
        value, origin = self._value(settings, "ssl_handshake_timeout", "60s")
        self._time(listen, "preread_timeout", value, origin, most=HOUR)
        return True

    def _tls_clients(self, settings, listen):
        value, origin = self._value(settings, "ssl_verify_client", "off")
        words = {"on": "yes", "optional": "optional"}
        if value == "optional_no_ca":
            self.report.dropped(origin, "ssl_verify_client optional_no_ca: no certificate is asked for")
        if value not in words:
            return
        listen.set("tls_verify_client", words[value], origin)
        for name in "ssl_client_certificate", "ssl_trusted_certificate":
            for each in settings.get(name, []):
                listen.set("tls_client_ca", self._tls_path(each), each.place)
                return

    # -- to servers --

    def _pool_tls(self, pool, settings, target):
        """settings: {name: [directive]}; target: of proxy_pass, or the name of an upstream."""
        if not settings.get("proxy_ssl") or settings["proxy_ssl"][0].arguments != ["on"]:
            return
        place = settings["proxy_ssl"][0].place
        pool.set("tls", "yes", place)
        verify, origin = self._value(settings, "proxy_ssl_verify", "off")
        if verify != "on":
            pool.set("tls_verify", "no", origin)
        for each in settings.get("proxy_ssl_trusted_certificate", []) if verify == "on" else ():
            pool.set("tls_ca", self._tls_path(each), each.place)
        self._tls_name(pool, settings, target, verify)
        for value, origin in self._certificates(settings, "proxy_ssl_certificate"):
            pool.set("tls_certificate", value, origin)
        self._tls_versions(pool, settings, "proxy_ssl_protocols")
        self._tls_list(pool, settings, "proxy_ssl_ciphers", "tls_ciphers")
        self._tls_commands(pool, settings, "proxy_ssl_conf_command")
        for each in settings.get("proxy_ssl_alpn", []):
            pool.set("tls_alpn", alpn_of(" ".join(each.arguments)), each.place)

    def _tls_name(self, pool, settings, target, verify):
        """By default the name is that of proxy_pass, which may be the name of an upstream."""
        found = settings.get("proxy_ssl_name", [])
        text = found[0].arguments[0] if found else target
        place = found[0].place if found else "the name in proxy_pass, as in nginx"
        if found and text.strip("${}") in ("ssl_preread_server_name", "ssl_server_name"):
            pool.set("tls_name", "client", place)
        elif "$" in text:
            self.report.dropped(place, " ".join(found[0].words) + ": a variable")
        elif found or (verify == "on" and target in self.upstreams):
            pool.set("tls_name", text.split(":")[0], place)
        sends, origin = self._value(settings, "proxy_ssl_server_name", "off")
        if sends != "on":
            self.report.differs(settings["proxy_ssl"][0].place, "proxy_ssl: the name of the server is in the hello; "
                                "in nginx only with proxy_ssl_server_name on")
