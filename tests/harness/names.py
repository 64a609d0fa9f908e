"""A name server in the test process, also for answers that no real one would give."""

import collections
import select
import socket
import struct
import threading

from .addresses import fresh_address

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TRUNCATED = 0x0200

Question = collections.namedtuple("Question", "id name type tcp raw size")


def pack_name(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def pack_data(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "CNAME":
        return pack_name(value)
    *numbers, target = value
    return struct.pack("!HHH", *numbers) + pack_name(target)


def _record(owner, kind, ttl, data):
    return owner + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(data)) + data


def reply(question, records=(), code=NOERROR, flags=0, extra=(), negative=None):
    """Returns an answer. records: (type, ttl, value), or (name, type, ttl, value) of another name than
    the one in the question; extra: additional records, with names; negative: the TTL of a negative
    answer (SOA)."""
    answer = struct.pack("!HHHHHH", question.id, 0x8180 | flags | code, 1, len(records),
                         negative is not None, len(extra))
    answer += question.raw
    for *names, kind, ttl, value in records:
        owner = pack_name(names[0]) if names else b"\xc0\x0c"
        answer += _record(owner, kind, ttl, pack_data(kind, value))
    if negative is not None:
        soa = pack_name("ns.example") + pack_name("root.example")
        answer += _record(b"\0", "SOA", negative, soa + struct.pack("!5I", 1, 1, 1, 1, negative))
    for name, kind, ttl, value in extra:
        answer += _record(pack_name(name), kind, ttl, pack_data(kind, value))
    return answer


def _parse(message, tcp):
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    number, = struct.unpack_from("!H", message, at + 1)
    options = message[at + 5:at + 10]      # the root, OPT, and the size of answers (RFC 6891)
    size = struct.unpack("!H", options[3:])[0] if options[:3] == b"\0\0\x29" else 512
    return Question(struct.unpack_from("!H", message)[0], ".".join(labels).lower(),
                    NAMES.get(number, number), tcp, message[12:at + 5], size)


class NameServer:
    """At .address, UDP and TCP, in a with statement.

    records     {(name, type): [value]}; other names do not exist
    answer      a function of the question that returns the bytes of the answer, or None to send
                none; None: by_records()
    asked       counts of (name, type, "udp" or "tcp")
    """
    ttl = 0

    def __init__(self, records=None, address=None, answer=None):
        self.address = address or fresh_address()
        self.records = dict(records or {})
        self.answer = answer
        self.asked = collections.Counter()

    def __str__(self):
        return str(self.address)

    def __enter__(self):
        self.udp = socket.socket(self.address.family, socket.SOCK_DGRAM)
        self.tcp = socket.socket(self.address.family, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (self.udp, self.tcp):
            sock.bind(self.address.sockaddr)
        self.tcp.listen()
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.wake.close()
        self.thread.join()
        for sock in (self.udp, self.tcp, self.woken):
            sock.close()

    def _serve(self):
        clients = set()
        while True:
            ready, _, _ = select.select([self.woken, self.udp, self.tcp, *clients], [], [])
            if self.woken in ready:
                break
            for sock in ready:
                if sock is self.udp:
                    self._serve_udp()
                elif sock is self.tcp:
                    clients.add(sock.accept()[0])
                elif not self._serve_tcp(sock):
                    clients.remove(sock)
                    sock.close()
        for sock in clients:
            sock.close()

    def _serve_udp(self):
        message, client = self.udp.recvfrom(4096)
        answer = self._answer(message, tcp=False)
        if answer is not None:
            self.udp.sendto(answer, client)

    def _serve_tcp(self, sock):
        """Answers one question. Returns False at the end of the connection."""
        try:
            head = sock.recv(2, socket.MSG_WAITALL)
            if len(head) < 2:
                return False
            message = sock.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
            answer = self._answer(message, tcp=True)
            if answer is not None:
                sock.sendall(struct.pack("!H", len(answer)) + answer)
            return True
        except OSError:
            return False

    def _answer(self, message, tcp):
        question = _parse(message, tcp)
        self.asked[question.name, question.type, "tcp" if tcp else "udp"] += 1
        return self.answer(question) if self.answer else self.by_records(question)

    def answer_next_round(self, answer):
        """Sets answer when the next round of questions begins, which A is the first of: no round is answered in both
        ways."""
        before, begun = self.answer or self.by_records, False

        def switch(question):
            nonlocal begun
            begun = begun or question.type == "A"
            return answer(question) if begun else before(question)
        self.answer = switch

    def by_records(self, question):
        """Returns the answer that follows from self.records, with the aliases (CNAME) on the way."""
        name, aliases = question.name, []
        while (name, "CNAME") in self.records and len(aliases) < 30:
            target, = self.records[name, "CNAME"]
            aliases.append((name, "CNAME", self.ttl, target))
            name = target
        if not any(name == known for known, _ in self.records):
            return reply(question, aliases, code=NXDOMAIN)
        values = self.records.get((name, question.type), [])
        owner = (name,) if aliases else ()      # that of the question takes less room
        return reply(question, aliases + [(*owner, question.type, self.ttl, value)
                                          for value in values])

    def rounds(self):
        """Returns the number of questions so far."""
        return sum(self.asked.values())
