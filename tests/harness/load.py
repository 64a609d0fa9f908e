"""Load: clients that connect and close as fast as they can, and streams compared byte by byte."""

import selectors
import socket
import threading
import time

from .tap import DEADLINE, Failure, wait_for
from .traffic import CHUNK, connect, payload

PATTERN = payload(1 << 20)      # what streams carry, over and over
TWICE = memoryview(PATTERN + PATTERN)


class _Load:
    """Runs in threads during a with statement; raises Failure at its end if anything failed."""

    def __init__(self):
        self.stopping = False
        self.wrong = []

    def __exit__(self, kind, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join(2 * DEADLINE)
        if kind is None and any(thread.is_alive() for thread in self.threads):
            raise Failure("the load does not end")
        if kind is None and self.wrong:
            raise Failure(f"{len(self.wrong)} went wrong: {self.wrong[:5]}")

    def _start(self, *functions):
        self.threads = [threading.Thread(target=f, daemon=True) for f in functions]
        for thread in self.threads:
            thread.start()
        return self


class Visitors(_Load):
    """at_once threads; each connects, has a few bytes echoed, closes, and connects again."""

    def __init__(self, address, at_once=4):
        super().__init__()
        self.address, self.at_once, self.visits = address, at_once, 0

    def __enter__(self):
        return self._start(*[self._visit] * self.at_once)

    def _visit(self):
        while not self.stopping:
            try:
                with connect(self.address) as sock:
                    sock.sendall(b"0123456789")
                    got = b""
                    while len(got) < 10:
                        more = sock.recv(10 - len(got))
                        if not more:
                            raise EOFError(f"the end after {len(got)} bytes")
                        got += more
                if got != b"0123456789":
                    raise ValueError(f"{got} came back")
                self.visits += 1
            except Exception as error:
                self.wrong.append(repr(error))
                time.sleep(0.01)

    def await_some(self, count=50):
        """Waits until count more clients have been served, or one has failed."""
        target = self.visits + count
        wait_for(lambda: self.visits >= target or self.wrong, f"{count} visits")


class _Stream:
    def __init__(self, sock, slow):
        self.sock, self.slow = sock, slow
        self.sent = self.got = 0
        self.shut = False

    def window(self):
        return (1 << 20 if self.slow else 1 << 16) - (self.sent - self.got)


class Streams(_Load):
    """Sessions with an echo server that send and receive all the time; each byte that comes back is
    compared with the one that was sent. Every third session reads slowly, so that bytes wait in
    socket buffers and pipes on both sides."""

    def __init__(self, address, count):
        super().__init__()
        self.address, self.count = address, count
        self.moved = 0

    def __enter__(self):
        self.selector = selectors.DefaultSelector()
        for i in range(self.count):
            slow = i % 3 == 0
            sock = connect(self.address, receive_buffer=4096 if slow else None)
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE,
                                   _Stream(sock, slow))
        return self._start(self._run)

    def await_some(self, size=5_000_000):
        """Waits until size more bytes have come back, or a session has failed."""
        target = self.moved + size
        wait_for(lambda: self.moved >= target or self.wrong, f"{size} bytes")

    def _run(self):
        end = None
        while self.selector.get_map():
            if self.stopping and end is None:
                end = time.monotonic() + DEADLINE
                self._turn_all(selectors.EVENT_READ | selectors.EVENT_WRITE)
            if end is not None and time.monotonic() > end:
                self.wrong.append(f"{len(self.selector.get_map())} streams do not end")
                return
            for key, events in self.selector.select(0.1):
                try:
                    self._turn(key.data, events)
                except (OSError, ValueError) as error:
                    self._drop(key.data, repr(error))

    def _turn_all(self, events):
        for key in list(self.selector.get_map().values()):
            self.selector.modify(key.fileobj, events, key.data)

    def _drop(self, stream, why=None):
        if why:
            self.wrong.append(f"{why} after {stream.got} of {stream.sent} bytes")
        self.selector.unregister(stream.sock)
        stream.sock.close()

    def _turn(self, stream, events):
        if events & selectors.EVENT_WRITE and not stream.shut:
            self._send(stream)
        if events & selectors.EVENT_READ:
            self._receive(stream)

    def _send(self, stream):
        if self.stopping:
            stream.sock.shutdown(socket.SHUT_WR)
            stream.shut = True
            self.selector.modify(stream.sock, selectors.EVENT_READ, stream)
            return
        room = min(stream.window(), 1 << 16)
        if room <= 0:
            self.selector.modify(stream.sock, selectors.EVENT_READ, stream)
            return
        at = stream.sent % len(PATTERN)
        try:
            stream.sent += stream.sock.send(TWICE[at:at + room])
        except BlockingIOError:
            pass

    def _receive(self, stream):
        try:
            data = stream.sock.recv(2048 if stream.slow and not self.stopping else CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._drop(stream, None if stream.shut and stream.got == stream.sent else "the end")
            return
        at = stream.got % len(PATTERN)
        if TWICE[at:at + len(data)] != data:
            raise ValueError("other bytes")
        stream.got += len(data)
        self.moved += len(data)
        if stream.window() > 0 and not stream.shut:
            self.selector.modify(stream.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, stream)
