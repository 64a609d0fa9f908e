#!/usr/bin/python3
"""Clients and servers of a cluster, each in a process of its own: see cluster.Crowd, cluster.Servers.

    crowd.py servers ADDRESS...
    crowd.py clients OPTIONS        as JSON, see Clients

The server sends a line with the address of its peer, which is the zproxy that the client came through, and
then echoes. Clients are told what to do by lines on standard input, and answer with a line of JSON. Both
end at the end of standard input."""

import collections
import errno
import heapq
import ipaddress
import json
import os
import random
import resource
import selectors
import socket
import sys
import time

IP_BIND_ADDRESS_NO_PORT = 24
TOKEN = 8
now = time.monotonic


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Loop:
    """Sockets with a function each, timers, and lines from standard input."""

    def __init__(self, on_line):
        self.selector = selectors.EpollSelector()
        self.timers = []
        self.count = 0
        self.on_line = on_line
        self.input = b""
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, self._on_input)

    def _on_input(self, _):
        data = os.read(0, 65536)
        if not data:
            os._exit(0)
        *lines, self.input = (self.input + data).split(b"\n")
        for line in lines:
            print(json.dumps(self.on_line(json.loads(line))), flush=True)

    def at(self, when, function, *arguments):
        self.count += 1
        heapq.heappush(self.timers, (when, self.count, function, arguments))

    def run(self):
        while True:
            wait = max(0, self.timers[0][0] - now()) if self.timers else None
            for key, events in self.selector.select(wait):
                key.data(events)
            while self.timers and self.timers[0][0] <= now():
                _, _, function, arguments = heapq.heappop(self.timers)
                function(*arguments)


class Session:
    """One server-side connection."""

    def __init__(self, loop, sock, greeting):
        self.loop, self.sock, self.out = loop, sock, greeting
        loop.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self.on_event)

    def on_event(self, events):
        try:
            if events & selectors.EVENT_READ:
                data = self.sock.recv(65536)
                if not data:
                    raise ConnectionError
                self.out += data
            if self.out:
                self.out = self.out[self.sock.send(self.out):]
        except BlockingIOError:
            pass
        except OSError:
            self.loop.selector.unregister(self.sock)
            self.sock.close()
            return
        self.loop.selector.modify(self.sock, selectors.EVENT_READ |
                                  (selectors.EVENT_WRITE if self.out else 0), self.on_event)


def serve(addresses):
    loop = Loop(lambda _: {})
    for host, port in addresses:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(4096)
        sock.setblocking(False)

        def on_connection(_, sock=sock):
            try:
                while True:
                    client, (peer, _) = sock.accept()
                    client.setblocking(False)
                    Session(loop, client, peer.encode() + b"\n")
            except BlockingIOError:
                pass
        loop.selector.register(sock, selectors.EVENT_READ, on_connection)
    print("ready", flush=True)
    loop.run()


def reason(error):
    names = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset",
             errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable",
             errno.ETIMEDOUT: "timeout"}
    return names.get(error, errno.errorcode.get(error, str(error)))


class Client:
    """Connects, learns the address of its zproxy from the server's first line, and has a few bytes
    echoed: once, or every second if it is kept."""

    def __init__(self, crowd, kept, source):
        self.crowd, self.kept, self.source = crowd, kept, source
        self.begin, self.node, self.got, self.connected, self.over = now(), None, b"", False, False
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            self.sock.bind((source, 0))
        error = self.sock.connect_ex(crowd.to)
        crowd.loop.selector.register(self.sock, selectors.EVENT_WRITE, self.on_event)
        if error not in (0, errno.EINPROGRESS):
            self.end(reason(error))
        else:
            self.expect()

    def expect(self):
        """Fails if the present exchange is not over in time."""
        self.waiting = now()
        self.crowd.loop.at(self.waiting + self.crowd.patience, self.on_timeout, self.waiting)

    def on_timeout(self, waiting):
        if not self.over and self.waiting == waiting:
            self.end("timeout")

    def ask(self):
        self.token = random.randbytes(TOKEN)
        self.got = b""
        self.sock.send(self.token)

    def on_event(self, _):
        try:
            if not self.connected:
                error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    # tcp_reset() of the kernel: a reset during connect(2) is ECONNREFUSED; this one came
                    # after the handshake, and before this process looked.
                    self.connected = error == errno.ECONNRESET
                    raise OSError(error, "connect")
                self.connected = True
                self.crowd.on_connected(self)
                self.crowd.loop.selector.modify(self.sock, selectors.EVENT_READ, self.on_event)
                self.ask()
                return
            data = self.sock.recv(4096)
            if not data:
                self.end("closed")
                return
            self.take(data)
        except BlockingIOError:
            pass
        except OSError as error:
            self.end(reason(error.errno))

    def take(self, data):
        self.got += data
        if self.node is None:
            line, newline, rest = self.got.partition(b"\n")
            if not newline:
                return
            self.node, self.got = line.decode(), rest
        if len(self.got) < TOKEN:
            return
        if self.got != self.token:
            self.end("other bytes")
            return
        self.waiting = None
        if not self.kept:
            self.end(None)
            return
        self.crowd.on_kept(self)
        self.crowd.loop.at(now() + self.crowd.pause, self.again)

    def again(self):
        if self.over:
            return
        try:
            self.expect()
            self.ask()
        except OSError as error:
            self.end(reason(error.errno))

    def end(self, why):
        self.over = True
        self.crowd.loop.selector.unregister(self.sock)
        self.sock.close()
        self.crowd.on_end(self, why)


