"""The report, zproxy.ini as it is written, and its values."""

import grp
import ipaddress
import pwd
import re
import textwrap

LINE_MAX = 199
YEAR = 365 * 86400 * 1000
DAY = 86400 * 1000
HOUR = 3600 * 1000


# ---- report and output ----

class Report:
    """Messages about the old file. A place is (path, line)."""

    def __init__(self):
        self.messages = []

    def _add(self, place, kind, text):
        """A place that is not a tuple is a default, about which there is nothing to say."""
        if isinstance(place, tuple) and (place, kind, text) not in self.messages:
            self.messages.append((place, kind, text))

    def dropped(self, place, text):
        self._add(place, "dropped", text)

    def differs(self, place, text):
        self._add(place, "differs", text)

    def count(self, kind):
        return sum(1 for message in self.messages if message[1] == kind)

    def write(self, stream):
        for (path, line), kind, text in sorted(self.messages, key=lambda message: message[0]):
            stream.write(f"{path}:{line}: {kind}: {text}\n")


class Section:
    """A section of zproxy.ini: title is such as "listen web", what tells where it comes from."""

    def __init__(self, title, place=None, what=""):
        self.title, self.place, self.what = title, place, what
        self.lines = []         # [key, value, place or the reason why the line is there]

    def add(self, key, value, origin=""):
        self.lines.append([key, str(value), origin])

    def set(self, key, value, origin=""):
        """Replaces all lines of the key."""
        self.lines = [line for line in self.lines if line[0] != key]
        self.add(key, value, origin)

    def get(self, key):
        return [line[1] for line in self.lines if line[0] == key]


class Ini:
    def __init__(self, path, report):
        self.path, self.report = path, report
        self.head = Section("global")
        self.admin = Section("admin")
        self.listens, self.pools = [], []
        self.bound = {}         # address: place

    def origin(self, place):
        if not isinstance(place, tuple):
            return place
        path, line = place
        return f"line {line}" if path == self.path else f"{path} line {line}"

    def unique(self, sections, kind, name):
        """Returns the name, with a number if it is taken."""
        taken = {section.title for section in sections}
        number, result = 1, name
        while f"{kind} {result}" in taken:
            number += 1
            result = f"{name[:64 - len(str(number)) - 1]}-{number}"
        return result

    def bind(self, listen, address, place, options=""):
        """Adds an address unless another section has it. Returns whether it was added."""
        if address in self.bound:
            self.report.dropped(place, f"the address {address} is bound a second time; the first is "
                                f"in {self.origin(self.bound[address])}")
            return False
        self.bound[address] = place
        listen.add("bind", address + options, place)
        return True

    def complete(self):
        """Adds the pools that are named but do not exist, as pools without servers."""
        known = {section.title for section in self.pools}
        for section in self.listens + self.pools:
            for key, value, place in section.lines:
                name = value if key in ("pool", "fallback") else None
                if key == "route":
                    name = value.split("pool=")[1]
                if name and f"pool {name}" not in known:
                    known.add(f"pool {name}")
                    empty = Section(f"pool {name}", what="has no server: clients are reset")
                    empty.add("empty", "yes", place)
                    self.pools.append(empty)

    def render(self):
        out = [f"# Converted from {self.path} by zproxy-import. Check it with: zproxy -t -c FILE", ""]
        for section in [self.head, self.admin, *self.pools_after_listens()]:
            if not section.lines:
                continue
            if section.place or section.what:
                where = self.origin(section.place) if section.place else ""
                out.append("# " + ", ".join(part for part in (section.what, where) if part))
            out.append(f"[{section.title}]")
            width = max(len(line[0]) for line in section.lines)
            for key, value, origin in section.lines:
                first, *more = lines_of(key, f"{key:<{width}} = {value}")
                if len(first.encode()) > LINE_MAX:
                    self.report.dropped(origin if isinstance(origin, tuple) else (self.path, 0),
                                        f"{key}: the value is too long for a line of zproxy.ini")
                    first = f"# too long: {key}"
                comment = self.origin(origin)
                out.append(f"{first:<44}  # {comment}" if comment else first)
                out += more
            out.append("")
        return "\n".join(out)

    def pools_after_listens(self):
        """Each pool follows the first listener that uses it."""
        left, result = {section.title: section for section in self.pools}, []
        for listen in self.listens:
            result.append(listen)
            for name in used_pools(listen):
                if f"pool {name}" in left:
                    result.append(left.pop(f"pool {name}"))
        return result + list(left.values())


