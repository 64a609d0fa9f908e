"""Clients, servers and bytes."""

import collections
import errno
import hashlib
import functools
import random
import select
import selectors
import socket
import struct
import threading
from concurrent.futures import Future

from .addresses import fresh_address
from .tap import DEADLINE, Failure

CHUNK = 256 * 1024


# ---- bytes ----

@functools.lru_cache(maxsize=32)
def payload(size, seed=0):
    """Returns pseudo-random bytes, the same in every run."""
    return random.Random(f"{seed}-{size}").randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Received(collections.namedtuple("Received", "size digest end")):
    """Received bytes: their number, their hash, and how the stream ended: "fin", "reset", or None:
    not yet."""


def complete(data, end="fin"):
    """The Received of a peer that got all of data, and then the end."""
    return Received(len(data), digest(data), end)


def receive(sock, size=None):
    """Reads to the end of the stream, or size bytes. Returns Received."""
    sha, buffer, got, end = hashlib.sha256(), memoryview(bytearray(CHUNK)), 0, None
    while end is None and (size is None or got < size):
        try:
            n = sock.recv_into(buffer, min(CHUNK, CHUNK if size is None else size - got))
        except ConnectionResetError:
            end = "reset"
            break
        except TimeoutError:
            raise Failure(f"nothing came for {DEADLINE} s after {got} bytes") from None
        sha.update(buffer[:n])
        got += n
        if n == 0:
            end = "fin"
    return Received(got, sha.hexdigest(), end)


# ---- sockets ----

def connect(address, source=None, receive_buffer=None):
    """Returns a connected client socket."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if address.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        sock.bind(source.sockaddr)
    sock.connect(address.sockaddr)
    return sock


def is_refused(address):
    """Whether nothing listens there. A client that comes while a listener is closed may get a reset."""
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


def reset(sock):
    """Closes a socket with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def was_reset(sending):
    """Whether background(send, ...) has failed because of a reset."""
    return isinstance(sending.exception(DEADLINE), (ConnectionResetError, BrokenPipeError))


def is_reset(sock):
    """Waits for an error or hangup of the socket without reading from it. Returns whether the
    connection was reset."""
    poll = select.poll()
    poll.register(sock, 0)      # POLLERR and POLLHUP are always reported
    if not poll.poll(DEADLINE * 1000):
        raise Failure(f"the socket is still alive after {DEADLINE} s")
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (errno.ECONNRESET, errno.EPIPE)


def background(function, *arguments):
    """Calls a function in a thread. Returns a Future: .result(DEADLINE)."""
    future = Future()

    def body():
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
    threading.Thread(target=body, daemon=True).start()
    return future


def send(sock, data):
    """Sends all of data, and then FIN."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def fill(sock, data):
    """Sends until the socket takes no more for half a second. Returns the number of bytes sent."""
    data, sent = memoryview(data), 0
    while sent < len(data) and select.select([], [sock], [], 0.5)[1]:
        try:
            sent += sock.send(data[sent:sent + CHUNK], socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass    # writable, but without room for a whole chunk
    return sent


def echoes(sock, data=b"are you there?"):
    """Whether the server at the other end echoes data."""
    sock.sendall(data)
    return receive(sock, len(data)) == complete(data, end=None)


# ---- servers ----

def _listen(address, backlog, receive_buffer=None):
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    if address.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.bind(address.sockaddr)
    if backlog is not None:
        sock.listen(backlog)
    return sock


class _Server:
    """Listens at .address, a fresh one by default; str() is the address."""
    backlog = 4096

    def __init__(self, address=None, receive_buffer=None):
        self.address = address or fresh_address()
        self.sock = _listen(self.address, self.backlog, receive_buffer)
        self.sock.settimeout(DEADLINE)

    def __str__(self):
        return str(self.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Backend(_Server):
    """A server in the scenario itself, which accepts, reads and answers in its own lines."""

    def accept(self):
        try:
            sock, _ = self.sock.accept()
        except TimeoutError:
            raise Failure(f"no connection to the server for {DEADLINE} s") from None
        sock.settimeout(DEADLINE)
        if self.address.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def has_client(self):
        """Whether a connection waits to be accepted."""
        return bool(select.select([self.sock], [], [], 0)[0])


class Refusing(_Server):
    """An address that is bound, and refuses connections until listen() is called."""
    backlog = None

    def listen(self):
        self.sock.listen(4096)


class BlackHole(_Server):
    """A server that does not answer: its queue is full, so the kernel drops every SYN."""
    backlog = 0

    def __enter__(self):
        self.queue = []
        for _ in range(16):
            sock = socket.socket(self.address.family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(self.address.sockaddr)
            self.queue.append(sock)
            if not select.select([], [sock], [], 0.3)[1]:
                return self
        raise Failure("the queue of a listening socket does not fill up")

    def __exit__(self, *_):
        for sock in self.queue:
            sock.close()
        super().__exit__()


class Echo(_Server):
    """Sends greeting to every client, echoes what it receives, and closes after the client's FIN.
    One thread serves thousands of clients."""

    def __init__(self, greeting=b"", address=None):
        super().__init__(address)
        self.greeting = greeting
        self.accepted = 0
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()

    def __enter__(self):
        self.sock.setblocking(False)
        self.selector.register(self.sock, selectors.EVENT_READ)
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.wake.close()
        self.thread.join(DEADLINE)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.woken:
                    return
                if key.fileobj is self.sock:
                    self._accept()
                    continue
                try:
                    self._echo(key.fileobj, key.data)
                except OSError:
                    self._forget(key.fileobj)

    def _accept(self):
        try:
            while True:
                sock, _ = self.sock.accept()
                sock.setblocking(False)
                self.accepted += 1
                pending = bytearray(self.greeting)
                self.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, pending)
        except BlockingIOError:
            pass

    def _echo(self, sock, pending):
        ended = False
        try:
            data = sock.recv(CHUNK)
            ended = not data
            pending += data
        except BlockingIOError:
            pass
        if pending:
            if ended:
                sock.settimeout(DEADLINE)
                sock.sendall(pending)
            else:
                del pending[:sock.send(pending)]
        if ended:
            self._forget(sock)
            return
        events = selectors.EVENT_WRITE if pending else selectors.EVENT_READ
        if events != self.selector.get_key(sock).events:
            self.selector.modify(sock, events, pending)

    def _forget(self, sock):
        self.selector.unregister(sock)
        sock.close()