class Clients:
    """to: [host, port]; source: a network, each client has a random address of it; rate: clients that
    come per second; kept: sessions that stay; patience: seconds until an exchange has failed; pause:
    seconds between two exchanges of a session that stays."""

    def __init__(self, to, source=None, rate=0, kept=0, patience=5, pause=1, at_once=2000):
        self.to, self.patience, self.pause = tuple(to), patience, pause
        self.rate, self.at_once = rate, at_once
        self.network = ipaddress.ip_network(source) if source else None
        self.loop = Loop(self.on_line)
        self.open = 0
        self.kept = set()
        self.clear()
        self.next = now()
        self.loop.at(self.next, self.on_tick)
        self.add_kept(kept)

    def clear(self):
        self.connected = self.served = self.slow = 0
        self.failed, self.broken, self.kept_broken = (collections.Counter() for _ in range(3))
        self.by_node, self.kept_broken_by_node = collections.Counter(), collections.Counter()
        self.nodes_of = {}
        self.moved = set()
        self.last_wrong = self.last_slow = self.last_served = None

    def add_kept(self, count):
        for _ in range(count):
            Client(self, True, self.address())

    def address(self):
        if not self.network:
            return None
        return str(self.network[random.randrange(self.network.num_addresses)])

    def on_tick(self):
        """Every 5 ms the clients that are due."""
        while self.rate and self.next <= now():
            self.next += 1 / self.rate
            if self.open < self.at_once:
                self.open += 1
                Client(self, False, self.address())
        if not self.rate:
            self.next = now()
        self.loop.at(now() + 0.005, self.on_tick)

    def on_connected(self, client):
        self.connected += 1
        if now() - client.begin > 0.9:      # the first SYN was lost
            self.slow += 1
            self.last_slow = max(client.begin, self.last_slow or 0)

    def on_kept(self, client):
        self.kept.add(client)

    def on_end(self, client, why):
        if client.kept:
            self.kept.discard(client)
            self.kept_broken[why] += 1
            self.kept_broken_by_node[client.node or "none"] += 1
            return
        self.open -= 1
        if why is None:
            self.served += 1
            self.by_node[client.node] += 1
            self.last_served = max(client.begin, self.last_served or 0)
            if self.nodes_of.setdefault(client.source, client.node) != client.node:
                self.moved.add(client.source)
            return
        (self.broken if client.connected else self.failed)[why] += 1
        self.last_wrong = max(client.begin, self.last_wrong or 0)

    def on_line(self, line):
        do = line.pop("do")
        if do == "clear":
            self.clear()
        elif do == "kept":
            self.add_kept(line["count"])
        elif do == "rate":
            self.rate, self.next = line["rate"], now()
        return self.report()

    def report(self):
        return {"connected": self.connected, "served": self.served, "slow": self.slow,
                "failed": self.failed, "broken": self.broken, "by_node": self.by_node,
                "moved": len(self.moved), "addresses": len(self.nodes_of), "open": self.open,
                "kept": collections.Counter(client.node for client in self.kept),
                "kept_broken": self.kept_broken, "kept_broken_by_node": self.kept_broken_by_node,
                "last_wrong": self.last_wrong, "last_slow": self.last_slow,
                "last_served": self.last_served}


if __name__ == "__main__":
    raise_descriptor_limit()
    if sys.argv[1] == "servers":
        serve([(host, int(port)) for host, _, port in (a.rpartition(":") for a in sys.argv[2:])])
    else:
        clients = Clients(**json.loads(sys.argv[2]))
        print("ready", flush=True)
        clients.loop.run()
