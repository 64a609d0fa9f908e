"""Loopback addresses that no other test uses."""

import itertools
import os
import socket

from .tap import Failure, Skip


class Address:
    """The address of a socket: (host, port), a path, or "@name" for an abstract unix socket. str()
    returns it as it is written in zproxy's configuration."""

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
    """Returns a network 127.X.Y.0/24 that no other test uses, and the abstract unix socket that
    reserves it while this process runs."""
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
    """Returns an address that was not used before, so that no connection to it is in TIME_WAIT."""
    number = next(_numbers)
    return Address((f"{_network}.{1 + number % 254}", port or 7000 + number // 254))


def free_port(family, host):
    """Returns a free port, chosen by the kernel, of a host that tests share: ::1 or the unspecified
    address. Skips where there is no IPv6."""
    try:
        with socket.socket(family) as s:
            s.bind((host, 0))
            return s.getsockname()[1]
    except OSError as error:
        raise Skip(f"no IPv6 here: {error.strerror}") from error
