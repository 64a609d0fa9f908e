"""Where sockets listen: loopback addresses that no other test has."""

import itertools
import os
import socket

from .tap import Failure, Skip


class Address:
    """Where a socket listens: (host, port), a path, or "@name" for an abstract unix socket. As
    text it is what zproxy's configuration calls it."""

    def __init__(self, where):
        self.where = where
        if isinstance(where, str):
            self.family = socket.AF_UNIX
            self.sockaddr = "\0" + where[1:] if where.startswith("@") else where
        else:
            self.family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
            self.sockaddr = where

    @property
    def host(self):
        return self.where[0]

    @property
    def port(self):
        return self.where[1]

    def __str__(self):
        if self.family == socket.AF_UNIX:
            return f"unix:{self.where}"
        return "[%s]:%d" % self.where if ":" in self.host else "%s:%d" % self.where

    __repr__ = __str__


def _claim_network():
    """The first 127.X.Y.0/24 that no other test has: an abstract name, held while we live."""
    for i in range(254 * 256):
        n = (os.getpid() + i) % (254 * 256)
        network = f"127.{1 + n // 256}.{n % 256}"
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0zproxy-test-{network}")
            return network, lock
        except OSError:
            lock.close()
    raise Failure("all of 127.0.0.0/8 is in use")


_network, _lock = _claim_network()
_numbers = itertools.count()


def fresh_address(port=None):
    """An address that nobody has listened at yet, so nothing lingers there."""
    number = next(_numbers)
    return Address((f"{_network}.{1 + number % 254}", port or 7000 + number // 254))


def free_port(family, host):
    """A port that nobody has there: of ::1 and of all addresses there is but one, so the kernel has to
    choose."""
    try:
        with socket.socket(family) as s:
            s.bind((host, 0))
            return s.getsockname()[1]
    except OSError as error:
        raise Skip(f"no IPv6 here: {error.strerror}") from error
