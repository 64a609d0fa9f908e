"""TLS clients of a scenario: each step, each byte and each end is the scenario's own."""

import contextlib
import functools
import os
import socket
import ssl
import tempfile
import threading

from .certificates import Authority
from .control import Control
from .machine import need
from .program import can_splice, sections_for, zproxy
from .tap import wait_for
from .traffic import CHUNK, Backend, Received, connect, digest

TCP_ULP = 31     # linux/tcp.h
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@functools.cache
def has_tls():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(sections_for("127.0.0.1:9", "127.0.0.1:1", pool={
            "check": "tcp", "check_tls": "yes", "tls_verify": "no"}))
        f.flush()
        return "built without OpenSSL" not in zproxy("-t", "-c", f.name).stderr


@functools.cache
def authority():
    directory = tempfile.TemporaryDirectory()
    os.chmod(directory.name, 0o755)
    made = Authority(directory.name)
    made.holder = directory
    return made


@functools.cache
def certificate(name="good", names=("server.test",), **options):
    return authority().make(name, list(names), **options)


@functools.cache
def why_no_ktls():
    """Returns why this kernel cannot encrypt and decrypt; None: it can."""
    with socket.create_server(("127.0.0.1", 0)) as listening, \
            socket.create_connection(listening.getsockname()) as client:
        try:
            client.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError as error:
            return f"no TLS in this kernel: {error.strerror}"
    return None if can_splice() and has_tls() else "no TLS in the kernel without splice and OpenSSL"


def need_ktls():
    need(why_no_ktls() is None, why_no_ktls())


def relay_of(version="1.3", ciphers=None):
    """Returns where zproxy relays such sessions: as tls_relay of the access log."""
    in_kernel = ciphers is None or "GCM" in ciphers or "CHACHA20" in ciphers
    return "kernel" if in_kernel and why_no_ktls() is None else "user"


def listen_tls(*certificates, **keys):
    """The keys of a [listen] section."""
    need(has_tls(), "zproxy was built without OpenSSL")
    return {"tls": "yes", "tls_certificate": list(certificates) or [certificate()], **keys}


def strict(made):
    """Python takes FIN without close_notify for an end like others, unless told otherwise."""
    made.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return made


def context(version=None, alpn=(), ciphers=None, own=None):
    made = strict(ssl.create_default_context(cafile=authority().ca))
    if version:
        made.minimum_version = made.maximum_version = VERSIONS[version]
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if ciphers:
        made.set_ciphers(ciphers)
    if own:
        made.load_cert_chain(own)
    return made


class Cut(Exception):
    """The stream has ended without close_notify."""


class TlsClient:
    """A connection whose records are made in memory. Sending and receiving may be in two threads."""

    def __init__(self, address, name="server.test", made=None, handshake=True, session=None, before=b"",
                 raw=None, **options):
        self.made = made or context(**options)
        self.raw = raw or connect(address)
        if before:
            self.raw.sendall(before)
        self.wrap(server_hostname=name, session=session)
        if handshake:
            self.handshake()

    def wrap(self, **how):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = self.made.wrap_bio(self.incoming, self.outgoing, **how)
        self.lock, self.sending = threading.Lock(), threading.Lock()

    def flush(self):
        with self.sending:
            with self.lock:
                data = self.outgoing.read()
            if data:
                self.raw.sendall(data)

    def feed(self):
        data = self.raw.recv(CHUNK)
        with self.lock:
            self.incoming.write(data) if data else self.incoming.write_eof()

    def handshake(self, flush_last=True):
        """flush_last: whether to send the last part of it."""
        while True:
            try:
                with self.lock:
                    self.object.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.feed()
            except ssl.SSLError:
                self.flush()
                raise
        if flush_last:
            self.flush()
        return self

    def send(self, data, piece=CHUNK):
        for at in range(0, len(data), piece):
            with self.sending:
                with self.lock:
                    self.object.write(data[at:at + piece])
                    out = self.outgoing.read()
                self.raw.sendall(out)

    def read(self, size):
        """Returns at most size bytes; b"": close_notify."""
        while True:
            try:
                with self.lock:
                    return self.object.read(size)
            except ssl.SSLWantReadError:
                self.flush()
                self.feed()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
                    raise Cut from None
                raise

    def receive(self, size=None):
        """As receive() of traffic; end "cut": FIN without close_notify."""
        parts, got, end = [], 0, None
        while end is None and (size is None or got < size):
            try:
                part = self.read(CHUNK if size is None else size - got)
            except ConnectionResetError:
                end = "reset"
                break
            except Cut:
                end = "cut"
                break
            parts.append(part)
            got += len(part)
            end = "fin" if not part else None
        return Received(got, digest(b"".join(parts)), end)

    def echoes(self, data=b"are you there?"):
        self.send(data)
        return self.receive(len(data)) == Received(len(data), digest(data), None)

    def end(self):
        """Sends close_notify; the other direction stays open."""
        with self.lock:
            try:
                self.object.unwrap()
            except (ssl.SSLWantReadError, ssl.SSLSyscallError):
                pass
        self.flush()

    def close(self):
        self.raw.close()


def server_context(own=None, version=None, alpn=(), client_ca=None, names=None, ciphers=None):
    """names(name): called with the name in the hello, or None."""
    made = strict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    made.load_cert_chain(own or certificate())
    if version:
        made.minimum_version = made.maximum_version = VERSIONS[version]
    if ciphers:
        made.set_ciphers(ciphers)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if client_ca:
        made.load_verify_locations(client_ca)
        made.verify_mode = ssl.CERT_REQUIRED
    if names:
        made.sni_callback = lambda _, name, __: names(name)
    return made


class TlsServer(TlsClient):
    """The same for a connection that a server has accepted."""

    def __init__(self, raw, made, handshake=True):
        self.made, self.raw = made, raw
        self.wrap(server_side=True)
        if handshake:
            self.handshake()


class TlsBackend(Backend):
    """A server whose connections are TlsServer."""

    def __init__(self, made=None, address=None, receive_buffer=None, **options):
        super().__init__(address, receive_buffer=receive_buffer)
        self.made = made or server_context(**options)

    def accept(self, handshake=True):
        return TlsServer(super().accept(), self.made, handshake)


def hello_of(made=None):
    """Returns the bytes of a client's hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = (made or context()).wrap_bio(incoming, outgoing, server_hostname="server.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def wait_until_stalled(z):
    """Waits until bytes have moved, and none more: a reader holds up a stream."""
    def moved():
        with Control(z.socket) as control:
            return [(row["up"], row["down"]) for row in control.json("show sessions")]

    seen = [[]]

    def stands():
        seen.append(moved())
        return seen[-1] == seen[-2] and any(map(any, seen[-1]))
    wait_for(stands, "a reader that holds up the stream")


def states(z):
    """Returns the states of all sessions."""
    with Control(z.socket) as control:
        return [row["state"] for row in control.json("show sessions")]


def to_tls(**keys):
    """The keys of a [pool] section."""
    need(has_tls(), "zproxy was built without OpenSSL")
    return {"tls": "yes", "tls_ca": authority().ca, "tls_name": "server.test", **keys}