def lines_of(key, text):
    """A list of ciphers may be longer than a line, and continues behind a colon."""
    if key not in ("tls_ciphers", "tls_ciphersuites", "tls_groups") or len(text) <= LINE_MAX:
        return [text]
    return textwrap.wrap(text.replace(":", ": "), 100, subsequent_indent="    ",
                         break_long_words=False, break_on_hyphens=False)


def used_pools(listen):
    return listen.get("pool") + [route.split("pool=")[1] for route in listen.get("route")]


# ---- values ----

def name_of(text, report=None, place=None):
    """Returns text as a name of a section or server."""
    name = re.sub(r"[^A-Za-z0-9._:-]", "_", text)[:64] or "_"
    if name != text and report:
        report.differs(place, f'the name "{text}" is not possible, "{name}" is used')
    return name


def time_of(ms, most=YEAR, least=1, zero="off"):
    """Returns milliseconds as a time of zproxy.ini."""
    if ms == 0:
        return zero
    ms = min(max(ms, least), most)
    for unit, size in (("d", DAY), ("h", HOUR), ("m", 60000), ("s", 1000)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def parse_time(text, units, default):
    """Returns milliseconds or None. A time may have several parts, such as "1m 30s"."""
    total = 0
    for part in text.split() if re.search(r"\s", text) else re.findall(r"\d+[a-z]*|.", text):
        match = re.fullmatch(r"(\d+)([A-Za-z]*)", part)
        if not match or (match[2] or default) not in units:
            return None
        total += int(match[1]) * units[match[2] or default]
    return -(-total // 1000) if text else None


def bytes_of(data):
    """Returns bytes as a value of zproxy.ini."""
    out = []
    for number, byte in enumerate(data):
        char = chr(byte)
        edge = number in (0, len(data) - 1)
        if char in "\r\n\t\\":
            out.append({"\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\"}[char])
        elif not 32 <= byte < 127 or char in "#;$" or (char == " " and edge):
            out.append(f"\\x{byte:02x}")
        else:
            out.append(char)
    return "".join(out)


def is_ip(text):
    try:
        ipaddress.ip_address(text.strip("[]").split("%")[0])
        return True
    except ValueError:
        return False


def network_of(text):
    """Returns a network of zproxy.ini (without bits after the prefix), or None."""
    if text in ("all", "unix:"):
        return text
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def is_host(text):
    labels = text.rstrip(".").split(".")
    return (0 < len(text) <= 253
            and all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in labels)
            and not re.fullmatch(r"\d+|0x[0-9a-fA-F]*", labels[-1]))


def join(host, port):
    """Returns host and port as an address; port None: without one."""
    host = f"[{host.strip('[]')}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def unix_address(path):
    """Returns the address of a unix socket with that path or "@name", or None if it is not possible."""
    if not path.startswith(("/", "@")) or len(path) > 107:
        return None
    return "unix:" + re.sub(r"[^!-~]|[\\,#;]", lambda m: f"\\x{ord(m[0]):02x}", path)


def rate_of(count, period_ms):
    """Returns (rate, exact) for count connections in a period."""
    for unit, size in (("s", 1000), ("m", 60000), ("h", HOUR), ("d", DAY)):
        if period_ms <= size:
            return f"{max(count * size // period_ms, 1)}/{unit}", period_ms == size
    return f"{max(count * DAY // period_ms, 1)}/d", False


def server_line(address, name=None, weight=None, **options):
    words = [address]
    if name and name != address:
        words.append(f"name={name}")
    if weight not in (None, "1"):
        words.append(f"weight={weight}")
    words += [f"{key}={value}" for key, value in options.items() if value not in (None, True, False)]
    words += [key for key, value in options.items() if value is True]
    return " ".join(words)


def set_user(ini, report, key, name, place):
    """Sets user or group, which must exist: zproxy -t checks it."""
    try:
        (pwd.getpwnam if key == "user" else grp.getgrnam)(name)
        ini.head.set(key, name, place)
    except KeyError:
        report.dropped(place, f"{key} {name} does not exist on this machine")


def sni_names(names):
    """Splits server names into lists that fit into a line."""
    part, size = [], 0
    for name in names:
        if part and size + len(name) > 90:
            yield "|".join(part)
            part, size = [], 0
        part.append(name)
        size += len(name) + 1
    if part:
        yield "|".join(part)


def is_sni(name):
    name = name[2:] if name.startswith("*.") else name
    return is_host(name) and not re.search(r"(^|\.)-|-(\.|$)", name)


def split_port(text, pattern=r"\d+"):
    """Returns (host, port or None). The port follows the last colon, also of an IPv6 address."""
    match = re.fullmatch(rf"(.*):({pattern})?", text)
    if not match or text.startswith("[") and text.endswith("]"):
        return text, None
    return match[1], match[2]
